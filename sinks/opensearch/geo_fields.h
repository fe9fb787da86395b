// PostGIS geometries in documents: EWKB as GeoJSON, for geo_shape and geo_point. Pure functions
// over untrusted bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "schemas/table_schema.h"

namespace pgflow::sinks {

// What a column's type modifier says of its geometries.
struct GeoColumn {
  enum class Shape : uint8_t { kAny, kPoint, kOther, kUnknown };  // Unknown: GeoJSON has none.

  bool is_geo = false;  // geometry or geography.
  Shape shape = Shape::kAny;
  int32_t srid = 0;  // 0: each value has its own, or none.
};
GeoColumn ReadGeoColumn(const schemas::Column& column);

// The reference system of indices: longitude and latitude.
inline constexpr int32_t kIndexSrid = 4326;

// Appends GeoJSON of EWKB in hex, Postgres' text output: {"type":"Point","coordinates":[1,2]}; for
// a geo_point, a point as {"lat":2,"lon":1} or [1,2,3]. An empty geometry is []. Heights stay,
// measures (M) do not. False, and nothing appended, for another reference system than kIndexSrid or
// none, a curve or surface, what is no point where one must be, and malformed bytes.
bool AppendGeoShape(std::string_view hex, std::string& out);
bool AppendGeoPoint(std::string_view hex, std::string& out);

}  // namespace pgflow::sinks
