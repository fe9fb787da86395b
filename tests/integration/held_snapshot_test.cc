// No session of pgflow keeps a snapshot, a transaction or a lock for longer than its work: a source
// with one removes no dead row, and CREATE INDEX CONCURRENTLY waits there for ever.
#include <fmt/format.h>

#include "tests/integration/system_test.h"

namespace pgflow::tests {
namespace {

class HeldSnapshotTest : public SharedServerTest {
 protected:
  void SetUp() override {
    SharedServerTest::SetUp();
    source_.Execute("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a')");
    pipeline_.sinks = {PostgresSink(), FileSink()};
  }

  // What sessions of this pipeline hold; empty: nothing.
  static std::string HeldIn(const Database& database) {
    return database.Value(
        "SELECT coalesce(string_agg(format('%s: %s, xmin %s, since %s, %s locks: %s', "
        "application_name, state, backend_xmin, xact_start, locks, query), E'\\n'), '') FROM "
        "pg_stat_activity, LATERAL (SELECT count(*) FROM pg_locks l WHERE l.pid = "
        "pg_stat_activity.pid AND (l.locktype <> 'virtualxid' OR NOT l.granted)) x (locks) WHERE "
        "datname = current_database() AND application_name LIKE 'pgflow%' AND (backend_xmin IS NOT "
        "NULL OR backend_xid IS NOT NULL OR xact_start IS NOT NULL OR state LIKE 'idle in "
        "transaction%' OR locks > 0)");
  }
  void ExpectNothingIsHeld(PgflowProcess& process) const {
    std::string held;
    EXPECT_TRUE(Eventually([&] {
      held = HeldIn(source_) + HeldIn(target_);
      return held.empty();
    })) << held
        << process.Output();
  }
  // Its last change has come to both sinks.
  void ExpectArrival(const std::string& table, PgflowProcess& process) const {
    ExpectEqualSoon({table}, process);
    EXPECT_TRUE(Eventually([&] {
      return CountOf(ReadFile(FileSinkPath()), "last") > 0 || !process.running();
    })) << process.Output();
  }
};

TEST_F(HeldSnapshotTest, NotByAStream) {
  pipeline_.source_options = "    mode: stream\n";
  source_.Execute("TRUNCATE t");
  target_.Execute("CREATE TABLE t (id int PRIMARY KEY, v text)");
  const auto process = Run();
  ASSERT_TRUE(WaitForSnapshot(*process));
  ExpectNothingIsHeld(*process);
  source_.Execute("INSERT INTO t VALUES (2, 'last')");
  ExpectArrival("t", *process);
  ExpectNothingIsHeld(*process);
}

TEST_F(HeldSnapshotTest, NotByAStreamWithoutASinkThatCopies) {
  pipeline_.source_options = "    mode: stream\n";
  pipeline_.sinks = {FileSink()};
  const auto process = Run();
  ASSERT_TRUE(process->WaitForOutput("streaming from")) << process->Output();
  ExpectNothingIsHeld(*process);
}

TEST_F(HeldSnapshotTest, NotBehindACopyNorBehindTablesThatJoined) {
  const auto process = Run();
  ASSERT_TRUE(WaitForSnapshot(*process));
  ExpectNothingIsHeld(*process);
  source_.Execute("CREATE TABLE joined (id int PRIMARY KEY); INSERT INTO joined VALUES (1)");
  Expect(0, "refresh");
  ExpectEqualSoon({"joined"}, *process);
  source_.Execute("INSERT INTO t VALUES (2, 'last')");
  ExpectArrival("t", *process);
  ExpectNothingIsHeld(*process);
}

// kill -9 before the checkpoint says that nothing is to be copied, by the hand of a test.
TEST_F(HeldSnapshotTest, AStreamThatWasKilledAtItsStartCopiesNothing) {
  pipeline_.source_options = "    mode: stream\n";
  pipeline_.sinks = {PostgresSink("create_schema: false")};
  target_.Execute("CREATE TABLE t (id int PRIMARY KEY, v text)");
  auto process = Run();
  ASSERT_TRUE(WaitForSnapshot(*process));
  process->Kill9();
  target_.Execute("UPDATE pgflow.checkpoint SET snapshot_complete = false");
  source_.Execute("INSERT INTO t VALUES (2, 'last')");
  RunToCurrent();
  EXPECT_EQ(target_.Value("SELECT string_agg(v, ' ') FROM t"), "last");
}

}  // namespace
}  // namespace pgflow::tests
