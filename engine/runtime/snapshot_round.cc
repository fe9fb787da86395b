#include "engine/runtime/snapshot_round.h"

#include <algorithm>
#include <charconv>
#include <thread>
#include <utility>

#include <absl/time/clock.h>

#include "base/log.h"
#include "base/pause.h"
#include "base/status.h"

namespace pgflow::engine {
namespace {

// Finished tables are marked in the store so many, and so often, at a time.
constexpr size_t kMarksAtOnce = 200;
constexpr absl::Duration kMarkPause = absl::Milliseconds(200);

// "xmin:xmax:xip,..."
uint64_t NextXid(std::string_view snapshot) {
  const size_t colon = snapshot.find(':');
  if (colon == std::string_view::npos) return 0;
  uint64_t xid = 0;
  std::from_chars(snapshot.data() + colon + 1, snapshot.data() + snapshot.size(), xid);
  return xid;
}

}  // namespace

SnapshotRound::SnapshotRound(SnapshotContext& context, std::shared_ptr<SnapshotSession> session,
                             const SnapshotPlan& plan)
    : context_(context),
      consistent_point_(session->consistent_point()),
      next_xid_(NextXid(session->snapshot())),
      plan_(plan),
      session_(std::move(session)) {
  FillQueue();
}

void SnapshotRound::FillQueue() {
  base::MutexLock lock(&mutex_);
  remaining_.resize(plan_.tables.size());
  for (size_t i = 0; i < plan_.tables.size(); ++i) {
    const PlannedTable& table = plan_.tables[i];
    if (table.start == PlannedTable::Start::kComplete) continue;
    for (const BlockRange& range : table.ranges) queue_.push_back({Task::Kind::kRange, i, range});
    remaining_[i] = table.ranges.size();
    if (table.start == PlannedTable::Start::kResume) {
      for (const BlockRange& range : table.progress.finished) {
        queue_.push_back({Task::Kind::kNewerRows, i, range});
      }
      remaining_[i] += table.progress.finished.size();
    }
    to_read_ += remaining_[i];
    if (remaining_[i] == 0) queue_.push_back({Task::Kind::kFinishTable, i, {}});
  }
  if (context_.sink.marks_snapshot_ends()) MarkEnds();
}

// An empty table has no row that could be marked, and the smallest table is the last.
void SnapshotRound::MarkEnds() {
  Task* first = nullptr;
  Task* last = nullptr;
  std::set<size_t> closed;
  for (auto task = queue_.rbegin(); task != queue_.rend(); ++task) {
    if (task->kind != Task::Kind::kRange) continue;
    task->closes_table = closed.insert(task->table).second;
    const bool has_rows = plan_.tables[task->table].bytes > 0;
    if (last == nullptr && has_rows) last = &*task;
    if (has_rows) first = &*task;
  }
  if (first == nullptr) return;
  first->opens_all = true;
  last->closes_all = true;
}

absl::Status SnapshotRound::Run(std::stop_token stop) {
  std::stop_callback forward(stop, [this] { abort_.request_stop(); });
  EndReading();
  {
    std::vector<std::jthread> workers;
    size_t tasks = 0;
    {
      base::MutexLock lock(&mutex_);
      tasks = queue_.size();
    }
    const size_t count = std::min(tasks, static_cast<size_t>(std::max(1, context_.workers)));
    for (size_t i = 0; i < count; ++i) workers.emplace_back([this] { Work(abort_.get_token()); });
  }
  {
    base::MutexLock lock(&mutex_);
    if (!error_.ok()) return error_;
  }
  if (stop.stop_requested()) return absl::CancelledError("stopped");
  base::MutexLock lock(&store_mutex_);
  return WriteMarks();
}

bool SnapshotRound::session_lost() const {
  base::MutexLock lock(&mutex_);
  return session_lost_;
}

std::set<schemas::TableName> SnapshotRound::changed() const {
  base::MutexLock lock(&mutex_);
  std::set<schemas::TableName> names;
  for (size_t table : changed_) names.insert(plan_.tables[table].plan.source_table);
  return names;
}

bool SnapshotRound::IsEligible(const Task& task) const {
  if (waiting_.contains(task.table)) return false;
  if (task.closes_all) return to_read_ == 1;
  return !task.closes_table || remaining_[task.table] == 1;
}

void SnapshotRound::ReleaseWaiting() {
  others_done_ = others_done_ || done_ == released_at_;
  released_at_ = done_;
  waiting_.clear();
}

void SnapshotRound::DropChanged() {
  if (changed_.empty()) return;
  std::erase_if(queue_, [this](const Task& task) {
    mutex_.AssertHeld();
    if (!changed_.contains(task.table)) return false;
    if (task.kind != Task::Kind::kFinishTable) --to_read_;
    return true;
  });
}

absl::StatusOr<SnapshotRound::Reading> SnapshotRound::BeginReading(std::stop_token stop) {
  Reading reading;
  {
    base::MutexLock lock(&mutex_);
    reading.session = session_;
    if (!readers_.empty()) {
      reading.reader = std::move(readers_.back());
      readers_.pop_back();
      return reading;
    }
  }
  PGFLOW_ASSIGN_OR_RETURN(reading.reader, reading.session->OpenReader(std::move(stop)));
  return reading;
}

void SnapshotRound::GiveBack(Reading reading) {
  base::MutexLock lock(&mutex_);
  readers_.push_back(std::move(reading.reader));
}

void SnapshotRound::EndReading() {
  std::shared_ptr<SnapshotSession> session;  // Goes after its readers, and without the lock.
  std::vector<std::unique_ptr<RangeReader>> readers;
  base::MutexLock lock(&mutex_);
  DropChanged();
  if (to_read_ > 0) return;
  readers.swap(readers_);
  session.swap(session_);
}

std::optional<SnapshotRound::Task> SnapshotRound::Next(std::stop_token stop) {
  base::MutexLock lock(&mutex_);
  while (!stop.stop_requested() && !session_lost_) {
    DropChanged();
    if (in_flight_ == 0 && std::ranges::none_of(queue_, [this](const Task& task) {
          mutex_.AssertReaderHeld();
          return IsEligible(task);
        })) {
      ReleaseWaiting();
    }
    for (auto task = queue_.begin(); task != queue_.end(); ++task) {
      if (!IsEligible(*task)) continue;
      Task taken = *task;
      taken.others_done = others_done_;
      queue_.erase(task);
      ++in_flight_;
      return taken;
    }
    // A task of another worker may still come back to the queue.
    if (in_flight_ == 0) return std::nullopt;
    const auto changed = [this] {
      mutex_.AssertReaderHeld();
      return in_flight_ == 0 || session_lost_ ||
             std::ranges::any_of(queue_, [this](const Task& task) {
               mutex_.AssertReaderHeld();
               return IsEligible(task);
             });
    };
    mutex_.AwaitWithTimeout(base::Condition(&changed), absl::Milliseconds(200));
  }
  return std::nullopt;
}

void SnapshotRound::Work(std::stop_token stop) {
  std::unique_ptr<SnapshotLane> lane;
  Backoff backoff(context_.retry);
  while (std::optional<Task> task = Next(stop)) {
    const absl::Status status = Perform(*task, lane, stop);
    if (status.ok()) {
      backoff.Reset();
      OnDone(*task);
      EndReading();
      continue;
    }
    lane = nullptr;
    if (!OnError(*task, status, backoff.Next(), stop)) return;
  }
}

absl::Status SnapshotRound::Perform(const Task& task, std::unique_ptr<SnapshotLane>& lane,
                                    std::stop_token stop) {
  const PlannedTable& table = plan_.tables[task.table];
  if (lane == nullptr) {
    PGFLOW_ASSIGN_OR_RETURN(lane, context_.sink.OpenLane(stop));
  }
  if (task.kind == Task::Kind::kFinishTable) {
    PGFLOW_RETURN_IF_ERROR(lane->FinishTable(table.plan, stop));
    for (const TablePlan& route : table.routes) {
      PGFLOW_RETURN_IF_ERROR(lane->FinishTable(route, stop));
    }
    return MarkFinished(table);
  }
  PGFLOW_RETURN_IF_ERROR(
      lane->BeginRange(table.plan, task.range,
                       {.upsert = table.start == PlannedTable::Start::kResume,
                        .record = task.kind == Task::Kind::kRange,
                        .mode = task.mode,
                        .others_done = task.others_done,
                        .first = task.opens_all,
                        .last = task.closes_all,
                        .first_of_table = task.kind == Task::Kind::kRange && task.range.first == 0,
                        .last_of_table = task.closes_table}));
  if (task.again) {
    // Behind BeginRange: now the earlier attempt has committed, or never will.
    PGFLOW_ASSIGN_OR_RETURN(const bool recorded, IsRecorded(task));
    if (recorded) {
      lane = nullptr;  // It is inside the range's transaction.
      return absl::OkStatus();
    }
  }
  PGFLOW_ASSIGN_OR_RETURN(const RangeOutcome outcome, CopyRange(task, *lane, stop));
  if (outcome == RangeOutcome::kDone) return absl::OkStatus();
  base::LogWarning(
      "table {} was rewritten, truncated, dropped or got other columns during the snapshot: it is "
      "copied again at a later point",
      table.plan.source_table.ToString());
  lane = nullptr;  // It is inside the range's transaction.
  base::MutexLock lock(&mutex_);
  changed_.insert(task.table);
  return absl::OkStatus();
}

// A mark that a crash takes away costs copying a small table once more; a commit for each of many
// small tables costs more than their rows.
absl::Status SnapshotRound::MarkFinished(const PlannedTable& table) {
  const bool small = table.ranges.size() + table.progress.finished.size() <= 1;
  bool last = false;
  {
    base::MutexLock lock(&mutex_);
    last = queue_.empty() && in_flight_ == 1;
  }
  base::MutexLock lock(&store_mutex_);
  unmarked_.push_back(table.plan.source_table);
  const bool wait =
      small && !last && unmarked_.size() < kMarksAtOnce && marked_at_ + kMarkPause > absl::Now();
  return wait ? absl::OkStatus() : WriteMarks();
}

absl::Status SnapshotRound::WriteMarks() {
  if (unmarked_.empty()) return absl::OkStatus();
  PGFLOW_RETURN_IF_ERROR(context_.store.FinishTables(unmarked_));
  unmarked_.clear();
  marked_at_ = absl::Now();
  return absl::OkStatus();
}

absl::StatusOr<RangeOutcome> SnapshotRound::CopyRange(const Task& task, SnapshotLane& lane,
                                                      std::stop_token stop) {
  const PlannedTable& table = plan_.tables[task.table];
  PGFLOW_ASSIGN_OR_RETURN(Reading reading, BeginReading(stop));
  RangeRequest request{table.source, task.range, {}};
  if (task.kind == Task::Kind::kNewerRows) request.only_newer_than = table.older_snapshot;
  if (context_.dead_letter != nullptr) {
    PGFLOW_RETURN_IF_ERROR(context_.dead_letter->BeginRange(LetterRange(task)));
  }
  uint64_t rows = 0;
  uint64_t bytes = 0;
  const auto consume = [&](Batch batch) {
    batch.set_snapshot_lsn(consistent_point_);
    batch.set_snapshot_xid(next_xid_);
    rows += batch.row_count();
    bytes += batch.byte_count();
    context_.statistics.AddRows(task.table, batch.row_count(), batch.byte_count());
    return WriteBatch(task, lane, std::move(batch), stop);
  };
  absl::StatusOr<RangeOutcome> outcome = reading.reader->Read(request, consume, stop);
  absl::Status status = outcome.status();
  if (status.ok()) GiveBack(std::move(reading));
  if (status.ok() && *outcome == RangeOutcome::kDone) {
    status = lane.FinishRange(stop);
    if (status.ok()) status = Record(task);
  }
  if (!status.ok() || *outcome != RangeOutcome::kDone) {
    context_.statistics.TakeRowsBack(task.table, rows, bytes);
  }
  if (!status.ok()) return status;
  return outcome;
}

absl::Status SnapshotRound::WriteBatch(const Task& task, SnapshotLane& lane, Batch batch,
                                       std::stop_token stop) {
  for (const auto& transformer : context_.transformers) {
    PGFLOW_RETURN_IF_ERROR(transformer->Transform(batch));
  }
  // Rows that changed since their range was copied; of the others there is no older letter.
  if (context_.dead_letter != nullptr && task.kind == Task::Kind::kNewerRows) {
    PGFLOW_RETURN_IF_ERROR(context_.dead_letter->Overtake({&batch, 1}));
  }
  PGFLOW_ASSIGN_OR_RETURN(const WriteResult result, lane.Write(batch, stop));
  if (!result.rejections.empty()) PGFLOW_RETURN_IF_ERROR(Bury(task, result, batch));
  if (context_.tap != nullptr && context_.tap->watched()) {
    context_.tap->Take(context_.names.sink, std::move(batch));
  }
  return absl::OkStatus();
}

absl::Status SnapshotRound::Bury(const Task& task, const WriteResult& result, Batch& batch) {
  PGFLOW_ASSIGN_OR_RETURN(const std::span<const ChangeEvent> events, batch.Events());
  for (const Rejection& rejection : result.rejections) {
    if (context_.dead_letter == nullptr) return rejection.error;
    PGFLOW_RETURN_IF_ERROR(
        context_.dead_letter->Bury({.sink = context_.names.sink,
                                    .position = {consistent_point_, rejection.position.ordinal},
                                    .event = events[rejection.event],
                                    .error = rejection.error},
                                   LetterRange(task)));
    context_.statistics.OnRejection();
    base::LogWarning("sink {}: a row of {} went to the dead letter: {}", context_.names.sink,
                     plan_.tables[task.table].plan.source_table.ToString(),
                     base::Message(rejection.error));
  }
  return absl::OkStatus();
}

DeadLetterQueue::Range SnapshotRound::LetterRange(const Task& task) const {
  return {plan_.tables[task.table].plan.source_table, task.range,
          task.kind == Task::Kind::kNewerRows};
}

absl::StatusOr<bool> SnapshotRound::IsRecorded(const Task& task) {
  if (task.kind != Task::Kind::kRange) return false;
  base::MutexLock lock(&store_mutex_);
  PGFLOW_ASSIGN_OR_RETURN(const std::optional<SinkCheckpoint> checkpoint, context_.store.Load());
  if (!checkpoint.has_value()) return false;
  const schemas::TableName& name = plan_.tables[task.table].plan.source_table;
  for (const TableProgress& table : checkpoint->tables) {
    if (table.table == name)
      return std::ranges::find(table.finished, task.range) != table.finished.end();
  }
  return false;
}

absl::Status SnapshotRound::Record(const Task& task) {
  // A sink with its own store has recorded the range in the transaction of its rows. Newer rows of
  // a finished range change nothing in the ledger: after another crash they are read again.
  if (task.kind != Task::Kind::kRange || context_.sink.checkpoint_store() != nullptr) {
    return absl::OkStatus();
  }
  base::MutexLock lock(&store_mutex_);
  return context_.store.FinishRange(plan_.tables[task.table].plan.source_table, task.range);
}

void SnapshotRound::OnDone(const Task& task) {
  base::MutexLock lock(&mutex_);
  --in_flight_;
  if (task.kind != Task::Kind::kFinishTable) --to_read_;
  if (changed_.contains(task.table)) return;
  if (task.kind == Task::Kind::kFinishTable) {
    context_.statistics.FinishTable(task.table);
    return;
  }
  context_.statistics.FinishRange(task.table);
  ++done_;
  if (--remaining_[task.table] == 0) {
    waiting_.clear();
    // In front: building keys takes long and leaves the other workers the other tables.
    queue_.push_front({Task::Kind::kFinishTable, task.table, {}});
  }
}

bool SnapshotRound::OnError(Task task, const absl::Status& error, absl::Duration pause,
                            std::stop_token stop) {
  bool retry = false;
  {
    base::MutexLock lock(&mutex_);
    --in_flight_;
    if (stop.stop_requested()) return false;
    if (!base::Payload(error, kSnapshotLostPayload).empty()) {
      session_lost_ = true;
      return false;
    }
    if (!base::Payload(error, kStartOverPayload).empty() &&
        plan_.tables[task.table].start == PlannedTable::Start::kResume) {
      base::LogWarning("{}: what was copied of the table before is in the way; it is started over",
                       base::Message(error));
      queue_.push_back(task);  // From where it goes with the table's other tasks.
      changed_.insert(task.table);
      return true;
    }
    if (!base::Payload(error, kNeedsOthersPayload).empty() && !task.others_done) {
      task.again = true;
      queue_.push_back(task);
      waiting_.insert(task.table);
      return true;
    }
    const bool refused = error.code() == absl::StatusCode::kInvalidArgument;
    if (refused && context_.dead_letter != nullptr && task.mode == SnapshotLane::Mode::kFast) {
      task.mode = SnapshotLane::Mode::kCareful;
      pause = absl::ZeroDuration();
      retry = true;
    } else {
      retry = base::IsRetryable(error);
    }
    if (retry) {
      task.again = true;
      queue_.push_back(task);
    } else if (error_.ok()) {
      error_ = base::Annotate(
          error,
          fmt::format("snapshot of {}", plan_.tables[task.table].plan.source_table.ToString()));
    }
  }
  if (!retry) {
    abort_.request_stop();
    return false;
  }
  if (pause > absl::ZeroDuration()) {
    context_.statistics.OnRetry(error);
    base::LogWarning("snapshot of {}: {}; trying again in {}",
                     plan_.tables[task.table].plan.source_table.ToString(), base::Message(error),
                     absl::FormatDuration(pause));
    base::Pause(pause, stop);
  }
  return true;
}

}  // namespace pgflow::engine
