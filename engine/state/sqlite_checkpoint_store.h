// SqliteCheckpointStore: checkpoints of the sinks that cannot keep their own, in the state
// directory.
#pragma once

#include <span>
#include <string>

#include "engine/api/checkpoint.h"
#include "engine/state/sqlite_database.h"

namespace pgflow::engine {

// The database must outlive it. Thread-safe.
class SqliteCheckpointStore final : public CheckpointStore {
 public:
  SqliteCheckpointStore(SqliteDatabase& database, std::string pipeline, std::string sink)
      : database_(database), key_(std::move(pipeline) + "/" + std::move(sink)) {}

  absl::StatusOr<std::optional<SinkCheckpoint>> Load() override;
  absl::Status Begin(const SourceIdentity& identity, StreamPoint start) override;
  absl::Status BeginTables(std::span<const TableProgress> tables) override;
  absl::Status FinishRange(const schemas::TableName& table, BlockRange range) override;
  absl::Status FinishTables(std::span<const schemas::TableName> tables) override;
  absl::Status FinishSnapshot(postgres::Lsn lsn) override;
  absl::Status AdvanceStream(StreamPoint point) override;
  absl::Status FollowTimeline(uint32_t timeline) override;
  absl::Status Forget() override;

 private:
  absl::Status BeginSome(std::span<const TableProgress> tables);
  absl::Status LoadTables(SinkCheckpoint& checkpoint);

  SqliteDatabase& database_;
  std::string key_;
};

}  // namespace pgflow::engine
