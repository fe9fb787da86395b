#include "engine/runtime/earlier_tables.h"

#include "base/status.h"
#include "engine/runtime/table_ledger.h"

namespace pgflow::engine {

absl::Status RefuseRenamed(const schemas::TableName& before, const schemas::TableName& now) {
  return base::MakeStatus(
      absl::StatusCode::kFailedPrecondition,
      "the copy cannot go on: table {0} was renamed to {1} before all of it was copied. Rename it "
      "back until the snapshot is complete; or run `pgflow destroy`, empty the target and start "
      "over",
      before.ToString(), now.ToString());
}

EarlierTables::EarlierTables(const SinkCheckpoint& checkpoint, std::span<const SnapshotTable> now) {
  for (const TableProgress& progress : checkpoint.tables) {
    by_name_[progress.table] = &progress;
    const postgres::Oid oid = TableLedger::OidIn(progress.snapshot);
    if (oid != 0) by_oid_[oid] = &progress;
  }
  for (const SnapshotTable& table : now) now_[table.schema->oid] = table.schema->table;
}

absl::StatusOr<EarlierTables::Found> EarlierTables::Of(const schemas::TableSchema& table) const {
  if (const auto own = by_oid_.find(table.oid); own != by_oid_.end()) {
    const TableProgress* progress = own->second;
    if (progress->table == table.table || progress->complete) return Found{progress};
    return RefuseRenamed(progress->table, table.table);
  }
  const auto named = by_name_.find(table.table);
  if (named == by_name_.end()) return Found();
  const TableProgress* progress = named->second;
  const postgres::Oid oid = TableLedger::OidIn(progress->snapshot);
  const auto owner = oid == 0 ? now_.end() : now_.find(oid);
  if (owner == now_.end()) return Found{progress};  // It is gone, or not known.
  if (!progress->complete) return RefuseRenamed(progress->table, owner->second);
  return Found{.progress = progress, .streamed = true};
}

}  // namespace pgflow::engine
