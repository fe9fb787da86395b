// Random DDL between random changes of rows, with kill -9 of pgflow, of OpenSearch and of both; in
// the end each document and each mapping is what the source says.
//
//   search_ddl_crash_test                                  a short run (in CI)
//   PGFLOW_CRASH_ROUNDS=10 search_ddl_crash_test           more kills
//   search_ddl_crash_test --gtest_repeat=50                more seeds
//   PGFLOW_CRASH_SEED=123 search_ddl_crash_test            the choices of an earlier run
#include <csignal>
#include <map>
#include <random>
#include <set>

#include <absl/time/clock.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "engine/testing/scratch_opensearch.h"
#include "tests/integration/system_test.h"

namespace pgflow::tests {
namespace {

using nlohmann::json;

constexpr char kLink[] = "_join_public_orders_lines";

// A field without a value is the same as one that is not there: rows that are older than a column
// have no field for it.
json WithoutNulls(json value) {
  if (value.is_array()) {
    for (json& element : value) element = WithoutNulls(element);
  }
  if (!value.is_object()) return value;
  json kept = json::object();
  for (const auto& [key, member] : value.items()) {
    if (!member.is_null() && key != kLink) kept[key] = WithoutNulls(member);
  }
  return kept;
}

struct Column {
  std::string name;
  std::string type;
};

class SearchDdlCrashTest : public SharedServerTest {
 protected:
  static engine::ScratchOpenSearch& Search() {
    static const std::unique_ptr<engine::ScratchOpenSearch> server = [] {
      auto made = engine::ScratchOpenSearch::Make();
      EXPECT_TRUE(made.ok()) << made.status();
      return made.ok() ? *std::move(made) : nullptr;
    }();
    return *server;
  }

  void SetUp() override {
    static int count = 0;
    SharedServerTest::SetUp();
    seed_ = NumberFromEnvironment("PGFLOW_CRASH_SEED", std::random_device{}());
    random_.seed(seed_);
    std::printf("PGFLOW_CRASH_SEED=%llu\n", static_cast<unsigned long long>(seed_));
    std::fflush(stdout);
    prefix_ = fmt::format("ddl{}-", ++count);
    pipeline_.source_options = "    replication: {ddl: true}\n";
    Use("");
  }
  void Use(const std::string& more) {
    pipeline_.sinks = {
        fmt::format("opensearch: {{url: \"{}\", index: \"{}{{table}}\"{}}}, retry: {{max: 1s}}",
                    Search().url(), prefix_, more)};
  }
  using SharedServerTest::Use;

  int Draw(int first, int last) { return std::uniform_int_distribution<int>(first, last)(random_); }
  bool Chance(int percent) { return Draw(1, 100) <= percent; }
  template <typename List>
  const auto& OneOf(const List& list) {
    return list[static_cast<size_t>(Draw(0, static_cast<int>(list.size()) - 1))];
  }

  // All but the first `fixed` ones.
  std::vector<Column> Columns(const std::string& table, int fixed) const {
    std::vector<Column> columns;
    const auto rows = source_.server->Query(
        fmt::format("SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE "
                    "attrelid = '{}'::regclass AND attnum > {} AND NOT attisdropped ORDER BY "
                    "attnum",
                    table, fixed),
        source_.name);
    EXPECT_TRUE(rows.ok()) << rows.status();
    if (!rows.ok()) return columns;
    for (const auto& row : *rows) columns.push_back({*row[0], *row[1]});
    return columns;
  }
  std::string FreeName(const std::vector<Column>& taken) {
    static const std::vector<std::string> kNames = {"a", "b", "c", "d", "e", "f", "g"};
    while (true) {
      const std::string& name = OneOf(kNames);
      if (std::ranges::find(taken, name, &Column::name) == taken.end()) return name;
    }
  }
  std::string Value(const std::string& type) {
    const int n = Draw(1, 100000);
    if (type == "integer") return std::to_string(n);
    if (type == "date") return fmt::format("'2026-01-{:02}'", 1 + n % 28);
    return n % 5 == 0 ? fmt::format("repeat('x{}', 700)", n) : fmt::format("'v{}'", n);
  }
  std::string NewColumn(const std::string& name) {
    const std::string type = OneOf(std::vector<std::string>{"text", "integer", "date"});
    if (Chance(40)) return fmt::format("ADD COLUMN {} {}", name, type);
    const std::string value = type == "text" ? fmt::format("'new {}'", name) : Value(type);
    return fmt::format("ADD COLUMN {} {} DEFAULT {}", name, type, value);
  }

  std::vector<std::string> Ddl(const std::string& table, int fixed) {
    const std::vector<Column> columns = Columns(table, fixed);
    const std::string alter = "ALTER TABLE " + table + " ";
    const std::string free = FreeName(columns);
    if (columns.empty()) return {alter + NewColumn(free)};
    const Column one = OneOf(columns);
    const Column two = OneOf(columns);
    const std::string rename = alter + "RENAME COLUMN ";
    switch (Draw(1, 9)) {
      case 1:
        return {rename + one.name + " TO " + free};
      case 2:
        if (one.name == two.name) return {rename + one.name + " TO " + free};
        return {rename + one.name + " TO swap", rename + two.name + " TO " + one.name,
                rename + "swap TO " + two.name};
      case 3:
        return {rename + one.name + " TO " + free, alter + NewColumn(one.name)};
      case 4:
        return {alter + "DROP COLUMN " + one.name};
      case 5:
        return {alter + "DROP COLUMN " + one.name, alter + NewColumn(one.name)};
      case 6:
        return {alter + "DROP COLUMN " + one.name + ", ADD COLUMN " + one.name + " " + one.type};
      case 7:
        return {rename + one.name + " TO swap", rename + "swap TO " + free};
      case 8:
        if (one.type == "text") {
          return {alter + "ALTER COLUMN " + one.name + " TYPE integer USING length(" + one.name +
                  ")"};
        }
        return {alter + "ALTER COLUMN " + one.name + " TYPE text"};
      default:
        if (columns.size() > 6) return {alter + "DROP COLUMN " + one.name};
        return {alter + NewColumn(free)};
    }
  }

  std::vector<std::string> ChangeRows(const std::string& table, int fixed) {
    const std::vector<Column> columns = Columns(table, fixed);
    const int id = Draw(1, 60);
    if (Chance(8)) {
      return {
          fmt::format("TRUNCATE {0}; INSERT INTO {0} (id) SELECT generate_series(1, 20)", table)};
    }
    if (Chance(20)) return {fmt::format("DELETE FROM {} WHERE id = {}", table, id)};
    if (columns.empty() || Chance(30)) {
      std::string names = "id";
      std::string values = std::to_string(next_id_++);
      for (const Column& column : columns) {
        names += ", " + column.name;
        values += ", " + Value(column.type);
      }
      return {fmt::format("INSERT INTO {} ({}) VALUES ({})", table, names, values)};
    }
    const Column& one = OneOf(columns);
    if (Chance(10)) {
      return {fmt::format("UPDATE {0} SET id = {1} WHERE id = {2}", table, next_id_++, id)};
    }
    return {fmt::format("UPDATE {} SET {} = {} WHERE id BETWEEN {} AND {}", table, one.name,
                        Value(one.type), id, id + Draw(0, 3))};
  }

  // Each statement alone, or all in one transaction. DDL of several statements is chosen at once,
  // so that changes of rows may lie in between only where names allow it.
  void Act(const std::string& table, int fixed) {
    const bool together = Chance(40);
    if (together) {
      std::string all = "BEGIN;";
      for (const std::string& sql : ChangeRows(table, fixed)) all += sql + ";";
      for (const std::string& sql : Ddl(table, fixed)) all += sql + ";";
      source_.Execute(all + "COMMIT");
    } else {
      for (const std::string& sql : Ddl(table, fixed)) {
        source_.Execute(sql);
        if (Chance(50)) {
          for (const std::string& rows : ChangeRows(table, fixed)) source_.Execute(rows);
        }
      }
    }
    for (int i = Draw(0, 3); i > 0; --i) {
      for (const std::string& rows : ChangeRows(table, fixed)) source_.Execute(rows);
    }
  }

  void KeepRunning() {
    if (pgflow_ == nullptr || !pgflow_->running()) pgflow_ = Run();
  }
  void KillSomething() {
    absl::SleepFor(absl::Milliseconds(Draw(0, Chance(50) ? 300 : 1500)));
    const int what = Draw(1, 4);
    if (what <= 3) pgflow_->Kill9();
    if (what >= 3) {
      ASSERT_TRUE(Search().Kill9().ok());
      ASSERT_TRUE(Search().Start().ok());
    }
    KeepRunning();
  }

  std::map<std::string, json> Documents(const std::string& table) const {
    std::map<std::string, json> found;
    if (!Search().Request("POST", "/" + prefix_ + table + "/_refresh").ok()) return found;
    const auto answer = Search().Request("GET", "/" + prefix_ + table + "/_search?size=10000");
    if (!answer.ok()) return found;
    const json parsed = json::parse(*answer);
    for (const json& hit : parsed["hits"]["hits"]) {
      found[hit["_id"].get<std::string>()] = WithoutNulls(hit["_source"]);
    }
    return found;
  }
  std::map<std::string, json> Rows(const std::string& query) const {
    std::map<std::string, json> found;
    const auto rows = source_.server->Query(query, source_.name);
    EXPECT_TRUE(rows.ok()) << rows.status();
    if (!rows.ok()) return found;
    for (const auto& row : *rows) found[*row[0]] = WithoutNulls(json::parse(*row[1]));
    return found;
  }
  static std::string Plain(const std::string& table) {
    return fmt::format("SELECT id::text, row_to_json(t)::text FROM {} t", table);
  }
  std::map<std::string, std::string> FieldsWanted(const std::string& table) const {
    static const std::map<std::string, std::string> kTypes = {
        {"text", "text"}, {"integer", "long"}, {"date", "date"}};
    std::map<std::string, std::string> fields;
    for (const Column& column : Columns(table, 0)) fields[column.name] = kTypes.at(column.type);
    return fields;
  }
  // Of those columns that the index says it has.
  std::map<std::string, std::string> FieldsMapped(const std::string& table) const {
    std::map<std::string, std::string> fields;
    const auto answer = Search().Request("GET", "/" + prefix_ + table + "/_mapping");
    if (!answer.ok()) return fields;
    const json mapping = json::parse(*answer).begin().value()["mappings"];
    for (const json& column : mapping["_meta"]["pgflow"]["columns"]) {
      const std::string field = column["field"].get<std::string>();
      fields[field] = mapping["properties"][field].value("type", "none");
    }
    return fields;
  }

  void ExpectEqualInTheEnd(const std::map<std::string, std::string>& query_by_table) {
    const auto equal = [&] {
      KeepRunning();
      for (const auto& [table, query] : query_by_table) {
        if (Documents(table) != Rows(query) || FieldsMapped(table) != FieldsWanted(table)) {
          return false;
        }
      }
      return true;
    };
    if (!Eventually(equal, absl::Seconds(NumberFromEnvironment("PGFLOW_CRASH_PATIENCE", 60)))) {
      for (const auto& [table, query] : query_by_table) {
        EXPECT_EQ(Documents(table), Rows(query)) << table;
        EXPECT_EQ(FieldsMapped(table), FieldsWanted(table)) << table;
      }
      const std::string output = pgflow_->Output();
      ADD_FAILURE() << output.substr(output.size() > 20000 ? output.size() - 20000 : 0);
    }
    pgflow_->Signal(SIGINT);
    EXPECT_EQ(pgflow_->WaitForExit(), 0) << pgflow_->Output();
  }

  std::string prefix_;
  std::unique_ptr<PgflowProcess> pgflow_;
  uint64_t seed_ = 0;
  std::mt19937_64 random_;
  int next_id_ = 1000;
};

TEST_F(SearchDdlCrashTest, DocumentsFollowTheColumns) {
  source_.Execute(
      "CREATE TABLE items (id int PRIMARY KEY, a text, b integer, c text, d text);"
      "ALTER TABLE items ALTER d SET STORAGE EXTERNAL;"
      "INSERT INTO items SELECT i, 'a' || i, i, 'c' || i, repeat('d' || i, 1000) FROM "
      "generate_series(1, 50) i;"
      "CREATE TABLE here (id int PRIMARY KEY, a text, b integer);"
      "INSERT INTO here SELECT i, 'a' || i, i FROM generate_series(1, 50) i");
  KeepRunning();
  ASSERT_TRUE(Eventually([&] { return Documents("items").size() == 50; })) << pgflow_->Output();
  std::string moving = "here";
  const auto rounds = NumberFromEnvironment("PGFLOW_CRASH_ROUNDS", 3);
  for (uint64_t round = 0; round < rounds; ++round) {
    for (int i = Draw(1, 3); i > 0; --i) Act("items", 1);
    if (Chance(60)) Act(moving, 1);
    if (Chance(50)) {
      const std::string next = moving == "here" ? "there" : "here";
      source_.Execute(fmt::format("ALTER TABLE {} RENAME TO {}", moving, next));
      moving = next;
      if (Chance(50)) Act(moving, 1);
    }
    if (Chance(25)) {
      source_.Execute(
          "CREATE TABLE spare (id int PRIMARY KEY, a text, b integer);"
          "INSERT INTO spare SELECT i, 's' || i, i FROM generate_series(1, 20) i");
      source_.Execute("DROP TABLE " + moving);
      if (Chance(50)) {
        source_.Execute("ALTER TABLE spare RENAME TO " + moving);
      } else {
        source_.Execute("CREATE TABLE " + moving + " (id int PRIMARY KEY, b date, a text)");
        source_.Execute("INSERT INTO " + moving + " VALUES (1, '2026-01-01', 'one')");
        source_.Execute("DROP TABLE spare");
      }
    }
    KillSomething();
  }
  for (const std::string& table : {std::string("items"), moving}) {
    source_.Execute(fmt::format("INSERT INTO {} (id) VALUES (99999)", table));
  }
  ExpectEqualInTheEnd({{"items", Plain("items")}, {moving, Plain(moving)}});
}

TEST_F(SearchDdlCrashTest, NestedRowsFollowTheColumns) {
  Use(", joins: [{parent: public.orders, child: public.lines, on: {order_id: id}, as: lines}]");
  source_.Execute(
      "CREATE TABLE orders (id int PRIMARY KEY, a text, b text);"
      "CREATE TABLE lines (id int PRIMARY KEY, order_id int, a text, b integer, c text);"
      "ALTER TABLE lines ALTER c SET STORAGE EXTERNAL;"
      "INSERT INTO orders SELECT i, 'o' || i, 'b' FROM generate_series(1, 20) i;"
      "INSERT INTO lines SELECT i, 1 + i % 25, 'a' || i, i, repeat('c' || i, 800) FROM "
      "generate_series(1, 80) i");
  const std::string joined =
      "SELECT o.id::text, (to_jsonb(o) || jsonb_build_object('lines', (SELECT "
      "coalesce(jsonb_agg(to_jsonb(i) ORDER BY i.id), '[]') FROM lines i WHERE i.order_id = "
      "o.id)))::text FROM orders o";
  KeepRunning();
  ASSERT_TRUE(Eventually([&] { return Documents("orders") == Rows(joined); })) << pgflow_->Output();
  const auto rounds = NumberFromEnvironment("PGFLOW_CRASH_ROUNDS", 3);
  for (uint64_t round = 0; round < rounds; ++round) {
    for (int i = Draw(1, 2); i > 0; --i) {
      if (Chance(70)) Act("lines", 2);
      if (Chance(50)) Act("orders", 1);
      source_.Execute(fmt::format("UPDATE lines SET order_id = {} WHERE id BETWEEN {} AND {}",
                                  Draw(1, 22), 10 * i, 10 * i + Draw(0, 9)));
    }
    KillSomething();
  }
  source_.Execute(
      "INSERT INTO orders (id) VALUES (99999); INSERT INTO lines (id, order_id) VALUES (99999, 3)");
  ExpectEqualInTheEnd({{"orders", joined}, {"lines", Plain("lines")}});
}

}  // namespace
}  // namespace pgflow::tests
