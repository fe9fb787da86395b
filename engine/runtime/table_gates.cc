#include "engine/runtime/table_gates.h"

#include <algorithm>

#include "engine/runtime/table_ledger.h"

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
    const postgres::Oid oid = TableLedger::OidIn(table.snapshot);
    gates_[table.table] = {{table.snapshot_lsn, table.catch_up_until}, oid};
    if (oid != 0) names_[oid] = table.table;
    settled_ = std::max({settled_, table.snapshot_lsn, table.catch_up_until});
  }
}

const TableGates::Entry* TableGates::Find(const schemas::TableName& source_table,
                                          postgres::Oid oid) const {
  const auto of_name = gates_.find(source_table);
  const bool named = of_name != gates_.end();
  if (named && (of_name->second.oid == 0 || oid == 0 || of_name->second.oid == oid)) {
    return &of_name->second;
  }
  if (const Entry* copied = FindByOid(oid); copied != nullptr) return copied;
  // The name's table was dropped, and this one made in its stead, or the other way round.
  return named ? &of_name->second : nullptr;
}

const TableGates::Entry* TableGates::FindByOid(postgres::Oid oid) const {
  const auto name = names_.find(oid);
  if (name == names_.end()) return nullptr;
  // Another table may be copied under that name by now.
  const Entry& entry = gates_.at(name->second);
  return entry.oid == oid ? &entry : nullptr;
}

bool TableGates::IsTaken(const schemas::TableName& source_table, postgres::Oid oid,
                         postgres::Lsn commit_lsn) const {
  if (oid == 0) return false;
  const auto found = gates_.find(source_table);
  if (found == gates_.end() || found->second.oid == 0 || found->second.oid == oid) return false;
  return commit_lsn < found->second.gate.apply_from;
}

TableGates::Verdict TableGates::Judge(const schemas::TableName& source_table, postgres::Oid oid,
                                      postgres::Lsn commit_lsn) const {
  // A commit record that starts at the consistent point is behind the snapshot: strictly less is
  // in.
  if (open(commit_lsn)) return Verdict::kApply;
  const Entry* found = Find(source_table, oid);
  if (found == nullptr) return commit_lsn < snapshot_lsn_ ? Verdict::kSkip : Verdict::kApply;
  if (commit_lsn < found->gate.apply_from) return Verdict::kSkip;
  return commit_lsn < found->gate.catch_up_until ? Verdict::kCatchUp : Verdict::kApply;
}

void TableGates::Hold(const schemas::TableName& source_table) {
  if (!IsHeld(source_table)) ++held_;
  gates_[source_table] = {{kHeld, {}}};
}

void TableGates::Open(const schemas::TableName& source_table, Gate gate) {
  if (IsHeld(source_table)) --held_;
  watched_.erase(source_table);
  gates_[source_table] = {gate};
  settled_ = std::max({settled_, gate.apply_from, gate.catch_up_until});
}

TableGates::Gate TableGates::Of(const schemas::TableName& source_table) const {
  const auto found = gates_.find(source_table);
  return found == gates_.end() ? Gate() : found->second.gate;
}

bool TableGates::IsHeld(const schemas::TableName& source_table) const {
  const auto found = gates_.find(source_table);
  return found != gates_.end() && found->second.gate.apply_from == kHeld;
}

}  // namespace pgflow::engine
