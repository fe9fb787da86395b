#include "sinks/encoding/debezium_format.h"

#include <cstring>
#include <memory>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "engine/testing/event_builder.h"
#include "sinks/encoding/debezium_default.h"
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

template <typename Edit>
DebeziumConfig With(const Edit& edit) {
  DebeziumConfig config;
  edit(config);
  return config;
}

// A column as the catalog describes it.
schemas::Column Described(postgres::Oid type, std::string default_sql, int32_t modifier = -1) {
  schemas::Column column;
  column.name = "c";
  column.type = type;
  column.type_modifier = modifier;
  column.not_null = true;
  column.default_sql = std::move(default_sql);
  return column;
}

// A batch of one row of a table whose columns are those.
engine::Batch OneRow(std::vector<schemas::Column> columns, const std::string& values) {
  EventBuilder builder;
  std::string declaration = "t (id int4 key";
  for (size_t i = 0; i < columns.size(); ++i) declaration += fmt::format(", c{} text", i);
  auto schema = std::make_shared<schemas::TableSchema>(*builder.Table(declaration + ")"));
  for (size_t i = 0; i < columns.size(); ++i) {
    columns[i].name = fmt::format("c{}", i);
    schema->columns[i + 1] = columns[i];
  }
  engine::CopyRows rows = builder.Rows("t", values);
  rows.schema = std::move(schema);
  return engine::Batch(std::move(rows));
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
  const auto encoder = MakeEncoder(With([](DebeziumConfig& c) {
    c.name = "old";
    c.schemas = true;
    c.unavailable_value = "";
  }));
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
  const auto without = MakeEncoder(With([](DebeziumConfig& c) { c.unavailable_value = ""; }));
  EXPECT_EQ(Send(*without, builder.StreamBatch(script))[0].value["after"].dump(), R"({"id":1})");
}

TEST(DebeziumFormat, InArraysThePlaceholderIsThatOfTheConnector) {
  const auto placeholder = [](postgres::Oid array) {
    schemas::Column column;
    column.type = array;
    std::string out;
    const DebeziumType type = DebeziumTypeOf(column, {});
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
    const auto encoder = MakeEncoder(With([&](DebeziumConfig& c) { c.decimals = decimals; }));
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
  const auto truncate = [&builder] { return builder.StreamBatch("begin\n truncate t\n commit"); };
  EXPECT_TRUE(Send(*MakeEncoder(), truncate()).empty());
  const auto all = MakeEncoder(With([](DebeziumConfig& c) { c.skipped_operations = {"none"}; }));
  const std::vector<Sent> sent = Send(*all, truncate());
  ASSERT_EQ(sent.size(), 1U);
  EXPECT_EQ(sent[0].key, "none");
  EXPECT_EQ(sent[0].value["op"], "t");
  EXPECT_EQ(sent[0].value["after"], Json());
}

TEST(DebeziumFormat, LeavesOutTheOperationsThatAreSkipped) {
  EventBuilder builder;
  builder.Table("t (id int4 key, name text)");
  const auto encoder = MakeEncoder(With([](DebeziumConfig& c) {
    c.skipped_operations = {"c", "d"};
  }));
  const std::vector<Sent> sent =
      Send(*encoder, builder.StreamBatch(
                         "begin\n insert t 1 a\n update t 1 b\n delete t 1\n truncate t\n commit"));
  ASSERT_EQ(sent.size(), 2U);
  EXPECT_EQ(sent[0].value["op"], "u");
  EXPECT_EQ(sent[1].value["op"], "t");
  EncodingConfig config;
  config.format = Encoding::kDebezium;
  config.debezium.skipped_operations = {"x"};
  EXPECT_EQ(EventEncoder::Make(config, {}).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(DebeziumFormat, AHeaderHasTheOtherKeyWithoutItsSchema) {
  EventBuilder builder;
  builder.Table("t (id int4 key, name text)");
  const auto encoder = MakeEncoder(With([](DebeziumConfig& c) { c.schemas = true; }));
  engine::Batch batch = builder.StreamBatch("begin\n update t old(1) 1000 b\n commit");
  encoder->StartBatch();
  const auto messages = encoder->Encode(batch, (*batch.Events())[0]);
  ASSERT_TRUE(messages.ok()) << messages.status();
  EXPECT_EQ((*messages)[0].other_key, R"({"id":1000})");
  EXPECT_EQ((*messages)[2].other_key, R"({"id":1})");
  EXPECT_THAT(std::string((*messages)[0].key), HasSubstr("schema"));
}

TEST(DebeziumFormat, ADeleteWithoutAKeyHasATombstoneToo) {
  EventBuilder builder;
  builder.Table("t (id int4, name text) full");
  const std::vector<Sent> sent =
      Send(*MakeEncoder(), builder.StreamBatch("begin\n delete t full(1 a)\n commit"));
  ASSERT_EQ(sent.size(), 2U);
  EXPECT_EQ(sent[1].key, "none");
  EXPECT_TRUE(sent[1].value.is_null());
}

TEST(DebeziumFormat, SchemasSayWhatMayBeNullAndDefaults) {
  const auto encoder = MakeEncoder(With([](DebeziumConfig& c) { c.schemas = true; }));
  const auto labels =
      std::make_shared<const std::vector<std::string>>(std::vector<std::string>{"sad", "ok"});
  schemas::Column mood = Described(20000, "'ok'::mood");
  mood.wire_type = postgres::oid::kText;
  mood.labels = labels;
  const std::vector<Sent> sent =
      Send(*encoder, OneRow({Described(postgres::oid::kInt4, "7"),
                             Described(postgres::oid::kText, "'it''s'::text"), mood},
                            "1 2 x sad"));
  const Json fields = sent[0].value["schema"]["fields"][1]["fields"];
  EXPECT_EQ(fields[1].dump(), R"({"type":"int32","optional":false,"default":7,"field":"c0"})");
  EXPECT_EQ(fields[2].dump(),
            R"({"type":"string","optional":false,"default":"it's","field":"c1"})");
  EXPECT_EQ(fields[3].dump(),
            R"({"type":"string","name":"io.debezium.data.Enum","version":1,)"
            R"("parameters":{"allowed":"sad,ok"},"optional":false,"default":"ok","field":"c2"})");
  const Json snapshot = sent[0].value["schema"]["fields"][2]["fields"][4];
  EXPECT_EQ(snapshot["name"], "io.debezium.data.Enum");
  EXPECT_EQ(snapshot["parameters"]["allowed"],
            "true,first,first_in_data_collection,last_in_data_collection,last,false,incremental");
}

TEST(DebeziumFormat, ANullWhereTheCatalogKnowsNoneMakesTheColumnOptional) {
  const auto encoder = MakeEncoder(With([](DebeziumConfig& c) { c.schemas = true; }));
  const auto optional = [&](const std::string& row) {
    const std::vector<Sent> sent = Send(
        *encoder,
        OneRow({Described(postgres::oid::kInt4, ""), Described(postgres::oid::kText, "")}, row));
    const Json& fields = sent[0].value["schema"]["fields"][1]["fields"];
    return fields[1]["optional"].dump() + " " + fields[2]["optional"].dump() + " " +
           sent[0].value["payload"]["after"].dump();
  };
  EXPECT_EQ(optional("1 2 a"), R"(false false {"id":1,"c0":2,"c1":"a"})");
  EXPECT_EQ(optional("1 null null"), R"(true true {"id":1,"c0":null,"c1":null})");
}

TEST(DebeziumFormat, DefaultsAsTheConnectorReadsThem) {
  const auto default_of = [](postgres::Oid type, const char* sql, int32_t modifier = -1) {
    const schemas::Column column = Described(type, sql, modifier);
    return DebeziumDefault(column, DebeziumTypeOf(column, {}));
  };
  namespace oid = postgres::oid;
  EXPECT_EQ(default_of(oid::kInt4, "'-5'::integer"), "-5");
  EXPECT_EQ(default_of(oid::kInt4, "nextval('t_id_seq'::regclass)"), "0");
  EXPECT_EQ(default_of(oid::kInt4, "(1 + 1)"), "");
  EXPECT_EQ(default_of(oid::kBool, "true"), "true");
  EXPECT_EQ(default_of(oid::kText, "NULL::text"), "");
  EXPECT_EQ(default_of(oid::kText, "lower('A'::text)"), "\"\"");
  EXPECT_EQ(default_of(oid::kTimestamp, "now()"), "0");
  EXPECT_EQ(default_of(oid::kDate, "CURRENT_DATE"), "0");
  EXPECT_EQ(default_of(oid::kTimestamp, "'2024-01-01 10:00:00'::timestamp without time zone"),
            "1704103200000000");
  EXPECT_EQ(default_of(oid::kNumeric, "1.5", (5 << 16 | 2) + 4), "\"AJY=\"");
  EXPECT_EQ(default_of(oid::kBytea, "'\\x00ff'::bytea"), "");
}

TEST(DebeziumFormat, IntervalsAsWished) {
  const auto text = [](const char* interval) {
    EventBuilder builder;
    builder.Table("t (id int4 key, i interval)");
    const auto encoder =
        MakeEncoder(With([](DebeziumConfig& c) { c.intervals = DebeziumIntervals::kString; }));
    return Send(*encoder, builder.Snapshot("t", fmt::format("1 '{}'", interval)))[0]
        .value["after"]["i"]
        .get<std::string>();
  };
  EXPECT_EQ(text("1 year 2 mons -3 days +04:05:06.789"), "P1Y2M-3DT4H5M6.789S");
  EXPECT_EQ(text("-1 mons +2 days -00:00:01.5"), "P0Y-1M2DT0H0M-1.5S");
  EXPECT_EQ(text("00:00:00"), "P0Y0M0DT0H0M0S");
}

TEST(DebeziumFormat, WhatHasNoFormIsRefusedOrReplaced) {
  const auto encode = [](const DebeziumConfig& config, const std::string& row) {
    EventBuilder builder;
    builder.Table("t (id int4 key, n numeric, ts timestamp, i interval, a _int4)");
    const auto encoder = MakeEncoder(config);
    engine::Batch batch = builder.Snapshot("t", row);
    encoder->StartBatch();
    const auto messages = encoder->Encode(batch, (*batch.Events())[0]);
    if (!messages.ok()) return std::string("refused");
    const Json value = Json::parse((*messages)[0].value);
    Json after = config.schemas ? value["payload"]["after"] : value["after"];
    after.erase("id");
    Json known = Json::object();
    for (const auto& [name, value_of] : after.items()) {
      if (!value_of.is_null()) known[name] = value_of;
    }
    return known.dump();
  };
  const DebeziumConfig refuse = With([](DebeziumConfig& c) { c.schemas = true; });
  const DebeziumConfig replace = With([](DebeziumConfig& c) {
    c.schemas = true;
    c.unfit_values = DebeziumUnfit::kReplace;
  });
  for (const char* row :
       {"1 NaN null null null", "1 null '294276-12-31 23:59:59' null null",
        "1 null null '178000000 years' null", "1 null null null '{{1,2},{3,4}}'"}) {
    EXPECT_EQ(encode(refuse, row), "refused") << row;
  }
  EXPECT_EQ(encode(replace, "1 NaN null null null"), "{}");
  EXPECT_EQ(encode(replace, "1 null '294276-12-31 23:59:59' null null"),
            R"({"ts":9223372036854775807})");
  EXPECT_EQ(encode(replace, "1 null null '-178000000 years' null"),
            R"({"i":-9223372036854775808})");
  EXPECT_EQ(encode(replace, "1 null null null '{{1,2},{3,4}}'"), "{}");
  // Without schemas nobody expects another type.
  EXPECT_EQ(encode({}, "1 null null null '{{1,2},{3,4}}'"), R"({"a":[[1,2],[3,4]]})");
}

TEST(DebeziumFormat, MoneyIsADecimal) {
  const auto value = [](DebeziumDecimals decimals, const char* money) {
    schemas::Column column;
    column.type = 790;
    std::string out;
    const schemas::Value text{money, static_cast<uint32_t>(strlen(money)),
                              schemas::ValueKind::kText};
    EXPECT_TRUE(
        AppendDebeziumValue(DebeziumTypeOf(column, {.decimals = decimals}), text, {}, out).ok());
    return out;
  };
  EXPECT_EQ(value(DebeziumDecimals::kString, "$1,234.50"), R"("1234.50")");
  EXPECT_EQ(value(DebeziumDecimals::kString, "-$0.05"), R"("-0.05")");
  EXPECT_EQ(value(DebeziumDecimals::kDouble, "($1,234.50)"), "-1234.5");
  EXPECT_EQ(value(DebeziumDecimals::kPrecise, "$12.50"), R"("BOI=")");
}

TEST(DebeziumFormat, LogicalMessagesHaveAnEnvelopeOfTheirOwn) {
  EventBuilder builder;
  auto schema = std::make_shared<schemas::TableSchema>(
      *builder.Table("pgflow.logical_message (prefix text, content bytea) nothing"));
  schema->rows = schemas::RowKind::kLogicalMessages;
  engine::CopyRows rows = builder.Rows("logical_message", "audit '\\x6869'");
  rows.schema = schema;
  const auto encoder = MakeEncoder();
  const std::vector<Sent> sent = Send(*encoder, engine::Batch(std::move(rows)));
  EXPECT_EQ(sent[0].key, R"({"prefix":"audit"})");
  EXPECT_EQ(sent[0].value["op"], "m");
  EXPECT_EQ(sent[0].value["message"].dump(), R"({"prefix":"audit","content":"aGk="})");
  EXPECT_EQ(sent[0].value["source"]["table"], "");
}

}  // namespace
}  // namespace pgflow::sinks
