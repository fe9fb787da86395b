#include "sinks/encoding/event_encoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "engine/testing/event_builder.h"

namespace pgflow::sinks {
namespace {

using engine::EventBuilder;
using testing::ElementsAre;
using testing::HasSubstr;
using Json = nlohmann::json;

// "KEY operation", "KEY tombstone", or the operation alone.
absl::StatusOr<std::vector<std::string>> Messages(EventEncoder& encoder, engine::Batch batch) {
  std::vector<std::string> lines;
  encoder.StartBatch();
  const std::span<const engine::ChangeEvent> events = *batch.Events();
  for (const engine::ChangeEvent& event : events) {
    const auto messages = encoder.Encode(batch, event);
    if (!messages.ok()) return messages.status();
    for (const EncodedMessage& message : *messages) {
      std::string line = message.keyed ? std::string(message.key) + " " : "";
      line +=
          message.tombstone ? "tombstone" : std::string(Json::parse(message.value)["operation"]);
      EXPECT_EQ(message.tombstone, message.value.empty());
      if (!message.tombstone) {
        EXPECT_EQ(Json::parse(message.value)["operation"],
                  engine::OperationName(message.operation));
      }
      lines.push_back(std::move(line));
    }
  }
  return lines;
}

std::unique_ptr<EventEncoder> MakeEncoder(Placement placement, std::vector<KeyConfig> keys = {}) {
  EncodingConfig config;
  config.keys = std::move(keys);
  return *EventEncoder::Make(config, {.pipeline = "p", .database = "d", .placement = placement});
}

constexpr std::string_view kScript = R"(
    begin
    insert t 1 a
    update t 1 b
    update t old(1) 2 c
    delete t 2
    truncate t
    commit)";

TEST(EventEncoder, OneMessageAnEventInOrder) {
  EventBuilder builder;
  builder.Table("t (id int4 key, name text)");
  const auto encoder = MakeEncoder(Placement::kInOrder);
  EXPECT_THAT(*Messages(*encoder, builder.StreamBatch(kScript)),
              ElementsAre(R"({"id":1} insert)", R"({"id":1} update)", R"({"id":2} update)",
                          R"({"id":2} delete)", "truncate"));
}

TEST(EventEncoder, EndsAnOldKeyWhereMessagesAreFoundByKey) {
  EventBuilder builder;
  builder.Table("t (id int4 key, name text)");
  const auto encoder = MakeEncoder(Placement::kByKeyWithTombstones);
  EXPECT_THAT(*Messages(*encoder, builder.StreamBatch(kScript)),
              ElementsAre(R"({"id":1} insert)", R"({"id":1} update)", R"({"id":1} delete)",
                          R"({"id":1} tombstone)", R"({"id":2} insert)", R"({"id":2} delete)",
                          R"({"id":2} tombstone)", "truncate"));
  const auto without = MakeEncoder(Placement::kByKey);
  EventBuilder again;
  again.Table("t (id int4 key, name text)");
  EXPECT_THAT(*Messages(*without, again.StreamBatch("begin\n update t old(1) 2 c\n commit")),
              ElementsAre(R"({"id":1} delete)", R"({"id":2} insert)"));
}

TEST(EventEncoder, HalvesOfAKeyChangeSayWhatTheyAre) {
  EventBuilder builder;
  builder.Table("t (id int4 key, name text)");
  const auto encoder = MakeEncoder(Placement::kByKey);
  engine::Batch batch = builder.StreamBatch("begin\n update t old(1) 2 unchanged\n commit");
  encoder->StartBatch();
  const auto messages = *encoder->Encode(batch, (*batch.Events())[0]);
  const Json deleted = Json::parse(messages[0].value);
  EXPECT_EQ(deleted["before"], (Json{{"id", 1}}));
  EXPECT_TRUE(deleted["after"].is_null());
  EXPECT_EQ(deleted["key_changed"], true);
  const Json inserted = Json::parse(messages[1].value);
  EXPECT_TRUE(inserted["before"].is_null());
  EXPECT_EQ(inserted["after"], (Json{{"id", 2}}));
  EXPECT_EQ(inserted["unchanged"], Json::array({"name"}));
  EXPECT_EQ(inserted["position"], deleted["position"]);
}

// With REPLICA IDENTITY FULL every update has its old row: only another key is a key change.
TEST(EventEncoder, TakesThePrimaryKeyOfAWholeIdentity) {
  EventBuilder builder;
  builder.Table("t (id int4 key, name text) full");
  const auto encoder = MakeEncoder(Placement::kByKey);
  EXPECT_THAT(*Messages(*encoder, builder.StreamBatch(R"(
                  begin
                  update t full(1 a) 1 b
                  update t full(1 b) 2 b
                  delete t full(2 b)
                  commit)")),
              ElementsAre(R"({"id":1} update)", R"({"id":1} delete)", R"({"id":2} insert)",
                          R"({"id":2} delete)"));
}

TEST(EventEncoder, TablesWithoutAKeyHaveUnkeyedMessages) {
  EventBuilder builder;
  builder.Table("log (line text) nothing");
  builder.Table("all (a int4, b int4) full");
  const auto encoder = MakeEncoder(Placement::kByKeyWithTombstones);
  EXPECT_THAT(*Messages(*encoder, builder.StreamBatch(R"(
                  begin
                  insert log x
                  update all full(1 2) 3 4
                  delete all full(3 4)
                  commit)")),
              ElementsAre("insert", "update", "delete"));
}

TEST(EventEncoder, ChosenColumnsAreTheKey) {
  EventBuilder builder;
  builder.Table("orders (id int4 key, customer int4) full");
  builder.Table("items (id int4 key, customer int4)");
  const std::vector<KeyConfig> keys = {{{"public.*"}, {"customer"}}};
  const auto encoder = MakeEncoder(Placement::kByKey, keys);
  EXPECT_THAT(*Messages(*encoder, builder.StreamBatch(R"(
                  begin
                  insert orders 1 7
                  update orders full(1 7) 1 8
                  insert items 1 7
                  commit)")),
              ElementsAre(R"({"customer":7} insert)", R"({"customer":7} delete)",
                          R"({"customer":8} insert)", R"({"customer":7} insert)"));
  // The old key of items is not known: it is neither guessed nor left out.
  for (const std::string change : {"update items 1 8", "delete items 1"}) {
    const auto refused = Messages(*encoder, builder.StreamBatch("begin\n" + change + "\n commit"));
    EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(refused.status().message()), HasSubstr("REPLICA IDENTITY FULL"));
  }
}

TEST(EventEncoder, AChosenColumnMustExist) {
  EventBuilder builder;
  builder.Table("t (id int4 key, name text)");
  const auto encoder = MakeEncoder(Placement::kByKey, {{{"public.t"}, {"nmae"}}});
  const auto refused = Messages(*encoder, builder.StreamBatch("begin\n insert t 1 a\n commit"));
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("no column 'nmae'"));
}

TEST(EventEncoder, SnapshotRowsHaveKeys) {
  EventBuilder builder;
  builder.Table("t (id int4 key, name text)");
  const auto encoder = MakeEncoder(Placement::kByKey);
  EXPECT_THAT(*Messages(*encoder, builder.Snapshot("t", "1 a\n2 b")),
              ElementsAre(R"({"id":1} read)", R"({"id":2} read)"));
}

}  // namespace
}  // namespace pgflow::sinks
