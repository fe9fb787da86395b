// WindowApplier: the bulk way.
#include <algorithm>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/status.h"
#include "sinks/postgres/window_applier.h"
#include "sinks/postgres/window_tables.h"

namespace pgflow::sinks {
namespace {

using engine::Operation;

// Bounds the memory of a window's net effect.
constexpr size_t kSegmentEvents = 65536;
// Below this many a run is not worth a statement of its own.
constexpr size_t kRunMin = 32;

// Worth another try row by row, which names the change at fault: the data or its order is at fault,
// not the connection.
bool IsRefusal(const absl::Status& status) {
  return !base::IsRetryable(status) && status.code() != absl::StatusCode::kCancelled;
}

}  // namespace

absl::StatusOr<bool> WindowApplier::ApplyBulk(Changes changes, std::stop_token stop) {
  ApplyPipeline pipeline(session_.connection(), stop);
  PGFLOW_RETURN_IF_ERROR(QueueBegin(pipeline));
  PGFLOW_RETURN_IF_ERROR(pipeline.Query("SAVEPOINT pgflow_window"));
  absl::StatusOr<bool> written = WriteBulk(pipeline, changes, stop);
  if (written.ok() && *written) {
    NoteDeviations(pipeline, changes);
    in_savepoint_ = true;  // Released on the way to the commit.
    return true;
  }
  if (!written.ok()) {
    if (!IsRefusal(written.status()) || !session_.connection().healthy()) return written;
    base::LogDebug("a window goes row by row: {}", base::Message(written.status()));
  }
  PGFLOW_RETURN_IF_ERROR(pipeline.Drain());
  PGFLOW_RETURN_IF_ERROR(
      session_.connection()
          .Execute("ROLLBACK TO SAVEPOINT pgflow_window; RELEASE SAVEPOINT pgflow_window", stop)
          .status());
  PGFLOW_RETURN_IF_ERROR(session_.ForgetStatements(stop));
  return false;
}

absl::StatusOr<bool> WindowApplier::WriteBulk(ApplyPipeline& pipeline, Changes changes,
                                              std::stop_token stop) {
  for (size_t begin = 0; begin < changes.size();) {
    if (changes[begin].event->operation == Operation::kTruncate) {
      PGFLOW_ASSIGN_OR_RETURN(const size_t count, QueueTruncate(pipeline, changes, begin));
      PGFLOW_ASSIGN_OR_RETURN(const bool good, Settle(pipeline));
      if (!good) return false;
      begin += count;
      continue;
    }
    size_t end = begin;
    while (end < changes.size() && end - begin < kSegmentEvents &&
           changes[end].event->operation != Operation::kTruncate) {
      ++end;
    }
    PGFLOW_ASSIGN_OR_RETURN(const bool good,
                            WriteSegment(pipeline, changes.subspan(begin, end - begin), stop));
    if (!good) return false;
    begin = end;
  }
  return true;
}

absl::StatusOr<bool> WindowApplier::WriteSegment(ApplyPipeline& pipeline, Changes changes,
                                                 std::stop_token stop) {
  // A trigger (a foreign key is one) may look at other tables: then the order is kept.
  const bool fires = std::ranges::any_of(
      changes, [](const Change& change) { return change.binding->fires_triggers; });
  return fires ? WriteRuns(pipeline, changes, stop) : WriteByTable(pipeline, changes, stop);
}

// True when nothing failed; a refusal is returned as a status.
absl::StatusOr<bool> WindowApplier::Settle(ApplyPipeline& pipeline) {
  PGFLOW_RETURN_IF_ERROR(pipeline.Drain());
  if (!pipeline.failure().has_value()) return true;
  if (pipeline.failure()->wrong_row_count) return false;
  return pipeline.failure()->status;
}

absl::StatusOr<bool> WindowApplier::WriteByTable(ApplyPipeline& pipeline, Changes changes,
                                                 std::stop_token stop) {
  WindowTables tables;
  for (const Change& change : changes) PGFLOW_RETURN_IF_ERROR(tables.Add(change));
  tables.KeepOrderWhereNeeded(changes);
  for (WindowTables::Table& table : tables.all()) {
    if (!table.net.has_value()) continue;
    PGFLOW_ASSIGN_OR_RETURN(const bool queued,
                            bulk_.QueueChanges(pipeline, *table.net, {}, table.to_copy));
    if (!queued) {
      PGFLOW_RETURN_IF_ERROR(pipeline.Drain());
      return false;
    }
  }
  for (const WindowTables::Table& table : tables.all()) {
    if (table.in_order.empty()) continue;
    PGFLOW_ASSIGN_OR_RETURN(const bool written, WriteRuns(pipeline, table.in_order, stop));
    if (!written) return false;
  }
  PGFLOW_ASSIGN_OR_RETURN(const bool good, Settle(pipeline));
  if (!good) return false;
  for (const WindowTables::Table& table : tables.all()) {
    if (table.to_copy) PGFLOW_RETURN_IF_ERROR(bulk_.CopyInserts(*table.net, stop));
  }
  return true;
}

absl::StatusOr<bool> WindowApplier::WriteRuns(ApplyPipeline& pipeline, Changes changes,
                                              std::stop_token stop) {
  const auto are_alike = [](const Change& a, const Change& b) {
    return a.binding->layout == b.binding->layout && a.event->operation == b.event->operation &&
           a.cascaded == b.cascaded;
  };
  for (size_t begin = 0; begin < changes.size();) {
    size_t end = begin + 1;
    while (end < changes.size() && are_alike(changes[begin], changes[end])) ++end;
    PGFLOW_ASSIGN_OR_RETURN(const bool good,
                            WriteRun(pipeline, changes.subspan(begin, end - begin), stop));
    if (!good) {
      PGFLOW_RETURN_IF_ERROR(pipeline.Drain());
      return false;
    }
    begin = end;
  }
  return Settle(pipeline);
}

absl::StatusOr<bool> WindowApplier::WriteRun(ApplyPipeline& pipeline, Changes run,
                                             std::stop_token stop) {
  const TableBinding& binding = *run.front().binding;
  const bool in_bulk = run.size() >= kRunMin && !binding.is_watched;
  if (in_bulk && run.front().event->operation == Operation::kInsert) {
    std::vector<const engine::ChangeEvent*> events;
    events.reserve(run.size());
    for (const Change& change : run) events.push_back(change.event);
    if (run.size() <= BulkWriter::kFewInserts) {
      PGFLOW_ASSIGN_OR_RETURN(const bool queued, bulk_.QueueEvents(pipeline, binding, events));
      if (queued) return true;
    }
    PGFLOW_ASSIGN_OR_RETURN(const bool good, Settle(pipeline));
    if (!good) return false;
    PGFLOW_ASSIGN_OR_RETURN(const bool copied, bulk_.CopyEvents(binding, events, stop));
    if (copied) return true;
  } else if (in_bulk && WindowTables::TakesNetEffect(binding)) {
    NetEffect net(binding);
    bool distinct = true;
    for (size_t i = 0; i < run.size() && distinct; ++i) {
      PGFLOW_ASSIGN_OR_RETURN(distinct, net.AddDistinct(*run[i].event));
    }
    // `net` must live until its parameters are sent, which they are when this returns.
    bool to_copy = false;  // These are no inserts.
    if (distinct) return bulk_.QueueChanges(pipeline, net, run.front().cascaded, to_copy);
  }
  for (const Change& change : run) {
    PGFLOW_RETURN_IF_ERROR(rows_.Write(pipeline, *change.binding, *change.event,
                                       Expectation::kNoTag, change.cascaded));
    if (pipeline.failure().has_value()) return false;
  }
  return true;
}

}  // namespace pgflow::sinks
