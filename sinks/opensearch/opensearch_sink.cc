#include "sinks/opensearch/opensearch_sink.h"

#include <algorithm>
#include <utility>

#include <absl/time/clock.h>

#include "base/log.h"
#include "base/status.h"
#include "sinks/opensearch/index_origin.h"
#include "sinks/opensearch/preflight.h"
#include "sinks/opensearch/snapshot_lane.h"

namespace pgflow::sinks {

absl::StatusOr<std::unique_ptr<engine::Sink>> OpenSearchSink::Make(OpenSearchSinkConfig config) {
  PGFLOW_RETURN_IF_ERROR(ValidateOpenSearchSinkConfig(config));
  return std::make_unique<OpenSearchSink>(std::move(config));
}

absl::Status OpenSearchSink::Open(const engine::SinkContext& context, std::stop_token stop) {
  if (writer_ != nullptr) sent_ = std::max(sent_, writer_->sent());
  writer_ = nullptr;
  copies_ = nullptr;
  nested_ = nullptr;
  keeper_ = nullptr;
  owner_ = fmt::format("pgflow/{}/{}", context.pipeline, context.sink);
  PGFLOW_ASSIGN_OR_RETURN(cluster_, Cluster::Make(config_, owner_));
  PGFLOW_ASSIGN_OR_RETURN(product_, cluster_->ReadProduct(stop));
  PGFLOW_RETURN_IF_ERROR(cluster_->AwaitOwnRequests(stop));
  if (started_ == absl::InfinitePast()) {
    started_ = absl::Now();
    base::LogInfo("sink {}: {} at {}", context.sink, product_.ToString(), config_.url);
  }
  keeper_ = std::make_unique<IndexKeeper>(config_, product_, *cluster_, context.pipeline);
  nested_ = std::make_unique<NestedRows>(config_, *cluster_, *keeper_, *join_lock_);
  copies_ = std::make_unique<IndexCopies>(config_, *cluster_, *keeper_, *nested_, context.pipeline);
  looks_for_left_ = true;
  sources_ = context.copies;
  if (!sources_.empty()) {
    PGFLOW_ASSIGN_OR_RETURN(copied_, copies_->TargetsOf(sources_, std::move(stop)));
    keeper_->FillCopies(copied_);
    nested_->LeaveOut();
  }
  writer_ = std::make_unique<WindowWriter>(config_, *cluster_, *keeper_, *nested_, owners_,
                                           WindowWriter::Replay{started_, sent_});
  return absl::OkStatus();
}

absl::StatusOr<std::vector<engine::Finding>> OpenSearchSink::Check(
    const schemas::DatabaseDefinition&, std::span<const engine::TablePlan> tables,
    std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(const std::unique_ptr<Cluster> cluster,
                          Cluster::Make(config_, "pgflow/check"));
  return CheckSearchTarget(config_, *cluster, tables, std::move(stop));
}

absl::Status OpenSearchSink::PrepareSnapshot(const schemas::DatabaseDefinition&,
                                             std::span<const engine::TablePlan> tables,
                                             std::span<const engine::TablePlan> resumed,
                                             std::stop_token stop) {
  for (const engine::TablePlan& table : tables) NoteCopied(table);
  for (const engine::TablePlan& table : resumed) NoteCopied(table);
  // Names first: nothing is created when two tables would meet in one index.
  for (const std::span<const engine::TablePlan> plans : {tables, resumed}) {
    for (const engine::TablePlan& table : plans) {
      PGFLOW_ASSIGN_OR_RETURN(const std::string name, keeper_->NameOf(table.schema->table));
      PGFLOW_RETURN_IF_ERROR(ClaimIndexName(owners_, name, table.schema->table));
    }
  }
  PGFLOW_RETURN_IF_ERROR(CheckJoins(config_, tables));
  for (const std::span<const engine::TablePlan> plans : {tables, resumed}) {
    for (const engine::TablePlan& table : plans) {
      PGFLOW_RETURN_IF_ERROR(nested_->Forget(table.schema->table, stop));
    }
  }
  for (const engine::TablePlan& table : tables) {
    // Leaves of one partitioned table may share an index; only the first finds it as it was.
    const bool is_first = std::ranges::none_of(
        std::span(tables.data(), &table),
        [&](const engine::TablePlan& other) { return other.schema->table == table.schema->table; });
    PGFLOW_RETURN_IF_ERROR(keeper_->Prepare(table, is_first, stop));
  }
  for (const engine::TablePlan& table : resumed) {
    PGFLOW_RETURN_IF_ERROR(keeper_->Prepare(table, false, stop));
  }
  return absl::OkStatus();
}

void OpenSearchSink::NoteCopied(const engine::TablePlan& table) {
  if (!sources_.contains(table.source_table)) return;
  if (copied_.insert(table.schema->table).second) keeper_->FillCopies(copied_);
}

absl::StatusOr<engine::ResumeLimits> OpenSearchSink::LimitResuming(
    std::span<const engine::TablePlan> tables, std::stop_token stop) {
  engine::ResumeLimits limits;
  for (const engine::TablePlan& table : tables) {
    NoteCopied(table);
    PGFLOW_ASSIGN_OR_RETURN(const std::string name, keeper_->NameOf(table.schema->table));
    PGFLOW_ASSIGN_OR_RETURN(const std::optional<IndexState> state,
                            ReadIndex(*cluster_, name, stop));
    // Whatever was copied into it went with it.
    // Or by other options, and what was copied has the form of those.
    const bool other = state.has_value() && copied_.contains(table.schema->table) &&
                       !IsAsWanted(state->meta.origin, OriginOf(config_, table.schema->table));
    if (!state.has_value() || other) limits.start_over.insert(table.schema->table);
  }
  return limits;
}

absl::Status OpenSearchSink::FinishCopies(const std::map<schemas::TableName, postgres::Lsn>& tables,
                                          std::stop_token stop) {
  return copies_->Finish(tables, std::move(stop));
}

absl::Status OpenSearchSink::TakeCopies(std::span<const engine::TableProgress> tables,
                                        std::stop_token stop) {
  if (looks_for_left_) PGFLOW_RETURN_IF_ERROR(copies_->RemoveLeft(!has_looked_, stop));
  looks_for_left_ = false;
  has_looked_ = true;
  PGFLOW_RETURN_IF_ERROR(copies_->Take(tables, stop));
  writer_->Forget();
  for (const JoinOptions& join : config_.joins) {
    PGFLOW_RETURN_IF_ERROR(nested_->Fit(join.ParentTable(), stop));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::map<schemas::TableName, std::string>> OpenSearchSink::FindOutdated(
    std::stop_token stop) {
  return copies_->FindOutdated(std::move(stop));
}

absl::Status OpenSearchSink::ResetTable(const engine::TablePlan& table, std::stop_token stop) {
  NoteCopied(table);
  return keeper_->Reset(table, std::move(stop));
}

absl::StatusOr<std::unique_ptr<engine::SnapshotLane>> OpenSearchSink::OpenLane(std::stop_token) {
  PGFLOW_ASSIGN_OR_RETURN(std::unique_ptr<Cluster> cluster, Cluster::Make(config_, owner_));
  return std::make_unique<SearchSnapshotLane>(config_, product_, std::move(cluster), *join_lock_,
                                              copied_);
}

absl::StatusOr<engine::WriteResult> OpenSearchSink::Write(const engine::Window& window,
                                                          std::stop_token stop) {
  PGFLOW_RETURN_IF_ERROR(keeper_->RemoveOld(stop));
  PGFLOW_ASSIGN_OR_RETURN(std::vector<engine::Rejection> rejections,
                          writer_->Write(window, std::move(stop)));
  if (window.ends_at_commit) written_ = window.end;
  return engine::WriteResult{std::move(rejections)};
}

engine::ComponentType<engine::Sink> OpenSearchSinkType() {
  auto type = engine::MakeComponentType<engine::Sink, OpenSearchSinkConfig>(
      "opensearch", "Keeps search indices of OpenSearch or Elasticsearch equal to the tables.",
      "effectively once: a replay changes nothing (id from the key, version from the commit LSN)",
      &OpenSearchSinkSpec, &OpenSearchSink::Make);
  // A second one of the same options brings tables into the running stream of the first.
  type.make = [make = std::move(type.make), lock = std::make_shared<base::Mutex>()](
                  const config::Node& node, config::Problems& problems) {
    std::unique_ptr<engine::Sink> sink = make(node, problems);
    if (sink != nullptr) static_cast<OpenSearchSink&>(*sink).ShareJoinLock(lock);
    return sink;
  };
  return type;
}

}  // namespace pgflow::sinks
