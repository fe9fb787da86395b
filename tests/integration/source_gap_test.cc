// What makes changes miss from the stream without a trace in it is found, said, and mended; what
// does not, a lock or a server that is away, stops nothing.
#include <csignal>
#include <thread>

#include <absl/time/clock.h>
#include <fmt/format.h>

#include "tests/integration/system_test.h"

namespace pgflow::tests {
namespace {

class SourceGapTest : public SharedServerTest {
 protected:
  void SetUp() override {
    SharedServerTest::SetUp();
    source_.Execute(
        "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE other (id int PRIMARY KEY);"
        "INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 100) i");
  }
  void TearDown() override { Expect(0, "destroy"); }

  std::string Publication() const { return "pgflow_" + pipeline_.name; }

  enum class When { kRunning, kDown };

  // `lose` happens under a running pipeline, or to one that is down; it refuses to go on, also when
  // it is started again, until the tables are copied again.
  void ExpectFound(const std::vector<When>& times, const std::string& lose, const std::string& what,
                   const std::string& copy) {
    for (const When when : times) {
      const bool running = when == When::kRunning;
      auto process = Run();
      ASSERT_TRUE(WaitForSnapshot(*process));
      // Its own look is over.
      source_.Execute("UPDATE t SET v = v || '.' WHERE id = 5");
      ExpectEqualSoon({"t"}, *process);
      if (!running) {
        process->Signal(SIGTERM);
        EXPECT_EQ(process->WaitForExit(), 0) << process->Output();
      }
      source_.Execute(lose);
      if (running) {
        EXPECT_EQ(process->WaitForExit(), 1) << process->Output();
        EXPECT_TRUE(process->Printed(what)) << process->Output();
        EXPECT_TRUE(process->Printed("pgflow refresh")) << process->Output();
      }
      const std::string refused = Expect(1, "run", {"--until-current"});
      EXPECT_NE(refused.find(what), std::string::npos) << refused;
      EXPECT_NE(refused.find("--copy"), std::string::npos) << refused;
      // As the message says.
      const auto refresh = Start("refresh", {"--copy", copy});
      ASSERT_TRUE(refresh->WaitForOutput("waiting for pipeline"));
      RunToCurrent();
      EXPECT_EQ(refresh->WaitForExit(), 0) << refresh->Output();
      ExpectEqual({"t", "other"});
      RunToCurrent();
    }
  }
};

TEST_F(SourceGapTest, ATableThatLeftThePublicationForAWhile) {
  ExpectFound({When::kRunning, When::kDown},
              fmt::format("ALTER PUBLICATION {0} DROP TABLE t; DELETE FROM t WHERE id % 10 = 3;"
                          "ALTER PUBLICATION {0} ADD TABLE t",
                          Publication()),
              "put back", "public.t");
}

TEST_F(SourceGapTest, KindsOfChangesThatWereLeftOutForAWhile) {
  source_.Execute("INSERT INTO other VALUES (1), (2), (3)");
  const std::string lose = fmt::format(
      "ALTER PUBLICATION {0} SET (publish = 'insert, truncate'); DELETE FROM t WHERE id % 10 = 4;"
      "ALTER PUBLICATION {0} SET (publish = 'insert, update, delete, truncate')",
      Publication());
  ExpectFound({When::kRunning}, lose, "options were changed", "public.*");
}

TEST_F(SourceGapTest, ATableThatWasMadeAgain) {
  ExpectFound({When::kDown},
              "DROP TABLE t; CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES "
              "(5000, 'new')",
              "made again", "public.t");
}

TEST_F(SourceGapTest, ATableMadeAgainUnderAPublicationOfAllTables) {
  source_.Execute("CREATE PUBLICATION mine FOR ALL TABLES");
  pipeline_.source_options = "    replication: {publication: mine}\n";
  ExpectFound({When::kRunning},
              "DROP TABLE t; CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES "
              "(5000, 'new')",
              "made again", "public.t");
}

// The rows that it had before are copied.
TEST_F(SourceGapTest, ATableThatIsAddedToAPublicationOfTheUsers) {
  source_.Execute(
      "INSERT INTO other SELECT generate_series(1, 50); CREATE PUBLICATION mine FOR TABLE t");
  pipeline_.source_options = "    replication: {publication: mine}\n";
  pipeline_.tables = "[\"public.t\"]";
  const auto process = Run();
  ASSERT_TRUE(WaitForSnapshot(*process));
  source_.Execute("ALTER PUBLICATION mine ADD TABLE other; INSERT INTO other VALUES (100)");
  pipeline_.tables = "[\"public.t\", \"public.other\"]";
  const std::string answer = Expect(0, "refresh");
  EXPECT_NE(answer.find("joining: public.other"), std::string::npos) << answer;
  source_.Execute("INSERT INTO other VALUES (101)");
  ExpectEqualSoon({"t", "other"}, *process);
  process->Signal(SIGTERM);
  EXPECT_EQ(process->WaitForExit(), 0) << process->Output();
  // The same to a pipeline that is down, and chosen all the time; a new one is known from its
  // birth.
  source_.Execute(
      "CREATE TABLE third (id int PRIMARY KEY); INSERT INTO third SELECT generate_series(1, 50)");
  source_.Execute("ALTER PUBLICATION mine ADD TABLE third; INSERT INTO third VALUES (100)");
  pipeline_.tables = "[\"public.*\"]";
  RunToCurrent();
  ExpectEqual({"t", "other", "third"});
  RunToCurrent();
}

// The rows that it had before were never published.
TEST_F(SourceGapTest, ATableThatWasUnlogged) {
  source_.Execute(
      "CREATE UNLOGGED TABLE u (id int PRIMARY KEY, v text);"
      "INSERT INTO u SELECT i, 'u' || i FROM generate_series(1, 50) i");
  source_.Execute("CREATE PUBLICATION mine FOR ALL TABLES");
  target_.Execute("CREATE UNLOGGED TABLE u (id int PRIMARY KEY, v text)");
  pipeline_.source_options = "    replication: {publication: mine}\n";
  const auto process = Run();
  ASSERT_TRUE(WaitForSnapshot(*process));
  source_.Execute("UPDATE t SET v = v || '.' WHERE id = 5");
  ExpectEqualSoon({"t"}, *process);
  for (const Database* database : {&target_, &source_}) {
    database->Execute("ALTER TABLE u SET LOGGED");
  }
  source_.Execute("INSERT INTO u VALUES (51, 'logged')");
  ASSERT_TRUE(process->WaitForOutput("table public.u has joined")) << process->Output();
  ExpectEqualSoon({"t", "u"}, *process);
  process->Signal(SIGTERM);
  EXPECT_EQ(process->WaitForExit(), 0) << process->Output();
  // A target's table may be rewritten at any time.
  const auto again = Run();
  source_.Execute("UPDATE u SET v = 'a' WHERE id < 10; UPDATE t SET v = 'a' WHERE id < 10");
  ExpectEqualSoon({"t", "u"}, *again);
  target_.Execute("ALTER TABLE t SET UNLOGGED");
  source_.Execute("UPDATE t SET v = 'b' WHERE id < 20; DELETE FROM u WHERE id < 5");
  ExpectEqualSoon({"t", "u"}, *again);
  target_.Execute("ALTER TABLE t SET LOGGED");
  source_.Execute("UPDATE t SET v = 'c' WHERE id < 20");
  ExpectEqualSoon({"t", "u"}, *again);
}

// A lock on a table that is not chosen concerns nobody; one on a chosen table only its own rows.
TEST_F(SourceGapTest, LocksOfOthersStopNeitherTheStreamNorAStart) {
  source_.Execute("CREATE SCHEMA aside; CREATE TABLE aside.busy (id int PRIMARY KEY)");
  const auto process = Run();
  ASSERT_TRUE(WaitForSnapshot(*process));
  auto locker = shared_server->Connect(source_.name);
  ASSERT_TRUE(locker.ok());
  ASSERT_TRUE((*locker)->Execute("BEGIN; LOCK TABLE aside.busy, public.other").ok());
  // A new version of the table is looked up in the catalog.
  source_.Execute("ALTER TABLE t REPLICA IDENTITY FULL");
  source_.Execute("UPDATE t SET v = 'under a lock' WHERE id = 1");
  ExpectEqualSoon({"t"}, *process);
  process->Signal(SIGTERM);
  EXPECT_EQ(process->WaitForExit(), 0) << process->Output();
  source_.Execute("UPDATE t SET v = 'while nobody runs' WHERE id = 2");
  const auto again = Run();
  ExpectEqualSoon({"t"}, *again);
  ASSERT_TRUE((*locker)->Execute("COMMIT").ok());
  again->Signal(SIGTERM);
  EXPECT_EQ(again->WaitForExit(), 0) << again->Output();
}

TEST_F(SourceGapTest, TheCopyOfALockedTableSaysForWhomItWaits) {
  // The larger table comes first.
  source_.Execute(
      "INSERT INTO other VALUES (1);"
      "INSERT INTO t SELECT i, repeat(md5(i::text), 10) FROM generate_series(101, 60000) i");
  pipeline_.snapshot = "{workers: 1, range_size: 128KiB}";
  const auto process = Run();
  ASSERT_TRUE(WaitForFirstRange(*process));
  auto locker = shared_server->Connect(source_.name);
  ASSERT_TRUE(locker.ok());
  ASSERT_TRUE((*locker)->Execute("BEGIN; LOCK TABLE public.other").ok());
  EXPECT_TRUE(Eventually([&] { return target_.ValueIfAny("SELECT count(*) FROM t") == "60000"; }))
      << process->Output();
  EXPECT_TRUE(process->WaitForOutput("the copy of table public.other still waits for process"))
      << process->Output();
  ASSERT_TRUE((*locker)->Execute("COMMIT").ok());
  ExpectEqualSoon({"t", "other"}, *process);
}

// To publish it would break whoever updates it: it is left out, and said so; nobody else waits.
TEST_F(SourceGapTest, AScratchTableWithoutAKeyStopsNobody) {
  RunToCurrent();
  source_.Execute("CREATE TABLE scratch (a int); INSERT INTO scratch VALUES (1)");
  source_.Execute("UPDATE scratch SET a = 2");
  ASSERT_TRUE(Eventually([&] {
    return source_.Value("SELECT pg_stat_get_tuples_updated('scratch'::regclass)") == "1";
  }));
  source_.Execute("UPDATE t SET v = 'beside it' WHERE id = 1");
  const std::string output = Expect(0, "run", {"--until-current"});
  EXPECT_NE(output.find("public.scratch"), std::string::npos) << output;
  EXPECT_NE(output.find("left out until that is mended"), std::string::npos) << output;
  EXPECT_NE(output.find("REPLICA IDENTITY FULL"), std::string::npos) << output;
  ExpectEqual({"t"});
  source_.Execute("UPDATE scratch SET a = 3; ALTER TABLE scratch REPLICA IDENTITY FULL");
  RunToCurrent();
  ExpectEqual({"t", "scratch"});
  source_.Execute("UPDATE scratch SET a = 4");
  RunToCurrent();
  ExpectEqual({"t", "scratch"});
}

class SourceImageTest : public TwoServerTest {
 protected:
  void SetUp() override {
    TwoServerTest::SetUp();
    source_.Execute(
        "CREATE TABLE t (id int PRIMARY KEY, v text);"
        "INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 2000) i");
  }
  void Write(int from, int count) const {
    source_.Execute(fmt::format(
        "INSERT INTO t SELECT i, 'w' FROM generate_series({0}, {0} + {1}) i", from, count));
  }
  void SaveImage() {
    ASSERT_TRUE(source_server_->Stop().ok());
    ASSERT_TRUE(source_server_->SaveImage().ok());
    ASSERT_TRUE(source_server_->Start().ok());
  }
  void RestoreImage() {
    ASSERT_TRUE(source_server_->Stop().ok());
    ASSERT_TRUE(source_server_->RestoreImage().ok());
    ASSERT_TRUE(source_server_->Start().ok());
  }
};

TEST_F(SourceImageTest, ASourceOfAnOlderImageIsRefusedAtTheStart) {
  RunToCurrent();
  SaveImage();
  Write(10000, 2000);
  RunToCurrent();
  RestoreImage();
  Write(20000, 100);
  for (int start = 0; start < 2; ++start) {
    const std::string refused = Expect(1, "run", {"--until-current"});
    EXPECT_NE(refused.find("older state"), std::string::npos) << refused;
    EXPECT_NE(refused.find("pgflow destroy"), std::string::npos) << refused;
  }
  EXPECT_EQ(target_.Value("SELECT count(*) FROM t WHERE id >= 20000"), "0");
  // Somewhere else, with the target's checkpoint only.
  pipeline_.state_directory = directory_ / "elsewhere";
  const std::string refused = Expect(1, "run", {"--until-current"});
  EXPECT_NE(refused.find("older state"), std::string::npos) << refused;
  // As the message says.
  Expect(0, "destroy");
  target_.Execute("TRUNCATE t");
  RunToCurrent();
  ExpectEqual({"t"});
}

TEST_F(SourceImageTest, ASourceThatIsPutBackUnderARunningPipeline) {
  const auto process = Run();
  ASSERT_TRUE(WaitForSnapshot(*process));
  SaveImage();
  Write(10000, 2000);
  ExpectEqualSoon({"t"}, *process);
  ASSERT_TRUE(source_server_->Stop().ok());
  ASSERT_TRUE(source_server_->RestoreImage().ok());
  ASSERT_TRUE(source_server_->Start().ok());
  Write(20000, 100);
  EXPECT_EQ(process->WaitForExit(), 1) << process->Output();
  EXPECT_TRUE(process->Printed("older state")) << process->Output();
  EXPECT_EQ(target_.Value("SELECT count(*) FROM t WHERE id >= 20000"), "0");
}

// The same log under a new timeline, as after a promotion: pgflow begins anew by itself.
TEST_F(SourceImageTest, GoesOnByItselfWhenTheSourceIsPromoted) {
  const auto process = Run();
  ASSERT_TRUE(WaitForSnapshot(*process));
  Write(10000, 10);
  ExpectEqualSoon({"t"}, *process);
  ASSERT_TRUE(source_server_->Stop().ok());
  ASSERT_TRUE(source_server_->Configure("restore_command", "/bin/false").ok());
  WriteFile(source_server_->data_directory() + "/recovery.signal", "");
  ASSERT_TRUE(source_server_->Start().ok());
  ASSERT_TRUE(Eventually([&] { return source_.ValueIfAny("SELECT pg_is_in_recovery()") == "f"; }));
  Write(20000, 10);
  ExpectEqualSoon({"t"}, *process);
  EXPECT_TRUE(process->Printed("beginning anew")) << process->Output();
  process->Signal(SIGTERM);
  EXPECT_EQ(process->WaitForExit(), 0) << process->Output();
  Write(30000, 10);
  RunToCurrent();
  ExpectEqual({"t"});
}

TEST_F(SourceImageTest, WaitsAtTheStartForServersThatAreAway) {
  ASSERT_TRUE(source_server_->Stop().ok());
  ASSERT_TRUE(target_server_->Stop().ok());
  const auto process = Run();
  ASSERT_TRUE(process->WaitForOutput("source: cannot connect")) << process->Output();
  ASSERT_TRUE(source_server_->Start().ok());
  ASSERT_TRUE(process->WaitForOutput("sink postgres: cannot connect")) << process->Output();
  EXPECT_TRUE(process->Printed("trying again")) << process->Output();
  ASSERT_TRUE(target_server_->Start().ok());
  ExpectEqualSoon({"t"}, *process);
  process->Signal(SIGTERM);
  EXPECT_EQ(process->WaitForExit(), 0) << process->Output();
  // It can be told to end meanwhile, and does not wait for longer than it is to.
  ASSERT_TRUE(source_server_->Stop().ok());
  const auto stopped = Run();
  ASSERT_TRUE(stopped->WaitForOutput("trying again")) << stopped->Output();
  stopped->Signal(SIGTERM);
  EXPECT_EQ(stopped->WaitForExit(), 0) << stopped->Output();
  pipeline_.more = "startup_timeout: 1s\n";
  const std::string refused = Expect(1, "run");
  EXPECT_NE(refused.find("startup_timeout"), std::string::npos) << refused;
}

}  // namespace
}  // namespace pgflow::tests
