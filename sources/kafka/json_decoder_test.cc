#include "sources/kafka/json_decoder.h"

#include <gtest/gtest.h>

#include "engine/testing/event_builder.h"
#include "sinks/encoding/event_encoder.h"
#include "sources/kafka/json_members.h"

namespace pgflow::sources {
namespace {

using engine::Batch;
using engine::ChangeEvent;
using engine::EventBuilder;
using engine::Operation;

std::unique_ptr<sinks::EventEncoder> Encoder(sinks::Placement placement) {
  sinks::EncodingConfig config;
  config.relations = true;
  return *sinks::EventEncoder::Make(config, {"shop", "shop", placement});
}

// What the encoder makes of `batch`, tombstones left out.
std::vector<std::string> Encode(Batch& batch,
                                sinks::Placement placement = sinks::Placement::kInOrder) {
  const auto encoder = Encoder(placement);
  encoder->StartBatch();
  std::vector<std::string> values;
  const std::span<const ChangeEvent> events = *batch.Events();
  for (const ChangeEvent& event : events) {
    const auto messages = encoder->Encode(batch, event);
    EXPECT_TRUE(messages.ok()) << messages.status();
    for (const sinks::EncodedMessage& message : *messages) {
      if (!message.tombstone) values.emplace_back(message.value);
    }
  }
  return values;
}

std::string DescribeDecoded(const DecodedMessage& message) {
  ChangeEvent event;
  event.operation = message.operation;
  event.before_image = message.before_image;
  event.schema = message.schema.get();
  event.truncate_restart_identity = message.restart_identity;
  for (const std::string* tuple : {&message.before, &message.after}) {
    if (tuple->empty()) continue;
    EXPECT_EQ(schemas::RowView::ValidateTuple(*tuple), tuple->size());
  }
  if (!message.before.empty()) event.before = schemas::RowView::Tuple(message.before);
  if (!message.after.empty()) event.after = schemas::RowView::Tuple(message.after);
  return engine::Describe(event);
}

std::vector<std::string> Decode(const std::vector<std::string>& values) {
  JsonDecoder decoder;
  DecodedMessage message;
  std::vector<std::string> lines;
  for (const std::string& value : values) {
    const absl::Status status = decoder.Decode("", value, message);
    EXPECT_TRUE(status.ok()) << status << " " << value;
    if (status.ok()) lines.push_back(DescribeDecoded(message));
  }
  return lines;
}

std::string ErrorOf(std::string_view value) {
  JsonDecoder decoder;
  DecodedMessage message;
  const absl::Status status = decoder.Decode("", value, message);
  EXPECT_FALSE(status.ok()) << value;
  return std::string(status.message());
}

TEST(JsonDecoder, GivesBackWhatWasEncoded) {
  EventBuilder builder;
  builder.Table(
      "shop.items (id int8 key, name text, price numeric, good bool, doc jsonb, raw json,"
      " bytes bytea, x float8, at timestamptz)");
  Batch batch = builder.StreamBatch(R"(
      begin
      insert items 1 'a "b"\ é' 123456789012345678901234567890123456789.10 t '{"a": 1}' null '' 0 ''
      insert items 2 '' 0 t '{"a": [1, "x"]}' null '\x00ff' NaN 'infinity'
      insert items 9223372036854775807 '' NaN f null 'null' '\x' -Infinity '2026-01-01 00:00:00+00'
      insert items 3 null -0.00 null '"text"' ' { "a" : 1,   "a":2 } ' null 1e+300 null
      update items 1 unchanged 1 t unchanged '[1]' null 0 null
      update items old(1) 2 x 1 t '7' '8' null 0 null
      delete items 2
      truncate items restart
      commit)");
  EXPECT_EQ(Decode(Encode(batch)), engine::Describe(batch));
}

TEST(JsonDecoder, GivesBackWholeOldRows) {
  EventBuilder builder;
  builder.Table("t (id int4 key, name text, doc jsonb) full");
  Batch batch = builder.StreamBatch(R"(
      begin
      update t full(1 a null) 1 b 'null'
      delete t full(1 b 'null')
      commit)");
  EXPECT_EQ(Decode(Encode(batch)), engine::Describe(batch));
}

TEST(JsonDecoder, KeepsWhatASchemaSays) {
  EventBuilder builder;
  auto table = std::make_shared<schemas::TableSchema>(
      *builder.Table("\"shop\".t (id int4 key, mood text) full"));
  table->columns[0].primary_key = 1;
  table->columns[1].type = 16400;
  table->columns[1].type_name = "public.\"mo\\od\"";
  table->columns[1].wire_type = 25;
  table->columns[1].type_modifier = 12;
  engine::Batch source = builder.StreamBatch("begin\n insert t 1 fine\n commit");
  ChangeEvent event = (*source.Events())[0];
  event.schema = table.get();
  event.catch_up = true;
  engine::Batch batch(nullptr, {event},
                      {source.transactions().begin(), source.transactions().end()});
  JsonDecoder decoder;
  DecodedMessage message;
  ASSERT_TRUE(decoder.Decode("", Encode(batch)[0], message).ok());
  const schemas::TableSchema& found = *message.schema;
  EXPECT_TRUE(message.catch_up);
  EXPECT_EQ(found.table, table->table);
  EXPECT_EQ(found.replica_identity, schemas::ReplicaIdentity::kFull);
  ASSERT_EQ(found.columns.size(), 2U);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(found.columns[i].name, table->columns[i].name);
    EXPECT_EQ(found.columns[i].type, table->columns[i].type);
    EXPECT_EQ(found.columns[i].type_name, table->columns[i].type_name);
    EXPECT_EQ(found.columns[i].wire_type, table->columns[i].wire_type);
    EXPECT_EQ(found.columns[i].type_modifier, table->columns[i].type_modifier);
    EXPECT_EQ(found.columns[i].identity, table->columns[i].identity);
    EXPECT_EQ(found.columns[i].primary_key, table->columns[i].primary_key);
  }
  const schemas::TableSchemaPtr first = message.schema;
  ASSERT_TRUE(decoder.Decode("", Encode(batch)[0], message).ok());
  EXPECT_EQ(message.schema, first);
}

TEST(JsonDecoder, KnowsTheHalvesOfAChangedKey) {
  EventBuilder builder;
  builder.Table("t (id int4 key, name text)");
  Batch batch = builder.StreamBatch("begin\n update t old(1) 2 unchanged\n commit");
  const std::vector<std::string> values = Encode(batch, sinks::Placement::kByKeyWithTombstones);
  ASSERT_EQ(values.size(), 2U);
  JsonDecoder decoder;
  DecodedMessage message;
  ASSERT_TRUE(decoder.Decode("", values[0], message).ok());
  EXPECT_TRUE(message.key_changed);
  EXPECT_EQ(message.operation, Operation::kDelete);
  const std::string position = message.position;
  ASSERT_TRUE(decoder.Decode("", values[1], message).ok());
  EXPECT_TRUE(message.key_changed && message.has_unchanged);
  EXPECT_EQ(message.operation, Operation::kInsert);
  EXPECT_EQ(message.position, position);
}

TEST(JsonDecoder, ReadsTheRowsOfASnapshotAsInserts) {
  EventBuilder builder;
  builder.Table("t (id int4 key, ok bool, x float8, name text)");
  Batch batch =
      builder.Snapshot("t", "1 t 2.5 'an apple'\n2 null null null", engine::CopyFormat::kBinary);
  batch.set_snapshot_lsn(postgres::Lsn(0x500));
  EXPECT_EQ(Decode(Encode(batch)), (std::vector<std::string>{"insert public.t 1 t 2.5 'an apple'",
                                                             "insert public.t 2 null null null"}));
}

TEST(JsonDecoder, TellsBytesOfUnknownTypesFromTextThatIsNotUtf8) {
  const std::string message =
      R"({"position":"0/1:0","transaction":null,"operation":"read","schema":"s","table":"t",)"
      R"("relation":{"identity":"default","columns":[{"name":"m","type":"money","oid":790},)"
      R"({"name":"x","type":"text","oid":25}]},"key":null,"before":null,)"
      R"("after":{"m":{"binary":"AAAB"},"x":{"binary":"6Q=="}}})";
  JsonDecoder decoder;
  DecodedMessage decoded;
  ASSERT_TRUE(decoder.Decode("", message, decoded).ok());
  EXPECT_EQ(decoded.after, std::string("\0\2b\0\0\0\3\0\0\1t\0\0\0\1\xe9", 16));
}

TEST(JsonDecoder, RefusesWhatIsNotWhole) {
  EventBuilder builder;
  builder.Table("t (id int4 key, name text)");
  Batch batch = builder.StreamBatch("begin\n insert t 1 a\n commit");
  const std::string whole = Encode(batch)[0];
  JsonDecoder decoder;
  DecodedMessage message;
  ASSERT_TRUE(decoder.Decode("", whole, message).ok());
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(decoder.Decode("", std::string_view(whole).substr(0, size), message).ok()) << size;
  }
  EXPECT_NE(ErrorOf("").find("not a JSON object"), std::string::npos);
  EXPECT_NE(ErrorOf("{}").find("position"), std::string::npos);
  EXPECT_NE(ErrorOf(R"({"position":"0/1:0","operation":"upsert"})").find("operation"),
            std::string::npos);
  std::string row = whole;
  row.replace(row.find(R"("name":"a")"), 10, R"("nome":"a")");
  EXPECT_NE(ErrorOf(row).find("nome"), std::string::npos);
  row = whole;
  row.replace(row.find(R"(,"name":"a")"), 11, "");
  EXPECT_NE(ErrorOf(row).find("without 'name'"), std::string::npos);
}

TEST(JsonDecoder, SaysWhatTheWriterLacks) {
  EventBuilder builder;
  builder.Table("t (id int4 key)");
  Batch batch = builder.StreamBatch("begin\n insert t 1\n commit");
  const auto encoder = *sinks::EventEncoder::Make({}, {});
  encoder->StartBatch();
  const auto messages = encoder->Encode(batch, (*batch.Events())[0]);
  EXPECT_NE(ErrorOf((*messages)[0].value).find("encoding.relations: true"), std::string::npos);
}

TEST(JsonMembers, UnquotesEveryEscape) {
  std::string text;
  ASSERT_TRUE(AppendUnquoted(R"("\"\\\/\b\f\n\r\t\u0000\u00e9\u65e5\ud83d\ude00é")", text));
  EXPECT_EQ(text, std::string("\"\\/\b\f\n\r\t\0é日😀é", 8 + 1 + 2 + 3 + 4 + 2));
  for (const std::string_view bad :
       {R"("\)", R"("\x")", R"("\u12")", R"("\ud83d")", R"("\ude00")", R"("a)", "a", ""}) {
    text.clear();
    EXPECT_FALSE(AppendUnquoted(bad, text)) << bad;
  }
}

TEST(JsonMembers, WalksOneLevel) {
  JsonMembers members(R"( { "a" : [1, "]", {"b": "}"}] , "\u0062":-1.5e3,"c":{} } )");
  ASSERT_TRUE(members.Next());
  EXPECT_EQ(members.value(), R"([1, "]", {"b": "}"}])");
  ASSERT_TRUE(members.Next());
  EXPECT_EQ(members.name(), "b");
  EXPECT_EQ(members.value(), "-1.5e3");
  ASSERT_TRUE(members.Next());
  EXPECT_FALSE(members.Next());
  EXPECT_TRUE(members.ok());
  for (const std::string_view bad :
       {"", "[]", "{", R"({"a")", R"({"a":})", R"({"a":1,})", R"({"a":1 "b":2})", R"({"a":x})",
        R"({a:1})", R"({"a":1}x)", R"({"a":[})", R"({,"a":1})"}) {
    JsonMembers broken(bad);
    while (broken.Next()) {
    }
    EXPECT_FALSE(broken.ok()) << bad;
  }
}

}  // namespace
}  // namespace pgflow::sources
