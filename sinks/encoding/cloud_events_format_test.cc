#include "sinks/encoding/cloud_events_format.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "engine/testing/event_builder.h"
#include "sinks/encoding/event_encoder.h"

namespace pgflow::sinks {
namespace {

using Json = nlohmann::json;

std::vector<Json> Events(engine::Batch batch, Placement placement = Placement::kInOrder) {
  EncodingConfig config;
  config.format = Encoding::kCloudEvents;
  const auto encoder =
      *EventEncoder::Make(config, {.pipeline = "shop", .database = "db", .placement = placement});
  encoder->StartBatch();
  std::vector<Json> events;
  const std::span<const engine::ChangeEvent> changes = *batch.Events();
  for (const engine::ChangeEvent& event : changes) {
    const auto messages = encoder->Encode(batch, event);
    EXPECT_TRUE(messages.ok()) << messages.status();
    for (const EncodedMessage& message : *messages) events.push_back(Json::parse(message.value));
  }
  return events;
}

TEST(CloudEventsFormat, WrapsAChange) {
  engine::EventBuilder builder;
  builder.Table("t (id int4 key, name text)");
  const Json event =
      Events(builder.StreamBatch("begin xid=7 lsn=0/500\n insert t 1 a\n commit"))[0];
  EXPECT_EQ(event["specversion"], "1.0");
  EXPECT_EQ(event["id"], "0/500:0");
  EXPECT_EQ(event["source"], "/pgflow/shop");
  EXPECT_EQ(event["type"], "pgflow.insert");
  EXPECT_EQ(event["subject"], "public.t");
  EXPECT_EQ(event["time"], event["data"]["transaction"]["commit_time"]);
  EXPECT_EQ(event["data"]["after"], (Json{{"id", 1}, {"name", "a"}}));
}

TEST(CloudEventsFormat, EachEventHasAnIdOfItsOwn) {
  engine::EventBuilder builder;
  builder.Table("t (id int4 key, name text)");
  const std::vector<Json> rows = Events(builder.Snapshot("t", "1 a\n2 b"));
  EXPECT_EQ(rows[0]["id"], R"(0/0:0:public.t:{"id":1})");
  EXPECT_EQ(rows[1]["id"], R"(0/0:0:public.t:{"id":2})");
  EXPECT_FALSE(rows[0].contains("time"));
  const std::vector<Json> halves = Events(
      builder.StreamBatch("begin lsn=0/500\n update t old(1) 3 a\n commit"), Placement::kByKey);
  ASSERT_EQ(halves.size(), 2U);
  EXPECT_EQ(halves[0]["id"], "0/500:0:delete");
  EXPECT_EQ(halves[1]["id"], "0/500:0:insert");
}

TEST(CloudEventsFormat, HeadersSayHowAMessageIsRead) {
  engine::EventBuilder builder;
  builder.Table("t (id int4 key, name text)");
  engine::Batch batch = builder.StreamBatch("begin xid=7 lsn=0/500\n insert t 1 a\n commit");
  const auto headers = [&batch](CloudEventsMode mode, std::string& value) {
    EncodingConfig config;
    config.format = Encoding::kCloudEvents;
    config.cloudevents.mode = mode;
    EncoderOptions options;
    options.pipeline = "shop";
    options.has_headers = true;
    const auto encoder = *EventEncoder::Make(config, options);
    encoder->StartBatch();
    const auto messages = encoder->Encode(batch, (*batch.Events())[0]);
    EXPECT_TRUE(messages.ok()) << messages.status();
    value = (*messages)[0].value;
    std::string text;
    for (const MessageHeader& header : (*messages)[0].headers) {
      if (header.name != "ce_time") text += header.name + "=" + header.value + "\n";
    }
    return text;
  };
  std::string value;
  EXPECT_EQ(headers(CloudEventsMode::kStructured, value),
            "content-type=application/cloudevents+json; charset=UTF-8\n");
  EXPECT_EQ(Json::parse(value)["specversion"], "1.0");
  EXPECT_EQ(headers(CloudEventsMode::kBinary, value),
            "content-type=application/json\nce_specversion=1.0\nce_id=0/500:0\n"
            "ce_source=/pgflow/shop\nce_type=pgflow.insert\nce_subject=public.t\n");
  EXPECT_EQ(Json::parse(value)["after"]["name"], "a");
  EncodingConfig config;
  config.format = Encoding::kCloudEvents;
  config.cloudevents.mode = CloudEventsMode::kBinary;
  EXPECT_EQ(EventEncoder::Make(config, {}).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace pgflow::sinks
