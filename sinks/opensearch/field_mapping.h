// FieldMapping: what a column becomes in an index (its mapping) and in a document (its form). Pure.
//
// The form of a type follows from its mapping, so that the server takes every value: what it cannot
// index (NaN, infinity, a date beyond its range) stays in the document all the same.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include <absl/status/statusor.h>
#include <nlohmann/json.hpp>

#include "schemas/table_schema.h"
#include "sinks/encoding/type_text.h"
#include "sinks/opensearch/sink_config.h"

namespace pgflow::sinks {

// What the server is, as far as mappings depend on it.
struct SearchProduct {
  bool elasticsearch = false;
  int major = 2;
  int minor = 0;
  bool knn_vectors = false;  // OpenSearch's k-NN plugin is there.
  // Elasticsearch's own types (flattened, dense_vector); its Apache-licensed build is without.
  bool elastic_types = true;

  std::string ToString() const;
};

// What the options say of mappings, and of the form of documents.
struct MappingChoices {
  StringMapping strings = StringMapping::kTextAndKeyword;
  NumericMapping numerics = NumericMapping::kDouble;
  JsonMapping json = JsonMapping::kFlattened;
  nlohmann::json columns;  // Of single columns, by name; an object.
};

enum class FieldForm : uint8_t {
  kScalar,      // A number, true or false; what JSON has no number for, as a string.
  kString,      // The type's text output.
  kTime,        // The same in ISO 8601: 2026-01-31T12:00:00Z, -0043-03-15, +12345-01-01.
  kInlineJson,  // As it is.
  kObjectJson,  // The same; what is no object, within one.
  kArray,       // [...], nested for several dimensions.
  kRange,       // {"gte":1,"lt":5}; an empty one is [].
  kMultirange,  // A list of those.
  kNetwork,     // An address with its mask, 10.0.0.0/8; of IPv4 within IPv6 {"gte":..,"lte":..}.
  kVector,      // pgvector's text is a JSON list.
  kPoint,       // {"lat":y,"lon":x}
  kGeoPoint,    // The same of a PostGIS point, or [x,y,z].
  kGeoShape,    // GeoJSON of a PostGIS geometry. What has none is its text, as with kGeoPoint.
};

struct FieldPlan {
  FieldForm form = FieldForm::kString;
  const TypeText* type = nullptr;
  std::shared_ptr<const FieldPlan> element;  // Of kArray, kRange, kMultirange.
};

struct FieldMapping {
  nlohmann::json mapping;
  FieldPlan plan;
};

// That a column of PostGIS can be what the user's mapping (JSON null: none) makes of it.
// kFailedPrecondition: its reference system is not that of an index. Empty, or why it is kept as
// text, for `check`.
absl::StatusOr<std::string> CheckGeoColumn(const schemas::Column& column,
                                           const nlohmann::json& chosen);

// `chosen`: the user's mapping of this column; null (JSON) when there is none.
FieldMapping MapColumn(const schemas::Column& column, const MappingChoices& choices,
                       const SearchProduct& product, const nlohmann::json& chosen);

// A YAML value as JSON: a scalar without quotes may be a number, true, false or null.
nlohmann::json ToJson(const config::Node& node);

}  // namespace pgflow::sinks
