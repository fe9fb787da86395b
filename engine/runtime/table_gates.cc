#include "engine/runtime/table_gates.h"

#include <algorithm>

namespace pgflow::engine {

TableGates::TableGates(const SinkCheckpoint& checkpoint) {
  for (const TableProgress& table : checkpoint.tables) {
    gates_[table.table] = {table.snapshot_lsn, table.catch_up_until};
    settled_ = std::max({settled_, table.snapshot_lsn, table.catch_up_until});
  }
}

TableGates::Verdict TableGates::Judge(const schemas::TableName& source_table,
                                      postgres::Lsn commit_lsn) const {
  // A commit record that starts at the consistent point is behind the snapshot: strictly less is
  // in.
  if (commit_lsn >= settled_) return Verdict::kApply;
  const auto gate = gates_.find(source_table);
  if (gate == gates_.end()) return Verdict::kApply;
  if (commit_lsn < gate->second.apply_from) return Verdict::kSkip;
  return commit_lsn < gate->second.catch_up_until ? Verdict::kCatchUp : Verdict::kApply;
}

}  // namespace pgflow::engine
