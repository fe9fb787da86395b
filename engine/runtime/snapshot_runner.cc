#include "engine/runtime/snapshot_runner.h"

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

}  // namespace

absl::Status SnapshotRunner::Prepare(const SnapshotSession& session, const SnapshotPlan& plan,
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
  for (const PlannedTable& table : plan.tables) {
    if (table.start != PlannedTable::Start::kReset) continue;
    base::LogInfo("sink {}: starting table {} over", context_.names.sink,
                  table.plan.source_table.ToString());
    PGFLOW_RETURN_IF_ERROR(context_.sink.ResetTable(table.plan, stop));
    for (const TablePlan& route : table.routes) {
      PGFLOW_RETURN_IF_ERROR(context_.sink.ResetTable(route, stop));
    }
  }
  PGFLOW_RETURN_IF_ERROR(context_.sink.PrepareSnapshot(session.definition(), fresh, kept, stop));
  for (const PlannedTable& table : plan.tables) {
    if (table.start == PlannedTable::Start::kComplete) continue;
    PGFLOW_RETURN_IF_ERROR(context_.store.BeginTable(table.progress));
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> SnapshotRunner::RunRound(const SinkCheckpoint& checkpoint,
                                              std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(const std::shared_ptr<SnapshotSession> session,
                          context_.open_session(last_point_, stop));
  last_point_ = session->consistent_point();
  PGFLOW_ASSIGN_OR_RETURN(
      const SnapshotPlan plan,
      PlanSnapshot(*session, checkpoint, context_.wanted, changed_, context_.transformers));
  context_.statistics.SetTables(StatusOf(*session, plan));
  PGFLOW_RETURN_IF_ERROR(Prepare(*session, plan, stop));
  SnapshotRound round(context_, *session, plan);
  PGFLOW_RETURN_IF_ERROR(round.Run(stop));
  changed_ = round.changed();
  for (const PlannedTable& table : plan.tables) {
    // Forgotten at once: after a crash the old ranges must not be taken for the new table's.
    if (!changed_.contains(table.plan.source_table)) continue;
    TableProgress progress = table.progress;
    progress.finished.clear();
    PGFLOW_RETURN_IF_ERROR(context_.store.BeginTable(progress));
  }
  if (round.session_lost()) {
    base::LogWarning("the snapshot was lost; what is left is copied at a later one");
  }
  return changed_.empty() && !round.session_lost();
}

absl::Status SnapshotRunner::Run(const SinkCheckpoint& checkpoint, std::stop_token stop) {
  SinkCheckpoint current = checkpoint;
  while (true) {
    PGFLOW_ASSIGN_OR_RETURN(const bool done, RunRound(current, stop));
    if (done) return context_.store.FinishSnapshot();
    PGFLOW_ASSIGN_OR_RETURN(std::optional<SinkCheckpoint> next, context_.store.Load());
    if (!next.has_value())
      return absl::InternalError("the checkpoint vanished during the snapshot");
    current = *std::move(next);
  }
}

}  // namespace pgflow::engine
