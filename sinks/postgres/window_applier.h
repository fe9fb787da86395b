// WindowApplier: turns a window of waiting changes into one target transaction.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <stop_token>

#include <absl/status/status.h>
#include <absl/time/time.h>

#include "engine/api/sink.h"
#include "sinks/postgres/apply_session.h"
#include "sinks/postgres/bulk_writer.h"
#include "sinks/postgres/checkpoint_statements.h"
#include "sinks/postgres/flush_tracker.h"
#include "sinks/postgres/row_writer.h"
#include "sinks/postgres/sink_config.h"
#include "sinks/postgres/skipped_rows.h"
#include "sinks/postgres/window_changes.h"

namespace pgflow::sinks {

// One thread. After an error the session's transaction is rolled back or broken: throw it away.
// A status names the change at fault (engine::kCulpritPayload) when one is.
class WindowApplier {
 public:
  WindowApplier(TargetSession session, const PostgresSinkConfig& config,
                std::shared_ptr<const CheckpointStatements> checkpoint);

  absl::Status Apply(const engine::Window& window, std::stop_token stop);
  FlushTracker& flushes() { return flushes_; }
  // Before the first window: see LeftOutTables.
  absl::Status ReadLeftOut(std::stop_token stop);
  // Tells what of the last window was passed over by an option; how many changes.
  uint64_t TellSkipped() { return skipped_.Tell(checkpoint_->sink()); }
  bool awaited() const { return awaited_; }  // The last window was.
  // Asks the target how far it has flushed. `force`: makes it flush now.
  absl::Status PollFlush(bool force, std::stop_token stop);

 private:
  using Change = WindowChanges::Change;
  using Changes = std::span<const Change>;
  struct Commit {
    engine::StreamPoint point;
    absl::Time time;
  };

  static absl::Time CommitTime(const engine::Window& window);
  // Bindings behind a schema change are not known before it is made.
  static absl::StatusOr<bool> HasSchemaChange(const engine::Window& window);
  absl::Status Collect(const engine::Window& window, std::stop_token stop);
  // In bulk or row by row, and the commit when there is one.
  absl::Status ApplyChanges(Changes changes, const Commit* commit, std::stop_token stop);
  absl::Status ApplyKept(const engine::Window& window, std::stop_token stop);
  absl::Status ApplyMerged(const engine::Window& window, std::stop_token stop);
  // With schema changes: a transaction that has one is a transaction of its own here too.
  absl::Status ApplyWithDdl(const engine::Window& window, std::stop_token stop);
  absl::Status ChangeSchema(const engine::Batch& batch, const engine::ChangeEvent& event,
                            std::stop_token stop);

  // Row by row, in order, and the commit when there is one.
  absl::Status ApplyRows(Changes changes, const Commit* commit, std::stop_token stop);
  absl::Status QueueRows(ApplyPipeline& pipeline, Changes changes, size_t& at);
  // The truncates of one statement; how many they are.
  absl::StatusOr<size_t> QueueTruncate(ApplyPipeline& pipeline, Changes changes, size_t at);
  absl::Status QueueBegin(ApplyPipeline& pipeline);
  absl::Status QueueCommit(ApplyPipeline& pipeline, const Commit& commit);
  absl::Status FinishCommit(ApplyPipeline& pipeline, const Commit& commit);

  // In bulk. False: it was rolled back to where it began, and must go row by row.
  absl::StatusOr<bool> ApplyBulk(Changes changes, std::stop_token stop);
  absl::StatusOr<bool> WriteBulk(ApplyPipeline& pipeline, Changes changes, std::stop_token stop);
  // Between two TRUNCATEs, at most kSegmentEvents.
  absl::StatusOr<bool> WriteSegment(ApplyPipeline& pipeline, Changes changes, std::stop_token stop);
  absl::StatusOr<bool> WriteByTable(ApplyPipeline& pipeline, Changes changes, std::stop_token stop);
  // Runs of one table and operation in bulk, the rest row by row; keeps the order.
  absl::StatusOr<bool> WriteRuns(ApplyPipeline& pipeline, Changes changes, std::stop_token stop);
  absl::StatusOr<bool> WriteRun(ApplyPipeline& pipeline, Changes run, std::stop_token stop);
  absl::StatusOr<bool> Settle(ApplyPipeline& pipeline);

  // What was passed over. Of statements that stay.
  void NoteDeviations(const ApplyPipeline& pipeline, Changes changes);
  absl::Status Failed(const StatementFailure& failure, Changes changes, std::stop_token stop);
  absl::Status Blame(const absl::Status& status, const Change& change) const;

  ApplySession session_;
  const PostgresSinkConfig& config_;
  const std::shared_ptr<const CheckpointStatements> checkpoint_;
  const bool check_counts_;
  RowWriter rows_;
  BulkWriter bulk_;
  FlushTracker flushes_;
  bool in_transaction_ = false;
  bool in_savepoint_ = false;
  bool schema_changed_ = false;  // In the open transaction.
  bool awaited_ = false;         // The window at hand is.
  engine::StreamPoint committed_;
  WindowChanges changes_;  // Of the window at hand.
  CheckpointStatements::Advance advance_;
  SkippedRows skipped_;  // Of the window at hand.
};

}  // namespace pgflow::sinks
