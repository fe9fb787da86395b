// What changed between two versions of a table's columns, as the DDL capture would have said it.
//
// For sources where the capture cannot be: the stream's Relation messages tell of columns that were
// added, dropped, renamed or changed, though not of defaults, keys or new tables. Pure.
#pragma once

#include <map>
#include <string>
#include <utility>

#include "schemas/table_schema.h"

namespace pgflow::sources {

// format_type() of a type and its modifier.
using TypeNames = std::map<std::pair<postgres::Oid, int32_t>, std::string>;

// A message for schemas::PlanDdl. Empty: the columns are the same. `types` has those of `after`.
std::string DescribeRelationChange(const schemas::TableSchema& before,
                                   const schemas::TableSchema& after, const TypeNames& types);

}  // namespace pgflow::sources
