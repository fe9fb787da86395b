#include "sinks/opensearch/snapshot_lane.h"

#include <utility>

#include "base/status.h"

namespace pgflow::sinks {

absl::Status SearchSnapshotLane::BeginRange(const engine::TablePlan& table, engine::BlockRange,
                                            RangeOptions options) {
  if (table.schema != table_.schema) indexes_.clear();
  table_ = table;
  mode_ = options.mode;
  body_.Clear();
  last_index_ = nullptr;
  return absl::OkStatus();
}

absl::StatusOr<engine::WriteResult> SearchSnapshotLane::Write(engine::Batch& batch,
                                                              std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(const std::span<const engine::ChangeEvent> events, batch.Events());
  const schemas::TableSchema* schema = nullptr;
  const TableIndex* index = nullptr;
  engine::WriteResult result;
  const auto flush = [&]() -> absl::Status {
    PGFLOW_ASSIGN_OR_RETURN(const std::vector<RefusedItem> refused, Flush(stop));
    for (const RefusedItem& item : refused) {
      result.rejections.push_back(
          {{batch.PositionOf(events[item.tag]).commit_lsn, item.tag}, item.tag, ErrorOf(item)});
    }
    return absl::OkStatus();
  };
  for (size_t i = 0; i < events.size(); ++i) {
    if (events[i].schema != schema) {
      schema = events[i].schema;
      PGFLOW_ASSIGN_OR_RETURN(index, IndexOf(batch, events[i], stop));
      // Documents of a pipeline are sent for one index at a time.
      const bool apart = body_.has_pipeline() || index->target.has_pipeline;
      if (apart && index != last_index_) PGFLOW_RETURN_IF_ERROR(flush());
      last_index_ = index;
    }
    const size_t columns = index->plan.columns.size();
    if (events[i].after.column_count() != columns) {
      return base::MakeStatus(absl::StatusCode::kDataLoss, "table {}: row of {} columns, not {}",
                              table_.source_table.ToString(), events[i].after.column_count(),
                              columns);
    }
    events[i].after.Decode(values_);
    id_.clear();
    AppendDocumentId(index->plan.key, values_, id_);
    routing_.clear();
    if (!AppendRouting(index->plan.routing, values_, routing_)) {
      return UnknownRouting(index->plan, "a row of its snapshot");
    }
    const uint64_t version = batch.PositionOf(events[i]).commit_lsn.value();
    std::string& bytes = body_.BeginIndex(index->target, id_, version, routing_);
    AppendDocument(index->plan, values_, {}, bytes);
    body_.FinishIndex(i);
    if (body_.bytes().size() >= config_.bulk_size.bytes) PGFLOW_RETURN_IF_ERROR(flush());
  }
  // Refused rows are named by their place in this batch.
  if (mode_ == Mode::kCareful) PGFLOW_RETURN_IF_ERROR(flush());
  return result;
}

absl::StatusOr<const TableIndex*> SearchSnapshotLane::IndexOf(engine::Batch& batch,
                                                              const engine::ChangeEvent& event,
                                                              std::stop_token stop) {
  const schemas::TableSchemaPtr schema = batch.OwnerOf(event.schema);
  const auto [entry, added] = indexes_.try_emplace(schema);
  if (entry->second == nullptr) {
    const engine::TablePlan table{table_.source_table, schema, table_.definition};
    PGFLOW_ASSIGN_OR_RETURN(entry->second, keeper_.Open(table, std::move(stop)));
    PGFLOW_RETURN_IF_ERROR(CheckKey(entry->second->plan));
  }
  return entry->second.get();
}

absl::StatusOr<std::vector<RefusedItem>> SearchSnapshotLane::Flush(std::stop_token stop) {
  if (body_.empty()) return std::vector<RefusedItem>();
  std::vector<BulkBody> bodies;
  bodies.push_back(std::exchange(body_, {}));
  PGFLOW_ASSIGN_OR_RETURN(
      std::vector<RefusedItem> refused,
      sender_.Send(std::move(bodies), BulkSender::Visibility::kLater, std::move(stop)));
  if (mode_ == Mode::kFast && !refused.empty()) return ErrorOf(refused.front());
  return refused;
}

absl::Status SearchSnapshotLane::ErrorOf(const RefusedItem& refused) const {
  return base::MakeStatus(
      absl::StatusCode::kInvalidArgument,
      "the index of table {} refused a row: {}; change the mapping of the field (tables: mapping), "
      "or give the sink a dead letter",
      table_.source_table.ToString(), refused.reason);
}

absl::Status SearchSnapshotLane::FinishRange(std::stop_token stop) {
  return Flush(std::move(stop)).status();
}

absl::Status SearchSnapshotLane::FinishTable(const engine::TablePlan& table, std::stop_token stop) {
  PGFLOW_RETURN_IF_ERROR(keeper_.FinishLoading(table.schema->table, stop));
  // The last of a join's tables brings their rows together.
  return nested_.Fit(table.schema->table, std::move(stop));
}

}  // namespace pgflow::sinks
