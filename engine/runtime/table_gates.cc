#include "engine/runtime/table_gates.h"

#include <algorithm>

namespace pgflow::engine {
namespace {

constexpr postgres::Lsn kHeld(UINT64_MAX);

}  // namespace

TableGates::TableGates(const SinkCheckpoint& checkpoint, bool beside)
    : snapshot_lsn_(checkpoint.snapshot_lsn), settled_(checkpoint.snapshot_lsn) {
  for (const TableProgress& table : checkpoint.tables) {
    if (beside && table.held_again()) {
      Watch(table.table);
      continue;
    }
    if (table.held()) {
      Hold(table.table);
      continue;
    }
    gates_[table.table] = {table.snapshot_lsn, table.catch_up_until};
    settled_ = std::max({settled_, table.snapshot_lsn, table.catch_up_until});
  }
}

TableGates::Verdict TableGates::Judge(const schemas::TableName& source_table,
                                      postgres::Lsn commit_lsn) const {
  // A commit record that starts at the consistent point is behind the snapshot: strictly less is
  // in.
  if (open(commit_lsn)) return Verdict::kApply;
  const auto gate = gates_.find(source_table);
  if (gate == gates_.end()) {
    return commit_lsn < snapshot_lsn_ ? Verdict::kSkip : Verdict::kApply;
  }
  if (commit_lsn < gate->second.apply_from) return Verdict::kSkip;
  return commit_lsn < gate->second.catch_up_until ? Verdict::kCatchUp : Verdict::kApply;
}

void TableGates::Hold(const schemas::TableName& source_table) {
  if (!IsHeld(source_table)) ++held_;
  gates_[source_table] = {kHeld, {}};
}

void TableGates::Open(const schemas::TableName& source_table, Gate gate) {
  if (IsHeld(source_table)) --held_;
  watched_.erase(source_table);
  gates_[source_table] = gate;
  settled_ = std::max({settled_, gate.apply_from, gate.catch_up_until});
}

TableGates::Gate TableGates::Of(const schemas::TableName& source_table) const {
  const auto gate = gates_.find(source_table);
  return gate == gates_.end() ? Gate() : gate->second;
}

bool TableGates::IsHeld(const schemas::TableName& source_table) const {
  const auto gate = gates_.find(source_table);
  return gate != gates_.end() && gate->second.apply_from == kHeld;
}

}  // namespace pgflow::engine
