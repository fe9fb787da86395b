// Questions to the target's catalog about some tables, of which one at a time is asked often.
#pragma once

#include <span>
#include <stop_token>

#include <absl/status/statusor.h>

#include "postgres/client/connection.h"

namespace pgflow::sinks {

// `sql` with "{0}" wherever an oid is compared with those of `tables`, of which there is one at
// least. Asked about a single table the server keeps its plan: planning costs more than the answer.
absl::StatusOr<postgres::Result> QueryTables(postgres::Connection& connection, const char* sql,
                                             std::span<const postgres::Oid> tables,
                                             std::stop_token stop);

}  // namespace pgflow::sinks
