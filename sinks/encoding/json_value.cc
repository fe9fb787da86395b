#include "sinks/encoding/json_value.h"

#include "sinks/encoding/json_string.h"

namespace pgflow::sinks {
namespace {

void AppendMarker(std::string_view bytes, std::string& out) {
  out.append("{\"binary\":\"");
  AppendBase64(bytes, out);
  out.append("\"}");
}

// What the server prints for a finite number is a JSON number too; NaN and Infinity are not.
bool IsFiniteNumber(std::string_view text) {
  if (!text.empty() && text.front() == '-') text.remove_prefix(1);
  return !text.empty() && text.front() >= '0' && text.front() <= '9' &&
         text.find_first_not_of("0123456789.eE+-") == std::string_view::npos;
}

void AppendStringOrMarker(std::string_view text, std::string_view bytes, std::string& out) {
  if (!AppendJsonString(text, out)) AppendMarker(bytes, out);
}

// `text` is the type's text output, `bytes` what it was made from.
void AppendTextInForm(JsonForm form, std::string_view text, std::string_view bytes,
                      std::string& out) {
  switch (form) {
    case JsonForm::kNumber:
      if (IsFiniteNumber(text)) {
        out.append(text);
        return;
      }
      break;
    case JsonForm::kBool:
      if (text == "t" || text == "f") {
        out.append(text == "t" ? "true" : "false");
        return;
      }
      break;
    case JsonForm::kJson:
      if (!AppendInlineJson(text, out)) AppendMarker(bytes, out);
      return;
    case JsonForm::kPlainString:
    case JsonForm::kString:
      break;
  }
  AppendStringOrMarker(text, bytes, out);
}

// Numbers and plain strings are decoded in place; they need no escapes.
bool AppendBinaryInPlace(std::string_view bytes, const TypeText& type, std::string& out) {
  const size_t start = out.size();
  if (type.form == JsonForm::kPlainString) {
    out.push_back('"');
    if (type.append(bytes, type, out)) {
      out.push_back('"');
      return true;
    }
  } else if (type.append(bytes, type, out)) {
    const char first = out.size() > start ? out[start] : '\0';
    const char digit = first == '-' ? out[start + 1] : first;
    if (digit >= '0' && digit <= '9') return true;
    out.insert(start, 1, '"');
    out.push_back('"');
    return true;
  }
  out.resize(start);
  return false;
}

void AppendBinary(std::string_view bytes, const TypeText& type, std::string& out) {
  if (type.form == JsonForm::kNumber || type.form == JsonForm::kPlainString) {
    if (!AppendBinaryInPlace(bytes, type, out)) AppendMarker(bytes, out);
    return;
  }
  std::string text;
  if (!type.append(bytes, type, text)) {
    AppendMarker(bytes, out);
    return;
  }
  AppendTextInForm(type.form, text, bytes, out);
}

}  // namespace

void AppendJsonValue(const schemas::Value& value, const TypeText* type, std::string& out) {
  switch (value.kind) {
    case schemas::ValueKind::kNull:
    case schemas::ValueKind::kUnchanged:
      out.append("null");
      return;
    case schemas::ValueKind::kText:
      AppendTextInForm(type == nullptr ? JsonForm::kString : type->form, value.view(), value.view(),
                       out);
      return;
    case schemas::ValueKind::kBinary:
      if (type == nullptr) {
        AppendMarker(value.view(), out);
      } else {
        AppendBinary(value.view(), *type, out);
      }
      return;
  }
}

bool AppendValueText(const schemas::Value& value, const TypeText* type, std::string& out) {
  if (value.kind == schemas::ValueKind::kText) out.append(value.view());
  if (value.kind != schemas::ValueKind::kBinary) return true;
  const size_t start = out.size();
  if (type != nullptr && type->append(value.view(), *type, out)) return true;
  out.resize(start);
  return false;
}

void AppendJsonName(std::string_view name, std::string& out) {
  AppendStringOrMarker(name, name, out);
}

}  // namespace pgflow::sinks
