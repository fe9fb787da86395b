// The search sink as a user runs it: the real program between a real Postgres and OpenSearch.
#include <array>
#include <csignal>
#include <map>

#include <absl/time/clock.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "engine/testing/scratch_opensearch.h"
#include "tests/integration/system_test.h"

namespace pgflow::tests {
namespace {

using engine::ScratchOpenSearch;
using nlohmann::json;

class OpenSearchTest : public SharedServerTest {
 protected:
  static ScratchOpenSearch& Search() { return ScratchOpenSearch::Shared(); }
  void SetUp() override {
    SharedServerTest::SetUp();
    Search();
    prefix_ = TestName() + "-";
    std::erase(prefix_, '_');
    pipeline_.sinks = {Sink()};
  }
  std::string Sink(const std::string& more = "") const {
    return fmt::format("opensearch: {{url: \"{}\", index: \"{}{{table}}\"{}}}", Search().url(),
                       prefix_, more);
  }

  uint64_t Count(const std::string& index, const std::string& query) const {
    const auto answer = Search().Request("GET", "/" + index + "/_count?q=" + query);
    return answer.ok() ? json::parse(*answer).value("count", uint64_t{0}) : 0;
  }
  // Documents by id, as the server keeps them.
  std::map<std::string, std::string> Documents(const std::string& index) const {
    std::map<std::string, std::string> found;
    static_cast<void>(Search().Request("POST", "/" + index + "/_refresh"));
    const auto answer = Search().Request("GET", "/" + index + "/_search?size=10000");
    if (!answer.ok()) return found;
    const json parsed = json::parse(*answer);
    for (const json& hit : parsed["hits"]["hits"]) {
      found[hit["_id"].get<std::string>()] = hit["_source"].dump();
    }
    return found;
  }
  std::map<std::string, std::string> Rows(const std::string& table, const std::string& key) const {
    std::map<std::string, std::string> found;
    const auto rows = source_.server->Query(
        fmt::format("SELECT ({})::text, row_to_json(t)::text FROM {} t", key, table), source_.name);
    EXPECT_TRUE(rows.ok()) << rows.status();
    if (!rows.ok()) return found;
    for (const auto& row : *rows) found[*row[0]] = json::parse(*row[1]).dump();
    return found;
  }
  bool EqualSoon(const std::string& table, const std::string& key = "id") const {
    const bool equal = Eventually([&] { return Documents(prefix_ + table) == Rows(table, key); });
    if (!equal) {
      EXPECT_EQ(Documents(prefix_ + table), Rows(table, key));
    }
    return equal;
  }

  // Orders with their items, as the index of orders is to have them.
  std::map<std::string, std::string> Joined() const {
    std::map<std::string, std::string> found;
    const auto rows = source_.server->Query(
        "SELECT o.id::text, (to_jsonb(o) || jsonb_build_object('items', (SELECT "
        "coalesce(jsonb_agg(to_jsonb(i) ORDER BY i.id), '[]') FROM items i WHERE i.order_id = "
        "o.id)))::text FROM orders o",
        source_.name);
    EXPECT_TRUE(rows.ok()) << rows.status();
    if (!rows.ok()) return found;
    for (const auto& row : *rows) found[*row[0]] = json::parse(*row[1]).dump();
    return found;
  }
  std::map<std::string, std::string> NestedDocuments() const {
    std::map<std::string, std::string> found = Documents(prefix_ + "orders");
    for (auto& [id, text] : found) {
      json document = json::parse(text);
      document.erase("_join_public_orders_items");
      text = document.dump();
    }
    return found;
  }
  bool JoinedSoon() const {
    const bool equal = Eventually([&] { return NestedDocuments() == Joined(); });
    if (!equal) {
      EXPECT_EQ(NestedDocuments(), Joined());
    }
    return equal;
  }

  std::string prefix_;
};

TEST_F(OpenSearchTest, TheCommandLineIsEnough) {
  source_.Execute(
      "CREATE TABLE products (id int PRIMARY KEY, title text);"
      "INSERT INTO products SELECT i, 'product ' || i FROM generate_series(1, 100) i");
  const std::string index = prefix_ + "products";
  const auto process = PgflowProcess::Start(
      {.arguments = {"run", "--postgres-url", source_.url(), "--sink-type", "opensearch",
                     "--opensearch-url", Search().url(), "--opensearch-index", index,
                     "--handle-ddl=true", "--state", directory_ / "state", "--name", "search"},
       .output_file = directory_ / "log"});
  ASSERT_TRUE(Eventually([&] { return Count(index, "title:product") == 100; }))
      << process->Output();
  source_.Execute("ALTER TABLE products ADD COLUMN color text");
  source_.Execute("INSERT INTO products VALUES (101, 'lamp', 'red')");
  EXPECT_TRUE(Eventually([&] { return Count(index, "color:red") == 1; })) << process->Output();
  process->Signal(SIGINT);
  EXPECT_EQ(process->WaitForExit(), 0) << process->Output();
}

TEST_F(OpenSearchTest, TheIndexFollowsTheTable) {
  source_.Execute(
      "CREATE TABLE items (id int PRIMARY KEY, name text, big text, flag bool, n int8);"
      "ALTER TABLE items ALTER big SET STORAGE EXTERNAL;"
      "CREATE TABLE pairs (a int, b text, v int, PRIMARY KEY (a, b));"
      "INSERT INTO pairs SELECT i, 'b|' || i, i FROM generate_series(1, 50) i;"
      "INSERT INTO items SELECT i, 'item ' || i, repeat('x' || i, 2000), i % 2 = 0, i "
      "FROM generate_series(1, 300) i");
  pipeline_.source_options = "    replication: {ddl: true}\n";
  const auto process = Run();
  ASSERT_TRUE(EqualSoon("items")) << process->Output();
  source_.Execute("UPDATE items SET name = 'new' WHERE id % 3 = 0");     // Large: not sent.
  source_.Execute("UPDATE items SET id = id + 1000 WHERE id % 10 = 1");  // Keys, too.
  source_.Execute("DELETE FROM items WHERE id % 7 = 0");
  source_.Execute(
      "BEGIN; INSERT INTO items VALUES (5000, 'a'); UPDATE items SET id = 5001 WHERE "
      "id = 5000; DELETE FROM items WHERE id = 5001; COMMIT");
  source_.Execute("UPDATE pairs SET v = -v WHERE a < 20; DELETE FROM pairs WHERE a > 40");
  ASSERT_TRUE(EqualSoon("items")) << process->Output();
  ASSERT_TRUE(EqualSoon("pairs", "a || '|' || replace(b, '|', E'\\\\|')")) << process->Output();
  source_.Execute("ALTER TABLE items RENAME COLUMN name TO label");
  source_.Execute("ALTER TABLE items DROP COLUMN flag");
  source_.Execute("ALTER TABLE items ADD COLUMN day date DEFAULT '2026-01-31'");
  source_.Execute("INSERT INTO items VALUES (6000, 'six', 'thousand', 1)");
  ASSERT_TRUE(EqualSoon("items")) << process->Output();
  source_.Execute("ALTER TABLE items ALTER COLUMN n TYPE text USING 'n' || n");
  source_.Execute("INSERT INTO items VALUES (6001, 'six', 'thousand', 'one')");
  ASSERT_TRUE(EqualSoon("items")) << process->Output();
  source_.Execute("TRUNCATE items; INSERT INTO items VALUES (1, 'first', 'again', 'x')");
  ASSERT_TRUE(EqualSoon("items")) << process->Output();
  process->Signal(SIGINT);
  EXPECT_EQ(process->WaitForExit(), 0) << process->Output();
}

TEST_F(OpenSearchTest, DocumentsHaveTheRowsOfAnotherTable) {
  source_.Execute(
      "CREATE TABLE orders (id int PRIMARY KEY, name text, big text);"
      "CREATE TABLE items (id int PRIMARY KEY, order_id int REFERENCES orders ON UPDATE CASCADE ON "
      "DELETE CASCADE, what text, big text);"
      "ALTER TABLE orders ALTER big SET STORAGE EXTERNAL;"
      "ALTER TABLE items ALTER big SET STORAGE EXTERNAL;"
      "INSERT INTO orders SELECT i, 'order ' || i, repeat('x', 3000) FROM generate_series(1, 50) i;"
      "INSERT INTO items SELECT i, nullif(i % 60, 0) FROM generate_series(1, 600) i WHERE i % 60 "
      "<= 50");
  pipeline_.source_options = "    replication: {ddl: true}\n";
  pipeline_.sinks = {Sink(
      ", joins: [{parent: public.orders, child: public.items, on: {order_id: id}, as: items}]")};
  const auto process = Run();
  ASSERT_TRUE(JoinedSoon()) << process->Output();
  source_.Execute("UPDATE items SET what = 'new ' || id, big = repeat('y', 3000) WHERE id % 3 = 0");
  source_.Execute("UPDATE items SET what = 'newer' WHERE id % 6 = 0");  // Large: not sent.
  source_.Execute("UPDATE orders SET name = 'renamed' WHERE id % 5 = 0");
  source_.Execute("UPDATE items SET order_id = order_id % 50 + 1 WHERE id % 7 = 0");
  source_.Execute("UPDATE orders SET id = id + 1000 WHERE id % 10 = 1");  // Items, too.
  source_.Execute("DELETE FROM items WHERE id % 11 = 0; DELETE FROM orders WHERE id % 10 = 2");
  source_.Execute(
      "BEGIN; INSERT INTO orders VALUES (5000); INSERT INTO items VALUES (5000, 5000); UPDATE "
      "items SET order_id = 5 WHERE id = 5000; DELETE FROM orders WHERE id = 5000; COMMIT");
  ASSERT_TRUE(JoinedSoon()) << process->Output();
  source_.Execute("ALTER TABLE items ADD COLUMN color text DEFAULT 'red'");
  source_.Execute("INSERT INTO items VALUES (6000, 5, 'six', NULL, 'blue')");
  ASSERT_TRUE(JoinedSoon()) << process->Output();
  source_.Execute("ALTER TABLE items RENAME COLUMN what TO label");
  source_.Execute("ALTER TABLE orders DROP COLUMN name");
  source_.Execute("INSERT INTO orders VALUES (6000); INSERT INTO items VALUES (6001, 6000, 'six')");
  ASSERT_TRUE(JoinedSoon()) << process->Output();
  // One table alone is copied again, by a second lane.
  Expect(0, "refresh", {"--copy", "public.items"});
  source_.Execute("UPDATE items SET label = 'after' WHERE id % 13 = 0");
  ASSERT_TRUE(Eventually([&] { return CountOf(process->Output(), "its documents get") >= 3; }))
      << process->Output();
  ASSERT_TRUE(JoinedSoon()) << process->Output();
  source_.Execute("TRUNCATE items; INSERT INTO items VALUES (1, 5, 'first')");
  ASSERT_TRUE(JoinedSoon()) << process->Output();
  process->Signal(SIGINT);
  EXPECT_EQ(process->WaitForExit(), 0) << process->Output();
}

// One row of every kind of value, by the snapshot and by the stream: the same document, and each
// value is found by a search.
TEST_F(OpenSearchTest, EveryKindOfValueArrivesAndIsFound) {
  const std::string values =
      "9223372036854775807, 1234567890123456789012345678901234567890.5, 'NaN', 'Infinity', true, "
      "'über \"text\"', '2026-01-31', '0044-03-15 BC', 'infinity', '2026-01-31 12:00:00.123456+02',"
      " '{\"a\": {\"b\": [1, \"two\"]}}', '[1, 2]', '{1,NULL,3}', '{{a,b},{c,d}}', '[1,5)', "
      "'empty',"
      " '[2026-01-01,)', '10.0.0.7', '10.0.0.0/8', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', "
      "'\\x00ff', 'ok', ROW('x', 1), '(1.5,2.5)', '1 day 02:00:00'";
  source_.Execute(
      "CREATE TYPE mood AS ENUM ('ok', 'sad'); CREATE TYPE pair AS (a text, b int);"
      "CREATE TABLE kinds (id int PRIMARY KEY, i8 int8, n numeric, nan numeric, f float8, b bool, "
      "t text, d date, bc date, inf date, ts timestamptz, j jsonb, jl jsonb, ia int[], ta text[], "
      "r int4range, re int4range, dr daterange, ip inet, net cidr, u uuid, by bytea, m mood, c "
      "pair,"
      " p point, iv interval);"
      "INSERT INTO kinds VALUES (1, " +
      values + ")");
  const auto process = Run();
  const std::string index = prefix_ + "kinds";
  ASSERT_TRUE(Eventually([&] { return Documents(index).contains("1"); })) << process->Output();
  source_.Execute("INSERT INTO kinds VALUES (2, " + values + ")");
  ASSERT_TRUE(Eventually([&] { return Documents(index).contains("2"); })) << process->Output();
  const auto one = Search().Request("GET", "/" + index + "/_source/1");
  const auto two = Search().Request("GET", "/" + index + "/_source/2");
  ASSERT_TRUE(one.ok() && two.ok());
  EXPECT_EQ(one->substr(one->find(',')), two->substr(two->find(',')));
  EXPECT_EQ(*one,
            R"({"id":1,"i8":9223372036854775807,"n":1234567890123456789012345678901234567890.5,)"
            R"("nan":"NaN","f":"Infinity","b":true,"t":"über \"text\"","d":"2026-01-31",)"
            R"("bc":"-0043-03-15","inf":"infinity","ts":"2026-01-31T10:00:00.123456Z",)"
            R"("j":{"a": {"b": [1, "two"]}},"jl":{"_json":[1, 2]},"ia":[1,null,3],)"
            R"("ta":[["a","b"],["c","d"]],"r":{"gte":1,"lt":5},"re":[],"dr":{"gte":"2026-01-01"},)"
            R"("ip":"10.0.0.7","net":"10.0.0.0/8","u":"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",)"
            R"("by":"\\x00ff","m":"ok",)"
            R"x("c":"(x,1)",)x"
            R"x("p":"(1.5,2.5)","iv":"1 day 02:00:00"})x");
  for (const char* query :
       {R"({"term":{"i8":9223372036854775807}})", R"({"range":{"n":{"gt":1e39}}})",
        R"({"term":{"b":true}})", R"({"match":{"t":"TEXT"}})", R"({"term":{"d":"2026-01-31"}})",
        R"({"range":{"bc":{"lt":"0000-01-01"}}})",
        R"({"range":{"ts":{"gte":"2026-01-31T10:00:00.123Z","lt":"2026-01-31T10:00:00.124Z"}}})",
        R"({"term":{"j.a.b":"two"}})", R"({"term":{"jl._json":"2"}})", R"({"term":{"ia":3}})",
        R"({"term":{"ta.keyword":"d"}})", R"({"term":{"r":4}})",
        R"({"range":{"dr":{"gte":"2030-01-01"}}})", R"({"term":{"ip":"10.0.0.0/24"}})",
        R"({"term":{"net":"10.9.9.9"}})",
        R"({"term":{"u":"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"}})", R"({"term":{"by":"\\x00ff"}})",
        R"({"term":{"m.keyword":"ok"}})"}) {
    const auto found =
        Search().Request("POST", "/" + index + "/_count", fmt::format("{{\"query\":{}}}", query));
    EXPECT_TRUE(found.ok()) << found.status();
    if (!found.ok()) continue;
    EXPECT_EQ(json::parse(*found).value("count", 0), 2) << query;
  }
  process->Signal(SIGINT);
  EXPECT_EQ(process->WaitForExit(), 0) << process->Output();
}

// Nothing is refused, whatever the mask, and an address finds the networks that it is in.
TEST_F(OpenSearchTest, NetworksAreFoundByTheirAddresses) {
  const std::string rows =
      "(0, '10.1.0.0/16', '10.1.2.3', '10.1.2.3', '{10.1.0.0/16,NULL}', '{10.1.2.3}'),"
      "(1, '::ffff:10.1.2.0/120', '10.1.2.3/24', '10.1.2.3/24', '{}', '{10.1.2.3/24}'),"
      "(2, '::/0', '::ffff:10.1.2.3', '::ffff:10.1.2.3', NULL, '{::ffff:10.1.2.3/95}'),"
      "(3, '0.0.0.0/0', '2001:db8::1/64', '2001:db8::1', '{2001:db8::/64}', '{2001:db8::1}'),"
      "(4, '::ffff:0.0.0.0/96', '::1.2.3.4/127', '::1.2.3.4/127', '{::/128}', NULL),"
      "(5, '2001:db8::/32', NULL, NULL, NULL, NULL)";
  source_.Execute(
      "CREATE TABLE nets (id int PRIMARY KEY, net cidr, host inet, plain inet, nets cidr[], hosts "
      "inet[]); INSERT INTO nets VALUES " +
      rows);
  pipeline_.sinks = {
      Sink(", tables: [{table: public.nets, mapping: {host: {type: ip_range}, hosts: {type: "
           "ip_range}}}]")};
  const auto process = Run();
  const std::string index = prefix_ + "nets";
  ASSERT_TRUE(Eventually([&] { return Documents(index).size() == 6; })) << process->Output();
  source_.Execute("INSERT INTO nets SELECT id + 10, net, host, plain, nets, hosts FROM nets");
  ASSERT_TRUE(Eventually([&] { return Documents(index).size() == 12; })) << process->Output();
  for (const auto& [field, address, found] : std::vector<std::array<std::string, 3>>{
           {"net", "10.1.2.9", "0,1,2,3,4"},
           {"net", "2001:db8:7::1", "2,5"},
           {"host", "10.1.2.3", "0,1,2"},
           {"host", "10.1.2.200", "1"},
           {"host", "2001:db8::77", "3"},
           {"plain", "10.1.2.3", "0,2"},
           {"nets", "10.1.99.1", "0"},
           {"nets", "2001:db8::5", "3"},
           {"hosts", "10.1.2.4", "1,2"},
       }) {
    const auto answer = Search().Request(
        "POST", "/" + index + "/_search?size=50",
        fmt::format(R"({{"sort":"id","query":{{"term":{{"{}":"{}"}}}}}})", field, address));
    ASSERT_TRUE(answer.ok()) << answer.status();
    std::string ids;
    size_t count = 0;
    const json parsed = json::parse(*answer);
    for (const json& hit : parsed["hits"]["hits"]) {
      const int id = hit["_source"]["id"].get<int>();
      ++count;
      if (id < 10) ids += (ids.empty() ? "" : ",") + std::to_string(id);
    }
    EXPECT_EQ(ids, found) << field << " " << address;
    EXPECT_EQ(count, 2 * (found.size() + 1) / 2) << field << " " << address;
  }
  const json all = json::parse(Documents(index).at("1"));
  EXPECT_EQ(all["plain"], "10.1.2.3/24");
}

// Points only: the test's server comes without the module of geo_shape.
TEST_F(OpenSearchTest, GeometriesAreFoundByPlace) {
  const std::string rows =
      "'SRID=4326;POINT(13.4 52.5)', "
      "'POINT(13.4 52.5)', 'SRID=4326;POINT EMPTY', 'SRID=3857;POINT(1 2)', 'SRID=3857;POINT(1 2)'";
  source_.Execute(
      "CREATE EXTENSION postgis; CREATE TABLE places (id int PRIMARY KEY, at geometry(Point,4326), "
      "plain geometry, nowhere geometry(Point,4326), metres geometry(Point,3857), "
      "other geometry);"
      "INSERT INTO places VALUES (1, " +
      rows + "); INSERT INTO places VALUES (2)");
  pipeline_.sinks = {
      Sink(", tables: [{table: public.places, mapping: {plain: {type: geo_point}}}]")};
  pipeline_.tables = "[public.places]";
  const std::string checked = Expect(0, "check");
  EXPECT_NE(checked.find("ST_Transform(metres, 4326)"), std::string::npos) << checked;
  EXPECT_NE(checked.find("column other: its type names no SRID"), std::string::npos) << checked;
  EXPECT_EQ(checked.find("column plain"), std::string::npos) << checked;
  const auto process = Run();
  const std::string index = prefix_ + "places";
  ASSERT_TRUE(Eventually([&] { return Documents(index).contains("1"); })) << process->Output();
  source_.Execute("INSERT INTO places VALUES (3, " + rows + ")");
  ASSERT_TRUE(Eventually([&] { return Documents(index).contains("3"); })) << process->Output();
  const auto one = Search().Request("GET", "/" + index + "/_source/1");
  const auto three = Search().Request("GET", "/" + index + "/_source/3");
  ASSERT_TRUE(one.ok() && three.ok());
  EXPECT_EQ(one->substr(one->find(',')), three->substr(three->find(',')));
  EXPECT_EQ(*one, R"({"id":1,"at":{"lat":52.5,"lon":13.4},"plain":{"lat":52.5,"lon":13.4},)"
                  R"("nowhere":[],"metres":"0101000020110F0000000000000000F03F0000000000000040",)"
                  R"("other":"0101000020110F0000000000000000F03F0000000000000040"})");
  for (const char* query : {R"({"geo_distance":{"distance":"1km","at":[13.4,52.5]}})",
                            R"({"geo_distance":{"distance":"1km","plain":[13.4,52.5]}})"}) {
    EXPECT_TRUE(Eventually([&] {
      const auto found =
          Search().Request("POST", "/" + index + "/_count", fmt::format("{{\"query\":{}}}", query));
      return found.ok() && json::parse(*found).value("count", 0) == 2;
    })) << query;
  }
  process->Signal(SIGINT);
  EXPECT_EQ(process->WaitForExit(), 0) << process->Output();
}

TEST_F(OpenSearchTest, WhatIsRefusedGoesToTheDeadLetter) {
  source_.Execute(
      "CREATE TABLE items (id int PRIMARY KEY, size text);"
      "INSERT INTO items VALUES (1, '1'), (2, 'huge'), (3, '3')");
  const std::string mapping = ", tables: [{table: \"*\", mapping: {size: {type: long}}}]";
  pipeline_.sinks = {Sink(mapping) +
                     fmt::format(", dead_letter: {{file: \"{}\"}}", directory_ / "dead.jsonl")};
  const auto process = Run();
  ASSERT_TRUE(Eventually([&] { return Documents(prefix_ + "items").size() == 2; }))
      << process->Output();
  source_.Execute("INSERT INTO items VALUES (4, '4'), (5, 'larger'), (6, '6')");
  ASSERT_TRUE(Eventually([&] { return Documents(prefix_ + "items").size() == 4; }))
      << process->Output();
  // The documents beside a refused one are visible before it is written down.
  EXPECT_TRUE(Eventually([&] { return CountOf(ReadFile(directory_ / "dead.jsonl"), "\n") == 2U; }))
      << process->Output();
  EXPECT_GE(CountOf(ReadFile(directory_ / "dead.jsonl"), "larger"), 1U);
  process->Signal(SIGINT);
  EXPECT_EQ(process->WaitForExit(), 0) << process->Output();
}

}  // namespace
}  // namespace pgflow::tests
