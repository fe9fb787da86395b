// TargetTable: what the target's catalog says about one table. LoadTargetTables reads it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include <absl/status/statusor.h>

#include "postgres/client/connection.h"
#include "schemas/table_schema.h"
#include "sinks/postgres/target_cascades.h"

namespace pgflow::sinks {

struct TargetColumn {
  std::string name;
  postgres::Oid type = 0;
  std::string type_sql;  // format_type with its modifier.
  // Through domains down to the type that has bytes of its own; `type` itself when it is none.
  postgres::Oid base_type = 0;
  std::string base_type_name;         // Schema-qualified unless in pg_catalog.
  char base_kind = 'b';               // pg_type.typtype of it: 'b' base, 'e' enum, 'c' composite...
  std::string type_name;              // format_type(type, NULL).
  postgres::Oid base_array_type = 0;  // 0: there is no array of it.
  postgres::Oid base_element_type = 0;  // Not 0: it is an array itself.
  int32_t type_modifier = -1;
  int32_t base_modifier = -1;  // The same, or that of the domain that has one.
  bool not_null = false;
  bool has_default = false;  // Or it counts by itself (identity).
  bool generated = false;
  bool identity_always = false;
  bool deterministic = true;  // Its collation: equal values have equal bytes.
  // Of the type's ordinary indexes; qualified when it is not pg_catalog's, like citext's.
  std::string equals_operator = "=";

  // `sql`, which has this column's type, as one side of a comparison: the operators of enums,
  // ranges and composites are polymorphic, and do not take domains over them.
  std::string Compared(std::string sql) const;

  friend bool operator==(const TargetColumn&, const TargetColumn&) = default;
};

struct TargetIndex {
  std::vector<std::string> columns;
  bool primary = false;

  friend bool operator==(const TargetIndex&, const TargetIndex&) = default;
};

// Immutable and shared once it is read.
struct TargetTable {
  postgres::Oid oid = 0;
  schemas::TableName name;
  postgres::Oid row_type = 0;        // The composite type of its rows,
  postgres::Oid row_array_type = 0;  // and the array of it.
  char kind = 'r';                   // pg_class.relkind.
  std::vector<TargetColumn> columns;
  // Unique, valid, immediate, on plain columns only and of all rows.
  std::vector<TargetIndex> unique_indexes;
  bool fires_as_origin = false;   // Triggers (foreign keys too) of an ordinary session.
  bool fires_as_replica = false;  // Those of a replica session.
  // Triggers that somebody wrote, not those of foreign keys, or rules: they may look at what the
  // statement before has left, so that each row has to be a statement of its own.
  bool watched_as_origin = false;
  bool watched_as_replica = false;
  TargetCascades cascades;

  const TargetColumn* FindColumn(std::string_view column) const;
  // "ONLY " unless it is partitioned: a change of the source touches one table's own rows.
  std::string_view only() const { return kind == 'p' ? "" : "ONLY "; }

  friend bool operator==(const TargetTable&, const TargetTable&) = default;
};

using TargetTablePtr = std::shared_ptr<const TargetTable>;

using TargetTables = std::map<schemas::TableName, TargetTablePtr>;

// Those of `names` that are there, in a few round trips however many they are. The connection must
// not be in pipeline mode.
absl::StatusOr<TargetTables> LoadTargetTables(postgres::Connection& connection,
                                              std::span<const schemas::TableName> names,
                                              std::stop_token stop);

// The same for one table. Null: there is none of this name.
absl::StatusOr<TargetTablePtr> LoadTargetTable(postgres::Connection& connection,
                                               const schemas::TableName& name,
                                               std::stop_token stop);

}  // namespace pgflow::sinks
