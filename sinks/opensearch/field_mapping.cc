#include "sinks/opensearch/field_mapping.h"

#include <string_view>

#include <fmt/format.h>

#include "schemas/type_name.h"
#include "sinks/encoding/text_containers.h"

namespace pgflow::sinks {
namespace {

using nlohmann::json;
namespace oid = postgres::oid;

// Longer ones are in the document, but not found as keywords: a term has 32,766 bytes at most.
constexpr int kKeywordCharactersMax = 1024;

FieldPlan Plan(FieldForm form, const TypeText* type = nullptr) {
  return {.form = form, .type = type, .element = nullptr};
}

json Keyword() { return {{"type", "keyword"}, {"ignore_above", kKeywordCharactersMax}}; }
// A value that the type cannot take is kept in the document and not indexed.
json Lenient(const char* type) { return {{"type", type}, {"ignore_malformed", true}}; }

json StringMappingOf(StringMapping choice) {
  switch (choice) {
    case StringMapping::kText:
      return {{"type", "text"}};
    case StringMapping::kKeyword:
      return Keyword();
    case StringMapping::kTextAndKeyword:
      break;
  }
  return {{"type", "text"}, {"fields", {{"keyword", Keyword()}}}};
}

FieldMapping JsonMappingOf(JsonMapping choice, const SearchProduct& product) {
  const bool flattened = product.elasticsearch
                             ? product.major > 7 || (product.major == 7 && product.minor >= 3)
                             : product.major > 2 || (product.major == 2 && product.minor >= 7);
  if (choice == JsonMapping::kObject) {
    return {{{"type", "object"}, {"dynamic", true}}, Plan(FieldForm::kObjectJson)};
  }
  if (choice == JsonMapping::kStored || !flattened) {
    return {{{"type", "object"}, {"enabled", false}}, Plan(FieldForm::kInlineJson)};
  }
  return {{{"type", product.elasticsearch ? "flattened" : "flat_object"}},
          Plan(FieldForm::kObjectJson)};
}

bool IsVector(const schemas::Column& column) {
  const std::string_view name = schemas::BareTypeName(column.type_name);
  return name == "vector" || name == "halfvec";
}

FieldMapping VectorMapping(const schemas::Column& column, const SearchProduct& product) {
  json mapping = {{"type", "float"}, {"index", false}};
  if (column.type_modifier > 0) {
    if (product.elasticsearch) {
      mapping = {{"type", "dense_vector"}, {"dims", column.type_modifier}};
    } else if (product.knn_vectors) {
      mapping = {{"type", "knn_vector"}, {"dimension", column.type_modifier}};
    }
  }
  return {mapping, Plan(FieldForm::kVector)};
}

FieldMapping MapType(postgres::Oid type, const OpenSearchSinkConfig& config,
                     const SearchProduct& product);

const char* RangeType(postgres::Oid element) {
  switch (element) {
    case oid::kInt4:
    case oid::kInt8:
      return "long_range";
    case oid::kNumeric:
      return "double_range";
    default:
      return "date_range";
  }
}

FieldMapping Container(FieldForm form, const TypeText& type, const OpenSearchSinkConfig& config,
                       const SearchProduct& product) {
  FieldMapping element = MapType(type.element, config, product);
  json mapping = std::move(element.mapping);
  if (form == FieldForm::kRange) mapping = {{"type", RangeType(type.element)}};
  return {std::move(mapping),
          {.form = form,
           .type = &type,
           .element = std::make_shared<const FieldPlan>(std::move(element.plan))}};
}

FieldMapping MapType(postgres::Oid type_oid, const OpenSearchSinkConfig& config,
                     const SearchProduct& product) {
  const TypeText* type = FindTypeText(type_oid);
  if (type == nullptr) return {StringMappingOf(config.strings), {}};
  if (type->append == AppendArray) return Container(FieldForm::kArray, *type, config, product);
  if (type->append == AppendRange) return Container(FieldForm::kRange, *type, config, product);
  if (type->append == AppendMultirange) {
    return Container(FieldForm::kMultirange, *type, config, product);
  }
  const auto plan = [type](FieldForm form) { return Plan(form, type); };
  switch (type_oid) {
    case oid::kBool:
      return {{{"type", "boolean"}}, plan(FieldForm::kScalar)};
    case oid::kInt2:
    case oid::kInt4:
    case oid::kInt8:
    case oid::kOid:
      return {{{"type", "long"}}, plan(FieldForm::kScalar)};
    case oid::kFloat4:
    case oid::kFloat8:
      return {Lenient("double"), plan(FieldForm::kScalar)};
    case oid::kNumeric:
      return {config.numerics == NumericMapping::kDouble ? Lenient("double") : Keyword(),
              plan(FieldForm::kScalar)};
    case oid::kDate:
    case oid::kTimestamp:
    case oid::kTimestamptz: {
      json mapping = Lenient("date");
      mapping["format"] = "strict_date_optional_time";
      return {mapping, plan(FieldForm::kTime)};
    }
    case oid::kJson:
    case oid::kJsonb: {
      FieldMapping mapped = JsonMappingOf(config.json, product);
      mapped.plan.type = type;
      return mapped;
    }
    case 869:  // inet
      return {Lenient("ip"), plan(FieldForm::kString)};
    case 650:  // cidr
      return {{{"type", "ip_range"}}, plan(FieldForm::kString)};
    case oid::kText:
    case oid::kVarchar:
    case oid::kBpchar:
    case oid::kName:
    case oid::kXml:
    case oid::kUnknown:
      return {StringMappingOf(config.strings), plan(FieldForm::kString)};
    default:
      return {Keyword(), plan(FieldForm::kString)};
  }
}

// What the user's mapping asks of the document.
void Adapt(const json& chosen, FieldPlan& plan) {
  const std::string type = chosen.value("type", "object");
  const bool enabled = chosen.value("enabled", true);
  if (plan.form == FieldForm::kObjectJson || plan.form == FieldForm::kInlineJson) {
    const bool object =
        type == "flat_object" || type == "flattened" || type == "object" || type == "nested";
    plan.form = object && enabled ? FieldForm::kObjectJson : FieldForm::kInlineJson;
  }
  const bool is_point = plan.type != nullptr && plan.type->type == oid::kPoint;
  if (is_point && type == "geo_point") plan.form = FieldForm::kPoint;
}

}  // namespace

std::string SearchProduct::ToString() const {
  return fmt::format("{} {}.{}", elasticsearch ? "Elasticsearch" : "OpenSearch", major, minor);
}

FieldMapping MapColumn(const schemas::Column& column, const OpenSearchSinkConfig& config,
                       const SearchProduct& product, const nlohmann::json& chosen) {
  FieldMapping mapped =
      IsVector(column)
          ? VectorMapping(column, product)
          : MapType(column.wire_type != 0 ? column.wire_type : column.type, config, product);
  if (chosen.is_object()) {
    mapped.mapping = chosen;
    Adapt(chosen, mapped.plan);
  }
  return mapped;
}

nlohmann::json ToJson(const config::Node& node) {
  switch (node.kind()) {
    case config::Node::Kind::kAbsent:
    case config::Node::Kind::kNull:
      return nullptr;
    case config::Node::Kind::kList: {
      json list = json::array();
      for (const config::Node& item : node.items()) list.push_back(ToJson(item));
      return list;
    }
    case config::Node::Kind::kMap: {
      json map = json::object();
      for (const auto& [key, value] : node.entries()) map[key.text()] = ToJson(value);
      return map;
    }
    case config::Node::Kind::kScalar:
      break;
  }
  if (node.is_quoted()) return node.text();
  const json parsed = json::parse(node.text(), nullptr, false);
  if (parsed.is_number() || parsed.is_boolean()) return parsed;
  return node.text();
}

}  // namespace pgflow::sinks
