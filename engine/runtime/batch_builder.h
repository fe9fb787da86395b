// BatchBuilder: makes batches of a sink's slices, in order.
#pragma once

#include <set>
#include <span>

#include "engine/api/batch.h"
#include "engine/runtime/stream_log.h"
#include "engine/runtime/table_gates.h"

namespace pgflow::engine {

// Used by one lane. Slices must come in the order of the log, a transaction's parts without a gap.
class BatchBuilder {
 public:
  // Transactions up to `checkpoint` were made durable before and give no events.
  void Start(StreamPoint checkpoint, TableGates gates);

  Batch Build(const Slice& slice);

  // Single changes that went to the dead letter and are not delivered again.
  void Skip(const Position& position) { skipped_.insert(position); }

  // The gates are behind us: the sink stands at a commit of the source.
  bool settled(postgres::Lsn commit_lsn) const { return commit_lsn >= gates_.settled(); }

 private:
  ChangeEvent ToEvent(const Chunk& chunk, const EventRecord& record) const;

  StreamPoint checkpoint_;
  TableGates gates_;
  uint64_t next_ordinal_ = 0;  // In the transaction that the last slice ended in.
  std::set<Position> skipped_;
};

}  // namespace pgflow::engine
