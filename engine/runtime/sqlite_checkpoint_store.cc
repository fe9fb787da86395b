#include "engine/runtime/sqlite_checkpoint_store.h"

#include <sqlite3.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <utility>
#include <variant>

#include "base/status.h"

namespace pgflow::engine {
namespace {

constexpr const char* kSchema = R"(
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
CREATE TABLE IF NOT EXISTS checkpoint (
  sink TEXT PRIMARY KEY, system_identifier TEXT NOT NULL, timeline INTEGER NOT NULL,
  database TEXT NOT NULL, slot TEXT NOT NULL, commit_lsn TEXT NOT NULL, end_lsn TEXT NOT NULL,
  snapshot_complete INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS table_progress (
  sink TEXT NOT NULL, schema_name TEXT NOT NULL, table_name TEXT NOT NULL,
  snapshot_lsn TEXT NOT NULL, snapshot TEXT NOT NULL, catch_up_until TEXT NOT NULL,
  complete INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (sink, schema_name, table_name));
CREATE TABLE IF NOT EXISTS finished_range (
  sink TEXT NOT NULL, schema_name TEXT NOT NULL, table_name TEXT NOT NULL,
  first_block INTEGER NOT NULL, end_block INTEGER NOT NULL,
  PRIMARY KEY (sink, schema_name, table_name, first_block));
)";

using Bound = std::variant<std::string, int64_t>;

class Statement {
 public:
  ~Statement() { sqlite3_finalize(statement_); }
  sqlite3_stmt* statement_ = nullptr;
};

std::string Text(sqlite3_stmt* row, int column) {
  const unsigned char* text = sqlite3_column_text(row, column);
  return text == nullptr ? std::string() : std::string(reinterpret_cast<const char*>(text));
}

postgres::Lsn LsnAt(sqlite3_stmt* row, int column) {
  return postgres::Lsn::Parse(Text(row, column)).value_or(postgres::Lsn());
}

absl::Status Failure(const SqliteDatabase& database) {
  return base::MakeStatus(absl::StatusCode::kFailedPrecondition, "state store {}: {}",
                          database.path(), sqlite3_errmsg(database.handle()));
}

absl::Status Query(const SqliteDatabase& database, const char* sql,
                   std::initializer_list<Bound> bounds,
                   const std::function<void(sqlite3_stmt*)>& on_row = nullptr) {
  Statement prepared;
  if (sqlite3_prepare_v2(database.handle(), sql, -1, &prepared.statement_, nullptr) != SQLITE_OK) {
    return Failure(database);
  }
  int index = 1;
  for (const Bound& bound : bounds) {
    if (const auto* text = std::get_if<std::string>(&bound)) {
      sqlite3_bind_text(prepared.statement_, index++, text->c_str(), -1, SQLITE_TRANSIENT);
    } else {
      sqlite3_bind_int64(prepared.statement_, index++, std::get<int64_t>(bound));
    }
  }
  while (true) {
    const int outcome = sqlite3_step(prepared.statement_);
    if (outcome == SQLITE_DONE) return absl::OkStatus();
    if (outcome != SQLITE_ROW) return Failure(database);
    if (on_row) on_row(prepared.statement_);
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<SqliteDatabase>> SqliteDatabase::Open(const std::string& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  const std::string path = directory + "/state.db";
  sqlite3* handle = nullptr;
  int outcome = sqlite3_open(path.c_str(), &handle);
  if (outcome == SQLITE_OK) {
    sqlite3_busy_timeout(handle, 5000);
    outcome = sqlite3_exec(handle, kSchema, nullptr, nullptr, nullptr);
  }
  std::unique_ptr<SqliteDatabase> database(new SqliteDatabase(handle, path));
  if (outcome != SQLITE_OK) {
    return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                            "state store {}: {}; set state.directory to a writable place", path,
                            sqlite3_errmsg(handle));
  }
  return database;
}

SqliteDatabase::~SqliteDatabase() { sqlite3_close(handle_); }

absl::StatusOr<std::optional<SinkCheckpoint>> SqliteCheckpointStore::Load() {
  std::optional<SinkCheckpoint> checkpoint;
  PGFLOW_RETURN_IF_ERROR(Query(
      database_,
      "SELECT system_identifier, timeline, database, slot, commit_lsn, end_lsn, snapshot_complete "
      "FROM checkpoint WHERE sink = ?",
      {key_}, [&](sqlite3_stmt* row) {
        checkpoint.emplace();
        checkpoint->identity = {std::strtoull(Text(row, 0).c_str(), nullptr, 10),
                                static_cast<uint32_t>(sqlite3_column_int64(row, 1)), Text(row, 2),
                                Text(row, 3)};
        checkpoint->stream = {LsnAt(row, 4), LsnAt(row, 5)};
        checkpoint->snapshot_complete = sqlite3_column_int(row, 6) != 0;
      }));
  if (checkpoint.has_value()) PGFLOW_RETURN_IF_ERROR(LoadTables(*checkpoint));
  return checkpoint;
}

absl::Status SqliteCheckpointStore::LoadTables(SinkCheckpoint& checkpoint) {
  PGFLOW_RETURN_IF_ERROR(
      Query(database_,
            "SELECT schema_name, table_name, snapshot_lsn, snapshot, catch_up_until, complete "
            "FROM table_progress WHERE sink = ?",
            {key_}, [&](sqlite3_stmt* row) {
              TableProgress table;
              table.table = {Text(row, 0), Text(row, 1)};
              table.snapshot_lsn = LsnAt(row, 2);
              table.snapshot = Text(row, 3);
              table.catch_up_until = LsnAt(row, 4);
              table.complete = sqlite3_column_int(row, 5) != 0;
              checkpoint.tables.push_back(std::move(table));
            }));
  for (TableProgress& table : checkpoint.tables) {
    PGFLOW_RETURN_IF_ERROR(
        Query(database_,
              "SELECT first_block, end_block FROM finished_range "
              "WHERE sink = ? AND schema_name = ? AND table_name = ? ORDER BY first_block",
              {key_, table.table.schema, table.table.name}, [&](sqlite3_stmt* row) {
                table.finished.push_back({static_cast<uint32_t>(sqlite3_column_int64(row, 0)),
                                          static_cast<uint32_t>(sqlite3_column_int64(row, 1))});
              }));
  }
  return absl::OkStatus();
}

absl::Status SqliteCheckpointStore::Begin(const SourceIdentity& identity, StreamPoint start) {
  PGFLOW_RETURN_IF_ERROR(Forget());
  return Query(
      database_, "INSERT INTO checkpoint VALUES (?, ?, ?, ?, ?, ?, ?, 0)",
      {key_, std::to_string(identity.system_identifier), static_cast<int64_t>(identity.timeline),
       identity.database, identity.slot, start.commit_lsn.ToString(), start.end_lsn.ToString()});
}

absl::Status SqliteCheckpointStore::BeginTable(const TableProgress& progress) {
  const std::string& schema = progress.table.schema;
  const std::string& name = progress.table.name;
  PGFLOW_RETURN_IF_ERROR(Query(
      database_, "DELETE FROM finished_range WHERE sink = ? AND schema_name = ? AND table_name = ?",
      {key_, schema, name}));
  PGFLOW_RETURN_IF_ERROR(Query(database_,
                               "INSERT OR REPLACE INTO table_progress VALUES (?, ?, ?, ?, ?, ?, 0)",
                               {key_, schema, name, progress.snapshot_lsn.ToString(),
                                progress.snapshot, progress.catch_up_until.ToString()}));
  for (const BlockRange& range : progress.finished) {
    PGFLOW_RETURN_IF_ERROR(FinishRange(progress.table, range));
  }
  return absl::OkStatus();
}

absl::Status SqliteCheckpointStore::FinishRange(const schemas::TableName& table, BlockRange range) {
  return Query(database_, "INSERT OR REPLACE INTO finished_range VALUES (?, ?, ?, ?, ?)",
               {key_, table.schema, table.name, static_cast<int64_t>(range.first),
                static_cast<int64_t>(range.end)});
}

absl::Status SqliteCheckpointStore::FinishTable(const schemas::TableName& table) {
  return Query(database_,
               "UPDATE table_progress SET complete = 1 "
               "WHERE sink = ? AND schema_name = ? AND table_name = ?",
               {key_, table.schema, table.name});
}

absl::Status SqliteCheckpointStore::FinishSnapshot() {
  return Query(database_, "UPDATE checkpoint SET snapshot_complete = 1 WHERE sink = ?", {key_});
}

absl::Status SqliteCheckpointStore::AdvanceStream(StreamPoint point) {
  return Query(database_, "UPDATE checkpoint SET commit_lsn = ?, end_lsn = ? WHERE sink = ?",
               {point.commit_lsn.ToString(), point.end_lsn.ToString(), key_});
}

absl::Status SqliteCheckpointStore::Forget() {
  for (const char* sql :
       {"DELETE FROM finished_range WHERE sink = ?", "DELETE FROM table_progress WHERE sink = ?",
        "DELETE FROM checkpoint WHERE sink = ?"}) {
    PGFLOW_RETURN_IF_ERROR(Query(database_, sql, {key_}));
  }
  return absl::OkStatus();
}

}  // namespace pgflow::engine
