#include "engine/state/sqlite_checkpoint_store.h"

#include <cstdint>
#include <cstdlib>
#include <utility>

#include "base/status.h"

namespace pgflow::engine {
namespace {

using Row = SqliteDatabase::Row;

postgres::Lsn LsnAt(const Row& row, int column) {
  return postgres::Lsn::Parse(row.text(column)).value_or(postgres::Lsn());
}

}  // namespace

absl::StatusOr<std::optional<SinkCheckpoint>> SqliteCheckpointStore::Load() {
  std::optional<SinkCheckpoint> checkpoint;
  PGFLOW_RETURN_IF_ERROR(database_.Query(

      "SELECT system_identifier, timeline, database, slot, commit_lsn, end_lsn, snapshot_complete "
      "FROM checkpoint WHERE sink = ?",
      {key_}, [&](const Row& row) {
        checkpoint.emplace();
        checkpoint->identity = {std::strtoull(row.text(0).c_str(), nullptr, 10),
                                static_cast<uint32_t>(row.integer(1)), row.text(2), row.text(3)};
        checkpoint->stream = {LsnAt(row, 4), LsnAt(row, 5)};
        checkpoint->snapshot_complete = row.integer(6) != 0;
      }));
  if (checkpoint.has_value()) PGFLOW_RETURN_IF_ERROR(LoadTables(*checkpoint));
  return checkpoint;
}

absl::Status SqliteCheckpointStore::LoadTables(SinkCheckpoint& checkpoint) {
  PGFLOW_RETURN_IF_ERROR(database_.Query(
      "SELECT schema_name, table_name, snapshot_lsn, snapshot, catch_up_until, complete "
      "FROM table_progress WHERE sink = ?",
      {key_}, [&](const Row& row) {
        TableProgress table;
        table.table = {row.text(0), row.text(1)};
        table.snapshot_lsn = LsnAt(row, 2);
        table.snapshot = row.text(3);
        table.catch_up_until = LsnAt(row, 4);
        table.complete = row.integer(5) != 0;
        checkpoint.tables.push_back(std::move(table));
      }));
  for (TableProgress& table : checkpoint.tables) {
    PGFLOW_RETURN_IF_ERROR(database_.Query(
        "SELECT first_block, end_block FROM finished_range "
        "WHERE sink = ? AND schema_name = ? AND table_name = ? ORDER BY first_block",
        {key_, table.table.schema, table.table.name}, [&](const Row& row) {
          table.finished.push_back(
              {static_cast<uint32_t>(row.integer(0)), static_cast<uint32_t>(row.integer(1))});
        }));
  }
  return absl::OkStatus();
}

absl::Status SqliteCheckpointStore::Begin(const SourceIdentity& identity, StreamPoint start) {
  PGFLOW_RETURN_IF_ERROR(Forget());
  return database_.Query(
      "INSERT INTO checkpoint VALUES (?, ?, ?, ?, ?, ?, ?, 0)",
      {key_, std::to_string(identity.system_identifier), static_cast<int64_t>(identity.timeline),
       identity.database, identity.slot, start.commit_lsn.ToString(), start.end_lsn.ToString()});
}

absl::Status SqliteCheckpointStore::BeginTable(const TableProgress& progress) {
  const std::string& schema = progress.table.schema;
  const std::string& name = progress.table.name;
  PGFLOW_RETURN_IF_ERROR(database_.Query(
      "DELETE FROM finished_range WHERE sink = ? AND schema_name = ? AND table_name = ?",
      {key_, schema, name}));
  PGFLOW_RETURN_IF_ERROR(
      database_.Query("INSERT OR REPLACE INTO table_progress VALUES (?, ?, ?, ?, ?, ?, ?)",
                      {key_, schema, name, progress.snapshot_lsn.ToString(), progress.snapshot,
                       progress.catch_up_until.ToString(), int64_t{progress.complete}}));
  for (const BlockRange& range : progress.finished) {
    PGFLOW_RETURN_IF_ERROR(FinishRange(progress.table, range));
  }
  return absl::OkStatus();
}

absl::Status SqliteCheckpointStore::FinishRange(const schemas::TableName& table, BlockRange range) {
  return database_.Query("INSERT OR REPLACE INTO finished_range VALUES (?, ?, ?, ?, ?)",
                         {key_, table.schema, table.name, static_cast<int64_t>(range.first),
                          static_cast<int64_t>(range.end)});
}

absl::Status SqliteCheckpointStore::FinishTable(const schemas::TableName& table) {
  return database_.Query(
      "UPDATE table_progress SET complete = 1 "
      "WHERE sink = ? AND schema_name = ? AND table_name = ?",
      {key_, table.schema, table.name});
}

absl::Status SqliteCheckpointStore::FinishSnapshot() {
  return database_.Query("UPDATE checkpoint SET snapshot_complete = 1 WHERE sink = ?", {key_});
}

absl::Status SqliteCheckpointStore::AdvanceStream(StreamPoint point) {
  return database_.Query("UPDATE checkpoint SET commit_lsn = ?, end_lsn = ? WHERE sink = ?",
                         {point.commit_lsn.ToString(), point.end_lsn.ToString(), key_});
}

absl::Status SqliteCheckpointStore::FollowTimeline(uint32_t timeline) {
  return database_.Query("UPDATE checkpoint SET timeline = ? WHERE sink = ?",
                         {int64_t{timeline}, key_});
}

absl::Status SqliteCheckpointStore::Forget() {
  for (const char* sql :
       {"DELETE FROM finished_range WHERE sink = ?", "DELETE FROM table_progress WHERE sink = ?",
        "DELETE FROM checkpoint WHERE sink = ?"}) {
    PGFLOW_RETURN_IF_ERROR(database_.Query(sql, {key_}));
  }
  return absl::OkStatus();
}

}  // namespace pgflow::engine
