#include "sinks/postgres/tables_query.h"

#include <array>
#include <string>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace pgflow::sinks {

using postgres::Parameter;

absl::StatusOr<postgres::Result> QueryTables(postgres::Connection& connection, const char* sql,
                                             std::span<const postgres::Oid> tables,
                                             std::stop_token stop) {
  // An array would not do for one, too: the server plans for ten elements, finds that this is worse
  // than a plan for one, and plans each time.
  if (tables.size() == 1) {
    return connection.ExecuteKept(fmt::format(fmt::runtime(sql), "= $1::oid"),
                                  std::array{Parameter::Text(std::to_string(tables.front()))},
                                  std::move(stop));
  }
  return connection.ExecuteParams(
      fmt::format(fmt::runtime(sql), "= ANY ($1::oid[])"),
      std::array{Parameter::Text(fmt::format("{{{}}}", fmt::join(tables, ",")))}, std::move(stop));
}

}  // namespace pgflow::sinks
