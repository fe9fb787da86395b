// BatchBuilder: makes batches of a sink's slices, in order.
#pragma once

#include <set>
#include <span>
#include <vector>

#include "engine/api/batch.h"
#include "engine/runtime/stream_log.h"
#include "engine/runtime/table_gates.h"

namespace pgflow::engine {

// Used by one lane. Slices must come in the order of the log, a transaction's parts without a gap.
class BatchBuilder {
 public:
  // Transactions up to `checkpoint` were made durable before and give no events.
  void Start(StreamPoint checkpoint, TableGates gates);
  // Only the changes of these tables give events. It must outlive the builder.
  void Restrict(const std::set<schemas::TableName>* tables) { only_ = tables; }

  absl::StatusOr<Batch> Build(const Slice& slice);

  // Of what is built from now on. A held table's changes give no events.
  void Hold(const schemas::TableName& table) { gates_.Hold(table); }
  // Its changes come as before, until another table has its rows (TableGates::Watch).
  void Watch(const schemas::TableName& table) { gates_.Watch(table); }
  void Open(const schemas::TableName& table, TableGates::Gate gate) { gates_.Open(table, gate); }
  TableGates::Gate gate(const schemas::TableName& table) const { return gates_.Of(table); }
  // Held or watched tables that were given another name since the last call: that one is held now,
  // too.
  std::vector<schemas::TableName> TakeRenamed() { return std::exchange(renamed_, {}); }

  // Single changes that went to the dead letter and are not delivered again.
  void Skip(const Position& position) { skipped_.insert(position); }

  // The gates are behind us: the sink stands at a commit of the source.
  bool settled(postgres::Lsn commit_lsn) const { return commit_lsn >= gates_.settled(); }

 private:
  ChangeEvent ToEvent(const Chunk& chunk, const EventRecord& record) const;
  // What becomes of the change; what a held table is renamed to is held as well.
  absl::StatusOr<TableGates::Verdict> Judge(const Chunk& chunk, const EventRecord& record,
                                            postgres::Lsn commit_lsn);

  StreamPoint checkpoint_;
  TableGates gates_;
  const std::set<schemas::TableName>* only_ = nullptr;
  std::vector<schemas::TableName> renamed_;
  uint64_t next_ordinal_ = 0;  // In the transaction that the last slice ended in.
  std::set<Position> skipped_;
};

}  // namespace pgflow::engine
