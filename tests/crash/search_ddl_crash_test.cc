// DDL between changes of rows, with kill -9 of pgflow, of OpenSearch and of both; in the end each
// document and each mapping is what the source says.
//
//   search_ddl_crash_test                                    a short run (in CI)
//   PGFLOW_CRASH_SEEDS=100 search_ddl_crash_test             more seeds
//   PGFLOW_CRASH_SEED=123 PGFLOW_CRASH_SEEDS=1 ...           from that seed on, and one only
//   PGFLOW_CRASH_ROUNDS=10 ...                               more kills in each
//
// A start of OpenSearch takes longest by far: all have one server, and of the seeds only each
// fourth kills it.
#include <csignal>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <absl/time/clock.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "engine/testing/scratch_opensearch.h"
#include "tests/crash/random_ddl.h"
#include "tests/crash/search_documents.h"
#include "tests/integration/system_test.h"

namespace pgflow::tests {
namespace {

// Columns are named by one letter, so no alias is.
constexpr char kJoinedRows[] =
    "SELECT id::text, (to_jsonb(parent) || jsonb_build_object('lines', (SELECT "
    "coalesce(jsonb_agg(to_jsonb(line) ORDER BY line.id), '[]') FROM lines line WHERE "
    "line.order_id = parent.id)))::text FROM orders parent";

class SearchDdlCrashTest : public SharedServerTest {
 protected:
  static engine::ScratchOpenSearch& Search() { return engine::ScratchOpenSearch::Shared(); }

  void SetUp() override {
    SharedServerTest::SetUp();
    std::string prefix = TestName() + "-";
    std::erase(prefix, '_');
    index_ = "index: \"" + prefix + "{table}\"";
    documents_.emplace(Search(), source_, prefix);
    pipeline_.source_options = "    replication: {ddl: true}\n";
    Join("");
  }
  void TearDown() override {
    if (pgflow_ != nullptr && pgflow_->running()) pgflow_->Kill9();
    source_.Execute(
        "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE database = "
        "current_database() AND active_pid IS NOT NULL");
    // What the next one has the room for.
    EXPECT_TRUE(Eventually([this] {
      return source_.ValueIfAny(
                 "SELECT count(pg_drop_replication_slot(slot_name)) >= 0 FROM "
                 "pg_replication_slots WHERE database = current_database()") == "t";
    }));
    documents_->Remove();
  }
  void Join(const std::string& more) {
    pipeline_.sinks = {fmt::format("opensearch: {{url: \"{}\", {}{}}}, retry: {{max: 1s}}",
                                   Search().url(), index_, more)};
  }

  // It ends only by a kill, whatever the servers do.
  void KeepRunning() {
    if (pgflow_ != nullptr && pgflow_->running()) return;
    if (pgflow_ != nullptr && !killed_) ADD_FAILURE() << "ended by itself:\n" << End();
    pgflow_ = Run();
    killed_ = false;
  }
  void KillPgflow() {
    if (pgflow_->running()) {
      pgflow_->Kill9();
      killed_ = true;
    }
    KeepRunning();
  }
  void KillSearch() {
    ASSERT_TRUE(Search().Kill9().ok());
    ASSERT_TRUE(Search().Start().ok());
  }
  void KillBoth() {
    ASSERT_TRUE(Search().Kill9().ok());
    pgflow_->Kill9();
    killed_ = true;
    ASSERT_TRUE(Search().Start().ok());
    KeepRunning();
  }
  // After a while: in a rebuild, before or behind it, in what comes again.
  void KillSomething(RandomDdl& random, bool also_search) {
    if (also_search) {
      absl::SleepFor(absl::Milliseconds(random.Draw(0, random.Chance(50) ? 300 : 1500)));
      return random.Chance(50) ? KillSearch() : KillBoth();
    }
    for (int kills = random.Draw(1, 3); kills > 0; --kills) {
      absl::SleepFor(absl::Milliseconds(random.Draw(0, random.Chance(50) ? 300 : 2500)));
      KillPgflow();
    }
  }

  using Queries = std::map<std::string, std::string>;  // By table.
  std::string Difference(const Queries& queries) const {
    std::string all;
    for (const auto& [table, query] : queries) all += documents_->Difference(table, query);
    return all;
  }
  bool ExpectEqualSoon(const Queries& queries) {
    Eventually(
        [&] {
          // To compare costs the servers more than what is waited for.
          absl::SleepFor(absl::Milliseconds(300));
          KeepRunning();
          return HasFailure() || Difference(queries).empty();
        },
        absl::Seconds(NumberFromEnvironment("PGFLOW_CRASH_PATIENCE", 90)));
    const std::string difference = Difference(queries);
    EXPECT_EQ(difference, "") << End();
    return difference.empty() && !HasFailure();
  }
  bool ExpectEqualSoon(const std::string& table) {
    return ExpectEqualSoon(Queries{{table, SearchDocuments::Plain(table)}});
  }
  void Finish() {
    pgflow_->Signal(SIGINT);
    EXPECT_EQ(pgflow_->WaitForExit(), 0) << End();
    // Of all starts.
    const std::string log = ReadFile(directory_ / "pgflow.log");
    EXPECT_EQ(log.find("Duplicate field"), std::string::npos) << log.substr(0, 20000);
  }
  std::string End() const {
    const std::string log = ReadFile(directory_ / "pgflow.log");
    return log.substr(log.size() > 20000 ? log.size() - 20000 : 0);
  }

  void CopyFiftyRows() {
    source_.Execute(
        "CREATE TABLE items (id int PRIMARY KEY, a text, n int);"
        "INSERT INTO items SELECT i, 'a' || i, i FROM generate_series(1, 50) i");
    ASSERT_TRUE(ExpectEqualSoon("items"));
  }

  std::string index_;
  std::optional<SearchDocuments> documents_;
  std::unique_ptr<PgflowProcess> pgflow_;
  bool killed_ = false;
};

TEST_F(SearchDdlCrashTest, ARenameSurvivesAKillOfPgflow) {
  CopyFiftyRows();
  std::string name = "a";
  for (const int wait : {0, 120, 300}) {
    const std::string next = name == "a" ? "b" : "a";
    source_.Execute(fmt::format("ALTER TABLE items RENAME {} TO {}", name, next));
    source_.Execute(fmt::format("UPDATE items SET {} = 'changed {}' WHERE id = 7", next, wait));
    absl::SleepFor(absl::Milliseconds(wait));
    KillPgflow();
    ASSERT_TRUE(ExpectEqualSoon("items")) << wait;
    name = next;
  }
  EXPECT_EQ(documents_->Documents("items").at("50").dump(), R"({"b":"a50","id":50,"n":50})");
  Finish();
}

TEST_F(SearchDdlCrashTest, OldNamesAndDefaultsSurviveAKillOfTheServers) {
  CopyFiftyRows();
  source_.Execute("ALTER TABLE items RENAME a TO b");
  source_.Execute("UPDATE items SET b = 'changed' WHERE id = 7");
  KillSearch();
  ASSERT_TRUE(ExpectEqualSoon("items"));
  source_.Execute("ALTER TABLE items ADD COLUMN added text DEFAULT 'new'");
  source_.Execute("UPDATE items SET b = 'changed again' WHERE id = 7");
  KillBoth();
  ASSERT_TRUE(ExpectEqualSoon("items"));
  EXPECT_EQ(documents_->Documents("items").at("50").dump(),
            R"({"added":"new","b":"a50","id":50,"n":50})");
  Finish();
}

class SearchDdlSeedTest : public SearchDdlCrashTest, public testing::WithParamInterface<uint64_t> {
 protected:
  static uint64_t Rounds() { return NumberFromEnvironment("PGFLOW_CRASH_ROUNDS", 3); }
  static bool KillsSearch(uint64_t round) { return GetParam() % 4 == 0 && round % 2 == 0; }
  // Its name afterwards. Perhaps another table has its old one.
  std::string Move(const std::string& table);

  void SetUp() override {
    SearchDdlCrashTest::SetUp();
    random_.emplace(source_, GetParam());
  }

  std::optional<RandomDdl> random_;
};

std::string SearchDdlSeedTest::Move(const std::string& table) {
  std::string moving = table;
  if (random_->Chance(60)) random_->Act(moving, 1);
  if (random_->Chance(50)) {
    const std::string next = moving == "here" ? "there" : "here";
    source_.Execute(fmt::format("ALTER TABLE {} RENAME TO {}", moving, next));
    moving = next;
    if (random_->Chance(50)) random_->Act(moving, 1);
  }
  if (!random_->Chance(25)) return moving;
  source_.Execute(
      "CREATE TABLE spare (id int PRIMARY KEY, a text, b integer);"
      "INSERT INTO spare SELECT i, 's' || i, i FROM generate_series(1, 20) i");
  source_.Execute("DROP TABLE " + moving);
  if (random_->Chance(50)) {
    source_.Execute("ALTER TABLE spare RENAME TO " + moving);
  } else {
    source_.Execute("CREATE TABLE " + moving + " (id int PRIMARY KEY, b date, a text)");
    source_.Execute("INSERT INTO " + moving + " VALUES (1, '2026-01-01', 'one')");
    source_.Execute("DROP TABLE spare");
  }
  return moving;
}

TEST_P(SearchDdlSeedTest, DocumentsFollowTheColumns) {
  source_.Execute(
      "CREATE TABLE items (id int PRIMARY KEY, a text, b integer, c text, d text);"
      "ALTER TABLE items ALTER d SET STORAGE EXTERNAL;"
      "INSERT INTO items SELECT i, 'a' || i, i, 'c' || i, repeat('d' || i, 1000) FROM "
      "generate_series(1, 50) i;"
      "CREATE TABLE here (id int PRIMARY KEY, a text, b integer);"
      "INSERT INTO here SELECT i, 'a' || i, i FROM generate_series(1, 50) i");
  ASSERT_TRUE(ExpectEqualSoon("items"));
  std::string moving = "here";
  for (uint64_t round = 0; round < Rounds(); ++round) {
    for (int i = random_->Draw(1, 3); i > 0; --i) random_->Act("items", 1);
    moving = Move(moving);
    KillSomething(*random_, KillsSearch(round));
    if (HasFailure()) return;
  }
  // A change of the columns is seen with the next row.
  source_.Execute("INSERT INTO items (id) VALUES (99999)");
  source_.Execute(fmt::format("INSERT INTO {} (id) VALUES (99999)", moving));
  ASSERT_TRUE(ExpectEqualSoon(
      {{"items", SearchDocuments::Plain("items")}, {moving, SearchDocuments::Plain(moving)}}));
  Finish();
}

TEST_P(SearchDdlSeedTest, NestedRowsFollowTheColumns) {
  Join(", joins: [{parent: public.orders, child: public.lines, on: {order_id: id}, as: lines}]");
  source_.Execute(
      "CREATE TABLE orders (id int PRIMARY KEY, a text, b text);"
      "CREATE TABLE lines (id int PRIMARY KEY, order_id int, a text, b integer, c text);"
      "ALTER TABLE lines ALTER c SET STORAGE EXTERNAL;"
      "INSERT INTO orders SELECT i, 'o' || i, 'b' FROM generate_series(1, 20) i;"
      "INSERT INTO lines SELECT i, 1 + i % 25, 'a' || i, i, repeat('c' || i, 800) FROM "
      "generate_series(1, 80) i");
  const Queries queries = {{"orders", kJoinedRows}, {"lines", SearchDocuments::Plain("lines")}};
  ASSERT_TRUE(ExpectEqualSoon(queries));
  for (uint64_t round = 0; round < Rounds(); ++round) {
    for (int i = random_->Draw(1, 2); i > 0; --i) {
      if (random_->Chance(70)) random_->Act("lines", 2);
      if (random_->Chance(50)) random_->Act("orders", 1);
      source_.Execute(fmt::format("UPDATE lines SET order_id = {} WHERE id BETWEEN {} AND {}",
                                  random_->Draw(1, 22), 10 * i, 10 * i + random_->Draw(0, 9)));
    }
    KillSomething(*random_, KillsSearch(round));
    if (HasFailure()) return;
  }
  source_.Execute(
      "INSERT INTO orders (id) VALUES (99999); INSERT INTO lines (id, order_id) VALUES (99999, 3)");
  ASSERT_TRUE(ExpectEqualSoon(queries));
  Finish();
}

std::vector<uint64_t> Seeds() {
  std::vector<uint64_t> seeds(NumberFromEnvironment("PGFLOW_CRASH_SEEDS", 1));
  uint64_t next = NumberFromEnvironment("PGFLOW_CRASH_SEED", 1);
  for (uint64_t& seed : seeds) seed = next++;
  return seeds;
}
INSTANTIATE_TEST_SUITE_P(Seeds, SearchDdlSeedTest, testing::ValuesIn(Seeds()),
                         testing::PrintToStringParamName());

}  // namespace
}  // namespace pgflow::tests
