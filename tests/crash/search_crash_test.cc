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
#include <functional>
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

constexpr char kLink[] = "_join_public_orders_items";
constexpr char kJoinedRows[] =
    "SELECT o.id::text, (to_jsonb(o) || jsonb_build_object('items', (SELECT "
    "coalesce(jsonb_agg(to_jsonb(i) ORDER BY i.id), '[]') FROM items i WHERE i.order_id = "
    "o.id)))::text FROM orders o";

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

  // The same for orders with their items, which move between them.
  std::string ChangeJoined(std::mt19937_64& random) {
    const auto draw = [&random](int last) {
      return std::uniform_int_distribution<int>(1, last)(random);
    };
    std::string sql = "BEGIN;";
    for (int i = draw(4); i > 0; --i) {
      const int order = draw(300);
      const int item = draw(3000);
      switch (draw(60) == 1 ? 9 : draw(8)) {
        case 1:
          sql += fmt::format(
              "INSERT INTO items SELECT i, {}, 'new', repeat('n', 800) FROM "
              "generate_series({}, {}) i ON CONFLICT (id) DO NOTHING;",
              order, item, item + draw(20));
          break;
        case 2:
          sql += fmt::format("UPDATE items SET order_id = {} WHERE id BETWEEN {} AND {};", order,
                             item, item + draw(20));
          break;
        case 3:
          sql += fmt::format("UPDATE items SET what = what || 'u' WHERE id BETWEEN {} AND {};",
                             item, item + draw(50));
          break;
        case 4:
          sql +=
              fmt::format("DELETE FROM items WHERE id BETWEEN {} AND {};", item, item + draw(20));
          break;
        case 5:
          sql += fmt::format("DELETE FROM orders WHERE id = {};", order);
          break;
        case 6:
          sql += fmt::format(
              "UPDATE orders SET id = {0} WHERE id = {1} AND NOT EXISTS (SELECT FROM "
              "orders WHERE id = {0}); UPDATE items SET order_id = {0} WHERE "
              "order_id = {1};",
              order, draw(300));
          break;
        case 9:
          sql += draw(2) == 1 ? "TRUNCATE items;" : "TRUNCATE orders;";
          break;
        default:
          sql += fmt::format(
              "INSERT INTO orders SELECT i, 'new', repeat('o', 800) FROM "
              "generate_series({}, {}) i ON CONFLICT (id) DO UPDATE SET name = "
              "orders.name || 'u';",
              order, order + draw(10));
          break;
      }
    }
    return sql + "COMMIT";
  }

  std::map<std::string, std::string> Documents(const std::string& index = "crash-items") const {
    std::map<std::string, std::string> found;
    if (!search_->Request("POST", "/" + index + "/_refresh").ok()) return found;
    std::string after;
    while (true) {
      const auto answer =
          search_->Request("POST", "/" + index + "/_search",
                           fmt::format(R"({{"size":1000,"sort":["id"]{}}})",
                                       after.empty() ? "" : ",\"search_after\":[" + after + "]"));
      if (!answer.ok()) return found;
      const json hits = json::parse(*answer)["hits"]["hits"];
      if (hits.empty()) return found;
      for (json hit : hits) {
        hit["_source"].erase(kLink);
        found[hit["_id"].get<std::string>()] = hit["_source"].dump();
      }
      after = hits.back()["sort"][0].dump();
    }
  }
  std::map<std::string, std::string> Rows(
      const std::string& query = "SELECT id::text, row_to_json(items)::text FROM items") const {
    std::map<std::string, std::string> found;
    const auto rows = source_.server->Query(query, source_.name);
    EXPECT_TRUE(rows.ok()) << rows.status();
    if (!rows.ok()) return found;
    for (const auto& row : *rows) found[*row[0]] = json::parse(*row[1]).dump();
    return found;
  }

  void KeepRunning() {
    if (pgflow_ == nullptr || !pgflow_->running()) pgflow_ = Run();
  }
  bool IsFarBehind() const {
    return source_.Value(fmt::format(
               "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'pgflow_{}' AND "
               "pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn) > 64 << 20",
               pipeline_.name)) == "1";
  }
  void KillUnderLoad(uint64_t kills, const std::function<std::string(std::mt19937_64&)>& change) {
    KeepRunning();
    std::jthread writer(
        [this, &change, random = std::mt19937_64(seed_ + 1)](std::stop_token stop) mutable {
          while (!stop.stop_requested()) {
            // Kills are to hit the work at hand, not a backlog that grows with them.
            if (IsFarBehind()) {
              absl::SleepFor(absl::Milliseconds(100));
              continue;
            }
            source_.Execute(change(random));
            absl::SleepFor(absl::Milliseconds(20));
          }
        });
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
  }
  using Contents = std::function<std::map<std::string, std::string>()>;
  void ExpectEqualInTheEnd(const Contents& documents_now, const Contents& rows_now) {
    const bool equal = Eventually(
        [&] {
          KeepRunning();
          return documents_now() == rows_now();
        },
        absl::Minutes(3));
    if (!equal) {
      const auto documents = documents_now();
      const auto rows = rows_now();
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
  KillUnderLoad(NumberFromEnvironment("PGFLOW_CRASH_ROUNDS", 6),
                [this](std::mt19937_64& random) { return Change(random); });
  if (NumberFromEnvironment("PGFLOW_CRASH_SABOTAGE", 0) != 0) {
    source_.Execute("INSERT INTO items VALUES (99999, 'x', 'y', 1)");
    Eventually([this] { return Documents().contains("99999"); });
    ASSERT_TRUE(search_->Request("DELETE", "/crash-items/_doc/99999").ok());
  }
  ExpectEqualInTheEnd([this] { return Documents(); }, [this] { return Rows(); });
}

TEST_F(SearchCrashTest, NestedRowsEqualTheJoin) {
  pipeline_.sinks = {
      fmt::format("opensearch: {{url: \"{}\", index: \"crash-{{table}}\", joins: [{{parent: "
                  "public.orders, child: public.items, on: {{order_id: id}}, as: items}}]}}, "
                  "retry: {{max: 1s}}",
                  search_->url())};
  source_.Execute(
      "CREATE TABLE orders (id int PRIMARY KEY, name text, big text);"
      "CREATE TABLE items (id int PRIMARY KEY, order_id int, what text, big text);"
      "ALTER TABLE orders ALTER big SET STORAGE EXTERNAL;"
      "ALTER TABLE items ALTER big SET STORAGE EXTERNAL;"
      "INSERT INTO orders SELECT i, 'first', repeat('o', 800) FROM generate_series(1, 200) i;"
      "INSERT INTO items SELECT i, 1 + i % 300, 'first', repeat('f', 800) FROM "
      "generate_series(1, 3000) i");
  KillUnderLoad(NumberFromEnvironment("PGFLOW_CRASH_ROUNDS", 4),
                [this](std::mt19937_64& random) { return ChangeJoined(random); });
  if (NumberFromEnvironment("PGFLOW_CRASH_SABOTAGE", 0) != 0) {
    source_.Execute("INSERT INTO orders VALUES (99999); INSERT INTO items VALUES (99999, 99999)");
    Eventually([this] { return Documents("crash-orders").contains("99999"); });
    ASSERT_TRUE(search_->Request("PUT", "/crash-orders/_doc/99999", "{\"id\":99999}").ok());
  }
  ExpectEqualInTheEnd([this] { return Documents("crash-orders"); },
                      [this] { return Rows(kJoinedRows); });
}

}  // namespace
}  // namespace pgflow::tests
