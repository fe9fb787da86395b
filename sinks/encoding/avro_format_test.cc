#include "sinks/encoding/avro_format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "engine/testing/event_builder.h"
#include "sinks/encoding/avro_binary.h"
#include "sinks/encoding/avro_schema.h"
#include "sinks/encoding/debezium_value.h"
#include "sinks/encoding/event_encoder.h"

namespace pgflow::sinks {
namespace {

using engine::EventBuilder;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;
using Json = nlohmann::ordered_json;

// Numbers from 1, in the order they are asked for.
class CountingIds final : public SchemaIds {
 public:
  absl::StatusOr<uint32_t> IdOf(const std::string& subject, const std::string& schema,
                                std::string_view about) override {
    subjects.push_back(subject);
    schemas.push_back(Json::parse(schema));
    abouts.emplace_back(about);
    return static_cast<uint32_t>(subjects.size());
  }
  std::vector<std::string> subjects;
  std::vector<Json> schemas;
  std::vector<std::string> abouts;
};

struct Sent {
  std::string key;
  std::string value;
  bool tombstone = false;
};

std::string Bytes(std::initializer_list<int> bytes) {
  std::string text;
  for (const int byte : bytes) text.push_back(static_cast<char>(byte));
  return text;
}

class AvroFormatTest : public testing::Test {
 protected:
  absl::StatusOr<std::vector<Sent>> TrySend(engine::Batch batch, const std::string& topic = "t") {
    EncodingConfig config;
    config.format = Encoding::kAvro;
    config.avro = avro_;
    config.debezium = debezium_;
    auto encoder = *EventEncoder::Make(config, {.pipeline = "shop",
                                                .database = "db",
                                                .placement = Placement::kByKeyWithTombstones,
                                                .schema_ids = &ids_});
    encoder->StartBatch();
    std::vector<Sent> sent;
    const std::span<const engine::ChangeEvent> events = *batch.Events();
    for (const engine::ChangeEvent& event : events) {
      encoder->SetTopic(topic);
      const auto messages = encoder->Encode(batch, event);
      if (!messages.ok()) return messages.status();
      for (const EncodedMessage& message : *messages) {
        sent.push_back({std::string(message.key), std::string(message.value), message.tombstone});
      }
    }
    return sent;
  }
  std::vector<Sent> Send(engine::Batch batch, const std::string& topic = "t") {
    const auto sent = TrySend(std::move(batch), topic);
    EXPECT_TRUE(sent.ok()) << sent.status();
    return sent.value_or(std::vector<Sent>());
  }

  EventBuilder builder_;
  CountingIds ids_;
  AvroConfig avro_;
  DebeziumConfig debezium_;
};

TEST(AvroBinary, NumbersAreZigzagOfSevenBits) {
  const auto encoded = [](int64_t number) {
    std::string out;
    AppendAvroLong(number, out);
    return out;
  };
  EXPECT_EQ(encoded(0), Bytes({0}));
  EXPECT_EQ(encoded(-1), Bytes({1}));
  EXPECT_EQ(encoded(64), Bytes({0x80, 0x01}));
  EXPECT_EQ(encoded(INT64_MIN), Bytes({255, 255, 255, 255, 255, 255, 255, 255, 255, 1}));
}

TEST(AvroNames, AreMadeAvros) {
  EXPECT_EQ(AvroName("a-b c"), "a_b_c");
  EXPECT_EQ(AvroName("1st"), "_1st");
  EXPECT_EQ(AvroName("\u00fcber"), "_ber");
  EXPECT_EQ(AvroFullName("my-shop.public.2.Key"), "my_shop.public._2.Key");
}

TEST_F(AvroFormatTest, KeyAndValueBeginWithTheirSchemasNumbers) {
  builder_.Table("shop.items (id int4 key, name text)");
  const auto sent =
      Send(builder_.StreamBatch("begin\n insert items 1 a\n delete items 1\n commit"));
  ASSERT_EQ(sent.size(), 3U);
  EXPECT_EQ(sent[0].key, Bytes({0, 0, 0, 0, 1, 2}));
  // before null, after {1, "a"}
  EXPECT_THAT(sent[0].value, StartsWith(Bytes({0, 0, 0, 0, 2, 0, 2, 2, 2, 2, 'a'})));
  // before {1, null}, after null: of the old row the key is known.
  EXPECT_THAT(sent[1].value, StartsWith(Bytes({0, 0, 0, 0, 2, 2, 2, 0, 0})));
  EXPECT_TRUE(sent[2].tombstone);
  EXPECT_EQ(sent[2].key, sent[0].key);
  EXPECT_THAT(ids_.subjects, ElementsAre("t-key", "t-value"));
  EXPECT_THAT(ids_.abouts,
              ElementsAre("the key of table shop.items", "the value of table shop.items"));
}

TEST_F(AvroFormatTest, SchemasAreThoseOfTheConverter) {
  builder_.Table("shop.items (id int2 key, at timestamp)");
  Send(builder_.StreamBatch("begin\n insert items 1 null\n commit"));
  ASSERT_EQ(ids_.schemas.size(), 2U);
  EXPECT_EQ(ids_.schemas[0].dump(),
            R"({"type":"record","name":"Key","namespace":"shop.shop.items","fields":[)"
            R"({"name":"id","type":{"type":"int","connect.type":"int16"}}],)"
            R"("connect.name":"shop.shop.items.Key"})");
  const Json& envelope = ids_.schemas[1];
  EXPECT_EQ(envelope["name"], "Envelope");
  EXPECT_EQ(envelope["connect.version"], 2);
  EXPECT_EQ(envelope["fields"][0]["type"][1]["fields"][1].dump(),
            R"({"name":"at","type":["null",{"type":"long","connect.version":1,)"
            R"("connect.name":"io.debezium.time.MicroTimestamp"}],"default":null})");
  // A record is defined once.
  EXPECT_EQ(envelope["fields"][1]["type"].dump(), R"(["null","shop.shop.items.Value"])");
  const Json& snapshot = envelope["fields"][2]["type"]["fields"][4];
  EXPECT_EQ(snapshot["default"], "false");
  EXPECT_EQ(snapshot["type"][1], "null");
}

TEST_F(AvroFormatTest, SubjectsByTheRecord) {
  builder_.Table("shop.items (id int4 key)");
  avro_.subject = AvroSubject::kRecord;
  Send(builder_.Snapshot("items", "1"));
  avro_.subject = AvroSubject::kTopicRecord;
  Send(builder_.Snapshot("items", "1"));
  EXPECT_THAT(ids_.subjects, ElementsAre("shop.shop.items.Key", "shop.shop.items.Envelope",
                                         "t-shop.shop.items.Key", "t-shop.shop.items.Envelope"));
}

TEST_F(AvroFormatTest, TheRowAlone) {
  builder_.Table("items (id int4 key, name text)");
  avro_.envelope = AvroEnvelope::kRow;
  const auto sent = Send(builder_.StreamBatch(
      "begin\n insert items 1 a\n update items old(1) 2 b\n delete items 2\n commit"));
  ASSERT_EQ(sent.size(), 4U);
  EXPECT_EQ(sent[0].value, Bytes({0, 0, 0, 0, 2, 2, 2, 2, 'a'}));
  EXPECT_TRUE(sent[1].tombstone);  // The old key ends.
  EXPECT_EQ(sent[2].value, Bytes({0, 0, 0, 0, 2, 4, 2, 2, 'b'}));
  EXPECT_TRUE(sent[3].tombstone);
  const auto refused = TrySend(builder_.StreamBatch("begin\n truncate items\n commit"));
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(AvroFormatTest, WhatWasNotSentIsAPlaceholderOrRefused) {
  builder_.Table("t (id int4 key, note text, total numeric)");
  EXPECT_THAT(Send(builder_.StreamBatch("begin\n update t 1 unchanged null\n commit"))[0].value,
              HasSubstr("__debezium_unavailable_value"));
  const auto refused = TrySend(builder_.StreamBatch("begin\n update t 1 a unchanged\n commit"));
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("column total"));
}

TEST_F(AvroFormatTest, RefusesWhatTheSchemaCannotHold) {
  builder_.Table("t (id int4 key)");
  EXPECT_EQ(TrySend(builder_.Snapshot("t", "one")).status().code(),
            absl::StatusCode::kInvalidArgument);
  schemas::Column column;
  column.type = 1007;  // int4[]
  const DebeziumType type = DebeziumTypeOf(column, {});
  const auto encode = [&](std::string_view text) {
    std::string out;
    const schemas::Value value{text.data(), static_cast<uint32_t>(text.size()),
                               schemas::ValueKind::kText};
    return AppendAvroValue(type, value, true, false, out).ok() ? out : "refused";
  };
  EXPECT_EQ(encode("{1,NULL}"), Bytes({2, 4, 2, 2, 0, 0}));
  EXPECT_EQ(encode("{}"), Bytes({2, 0}));
  EXPECT_EQ(encode("{{1},{2}}"), "refused");
  builder_.Table("u (id int4 key, name text)");
  const auto refused = TrySend(builder_.Snapshot("u", "1 'caf\xe9'"));
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(AvroFormatTest, TwoColumnsOfOneNameAreAMistake) {
  builder_.Table("t (id int4 key, a-b text, a_b text)");
  const auto refused = TrySend(builder_.Snapshot("t", "1 x y"));
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("'a-b' and 'a_b'"));
}

TEST(AvroEncoding, IsOfTheSinkThatHasARegistry) {
  EncodingConfig config;
  config.format = Encoding::kAvro;
  const auto refused = EventEncoder::Make(config, {});
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("the sink kafka"));
}

}  // namespace
}  // namespace pgflow::sinks
