// Values against what Debezium's own connector (3.7, default settings, JSON converter) made of
// them: debezium_values.jsonl was written down from its topics. Each value goes through the catalog
// and COPY, once in binary and once in text.
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "engine/testing/scratch_postgres.h"
#include "postgres/client/connection.h"
#include "schemas/catalog.h"
#include "sinks/encoding/event_encoder.h"

namespace pgflow::sinks {
namespace {

using Json = nlohmann::ordered_json;

class DebeziumValueServerTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    auto server = engine::ScratchPostgres::Make();
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = server->release();
  }
  static void TearDownTestSuite() {
    delete server_;
    server_ = nullptr;
  }

  void SetUp() override {
    auto connection = server_->Connect();
    ASSERT_TRUE(connection.ok()) << connection.status();
    connection_ = *std::move(connection);
    std::ifstream file(PGFLOW_SOURCE_DIRECTORY "/sinks/encoding/debezium_values.jsonl");
    for (std::string line; std::getline(file, line);) cases_.push_back(Json::parse(line));
    ASSERT_FALSE(cases_.empty());
  }

  void Execute(const std::string& sql) {
    const auto result = connection_->Execute(sql);
    ASSERT_TRUE(result.ok()) << sql << ": " << result.status();
  }

  // One row with a column for each case.
  void MakeTable() {
    Execute(
        "CREATE EXTENSION IF NOT EXISTS hstore; CREATE EXTENSION IF NOT EXISTS citext; "
        "CREATE EXTENSION IF NOT EXISTS ltree; CREATE TYPE mood AS ENUM ('sad', 'ok'); "
        "CREATE DOMAIN posint AS int CHECK (value > 0)");
    std::string columns;
    std::string values;
    for (size_t i = 0; i < cases_.size(); ++i) {
      columns +=
          fmt::format("{}c{} {}", i == 0 ? "" : ", ", i, cases_[i]["type"].get<std::string>());
      values +=
          (i == 0 ? "" : ", ") + connection_->QuoteLiteral(cases_[i]["literal"].get<std::string>());
    }
    Execute("CREATE TABLE v (" + columns + ")");
    Execute("INSERT INTO v VALUES (" + values + ")");
  }

  engine::Batch ReadBatch(const schemas::TableSchemaPtr& schema, engine::CopyFormat format) {
    engine::CopyRows rows{.schema = schema, .format = format, .bytes = {}, .row_count = 0};
    const std::string how = format == engine::CopyFormat::kBinary ? " (FORMAT binary)" : "";
    EXPECT_TRUE(connection_->BeginCopyOut("COPY v TO STDOUT" + how, {}).ok());
    while (true) {
      const auto more = connection_->ReadCopyRows(rows.bytes, rows.row_count, 1 << 20, {});
      EXPECT_TRUE(more.ok()) << more.status();
      if (!more.ok() || !*more) break;
    }
    if (rows.bytes.starts_with("PGCOPY")) {
      rows.bytes.erase(0, 19);  // The header, and the end mark behind the rows.
      rows.bytes.resize(rows.bytes.size() - 2);
    }
    return engine::Batch(std::move(rows));
  }

  Json Encode(engine::Batch batch) {
    EncodingConfig config;
    config.format = Encoding::kDebezium;
    config.debezium.schemas = true;
    const auto encoder = *EventEncoder::Make(
        config, {.pipeline = "shop", .database = "db", .placement = Placement::kByKey});
    encoder->StartBatch();
    const auto events = batch.Events();
    EXPECT_TRUE(events.ok()) << events.status();
    const auto messages = encoder->Encode(batch, events->front());
    EXPECT_TRUE(messages.ok()) << messages.status();
    return messages.ok() ? Json::parse(messages->front().value) : Json();
  }

  static engine::ScratchPostgres* server_;
  std::unique_ptr<postgres::Connection> connection_;
  std::vector<Json> cases_;
};

engine::ScratchPostgres* DebeziumValueServerTest::server_ = nullptr;

TEST_F(DebeziumValueServerTest, ValuesAndSchemasAreThoseOfTheConnector) {
  MakeTable();
  const auto catalog =
      schemas::ReadCatalog(*connection_, *schemas::TableFilter::Make({"public.v"}, {}),
                           schemas::CatalogDepth::kColumns, {});
  ASSERT_TRUE(catalog.ok()) << catalog.status();
  for (const auto format : {engine::CopyFormat::kBinary, engine::CopyFormat::kText}) {
    SCOPED_TRACE(format == engine::CopyFormat::kBinary ? "binary" : "text");
    const Json message = Encode(ReadBatch(catalog->tables[0].schema, format));
    const Json& row = message["payload"]["after"];
    const Json& fields = message["schema"]["fields"][1]["fields"];
    for (size_t i = 0; i < cases_.size(); ++i) {
      SCOPED_TRACE(cases_[i].dump());
      EXPECT_EQ(nlohmann::json::parse(row[fmt::format("c{}", i)].dump()),
                nlohmann::json::parse(cases_[i]["value"].dump()));
      if (!cases_[i].contains("schema")) continue;
      Json field = fields[i];
      EXPECT_EQ(field["optional"], true);
      field.erase("optional");
      field.erase("field");
      EXPECT_EQ(nlohmann::json::parse(field.dump()),
                nlohmann::json::parse(cases_[i]["schema"].dump()));
    }
  }
}

}  // namespace
}  // namespace pgflow::sinks
