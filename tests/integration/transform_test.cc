// Rows that are computed, routed and scripted on the way into another database: the snapshot and
// the stream make the same of them, and so does a source that is asked again.

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
}

}  // namespace
}  // namespace pgflow::tests
