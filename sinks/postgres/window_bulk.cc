// WindowApplier: the bulk way.
#include <algorithm>
#include <deque>
#include <optional>
#include <utility>

#include "base/log.h"
#include "base/status.h"
#include "postgres/types/sql_state.h"
#include "sinks/postgres/window_applier.h"

namespace pgflow::sinks {
namespace {

using engine::Operation;

// Bounds the memory of a window's net effect.
constexpr size_t kSegmentEvents = 65536;
// Below this many a run is not worth a statement of its own.
constexpr size_t kRunMin = 32;

// Worth another try row by row: the data or its order is at fault, not the connection.
bool IsRefusal(const absl::Status& status) {
  return !base::IsRetryable(status) && status.code() != absl::StatusCode::kCancelled &&
         !postgres::SqlStateOf(status).empty();
}

bool TakesNetEffect(const TableBinding& binding) {
  return binding.key_kind == KeyKind::kUnique && binding.key_is_bytewise && !binding.has_renumbered;
}

}  // namespace

absl::StatusOr<bool> WindowApplier::ApplyBulk(Changes changes, std::stop_token stop) {
  ApplyPipeline pipeline(session_.connection(), stop);
  PGFLOW_RETURN_IF_ERROR(QueueBegin(pipeline));
  PGFLOW_RETURN_IF_ERROR(pipeline.Query("SAVEPOINT pgflow_window"));
  absl::StatusOr<bool> written = WriteBulk(pipeline, changes, stop);
  if (written.ok() && *written) {
    in_savepoint_ = true;  // Released on the way to the commit.
    return true;
  }
  if (!written.ok()) {
    if (!IsRefusal(written.status())) return written;
    base::LogDebug("a window goes row by row: {}", base::Message(written.status()));
  }
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
  struct Table {
    const TableBinding* binding = nullptr;
    std::optional<NetEffect> net;
    bool to_copy = false;
    std::vector<Change> in_order;  // Tables whose net effect cannot be told.
  };
  std::deque<Table> tables;
  Table* table = nullptr;
  for (const Change& change : changes) {
    if (table == nullptr || table->binding != change.binding) {
      const auto found = std::ranges::find(tables, change.binding, &Table::binding);
      if (found != tables.end()) {
        table = &*found;
      } else {
        table = &tables.emplace_back();
        table->binding = change.binding;
        if (TakesNetEffect(*change.binding)) table->net.emplace(*change.binding);
      }
    }
    if (!table->net.has_value()) {
      table->in_order.push_back(change);
      continue;
    }
    PGFLOW_ASSIGN_OR_RETURN(const bool merged, table->net->Add(*change.event));
    if (!merged) {
      PGFLOW_RETURN_IF_ERROR(pipeline.Drain());
      return false;
    }
  }

  for (Table& each : tables) {
    if (!each.net.has_value()) continue;
    PGFLOW_ASSIGN_OR_RETURN(const bool queued,
                            bulk_.QueueChanges(pipeline, *each.net, each.to_copy));
    if (!queued) {
      PGFLOW_RETURN_IF_ERROR(pipeline.Drain());
      return false;
    }
  }
  for (Table& each : tables) {
    if (each.in_order.empty()) continue;
    PGFLOW_ASSIGN_OR_RETURN(const bool written, WriteRuns(pipeline, each.in_order, stop));
    if (!written) return false;
  }
  PGFLOW_ASSIGN_OR_RETURN(const bool good, Settle(pipeline));
  if (!good) return false;
  for (Table& each : tables) {
    if (each.to_copy) PGFLOW_RETURN_IF_ERROR(bulk_.CopyInserts(*each.net, stop));
  }
  return true;
}

absl::StatusOr<bool> WindowApplier::WriteRuns(ApplyPipeline& pipeline, Changes changes,
                                              std::stop_token stop) {
  for (size_t begin = 0; begin < changes.size();) {
    const TableBinding* binding = changes[begin].binding;
    const Operation operation = changes[begin].event->operation;
    size_t end = begin + 1;
    while (end < changes.size() && changes[end].binding == binding &&
           changes[end].event->operation == operation) {
      ++end;
    }
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
  const Operation operation = run.front().event->operation;
  if (run.size() >= kRunMin && operation == Operation::kInsert) {
    std::vector<const engine::ChangeEvent*> events;
    events.reserve(run.size());
    for (const Change& change : run) events.push_back(change.event);
    if (run.size() <= BulkWriter::kFewInserts) {
      PGFLOW_ASSIGN_OR_RETURN(const bool queued, bulk_.QueueEvents(pipeline, binding, events));
      if (queued) return true;
    }
    PGFLOW_ASSIGN_OR_RETURN(const bool good, Settle(pipeline));
    if (!good) return false;
    return bulk_.CopyEvents(binding, events, stop);
  }
  if (run.size() >= kRunMin && TakesNetEffect(binding)) {
    NetEffect net(binding);
    bool distinct = true;
    for (size_t i = 0; i < run.size() && distinct; ++i) {
      PGFLOW_ASSIGN_OR_RETURN(distinct, net.AddDistinct(*run[i].event));
    }
    // `net` must live until its parameters are sent, which they are when this returns.
    bool to_copy = false;  // These are no inserts.
    if (distinct) return bulk_.QueueChanges(pipeline, net, to_copy);
  }
  for (const Change& change : run) {
    PGFLOW_RETURN_IF_ERROR(rows_.Write(pipeline, binding, *change.event, Expectation::kNoTag));
    if (pipeline.failure().has_value()) return false;
  }
  return true;
}

}  // namespace pgflow::sinks
