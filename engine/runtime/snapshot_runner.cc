#include "engine/runtime/snapshot_runner.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/status.h"
#include "engine/runtime/snapshot_round.h"

namespace pgflow::engine {
namespace {

std::vector<TableStatus> StatusOf(const SnapshotSession& session, const SnapshotPlan& plan) {
  std::vector<TableStatus> tables;
  for (const PlannedTable& planned : plan.tables) {
    const SnapshotTable& source = session.tables()[planned.source];
    TableStatus status;
    status.table = planned.plan.source_table;
    status.bytes_total = source.bytes;
    status.rows_estimate = source.rows_estimate;
    status.complete = planned.start == PlannedTable::Start::kComplete;
    status.ranges_done = static_cast<uint32_t>(planned.progress.finished.size());
    status.ranges_total = status.ranges_done + static_cast<uint32_t>(planned.ranges.size());
    tables.push_back(std::move(status));
  }
  return tables;
}

// Adds the tables of `plan` that the sink cannot go on with; false: there are none.
bool AddLimited(const SnapshotPlan& plan, const ResumeLimits& limits,
                std::set<schemas::TableName>& changed) {
  using Start = PlannedTable::Start;
  bool added = false;
  const auto add = [&](const PlannedTable& table) {
    if (table.start == Start::kFresh || table.start == Start::kReset) return;
    added |= changed.insert(table.plan.source_table).second;
  };
  const auto touches = [](const PlannedTable& table, const std::set<schemas::TableName>& names) {
    return std::ranges::any_of(table.targets,
                               [&](const auto& target) { return names.contains(target); });
  };
  for (const PlannedTable& table : plan.tables) {
    if (table.start == Start::kResume && touches(table, limits.start_over)) add(table);
  }
  for (const std::set<schemas::TableName>& group : limits.at_one_snapshot) {
    const bool later = std::ranges::any_of(plan.tables, [&](const PlannedTable& table) {
      return table.start != Start::kComplete && touches(table, group);
    });
    if (!later) continue;
    for (const PlannedTable& table : plan.tables) {
      if (touches(table, group)) add(table);
    }
  }
  return added;
}

}  // namespace

// Of tables that are not there any more a part is in the sink, and their changes until `now` still
// come: rows that it never got may be among them.
void AddAbandoned(const SinkCheckpoint& checkpoint, const SnapshotPlan& plan, postgres::Lsn now,
                  std::vector<TableProgress>& begun) {
  std::set<schemas::TableName> planned;
  for (const PlannedTable& table : plan.tables) planned.insert(table.progress.table);
  for (const TableProgress& table : checkpoint.tables) {
    if (table.complete || table.held() || planned.contains(table.table)) continue;
    begun.push_back(table);
    begun.back().catch_up_until = now;
  }
}

// The ledger forgets first: after a crash in between, ranges whose rows are gone would count.
absl::Status SnapshotRunner::Reset(const SnapshotPlan& plan, std::stop_token stop) {
  std::vector<TablePlan> emptied;
  std::vector<TableProgress> begun;
  for (const PlannedTable& table : plan.tables) {
    if (table.start != PlannedTable::Start::kReset) continue;
    base::LogInfo("sink {}: starting table {} over", context_.names.sink,
                  table.plan.source_table.ToString());
    begun.push_back(table.progress);
    emptied.push_back(table.plan);
    emptied.insert(emptied.end(), table.routes.begin(), table.routes.end());
  }
  if (emptied.empty()) return absl::OkStatus();
  PGFLOW_RETURN_IF_ERROR(context_.store.BeginTables(begun));
  return context_.sink.ResetTables(*plan.definition, emptied, std::move(stop));
}

absl::StatusOr<SnapshotPlan> SnapshotRunner::Plan(const SnapshotSession& session,
                                                  const SinkCheckpoint& checkpoint,
                                                  std::stop_token stop) {
  using Start = PlannedTable::Start;
  std::set<schemas::TableName> changed = changed_;
  const auto plan_tables = [&] {
    return PlanSnapshot(session, checkpoint, context_.wanted, changed, context_.transformers);
  };
  PGFLOW_ASSIGN_OR_RETURN(SnapshotPlan plan, plan_tables());
  const auto any = [&plan](const auto& predicate) {
    return std::ranges::any_of(plan.tables, predicate, &PlannedTable::start);
  };
  const bool first = !any([](Start start) { return start != Start::kFresh; });
  const bool last = !any([](Start start) { return start != Start::kComplete; });
  if (first || last) return plan;
  std::vector<TablePlan> tables;
  for (const PlannedTable& table : plan.tables) {
    tables.push_back(table.plan);
    tables.insert(tables.end(), table.routes.begin(), table.routes.end());
  }
  PGFLOW_ASSIGN_OR_RETURN(const ResumeLimits limits, context_.sink.LimitResuming(tables, stop));
  while (AddLimited(plan, limits, changed)) {
    PGFLOW_ASSIGN_OR_RETURN(plan, plan_tables());
  }
  return plan;
}

absl::Status SnapshotRunner::Prepare(const SinkCheckpoint& checkpoint, const SnapshotPlan& plan,
                                     std::stop_token stop) {
  std::vector<TablePlan> fresh;
  std::vector<TablePlan> kept;
  for (const PlannedTable& table : plan.tables) {
    // A complete one is the stream's business, with the definition that it has there.
    if (table.start == PlannedTable::Start::kComplete) continue;
    const bool is_fresh = table.start == PlannedTable::Start::kFresh;
    std::vector<TablePlan>& plans = is_fresh ? fresh : kept;
    plans.push_back(table.plan);
    plans.insert(plans.end(), table.routes.begin(), table.routes.end());
  }
  PGFLOW_RETURN_IF_ERROR(Reset(plan, stop));
  for (const PlannedTable& table : plan.tables) {
    const bool copied = table.start != PlannedTable::Start::kComplete;
    if (!copied || context_.dead_letter == nullptr) continue;
    PGFLOW_RETURN_IF_ERROR(context_.dead_letter->BeginCopy(
        table.plan.source_table, table.plan.schema->table, table.progress.finished, last_point_));
  }
  PGFLOW_RETURN_IF_ERROR(context_.sink.PrepareSnapshot(*plan.definition, fresh, kept, stop));
  std::vector<TableProgress> begun;
  for (const PlannedTable& table : plan.tables) {
    if (table.start != PlannedTable::Start::kComplete) begun.push_back(table.progress);
  }
  AddAbandoned(checkpoint, plan, last_point_, begun);
  return context_.store.BeginTables(begun);
}

absl::StatusOr<bool> SnapshotRunner::RunRound(const SinkCheckpoint& checkpoint,
                                              std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(std::shared_ptr<SnapshotSession> session,
                          context_.open_session(last_point_, stop));
  last_point_ = session->consistent_point();
  PGFLOW_ASSIGN_OR_RETURN(const SnapshotPlan plan, Plan(*session, checkpoint, stop));
  context_.statistics.SetTables(StatusOf(*session, plan));
  PGFLOW_RETURN_IF_ERROR(Prepare(checkpoint, plan, stop));
  SnapshotRound round(context_, std::move(session), plan);
  PGFLOW_RETURN_IF_ERROR(round.Run(stop));
  changed_ = round.changed();
  std::vector<TableProgress> forgotten;
  for (const PlannedTable& table : plan.tables) {
    // Forgotten at once: after a crash the old ranges must not be taken for the new table's.
    if (!changed_.contains(table.plan.source_table)) continue;
    forgotten.push_back(table.progress);
    forgotten.back().finished.clear();
  }
  PGFLOW_RETURN_IF_ERROR(context_.store.BeginTables(forgotten));
  if (round.session_lost()) {
    base::LogWarning("the snapshot was lost; what is left is copied at a later one");
  }
  return changed_.empty() && !round.session_lost();
}

absl::Status SnapshotRunner::Run(const SinkCheckpoint& checkpoint, std::stop_token stop) {
  SinkCheckpoint current = checkpoint;
  postgres::Lsn earliest(UINT64_MAX);
  for (const TableProgress& table : checkpoint.tables) {
    earliest = std::min(earliest, table.snapshot_lsn);
  }
  while (true) {
    PGFLOW_ASSIGN_OR_RETURN(const bool done, RunRound(current, stop));
    earliest = std::min(earliest, last_point_);
    if (done) return context_.store.FinishSnapshot(earliest);
    PGFLOW_ASSIGN_OR_RETURN(std::optional<SinkCheckpoint> next, context_.store.Load());
    if (!next.has_value())
      return absl::InternalError("the checkpoint vanished during the snapshot");
    current = *std::move(next);
  }
}

}  // namespace pgflow::engine
