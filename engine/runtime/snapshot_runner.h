// SnapshotRunner: copies the tables of one sink, in parallel, under one consistent snapshot.
//
// Ranges come from one shared queue, largest table first, so that no worker idles while another has
// a long tail. A table that was rewritten meanwhile is redone whole at a later snapshot; one that
// an earlier process left half-way is resumed inside (design: resuming a snapshot inside a table).
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <span>
#include <stop_token>
#include <vector>

#include "engine/api/change_tap.h"
#include "engine/api/sink.h"
#include "engine/api/snapshot.h"
#include "engine/api/transformer.h"
#include "engine/runtime/backoff.h"
#include "engine/runtime/dead_letter_queue.h"
#include "engine/runtime/sink_statistics.h"
#include "engine/runtime/snapshot_plan.h"

namespace pgflow::engine {

// Gives a session whose consistent point is behind `newer_than`; sinks that start together share
// one. Thread-safe.
using SessionOpener = std::function<absl::StatusOr<std::shared_ptr<SnapshotSession>>(
    postgres::Lsn newer_than, std::stop_token stop)>;

struct SnapshotContext {
  Sink& sink;
  CheckpointStore& store;
  SinkContext names;
  std::span<const std::unique_ptr<Transformer>> transformers;
  SessionOpener open_session;
  SinkStatistics& statistics;
  DeadLetterQueue* dead_letter = nullptr;  // Null: a refused row stops the pipeline.
  RetryOptions retry;
  TablePredicate wanted;
  postgres::Lsn newer_than;  // The first snapshot must be behind it.
  int workers = 4;
  ChangeTap* tap = nullptr;  // Null: nobody can watch.
};

// Used once, by the sink's lane. Everything in the context must outlive it.
class SnapshotRunner {
 public:
  explicit SnapshotRunner(SnapshotContext context)
      : context_(std::move(context)), last_point_(context_.newer_than) {}

  // Copies what `checkpoint` does not have yet. OK: every table is complete and the store says so.
  absl::Status Run(const SinkCheckpoint& checkpoint, std::stop_token stop);

 private:
  // One session's worth; true: nothing is left to copy.
  absl::StatusOr<bool> RunRound(const SinkCheckpoint& checkpoint, std::stop_token stop);
  absl::StatusOr<SnapshotPlan> Plan(const SnapshotSession& session,
                                    const SinkCheckpoint& checkpoint, std::stop_token stop);
  absl::Status Prepare(const SinkCheckpoint& checkpoint, const SnapshotPlan& plan,
                       std::stop_token stop);
  absl::Status Reset(const SnapshotPlan& plan, std::stop_token stop);

  SnapshotContext context_;
  std::set<schemas::TableName> changed_;  // Rewritten during the last round,
  postgres::Lsn last_point_;              // which had this consistent point (or was none yet).
};

}  // namespace pgflow::engine
