#include "engine/state/sqlite_database.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include <fmt/format.h>

#include "base/private_directory.h"
#include "base/status.h"

namespace pgflow::engine {
namespace {

constexpr const char* kSchema = R"(
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
CREATE TABLE IF NOT EXISTS checkpoint (
  sink TEXT PRIMARY KEY, system_identifier TEXT NOT NULL, timeline INTEGER NOT NULL,
  database TEXT NOT NULL, slot TEXT NOT NULL, commit_lsn TEXT NOT NULL, end_lsn TEXT NOT NULL,
  snapshot_complete INTEGER NOT NULL DEFAULT 0, snapshot_lsn TEXT NOT NULL DEFAULT '0/0');
CREATE TABLE IF NOT EXISTS table_progress (
  sink TEXT NOT NULL, schema_name TEXT NOT NULL, table_name TEXT NOT NULL,
  snapshot_lsn TEXT NOT NULL, snapshot TEXT NOT NULL, catch_up_until TEXT NOT NULL,
  complete INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (sink, schema_name, table_name));
CREATE TABLE IF NOT EXISTS finished_range (
  sink TEXT NOT NULL, schema_name TEXT NOT NULL, table_name TEXT NOT NULL,
  first_block INTEGER NOT NULL, end_block INTEGER NOT NULL,
  PRIMARY KEY (sink, schema_name, table_name, first_block));
CREATE TABLE IF NOT EXISTS refresh_request (
  id INTEGER PRIMARY KEY AUTOINCREMENT, pipeline TEXT NOT NULL, request TEXT NOT NULL,
  done INTEGER NOT NULL DEFAULT 0, answer TEXT);
)";

// What the file of an older version lacks.
constexpr const char* kMissingColumn =
    "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM pragma_table_info('checkpoint') WHERE name = "
    "'snapshot_lsn')";
constexpr const char* kAddColumn =
    "ALTER TABLE checkpoint ADD COLUMN snapshot_lsn TEXT NOT NULL DEFAULT '0/0'";

constexpr int kBusyMilliseconds = 30'000;

// A full disk has room again some day; nothing was written, so it can be tried again.
absl::StatusCode CodeOf(int outcome, sqlite3* handle) {
  const bool full =
      outcome == SQLITE_FULL ||
      (outcome == SQLITE_IOERR && sqlite3_extended_errcode(handle) == SQLITE_IOERR_WRITE);
  if (full) return absl::StatusCode::kResourceExhausted;
  if (outcome == SQLITE_BUSY || outcome == SQLITE_LOCKED) return absl::StatusCode::kUnavailable;
  return absl::StatusCode::kFailedPrecondition;
}

// Ends the statement whatever comes.
struct Statement {
  ~Statement() { sqlite3_finalize(prepared); }
  sqlite3_stmt* prepared = nullptr;
};

}  // namespace

absl::StatusOr<std::unique_ptr<SqliteDatabase>> SqliteDatabase::Open(const std::string& directory) {
  return Open(directory, "state.db", "");
}

absl::StatusOr<std::unique_ptr<SqliteDatabase>> SqliteDatabase::Open(const std::string& directory,
                                                                     const std::string& file,
                                                                     const char* schema) {
  PGFLOW_RETURN_IF_ERROR(base::MakePrivateDirectory(directory));
  const std::string path = directory + "/" + file;
  // Before the library makes it, and -wal and -shm as it is: rows and places are its user's only.
  const int made = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (made >= 0) {
    ::fchmod(made, 0600);
    ::close(made);
  }
  sqlite3* handle = nullptr;
  int outcome = sqlite3_open(path.c_str(), &handle);
  if (outcome == SQLITE_OK) {
    // Of several writers each holds the file for a window's time at most.
    sqlite3_busy_timeout(handle, kBusyMilliseconds);
    outcome = sqlite3_exec(handle, kSchema, nullptr, nullptr, nullptr);
  }
  if (outcome == SQLITE_OK) outcome = sqlite3_exec(handle, schema, nullptr, nullptr, nullptr);
  std::unique_ptr<SqliteDatabase> database(new SqliteDatabase(handle, directory, path));
  if (outcome != SQLITE_OK) {
    return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                            "state store {}: {}; set state.directory to a writable place", path,
                            sqlite3_errmsg(handle));
  }
  PGFLOW_ASSIGN_OR_RETURN(const bool old, database->IsOld());
  if (old) {
    // Another process may be about the same.
    PGFLOW_RETURN_IF_ERROR(database->Transaction([&]() -> absl::Status {
      PGFLOW_ASSIGN_OR_RETURN(const bool still, database->IsOld());
      return still ? database->Query(kAddColumn, {}) : absl::OkStatus();
    }));
  }
  return database;
}

absl::StatusOr<bool> SqliteDatabase::IsOld() const {
  bool old = false;
  PGFLOW_RETURN_IF_ERROR(Query(kMissingColumn, {}, [&](const Row&) { old = true; }));
  return old;
}

absl::Status SqliteDatabase::Remove(const std::string& directory, const std::string& file) {
  for (const char* suffix : {"", "-wal", "-shm"}) {
    std::error_code error;
    const std::string path = fmt::format("{}/{}{}", directory, file, suffix);
    std::filesystem::remove(path, error);
    if (!error) continue;
    return base::MakeStatus(absl::StatusCode::kFailedPrecondition, "state store {}: {}", path,
                            error.message());
  }
  return absl::OkStatus();
}

SqliteDatabase::~SqliteDatabase() { sqlite3_close(handle_); }

std::string SqliteDatabase::Row::text(int column) const {
  const unsigned char* text = sqlite3_column_text(statement_, column);
  if (text == nullptr) return {};
  return {reinterpret_cast<const char*>(text),
          static_cast<size_t>(sqlite3_column_bytes(statement_, column))};
}

int64_t SqliteDatabase::Row::integer(int column) const {
  return sqlite3_column_int64(statement_, column);
}

absl::Status SqliteDatabase::Query(const char* sql, std::span<const Bound> bounds,
                                   const std::function<void(const Row&)>& on_row) const {
  Statement statement;
  int outcome = sqlite3_prepare_v2(handle_, sql, -1, &statement.prepared, nullptr);
  int index = 1;
  for (const Bound& bound : bounds) {
    if (const auto* text = std::get_if<std::string>(&bound)) {
      sqlite3_bind_text(statement.prepared, index++, text->data(), static_cast<int>(text->size()),
                        SQLITE_STATIC);
    } else {
      sqlite3_bind_int64(statement.prepared, index++, std::get<int64_t>(bound));
    }
  }
  if (outcome == SQLITE_OK) {
    while ((outcome = sqlite3_step(statement.prepared)) == SQLITE_ROW) {
      if (on_row) on_row(Row(statement.prepared));
    }
    if (outcome == SQLITE_DONE) return absl::OkStatus();
  }
  return base::MakeStatus(CodeOf(outcome, handle_), "state store {}: {}", path_,
                          sqlite3_errmsg(handle_));
}

absl::Status SqliteDatabase::Transaction(const std::function<absl::Status()>& work) const {
  PGFLOW_RETURN_IF_ERROR(Query("BEGIN IMMEDIATE", {}));
  absl::Status status = work();
  if (status.ok()) status = Query("COMMIT", {});
  if (!status.ok()) {
    // What went wrong first is what counts; without a transaction this changes nothing.
    const absl::Status undone = Query("ROLLBACK", {});
    static_cast<void>(undone.ok());
  }
  return status;
}

}  // namespace pgflow::engine
