// What may happen on the source in the midst of a snapshot: rewritten tables, lost connections.
//
// A rewrite leaves a snapshot that is older than it without the table's rows, and without an error.
// Each test holds the target's table, so that the one worker stands inside a range; the DDL queues
// behind that range's lock on the source and gets in before the next range.
#include <atomic>
#include <thread>

#include <fmt/format.h>

#include "tests/integration/system_test.h"

namespace pgflow::tests {
namespace {

class RewriteRaceTest : public SharedServerTest {
 protected:
  void SetUp() override {
    SharedServerTest::SetUp();
    if (source_.server->version() < 140000) {
      GTEST_SKIP() << "this version reads a table in one piece";
    }
    // About 8 MB: many ranges.
    source_.Execute(
        "CREATE TABLE big (id int PRIMARY KEY, v int NOT NULL, filler text);"
        "INSERT INTO big SELECT i, i, repeat('x', 300) FROM generate_series(1, 24000) i;"
        "CREATE TABLE small (id int PRIMARY KEY); INSERT INTO small SELECT generate_series(1, 50)");
    target_.Execute("CREATE TABLE big (id int PRIMARY KEY, v int NOT NULL, filler text)");
    pipeline_.snapshot = "{workers: 1, range_size: 128KiB}";
  }

  // Waits until the worker stands inside a range, and keeps it there until Release.
  void HoldTarget(PgflowProcess& process) {
    ASSERT_TRUE(WaitForFirstRange(process));
    auto connection = target_.server->Connect(target_.name);
    ASSERT_TRUE(connection.ok()) << connection.status();
    holder_ = *std::move(connection);
    ASSERT_TRUE(holder_->Execute("BEGIN; LOCK TABLE big IN ACCESS EXCLUSIVE MODE").ok());
    EXPECT_TRUE(Eventually([&] {
      return target_.Value(
                 "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation ="
                 " 'big'::regclass") != "0";
    }));
    ASSERT_NE(target_.Value("SELECT snapshot_complete FROM pgflow.checkpoint WHERE pipeline = '" +
                            pipeline_.name + "'"),
              "t")
        << "the snapshot was too fast for this test";
  }
  void Release() { holder_.reset(); }

  // Runs `sql` on the source so that it takes effect between two ranges: at once when the rows of
  // this one were read whole, else when its lock is released.
  void BetweenTwoRanges(const std::string& sql) {
    std::atomic<bool> done{false};
    std::thread ddl([&] {
      source_.Execute(sql);
      done = true;
    });
    EXPECT_TRUE(Eventually([&] {
      return done || source_.ValueIfAny(
                         "SELECT count(*) FROM pg_locks WHERE NOT granted AND"
                         " relation = 'big'::regclass") == "1";
    }));
    Release();
    ddl.join();
  }

  void RedoesTheTableAfter(const std::string& sql, const std::string& later = "") {
    const auto process = Run();
    HoldTarget(*process);
    if (HasFatalFailure()) return;
    source_.Execute("UPDATE big SET v = v + 1000000 WHERE id % 100 = 0");
    BetweenTwoRanges(sql);
    source_.Execute("UPDATE small SET id = -id WHERE id < 10");
    if (!later.empty()) source_.Execute(later);
    ExpectEqualSoon({"big", "small"}, *process);
    EXPECT_TRUE(WaitForSnapshot(*process));
    EXPECT_TRUE(process->Printed("big was rewritten")) << process->Output();
  }

  std::unique_ptr<postgres::Connection> holder_;
};

TEST_F(RewriteRaceTest, VacuumFull) { RedoesTheTableAfter("VACUUM FULL big"); }

TEST_F(RewriteRaceTest, Cluster) { RedoesTheTableAfter("CLUSTER big USING big_pkey"); }

TEST_F(RewriteRaceTest, Truncate) {
  RedoesTheTableAfter("TRUNCATE big",
                      "INSERT INTO big SELECT i, -i, 'new' FROM generate_series(1, 700) i");
}

TEST_F(RewriteRaceTest, RewritingAlterTable) {
  RedoesTheTableAfter("ALTER TABLE big ALTER COLUMN v TYPE bigint",
                      "UPDATE big SET v = 7 WHERE id BETWEEN 100 AND 200; DELETE FROM big WHERE "
                      "id > 23000");
}

// The file stays: only the columns tell.
TEST_F(RewriteRaceTest, NamesThatChangePlaces) {
  for (const Database* database : {&source_, &target_}) {
    database->Execute("ALTER TABLE big ADD w int; UPDATE big SET w = -v");
  }
  source_.Execute("VACUUM FULL big");
  const auto process = Run();
  HoldTarget(*process);
  if (HasFatalFailure()) return;
  BetweenTwoRanges(
      "ALTER TABLE big RENAME v TO x; ALTER TABLE big RENAME w TO v;"
      "ALTER TABLE big RENAME x TO w");
  ASSERT_TRUE(WaitForSnapshot(*process));
  EXPECT_EQ(target_.Value("SELECT count(*) FROM big WHERE v = -id AND w = id"), "24000");
}

TEST_F(RewriteRaceTest, DropWithoutReplacement) {
  const auto process = Run();
  HoldTarget(*process);
  if (HasFatalFailure()) return;
  BetweenTwoRanges("DROP TABLE big");
  ExpectEqualSoon({"small"}, *process);
  source_.Execute("INSERT INTO small VALUES (1000)");
  ExpectEqualSoon({"small"}, *process);
}

// Rows that a rewrite moved into blocks that were copied already: the ledger of an earlier attempt
// says nothing about the new storage.
TEST_F(RewriteRaceTest, VacuumFullBetweenTwoAttempts) {
  const auto first = Run();
  HoldTarget(*first);
  if (HasFatalFailure()) return;
  first->Kill9();
  Release();
  source_.Execute("DELETE FROM big WHERE id <= 12000");
  source_.Execute("VACUUM FULL big");
  const auto second = Run();
  ASSERT_TRUE(WaitForSnapshot(*second));
  ExpectEqualSoon({"big", "small"}, *second);
}

// The same without a rewrite: the finished ranges are not copied again.
TEST_F(RewriteRaceTest, ChangesBetweenTwoAttempts) {
  const auto first = Run();
  HoldTarget(*first);
  if (HasFatalFailure()) return;
  first->Kill9();
  Release();
  source_.Execute("DELETE FROM big WHERE id % 10 = 0");
  source_.Execute("UPDATE big SET v = -v WHERE id % 10 = 1; UPDATE big SET id = -id WHERE id = 52");
  source_.Execute("INSERT INTO big SELECT i * 10, i, 'back' FROM generate_series(1, 500) i");
  source_.Execute("VACUUM big");
  source_.Execute("INSERT INTO big VALUES (1000001, 1, 'in a gap')");
  const auto second = Run();
  ASSERT_TRUE(WaitForSnapshot(*second));
  ExpectEqualSoon({"big", "small"}, *second);
  EXPECT_FALSE(second->Printed("starting table public.big over")) << second->Output();
}

// Kills the sessions of `kind` (a condition on pg_stat_activity) while a range is being read.
class LostSourceSessionTest : public RewriteRaceTest {
 protected:
  void GoesOnWithout(const std::string& kind) {
    const auto process = Run();
    HoldTarget(*process);
    if (HasFatalFailure()) return;
    source_.Execute("UPDATE big SET v = v + 1000000 WHERE id % 100 = 0");
    const std::string killed = source_.Value(
        fmt::format("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname ="
                    " current_database() AND pid <> pg_backend_pid() AND {}",
                    kind));
    EXPECT_NE(killed, "0") << source_.Value(
        "SELECT string_agg(application_name || ':' || query,"
        " E'\\n') FROM pg_stat_activity");
    Release();
    source_.Execute("DELETE FROM big WHERE id % 100 = 1");
    ASSERT_TRUE(WaitForSnapshot(*process));
    ExpectEqualSoon({"big", "small"}, *process);
    output_ = process->Output();
  }

  std::string output_;
};

TEST_F(LostSourceSessionTest, OneGuard) {
  GoesOnWithout(
      "pid = (SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND"
      " application_name LIKE 'pgflow%' AND state = 'idle in transaction' LIMIT 1)");
  EXPECT_EQ(CountOf(output_, "the snapshot was lost; what is left"), 0u) << output_;
}

TEST_F(LostSourceSessionTest, TheSlots) {
  GoesOnWithout("backend_type = 'walsender'");
  EXPECT_EQ(CountOf(output_, "the snapshot was lost; what is left"), 0u) << output_;
}

TEST_F(LostSourceSessionTest, TheRangeReaders) {
  GoesOnWithout("backend_type <> 'walsender' AND query LIKE '%COPY (SELECT%'");
}

// Even that: what is left is copied at a later snapshot.
TEST_F(LostSourceSessionTest, AllOfThem) { GoesOnWithout("application_name LIKE 'pgflow%'"); }

}  // namespace
}  // namespace pgflow::tests
