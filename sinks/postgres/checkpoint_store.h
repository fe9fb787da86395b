// PostgresCheckpointStore: the checkpoint tables in the target, and the epoch that fences off a
// pgflow that was replaced.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <absl/base/thread_annotations.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "base/mutex.h"
#include "engine/api/checkpoint.h"
#include "engine/api/sink.h"
#include "postgres/client/connection.h"
#include "sinks/postgres/checkpoint_statements.h"

namespace pgflow::sinks {

// Thread-safe. Has a connection of its own, made when it is needed and again after an error.
class PostgresCheckpointStore final : public engine::CheckpointStore {
 public:
  PostgresCheckpointStore(std::string url, std::shared_ptr<CheckpointStatements> statements);

  // Called first by Forget: ends the sessions that hold the sink's replication origins.
  void set_before_forget(std::function<void()> end_sessions) {
    before_forget_ = std::move(end_sessions);
  }

  // Creates the tables that are missing and takes the sink, with a new epoch: from anybody at the
  // first call, once `confirm_slot` (may be null) says who we are; later only from ourselves, which
  // ends what our own lost sessions were about to commit. kFailedPrecondition: it is another's.
  absl::Status Open(const engine::ConfirmSlot& confirm_slot, std::stop_token stop);

  // Instead of Open: reads, and takes nothing over.
  absl::StatusOr<std::optional<engine::SinkCheckpoint>> Peek(std::stop_token stop);

  absl::StatusOr<std::optional<engine::SinkCheckpoint>> Load() override;
  absl::Status Begin(const engine::SourceIdentity& identity, engine::StreamPoint start) override;
  absl::Status BeginTables(std::span<const engine::TableProgress> tables) override;
  absl::Status FinishRange(const schemas::TableName& table, engine::BlockRange range) override;
  absl::Status FinishTables(std::span<const schemas::TableName> tables) override;
  absl::Status FinishSnapshot(postgres::Lsn lsn) override;
  absl::Status AdvanceStream(engine::StreamPoint point) override;
  absl::Status FollowTimeline(uint32_t timeline) override;
  absl::Status Forget() override;

 private:
  absl::Status Connect(std::string_view role = "checkpoint") ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CreateTables() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status AddColumns() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<bool> TablesExist() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whose the sink is; nothing when it was never taken.
  absl::StatusOr<std::optional<int64_t>> ReadEpoch() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // False: meanwhile it is no longer `from`'s.
  absl::StatusOr<bool> Take(std::optional<int64_t> from, int64_t epoch)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<bool> TakeOnce(std::optional<int64_t> from, int64_t epoch)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EndOtherSessions() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // `sql` (a statement each) in one transaction that proves the epoch.
  absl::Status Change(const std::vector<std::string>& sql) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<postgres::Result> Run(const std::string& sql)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::string Literal(std::string_view text) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return connection_->QuoteLiteral(text);
  }
  std::string Mine() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return statements_->Mine(*connection_);
  }
  std::string OfTables(std::span<const schemas::TableName> tables) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status LoadTables(engine::SinkCheckpoint& checkpoint) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string url_;
  const std::shared_ptr<CheckpointStatements> statements_;
  std::function<void()> before_forget_;
  mutable base::Mutex mutex_;
  std::stop_token stop_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<postgres::Connection> connection_ ABSL_GUARDED_BY(mutex_);
  bool held_ ABSL_GUARDED_BY(mutex_) = false;  // It was ours once.
  // Epochs that may be ours: the last one, and what was written since without an answer.
  std::vector<int64_t> epochs_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace pgflow::sinks
