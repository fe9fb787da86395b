#include "sinks/encoding/debezium_format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "engine/testing/event_builder.h"
#include "sinks/encoding/debezium_value.h"
#include "sinks/encoding/event_encoder.h"

namespace pgflow::sinks {
namespace {

using engine::EventBuilder;
using testing::HasSubstr;
using Json = nlohmann::ordered_json;

struct Sent {
  std::string key;
  Json value;
};

std::unique_ptr<EventEncoder> MakeEncoder(DebeziumConfig debezium = {}) {
  EncodingConfig config;
  config.format = Encoding::kDebezium;
  config.debezium = std::move(debezium);
  return *EventEncoder::Make(
      config, {.pipeline = "shop", .database = "db", .placement = Placement::kByKeyWithTombstones});
}

std::vector<Sent> Send(EventEncoder& encoder, engine::Batch batch) {
  std::vector<Sent> sent;
  encoder.StartBatch();
  const std::span<const engine::ChangeEvent> events = *batch.Events();
  for (const engine::ChangeEvent& event : events) {
    const auto messages = encoder.Encode(batch, event);
    EXPECT_TRUE(messages.ok()) << messages.status();
    for (const EncodedMessage& message : *messages) {
      sent.push_back({std::string(message.keyed ? message.key : "none"),
                      message.tombstone ? Json() : Json::parse(message.value)});
    }
  }
  return sent;
}

TEST(DebeziumFormat, WritesTheEnvelope) {
  EventBuilder builder;
  builder.Table("shop.items (id int4 key, name text)");
  const auto encoder = MakeEncoder();
  const std::vector<Sent> sent = Send(
      *encoder,
      builder.StreamBatch(
          "begin xid=7 lsn=0/500\n insert items 1 a\n update items 1 b\n delete items 1\n commit"));
  ASSERT_EQ(sent.size(), 4U);
  const Json& value = sent[0].value;
  EXPECT_EQ(sent[0].key, R"({"id":1})");
  EXPECT_EQ(value["before"], Json());
  EXPECT_EQ(value["after"].dump(), R"({"id":1,"name":"a"})");
  EXPECT_EQ(value["op"], "c");
  const Json& source = value["source"];
  EXPECT_EQ(source["connector"], "postgresql");
  EXPECT_EQ(source["name"], "shop");
  EXPECT_EQ(source["db"], "db");
  EXPECT_EQ(source["schema"], "shop");
  EXPECT_EQ(source["table"], "items");
  EXPECT_EQ(source["txId"], 7);
  EXPECT_EQ(source["lsn"], 0x500);
  EXPECT_EQ(source["snapshot"], "false");
  EXPECT_EQ(source["sequence"], R"(["1280","0"])");
  EXPECT_EQ(source["ts_us"].get<int64_t>() / 1000, source["ts_ms"].get<int64_t>());
  EXPECT_TRUE(value["ts_ms"].is_number());
  EXPECT_EQ(sent[1].value["op"], "u");
  EXPECT_EQ(sent[1].value["source"]["sequence"], R"(["1280","1"])");
  EXPECT_EQ(sent[2].value["op"], "d");
  EXPECT_EQ(sent[2].value["before"].dump(), R"({"id":1,"name":null})");
  EXPECT_EQ(sent[2].value["after"], Json());
  EXPECT_EQ(sent[3].key, R"({"id":1})");
  EXPECT_TRUE(sent[3].value.is_null());
}

TEST(DebeziumFormat, EachTransactionHasASourceOfItsOwn) {
  EventBuilder builder;
  builder.Table("shop.items (id int4 key, name text)");
  builder.Table("shop.notes (id int4 key)");
  const auto encoder = MakeEncoder();
  std::vector<Sent> sent = Send(*encoder, builder.Snapshot("items", "1 a"));
  ASSERT_EQ(sent.size(), 1U);
  EXPECT_EQ(sent[0].value["source"]["snapshot"], "true");
  EXPECT_EQ(sent[0].value["source"]["txId"], Json());
  sent = Send(*encoder, builder.StreamBatch("begin xid=7 lsn=0/500\n insert items 1 a\n"
                                            " insert notes 2\n commit\n"
                                            "begin xid=8 lsn=0/600\n insert notes 3\n commit"));
  ASSERT_EQ(sent.size(), 3U);
  const auto source = [&sent](size_t i, const char* field) {
    return sent[i].value["source"][field];
  };
  EXPECT_EQ(source(0, "snapshot"), "false");
  EXPECT_EQ(source(1, "table"), "notes");
  EXPECT_EQ(source(1, "txId"), 7);
  EXPECT_EQ(source(1, "sequence"), R"(["1280","1"])");
  EXPECT_EQ(source(2, "txId"), 8);
  EXPECT_EQ(source(2, "lsn"), 0x600);
  EXPECT_EQ(source(2, "sequence"), R"(["1536","0"])");
  EXPECT_NE(source(2, "ts_us"), source(1, "ts_us"));
}

TEST(DebeziumFormat, AKeyChangeIsADeleteATombstoneAndACreate) {
  EventBuilder builder;
  builder.Table("t (id int4 key, name text)");
  const auto encoder = MakeEncoder();
  const std::vector<Sent> sent =
      Send(*encoder, builder.StreamBatch("begin\n update t old(1) 2 b\n commit"));
  ASSERT_EQ(sent.size(), 3U);
  EXPECT_EQ(sent[0].value["op"], "d");
  EXPECT_EQ(sent[0].key, R"({"id":1})");
  EXPECT_TRUE(sent[1].value.is_null());
  EXPECT_EQ(sent[2].value["op"], "c");
  EXPECT_EQ(sent[2].key, R"({"id":2})");
  EXPECT_EQ(sent[2].value["before"], Json());
}

TEST(DebeziumFormat, SchemasDescribeKeyAndValue) {
  EventBuilder builder;
  builder.Table("t (id int8 key, name text)");
  const auto encoder =
      MakeEncoder({.name = "old", .schemas = true, .decimals = {}, .unavailable_value = ""});
  const std::vector<Sent> sent = Send(*encoder, builder.Snapshot("t", "1 a"));
  EXPECT_EQ(
      sent[0].key,
      R"({"schema":{"type":"struct","fields":[{"type":"int64","optional":false,"field":"id"}],)"
      R"("optional":false,"name":"old.public.t.Key"},"payload":{"id":1}})");
  const Json& schema = sent[0].value["schema"];
  EXPECT_EQ(schema["name"], "old.public.t.Envelope");
  EXPECT_EQ(schema["fields"][1]["field"], "after");
  EXPECT_EQ(schema["fields"][1]["fields"].dump(),
            R"([{"type":"int64","optional":false,"field":"id"},)"
            R"({"type":"string","optional":true,"field":"name"}])");
  EXPECT_EQ(sent[0].value["payload"]["op"], "r");
  EXPECT_EQ(sent[0].value["payload"]["source"]["snapshot"], "true");
  EXPECT_EQ(sent[0].value["payload"]["source"]["txId"], Json());
}

TEST(DebeziumFormat, UntouchedValuesHaveAPlaceholderOrAreLeftOut) {
  EventBuilder builder;
  builder.Table("t (id int4 key, note text, total numeric)");
  const std::string script = "begin\n update t 1 unchanged unchanged\n commit";
  EXPECT_EQ(Send(*MakeEncoder(), builder.StreamBatch(script))[0].value["after"].dump(),
            R"({"id":1,"note":"__debezium_unavailable_value"})");
  const auto without =
      MakeEncoder({.name = "", .schemas = false, .decimals = {}, .unavailable_value = ""});
  EXPECT_EQ(Send(*without, builder.StreamBatch(script))[0].value["after"].dump(), R"({"id":1})");
}

TEST(DebeziumFormat, InArraysThePlaceholderIsThatOfTheConnector) {
  const auto placeholder = [](postgres::Oid array) {
    schemas::Column column;
    column.type = array;
    std::string out;
    const DebeziumType type = DebeziumTypeOf(column, DebeziumDecimals::kPrecise);
    return AppendDebeziumPlaceholder(type, "_a", out) ? out : "none";
  };
  EXPECT_EQ(placeholder(1007), "[95,97]");      // int4[]
  EXPECT_EQ(placeholder(1016), "[95,97]");      // int8[]
  EXPECT_EQ(placeholder(1182), "[95,97]");      // date[]
  EXPECT_EQ(placeholder(1009), R"(["_a"])");    // text[]
  EXPECT_EQ(placeholder(1001), R"(["X2E="])");  // bytea[]
  EXPECT_EQ(placeholder(1231), "none");         // numeric[]
}

TEST(DebeziumFormat, DecimalsAsWished) {
  EventBuilder builder;
  builder.Table("t (id int4 key, total numeric)");
  const std::string script = "begin\n insert t 1 12.50\n commit";
  const auto total = [&](DebeziumDecimals decimals) {
    const auto encoder =
        MakeEncoder({.name = "", .schemas = false, .decimals = decimals, .unavailable_value = ""});
    return Send(*encoder, builder.StreamBatch(script))[0].value["after"]["total"].dump();
  };
  EXPECT_EQ(total(DebeziumDecimals::kPrecise), R"({"scale":2,"value":"BOI="})");
  EXPECT_EQ(total(DebeziumDecimals::kString), R"("12.50")");
  EXPECT_EQ(total(DebeziumDecimals::kDouble), "12.5");
}

TEST(DebeziumFormat, RefusesWhatADecimalCannotHold) {
  EventBuilder builder;
  builder.Table("t (id int4 key, total numeric)");
  engine::Batch batch = builder.StreamBatch("begin\n insert t 1 NaN\n commit");
  const auto encoder = MakeEncoder();
  encoder->StartBatch();
  const auto refused = encoder->Encode(batch, (*batch.Events())[0]);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("decimals: string"));
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("column total"));
}

TEST(DebeziumFormat, SaysWhatATransactionHoldsAndAChangesPlaceInIt) {
  EventBuilder builder;
  builder.Table("t (id int4 key, name text)");
  const auto encoder = MakeEncoder();
  TransactionMonitor monitor;
  engine::Batch batch = builder.StreamBatch("begin xid=7 lsn=0/500\n update t old(1) 2 b\n commit");
  encoder->StartBatch();
  monitor.Enter(batch.transactions()[0], 0);
  EXPECT_EQ(encoder->EncodeTransaction(monitor.Begin())->key, R"({"id":"7:1280"})");
  encoder->Follow(&monitor);
  const std::span<const engine::ChangeEvent> events = *batch.Events();
  const auto messages = encoder->Encode(batch, events[0]);
  ASSERT_TRUE(messages.ok()) << messages.status();
  ASSERT_EQ(messages->size(), 3U);
  EXPECT_EQ(Json::parse((*messages)[0].value)["transaction"].dump(),
            R"({"id":"7:1280","total_order":1,"data_collection_order":1})");
  EXPECT_EQ(Json::parse((*messages)[2].value)["transaction"]["total_order"], 2);
  EXPECT_EQ((*messages)[0].other_key, R"({"id":2})");
  EXPECT_EQ((*messages)[1].other_key, R"({"id":2})");
  EXPECT_EQ((*messages)[2].other_key, R"({"id":1})");
  const auto end = encoder->EncodeTransaction(monitor.End());
  ASSERT_TRUE(end.ok());
  Json value = Json::parse(end->value);
  value.erase("ts_ms");
  EXPECT_EQ(value.dump(),
            R"({"status":"END","id":"7:1280","event_count":2,)"
            R"("data_collections":[{"data_collection":"public.t","event_count":2}]})");
}

TEST(DebeziumFormat, TruncatesHaveNoRows) {
  EventBuilder builder;
  builder.Table("t (id int4 key)");
  const std::vector<Sent> sent =
      Send(*MakeEncoder(), builder.StreamBatch("begin\n truncate t\n commit"));
  EXPECT_EQ(sent[0].key, "none");
  EXPECT_EQ(sent[0].value["op"], "t");
  EXPECT_EQ(sent[0].value["after"], Json());
}

}  // namespace
}  // namespace pgflow::sinks
