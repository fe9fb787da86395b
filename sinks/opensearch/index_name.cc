#include "sinks/opensearch/index_name.h"

#include <charconv>

#include "base/crypto/digest.h"
#include "base/status.h"
#include "sinks/encoding/json_string.h"
#include "sinks/encoding/json_value.h"

namespace pgflow::sinks {
namespace {

constexpr size_t kGenerationDigits = 6;
// Of 255 bytes, the generation takes some.
constexpr size_t kIndexNameBytesMax = 240;
constexpr std::string_view kForbidden = "\\/*?\"<>| ,#:{}";
constexpr std::string_view kHex = "0123456789abcdef";

void AppendHex(std::string_view bytes, std::string& out) {
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    out.push_back(kHex[byte >> 4]);
    out.push_back(kHex[byte & 15]);
  }
}

void AppendReplacing(std::string_view text, std::string& out) {
  for (const char c : text) {
    const bool control = static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
    if (control || kForbidden.find(c) != std::string_view::npos) {
      out.push_back('_');
    } else {
      out.push_back(c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c);
    }
  }
}

bool IsUtf8(std::string_view text) {
  std::string ignored;
  return AppendJsonString(text, ignored);
}

// Replaces what was appended at `start` by the hash of it.
void Shorten(size_t start, std::string& out) {
  const std::string digest = base::Hex(base::Sha256(std::string_view(out).substr(start)));
  const bool readable = IsUtf8(std::string_view(out).substr(start));
  size_t kept = readable ? kDocumentIdBytesMax - 2 - digest.size() : 0;
  // Never within a character.
  while (kept > 0 && (static_cast<unsigned char>(out[start + kept]) & 0xC0) == 0x80) --kept;
  out.resize(start + kept);
  out.append("\\#").append(digest);
}

}  // namespace

absl::Status ValidateIndexTemplate(std::string_view field, std::string_view name_template) {
  const auto invalid = [&](std::string_view why) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument, "{}: '{}' {}", field, name_template,
                            why);
  };
  if (name_template.empty()) return invalid("must not be empty");
  for (size_t at = 0; at < name_template.size(); ++at) {
    const std::string_view rest = name_template.substr(at);
    if (rest.starts_with("{schema}")) {
      at += 7;
    } else if (rest.starts_with("{table}")) {
      at += 6;
    } else if (rest[0] == '{' || rest[0] == '}') {
      return invalid("may have {schema} and {table} in it, and no other braces");
    } else if (rest[0] >= 'A' && rest[0] <= 'Z') {
      return invalid("must be in lower case, as names of indices are");
    } else if (kForbidden.find(rest[0]) != std::string_view::npos) {
      return invalid(fmt::format("must not contain '{}'", rest[0]));
    }
  }
  if (std::string_view("-_+.").find(name_template[0]) != std::string_view::npos) {
    return invalid("must not begin with - _ + or .");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> IndexName(std::string_view name_template,
                                      const schemas::TableName& table) {
  std::string name;
  for (size_t at = 0; at < name_template.size();) {
    const std::string_view rest = name_template.substr(at);
    if (rest.starts_with("{schema}")) {
      AppendReplacing(table.schema, name);
      at += 8;
    } else if (rest.starts_with("{table}")) {
      AppendReplacing(table.name, name);
      at += 7;
    } else {
      name.push_back(name_template[at++]);
    }
  }
  const bool bad_start = name.empty() || std::string_view("-_+.").find(name[0]) != name.npos;
  if (!bad_start && name.size() <= kIndexNameBytesMax) return name;
  return base::MakeStatus(
      absl::StatusCode::kFailedPrecondition,
      "table {}: '{}' cannot be the name of an index ({}); give the table another one under tables",
      table.ToString(), name, bad_start ? "its first character" : "its length");
}

std::string GenerationName(std::string_view name, uint32_t generation) {
  return fmt::format("{}-{:06}", name, generation);
}

uint32_t GenerationOf(std::string_view name, std::string_view index) {
  if (!index.starts_with(name)) return 0;
  index.remove_prefix(name.size());
  if (index.size() != kGenerationDigits + 1 || index[0] != '-') return 0;
  uint32_t generation = 0;
  const auto [end, error] =
      std::from_chars(index.data() + 1, index.data() + index.size(), generation);
  return error == std::errc() && end == index.data() + index.size() ? generation : 0;
}

schemas::TableName TableOf(std::string_view text) {
  const size_t dot = text.find('.');
  return {std::string(text.substr(0, dot)), std::string(text.substr(dot + 1))};
}

std::string_view WithoutCopySuffix(std::string_view name) {
  if (name.ends_with(kCopySuffix)) name.remove_suffix(kCopySuffix.size());
  return name;
}

std::string FieldName(std::string_view column) {
  std::string name;
  if (column.starts_with('_')) name = "col";
  bool blank = true;
  for (const char c : column) {
    name.push_back(c == '.' ? '_' : c);
    blank = blank && c == ' ';
  }
  return blank ? "col_" + std::to_string(column.size()) : name;
}

void AppendDocumentId(std::span<const KeyPart> key, std::span<const schemas::Value> values,
                      std::string& out) {
  const size_t start = out.size();
  std::string part;
  for (size_t i = 0; i < key.size(); ++i) {
    if (i > 0) out.push_back('|');
    const schemas::Value& value = values[key[i].column];
    part.clear();
    if (value.is_null() || value.is_unchanged()) {
      out.append("\\N");
      continue;
    }
    if (!AppendValueText(value, key[i].type, part)) {
      out.append("\\x");
      AppendHex(value.view(), out);
      continue;
    }
    if (part.empty()) out.append("\\0");
    for (const char c : part) {
      if (c == '\\' || (c == '|' && key.size() > 1)) out.push_back('\\');
      out.push_back(c);
    }
  }
  const std::string_view id = std::string_view(out).substr(start);
  if (id.size() > kDocumentIdBytesMax || !IsUtf8(id)) Shorten(start, out);
}

bool AppendRouting(const std::optional<KeyPart>& routing, std::span<const schemas::Value> values,
                   std::string& out) {
  if (!routing.has_value()) return true;
  const schemas::Value& value = values[routing->column];
  if (value.is_unchanged()) return false;
  if (value.is_null()) return true;
  const size_t start = out.size();
  if (!AppendValueText(value, routing->type, out)) return false;
  const std::string_view text = std::string_view(out).substr(start);
  if (text.size() > kDocumentIdBytesMax || !IsUtf8(text)) Shorten(start, out);
  return true;
}

}  // namespace pgflow::sinks
