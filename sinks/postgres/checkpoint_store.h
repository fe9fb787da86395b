// PostgresCheckpointStore: the checkpoint tables in the target, and the epoch that fences off a
// pgflow that was replaced.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include <absl/base/thread_annotations.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "base/mutex.h"
#include "engine/api/checkpoint.h"
#include "engine/api/sink.h"
#include "postgres/client/connection.h"

namespace pgflow::sinks {

// What the sink's sessions write into their own transactions. Texts are kept for Parameter.
class CheckpointStatements {
 public:
  CheckpointStatements(std::string schema, std::string pipeline, std::string sink);

  // Moves the stream's checkpoint; fails with NOT NULL on `epoch` when another pgflow took over,
  // touches no row when there is no checkpoint. Parameters: see Advance.
  const std::string& advance_sql() const { return advance_sql_; }
  std::span<const postgres::Oid> advance_types() const { return kAdvanceTypes; }
  struct Advance {
    std::array<std::string, 6> texts;
    std::array<postgres::Parameter, 6> parameters;
  };
  void Fill(engine::StreamPoint point, absl::Time commit_time, Advance& out) const;

  // Enters a finished range; touches no row when another pgflow took over.
  std::string RangeSql(const postgres::Connection& connection, const schemas::TableName& table,
                       engine::BlockRange range) const;
  // Only that check: gives one row, or none.
  std::string FenceSql(const postgres::Connection& connection) const;

  const std::string& schema() const { return schema_; }
  const std::string& pipeline() const { return pipeline_; }
  const std::string& sink() const { return sink_; }
  // The replication origin of what the stream applies.
  std::string Origin() const { return "pgflow_" + pipeline_ + "_" + sink_; }
  int64_t epoch() const { return epoch_.load(); }
  void set_epoch(int64_t epoch) { epoch_.store(epoch); }

  // "another pgflow has taken over" instead of the server's words, when `status` is that.
  absl::Status Explain(const absl::Status& status) const;
  absl::Status TakenOver() const;

 private:
  static const std::array<postgres::Oid, 6> kAdvanceTypes;

  std::string schema_;  // Quoted.
  std::string pipeline_;
  std::string sink_;
  std::string advance_sql_;
  std::atomic<int64_t> epoch_{0};
};

// Thread-safe. Has a connection of its own, made when it is needed and again after an error.
class PostgresCheckpointStore final : public engine::CheckpointStore {
 public:
  PostgresCheckpointStore(std::string url, std::shared_ptr<CheckpointStatements> statements);

  // Called first by Forget: ends the sessions that hold the sink's replication origins.
  void set_before_forget(std::function<void()> end_sessions) {
    before_forget_ = std::move(end_sessions);
  }

  // Creates the tables that are missing and takes the sink over (a new epoch).
  absl::Status Open(std::stop_token stop);

  // Instead of Open: reads, and takes nothing over.
  absl::StatusOr<std::optional<engine::SinkCheckpoint>> Peek(std::stop_token stop);

  absl::StatusOr<std::optional<engine::SinkCheckpoint>> Load() override;
  absl::Status Begin(const engine::SourceIdentity& identity, engine::StreamPoint start) override;
  absl::Status BeginTable(const engine::TableProgress& progress) override;
  absl::Status FinishRange(const schemas::TableName& table, engine::BlockRange range) override;
  absl::Status FinishTable(const schemas::TableName& table) override;
  absl::Status FinishSnapshot() override;
  absl::Status AdvanceStream(engine::StreamPoint point) override;
  absl::Status FollowTimeline(uint32_t timeline) override;
  absl::Status Forget() override;

 private:
  absl::Status Connect() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CreateTables() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<bool> TablesExist() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // BEGIN, the epoch's check, `sql` (a statement each), COMMIT.
  absl::Status Change(const std::vector<std::string>& sql, bool fenced)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<postgres::Result> Run(const std::string& sql)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::string Literal(std::string_view text) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return connection_->QuoteLiteral(text);
  }
  // "pipeline = '..' AND sink = '..'"
  std::string Mine() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::string OfTable(const schemas::TableName& table) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status LoadTables(engine::SinkCheckpoint& checkpoint) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string url_;
  const std::shared_ptr<CheckpointStatements> statements_;
  std::function<void()> before_forget_;
  mutable base::Mutex mutex_;
  std::stop_token stop_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<postgres::Connection> connection_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace pgflow::sinks
