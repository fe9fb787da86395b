// `pgflow tap` and `pgflow top` beside a pipeline that runs.

#include <signal.h>

#include <sstream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "engine/testing/scratch_cluster.h"
#include "tests/integration/system_test.h"

namespace pgflow::tests {
namespace {

class TapTest : public SharedServerTest {
 protected:
  void SetUp() override {
    SharedServerTest::SetUp();
    source_.Execute(
        "CREATE TABLE orders (id int PRIMARY KEY, note text); CREATE TABLE secrets (id int PRIMARY "
        "KEY, word text); INSERT INTO orders VALUES (1, 'one')");
    pipeline_.sinks = {PostgresSink()};
    UseAdmin("");
  }
  void TearDown() override { Expect(0, "destroy"); }

  void UseAdmin(const std::string& options) {
    pipeline_.more = fmt::format(
        "admin: {{listen: \"127.0.0.1:{}\"{}}}\ntransformers:\n"
        "  - mask: {{key: the secret of this test, rules: [{{table: public.secrets, column: word, "
        "with: \"null\"}}]}}\n",
        port_, options);
  }

  // The lines that are JSON; the programs of a test share one file with their logs.
  static std::vector<nlohmann::json> Lines(const PgflowProcess& process) {
    std::vector<nlohmann::json> lines;
    std::istringstream text(process.Output());
    for (std::string line; std::getline(text, line);) {
      if (line.starts_with('{')) lines.push_back(nlohmann::json::parse(line));
    }
    return lines;
  }

  // What is written again and again until the watcher has seen enough of it: nobody can tell from
  // outside when it began to watch.
  void InsertUntil(PgflowProcess& process, const std::function<bool()>& enough) {
    EXPECT_TRUE(Eventually([&] {
      source_.Execute(
          fmt::format("INSERT INTO orders VALUES ({0}, 'note {0}');"
                      "INSERT INTO secrets VALUES ({0}, 'word {0}');"
                      "UPDATE orders SET note = 'changed' WHERE id = {0}",
                      ++id_));
      return enough();
    })) << process.Output();
  }

  int id_ = 100;
  const int port_ = *engine::FindFreePort();
};

TEST_F(TapTest, PrintsWhatPassesAsTheSinkTakesIt) {
  auto run = Run();
  ASSERT_TRUE(WaitForSnapshot(*run));
  auto tap = Start("tap", {"--limit", "6"});
  InsertUntil(*tap, [&] { return !tap->running(); });
  EXPECT_EQ(tap->WaitForExit(), 0);
  const std::vector<nlohmann::json> lines = Lines(*tap);
  ASSERT_EQ(lines.size(), 6U) << tap->Output();
  size_t masked = 0;
  for (const nlohmann::json& line : lines) {
    EXPECT_TRUE(line.contains("position")) << line;
    if (line["table"] != "secrets") continue;
    ++masked;
    EXPECT_TRUE(line["after"]["word"].is_null()) << line;
  }
  EXPECT_GT(masked, 0U);
  // Watching moved nothing: all of it arrives, and is acknowledged.
  ExpectEqualSoon({"orders"}, *run);
  run->Signal(SIGINT);
  EXPECT_EQ(run->WaitForExit(), 0);
}

TEST_F(TapTest, KeepsToTablesAndOperations) {
  auto run = Run();
  ASSERT_TRUE(WaitForSnapshot(*run));
  auto tap = Start("tap", {"--tables", "public.ord*", "--operations", "update", "--limit", "3"});
  InsertUntil(*tap, [&] { return !tap->running(); });
  for (const nlohmann::json& line : Lines(*tap)) {
    EXPECT_EQ(line["table"], "orders");
    EXPECT_EQ(line["operation"], "update");
    EXPECT_EQ(line["after"]["note"], "changed");
  }
  EXPECT_EQ(Lines(*tap).size(), 3U);
}

TEST_F(TapTest, LeavesWhenInterruptedAndWhenThePipelineEnds) {
  auto run = Run();
  ASSERT_TRUE(WaitForSnapshot(*run));
  auto first = Start("tap");
  InsertUntil(*first, [&] { return !Lines(*first).empty(); });
  first->Signal(SIGINT);
  EXPECT_EQ(first->WaitForExit(), 0);
  auto second = Start("tap");
  InsertUntil(*second, [&] { return Lines(*second).size() > 3; });
  run->Signal(SIGINT);
  EXPECT_EQ(run->WaitForExit(), 0);
  EXPECT_EQ(second->WaitForExit(), 1);
  EXPECT_TRUE(second->Printed("ended"));
}

TEST_F(TapTest, SaysWhyItCannot) {
  Expect(2, "tap", {"--operations", "insrt"});
  EXPECT_NE(Expect(1, "tap").find("no answer at 127.0.0.1"), std::string::npos);
  EXPECT_NE(Expect(1, "top").find("no answer at 127.0.0.1"), std::string::npos);
  UseAdmin(", tap: false");
  auto run = Run();
  ASSERT_TRUE(WaitForSnapshot(*run));
  EXPECT_NE(Expect(1, "tap").find("admin.tap: false"), std::string::npos);
}

TEST_F(TapTest, TopTellsTheRatesOfTables) {
  auto run = Run();
  ASSERT_TRUE(WaitForSnapshot(*run));
  auto top = Start("top");
  InsertUntil(*top, [&] {
    return top->Printed("table public.orders into postgres:") && top->Printed("update/s");
  });
  EXPECT_TRUE(top->Printed("sink postgres: streaming, frontier "));
  top->Signal(SIGINT);
  EXPECT_EQ(top->WaitForExit(), 0);
  EXPECT_NE(Expect(0, "top", {"--count", "1"}).find("changes/s"), std::string::npos);
}

}  // namespace
}  // namespace pgflow::tests
