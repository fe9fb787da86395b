// Side by side with Debezium: what pgflow says of transactions and keys, as its connector does, and
// a topic that the real connector wrote, read back.
#include <csignal>
#include <map>
#include <set>
#include <sstream>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "engine/testing/local_http.h"
#include "engine/testing/scratch_cluster.h"
#include "tests/integration/broker_test.h"
#include "tests/integration/topic_reader.h"

namespace pgflow::tests {
namespace {

using nlohmann::json;
using testing::ElementsAre;

// Kafka Connect with Debezium's connector. Ends with its object.
class Connector {
 public:
  // `settings` go over the connector's own.
  static std::unique_ptr<Connector> Start(const std::string& directory, const std::string& brokers,
                                          std::map<std::string, std::string> settings) {
    const auto archives = engine::FindServerArchives("connect");
    const auto plugin = engine::FindServerArchives("debezium");
    const auto port = engine::FindFreePort();
    if (!archives.ok() || !plugin.ok() || !port.ok()) {
      ADD_FAILURE() << archives.status() << plugin.status() << port.status();
      return nullptr;
    }
    WriteFile(directory + "/worker.properties",
              fmt::format("bootstrap.servers={}\nlisteners=http://127.0.0.1:{}\nplugin.path={}\n"
                          "plugin.discovery=service_load\noffset.flush.interval.ms=500\n"
                          "key.converter=org.apache.kafka.connect.json.JsonConverter\n"
                          "value.converter=org.apache.kafka.connect.json.JsonConverter\n"
                          "offset.storage.file.filename={}/offsets\n",
                          brokers, *port, plugin->substr(0, plugin->rfind('/')), directory));
    settings.insert({{"name", "shop"},
                     {"connector.class", "io.debezium.connector.postgresql.PostgresConnector"},
                     {"tasks.max", "1"},
                     {"database.hostname", "127.0.0.1"},
                     {"database.user", "postgres"},
                     {"database.password", "postgres"},
                     {"plugin.name", "pgoutput"},
                     {"skipped.operations", "none"},
                     {"poll.interval.ms", "20"},
                     {"topic.creation.default.partitions", "1"},
                     {"topic.creation.default.replication.factor", "1"}});
    std::string text;
    for (const auto& [name, value] : settings) text += fmt::format("{}={}\n", name, value);
    WriteFile(directory + "/connector.properties", text);
    std::unique_ptr<Connector> made(new Connector());
    made->log_ = directory + "/connect.log";
    auto process = engine::Subprocess::Start(
        {.command = {"/usr/bin/java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx512m",
                     "-Dlog4j2.level=WARN", "-cp", *archives + "/*",
                     "org.apache.kafka.connect.cli.ConnectStandalone",
                     directory + "/worker.properties", directory + "/connector.properties"},
         .run_as = {},
         .output_file = made->log_,
         .death_signal = SIGKILL});
    EXPECT_TRUE(process.ok()) << process.status();
    if (!process.ok()) return nullptr;
    made->process_ = *std::move(process);
    return made;
  }
  std::string Log() const { return engine::TailOfFile(log_); }

 private:
  std::string log_;
  std::unique_ptr<engine::Subprocess> process_;
};

class DebeziumTest : public BrokerTest {
 protected:
  void WriteWith(const std::string& more, const std::string& debezium = "") {
    pipeline_.sinks = {
        fmt::format("kafka: {{brokers: [\"{}\"], prefix: {}, partitions: 2, encoding: {{format: "
                    "debezium, debezium: {{{}}}}}{}}}",
                    broker->bootstrap(), pipeline_.name, debezium, more)};
  }
  std::vector<TopicMessage> Read(const std::string& table, int partitions = 2) const {
    return ReadTopic(broker->bootstrap(), pipeline_.name + "." + table, partitions);
  }

  // Their names and contents, shortened.
  std::string ColumnsThatDiffer(const std::string& table) const {
    std::string differ;
    const std::string names = source_.Value(fmt::format(
        "SELECT string_agg(quote_ident(attname), ' ') FROM pg_attribute WHERE attrelid = "
        "'{}'::regclass AND attnum > 0",
        table));
    std::istringstream words(names);
    for (std::string name; words >> name;) {
      const std::string sql = fmt::format(
          "SELECT string_agg(left({}::text, 60), ' | ' ORDER BY id) FROM {}", name, table);
      const std::string source = source_.Value(sql);
      const std::string target = target_.Value(sql);
      if (source != target) differ += fmt::format("{}: {}\n  not {}\n", name, target, source);
    }
    return differ;
  }
};

TEST_F(DebeziumTest, ANewKeyNamesTheOldOneAndTheOldOneTheNew) {
  source_.Execute("CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 1)");
  WriteWith("");
  RunToCurrent();
  source_.Execute("UPDATE t SET id = 2");
  RunToCurrent();
  std::map<std::string, std::map<std::string, std::string>> headers;
  for (const TopicMessage& message : Read("public.t")) {
    const std::string op =
        message.value.has_value() ? json::parse(*message.value)["op"].get<std::string>() : "none";
    headers[op] = message.headers;
  }
  EXPECT_EQ(headers["d"]["__debezium.newkey"], R"({"id":2})");
  EXPECT_EQ(headers["c"]["__debezium.oldkey"], R"({"id":1})");
  EXPECT_EQ(headers["r"].count("__debezium.newkey"), 0U);
  EXPECT_EQ(headers["d"]["pgflow.operation"], "delete");
}

TEST_F(DebeziumTest, TheOtherKeyIsNotWrappedInItsSchema) {
  source_.Execute("CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 1)");
  WriteWith("", "schemas: true");
  RunToCurrent();
  source_.Execute("UPDATE t SET id = 1000");
  RunToCurrent();
  std::set<std::string> headers;
  for (const TopicMessage& message : Read("public.t")) {
    for (const auto& [name, value] : message.headers) {
      if (name.starts_with("__debezium")) headers.insert(name + "=" + value);
    }
  }
  EXPECT_EQ(headers, (std::set<std::string>{R"(__debezium.newkey={"id":1000})",
                                            R"(__debezium.oldkey={"id":1})"}));
}

// The catalog's facts, through the snapshot and through the stream.
TEST_F(DebeziumTest, SchemasHaveNotNullDefaultsAndLabels) {
  source_.Execute(
      "CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL "
      "DEFAULT 7, m mood DEFAULT 'ok', x text); INSERT INTO t (id) VALUES (1)");
  WriteWith("", "schemas: true");
  RunToCurrent();
  source_.Execute("INSERT INTO t (id) VALUES (2); DELETE FROM t WHERE id = 1");
  RunToCurrent();
  std::map<std::string, json> last;
  for (const TopicMessage& message : Read("public.t")) {
    if (!message.value.has_value()) continue;
    const json value = json::parse(*message.value);
    last[value["payload"]["op"].get<std::string>()] = value;
  }
  for (const char* op : {"r", "c"}) {
    const json& fields = last[op]["schema"]["fields"][1]["fields"];
    EXPECT_EQ(fields[1]["optional"], false) << op;
    EXPECT_EQ(fields[1]["default"], 7) << op;
    EXPECT_EQ(fields[2]["name"], "io.debezium.data.Enum") << op;
    EXPECT_EQ(fields[2]["parameters"]["allowed"], "sad,ok") << op;
    EXPECT_EQ(fields[2]["default"], "ok") << op;
    EXPECT_EQ(fields[3]["optional"], true) << op;
  }
  // Of an old row that is known by its key.
  EXPECT_EQ(last["d"]["payload"]["before"],
            json({{"id", 1}, {"n", 7}, {"m", nullptr}, {"x", nullptr}}));
  EXPECT_GT(last["r"]["payload"]["source"]["txId"].get<int64_t>(), 0);
}

TEST_F(DebeziumTest, ASnapshotSaysWhereItAndItsTablesBeginAndEnd) {
  source_.Execute(
      "CREATE TABLE large (id int PRIMARY KEY, t text); CREATE TABLE small (id int PRIMARY KEY);"
      "CREATE TABLE empty (id int PRIMARY KEY); INSERT INTO large SELECT i, repeat('x', 200) FROM "
      "generate_series(1, 5000) i; INSERT INTO small VALUES (1), (2), (3)");
  pipeline_.snapshot = "{workers: 3, range_size: 128KiB}";
  WriteWith("");
  RunToCurrent();
  const auto marks = [this](const std::string& table) {
    std::map<std::string, int> counted;
    std::map<int, std::string> last_of;
    for (const TopicMessage& message : Read(table)) {
      const auto mark = json::parse(*message.value)["source"]["snapshot"].get<std::string>();
      ++counted[mark];
      last_of[message.partition] = mark;
    }
    // Nothing of the table comes behind its last row.
    if (!counted.empty()) {
      EXPECT_TRUE(last_of[0].starts_with("last") || last_of[1].starts_with("last"));
    }
    return counted;
  };
  EXPECT_EQ(
      marks("public.large"),
      (std::map<std::string, int>{{"first", 1}, {"true", 4998}, {"last_in_data_collection", 1}}));
  EXPECT_EQ(marks("public.small"), (std::map<std::string, int>{
                                       {"first_in_data_collection", 1}, {"true", 1}, {"last", 1}}));
  EXPECT_TRUE(Read("public.empty").empty());
}

TEST_F(DebeziumTest, LogicalMessagesHaveATopic) {
  if (shared_server->version() < 140000) GTEST_SKIP() << "this version sends no messages";
  source_.Execute("CREATE TABLE t (id int PRIMARY KEY)");
  pipeline_.source_options = "    messages: [\"audit.*\"]\n";
  WriteWith(", transaction_metadata: true");
  RunToCurrent();
  source_.Execute(
      "BEGIN; INSERT INTO t VALUES (1); SELECT pg_logical_emit_message(true, 'audit.a', 'one');"
      "SELECT pg_logical_emit_message(true, 'other', 'no'); COMMIT");
  // Its record ends where that of the COMMIT begins.
  source_.Execute(
      "BEGIN; INSERT INTO t VALUES (2); SELECT pg_logical_emit_message(false, 'audit.b', "
      "'\\x00ff'::bytea); COMMIT");
  RunToCurrent();
  std::map<std::string, json> by_key;
  for (const TopicMessage& message : Read("message")) {
    by_key[*message.key] = json::parse(*message.value);
  }
  ASSERT_EQ(by_key.size(), 2U);
  const json& one = by_key[R"({"prefix":"audit.a"})"];
  EXPECT_EQ(one["op"], "m");
  EXPECT_EQ(one["message"], json({{"prefix", "audit.a"}, {"content", "b25l"}}));
  EXPECT_EQ(one["transaction"]["total_order"], 2);
  const json& other = by_key[R"({"prefix":"audit.b"})"];
  EXPECT_EQ(other["message"]["content"], "AP8=");
  EXPECT_EQ(other["source"]["txId"], json());
  EXPECT_EQ(other["transaction"], json());
}

TEST_F(DebeziumTest, AnOutboxSendsWhatTheApplicationWrote) {
  source_.Execute(
      "CREATE TABLE outbox (id uuid PRIMARY KEY, aggregatetype text NOT NULL, aggregateid text NOT "
      "NULL, type text, payload jsonb);"
      "INSERT INTO outbox VALUES ('00000000-0000-0000-0000-000000000001', 'early', '1', 'made', "
      "'{\"n\": 1.50}')");
  const std::string topic = pipeline_.name + ".{routed_by_value}";
  pipeline_.more = fmt::format(
      "transformers:\n  - outbox: {{table: public.outbox, topic: \"{}\", additional: [{{field: "
      "type, as: eventType}}]}}\n",
      topic);
  WriteWith("");
  RunToCurrent();
  source_.Execute(
      "BEGIN; INSERT INTO outbox VALUES ('00000000-0000-0000-0000-000000000002', 'order', '42', "
      "'created', '{\"a\": [1, \"é\"]}'); DELETE FROM outbox; COMMIT");
  RunToCurrent();
  const std::vector<TopicMessage> early = Read("early");
  ASSERT_EQ(early.size(), 1U);
  EXPECT_EQ(early[0].value, R"({"n": 1.50})");
  const std::vector<TopicMessage> orders = Read("order");
  ASSERT_EQ(orders.size(), 1U);
  EXPECT_EQ(orders[0].key, "42");
  EXPECT_EQ(orders[0].value, R"({"a": [1, "é"]})");
  auto headers = orders[0].headers;
  EXPECT_EQ(headers["id"], "00000000-0000-0000-0000-000000000002");
  EXPECT_EQ(headers["eventType"], "created");
}

TEST_F(DebeziumTest, AReplicatedTransactionNamesItsOrigin) {
  source_.Execute("CREATE TABLE t (id int PRIMARY KEY)");
  const std::string origin = "from_" + pipeline_.name;
  WriteWith("");
  RunToCurrent();
  source_.Execute(fmt::format(
      "SELECT pg_replication_origin_create('{0}'); SELECT "
      "pg_replication_origin_session_setup('{0}');"
      "BEGIN; SELECT pg_replication_origin_xact_setup('0/ABC', now()); INSERT INTO t VALUES (1); "
      "COMMIT; SELECT pg_replication_origin_session_reset(); INSERT INTO t VALUES (2)",
      origin));
  RunToCurrent();
  std::map<int, json> source;
  for (const TopicMessage& message : Read("public.t")) {
    const json value = json::parse(*message.value);
    source[value["after"]["id"].get<int>()] = value["source"];
  }
  EXPECT_EQ(source[1]["origin"], origin);
  EXPECT_EQ(source[1]["origin_lsn"], 0xABC);
  EXPECT_EQ(source[2]["origin"], json());
  source_.Execute(fmt::format("SELECT pg_replication_origin_drop('{}')", origin));
}

// What the transaction topic says, against what is in the tables' topics.
class Transactions {
 public:
  void Add(const std::vector<TopicMessage>& rows) {
    for (const TopicMessage& message : rows) {
      if (!message.value.has_value()) continue;
      const json value = json::parse(*message.value);
      if (value["op"] == "r") {
        EXPECT_EQ(value["transaction"], json());
        continue;
      }
      const json& block = value["transaction"];
      const auto id = block["id"].get<std::string>();
      const auto table = fmt::format("{}.{}", value["source"]["schema"].get<std::string>(),
                                     value["source"]["table"].get<std::string>());
      EXPECT_TRUE(orders_[id].insert(block["total_order"].get<uint64_t>()).second);
      EXPECT_TRUE(tables_[id][table].insert(block["data_collection_order"].get<uint64_t>()).second);
    }
  }
  void Compare(const std::vector<TopicMessage>& notes) const {
    std::set<std::string> ended;
    std::string open;
    for (const TopicMessage& message : notes) {
      const json note = json::parse(*message.value);
      const auto id = note["id"].get<std::string>();
      EXPECT_EQ(json::parse(*message.key), json({{"id", id}}));
      if (note["status"] == "BEGIN") {
        EXPECT_EQ(open, "");
        open = id;
        continue;
      }
      EXPECT_EQ(note["status"], "END");
      EXPECT_EQ(open, id);
      open.clear();
      EXPECT_TRUE(ended.insert(id).second) << id;
      ASSERT_EQ(orders_.count(id), 1U) << id;
      EXPECT_EQ(note["event_count"], orders_.at(id).size());
      EXPECT_EQ(note["event_count"], *orders_.at(id).rbegin());  // From 1 without a gap.
      for (const json& part : note["data_collections"]) {
        const auto& counted = tables_.at(id).at(part["data_collection"].get<std::string>());
        EXPECT_EQ(part["event_count"], counted.size());
        EXPECT_EQ(part["event_count"], *counted.rbegin());
      }
    }
    EXPECT_EQ(open, "");
    EXPECT_EQ(ended.size(), orders_.size());
  }
  size_t count() const { return orders_.size(); }

 private:
  std::map<std::string, std::set<uint64_t>> orders_;
  std::map<std::string, std::map<std::string, std::set<uint64_t>>> tables_;
};

TEST_F(DebeziumTest, TheTransactionTopicCountsWhatTheTablesTopicsHold) {
  source_.Execute(
      "CREATE TABLE a (id int PRIMARY KEY, v int); CREATE TABLE b (id int PRIMARY KEY, v int);"
      "CREATE TABLE other (id int PRIMARY KEY); INSERT INTO a VALUES (0, 0)");
  WriteWith(", transaction_metadata: true, tables: [public.a, public.b]",
            "skipped_operations: [none]");
  RunToCurrent();
  source_.Execute(
      "BEGIN; INSERT INTO a VALUES (1, 1), (2, 2); INSERT INTO b VALUES (1, 1);"
      "INSERT INTO other VALUES (1); COMMIT");
  source_.Execute("BEGIN; UPDATE a SET id = 3 WHERE id = 2; DELETE FROM a WHERE id = 1; COMMIT");
  source_.Execute("INSERT INTO other VALUES (2)");  // Nothing of it is sent.
  source_.Execute("TRUNCATE b");                    // One change, in every partition.
  RunToCurrent();
  const std::vector<TopicMessage> notes = Read("transaction", 1);
  std::vector<std::string> said;
  for (const TopicMessage& message : notes) {
    const json note = json::parse(*message.value);
    said.push_back(note["status"].get<std::string>() + " " + note["event_count"].dump() + " " +
                   note["data_collections"].dump());
  }
  EXPECT_THAT(
      said,
      ElementsAre("BEGIN null null",
                  R"(END 3 [{"data_collection":"public.a","event_count":2},)"
                  R"({"data_collection":"public.b","event_count":1}])",
                  "BEGIN null null", R"(END 3 [{"data_collection":"public.a","event_count":3}])",
                  "BEGIN null null", R"(END 1 [{"data_collection":"public.b","event_count":1}])"));
}

TEST_F(DebeziumTest, TransactionsAreToldOnceWhoeverDies) {
  source_.Execute(
      "CREATE TABLE a (id int PRIMARY KEY, v text); CREATE TABLE b (id int PRIMARY KEY, v text)");
  // Small windows, so that large transactions are cut.
  WriteWith(", transaction_metadata: true");
  RunToCurrent();
  int next = 0;
  const auto work = [&](int transactions) {
    for (int i = 0; i < transactions; ++i, ++next) {
      const int rows = next % 9 == 0 ? 5000 : 3;
      source_.Execute(fmt::format(
          "BEGIN; INSERT INTO a SELECT {0} * 100000 + i, repeat('x', 50) FROM generate_series(1, "
          "{1}) i; INSERT INTO b VALUES ({0}, 'b'); UPDATE b SET id = id + 1000000 WHERE id = {0} "
          "AND {0} % 2 = 0; COMMIT",
          next, rows));
    }
  };
  for (int life = 0; life < 3; ++life) {
    const auto process = Run();
    ASSERT_TRUE(process->WaitForOutput("streaming from")) << process->Output();
    work(10 + 5 * life);
    process->Kill9();
  }
  work(5);
  RunToCurrent();
  Transactions transactions;
  transactions.Add(Read("public.a"));
  transactions.Add(Read("public.b"));
  EXPECT_EQ(transactions.count(), static_cast<size_t>(next));
  transactions.Compare(Read("transaction", 1));
}

constexpr const char* kTables =
    "CREATE TYPE mood AS ENUM ('fine', 'so so'); CREATE DOMAIN positive AS int;"
    "CREATE TABLE types (id bigint PRIMARY KEY, i2 int2, i4 int4, n numeric, n2 numeric(12,3),"
    " f4 real, f8 float8, ok bool, t text, v varchar(20), c char(5), b bytea, j json, jb jsonb,"
    " u uuid, d date, ti time, ti3 time(3), tz timetz, ts timestamp, ts3 timestamp(3),"
    " tstz timestamptz, iv interval, ia int[], ba bigint[], ta text[], na numeric(8,2)[],"
    " ua uuid[], da date[], tsa timestamptz[], m mood, po positive, r int4range, mo money,"
    " inet inet, cidr cidr, mac macaddr, five bit(5), pt point, x xml, tsv tsvector, o oid,"
    " filled int NOT NULL DEFAULT 7, big text, bigb bytea, bigj jsonb, bigi int[], bigl bigint[],"
    " bigt text[], bigu uuid[]);"
    "ALTER TABLE types ALTER big SET STORAGE EXTERNAL, ALTER bigb SET STORAGE EXTERNAL,"
    " ALTER bigj SET STORAGE EXTERNAL, ALTER bigi SET STORAGE EXTERNAL,"
    " ALTER bigl SET STORAGE EXTERNAL, ALTER bigt SET STORAGE EXTERNAL,"
    " ALTER bigu SET STORAGE EXTERNAL;"
    "CREATE TABLE whole (a int, b text); ALTER TABLE whole REPLICA IDENTITY FULL;"
    "CREATE TABLE pair (a int, b text, v int, PRIMARY KEY (b, a));";

constexpr const char* kRows =
    "INSERT INTO types VALUES (1, -32768, 2147483647, -12345678901234567890.012, 1.5, 1.5, 1e300,"
    " true, E'é 日 \"q\" \\\\ \\n', 'v', 'c', '\\x00ff10', ' {\"a\" : 1} ', '{\"a\": [1]}',"
    " '00000000-0000-0000-0000-0000000000ff', '2026-01-31', '23:59:59.999999', '01:02:03.004',"
    " '12:00:00+00', '2026-01-31 12:00:00.000001', '2026-01-31 12:00:00.001',"
    " '2026-01-31 12:00:00.5+02', '1 year 2 mons 3 days 04:05:06.7', '{1,NULL,-3}', '{1,2}',"
    " ARRAY['', NULL, 'a \"b\"'], '{1.5,-2}', '{00000000-0000-0000-0000-0000000000ff}',"
    " '{2026-01-31}', '{2026-01-31 12:00:00+00}', 'so so', 7, '[1,5)', '12.34', '10.0.0.1',"
    " '10.0.0.0/8', '08:00:2b:01:02:03', '10110', '(1.5,-2)', '<a>b</a>', 'fat:2 cat:3',"
    " 4294967295);"
    "INSERT INTO types (id, f4, f8, ia, n, n2, iv, d, ts) VALUES (2, 'NaN', '-Infinity', '{}', 0,"
    " -0.001, '-1 day', '0044-03-15', '1700-01-01 00:00:00.5');"
    "INSERT INTO types (id) VALUES (3);"
    "INSERT INTO types (id, big, bigb, bigj, bigi, bigl, bigt, bigu)"
    " SELECT i, repeat('x', 9000), decode(repeat('ab', 9000), 'hex'),"
    "  jsonb_build_object('a', repeat('y', 9000)), array_agg(n::int), array_agg(n::bigint),"
    "  array_agg(n::text), array_agg(md5(n::text)::uuid)"
    " FROM generate_series(10, 14) i, generate_series(1, 3000) n GROUP BY i;"
    "INSERT INTO whole VALUES (1, 'a'), (1, 'a'), (2, NULL), (3, 'c');"
    "INSERT INTO pair SELECT i, 'b' || i, i FROM generate_series(1, 20) i;";

TEST_F(DebeziumTest, WhatTheRealConnectorWroteIsReadBack) {
  source_.Execute(kTables);
  target_.Execute(kTables);
  source_.Execute(kRows);
  const auto connector = Connector::Start(directory_.path(), broker->bootstrap(),
                                          {{"topic.prefix", pipeline_.name},
                                           {"database.port", std::to_string(shared_server->port())},
                                           {"database.dbname", source_.name},
                                           {"slot.name", "debezium"},
                                           {"publication.name", "debezium"},
                                           {"table.include.list", "public[.].*"},
                                           {"interval.handling.mode", "string"},
                                           {"provide.transaction.metadata", "true"}});
  ASSERT_NE(connector, nullptr);
  const std::string file = directory_ / "apply.yaml";
  WriteFile(file, fmt::format(
                      "name: apply_debezium\n"
                      "source: {{kafka: {{brokers: [\"{}\"], topics: [\"^{}[.]public[.].*\"],"
                      " format: debezium}}}}\n"
                      "sinks: [{{postgres: {{url: \"{}\"}}}}]\n"
                      "state: {{directory: \"{}\"}}\n",
                      broker->bootstrap(), pipeline_.name, target_.url(), directory_ / "applier"));
  const auto applier = PgflowProcess::Start(
      {.arguments = {"run", file}, .output_file = directory_ / "applier.log", .file_bytes_max = 0});
  const std::vector<std::string> tables = {"types", "whole", "pair"};
  const auto expect_equal = [&] {
    const bool equal = Eventually([&] { return Difference(source_, target_, tables).empty(); });
    EXPECT_TRUE(equal) << ColumnsThatDiffer("types") << applier->Output() << connector->Log();
  };
  expect_equal();
  // By the stream, with large values that are not sent, and new keys.
  source_.Execute(
      "CREATE TEMP TABLE kept AS SELECT * FROM types WHERE id < 10; DELETE FROM types WHERE id < "
      "10; INSERT INTO types SELECT * FROM kept");
  source_.Execute("UPDATE types SET i4 = 1 WHERE id >= 10; UPDATE types SET f8 = 2 WHERE id = 2");
  source_.Execute("UPDATE types SET id = id + 100 WHERE id < 10");
  source_.Execute("UPDATE pair SET a = a + 100 WHERE a % 3 = 0; DELETE FROM pair WHERE a % 4 = 0");
  source_.Execute(
      "UPDATE whole SET b = 'z' WHERE a = 3; DELETE FROM whole WHERE ctid IN (SELECT min(ctid) "
      "FROM whole)");
  expect_equal();
  source_.Execute("TRUNCATE pair; INSERT INTO pair VALUES (1, 'new', 1)");
  expect_equal();
  EXPECT_TRUE(applier->running()) << applier->Output();
}

}  // namespace
}  // namespace pgflow::tests
