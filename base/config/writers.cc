#include "base/config/writers.h"

#include <utility>
#include <vector>

#include <fmt/format.h>

namespace pgflow::config {
namespace {

std::string JoinChoices(const FieldDescription& field, std::string_view quote) {
  std::string text;
  for (const std::string& choice : field.choices) {
    if (!text.empty()) text += ", ";
    text += fmt::format("{}{}{}", quote, choice, quote);
  }
  return text;
}

std::string JsonType(const FieldDescription& field) {
  switch (field.type) {
    case ValueType::kBoolean:
      return R"("type": "boolean")";
    case ValueType::kInteger:
      return R"("type": "integer")";
    case ValueType::kNumber:
      return R"("type": "number")";
    case ValueType::kString:
    case ValueType::kSecret:
    case ValueType::kChoice:
      return R"("type": "string")";
    case ValueType::kDuration:
      return R"("type": "string", "pattern": "^(0|([0-9.]+(ns|us|ms|s|m|h))+)$")";
    case ValueType::kByteSize:
      return R"("type": ["string", "integer"], "pattern": "^[0-9]+ *([KMGTk]?i?B)?$")";
    case ValueType::kStringList:
      return R"("type": "array", "items": {"type": "string"})";
    case ValueType::kStringMap:
      return R"("type": "object", "additionalProperties": {"type": "string"})";
    case ValueType::kSection:
    case ValueType::kSectionList:
    case ValueType::kAny:
      return "";
  }
  return "";
}

// A default that JSON has a literal for; else as a string.
std::string JsonDefault(const FieldDescription& field) {
  const std::string& text = *field.default_text;
  const bool bare = field.type == ValueType::kBoolean || field.type == ValueType::kInteger ||
                    field.type == ValueType::kNumber || field.type == ValueType::kStringList;
  return bare ? text : QuoteJson(text);
}

void AppendJsonObject(const SpecDescription& spec, const std::string& indent, std::string& out);

void AppendJsonField(const FieldDescription& field, const std::string& indent, std::string& out) {
  out += fmt::format("{}{}: {{\n{}  \"description\": {}", indent, QuoteJson(field.name), indent,
                     QuoteJson(field.doc));
  const std::string type = JsonType(field);
  if (!type.empty()) out += fmt::format(",\n{}  {}", indent, type);
  if (!field.choices.empty()) {
    std::string choices;
    for (const std::string& choice : field.choices) {
      choices += (choices.empty() ? "" : ", ") + QuoteJson(choice);
    }
    out += fmt::format(",\n{}  \"enum\": [{}]", indent, choices);
  }
  const bool numeric = field.type == ValueType::kInteger || field.type == ValueType::kNumber;
  if (numeric && field.minimum.has_value()) {
    out += fmt::format(",\n{}  \"minimum\": {}, \"maximum\": {}", indent, *field.minimum,
                       *field.maximum);
  }
  if (field.default_text.has_value() && !field.default_text->empty() &&
      field.type != ValueType::kStringMap && field.type != ValueType::kAny) {
    out += fmt::format(",\n{}  \"default\": {}", indent, JsonDefault(field));
  }
  if (field.type == ValueType::kSection) {
    out += ",\n";
    AppendJsonObject(*field.nested, indent + "  ", out);
  } else if (field.type == ValueType::kSectionList) {
    out += fmt::format(",\n{}  \"type\": \"array\",\n{}  \"items\": {{\n", indent, indent);
    AppendJsonObject(*field.nested, indent + "    ", out);
    out += fmt::format("\n{}  }}", indent);
  }
  out += fmt::format("\n{}}}", indent);
}

// The members of a schema object, without its braces.
void AppendJsonObject(const SpecDescription& spec, const std::string& indent, std::string& out) {
  out +=
      fmt::format("{}\"type\": \"object\",\n{}\"additionalProperties\": false,\n", indent, indent);
  std::string required;
  for (const FieldDescription& field : spec.fields) {
    if (field.required) required += (required.empty() ? "" : ", ") + QuoteJson(field.name);
  }
  if (!required.empty()) out += fmt::format("{}\"required\": [{}],\n", indent, required);
  out += fmt::format("{}\"properties\": {{", indent);
  bool first = true;
  for (const FieldDescription& field : spec.fields) {
    out += first ? "\n" : ",\n";
    first = false;
    AppendJsonField(field, indent + "  ", out);
  }
  out += first ? "}" : fmt::format("\n{}}}", indent);
}

struct FlatField {
  std::string path;
  FieldDescription field;
};

void Flatten(const SpecDescription& spec, const std::string& prefix, std::vector<FlatField>& out) {
  for (const FieldDescription& field : spec.fields) {
    out.push_back({prefix + field.name, field});
    if (field.nested == nullptr) continue;
    const bool list = field.type == ValueType::kSectionList;
    Flatten(*field.nested, prefix + field.name + (list ? "[]." : "."), out);
  }
}

std::string MarkdownType(const FieldDescription& field) {
  std::string text = field.choices.empty() ? ValueTypeName(field.type) : JoinChoices(field, "`");
  if (field.minimum.has_value()) text += fmt::format(", {} to {}", *field.minimum, *field.maximum);
  return text;
}

std::string MarkdownDefault(const FieldDescription& field) {
  if (field.required && field.nested == nullptr) return "**required**";
  if (field.default_text.has_value() && !field.default_text->empty()) {
    return fmt::format("`{}`", *field.default_text);
  }
  return "";
}

}  // namespace

std::string QuoteJson(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      quoted += '\\';
      quoted += c;
    } else if (c == '\n') {
      quoted += "\\n";
    } else if (static_cast<unsigned char>(c) < 0x20) {
      quoted += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
    } else {
      quoted += c;
    }
  }
  return quoted + "\"";
}

std::string WriteJsonSchema(const SpecDescription& spec, const std::string& title) {
  std::string out = fmt::format(
      "{{\n  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n  \"title\": {},\n",
      QuoteJson(title));
  AppendJsonObject(spec, "  ", out);
  out += "\n}\n";
  return out;
}

std::string WriteMarkdown(const SpecDescription& spec) {
  if (spec.fields.empty()) return "It has no options.\n";
  std::vector<FlatField> fields;
  Flatten(spec, "", fields);
  std::string out = "| option | type | default | what it does |\n|---|---|---|---|\n";
  for (const FlatField& flat : fields) {
    std::string doc = flat.field.doc;
    if (!flat.field.example.empty()) doc += fmt::format(" Example: `{}`.", flat.field.example);
    std::string escaped;
    for (const char c : doc) {
      if (c == '|') escaped += '\\';
      escaped += c;
    }
    out += fmt::format("| `{}` | {} | {} | {} |\n", flat.path, MarkdownType(flat.field),
                       MarkdownDefault(flat.field), escaped);
  }
  return out;
}

std::string WriteText(const SpecDescription& spec) {
  if (spec.fields.empty()) return "  (no options)\n";
  std::vector<FlatField> fields;
  Flatten(spec, "", fields);
  std::string out;
  for (const FlatField& flat : fields) {
    const FieldDescription& field = flat.field;
    std::string traits = field.choices.empty() ? ValueTypeName(field.type) : JoinChoices(field, "");
    if (field.minimum.has_value()) {
      traits += fmt::format(", {} to {}", *field.minimum, *field.maximum);
    }
    if (field.required && field.nested == nullptr) {
      traits += "; required";
    } else if (field.default_text.has_value() && !field.default_text->empty()) {
      traits += fmt::format("; default {}", *field.default_text);
    }
    out += fmt::format("  {}  ({})\n      {}\n", flat.path, traits, field.doc);
    if (!field.example.empty()) out += fmt::format("      example: {}\n", field.example);
  }
  return out;
}

}  // namespace pgflow::config
