// Tables that come to a running pipeline, leave it, or are copied again, while the others go on.

#include <atomic>
#include <csignal>
#include <random>
#include <thread>

#include <absl/time/clock.h>
#include <fmt/format.h>

#include "tests/integration/system_test.h"

namespace pgflow::tests {
namespace {

class TablesTest : public SharedServerTest {
 protected:
  void SetUp() override {
    SharedServerTest::SetUp();
    source_.Execute(
        "CREATE TABLE old (id bigserial PRIMARY KEY, v int, t text);"
        "CREATE TABLE new (id bigserial PRIMARY KEY, v int, t text);"
        "INSERT INTO old (v, t) SELECT i, md5(i::text) FROM generate_series(1, 2000) i;"
        "INSERT INTO new (v, t) SELECT i, md5(i::text) FROM generate_series(1, 50000) i;");
    pipeline_.tables = "[\"public.old\"]";
    pipeline_.snapshot = "{workers: 2, range_size: 1MiB}";
  }
  void TearDown() override {
    writing_ = false;
    if (writer_.joinable()) writer_.join();
    Expect(0, "destroy");  // The shared server has not so many slots.
    EXPECT_EQ(target_.Value("SELECT count(*) FROM pgflow.checkpoint"), "0");
  }

  void ChooseBoth() { pipeline_.tables = "[\"public.old\", \"public.new\"]"; }

  // Inserts, updates, deletes and moves rows of both, in transactions of both.
  void StartWriting() {
    writing_ = true;
    writer_ = std::jthread([this] {
      std::mt19937 random(7);
      while (writing_) {
        const auto id = random() % 50000 + 1;
        source_.Execute(fmt::format(
            "BEGIN; INSERT INTO old (v, t) VALUES ({0}, 'w'); INSERT INTO new (v, t) VALUES ({0}, "
            "repeat('w', 100)); UPDATE new SET v = v + 1 WHERE id = {0}; UPDATE old SET v = v + 1 "
            "WHERE id = {0} % 2000; DELETE FROM new WHERE id = {0} + 7; UPDATE new SET id = -id "
            "WHERE id = {0} + 13; COMMIT",
            id));
      }
    });
  }
  void StopWriting() {
    writing_ = false;
    writer_.join();
  }
  std::string CopiedRows() const { return target_.ValueIfAny("SELECT count(*) FROM public.new"); }

  std::atomic<bool> writing_{false};
  std::jthread writer_;
};

TEST_F(TablesTest, OneThatTheFileGainedJoinsAtTheNextStart) {
  StartWriting();
  RunToCurrent();
  EXPECT_EQ(CopiedRows(), "");
  ChooseBoth();
  RunToCurrent();
  RunToCurrent();
  StopWriting();
  RunToCurrent();
  ExpectEqual({"old", "new"});
}

TEST_F(TablesTest, OneJoinsTheRunningStreamWhileTheOthersGoOn) {
  const auto process = Run();
  ASSERT_TRUE(WaitForSnapshot(*process));
  StartWriting();
  ChooseBoth();
  const std::string answer = Expect(0, "refresh");
  EXPECT_NE(answer.find("joining: public.new"), std::string::npos) << answer;
  EXPECT_TRUE(Eventually([&] { return CopiedRows() != ""; })) << process->Output();
  ASSERT_TRUE(process->WaitForOutput("table public.new has joined")) << process->Output();
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  StopWriting();
  ExpectEqualSoon({"old", "new"}, *process);
}

TEST_F(TablesTest, TheOthersDoNotWaitForACopy) {
  const auto process = Run();
  ASSERT_TRUE(WaitForSnapshot(*process));
  // It creates the table and then waits for its lock.
  target_.Execute("CREATE TABLE new (id bigserial PRIMARY KEY, v int, t text)");
  auto locker = shared_server->Connect(target_.name);
  ASSERT_TRUE(locker.ok());
  ASSERT_TRUE((*locker)->Execute("BEGIN; LOCK TABLE new IN SHARE MODE", {}).ok());
  ChooseBoth();
  Expect(0, "refresh");
  for (int i = 0; i < 3; ++i) {
    source_.Execute("INSERT INTO old (v, t) VALUES (-1, 'x'); INSERT INTO new (v) VALUES (-1)");
    ExpectEqualSoon({"old"}, *process);
  }
  EXPECT_EQ(CopiedRows(), "0");
  ASSERT_TRUE((*locker)->Execute("COMMIT", {}).ok());
  ExpectEqualSoon({"old", "new"}, *process);
}

TEST_F(TablesTest, AKillWhileATableJoinsLosesNothing) {
  RunToCurrent();
  ChooseBoth();
  StartWriting();
  std::mt19937 random(std::random_device{}());
  for (int i = 0; i < 6; ++i) {
    const auto process = Run();
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % 1200));
    process->Kill9();
  }
  StopWriting();
  RunToCurrent();
  ExpectEqual({"old", "new"});
}

TEST_F(TablesTest, DestroyForgetsATableThatWasJoining) {
  target_.Execute("CREATE TABLE new (id bigserial PRIMARY KEY, v int, t text)");
  auto locker = shared_server->Connect(target_.name);
  ASSERT_TRUE(locker.ok());
  ASSERT_TRUE((*locker)->Execute("BEGIN; LOCK TABLE new IN SHARE MODE", {}).ok());
  RunToCurrent();
  ChooseBoth();
  const auto process = Run();
  ASSERT_TRUE(Eventually([&] {
    return target_.Value("SELECT count(*) FROM pgflow.checkpoint") == "2";
  })) << process->Output();
  process->Kill9();
  ASSERT_TRUE((*locker)->Execute("COMMIT", {}).ok());
}

TEST_F(TablesTest, OneIsCopiedAgainOnDemand) {
  const auto process = Run();
  ASSERT_TRUE(WaitForSnapshot(*process));
  target_.Execute("UPDATE old SET t = 'damaged'; INSERT INTO old VALUES (-1, 1, 'not ours')");
  StartWriting();
  EXPECT_NE(Expect(1, "refresh", {"--copy", "public.none"}).find("no chosen table"),
            std::string::npos);
  Expect(2, "refresh", {"--copy", "old"});
  const std::string answer = Expect(0, "refresh", {"--copy", "public.old"});
  EXPECT_NE(answer.find("copied again: public.old"), std::string::npos) << answer;
  ASSERT_TRUE(process->WaitForOutput("table public.old has joined")) << process->Output();
  StopWriting();
  ExpectEqualSoon({"old"}, *process);
}

TEST_F(TablesTest, ACopyOnDemandHelpsAPipelineThatStopped) {
  RunToCurrent();
  target_.Execute("DELETE FROM old WHERE id = 5");
  source_.Execute("UPDATE old SET v = 0 WHERE id = 5");
  EXPECT_NE(Expect(1, "run", {"--until-current"}).find("0 rows of 1"), std::string::npos);
  const auto refresh = Start("refresh", {"--copy", "public.old"});
  ASSERT_TRUE(refresh->WaitForOutput("waiting for pipeline"));
  RunToCurrent();
  EXPECT_EQ(refresh->WaitForExit(), 0) << refresh->Output();
  ExpectEqual({"old"});
}

TEST_F(TablesTest, OneThatIsNotChosenAnyMoreLeaves) {
  ChooseBoth();
  const auto process = Run();
  ASSERT_TRUE(WaitForSnapshot(*process));
  ExpectEqualSoon({"old", "new"}, *process);
  const std::string before = CopiedRows();
  pipeline_.tables = "[\"public.old\"]";
  Expect(0, "refresh");
  source_.Execute("INSERT INTO new (v) VALUES (1); INSERT INTO old (v) VALUES (1)");
  ExpectEqualSoon({"old"}, *process);
  EXPECT_EQ(CopiedRows(), before);
  EXPECT_EQ(source_.Value("SELECT string_agg(tablename, ' ') FROM pg_publication_tables"), "old");
  // It comes back: the target's rows are not up to date, which has to be said.
  ChooseBoth();
  Expect(0, "refresh");
  ASSERT_TRUE(process->WaitForOutput("cannot join the stream")) << process->Output();
  source_.Execute("INSERT INTO new (v) VALUES (2); INSERT INTO old (v) VALUES (2)");
  ExpectEqualSoon({"old"}, *process);
  Expect(0, "refresh", {"--copy", "public.new"});
  ExpectEqualSoon({"old", "new"}, *process);
}

TEST_F(TablesTest, EachSinkTakesANewTableInItsOwnTime) {
  pipeline_.sinks.push_back(FileSink());
  const auto process = Run();
  ASSERT_TRUE(WaitForSnapshot(*process));
  source_.Execute("INSERT INTO new (v) VALUES (-5)");
  ChooseBoth();
  Expect(0, "refresh");
  ASSERT_TRUE(Eventually([&] {
    return CountOf(process->Output(), "table public.new has joined") == 2;
  })) << process->Output();
  source_.Execute("INSERT INTO new (v) VALUES (-6)");
  ExpectEqualSoon({"old", "new"}, *process);
  ASSERT_TRUE(Eventually([&] {
    return CountOf(ReadFile(FileSinkPath()), "\"table\":\"new\"") == 50002;
  })) << CountOf(ReadFile(FileSinkPath()), "\"table\":\"new\"");
  EXPECT_EQ(CountOf(ReadFile(FileSinkPath()), "\"v\":-5"), 1);
  EXPECT_EQ(CountOf(ReadFile(FileSinkPath()), "\"v\":-6"), 1);
}

TEST_F(TablesTest, RenamedWhileItJoinsItArrivesUnderItsNewName) {
  pipeline_.tables = "[\"public.*\"]";
  source_.Execute(
      "ALTER TABLE new RENAME TO later; CREATE SCHEMA aside; "
      "ALTER TABLE later SET SCHEMA aside");
  pipeline_.source_options = "    replication: {ddl: true}\n";
  const auto process = Run();
  ASSERT_TRUE(WaitForSnapshot(*process));
  pipeline_.tables = "[\"public.*\", \"aside.*\"]";
  Expect(0, "refresh");
  source_.Execute("ALTER TABLE aside.later RENAME TO renamed");
  source_.Execute("INSERT INTO aside.renamed (v) VALUES (-1)");
  ASSERT_TRUE(Eventually([&] {
    return process->Printed("table aside.renamed has joined") ||
           process->Printed("table aside.later has joined") ||  // Before it met the command.
           process->Printed("aside.renamed cannot join");
  })) << process->Output();
  if (process->Printed("aside.renamed cannot join")) {
    // The copy under the old name was finished first, and has the name of the key's index.
    target_.Execute("DROP TABLE aside.later");
    Expect(0, "refresh");
    ASSERT_TRUE(process->WaitForOutput("table aside.renamed has joined")) << process->Output();
  }
  source_.Execute("INSERT INTO aside.renamed (v) VALUES (-2)");
  ExpectEqualSoon({"old", "aside.renamed"}, *process);
}

// A database that has no table yet, and a role that may not make event triggers.
class NewTablesTest : public SharedServerTest {
 protected:
  void SetUp() override {
    SharedServerTest::SetUp();
    role_ = TestName() + "_role";
    source_.Execute(fmt::format(
        "CREATE ROLE {0} LOGIN REPLICATION; GRANT ALL PRIVILEGES ON DATABASE {1} TO {0};"
        "CREATE SCHEMA lab AUTHORIZATION {0}; GRANT CREATE ON SCHEMA public TO {0}",
        role_, source_.name));
    pipeline_.tables = "[]";
    pipeline_.source_url = source_.url(role_);
    pipeline_.source_options = "    replication: {ddl: true}\n";
  }
  void TearDown() override {
    writing_ = false;
    if (writer_.joinable()) writer_.join();
    pipeline_.source_url = source_.url();
    Expect(0, "destroy");
    source_.Execute(fmt::format("DROP OWNED BY {0} CASCADE; DROP ROLE {0}", role_));
  }

  // As the role that pgflow has.
  void ExecuteAsRole(const std::string& sql) const {
    source_.Execute(fmt::format("SET ROLE {}; {}", role_, sql));
  }
  // As the table's owner, until the test ends.
  void WriteTo(const std::string& table) {
    writing_ = true;
    writer_ = std::jthread([this, table] {
      for (int i = 1; writing_; ++i) {
        source_.Execute(
            fmt::format("INSERT INTO {0} (v) VALUES ({1}); UPDATE {0} SET v = -v WHERE "
                        "v = {1} - 3; DELETE FROM {0} WHERE v = {1} - 2",
                        table, i));
      }
    });
  }
  void StopWriting() {
    writing_ = false;
    writer_.join();
  }
  void Stop(PgflowProcess& process) {
    process.Signal(SIGTERM);
    EXPECT_EQ(process.WaitForExit(), 0) << process.Output();
  }

  std::string role_;
  std::atomic<bool> writing_{false};
  std::jthread writer_;
};

constexpr const char* kTable = "(id bigserial PRIMARY KEY, v int)";

TEST_F(NewTablesTest, ADatabaseWithoutTablesIsNoError) {
  pipeline_.sinks.push_back(FileSink());
  for (const auto& [mode, ddl] : {std::pair("snapshot_and_stream", "true"),
                                  std::pair("stream", "false"), std::pair("snapshot", "false")}) {
    pipeline_.source_options =
        fmt::format("    mode: {}\n    replication: {{ddl: {}}}\n", mode, ddl);
    for (const std::string& url : {source_.url(), source_.url(role_)}) {
      SCOPED_TRACE(fmt::format("{} {}", mode, url));
      pipeline_.source_url = url;
      const std::string check = Expect(0, "check");
      EXPECT_NE(check.find("has no table yet"), std::string::npos) << check;
      if (std::string_view(mode) != "snapshot") Expect(0, "init");
      Expect(0, "run", {"--until-current"});
      Expect(0, "run", {"--until-current"});
      pipeline_.source_url = source_.url();
      Expect(0, "destroy");
    }
  }
}

TEST_F(NewTablesTest, APublicationWithoutTablesIsNoError) {
  source_.Execute(fmt::format("CREATE TABLE aside {}; CREATE PUBLICATION mine", kTable));
  pipeline_.source_options = "    replication: {publication: mine}\n";
  pipeline_.source_url = source_.url();
  Expect(0, "check");
  Expect(0, "init");
  const std::string check = Expect(0, "check");
  EXPECT_NE(check.find("ALTER PUBLICATION \"mine\" ADD TABLE \"public\".\"aside\""),
            std::string::npos)
      << check;
  const auto process = Run();
  ASSERT_TRUE(WaitForSnapshot(*process));
  EXPECT_TRUE(process->Printed("table public.aside is left out")) << process->Output();
  // Its rows of before, of while it joins, and of later.
  source_.Execute("INSERT INTO aside (v) SELECT generate_series(1, 1000)");
  WriteTo("aside");
  source_.Execute("ALTER PUBLICATION mine ADD TABLE aside");
  ASSERT_TRUE(process->WaitForOutput("table public.aside has joined")) << process->Output();
  // One that was made as the others are: published by somebody, later.
  source_.Execute(fmt::format("CREATE TABLE third {}; INSERT INTO third (v) VALUES (1)", kTable));
  source_.Execute("ALTER PUBLICATION mine ADD TABLE third; INSERT INTO third (v) VALUES (2)");
  StopWriting();
  ExpectEqualSoon({"aside", "third"}, *process);
  Stop(*process);
  RunToCurrent();
  ExpectEqual({"aside", "third"});
}

TEST_F(NewTablesTest, TheyJoinByThemselves) {
  Expect(0, "init");
  const auto process = Run();
  ASSERT_TRUE(WaitForSnapshot(*process));
  EXPECT_TRUE(process->Printed(role_ + " is no superuser")) << process->Output();
  EXPECT_TRUE(process->Printed("let a superuser run once")) << process->Output();
  // Rows that it has from its birth, and rows that come while it joins.
  ExecuteAsRole(
      fmt::format("BEGIN; CREATE TABLE public.a {}; INSERT INTO public.a (v) SELECT "
                  "generate_series(1, 1000); COMMIT",
                  kTable));
  WriteTo("public.a");
  ASSERT_TRUE(process->WaitForOutput("table public.a has joined")) << process->Output();
  ExecuteAsRole("ALTER TABLE public.a ADD COLUMN stock int DEFAULT 0");
  StopWriting();
  ExecuteAsRole("UPDATE public.a SET stock = 50");
  ExpectEqualSoon({"public.a"}, *process);
  // Several at once; a partitioned one.
  ExecuteAsRole(fmt::format(
      "CREATE TABLE lab.b {0}; CREATE TABLE lab.c {0}; INSERT INTO lab.b (v) VALUES (1);"
      "CREATE TABLE lab.p (id int PRIMARY KEY, v int) PARTITION BY RANGE (id);"
      "CREATE TABLE lab.p1 PARTITION OF lab.p FOR VALUES FROM (0) TO (100);"
      "INSERT INTO lab.p VALUES (1, 1); INSERT INTO lab.c (v) VALUES (2)",
      kTable));
  ExpectEqualSoon({"public.a", "lab.b", "lab.c", "lab.p"}, *process);
  Stop(*process);
  // While it is down.
  ExecuteAsRole(fmt::format("CREATE TABLE lab.d {}; INSERT INTO lab.d (v) VALUES (3)", kTable));
  RunToCurrent();
  ExpectEqual({"public.a", "lab.b", "lab.c", "lab.d", "lab.p"});
}

TEST_F(NewTablesTest, DroppedOrRenamedAtOnceTheyStopNothing) {
  const auto process = Run();
  ASSERT_TRUE(WaitForSnapshot(*process));
  ExecuteAsRole(fmt::format("CREATE TABLE lab.kept {}", kTable));
  std::mt19937 random(11);
  std::vector<std::string> tables = {"lab.kept"};
  for (int i = 0; i < 12; ++i) {
    const auto wait = [&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(random() % 700));
    };
    ExecuteAsRole(
        fmt::format("CREATE TABLE lab.t{0} {1}; INSERT INTO lab.t{0} (v) VALUES (1)", i, kTable));
    wait();
    if (i % 3 == 0) {
      ExecuteAsRole(fmt::format("DROP TABLE lab.t{}", i));
    } else {
      ExecuteAsRole(
          fmt::format("ALTER TABLE lab.t{0} RENAME TO u{0}; ALTER TABLE lab.u{0} RENAME "
                      "CONSTRAINT t{0}_pkey TO u{0}_pkey",
                      i));
      wait();
      ExecuteAsRole(fmt::format("INSERT INTO lab.u{} (v) VALUES (2)", i));
      tables.push_back(fmt::format("lab.u{}", i));
    }
    ExecuteAsRole("INSERT INTO lab.kept (v) VALUES (1)");
  }
  ExpectEqualSoon(tables, *process);
}

TEST_F(NewTablesTest, AnOpenTransactionOfAnybodyHidesNothing) {
  const auto process = Run();
  ASSERT_TRUE(WaitForSnapshot(*process));
  auto open = shared_server->Connect(source_.name);
  ASSERT_TRUE(open.ok());
  ASSERT_TRUE((*open)
                  ->Execute(fmt::format("BEGIN; SET LOCAL ROLE {}; CREATE TABLE lab.late {};"
                                        "INSERT INTO lab.late (v) VALUES (1)",
                                        role_, kTable))
                  .ok());
  ExecuteAsRole(
      fmt::format("CREATE TABLE lab.early {0}; INSERT INTO lab.early (v) VALUES (1)", kTable));
  // It is published; its copy waits for the transaction.
  ASSERT_TRUE(Eventually([&] {
    return source_.Value("SELECT count(*) FROM pg_publication_tables") == "1";
  })) << process->Output();
  ExecuteAsRole("INSERT INTO lab.early (v) VALUES (2)");
  ASSERT_TRUE((*open)->Execute("INSERT INTO lab.early (v) VALUES (3)").ok());
  ASSERT_TRUE((*open)->Execute("COMMIT").ok());
  ExecuteAsRole("INSERT INTO lab.late (v) VALUES (2)");
  ExpectEqualSoon({"lab.early", "lab.late"}, *process);
}

TEST_F(NewTablesTest, AKillWhileOneJoinsLosesNothing) {
  RunToCurrent();
  std::mt19937 random(std::random_device{}());
  std::vector<std::string> tables;
  for (int i = 0; i < 8; ++i) {
    const auto process = Run();
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % 400));
    ExecuteAsRole(
        fmt::format("CREATE TABLE lab.t{0} {1}; INSERT INTO lab.t{0} (v) SELECT "
                    "generate_series(1, 100)",
                    i, kTable));
    tables.push_back(fmt::format("lab.t{}", i));
    if (i == 0) WriteTo("lab.t0");
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % 1200));
    process->Kill9();
    if (i % 2 == 1) {
      // Whatever it knew of it.
      ExecuteAsRole(
          fmt::format("ALTER TABLE lab.t{0} RENAME TO u{0}; ALTER TABLE lab.u{0} RENAME "
                      "CONSTRAINT t{0}_pkey TO u{0}_pkey; INSERT INTO lab.u{0} (v) VALUES (5)",
                      i));
      tables.back() = fmt::format("lab.u{}", i);
    }
  }
  StopWriting();
  RunToCurrent();
  RunToCurrent();
  ExpectEqual(tables);
}

TEST_F(NewTablesTest, OneOfAnotherOwnerIsNamedWithWhatMendsIt) {
  const auto process = Run();
  ASSERT_TRUE(WaitForSnapshot(*process));
  source_.Execute(fmt::format(
      "CREATE TABLE foreigners {}; INSERT INTO foreigners (v) SELECT generate_series(1, 1000)",
      kTable));
  ASSERT_TRUE(process->WaitForOutput("table public.foreigners is left out")) << process->Output();
  WriteTo("foreigners");
  const std::string grant =
      fmt::format("GRANT SELECT ON \"public\".\"foreigners\" TO \"{}\"", role_);
  const std::string publish = fmt::format(
      "ALTER PUBLICATION \"pgflow_{}\" ADD TABLE \"public\".\"foreigners\"", pipeline_.name);
  EXPECT_TRUE(process->Printed(grant + "; " + publish)) << process->Output();
  EXPECT_NE(Expect(0, "check").find(publish), std::string::npos);
  // A start is not refused for its sake, either.
  Stop(*process);
  const auto again = Run();
  ASSERT_TRUE(again->WaitForOutput("table public.foreigners is left out")) << again->Output();
  // One by one: it may be published before it can be read.
  source_.Execute(publish);
  std::this_thread::sleep_for(std::chrono::milliseconds(700));
  EXPECT_EQ(target_.ValueIfAny("SELECT count(*) FROM foreigners"), "");
  source_.Execute(grant);
  ASSERT_TRUE(again->WaitForOutput("table public.foreigners has joined")) << again->Output();
  StopWriting();
  ExpectEqualSoon({"foreigners"}, *again);
  Stop(*again);
  RunToCurrent();
  ExpectEqual({"foreigners"});
}

}  // namespace
}  // namespace pgflow::tests
