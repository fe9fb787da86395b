// SearchSnapshotLane: rows of a snapshot into their index, by bulk requests of one connection.
//
// Owned by a worker; one thread. Everything referred to must outlive it. Errors: those of
// BulkSender; kInvalidArgument (fast mode): a row of the range is refused.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "engine/api/sink.h"
#include "sinks/opensearch/bulk_sender.h"
#include "sinks/opensearch/index_keeper.h"
#include "sinks/opensearch/nested_rows.h"

namespace pgflow::sinks {

class SearchSnapshotLane final : public engine::SnapshotLane {
 public:
  // `copied`: tables that are written to a copy.
  SearchSnapshotLane(const OpenSearchSinkConfig& config, const SearchProduct& product,
                     std::unique_ptr<Cluster> cluster, base::Mutex& join_lock,
                     const std::set<schemas::TableName>& copied)
      : config_(config),
        cluster_(std::move(cluster)),
        keeper_(config, product, *cluster_),
        nested_(config, *cluster_, keeper_, join_lock),
        sender_(*cluster_, 1) {
    keeper_.FillCopies(copied);
    if (!copied.empty()) nested_.LeaveOut();
  }

  absl::Status BeginRange(const engine::TablePlan& table, engine::BlockRange range,
                          RangeOptions options) override;
  absl::StatusOr<engine::WriteResult> Write(engine::Batch& batch, std::stop_token stop) override;
  absl::Status FinishRange(std::stop_token stop) override;
  absl::Status FinishTable(const engine::TablePlan& table, std::stop_token stop) override;

 private:
  // The index of the table that the row has, made when it is its first.
  absl::StatusOr<const TableIndex*> IndexOf(engine::Batch& batch, const engine::ChangeEvent& event,
                                            std::stop_token stop);
  // What was refused; none in fast mode, where that is an error.
  absl::StatusOr<std::vector<RefusedItem>> Flush(std::stop_token stop);
  absl::Status ErrorOf(const RefusedItem& refused) const;

  const OpenSearchSinkConfig& config_;
  const std::unique_ptr<Cluster> cluster_;
  IndexKeeper keeper_;
  NestedRows nested_;
  BulkSender sender_;

  engine::TablePlan table_;
  Mode mode_ = Mode::kFast;
  // Of the tables of the range: one, unless a transformer routes its rows.
  std::map<schemas::TableSchemaPtr, TableIndexPtr> indexes_;
  const TableIndex* last_index_ = nullptr;  // Whose documents the body holds, the last of them.
  BulkBody body_;
  std::vector<schemas::Value> values_;
  std::string id_;
  std::string routing_;
};

}  // namespace pgflow::sinks
