// Avro with a schema registry, as others read it: Avro's own library and a registry's API.
#include <sstream>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "engine/testing/scratch_registry.h"
#include "sinks/encoding/json_string.h"
#include "tests/integration/broker_test.h"
#include "tests/integration/topic_reader.h"

namespace pgflow::tests {
namespace {

using nlohmann::json;
using testing::HasSubstr;

std::string Base64(const std::optional<std::string>& bytes) {
  std::string text;
  if (bytes.has_value()) sinks::AppendBase64(*bytes, text);
  return bytes.has_value() ? text : "-";
}

class AvroTest : public BrokerTest {
 protected:
  static void SetUpTestSuite() {
    BrokerTest::SetUpTestSuite();
    auto made = engine::ScratchRegistry::Make();
    ASSERT_TRUE(made.ok()) << made.status();
    registry = *std::move(made);
  }
  static void TearDownTestSuite() {
    registry.reset();
    BrokerTest::TearDownTestSuite();
  }

  void WriteWith(const std::string& avro = "", const std::string& encoding = "") {
    pipeline_.sinks = {fmt::format(
        "kafka: {{brokers: [\"{}\"], prefix: {}, partitions: 1,"
        " encoding: {{format: avro, avro: {{{}}}{}}}, schema_registry: {{url: \"{}\"}}}}",
        broker->bootstrap(), pipeline_.name, avro, encoding, registry->url())};
  }
  std::string Topic(const std::string& table) const { return pipeline_.name + ".public." + table; }
  std::string Ask(const std::string& method, const std::string& path,
                  const std::string& body = "") const {
    const auto answer = registry->Request(method, path, body);
    EXPECT_TRUE(answer.ok()) << answer.status();
    return answer.value_or("");
  }
  // What Avro's library makes of the topic's messages.
  std::vector<json> Read(const std::string& topic) const {
    std::string lines;
    for (const TopicMessage& message : ReadTopic(broker->bootstrap(), topic)) {
      lines += Base64(message.key) + " " + Base64(message.value) + "\n";
    }
    const auto decoded = registry->Decode(lines);
    EXPECT_TRUE(decoded.ok()) << decoded.status();
    std::vector<json> messages;
    std::istringstream all(decoded.value_or(""));
    for (std::string line; std::getline(all, line);) {
      if (line.starts_with('{')) messages.push_back(json::parse(line));
    }
    return messages;
  }

  static std::unique_ptr<engine::ScratchRegistry> registry;
};

std::unique_ptr<engine::ScratchRegistry> AvroTest::registry;

constexpr const char* kTypes =
    "CREATE TYPE mood AS ENUM ('fine', 'so so'); CREATE DOMAIN positive AS int;"
    "CREATE TABLE types (id bigint PRIMARY KEY, i2 int2, i4 int4, n numeric, n2 numeric(12,3),"
    " f4 real, f8 float8, ok bool, t text, b bytea, jb jsonb, u uuid, d date, ti time, tz timetz,"
    " ts timestamp, ts3 timestamp(3), tstz timestamptz, iv interval, ia int[], ta text[],"
    " na numeric(8,2)[], m mood, po positive, r int4range, inet inet, bits varbit, one bit,"
    " pt point, o oid, \"odd-name\" int);"
    "INSERT INTO types VALUES (1, -32768, 2147483647, -12345678901234567890.012, 1.5, 1.5, 1e300,"
    " true, 'é 日 😀', '\\x00ff10', '{\"a\": [1]}', '00000000-0000-0000-0000-0000000000ff',"
    " '2026-01-31', '23:59:59.999999', '12:00:00+05:30', '2026-01-31 12:00:00.000001',"
    " '2026-01-31 12:00:00.001', '2026-01-31 12:00:00.5+02', '1 day', '{1,NULL,-3}',"
    " ARRAY['', NULL, 'a \"b\"'], '{1.5,-2}', 'so so', 7, '[1,5)', '10.0.0.0/8', '10110', '1',"
    " '(1.5,-2)', 4294967295, 5);"
    "INSERT INTO types (id, f4, f8, ia, n, n2) VALUES (-2, 'NaN', '-Infinity', '{}', 0, -0.001);"
    "INSERT INTO types (id) VALUES (3);";

constexpr const char* kFirst =
    R"({"id":1,"i2":-32768,"i4":2147483647,"n":{"scale":3,"value":"/WK9SbGJjr27pA=="},)"
    R"("n2":"1.500",)"
    R"("f4":"1.5","f8":"1.0E300","ok":true,"t":"é 日 😀","b":"AP8Q","jb":"{\"a\": [1]}",)"
    R"("u":"00000000-0000-0000-0000-0000000000ff","d":20484,"ti":86399999999,"tz":"06:30:00Z",)"
    R"("ts":1769860800000001,"ts3":1769860800001,"tstz":"2026-01-31T10:00:00.500000Z",)"
    R"("iv":86400000000,"ia":[1,null,-3],"ta":["",null,"a \"b\""],"na":["1.50","-2.00"],)"
    R"~("m":"so so","po":7,"r":"[1,5)","inet":"10.0.0.0/8","bits":"Fg==","one":true,)~"
    R"("pt":{"x":"1.5","y":"-2.0","wkb":"AQEAAAAAAAAAAAD4PwAAAAAAAADA","srid":null},)"
    R"("o":4294967295,"odd_name":5})";

TEST_F(AvroTest, EveryValueIsReadByAvrosOwnLibrary) {
  source_.Execute(kTypes);
  WriteWith("", ", debezium: {skipped_operations: [none]}");
  RunToCurrent();
  source_.Execute(
      "UPDATE types SET i2 = 1 WHERE id = 3; UPDATE types SET id = 4 WHERE id = 3;"
      "DELETE FROM types WHERE id = 4; CREATE TEMP TABLE one AS SELECT * FROM types WHERE id = 1;"
      "UPDATE one SET id = 5; INSERT INTO types SELECT * FROM one; TRUNCATE types");
  RunToCurrent();
  const std::vector<json> messages = Read(Topic("types"));
  ASSERT_EQ(messages.size(), 11U);
  EXPECT_EQ(messages[0]["key"], json({{"id", 1}}));
  EXPECT_EQ(messages[0]["value"]["after"], json::parse(kFirst));
  EXPECT_EQ(messages[0]["value"]["before"], json());
  EXPECT_EQ(messages[0]["schema"], Topic("types") + ".Envelope");
  const json& source = messages[0]["value"]["source"];
  EXPECT_EQ(source["snapshot"], "first");
  EXPECT_EQ(source["table"], "types");
  EXPECT_GT(source["txId"], 0);
  const json& second = messages[1]["value"]["after"];
  EXPECT_EQ(second["f4"], "NaN");
  EXPECT_EQ(second["f8"], "-Infinity");
  EXPECT_EQ(second["ia"], json::array());
  EXPECT_EQ(second["n2"], "-0.001");
  EXPECT_EQ(second["t"], json());
  const auto op = [&](size_t i) { return messages[i]["value"]["op"].get<std::string>(); };
  EXPECT_EQ(op(3) + op(4) + op(6) + op(7) + op(9) + op(10), "udcdct");
  EXPECT_FALSE(messages[5].contains("value"));
  EXPECT_EQ(messages[4]["value"]["before"]["id"], 3);
  EXPECT_GT(messages[3]["value"]["source"]["txId"], 0);
  // What came through the stream is what came through the copy.
  json copied = json::parse(kFirst);
  copied["id"] = 5;
  EXPECT_EQ(messages[9]["value"]["after"], copied);
  EXPECT_FALSE(messages[10].contains("key"));
}

TEST_F(AvroTest, ASchemaThatChangesIsRegisteredInMidStream) {
  source_.Execute("CREATE TABLE t (id int PRIMARY KEY, v int)");
  pipeline_.source_options = "    replication: {ddl: true}\n";
  WriteWith("envelope: row");
  RunToCurrent();
  source_.Execute("INSERT INTO t VALUES (1, 10)");
  source_.Execute("ALTER TABLE t ADD COLUMN note text; INSERT INTO t VALUES (2, 20, 'new')");
  source_.Execute("ALTER TABLE t DROP COLUMN v; INSERT INTO t VALUES (3, 'newer')");
  source_.Execute("DELETE FROM t WHERE id = 1");
  RunToCurrent();
  EXPECT_EQ(Ask("GET", "/subjects/" + Topic("t") + "-value/versions"), "[1,2,3]");
  EXPECT_EQ(Ask("GET", "/subjects/" + Topic("t") + "-key/versions"), "[1]");
  const std::vector<json> messages = Read(Topic("t"));
  ASSERT_EQ(messages.size(), 4U);
  EXPECT_EQ(messages[0]["value"], json({{"id", 1}, {"v", 10}}));
  EXPECT_EQ(messages[1]["value"], json({{"id", 2}, {"v", 20}, {"note", "new"}}));
  EXPECT_EQ(messages[2]["value"], json({{"id", 3}, {"note", "newer"}}));
  EXPECT_EQ(messages[3], json({{"key", {{"id", 1}}}}));  // A tombstone.
  const std::vector<json> changes = Read(pipeline_.name + ".schema_changes");
  ASSERT_FALSE(changes.empty());
  EXPECT_EQ(changes.back()["value"]["op"], "m");
  EXPECT_EQ(changes.back()["value"]["message"]["prefix"], "pgflow");
}

TEST_F(AvroTest, WhatReadersCannotTakeStopsUntilSomebodyDecides) {
  source_.Execute("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'x')");
  WriteWith();
  RunToCurrent();
  const std::string subject = Topic("t") + "-value";
  Ask("PUT", "/config/" + subject, R"({"compatibility":"BACKWARD"})");
  source_.Execute("ALTER TABLE t ALTER v TYPE int USING 7; INSERT INTO t VALUES (2, 2)");
  const std::string output = Expect(1, "run", {"--until-current"});
  EXPECT_THAT(output, HasSubstr("subject " + subject));
  EXPECT_THAT(output, HasSubstr("compatibility level BACKWARD"));
  EXPECT_EQ(Read(Topic("t")).size(), 1U);
  Ask("PUT", "/config/" + subject, R"({"compatibility":"NONE"})");
  RunToCurrent();
  const std::vector<json> messages = Read(Topic("t"));
  ASSERT_EQ(messages.size(), 2U);
  EXPECT_EQ(messages[1]["value"]["after"], json({{"id", 2}, {"v", 2}}));
}

TEST_F(AvroTest, TheSourceSaysThatItDoesNotReadIt) {
  source_.Execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
  WriteWith();
  RunToCurrent();
  for (const char* format : {"json", "debezium"}) {
    const std::string file = directory_ / "apply.yaml";
    WriteFile(file, fmt::format("name: apply_{0}_{1}\n"
                                "source: {{kafka: {{brokers: [\"{2}\"], topics: [{3}],"
                                " format: {1}}}}}\n"
                                "sinks: [{{postgres: {{url: \"{4}\"}}}}]\n"
                                "state: {{directory: \"{5}\"}}\n",
                                pipeline_.name.substr(0, 24), format, broker->bootstrap(),
                                Topic("t"), target_.url(), directory_ / "applier"));
    const auto process = PgflowProcess::Start({.arguments = {"run", file, "--until-current"},
                                               .output_file = directory_ / "applier.log",
                                               .file_bytes_max = 0});
    EXPECT_EQ(process->WaitForExit(), 1) << process->Output();
    EXPECT_THAT(process->Output(), HasSubstr("Avro"));
  }
}

}  // namespace
}  // namespace pgflow::tests
