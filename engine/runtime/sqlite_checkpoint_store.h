// SqliteCheckpointStore: checkpoints of the sinks that cannot keep their own, in the state
// directory.
#pragma once

#include <memory>
#include <string>

#include "engine/api/checkpoint.h"

struct sqlite3;

namespace pgflow::engine {

// One file for a pipeline (state.db), shared by its sinks: one SqliteDatabase, one store a sink.
// The database must outlive its stores. Thread-safe: SQLite serialises, and so does the busy
// timeout between processes.
class SqliteDatabase {
 public:
  // Creates directory and file. kFailedPrecondition, naming the path, when that is not possible.
  static absl::StatusOr<std::unique_ptr<SqliteDatabase>> Open(const std::string& directory);
  ~SqliteDatabase();
  SqliteDatabase(const SqliteDatabase&) = delete;
  SqliteDatabase& operator=(const SqliteDatabase&) = delete;

  sqlite3* handle() const { return handle_; }
  const std::string& path() const { return path_; }

 private:
  SqliteDatabase(sqlite3* handle, std::string path) : handle_(handle), path_(std::move(path)) {}
  sqlite3* handle_;
  std::string path_;
};

class SqliteCheckpointStore final : public CheckpointStore {
 public:
  SqliteCheckpointStore(SqliteDatabase& database, std::string pipeline, std::string sink)
      : database_(database), key_(std::move(pipeline) + "/" + std::move(sink)) {}

  absl::StatusOr<std::optional<SinkCheckpoint>> Load() override;
  absl::Status Begin(const SourceIdentity& identity, StreamPoint start) override;
  absl::Status BeginTable(const TableProgress& progress) override;
  absl::Status FinishRange(const schemas::TableName& table, BlockRange range) override;
  absl::Status FinishTable(const schemas::TableName& table) override;
  absl::Status FinishSnapshot() override;
  absl::Status AdvanceStream(StreamPoint point) override;
  absl::Status Forget() override;

 private:
  absl::Status LoadTables(SinkCheckpoint& checkpoint);

  SqliteDatabase& database_;
  std::string key_;
};

}  // namespace pgflow::engine
