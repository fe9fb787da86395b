// TableLedger: what a table's progress keeps of the table that was copied
// (TableProgress::snapshot).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "postgres/types/oid.h"

namespace pgflow::engine {

// Value type.
struct TableLedger {
  // At the source, where it stays while the name may change. 0: an earlier version wrote it.
  postgres::Oid oid = 0;
  // SnapshotTable::storage, so that a rewritten table is not taken for the old one.
  uint64_t storage = 0;
  std::string snapshot;  // pg_current_snapshot().

  std::string ToText() const;
  // Nothing: the text is of a table that joined a stream, or is held.
  static std::optional<TableLedger> Parse(std::string_view text);
  static postgres::Oid OidIn(std::string_view text);
};

}  // namespace pgflow::engine
