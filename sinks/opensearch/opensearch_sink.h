// OpenSearchSink: one index a table in OpenSearch or Elasticsearch, kept equal to the table.
//
// Effectively once: a document's id comes from the row's key, its version from the commit LSN
// (external_gte), so that what is written again changes nothing (docs/adr/0010). Keeps no
// checkpoint of its own. A transaction larger than a window becomes visible in parts.
//
// Threads: as engine/api/sink.h says; each lane has a connection of its own. Errors: those of
// WindowWriter and SearchSnapshotLane.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "engine/api/registry.h"
#include "engine/api/sink.h"
#include "sinks/opensearch/cluster.h"
#include "sinks/opensearch/index_copies.h"
#include "sinks/opensearch/index_keeper.h"
#include "sinks/opensearch/nested_rows.h"
#include "sinks/opensearch/sink_config.h"
#include "sinks/opensearch/window_writer.h"

namespace pgflow::sinks {

class OpenSearchSink final : public engine::Sink {
 public:
  static absl::StatusOr<std::unique_ptr<engine::Sink>> Make(OpenSearchSinkConfig config);

  explicit OpenSearchSink(OpenSearchSinkConfig config) : config_(std::move(config)) {}

  // With other sinks of the same documents, before Open: one for all of them.
  void ShareJoinLock(std::shared_ptr<base::Mutex> lock) { join_lock_ = std::move(lock); }

  absl::Status Open(const engine::SinkContext& context, std::stop_token stop) override;
  absl::StatusOr<std::vector<engine::Finding>> Check(const schemas::DatabaseDefinition& definition,
                                                     std::span<const engine::TablePlan> tables,
                                                     std::stop_token stop) override;
  absl::Status PrepareSnapshot(const schemas::DatabaseDefinition& definition,
                               std::span<const engine::TablePlan> tables,
                               std::span<const engine::TablePlan> resumed,
                               std::stop_token stop) override;
  absl::StatusOr<engine::ResumeLimits> LimitResuming(std::span<const engine::TablePlan> tables,
                                                     std::stop_token stop) override;
  absl::Status ResetTable(const engine::TablePlan& table, std::stop_token stop) override;
  // Lanes must not outlive the sink.
  absl::StatusOr<std::unique_ptr<engine::SnapshotLane>> OpenLane(std::stop_token stop) override;
  absl::StatusOr<engine::WriteResult> Write(const engine::Window& window,
                                            std::stop_token stop) override;
  bool copies_beside() const override { return true; }
  absl::Status FinishCopies(const std::map<schemas::TableName, postgres::Lsn>& tables,
                            std::stop_token stop) override;
  absl::Status TakeCopies(std::span<const engine::TableProgress> tables,
                          std::stop_token stop) override;
  absl::StatusOr<std::map<schemas::TableName, std::string>> FindOutdated(
      std::stop_token stop) override;
  // A bulk request is answered when its translog is on disk (index.translog.durability: request).
  absl::StatusOr<engine::StreamPoint> Durable(std::stop_token /*stop*/) override {
    return written_;
  }

 private:
  // Into its copy, when it is one of those.
  void NoteCopied(const engine::TablePlan& table);

  const OpenSearchSinkConfig config_;
  std::string owner_;
  SearchProduct product_;
  std::map<std::string, schemas::TableName> owners_;
  std::unique_ptr<Cluster> cluster_;
  std::unique_ptr<IndexKeeper> keeper_;
  std::shared_ptr<base::Mutex> join_lock_ = std::make_shared<base::Mutex>();
  std::unique_ptr<NestedRows> nested_;
  std::unique_ptr<IndexCopies> copies_;
  std::unique_ptr<WindowWriter> writer_;
  std::set<schemas::TableName> sources_;  // Whose rows go into copies.
  std::set<schemas::TableName> copied_;   // What they are called here.
  bool looks_for_left_ = false;           // Since it was opened.
  bool has_looked_ = false;
  absl::Time started_ = absl::InfinitePast();  // The first Open.
  postgres::Lsn sent_;                         // By writers of earlier Opens.
  engine::StreamPoint written_;
};

engine::ComponentType<engine::Sink> OpenSearchSinkType();

}  // namespace pgflow::sinks
