#include "sinks/opensearch/snapshot_lane.h"

#include <utility>

#include "base/status.h"

namespace pgflow::sinks {

absl::Status SearchSnapshotLane::BeginRange(const engine::TablePlan& table, engine::BlockRange,
                                            RangeOptions options) {
  if (table.schema != table_.schema) index_ = nullptr;
  table_ = table;
  mode_ = options.mode;
  body_.Clear();
  return absl::OkStatus();
}

absl::StatusOr<engine::WriteResult> SearchSnapshotLane::Write(engine::Batch& batch,
                                                              std::stop_token stop) {
  if (index_ == nullptr) {
    PGFLOW_ASSIGN_OR_RETURN(index_, keeper_.Open(table_, stop));
    PGFLOW_RETURN_IF_ERROR(CheckKey(index_->plan));
  }
  PGFLOW_ASSIGN_OR_RETURN(const std::span<const engine::ChangeEvent> events, batch.Events());
  const size_t columns = index_->plan.columns.size();
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
    if (events[i].after.column_count() != columns) {
      return base::MakeStatus(absl::StatusCode::kDataLoss, "table {}: row of {} columns, not {}",
                              table_.source_table.ToString(), events[i].after.column_count(),
                              columns);
    }
    events[i].after.Decode(values_);
    id_.clear();
    AppendDocumentId(index_->plan.key, values_, id_);
    std::string& bytes =
        body_.BeginIndex(index_->target, id_, batch.PositionOf(events[i]).commit_lsn.value());
    AppendDocument(index_->plan, values_, {}, bytes);
    body_.FinishIndex(i);
    if (body_.bytes().size() >= config_.bulk_size.bytes) PGFLOW_RETURN_IF_ERROR(flush());
  }
  // Refused rows are named by their place in this batch.
  if (mode_ == Mode::kCareful) PGFLOW_RETURN_IF_ERROR(flush());
  return result;
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
      "index {} refused a row: {}; change the mapping of the field (tables: mapping), or give the "
      "sink a dead letter",
      index_->name, refused.reason);
}

absl::Status SearchSnapshotLane::FinishRange(std::stop_token stop) {
  return Flush(std::move(stop)).status();
}

absl::Status SearchSnapshotLane::FinishTable(const engine::TablePlan& table, std::stop_token stop) {
  return keeper_.FinishLoading(table.schema->table, std::move(stop));
}

}  // namespace pgflow::sinks
