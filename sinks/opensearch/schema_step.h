// Which column of a table is which, and what a captured DDL command makes of an index's columns.
//
// A row's message has names without attribute numbers, and after a crash the source's catalog is
// that of today, while the rows that come again are of yesterday. So columns are known by the
// names that the index remembers, brought forward by each captured command. Pure.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include <absl/status/statusor.h>
#include <nlohmann/json.hpp>

#include "schemas/table_schema.h"
#include "sinks/opensearch/index_meta.h"
#include "sinks/opensearch/index_scan.h"

namespace pgflow::sinks {

// The columns of a table around one command. Both empty: none on columns.
struct ColumnsChange {
  std::map<int16_t, std::string> before;  // Names by attribute number.
  std::map<int16_t, std::string> after;
  std::map<int16_t, std::string> missing;  // What rows that are older than the column have in it.
  bool creates = false;                    // The table is a new one.
  bool drops = false;
};

// Of a captured message that is about a table.
ColumnsChange ReadColumnsChange(std::string_view ddl);

// Brings `meta` and `properties` through the change; what documents need for it. New columns and
// new types wait for the first row with them, which knows more of their types.
FieldEdits FollowColumns(const ColumnsChange& change, IndexMeta& meta, nlohmann::json& properties);
// The change begins where the index is: false for one that a copy of the table has seen.
bool BeginsAt(const ColumnsChange& change, const IndexMeta& meta);

// `schema` with the attribute number of each column. kFailedPrecondition: nobody knows which one
// of the index's columns has another name now.
absl::StatusOr<schemas::TableSchema> NumberColumns(const IndexMeta& meta,
                                                   const schemas::TableSchema& schema);

// The index's columns are those of `schema`, by name and type.
bool HasColumns(const IndexMeta& meta, const schemas::TableSchema& schema);

}  // namespace pgflow::sinks
