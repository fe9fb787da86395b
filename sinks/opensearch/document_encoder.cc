#include "sinks/opensearch/document_encoder.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <unordered_map>

#include "base/bytes.h"
#include "base/status.h"
#include "sinks/encoding/json_string.h"
#include "sinks/encoding/json_value.h"
#include "sinks/encoding/text_containers.h"
#include "sinks/opensearch/geo_fields.h"
#include "sinks/opensearch/json_scanner.h"
#include "sinks/opensearch/text_fields.h"

namespace pgflow::sinks {
namespace {

using schemas::Value;
using schemas::ValueKind;

// The server's JSON reader refuses longer numbers; its number fields read strings as well.
constexpr size_t kNumberCharactersMax = 300;

Value Binary(std::string_view bytes) {
  return {bytes.data(), static_cast<uint32_t>(bytes.size()), ValueKind::kBinary};
}

void AppendHexString(std::string_view bytes, std::string& out) {
  constexpr std::string_view kHex = "0123456789abcdef";
  out.append("\"\\\\x");
  for (const char c : bytes) {
    out.push_back(kHex[static_cast<unsigned char>(c) >> 4]);
    out.push_back(kHex[static_cast<unsigned char>(c) & 15]);
  }
  out.push_back('"');
}

void AppendString(const FieldPlan& plan, const Value& value, std::string& out) {
  if (value.kind == ValueKind::kText) {
    if (!AppendJsonString(value.view(), out)) AppendHexString(value.view(), out);
    return;
  }
  if (plan.type != nullptr && plan.type->form == JsonForm::kPlainString) {
    const size_t start = out.size();
    out.push_back('"');
    if (plan.type->append(value.view(), *plan.type, out)) {
      out.push_back('"');
      return;
    }
    out.resize(start);
  }
  std::string text;
  if (!AppendValueText(value, plan.type, text) || !AppendJsonString(text, out)) {
    AppendHexString(value.view(), out);
  }
}

void AppendScalar(const FieldPlan& plan, const Value& value, std::string& out) {
  const size_t start = out.size();
  AppendJsonValue(value, plan.type, out);
  if (out.size() - start <= kNumberCharactersMax || out[start] == '"') return;
  out.insert(start, 1, '"');
  out.push_back('"');
}

void AppendTimeField(const FieldPlan& plan, const Value& value, std::string& out) {
  std::string text;
  if (!AppendValueText(value, plan.type, text)) {
    AppendHexString(value.view(), out);
    return;
  }
  const size_t start = out.size();
  out.push_back('"');
  AppendIsoTime(text, out);
  if (!std::all_of(out.begin() + static_cast<ptrdiff_t>(start) + 1, out.end(),
                   [](char c) { return c >= ' ' && c < 0x7F && c != '"' && c != '\\'; })) {
    out.resize(start);
    AppendHexString(value.view(), out);
    return;
  }
  out.push_back('"');
}

void AppendJsonField(const FieldPlan& plan, const Value& value, std::string& out) {
  std::string text;
  const size_t start = out.size();
  if (!AppendValueText(value, plan.type, text) || !AppendInlineJson(text, out)) {
    out.resize(start);
    AppendHexString(value.view(), out);
  }
  if (plan.form != FieldForm::kObjectJson) return;
  const size_t first = out.find_first_not_of(" \t", start);
  if (first != std::string::npos && out[first] == '{') return;
  out.insert(start, "{\"_json\":");
  out.push_back('}');
}

void AppendVector(const FieldPlan& plan, const Value& value, std::string& out) {
  std::string text;
  const bool readable = AppendValueText(value, plan.type, text);
  const bool list = readable && text.starts_with('[') && text.ends_with(']') &&
                    text.find_first_not_of("0123456789+-.eE,[]") == std::string::npos;
  if (list) {
    out.append(text);
  } else {
    AppendString(plan, value, out);
  }
}

// A server's ip_range takes no address without a mask, and no IPv4 address within IPv6 with one.
void AppendNetwork(const FieldPlan& plan, const Value& value, std::string& out) {
  std::string text;
  if (AppendValueText(value, plan.type, text) && AppendNetworkField(text, out)) return;
  AppendString(plan, value, out);
}

void AppendPointField(const FieldPlan& plan, const Value& value, std::string& out) {
  std::string text;
  const bool readable = AppendValueText(value, plan.type, text);
  const size_t comma = text.find(',');
  if (!readable || comma == std::string::npos || text.size() < 5 ||
      text.find_first_not_of("0123456789+-.eE,()") != std::string::npos) {
    AppendString(plan, value, out);
    return;
  }
  const std::string_view point(text);
  out.append("{\"lat\":").append(point.substr(comma + 1, point.size() - comma - 2));
  out.append(",\"lon\":").append(point.substr(1, comma - 1)).push_back('}');
}

// What is no GeoJSON is left to the server, which refuses the text or keeps it unindexed.
void AppendGeoField(const FieldPlan& plan, const Value& value, std::string& out) {
  std::string hex;
  if (AppendValueText(value, plan.type, hex)) {
    if (plan.form == FieldForm::kGeoPoint && AppendGeoPoint(hex, out)) return;
    if (plan.form == FieldForm::kGeoShape && AppendGeoShape(hex, out)) return;
  }
  AppendString(plan, value, out);
}

bool AppendElements(base::ByteReader& reader, const ArrayHeader& header, uint32_t dimension,
                    const FieldPlan& element, std::string& out) {
  out.push_back('[');
  for (int32_t i = 0; i < header.sizes[dimension]; ++i) {
    if (i > 0) out.push_back(',');
    if (dimension + 1 < header.dimensions) {
      if (!AppendElements(reader, header, dimension + 1, element, out)) return false;
      continue;
    }
    const int32_t size = reader.Read<int32_t>();
    if (!reader.ok() || size < -1) return false;
    if (size == -1) {
      out.append("null");
      continue;
    }
    const std::string_view bytes = reader.ReadBytes(static_cast<uint64_t>(size));
    if (!reader.ok()) return false;
    AppendField(element, Binary(bytes), out);
  }
  out.push_back(']');
  return true;
}

bool AppendBinaryArray(const FieldPlan& plan, std::string_view bytes, std::string& out) {
  base::ByteReader reader(bytes);
  const std::optional<ArrayHeader> header = ReadArrayHeader(reader);
  if (!header.has_value()) return false;
  if (header->dimensions == 0) {
    out.append("[]");
    return true;
  }
  return AppendElements(reader, *header, 0, *plan.element, out) && reader.remaining() == 0;
}

bool AppendBinaryRange(const FieldPlan& plan, std::string_view bytes, std::string& out) {
  const std::optional<RangeParts> parts = ReadRange(bytes);
  if (!parts.has_value()) return false;
  if (parts->empty) {
    out.append("[]");
    return true;
  }
  RangeWriter range(out);
  if (parts->lower.has_value()) {
    range.Bound(parts->lower_inclusive ? "gte" : "gt");
    AppendField(*plan.element, Binary(*parts->lower), out);
  }
  if (parts->upper.has_value()) {
    range.Bound(parts->upper_inclusive ? "lte" : "lt");
    AppendField(*plan.element, Binary(*parts->upper), out);
  }
  range.Finish();
  return true;
}

bool AppendBinaryMultirange(const FieldPlan& plan, std::string_view bytes, std::string& out) {
  base::ByteReader reader(bytes);
  const auto count = reader.Read<uint32_t>();
  out.push_back('[');
  for (uint32_t i = 0; i < count; ++i) {
    if (i > 0) out.push_back(',');
    const auto size = reader.Read<uint32_t>();
    const std::string_view one = reader.ReadBytes(size);
    if (!reader.ok() || !AppendBinaryRange(*plan.element, one, out)) return false;
  }
  out.push_back(']');
  return reader.ok() && reader.remaining() == 0;
}

void AppendContainer(const FieldPlan& plan, const Value& value, std::string& out) {
  const size_t start = out.size();
  bool written = false;
  if (value.kind == ValueKind::kText) {
    written = AppendTextContainer(plan, value.view(), out);
  } else if (plan.form == FieldForm::kArray) {
    written = AppendBinaryArray(plan, value.view(), out);
  } else if (plan.form == FieldForm::kRange) {
    written = AppendBinaryRange(plan, value.view(), out);
  } else {
    written = AppendBinaryMultirange(plan, value.view(), out);
  }
  if (written) return;
  out.resize(start);
  AppendHexString(value.view(), out);
}

}  // namespace

void AppendField(const FieldPlan& plan, const Value& value, std::string& out) {
  if (value.is_null() || value.is_unchanged()) {
    out.append("null");
    return;
  }
  switch (plan.form) {
    case FieldForm::kScalar:
      return AppendScalar(plan, value, out);
    case FieldForm::kString:
      return AppendString(plan, value, out);
    case FieldForm::kTime:
      return AppendTimeField(plan, value, out);
    case FieldForm::kInlineJson:
    case FieldForm::kObjectJson:
      return AppendJsonField(plan, value, out);
    case FieldForm::kArray:
    case FieldForm::kRange:
    case FieldForm::kMultirange:
      return AppendContainer(plan, value, out);
    case FieldForm::kNetwork:
      return AppendNetwork(plan, value, out);
    case FieldForm::kVector:
      return AppendVector(plan, value, out);
    case FieldForm::kPoint:
      return AppendPointField(plan, value, out);
    case FieldForm::kGeoPoint:
    case FieldForm::kGeoShape:
      return AppendGeoField(plan, value, out);
  }
}

std::string LinkOf(const DocumentPlan& plan, const DocumentLink& link,
                   std::span<const Value> values, std::string_view existing) {
  std::vector<std::string> texts(link.key.size());
  std::vector<Value> parts(link.key.size());
  std::vector<KeyPart> key(link.key.size());
  for (size_t i = 0; i < parts.size(); ++i) {
    parts[i] = values[link.key[i].column];
    key[i] = {i, link.key[i].type};
    if (parts[i].is_unchanged()) {
      // What may be a key is the same text in JSON (CheckLinkType).
      JsonScanner members(existing);
      while (members.Next()) {
        if (members.key() != plan.columns[link.key[i].column].name_json) continue;
        if (members.value() == "null") return {};
        texts[i] = JsonText(members.value());
      }
      parts[i] = {texts[i].data(), static_cast<uint32_t>(texts[i].size()), ValueKind::kText};
    }
    if (parts[i].is_null()) return {};
  }
  std::string id;
  AppendDocumentId(key, parts, id);
  return id;
}

void AppendDocument(const DocumentPlan& plan, std::span<const Value> values,
                    std::string_view existing, std::string& out) {
  char separator = '{';
  for (size_t i = 0; i < values.size(); ++i) {
    const DocumentColumn& column = plan.columns[i];
    std::string_view kept;
    if (values[i].is_unchanged()) {
      JsonScanner members(existing);
      while (members.Next()) {
        if (members.key() == column.name_json) kept = members.value();
      }
      if (kept.empty()) continue;
    }
    out.push_back(separator);
    separator = ',';
    out.append(column.name_json);
    out.push_back(':');
    if (kept.empty()) {
      AppendField(column.plan, values[i], out);
    } else {
      out.append(kept);
    }
  }
  for (const DocumentLink& link : plan.links) {
    const std::string parent = LinkOf(plan, link, values, existing);
    if (parent.empty()) continue;
    out.push_back(separator);
    separator = ',';
    out.append(link.name_json).push_back(':');
    AppendJsonString(parent, out);
  }
  if (separator == '{') out.push_back('{');
  out.push_back('}');
}

absl::StatusOr<DocumentPlan> MakeDocumentPlan(const schemas::TableSchema& schema,
                                              const std::vector<int16_t>& key_attributes,
                                              const std::vector<FieldMapping>& mappings) {
  DocumentPlan plan;
  plan.schema = schema;
  plan.columns.reserve(schema.columns.size());
  std::unordered_map<std::string, std::string> columns_by_field;
  const bool by_identity = key_attributes.empty() && schema.HasKey();
  for (size_t i = 0; i < schema.columns.size(); ++i) {
    const schemas::Column& column = schema.columns[i];
    DocumentColumn& field = plan.columns.emplace_back();
    field.name = FieldName(column.name);
    if (!AppendJsonString(field.name, field.name_json))
      AppendHexString(column.name, field.name_json);
    field.plan = mappings[i].plan;
    const auto [other, added] = columns_by_field.try_emplace(field.name, column.name);
    if (!added) {
      return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                              "table {}: columns {} and {} would both be the field {}; give one of "
                              "them another name (transformer rename)",
                              schema.table.ToString(), other->second, column.name, field.name);
    }
    if (by_identity && column.identity) plan.key.push_back({i, FindTypeText(column)});
  }
  for (const int16_t attribute : key_attributes) {
    const auto found =
        std::ranges::find(schema.columns, attribute, &schemas::Column::attribute_number);
    if (found == schema.columns.end()) {
      plan.key.clear();
      break;
    }
    plan.key.push_back({static_cast<size_t>(found - schema.columns.begin()), FindTypeText(*found)});
  }
  return plan;
}

}  // namespace pgflow::sinks
