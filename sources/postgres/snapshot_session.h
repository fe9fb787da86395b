// PostgresSnapshotSession: one exported snapshot, kept alive by guard sessions.
//
// A guard is a transaction that imported the snapshot and exported it again, so that the snapshot
// outlives any single connection. A thread of the session looks after them and replaces a dead
// guard from a living one. Thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include <absl/base/thread_annotations.h>

#include "base/mutex.h"
#include "engine/api/snapshot.h"
#include "postgres/client/connection.h"
#include "schemas/catalog.h"
#include "sources/postgres/published_tables.h"
#include "sources/postgres/source_config.h"

namespace pgflow::sources {

struct SnapshotRequest {
  postgres::ConnectOptions connect;
  schemas::TableFilter filter;
  std::string publication;  // Whose rows and columns are read.
  bool of_stream = false;   // And whose tables, without these:
  std::set<postgres::Oid> left_out{};
  uint64_t range_bytes = 0;
  BinaryMode binary = BinaryMode::kAuto;
  postgres::Lsn consistent_point;
  std::string exported;  // The snapshot to import; must live until Open returns.
};

// What a reader must know of a table beside engine::SnapshotTable.
struct TableSource {
  // Columns that no row of it brings but whose names its row filter may use: by attribute number.
  std::map<int16_t, std::string> other_columns{};
  uint32_t filenode = 0;  // As the snapshot saw it.
  bool partitioned = false;
  std::map<postgres::Oid, uint32_t> leaves;  // The same of a partitioned table's leaves.
  std::string row_filter;                    // SQL; empty: all rows.
  engine::CopyFormat format = engine::CopyFormat::kBinary;
};

// SET TRANSACTION SNAPSHOT failed because the snapshot is not there (any more).
bool IsSnapshotGone(const absl::Status& status);

class PostgresSnapshotSession final : public engine::SnapshotSession {
 public:
  // IsSnapshotGone: the exported snapshot is.
  static absl::StatusOr<std::unique_ptr<PostgresSnapshotSession>> Open(SnapshotRequest request,
                                                                       std::stop_token stop);
  ~PostgresSnapshotSession() override;

  postgres::Lsn consistent_point() const override { return request_.consistent_point; }
  const std::string& snapshot() const override { return snapshot_; }
  std::span<const engine::SnapshotTable> tables() const override { return tables_; }
  const schemas::DatabaseDefinition& definition() const override { return definition_; }
  absl::StatusOr<std::unique_ptr<engine::RangeReader>> OpenReader(std::stop_token stop) override;

  // For readers.
  const TableSource& source_of(uint32_t table) const { return sources_[table]; }
  // A name to import, other than `failed`, which the caller could not import. kAborted with
  // kSnapshotLostPayload: none is left.
  absl::StatusOr<std::string> NameToImport(const std::string& failed, std::stop_token stop);
  // The backends of the guards, for tests and messages.
  std::vector<int> GuardPids() const;

 private:
  struct Guard {
    std::unique_ptr<postgres::Connection> connection;
    std::string exported;
  };

  explicit PostgresSnapshotSession(SnapshotRequest request) : request_(std::move(request)) {}

  absl::StatusOr<Guard> OpenGuard(const std::string& exported, const std::stop_token& stop) const;
  absl::Status Plan(postgres::Connection& connection, const std::stop_token& stop);
  // Of the chosen tables, those that the stream carries.
  void Narrow(const PublicationContent& publication, schemas::Catalog& catalog) const;
  void PlanTable(const schemas::CatalogTable& table, bool ranges, uint64_t block_bytes);
  void NoteFilteredColumns();
  // The body of the watching thread: owns `guards` from then on.
  void Watch(std::vector<Guard> guards, std::stop_token stop);
  void Publish(const std::vector<Guard>& guards);

  const SnapshotRequest request_;
  std::string snapshot_;
  std::vector<engine::SnapshotTable> tables_;
  std::vector<TableSource> sources_;
  schemas::DatabaseDefinition definition_;

  mutable base::Mutex mutex_;
  std::vector<std::string> living_ ABSL_GUARDED_BY(mutex_);
  std::vector<int> pids_ ABSL_GUARDED_BY(mutex_);
  std::string suspect_ ABSL_GUARDED_BY(mutex_);  // A reader could not import it.
  uint64_t looks_ ABSL_GUARDED_BY(mutex_) = 0;   // How often the guards were looked at.
  uint64_t next_ ABSL_GUARDED_BY(mutex_) = 0;    // Spreads the readers over the guards.

  std::jthread watcher_;  // Last: ends before what it uses.
};

}  // namespace pgflow::sources
