// Geometric values in the forms of Debezium's events: well-known binary, and what it cannot say.
//
// Pure, thread-safe. `text` is what the server prints; nothing for text that is none.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "postgres/types/oid.h"

namespace pgflow::sinks {

struct DebeziumShape {
  std::string wkb;  // Little-endian.
  // That connector's `extensions`: which type it was, and whether a path is closed.
  std::string_view type;
  std::string_view closed;  // Empty: not said.
};

// Of a box, lseg, path or polygon.
std::optional<DebeziumShape> ShapeOf(postgres::Oid type, std::string_view text);
std::string PointWkb(double x, double y);
// All numbers of a geometric value, in their order.
std::optional<std::vector<double>> NumbersIn(std::string_view text);
// The reference system that extended well-known binary (PostGIS) names, if it does.
std::optional<int32_t> SridOf(std::string_view ewkb);

}  // namespace pgflow::sinks
