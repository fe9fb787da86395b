// Rows that are computed, routed and scripted on the way into another database: the snapshot and
// the stream make the same of them, and so does a source that is asked again.

#include <filesystem>

#include <fmt/format.h>

#include "tests/integration/system_test.h"

namespace pgflow::tests {
namespace {

class TransformTest : public SharedServerTest {
 protected:
  void SetUp() override {
    SharedServerTest::SetUp();
    source_.Execute(
        "CREATE TABLE orders (id int PRIMARY KEY, price numeric(10,2), quantity int, at timestamp,"
        "  note text);"
        "CREATE TABLE events (id int PRIMARY KEY, kind text, n int, body text);"
        "CREATE TABLE plain (id int PRIMARY KEY, t text);"
        "ALTER TABLE orders REPLICA IDENTITY FULL;"
        "ALTER TABLE events REPLICA IDENTITY FULL;"
        "ALTER TABLE events ALTER body SET STORAGE EXTERNAL;"
        "INSERT INTO orders SELECT i, i / 7.0, nullif(i % 5, 4), '2024-01-01'::timestamp"
        "  + i * interval '7 hours', 'note ' || i FROM generate_series(1, 500) i;"
        "INSERT INTO events SELECT i, (ARRAY['order', 'visit', 'other'])[1 + i % 3], i,"
        "  repeat(md5(i::text), 100) FROM generate_series(1, 600) i;"
        "INSERT INTO plain SELECT i, 'row ' || i FROM generate_series(1, 100) i");
    pipeline_.sinks = {PostgresSink()};
    pipeline_.more = R"yaml(
transformers:
  - compute:
      table: public.orders
      columns:
        total: price * quantity
        average: price / 3
        day: at::date
        label: "upper(note) || '/' || id"
      replace: {note: "left(note, 4) || coalesce(quantity::text, '-')"}
  - route:
      rules:
        - {table: public.events, when: kind = 'order', to: order_events}
        - {table: public.events, when: kind = 'visit', to: public.visits}
  - script:
      table: public.visits
      text: |
        function transform(event)
          for _, row in pairs({event.before or false, event.after or false}) do
            if row and row.kind then row.kind = 'seen ' .. row.n end
          end
          return event
        end
)yaml";
  }
  void TearDown() override { Expect(0, "destroy"); }

  void ExpectTransformed() {
    ExpectQueriesEqual(
        "SELECT id, price, quantity, at, left(note, 4) || coalesce(quantity::text, '-') note,"
        "  price * quantity total, price / 3 average, at::date \"day\","
        "  upper(note) || '/' || id label FROM orders",
        "SELECT id, price, quantity, at, note, total, average, \"day\", label FROM orders");
    ExpectQueriesEqual("SELECT * FROM events WHERE kind = 'order'", "SELECT * FROM order_events");
    ExpectQueriesEqual("SELECT id, 'seen ' || n, n, body FROM events WHERE kind = 'visit'",
                       "SELECT * FROM visits");
    ExpectQueriesEqual("SELECT * FROM events WHERE kind NOT IN ('order', 'visit')",
                       "SELECT * FROM events");
    ExpectEqual({"plain"});
  }

  void ExpectQueriesEqual(const std::string& source, const std::string& target) {
    const std::string digest =
        "SELECT count(*) || ' ' || md5(string_agg(x::text, '|' ORDER BY x::text)) FROM ({}) x";
    EXPECT_EQ(source_.Value(fmt::format(fmt::runtime(digest), source)),
              target_.Value(fmt::format(fmt::runtime(digest), target)))
        << target;
  }
};

TEST_F(TransformTest, SnapshotAndStreamMakeTheSame) {
  Expect(0, "check");
  RunToCurrent();
  ExpectTransformed();
  EXPECT_EQ(target_.Value("SELECT string_agg(data_type, ',' ORDER BY column_name) FROM"
                          "  information_schema.columns WHERE table_name = 'orders' AND"
                          "  column_name IN ('total', 'average', 'day', 'label')"),
            "numeric,date,text,numeric");
  EXPECT_EQ(target_.Value("SELECT count(*) FROM pg_index WHERE indisprimary AND indrelid IN"
                          "  ('order_events'::regclass, 'visits'::regclass, 'events'::regclass)"),
            "3");
  source_.Execute(
      "INSERT INTO orders SELECT i, i / 7.0, i % 5, now(), 'note ' || i"
      "  FROM generate_series(501, 600) i;"
      "UPDATE orders SET price = price + 1 WHERE id % 3 = 0;"
      "UPDATE orders SET id = id + 10000 WHERE id % 50 = 0;"
      "DELETE FROM orders WHERE id % 11 = 0;"
      "INSERT INTO events SELECT i, 'visit', i, 'b' FROM generate_series(601, 700) i;"
      "UPDATE events SET kind = 'visit' WHERE id % 6 = 0;"
      "UPDATE events SET kind = 'other' WHERE id % 6 = 2;"
      "UPDATE events SET n = n + 1 WHERE id % 4 = 0;"
      "DELETE FROM events WHERE id % 9 = 0;"
      "INSERT INTO plain VALUES (1000, 'more')");
  RunToCurrent();
  ExpectTransformed();
  source_.Execute("TRUNCATE events; INSERT INTO events VALUES (1, 'order', 1, 'b')");
  RunToCurrent();
  ExpectTransformed();
}

TEST_F(TransformTest, NamesTheRowThatHasNoValue) {
  pipeline_.more = R"(
transformers:
  - compute: {table: public.orders, columns: {each: price / (quantity - 2)}}
)";
  const std::string output = Expect(1, "run", {"--until-current"});
  EXPECT_NE(output.find("compute: table public.orders, row (id) = ("), std::string::npos) << output;
  EXPECT_NE(
      output.find("column 'each': 'price / (quantity - 2)': at character 7: division by zero"),
      std::string::npos)
      << output;
}

TEST_F(TransformTest, CheckFindsRulesThatFitNothing) {
  pipeline_.more = R"(
transformers:
  - compute: {table: public.orders, columns: {total: prise * 2}}
)";
  const std::string output = Expect(3, "check");
  EXPECT_NE(output.find("has no column 'prise'"), std::string::npos) << output;
  pipeline_.more = R"(
transformers:
  - mask:
      rules:
        - {table: public.orders, column: note, with: partial}
        - {table: public.order, column: note, with: partial}
  - route:
      rules:
        - {table: public.events, when: knd = 'order', to: order_events}
  - filter:
      where:
        - {column: other, value: x}
)";
  const std::string rules = Expect(3, "check");
  const std::string file = ReadFile(directory_ / "pipeline.yaml");
  for (const auto& [rule, problem] : std::vector<std::pair<std::string, std::string>>{
           {"{table: public.order,", "table public.order, column note (rule at "},
           {"{table: public.events,", "has no column 'knd'"},
           {"{column: other,", "has no column 'other'"}}) {
    // Of the rule, not of its transformer.
    const size_t line = CountOf(file.substr(0, file.find(rule)), "\n") + 1;
    const std::string place = fmt::format("pipeline.yaml:{})", line);
    const size_t found = rules.find(problem);
    ASSERT_NE(found, std::string::npos) << problem << "\n" << rules;
    EXPECT_NE(rules.substr(found, rules.find('\n', found) - found).find(place), std::string::npos)
        << place << "\n"
        << rules;
  }
}

class EnrichTest : public SharedServerTest {
 protected:
  // A trigger writes into each order what its customer is called just then.
  void SetUp() override {
    SharedServerTest::SetUp();
    source_.Execute(
        "CREATE TABLE customers (id bigint PRIMARY KEY, name text, note text);"
        "ALTER TABLE customers ALTER name SET STORAGE EXTERNAL;"
        "CREATE TABLE orders (id int PRIMARY KEY, customer int, n int, expected text);"
        "CREATE FUNCTION expect() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "NEW.expected := (SELECT name FROM customers c WHERE c.id = NEW.customer);"
        "RETURN NEW; END $$;"
        "CREATE TRIGGER expect BEFORE INSERT OR UPDATE ON orders"
        "  FOR EACH ROW EXECUTE FUNCTION expect();"
        "INSERT INTO customers SELECT i, repeat('name ' || i, 1000 * (i % 3)), ''"
        "  FROM generate_series(1, 60) i;"
        "INSERT INTO orders SELECT i, nullif(1 + i % 70, 7), 0 FROM generate_series(1, 300) i");
    pipeline_.sinks = {PostgresSink()};
    pipeline_.more = R"yaml(
transformers:
  - enrich:
      table: public.orders
      from: public.customers
      on: {customer: id}
      columns: {customer_name: name}
  - filter: {tables: {exclude: [public.customers]}}
)yaml";
  }
  void TearDown() override {
    Expect(0, "destroy");
    // What it knows of the other table are rows.
    for (const auto& entry : std::filesystem::recursive_directory_iterator(directory_.path())) {
      EXPECT_NE(entry.path().filename().string().rfind("enrich-", 0), 0U) << entry.path();
    }
  }

  void Work(int rounds) {
    for (int i = 0; i < rounds; ++i) {
      ++value_;
      source_.Execute(
          fmt::format("BEGIN; UPDATE orders SET n = {0} WHERE id % 17 = {1};"
                      "UPDATE customers SET name = 'renamed {0}' WHERE id % 11 = {1};"
                      "INSERT INTO orders VALUES ({2}, {3}, {0});"
                      "UPDATE customers SET note = 'large value stays' WHERE id % 3 = 1;"
                      "UPDATE customers SET id = id + 1000 WHERE id = {3};"
                      "UPDATE orders SET customer = customer + 1 WHERE id % 13 = {1}; COMMIT;"
                      "DELETE FROM customers WHERE id = {4};"
                      "INSERT INTO orders VALUES ({5}, {4}, {0}), ({6}, {4} + 1, {0})",
                      value_, value_ % 11, 1000 + value_ * 10, 1 + value_ * 7 % 60,
                      1 + value_ * 5 % 60, 1001 + value_ * 10, 1002 + value_ * 10));
    }
  }
  void ExpectEnriched() {
    const std::string rows = "SELECT count(*) || ' ' || coalesce(sum(n), 0) FROM orders";
    EXPECT_EQ(target_.Value(rows), source_.Value(rows));
    EXPECT_EQ(target_.Value("SELECT count(*) FROM orders WHERE expected IS DISTINCT FROM "
                            "customer_name"),
              "0");
    EXPECT_NE(target_.Value("SELECT count(customer_name) FROM orders"), "0");
  }

  int value_ = 0;
};

TEST_F(EnrichTest, RowsGetWhatTheOtherWasAtTheirPlace) {
  Expect(0, "check");
  RunToCurrent();
  ExpectEnriched();
  EXPECT_EQ(target_.ValueIfAny("SELECT to_regclass('public.customers') IS NULL"), "t");
  Work(20);
  RunToCurrent();
  ExpectEnriched();
  source_.Execute(
      "TRUNCATE customers; INSERT INTO orders VALUES (900, 5, 1);"
      "INSERT INTO customers VALUES (5, 'again', ''); INSERT INTO orders VALUES (901, 5)");
  RunToCurrent();
  ExpectEnriched();
}

TEST_F(EnrichTest, TheSameComesOutWheneverTheProcessIsKilled) {
  for (int round = 0; round < 4; ++round) {
    const auto process = Run();
    if (round == 0) {
      ASSERT_TRUE(WaitForSnapshot(*process)) << process->Output();
    }
    Work(10);
    process->Kill9();
    Work(5);  // What the process comes to later is looked up as of now.
  }
  RunToCurrent();
  ExpectEnriched();
}

TEST_F(EnrichTest, NamesWhatIsMissing) {
  pipeline_.tables = "[public.orders]";
  EXPECT_NE(Expect(3, "check").find("none of the tables that come here"), std::string::npos);
  EXPECT_NE(Expect(1, "run", {"--until-current"}).find("add it to the source's tables"),
            std::string::npos);
}

}  // namespace
}  // namespace pgflow::tests
