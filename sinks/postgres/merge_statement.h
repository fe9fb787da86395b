// MergeSql: the rows of a resumed table from their stage into the table. Pure.
#pragma once

#include <string>

#include <absl/status/statusor.h>

#include "sinks/postgres/table_binding.h"

namespace pgflow::sinks {

// Statements that give each row of `stage` its place in the target: over the row with the same
// primary key (the source's, whatever the replica identity), or beside the others. A row that is
// there stays, so that neither a foreign key's ON DELETE nor a trigger of DELETE sees it go, and
// columns that only the target has keep their values. `stage` has the columns that are written.
// kFailedPrecondition: the rows have no primary key.
absl::StatusOr<std::string> MergeSql(const TableBinding& binding, const std::string& stage);

}  // namespace pgflow::sinks
