// Dead letters and `pgflow replay`: no letter is lost and none is applied twice, whatever happens
// meanwhile.
#include <csignal>
#include <random>

#include <absl/time/clock.h>
#include <fmt/format.h>

#include "base/pause.h"
#include "tests/integration/system_test.h"

namespace pgflow::tests {
namespace {

class ReplayTest : public SharedServerTest {
 protected:
  void SetUp() override {
    SharedServerTest::SetUp();
    // A table without a key shows what is applied twice.
    source_.Execute(
        "CREATE TABLE goods (id int PRIMARY KEY, price int);"
        "CREATE TABLE sales (id int, price int);"
        "INSERT INTO goods SELECT i, i % 90 FROM generate_series(1, 50) i");
    file_ = directory_ / "refused.jsonl";
    pipeline_.sinks = {PostgresSink() + fmt::format(", dead_letter: {{file: \"{}\"}}", file_)};
    RunToCurrent();
    Refuse("price < 100");
  }

  void Refuse(const std::string& condition) {
    for (const char* table : {"goods", "sales"}) {
      target_.Execute(fmt::format("ALTER TABLE {0} DROP CONSTRAINT IF EXISTS cheap", table));
      if (condition.empty()) continue;
      target_.Execute(fmt::format("ALTER TABLE {} ADD CONSTRAINT cheap CHECK ({}) NOT VALID", table,
                                  condition));
    }
  }
  size_t Lines() const { return CountOf(ReadFile(file_), "\n"); }

  std::string file_;
};

TEST_F(ReplayTest, LettersThatArriveMeanwhileStay) {
  auto running = Run();
  source_.Execute("INSERT INTO sales SELECT i, 500 + i % 2 FROM generate_series(1, 60) i");
  ASSERT_TRUE(Eventually([&] { return Lines() == 60; })) << running->Output();
  Refuse("price <= 500");
  auto replay = Start("replay");
  for (int i = 0; i < 20; ++i) {
    source_.Execute(fmt::format("INSERT INTO sales VALUES ({0}, 9000), ({0}, 7)", 100 + i));
  }
  EXPECT_EQ(replay->WaitForExit(), 1) << replay->Output();
  EXPECT_TRUE(replay->Printed("30 replayed")) << replay->Output();
  EXPECT_TRUE(Eventually([&] { return Lines() == 50; })) << Lines();
  Refuse("");
  // Two at once share the work.
  auto first = Start("replay");
  auto second = Start("replay");
  EXPECT_EQ(first->WaitForExit(), 0) << first->Output();
  EXPECT_EQ(second->WaitForExit(), 0) << second->Output();
  EXPECT_EQ(Lines(), 0U);
  running->Signal(SIGTERM);
  EXPECT_EQ(running->WaitForExit(), 0) << running->Output();
  ExpectEqual({"goods", "sales"});
}

TEST_F(ReplayTest, ARowThatHasChangedSinceIsLeftAlone) {
  source_.Execute("UPDATE goods SET price = 500 WHERE id = 1");
  source_.Execute("UPDATE goods SET price = 600 WHERE id = 2");
  RunToCurrent();
  source_.Execute("UPDATE goods SET price = 5 WHERE id = 1");
  RunToCurrent();
  Refuse("");
  const std::string said = Expect(0, "replay");
  EXPECT_NE(said.find("1 replayed, 0 refused again, 1 skipped"), std::string::npos) << said;
  EXPECT_NE(said.find("its row has changed since"), std::string::npos) << said;
  ExpectEqual({"goods", "sales"});
  EXPECT_NE(Expect(0, "replay", {"--list"}).find("changed since"), std::string::npos);
  EXPECT_NE(Expect(0, "replay", {"--drop-changed"}).find("1 dropped"), std::string::npos);
  EXPECT_EQ(Lines(), 0U);
  ExpectEqual({"goods", "sales"});
}

TEST_F(ReplayTest, WhatRunsElsewhereIsNotDisturbed) {
  source_.Execute("INSERT INTO sales VALUES (1, 500)");
  auto running = Run();
  ASSERT_TRUE(Eventually([&] { return Lines() == 1; })) << running->Output();
  // The sink is opened again behind a refused row. When this one is there, that is done.
  const std::string arrived = "SELECT count(*) FROM sales WHERE id = 2";
  source_.Execute("INSERT INTO sales VALUES (2, 5)");
  ASSERT_TRUE(Eventually([&] { return target_.Value(arrived) == "1"; })) << running->Output();
  const std::string epoch = "SELECT epoch FROM pgflow.checkpoint WHERE sink = 'postgres'";
  const std::string before = target_.Value(epoch);
  Refuse("");
  pipeline_.state_directory = directory_ / "other";
  const std::string file = std::exchange(file_, directory_ / "other.jsonl");
  pipeline_.sinks = {PostgresSink() + fmt::format(", dead_letter: {{file: \"{}\"}}", file_)};
  auto replay = Start("replay");
  EXPECT_TRUE(replay->WaitForOutput("waiting for the process")) << replay->Output();
  replay->Signal(SIGINT);
  EXPECT_NE(replay->WaitForExit(), 0);
  EXPECT_EQ(target_.Value(epoch), before);
  EXPECT_TRUE(running->running());
  running->Kill9();
}

TEST_F(ReplayTest, KillsAtAnyMomentLoseNothingAndDoubleNothing) {
  const uint64_t seed = NumberFromEnvironment("PGFLOW_REPLAY_SEED", std::random_device{}());
  SCOPED_TRACE(testing::Message() << "PGFLOW_REPLAY_SEED=" << seed);
  std::mt19937_64 random(seed);
  const uint64_t rounds = NumberFromEnvironment("PGFLOW_REPLAY_ROUNDS", 4);
  const auto kill_some_time = [&](const char* command) {
    auto process = Start(command);
    absl::SleepFor(absl::Milliseconds(200 + random() % 2000));
    process->Kill9();
  };
  for (uint64_t round = 0; round < rounds; ++round) {
    source_.Execute(
        fmt::format("INSERT INTO sales SELECT {0} + i, CASE WHEN i % 3 = 0 THEN 500 ELSE 5 END"
                    " FROM generate_series(1, 100) i;"
                    "INSERT INTO goods SELECT {0} + i, 500 FROM generate_series(1, 20) i",
                    1000 * (round + 1)));
    kill_some_time("run");
  }
  RunToCurrent();
  EXPECT_EQ(target_.Value("SELECT count(*) FROM sales WHERE price = 500"), "0");
  Refuse("");
  for (uint64_t round = 0; round < rounds; ++round) kill_some_time("replay");
  Expect(0, "replay");
  ExpectEqual({"goods", "sales"});
  EXPECT_EQ(Lines(), 0U);
}

}  // namespace
}  // namespace pgflow::tests
