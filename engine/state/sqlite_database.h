// SqliteDatabase: the file in the state directory, and how it is asked.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <variant>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

struct sqlite3;
struct sqlite3_stmt;

namespace pgflow::engine {

// One file for a pipeline (state.db), shared by its sinks: one SqliteDatabase, one store a sink;
// and files of components that have more to remember. Thread-safe: SQLite serialises, and so does
// the busy timeout between processes.
class SqliteDatabase {
 public:
  // Creates directory and file. kFailedPrecondition, naming the path, when that is not possible.
  static absl::StatusOr<std::unique_ptr<SqliteDatabase>> Open(const std::string& directory);
  // Another file there, of one component: it has tables for checkpoints, and those of `schema`
  // (SQL). Only its user may read it.
  static absl::StatusOr<std::unique_ptr<SqliteDatabase>> Open(const std::string& directory,
                                                              const std::string& file,
                                                              const char* schema);
  // Such a file, with all that is in it; nobody has it open. OK when there is none.
  static absl::Status Remove(const std::string& directory, const std::string& file);
  ~SqliteDatabase();
  SqliteDatabase(const SqliteDatabase&) = delete;
  SqliteDatabase& operator=(const SqliteDatabase&) = delete;

  using Bound = std::variant<std::string, int64_t>;

  // One row of an answer, valid in the call it is given to.
  class Row {
   public:
    explicit Row(sqlite3_stmt* statement) : statement_(statement) {}
    std::string text(int column) const;  // "" for NULL.
    int64_t integer(int column) const;

   private:
    sqlite3_stmt* statement_;
  };

  const std::string& directory() const { return directory_; }

  // Runs one statement with its `?` bound; `on_row` sees each row of the answer. Durable when it
  // returns. kFailedPrecondition, naming the file, when that failed.
  absl::Status Query(const char* sql, std::span<const Bound> bounds,
                     const std::function<void(const Row&)>& on_row = nullptr) const;
  absl::Status Query(const char* sql, std::initializer_list<Bound> bounds,
                     const std::function<void(const Row&)>& on_row = nullptr) const {
    return Query(sql, std::span(bounds.begin(), bounds.size()), on_row);
  }
  // All that `work` asks, or nothing. The caller sees to it that nobody else asks meanwhile.
  absl::Status Transaction(const std::function<absl::Status()>& work) const;

 private:
  absl::StatusOr<bool> IsOld() const;  // Made by a version that had fewer columns.
  SqliteDatabase(sqlite3* handle, std::string directory, std::string path)
      : handle_(handle), directory_(std::move(directory)), path_(std::move(path)) {}
  sqlite3* handle_;
  std::string directory_;
  std::string path_;
};

}  // namespace pgflow::engine
