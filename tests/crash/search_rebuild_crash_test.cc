// kill -9 of pgflow at random moments of a rebuild, and once of OpenSearch: a search by the name
// never fails for want of an index, never finds fewer rows or older ones, and in the end each
// document is what its row is, in one index.
//
//   search_rebuild_crash_test                           12 kills of pgflow (in CI)
//   PGFLOW_CRASH_ROUNDS=100 search_rebuild_crash_test   the long run
//   PGFLOW_CRASH_SEED=123 search_rebuild_crash_test     the choices of an earlier run
#include <csignal>
#include <map>
#include <memory>
#include <random>
#include <thread>

#include <absl/time/clock.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "engine/testing/scratch_opensearch.h"
#include "tests/integration/search_watch.h"
#include "tests/integration/system_test.h"

namespace pgflow::tests {
namespace {

using nlohmann::json;

class SearchRebuildCrashTest : public SharedServerTest {
 protected:
  void SetUp() override {
    SharedServerTest::SetUp();
    auto made = engine::ScratchOpenSearch::Make();
    ASSERT_TRUE(made.ok()) << made.status();
    search_ = *std::move(made);
    const uint64_t seed = NumberFromEnvironment("PGFLOW_CRASH_SEED", std::random_device{}());
    random_.seed(seed);
    std::printf("PGFLOW_CRASH_SEED=%llu\n", static_cast<unsigned long long>(seed));
    std::fflush(stdout);
    pipeline_.source_options = "    replication: {ddl: true}\n";
    pipeline_.snapshot = "{workers: 1}";
    Choose(0);
    source_.Execute(
        "CREATE TABLE items (id int PRIMARY KEY, n int8, name text, big text, price numeric);"
        "ALTER TABLE items ALTER big SET STORAGE EXTERNAL;"
        "INSERT INTO items SELECT i, 0, 'name ' || i, CASE i % 20 WHEN 0 THEN repeat('b' || i, "
        "600) END, i + 0.25 "
        "FROM generate_series(1, 6000) i;"
        // Not watched: these come and go.
        "CREATE TABLE others (id int PRIMARY KEY, n int8, name text, big text);"
        "ALTER TABLE others ALTER big SET STORAGE EXTERNAL;"
        "INSERT INTO others SELECT i, 0, 'name ' || i, CASE i % 5 WHEN 0 THEN repeat('o' || i, "
        "600) END "
        "FROM generate_series(1, 2000) i");
  }

  int Draw(int first, int last) { return std::uniform_int_distribution<int>(first, last)(random_); }
  // Another mapping with each number.
  void Choose(uint64_t number) {
    pipeline_.sinks = {fmt::format(
        "opensearch: {{url: \"{}\", index: \"rebuild-{{table}}\", tables: [{{table: \"*\", "
        "mapping: {{name: {{type: keyword, ignore_above: {}}}}}}}]}}, retry: {{max: 1s}}",
        search_->url(), 100 + number)};
  }
  void KeepRunning() {
    if (pgflow_ == nullptr || !pgflow_->running()) pgflow_ = Run();
  }
  void Kill() {
    pgflow_->Kill9();
    KeepRunning();
  }
  std::string Change(std::mt19937_64& random, int number) {
    const auto draw = [&random](int last) {
      return std::uniform_int_distribution<int>(1, last)(random);
    };
    const int id = draw(3000);
    std::string sql = fmt::format(
        "BEGIN; INSERT INTO items (id, n, name) VALUES ({}, 1, 'new'); UPDATE items SET n = n + 1 "
        "WHERE id % 100 = {};",
        10000 + number, draw(100) - 1);
    switch (draw(5)) {
      case 1:
        sql += fmt::format("DELETE FROM others WHERE id BETWEEN {} AND {};", id, id + draw(30));
        break;
      case 2:
        sql += fmt::format(
            "INSERT INTO others SELECT i, 1, 'again', repeat('a' || i, 500) FROM "
            "generate_series({}, {}) i ON CONFLICT (id) DO NOTHING;",
            id, id + draw(30));
        break;
      case 3:
        sql += fmt::format(
            "UPDATE others SET id = {0} WHERE id = {1} AND NOT EXISTS (SELECT FROM others WHERE "
            "id = {0});",
            id + 4000, id);
        break;
      default:
        sql += fmt::format("UPDATE others SET n = n + 1 WHERE id BETWEEN {} AND {};", id, id + 50);
    }
    return sql + "COMMIT";
  }
  bool IsFarBehind() const {
    return source_.Value(fmt::format(
               "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'pgflow_{}' AND "
               "pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn) > 16 << 20",
               pipeline_.name)) == "1";
  }
  std::jthread StartWriting() {
    return std::jthread(
        [this, random = std::mt19937_64(Draw(1, 1 << 30))](std::stop_token stop) mutable {
          for (int number = 0; !stop.stop_requested();) {
            // Kills are to hit the work at hand, not a backlog that grows with them.
            if (IsFarBehind()) {
              absl::SleepFor(absl::Milliseconds(100));
              continue;
            }
            source_.Execute(Change(random, number++));
            absl::SleepFor(absl::Milliseconds(40));
          }
        });
  }

  std::map<std::string, std::string> Documents(const std::string& index) const {
    std::map<std::string, std::string> found;
    if (!search_->Request("POST", "/" + index + "/_refresh").ok()) return found;
    const auto answer = search_->Request("GET", "/" + index + "/_search?size=10000");
    if (!answer.ok()) return found;
    const json parsed = json::parse(*answer);
    for (const json& hit : parsed["hits"]["hits"]) {
      found[hit["_id"].get<std::string>()] = hit["_source"].dump();
    }
    return found;
  }
  std::map<std::string, std::string> Rows(const std::string& table) const {
    std::map<std::string, std::string> found;
    const auto rows = source_.server->Query(
        fmt::format("SELECT id::text, row_to_json(t)::text FROM {} t", table), source_.name);
    EXPECT_TRUE(rows.ok()) << rows.status();
    if (!rows.ok()) return found;
    for (const auto& row : *rows) found[*row[0]] = json::parse(*row[1]).dump();
    return found;
  }
  void ExpectEqualSoon() {
    for (const std::string table : {"items", "others"}) {
      const bool equal = Eventually(
          [&] {
            KeepRunning();
            return Documents("rebuild-" + table) == Rows(table);
          },
          absl::Minutes(3));
      EXPECT_TRUE(equal) << table << "\n" << End();
    }
  }
  std::string End() const {
    const std::string log = ReadFile(directory_ / "pgflow.log");
    return log.substr(log.size() > 20000 ? log.size() - 20000 : 0);
  }
  // The mapping that was chosen last, and nothing is left over.
  bool IsRebuilt(uint64_t number) const {
    const auto answer = search_->Request("GET", "/rebuild-*");
    if (!answer.ok()) return false;
    const json parsed = json::parse(*answer);
    if (parsed.size() != 2) return false;
    for (const auto& [index, body] : parsed.items()) {
      const json& name = body["mappings"]["properties"]["name"];
      if (name.value("ignore_above", uint64_t{0}) != 100 + number) return false;
      if (body["aliases"].size() != 1) return false;
    }
    return true;
  }

  std::unique_ptr<engine::ScratchOpenSearch> search_;
  std::unique_ptr<PgflowProcess> pgflow_;
  std::mt19937_64 random_;
};

TEST_F(SearchRebuildCrashTest, NobodySeesARebuildThatIsKilled) {
  KeepRunning();
  ExpectEqualSoon();
  SearchWatch watch(*search_, "rebuild-items", {.patient = true, .ids = true});
  watch.Expect(6000);
  std::jthread writer = StartWriting();
  const uint64_t kills = NumberFromEnvironment("PGFLOW_CRASH_ROUNDS", 12);
  uint64_t number = 0;
  for (uint64_t done = 0; done < kills;) {
    Choose(++number);
    Kill();
    // Several in one rebuild; at times it comes to its end between two.
    for (int i = Draw(1, 4); i > 0 && done < kills; --i, ++done) {
      absl::SleepFor(absl::Milliseconds(Draw(300, Draw(1, 2) == 1 ? 2500 : 7000)));
      Kill();
      if (done != kills / 2) continue;
      ASSERT_TRUE(search_->Kill9().ok());
      ASSERT_TRUE(search_->Start().ok());
    }
    if (HasFailure() || !watch.problem().empty()) break;
  }
  const bool rebuilt = Eventually(
      [&] {
        KeepRunning();
        return IsRebuilt(number);
      },
      absl::Minutes(3));
  EXPECT_TRUE(rebuilt) << End();
  writer = {};
  ExpectEqualSoon();
  EXPECT_EQ(watch.problem(), "") << End();
  EXPECT_GT(watch.searches(), 100U);
  EXPECT_TRUE(IsRebuilt(number));
  pgflow_->Signal(SIGINT);
  EXPECT_EQ(pgflow_->WaitForExit(), 0) << End();
}

}  // namespace
}  // namespace pgflow::tests
