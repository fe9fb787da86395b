// JoiningTables: the tables of one sink that join its running stream.
//
// A table that is to join is held first: the lane leaves its changes out, and the checkpoint says
// so. Then a second lane of the same sink (TableJoin) copies it under a snapshot of its own and
// follows the stream, while the first lane goes on with all others. When both stand at about the
// same place, the first lane waits for the second at the end of a window and takes the table over,
// from that commit on (docs/adr/0007). A crash at any moment leaves either a held table, with a
// second lane that can go on, or one that was taken over.
//
// A sink that copies_beside goes on taking the changes of a table that is copied again: its table
// is held in the checkpoint, but its changes are not left out (docs/adr/0026).
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include <absl/base/thread_annotations.h>
#include <absl/status/status.h>

#include "base/mutex.h"
#include "engine/api/pipeline_status.h"
#include "engine/runtime/batch_builder.h"
#include "engine/runtime/lane_context.h"
#include "engine/runtime/table_gates.h"

namespace pgflow::engine {

class TableJoin;

// Owned by a lane. Hold, Join, asked, frontier and status may be called by any thread, the others
// by the lane's.
class JoiningTables {
 public:
  // Both must outlive it.
  JoiningTables(const LaneContext& context, const SinkNode& node);
  ~JoiningTables();

  void Hold(const std::vector<schemas::TableName>& tables, bool again);
  void Join(postgres::Lsn published);
  // What was asked for is not durable yet.
  bool asked() const { return asked_.load(); }
  // Some table is held, or about to be; or the checkpoint has not been looked at yet.
  bool busy() const { return busy_.load(); }
  // Everything before it is durable for the tables that are being brought in; the maximum without
  // such.
  postgres::Lsn frontier() const;
  std::optional<SinkStatus> status(const SourceView& source) const;

  // The held tables of a checkpoint; what is in the log from `start` on is kept for them.
  void Restore(const SinkCheckpoint& checkpoint, postgres::Lsn start);
  // A held table got this name.
  absl::Status HoldRenamed(CheckpointStore& store, const std::vector<schemas::TableName>& tables);
  // What the sink has of these has to be copied again, though nobody asked for it. False: it cannot
  // be, or was in vain.
  bool CopyAgain(const std::set<schemas::TableName>& tables);
  // Between two windows of the lane, which has come to `position`, durably to `frontier`.
  // `caught_up`: what the sink shows is not newer than that.
  absl::Status Step(CheckpointStore& store, BatchBuilder& builder, StreamPoint position,
                    postgres::Lsn frontier, bool caught_up, std::stop_token stop);
  // Some table is on its way in, or about to be.
  bool active() const { return asked() || (!held_.empty() && !failed_); }
  // Ends the second lane where it is; it goes on with the next run.
  void Stop();

 private:
  absl::Status StepHeld(CheckpointStore& store, BatchBuilder& builder, StreamPoint position,
                        postgres::Lsn frontier, bool caught_up, std::stop_token stop);
  absl::Status TakeRequests(CheckpointStore& store, BatchBuilder& builder, std::stop_token stop);
  absl::Status TakeOver(CheckpointStore& store, BatchBuilder& builder, StreamPoint position,
                        std::stop_token stop);
  void Make(postgres::Lsn start);
  // Gives what the checkpoint has to say of them.
  absl::Status Take(CheckpointStore& store, BatchBuilder& builder,
                    const std::map<schemas::TableName, TableGates::Gate>& gates);
  absl::Status ShowSink(CheckpointStore& store, std::stop_token stop);
  // The second lane ended with an error.
  void OnEnded(const absl::Status& error);
  void Fail(const absl::Status& error);
  void Reset();
  std::string Names() const;

  const LaneContext& context_;
  const SinkNode& node_;
  std::atomic<bool> asked_{false};
  std::atomic<bool> busy_{true};

  mutable base::Mutex mutex_;
  std::map<schemas::TableName, bool> requests_ ABSL_GUARDED_BY(mutex_);  // Again?
  std::optional<postgres::Lsn> published_ ABSL_GUARDED_BY(mutex_);       // Of all that are held.
  bool awaits_published_ ABSL_GUARDED_BY(mutex_) = false;                // Somebody will say it.
  bool try_again_ ABSL_GUARDED_BY(mutex_) = false;
  std::unique_ptr<TableJoin> join_ ABSL_GUARDED_BY(mutex_);  // Changed by the lane's thread only.

  // Of the lane's thread.
  std::map<schemas::TableName, bool> held_;
  std::map<schemas::TableName, int> copies_;  // That nobody asked for.
  bool failed_ = false;
  bool restored_ = false;  // Of a checkpoint, once: later second lanes begin anew.
};

}  // namespace pgflow::engine
