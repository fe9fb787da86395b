// kill -9 of pgflow and of OpenSearch at random moments, under load; in the end each document is
// what its row is, and there are no others.
//
//   search_crash_test                                  6 kills (in CI)
//   PGFLOW_CRASH_ROUNDS=50 search_crash_test           the long run
//   PGFLOW_CRASH_SEED=123 search_crash_test            the choices of an earlier run
//   PGFLOW_CRASH_SABOTAGE=1 search_crash_test          spoils a document: the test must fail
//
// The first kills fall into the copy. A writer inserts, updates (large values not touched, too),
// changes keys, deletes, and now and then truncates and fills again.
#include <csignal>
#include <map>
#include <random>
#include <thread>

#include <absl/time/clock.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "engine/testing/scratch_opensearch.h"
#include "tests/integration/system_test.h"

namespace pgflow::tests {
namespace {

using nlohmann::json;

class SearchCrashTest : public SharedServerTest {
 protected:
  void SetUp() override {
    SharedServerTest::SetUp();
    auto made = engine::ScratchOpenSearch::Make();
    ASSERT_TRUE(made.ok()) << made.status();
    search_ = *std::move(made);
    seed_ = NumberFromEnvironment("PGFLOW_CRASH_SEED", std::random_device{}());
    random_.seed(seed_);
    std::printf("PGFLOW_CRASH_SEED=%llu\n", static_cast<unsigned long long>(seed_));
    std::fflush(stdout);
    pipeline_.sinks = {
        fmt::format("opensearch: {{url: \"{}\", index: \"crash-{{table}}\"}}, retry: {{max: 1s}}",
                    search_->url())};
  }

  int Draw(int first, int last) { return std::uniform_int_distribution<int>(first, last)(random_); }

  // One transaction of several statements.
  std::string Change(std::mt19937_64& random) {
    const auto draw = [&random](int last) {
      return std::uniform_int_distribution<int>(0, last)(random);
    };
    std::string sql = "BEGIN;";
    const int statements = 1 + draw(4);
    for (int i = 0; i < statements; ++i) {
      const int id = draw(6000);
      switch (draw(40) == 0 ? 9 : draw(4)) {
        case 0:
          sql += fmt::format(
              "INSERT INTO items SELECT i, 'new', repeat('n' || i, 1000), 0 FROM "
              "generate_series({}, {}) i ON CONFLICT (id) DO NOTHING;",
              id, id + draw(100));
          break;
        case 1:
          sql += fmt::format("UPDATE items SET n = n + 1 WHERE id BETWEEN {} AND {};", id,
                             id + draw(200));
          break;
        case 2:
          sql += fmt::format("DELETE FROM items WHERE id BETWEEN {} AND {};", id, id + draw(50));
          break;
        case 3:
          sql += fmt::format(
              "UPDATE items SET id = {} WHERE id = {} AND NOT EXISTS (SELECT FROM items WHERE id = "
              "{});",
              id + 7000, id, id + 7000);
          break;
        case 9:
          sql +=
              "TRUNCATE items; INSERT INTO items SELECT i, 'again', 'b', 0 FROM "
              "generate_series(1, 500) i;";
          break;
        default:
          sql += fmt::format("UPDATE items SET big = repeat('u' || n, 800) WHERE id = {};", id);
          break;
      }
    }
    return sql + "COMMIT";
  }

  std::map<std::string, std::string> Documents() const {
    std::map<std::string, std::string> found;
    if (!search_->Request("POST", "/crash-items/_refresh").ok()) return found;
    std::string after;
    while (true) {
      const auto answer =
          search_->Request("POST", "/crash-items/_search",
                           fmt::format(R"({{"size":1000,"sort":["id"]{}}})",
                                       after.empty() ? "" : ",\"search_after\":[" + after + "]"));
      if (!answer.ok()) return found;
      const json hits = json::parse(*answer)["hits"]["hits"];
      if (hits.empty()) return found;
      for (const json& hit : hits) found[hit["_id"].get<std::string>()] = hit["_source"].dump();
      after = hits.back()["sort"][0].dump();
    }
  }
  std::map<std::string, std::string> Rows() const {
    std::map<std::string, std::string> found;
    const auto rows =
        source_.server->Query("SELECT id::text, row_to_json(items)::text FROM items", source_.name);
    EXPECT_TRUE(rows.ok()) << rows.status();
    if (!rows.ok()) return found;
    for (const auto& row : *rows) found[*row[0]] = json::parse(*row[1]).dump();
    return found;
  }

  void KeepRunning() {
    if (pgflow_ == nullptr || !pgflow_->running()) pgflow_ = Run();
  }

  std::unique_ptr<engine::ScratchOpenSearch> search_;
  std::unique_ptr<PgflowProcess> pgflow_;
  uint64_t seed_ = 0;
  std::mt19937_64 random_;
};

TEST_F(SearchCrashTest, TheIndexEqualsTheTable) {
  source_.Execute(
      "CREATE TABLE items (id int PRIMARY KEY, name text, big text, n int);"
      "ALTER TABLE items ALTER big SET STORAGE EXTERNAL;"
      "INSERT INTO items SELECT i, 'first', repeat('f' || i, 1000), 0 FROM "
      "generate_series(1, 20000) i");
  KeepRunning();
  std::jthread writer([this, random = std::mt19937_64(seed_ + 1)](std::stop_token stop) mutable {
    while (!stop.stop_requested()) {
      source_.Execute(Change(random));
      absl::SleepFor(absl::Milliseconds(20));
    }
  });
  const uint64_t kills = NumberFromEnvironment("PGFLOW_CRASH_ROUNDS", 6);
  for (uint64_t i = 0; i < kills; ++i) {
    absl::SleepFor(absl::Milliseconds(Draw(0, 4000)));
    if (Draw(1, 3) == 1) {
      ASSERT_TRUE(search_->Kill9().ok());
      absl::SleepFor(absl::Milliseconds(Draw(0, 1000)));
      ASSERT_TRUE(search_->Start().ok());
    } else {
      pgflow_->Kill9();
    }
    KeepRunning();
  }
  writer.request_stop();
  writer.join();
  if (NumberFromEnvironment("PGFLOW_CRASH_SABOTAGE", 0) != 0) {
    source_.Execute("INSERT INTO items VALUES (99999, 'x', 'y', 1)");
    Eventually([this] { return Documents().contains("99999"); });
    ASSERT_TRUE(search_->Request("DELETE", "/crash-items/_doc/99999").ok());
  }
  const bool equal = Eventually(
      [this] {
        KeepRunning();
        return Documents() == Rows();
      },
      absl::Minutes(3));
  if (!equal) {
    const auto documents = Documents();
    const auto rows = Rows();
    for (const auto& [id, row] : rows) {
      const auto found = documents.find(id);
      if (found == documents.end()) {
        ADD_FAILURE() << "missing: " << id;
      } else if (found->second != row) {
        ADD_FAILURE() << id << ": " << found->second.substr(0, 200) << "\nnot "
                      << row.substr(0, 200);
      }
    }
    for (const auto& [id, document] : documents) EXPECT_TRUE(rows.contains(id)) << "left: " << id;
    ADD_FAILURE() << pgflow_->Output().substr(0, 20000);
  }
  pgflow_->Signal(SIGINT);
  EXPECT_EQ(pgflow_->WaitForExit(), 0) << pgflow_->Output();
}

}  // namespace
}  // namespace pgflow::tests
