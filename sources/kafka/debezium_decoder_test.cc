#include "sources/kafka/debezium_decoder.h"

#include <gtest/gtest.h>

#include "engine/testing/event_builder.h"
#include "sinks/encoding/event_encoder.h"

namespace pgflow::sources {
namespace {

using engine::Batch;
using engine::ChangeEvent;
using engine::EventBuilder;
using engine::Operation;

constexpr const char* kUnavailable = "__debezium_unavailable_value";

struct Message {
  std::string key;
  std::string value;
};

std::vector<Message> Encode(Batch& batch, bool schemas = true) {
  sinks::EncodingConfig config;
  config.format = sinks::Encoding::kDebezium;
  config.debezium.schemas = schemas;
  config.debezium.skipped_operations = {"none"};
  const auto encoder =
      *sinks::EventEncoder::Make(config, {"shop", "shop", sinks::Placement::kByKeyWithTombstones});
  encoder->StartBatch();
  std::vector<Message> found;
  const std::span<const ChangeEvent> events = *batch.Events();
  for (const ChangeEvent& event : events) {
    const auto messages = encoder->Encode(batch, event);
    EXPECT_TRUE(messages.ok()) << messages.status();
    for (const sinks::EncodedMessage& message : *messages) {
      if (message.tombstone) continue;
      found.push_back({message.keyed ? std::string(message.key) : "", std::string(message.value)});
    }
  }
  return found;
}

std::string DescribeDecoded(const DecodedMessage& message) {
  ChangeEvent event;
  event.operation = message.operation;
  event.before_image = message.before_image;
  event.schema = message.schema.get();
  if (!message.before.empty()) event.before = schemas::RowView::Tuple(message.before);
  if (!message.after.empty()) event.after = schemas::RowView::Tuple(message.after);
  return engine::Describe(event);
}

std::vector<std::string> Decode(const std::vector<Message>& messages) {
  DebeziumDecoder decoder(kUnavailable);
  DecodedMessage decoded;
  std::vector<std::string> lines;
  for (const Message& message : messages) {
    const absl::Status status = decoder.Decode(message.key, message.value, decoded);
    EXPECT_TRUE(status.ok()) << status << " " << message.value;
    if (status.ok()) lines.push_back(DescribeDecoded(decoded));
  }
  return lines;
}

TEST(DebeziumDecoder, GivesBackWhatWasEncoded) {
  EventBuilder builder;
  builder.Table(
      "shop.items (id int8 key, name text, price numeric, doc jsonb, bytes bytea, on date,"
      " at timestamp)");
  Batch batch = builder.StreamBatch(R"(
      begin
      insert items 1 'a "b"' -12345678901234567890.120 '{"a": 1}' '\x00ff' 2026-01-31 infinity
      insert items 2 null null null null null null
      update items 1 x 0 unchanged unchanged infinity '-infinity'
      delete items 2
      commit)");
  EXPECT_EQ(Decode(Encode(batch)), engine::Describe(batch));
}

TEST(DebeziumDecoder, KnowsTheKeyFromTheMessagesKey) {
  EventBuilder builder;
  builder.Table("t (id int4 key, name text)");
  builder.Table("whole (a int4, b text) full");
  Batch batch = builder.StreamBatch(R"(
      begin
      update t old(1) 2 a
      delete whole full(1 x)
      truncate t
      commit)");
  const std::vector<Message> messages = Encode(batch);
  EXPECT_EQ(Decode(messages),
            (std::vector<std::string>{"delete public.t 1", "insert public.t 2 a",
                                      "delete public.whole full(1 x)", "truncate public.t"}));
  DebeziumDecoder decoder(kUnavailable);
  DecodedMessage decoded;
  ASSERT_TRUE(decoder.Decode(messages[0].key, messages[0].value, decoded).ok());
  EXPECT_TRUE(decoded.schema->columns[0].identity);
  EXPECT_FALSE(decoded.schema->columns[1].identity);
  ASSERT_TRUE(decoder.Decode(messages[2].key, messages[2].value, decoded).ok());
  EXPECT_EQ(decoded.schema->replica_identity, schemas::ReplicaIdentity::kFull);
}

TEST(DebeziumDecoder, DoesNotTakeThePlaceholderForAValue) {
  EventBuilder builder;
  builder.Table("t (id int4 key, name text)");
  Batch batch = builder.StreamBatch("begin\n update t old(1) 2 unchanged\n commit");
  const std::vector<Message> messages = Encode(batch);
  DebeziumDecoder decoder(kUnavailable);
  DecodedMessage decoded;
  ASSERT_TRUE(decoder.Decode(messages[1].key, messages[1].value, decoded).ok());
  EXPECT_EQ(decoded.operation, Operation::kInsert);
  EXPECT_TRUE(decoded.key_changed && decoded.has_unchanged);
}

TEST(DebeziumDecoder, SaysWhatTheWriterLacks) {
  EventBuilder builder;
  builder.Table("t (id int4 key, name text)");
  Batch batch = builder.StreamBatch("begin\n insert t 1 a\n commit");
  const std::vector<Message> plain = Encode(batch, false);
  DebeziumDecoder decoder(kUnavailable);
  DecodedMessage decoded;
  const absl::Status status = decoder.Decode(plain[0].key, plain[0].value, decoded);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(status.message().find("schemas.enable=true"), std::string::npos);
  const std::vector<Message> whole = Encode(batch);
  EXPECT_FALSE(decoder.Decode(plain[0].key, whole[0].value, decoded).ok());
  for (size_t size = 0; size < whole[0].value.size(); size += 7) {
    EXPECT_FALSE(
        decoder.Decode(whole[0].key, std::string_view(whole[0].value).substr(0, size), decoded)
            .ok());
  }
}

}  // namespace
}  // namespace pgflow::sources
