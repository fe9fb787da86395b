// TableBinding: how the rows of one source table (as events carry them) go into one target table.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "engine/api/change_event.h"
#include "schemas/table_schema.h"
#include "sinks/postgres/target_table.h"

namespace pgflow::sinks {

// How the row of an UPDATE or DELETE is found in the target.
enum class KeyKind : uint8_t {
  kUnique,    // By columns that a unique index of the target covers.
  kIdentity,  // By the source's identity, which no unique index of the target covers.
  kWholeRow,  // By the whole old row; one of several equal rows.
  kNone,      // Not at all: only INSERT and TRUNCATE can come.
};

struct ColumnBinding {
  const TargetColumn* target = nullptr;
  bool written = true;        // False for a generated column of the target.
  bool takes_binary = false;  // The source's binary form is the target's too.
  bool is_key = false;
  // GENERATED ALWAYS AS IDENTITY beside the key: no UPDATE can set it.
  bool renumbered = false;
  bool is_moved = false;  // A foreign key of the target may set it (TargetCascades).
};

// Immutable once it is made; shared by the apply session and the changes that it is for.
struct TableBinding {
  schemas::TableSchema schema;
  TargetTablePtr target;
  std::string sql_name;                // Quoted.
  std::vector<ColumnBinding> columns;  // As schema.columns.
  std::vector<uint32_t> key;           // Indices of the key columns.
  KeyKind key_kind = KeyKind::kNone;
  bool key_is_bytewise = false;  // Equal key values have equal bytes.
  bool has_identity_always = false;
  bool has_renumbered = false;
  bool fires_triggers = false;  // In our session.
  // What finds the row has columns that a foreign key of the target may set.
  bool is_movable = false;
  std::string narrower;     // Which column of the target rounds what the source has; or empty.
  bool is_watched = false;  // TargetTable::watched_as_..., in our session.
  // Equal for bindings of one session whose rows go into the same columns of the same table by the
  // same statements, as those of most versions of a table do. Given out once, so that it may name
  // a binding that is gone.
  uint64_t layout = 0;

  const std::string& column_name(size_t index) const { return schema.columns[index].name; }
};

using TableBindingPtr = std::shared_ptr<const TableBinding>;

// kFailedPrecondition when the target lacks a column.
absl::StatusOr<std::unique_ptr<TableBinding>> BindTable(const schemas::TableSchema& schema,
                                                        TargetTablePtr target, bool replica_role);

// "public.orders", and what is missing, for a target without that table.
absl::Status MissingTable(const schemas::TableName& table);
// kFailedPrecondition when a column of the target rounds what the source has.
absl::Status RefuseNarrowerColumn(const TableBinding& binding);
// A binary value came for a column whose type reads other bytes.
absl::Status WrongBinaryType(const TableBinding& binding, size_t column);

// True when the send format of the source's type is what the target's type receives.
bool TakesBinary(const schemas::Column& source, const TargetColumn& target);

// True when equal values of the column always have equal bytes in the send format.
bool IsBytewise(const TargetColumn& column);
// The same of values as the source sends them: the target may take several of those for one.
bool IsBytewise(const schemas::Column& source, const TargetColumn& column);

// Whether two bindings may have one layout.
bool HaveSameLayout(const TableBinding& a, const TableBinding& b);

// "public.orders, UPDATE of (id) = (7)": for messages. Values of other types than numbers and text
// show as hex.
std::string DescribeChange(const TableBinding& binding, const engine::ChangeEvent& event);

}  // namespace pgflow::sinks
