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

}  // namespace
}  // namespace pgflow::tests
