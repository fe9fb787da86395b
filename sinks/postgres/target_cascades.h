// TargetCascades: what foreign keys of the target do to a table's rows when rows of others change.
#pragma once

#include <map>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include <absl/status/statusor.h>

#include "postgres/client/connection.h"

namespace pgflow::sinks {

// Of keys that have an action (CASCADE, SET NULL, SET DEFAULT) which fires in the session that read
// them.
struct TargetCascades {
  // Tables whose DELETE deletes rows here as well, directly or through others.
  std::vector<postgres::Oid> deleted_with;
  // Tables whose DELETE or UPDATE sets columns here.
  std::vector<postgres::Oid> moved_with;
  std::vector<std::string> moved_columns;

  friend bool operator==(const TargetCascades&, const TargetCascades&) = default;
};

using CascadesByTable = std::map<postgres::Oid, TargetCascades>;

// Of those tables that have any, in two round trips at most. Not in pipeline mode.
absl::StatusOr<CascadesByTable> LoadCascades(postgres::Connection& connection,
                                             std::span<const postgres::Oid> tables,
                                             std::stop_token stop);

}  // namespace pgflow::sinks
