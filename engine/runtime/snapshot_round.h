// SnapshotRound: the workers of one snapshot session, and the queue that they share.
#pragma once

#include <deque>
#include <memory>
#include <set>
#include <stop_token>
#include <vector>

#include <absl/base/thread_annotations.h>

#include "base/mutex.h"
#include "engine/runtime/snapshot_runner.h"

namespace pgflow::engine {

// Used once. Everything given must outlive it, but for the session, which it lets go as soon as all
// that is to be read was read: keys may take hours to build, and the source removes no dead row
// while its snapshot is kept. Run blocks until the workers are done.
class SnapshotRound {
 public:
  SnapshotRound(SnapshotContext& context, std::shared_ptr<SnapshotSession> session,
                const SnapshotPlan& plan);

  // OK also when the session was lost or tables changed: see the accessors.
  absl::Status Run(std::stop_token stop);

  bool session_lost() const;
  std::set<schemas::TableName> changed() const;

 private:
  struct Task {
    enum class Kind { kRange, kNewerRows, kFinishTable };
    Kind kind = Kind::kRange;
    size_t table = 0;  // Index in the plan.
    BlockRange range;
    SnapshotLane::Mode mode = SnapshotLane::Mode::kFast;
    bool others_done = false;
    bool again = false;         // An earlier attempt failed, perhaps after it had committed.
    bool closes_table = false;  // The last range of its table, where somebody has to know.
    bool closes_all = false;    // And of all tables.
    bool opens_all = false;
  };
  // What one reads with, and what keeps it readable.
  struct Reading {
    std::shared_ptr<SnapshotSession> session;
    std::unique_ptr<RangeReader> reader;  // Last: it goes first.
  };

  void FillQueue();
  // Finds the ranges that are to be the first and the last.
  void MarkEnds() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // A reader that nobody uses, or a new one.
  absl::StatusOr<Reading> BeginReading(std::stop_token stop);
  void GiveBack(Reading reading);
  // Closes the readers and the session when nothing is left to read.
  void EndReading();
  void Work(std::stop_token stop);
  std::optional<Task> Next(std::stop_token stop);
  absl::Status Perform(const Task& task, std::unique_ptr<SnapshotLane>& lane, std::stop_token stop);
  absl::StatusOr<RangeOutcome> CopyRange(const Task& task, SnapshotLane& lane,
                                         std::stop_token stop);
  absl::Status WriteBatch(const Task& task, SnapshotLane& lane, Batch batch, std::stop_token stop);
  DeadLetterQueue::Range LetterRange(const Task& task) const;
  // Records the rows that the lane refused.
  absl::Status Bury(const Task& task, const WriteResult& result, Batch& batch);
  // All ranges of the table are in, and its keys. It is in the store a moment later, and when Run
  // returns.
  absl::Status MarkFinished(const PlannedTable& table);
  absl::Status WriteMarks() ABSL_EXCLUSIVE_LOCKS_REQUIRED(store_mutex_);
  absl::StatusOr<bool> IsRecorded(const Task& task);
  absl::Status Record(const Task& task);
  void OnDone(const Task& task);
  // Whether a task of that table may be given out.
  bool IsEligible(const Task& task) const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  void DropChanged() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ReleaseWaiting() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // What to do about a failed task; true: the worker goes on after `pause`.
  bool OnError(Task task, const absl::Status& error, absl::Duration pause, std::stop_token stop);

  SnapshotContext& context_;
  const postgres::Lsn consistent_point_;
  const uint64_t next_xid_;  // At the snapshot; 0: not known.
  const SnapshotPlan& plan_;
  std::stop_source abort_;  // Ends the other workers after a fatal error.

  base::Mutex store_mutex_;  // The store takes one thread at a time.
  std::vector<schemas::TableName> unmarked_ ABSL_GUARDED_BY(store_mutex_);  // Finished.
  absl::Time marked_at_ ABSL_GUARDED_BY(store_mutex_);
  mutable base::Mutex mutex_;
  std::deque<Task> queue_ ABSL_GUARDED_BY(mutex_);
  size_t in_flight_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t to_read_ ABSL_GUARDED_BY(mutex_) = 0;  // Tasks that read, queued or in flight.
  std::shared_ptr<SnapshotSession> session_ ABSL_GUARDED_BY(mutex_);  // Null: all was read.
  std::vector<std::unique_ptr<RangeReader>> readers_ ABSL_GUARDED_BY(mutex_);  // Nobody uses these.
  std::vector<size_t> remaining_ ABSL_GUARDED_BY(mutex_);  // Tasks a table, the finish not counted.
  std::set<size_t> changed_ ABSL_GUARDED_BY(mutex_);
  // Tables whose rows refer to rows of other tables (or of their own) that are not there yet. They
  // wait until another table is complete, or nothing else is left.
  std::set<size_t> waiting_ ABSL_GUARDED_BY(mutex_);
  uint64_t done_ ABSL_GUARDED_BY(mutex_) = 0;         // Tasks.
  uint64_t released_at_ ABSL_GUARDED_BY(mutex_) = 0;  // What done_ was when all waiting were tried.
  bool others_done_ ABSL_GUARDED_BY(mutex_) = false;  // It helped nobody: errors are final now.
  bool session_lost_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status error_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace pgflow::engine
