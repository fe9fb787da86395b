// Workload: writers that do anything to the schema `w` of a database: rows and DDL, in random
// transactions with savepoints, some of them rolled back.
//
// Thread-safe. Statements that the server refuses (a deadlock, a name that is gone by now) are part
// of it: each stands behind a savepoint of its own. What a seed does is the same again only as far
// as the writers meet in the same order.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "postgres/client/connection.h"

namespace pgflow::tests {

class Workload {
 public:
  // Writes to the database at `url`.
  Workload(std::string url, uint64_t seed) : url_(std::move(url)), seed_(seed) {}

  // Makes the schema, a few tables and their first rows.
  void Create();
  void Start(int writers);
  void Stop() { writers_.clear(); }

  int64_t committed() const { return committed_; }
  int64_t ddl() const { return ddl_; }

 private:
  struct Column {
    std::string name;
    std::string type;
    bool writable = true;
  };
  struct Table {
    std::string name;  // Quoted and qualified.
    char kind = 'r';
    std::vector<Column> columns;
  };

  // One writer's session and dice.
  class Writer {
   public:
    Writer(Workload& workload, uint64_t seed, std::stop_token stop);

    void Create();
    void Run();

   private:
    int Draw(int first, int last) {
      return std::uniform_int_distribution<int>(first, last)(random_);
    }
    bool Chance(int percent) { return Draw(1, 100) <= percent; }
    std::string Name(std::string_view prefix);
    bool Execute(const std::string& sql);
    // Behind a savepoint. False: it was refused, and nothing happened.
    bool Attempt(const std::string& sql);
    void Transaction();
    void Step();

    std::string RandomType();
    std::string ValueOf(const std::string& type);
    std::optional<Table> PickTable(std::string_view kinds = "r");
    std::optional<Column> PickColumn(const Table& table);
    std::string NewTable(std::string* name = nullptr);
    std::string Insert(const Table& table, int rows);
    std::string Update(const Table& table);
    std::string Rows();
    std::string Ddl();
    std::string ColumnDdl(const Table& table);
    std::string IdentityDdl(const Table& table);
    std::string TableDdl(const Table& table);

    Workload& workload_;
    std::mt19937_64 random_;
    std::stop_token stop_;
    std::unique_ptr<postgres::Connection> connection_;
    bool running_ = false;  // The first tables are there.
  };

  const std::string url_;
  const uint64_t seed_;
  std::atomic<int64_t> committed_{0};
  std::atomic<int64_t> ddl_{0};
  std::atomic<int> next_name_{0};
  std::vector<std::jthread> writers_;
};

}  // namespace pgflow::tests
