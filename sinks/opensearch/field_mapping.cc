#include "sinks/opensearch/field_mapping.h"

#include <string_view>

#include <fmt/format.h>

#include "schemas/type_name.h"
#include "sinks/encoding/text_containers.h"
#include "sinks/opensearch/geo_fields.h"

namespace pgflow::sinks {
namespace {

using nlohmann::json;
namespace oid = postgres::oid;

// Longer ones are in the document, but not found as keywords: a term has 32,766 bytes at most.
constexpr int kKeywordCharactersMax = 1024;
constexpr postgres::Oid kInet = 869;
constexpr postgres::Oid kCidr = 650;

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
                             ? product.elastic_types
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
    if (product.elasticsearch && product.elastic_types) {
      mapping = {{"type", "dense_vector"}, {"dims", column.type_modifier}};
    } else if (product.knn_vectors) {
      mapping = {{"type", "knn_vector"}, {"dimension", column.type_modifier}};
    }
  }
  return {mapping, Plan(FieldForm::kVector)};
}

// What a geometry can be of itself: one whose reference system is known to be the index's.
FieldMapping GeoMapping(const GeoColumn& geo) {
  if (geo.srid != kIndexSrid || geo.shape == GeoColumn::Shape::kUnknown) {
    return {Keyword(), Plan(FieldForm::kString)};
  }
  if (geo.shape == GeoColumn::Shape::kPoint) {
    return {Lenient("geo_point"), Plan(FieldForm::kGeoPoint)};
  }
  return {Lenient("geo_shape"), Plan(FieldForm::kGeoShape)};
}

FieldMapping MapType(postgres::Oid type, const MappingChoices& choices,
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

FieldMapping Container(FieldForm form, const TypeText& type, const MappingChoices& choices,
                       const SearchProduct& product) {
  FieldMapping element = MapType(type.element, choices, product);
  json mapping = std::move(element.mapping);
  if (form == FieldForm::kRange) mapping = {{"type", RangeType(type.element)}};
  return {std::move(mapping),
          {.form = form,
           .type = &type,
           .element = std::make_shared<const FieldPlan>(std::move(element.plan))}};
}

FieldMapping MapType(postgres::Oid type_oid, const MappingChoices& choices,
                     const SearchProduct& product) {
  const TypeText* type = FindTypeText(type_oid);
  if (type == nullptr) return {StringMappingOf(choices.strings), {}};
  if (type->append == AppendArray) return Container(FieldForm::kArray, *type, choices, product);
  if (type->append == AppendRange) return Container(FieldForm::kRange, *type, choices, product);
  if (type->append == AppendMultirange) {
    return Container(FieldForm::kMultirange, *type, choices, product);
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
      return {choices.numerics == NumericMapping::kDouble ? Lenient("double") : Keyword(),
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
      FieldMapping mapped = JsonMappingOf(choices.json, product);
      mapped.plan.type = type;
      return mapped;
    }
    case kInet:
      return {Lenient("ip"), plan(FieldForm::kString)};
    case kCidr:
      return {{{"type", "ip_range"}}, plan(FieldForm::kNetwork)};
    case oid::kText:
    case oid::kVarchar:
    case oid::kBpchar:
    case oid::kName:
    case oid::kXml:
    case oid::kUnknown:
      return {StringMappingOf(choices.strings), plan(FieldForm::kString)};
    default:
      return {Keyword(), plan(FieldForm::kString)};
  }
}

// What the user's mapping asks of the document.
void Adapt(const json& chosen, bool is_geo, FieldPlan& plan) {
  const std::string type = chosen.value("type", "object");
  if (plan.form == FieldForm::kArray) {
    FieldPlan element = *plan.element;
    Adapt(chosen, is_geo, element);
    plan.element = std::make_shared<const FieldPlan>(std::move(element));
  }
  if (plan.type != nullptr && (plan.type->type == kInet || plan.type->type == kCidr)) {
    plan.form = type == "ip_range" ? FieldForm::kNetwork : FieldForm::kString;
  }
  const bool enabled = chosen.value("enabled", true);
  if (plan.form == FieldForm::kObjectJson || plan.form == FieldForm::kInlineJson) {
    const bool object =
        type == "flat_object" || type == "flattened" || type == "object" || type == "nested";
    plan.form = object && enabled ? FieldForm::kObjectJson : FieldForm::kInlineJson;
  }
  if (is_geo) {
    plan.form = type == "geo_point"   ? FieldForm::kGeoPoint
                : type == "geo_shape" ? FieldForm::kGeoShape
                                      : FieldForm::kString;
  }
  const bool is_point = plan.type != nullptr && plan.type->type == oid::kPoint;
  if (is_point && type == "geo_point") plan.form = FieldForm::kPoint;
}

}  // namespace

std::string SearchProduct::ToString() const {
  return fmt::format("{} {}.{}", elasticsearch ? "Elasticsearch" : "OpenSearch", major, minor);
}

FieldMapping MapColumn(const schemas::Column& column, const MappingChoices& choices,
                       const SearchProduct& product, const nlohmann::json& chosen) {
  const GeoColumn geo = ReadGeoColumn(column);
  FieldMapping mapped =
      geo.is_geo ? GeoMapping(geo)
      : IsVector(column)
          ? VectorMapping(column, product)
          : MapType(column.wire_type != 0 ? column.wire_type : column.type, choices, product);
  // Types of extensions are known by their names.
  if (mapped.plan.type == nullptr) mapped.plan.type = FindTypeText(column);
  if (chosen.is_object()) {
    mapped.mapping = chosen;
    Adapt(chosen, geo.is_geo, mapped.plan);
  }
  return mapped;
}

absl::StatusOr<std::string> CheckGeoColumn(const schemas::Column& column, const json& chosen) {
  const GeoColumn geo = ReadGeoColumn(column);
  if (!geo.is_geo) return std::string();
  const std::string type = chosen.is_object() ? chosen.value("type", "") : "";
  const bool asked = type == "geo_point" || type == "geo_shape";
  if (geo.srid != 0 && geo.srid != kIndexSrid) {
    const std::string why = fmt::format(
        "column {}: its coordinates are of SRID {}, and an index knows 4326 only (longitude, "
        "latitude); add a generated column ST_Transform({}, 4326)",
        column.name, geo.srid, column.name);
    if (asked) return absl::FailedPreconditionError(why);
    return why + "; this one is kept as text";
  }
  if (asked || chosen.is_object()) return std::string();
  if (geo.shape == GeoColumn::Shape::kUnknown) {
    return fmt::format("column {}: an index has no curves and surfaces; it is kept as text",
                       column.name);
  }
  if (geo.srid == kIndexSrid) return std::string();
  return fmt::format(
      "column {}: its type names no SRID; it is kept as text, unless a mapping says that it has "
      "longitudes and latitudes: {{{}: {{type: geo_shape}}}}",
      column.name, column.name);
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
