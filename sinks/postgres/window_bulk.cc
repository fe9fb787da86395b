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
  return binding.key_kind == KeyKind::kUnique && binding.key_is_bytewise;
}

}  // namespace

absl::StatusOr<bool> WindowApplier::ApplyBulk(Changes changes, std::stop_token stop) {
  ApplyPipeline pipeline(session_.connection(), stop);
  PGFLOW_RETURN_IF_ERROR(QueueBegin(pipeline));
  PGFLOW_RETURN_IF_ERROR(pipeline.Query("SAVEPOINT pgflow_window"));
  PGFLOW_RETURN_IF_ERROR(pipeline.Drain());
  if (pipeline.failure().has_value()) return pipeline.failure()->status;
  absl::StatusOr<bool> written = WriteBulk(changes, stop);
  if (written.ok() && *written) {
    PGFLOW_RETURN_IF_ERROR(
        session_.connection().Execute("RELEASE SAVEPOINT pgflow_window", stop).status());
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

absl::StatusOr<bool> WindowApplier::WriteBulk(Changes changes, std::stop_token stop) {
  for (size_t begin = 0; begin < changes.size();) {
    if (changes[begin].event->operation == Operation::kTruncate) {
      ApplyPipeline pipeline(session_.connection(), stop);
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
                            WriteSegment(changes.subspan(begin, end - begin), stop));
    if (!good) return false;
    begin = end;
  }
  return true;
}

absl::StatusOr<bool> WindowApplier::WriteSegment(Changes changes, std::stop_token stop) {
  // A trigger (a foreign key is one) may look at other tables: then the order is kept.
  const bool fires = std::ranges::any_of(
      changes, [](const Change& change) { return change.binding->fires_triggers; });
  return fires ? WriteRuns(changes, stop) : WriteByTable(changes, stop);
}

// True when nothing failed; a refusal is returned as a status.
absl::StatusOr<bool> WindowApplier::Settle(ApplyPipeline& pipeline) {
  PGFLOW_RETURN_IF_ERROR(pipeline.Drain());
  if (!pipeline.failure().has_value()) return true;
  if (pipeline.failure()->wrong_row_count) return false;
  return pipeline.failure()->status;
}

absl::StatusOr<bool> WindowApplier::WriteByTable(Changes changes, std::stop_token stop) {
  struct Table {
    const TableBinding* binding = nullptr;
    std::optional<NetEffect> net;
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
    if (!merged) return false;
  }

  ApplyPipeline pipeline(session_.connection(), stop);
  for (Table& each : tables) {
    if (!each.net.has_value()) continue;
    PGFLOW_ASSIGN_OR_RETURN(const bool queued, bulk_.QueueChanges(pipeline, *each.net));
    if (!queued) {
      PGFLOW_RETURN_IF_ERROR(pipeline.Drain());
      return false;
    }
  }
  PGFLOW_ASSIGN_OR_RETURN(const bool good, Settle(pipeline));
  if (!good) return false;
  for (Table& each : tables) {
    if (each.net.has_value()) {
      PGFLOW_RETURN_IF_ERROR(bulk_.CopyInserts(*each.net, stop));
    } else {
      PGFLOW_ASSIGN_OR_RETURN(const bool written, WriteRuns(each.in_order, stop));
      if (!written) return false;
    }
  }
  return true;
}

absl::StatusOr<bool> WindowApplier::WriteRuns(Changes changes, std::stop_token stop) {
  ApplyPipeline pipeline(session_.connection(), stop);
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
    PGFLOW_ASSIGN_OR_RETURN(const bool good, Settle(pipeline));
    if (!good) return false;
    std::vector<const engine::ChangeEvent*> events;
    events.reserve(run.size());
    for (const Change& change : run) events.push_back(change.event);
    return bulk_.CopyEvents(binding, events, stop);
  }
  if (run.size() >= kRunMin && TakesNetEffect(binding)) {
    NetEffect net(binding);
    bool distinct = true;
    for (size_t i = 0; i < run.size() && distinct; ++i) {
      PGFLOW_ASSIGN_OR_RETURN(distinct, net.AddDistinct(*run[i].event));
    }
    // `net` must live until its parameters are sent, which they are when this returns.
    if (distinct) return bulk_.QueueChanges(pipeline, net);
  }
  for (const Change& change : run) {
    PGFLOW_RETURN_IF_ERROR(rows_.Write(pipeline, binding, *change.event, Expectation::kNoTag));
    if (pipeline.failure().has_value()) return false;
  }
  return true;
}

}  // namespace pgflow::sinks
