#include "tests/crash/bank.h"

#include <absl/time/clock.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

namespace pgflow::tests {
namespace {

int Draw(std::mt19937_64& random, int first, int last) {
  return std::uniform_int_distribution<int>(first, last)(random);
}

bool Chance(std::mt19937_64& random, int percent) { return Draw(random, 1, 100) <= percent; }

constexpr const char* kTables = R"sql(
DROP TABLE IF EXISTS account, journal, document, writer;
CREATE TABLE account (id int PRIMARY KEY, balance bigint NOT NULL, touched int NOT NULL DEFAULT 0,
  owner text);
CREATE TABLE journal (account int, amount bigint NOT NULL, note text);
ALTER TABLE journal REPLICA IDENTITY FULL;
CREATE TABLE document (id int PRIMARY KEY, version int NOT NULL, body text, tail text);
ALTER TABLE document ALTER COLUMN body SET STORAGE EXTERNAL;
CREATE TABLE writer (id int PRIMARY KEY, sequence bigint NOT NULL);
)sql";

}  // namespace

const std::vector<std::string>& Bank::Tables() {
  static const std::vector<std::string> tables = {"account", "journal", "document", "writer"};
  return tables;
}

Bank::Bank(engine::ScratchPostgres& source, BankOptions options)
    : source_(source), options_(options) {}

bool Bank::Create() {
  const std::string rows = fmt::format(
      "INSERT INTO account SELECT i, 1000, 0, repeat('owner ' || i, 15) FROM"
      " generate_series(1, {0}) i;"
      // Pairs that cancel out; many rows are equal to another.
      "INSERT INTO journal SELECT i % 50, CASE i % 2 WHEN 0 THEN 5 ELSE -5 END, repeat('n', 100)"
      " FROM generate_series(1, {1}) i;"
      "INSERT INTO document SELECT i, 0, (SELECT string_agg(md5(i || '-' || j), '') FROM"
      " generate_series(1, 100 + i % 100) j), 'tail' FROM generate_series(1, {2}) i;"
      "INSERT INTO writer SELECT i, 0 FROM generate_series(0, {3} - 1) i; ANALYZE",
      options_.accounts, options_.journal_rows / 2 * 2, options_.documents, options_.writers);
  const absl::Status status = source_.Execute(kTables + rows);
  EXPECT_TRUE(status.ok()) << status;
  return status.ok();
}

void Bank::StartWriters() {
  for (int writer = 0; writer < options_.writers; ++writer) {
    writers_.emplace_back([this, writer](std::stop_token stop) { Write(writer, stop); });
  }
}

void Bank::StopWriters() {
  for (std::jthread& writer : writers_) writer.request_stop();
  writers_.clear();
}

// Its own connection and random numbers. What was in flight when the server died may have committed
// or not: both keep the sums.
void Bank::Write(int writer, std::stop_token stop) {
  std::mt19937_64 random(options_.seed * 1000 + static_cast<uint64_t>(writer));
  std::unique_ptr<postgres::Connection> connection;
  while (!stop.stop_requested()) {
    if (connection == nullptr) {
      auto connected = source_.Connect();
      if (!connected.ok()) {
        absl::SleepFor(absl::Milliseconds(20));
        continue;
      }
      connection = *std::move(connected);
    }
    const bool commits = !Chance(random, 10);
    const std::string sql =
        "BEGIN; " + Transaction(writer, random) + (commits ? "COMMIT" : "ROLLBACK");
    const auto result = connection->Execute(sql);
    if (result.ok()) {
      if (commits) ++committed_;
    } else if (!connection->healthy()) {
      connection.reset();
    } else {
      static_cast<void>(connection->Execute("ROLLBACK"));  // A deadlock, most likely.
    }
    absl::SleepFor(absl::Milliseconds(Draw(random, 0, 4)));  // So that pgflow can keep up.
  }
}

std::string Bank::Transaction(int writer, std::mt19937_64& random) const {
  std::string sql = fmt::format("UPDATE writer SET sequence = sequence + 1 WHERE id = {};", writer);
  // Now and then one that logical_decoding_work_mem does not hold: it is streamed while it runs.
  sql += Chance(random, 2) ? BigTransfer(random) : Transfer(random);
  if (Chance(random, 50)) sql += JournalChange(random);
  if (Chance(random, 30)) sql += DocumentChange(random);
  if (Chance(random, 20)) {
    // Whatever the savepoint holds is gone again.
    sql += "SAVEPOINT s; UPDATE account SET balance = balance + 13 WHERE id % 100 = 7; " +
           JournalChange(random) + "ROLLBACK TO s;";
  }
  if (Chance(random, 20)) sql += "SAVEPOINT kept; " + Transfer(random) + "RELEASE kept;";
  return sql;
}

std::string Bank::Transfer(std::mt19937_64& random) const {
  std::string sql;
  for (int i = Draw(random, 1, 4); i > 0; --i) {
    const int from = Draw(random, 1, options_.accounts);
    const int to = Draw(random, 1, options_.accounts);
    const int amount = Draw(random, 1, 50);
    sql += fmt::format(
        "UPDATE account SET balance = balance - {2}, touched = touched + 1 WHERE id = {0};"
        "UPDATE account SET balance = balance + {2}, touched = touched + 1 WHERE id = {1};"
        "INSERT INTO journal VALUES ({0}, -{2}, 'transfer'), ({1}, {2}, 'transfer');",
        from, to, amount);
  }
  return sql;
}

// Half of the rows lose what the other half gets. Also a key that moves and comes back.
std::string Bank::BigTransfer(std::mt19937_64& random) const {
  const int first = Draw(random, 1, options_.accounts - 1000);
  const int id = Draw(random, 1, options_.accounts);
  return fmt::format(
      "UPDATE account SET balance = balance + CASE (id - {0}) % 2 WHEN 0 THEN 1 ELSE -1 END,"
      " touched = touched + 1 WHERE id >= {0} AND id < {0} + 1000;"
      "UPDATE account SET id = -id WHERE id = {1}; UPDATE account SET id = -id WHERE id = -{1};"
      "INSERT INTO journal SELECT {1}, CASE i % 2 WHEN 0 THEN 1 ELSE -1 END, repeat('big', 20)"
      " FROM generate_series(1, 200) i;",
      first, id);
}

// Deletes and updates hit one of several equal rows.
std::string Bank::JournalChange(std::mt19937_64& random) const {
  const int account = Draw(random, 0, 49);
  switch (Draw(random, 0, 2)) {
    case 0:  // One of each sign, so that the sum stays.
      return fmt::format(
          "WITH gone AS (SELECT ctid AS place FROM journal WHERE account = {0} AND amount = {1}"
          " LIMIT 1 FOR UPDATE SKIP LOCKED), away AS (DELETE FROM journal WHERE ctid ="
          " (SELECT place FROM gone) RETURNING amount)"
          " INSERT INTO journal SELECT 99, amount, 'moved' FROM away;",
          account, account % 2 == 0 ? 5 : -5);
    case 1:
      return fmt::format(
          "UPDATE journal SET note = note || '+' WHERE ctid = (SELECT ctid FROM journal WHERE"
          " account = {} LIMIT 1 FOR UPDATE SKIP LOCKED);",
          account);
    default:
      return fmt::format(
          "INSERT INTO journal SELECT {}, amount, 'twin' FROM (VALUES (7), (7), (-7), (-7)) v"
          " (amount);",
          account);
  }
}

std::string Bank::DocumentChange(std::mt19937_64& random) const {
  const int id = Draw(random, 1, options_.documents);
  switch (Draw(random, 0, 4)) {
    case 0:
      return fmt::format(
          "UPDATE document SET body = reverse(body), version = version + 1 WHERE id = {};", id);
    case 1:
      return fmt::format(
          "DELETE FROM document WHERE id = {0}; INSERT INTO document SELECT {0}, 1,"
          " string_agg(md5(random()::text), ''), NULL FROM generate_series(1, 150);",
          id);
    default:  // The body stays where it is and is not in the message.
      return fmt::format(
          "UPDATE document SET version = version + 1, tail = 'v' || version WHERE id = {};", id);
  }
}

}  // namespace pgflow::tests
