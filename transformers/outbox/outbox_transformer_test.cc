#include "transformers/outbox/outbox_transformer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/status.h"
#include "engine/testing/event_builder.h"
#include "transformers/outbox/json_object.h"

namespace pgflow::transformers {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class OutboxTest : public testing::Test {
 protected:
  OutboxTest() {
    builder_.Table(
        "public.outbox (id uuid key, aggregatetype text, aggregateid text, type text, payload "
        "jsonb, weight int4)");
    builder_.Table("public.items (id int4 key)");
    auto messages = std::make_shared<schemas::TableSchema>(
        *builder_.Table("pgflow.logical_message (prefix text, content text) nothing"));
    messages->rows = schemas::RowKind::kLogicalMessages;
    messages_ = std::move(messages);
  }

  static OutboxConfig OfTable() {
    OutboxConfig config;
    config.table = "public.outbox";
    return config;
  }
  static OutboxConfig OfMessages() {
    OutboxConfig config;
    config.message_prefix = "outbox";
    return config;
  }

  // The events, or the error alone.
  std::vector<std::string> Stream(const OutboxConfig& config, const std::string& script) {
    return Run(config, builder_.StreamBatch("begin\n" + script + "\ncommit"));
  }
  std::vector<std::string> Messages(const OutboxConfig& config, const std::string& rows) {
    engine::CopyRows copy = builder_.Rows("logical_message", rows);
    copy.schema = messages_;
    return Run(config, engine::Batch(std::move(copy)));
  }
  std::vector<std::string> Run(const OutboxConfig& config, engine::Batch batch) {
    auto made = OutboxTransformer::Make(config);
    if (!made.ok()) return {std::string(base::Message(made.status()))};
    batch_.emplace(std::move(batch));
    const absl::Status status = (*made)->Transform(*batch_);
    culprit_ = base::Payload(status, engine::kCulpritPayload);
    if (!status.ok()) return {std::string(base::Message(status))};
    return engine::Describe(*batch_);
  }
  const schemas::TableSchema& SchemaOf(size_t event) { return *(*batch_->Events())[event].schema; }

  engine::EventBuilder builder_;
  schemas::TableSchemaPtr messages_;
  std::optional<engine::Batch> batch_;
  std::string culprit_;
};

constexpr const char* kId = "00000000-0000-0000-0000-0000000000ff";

std::string Insert(const std::string& rest) {
  return fmt::format("insert outbox {} {}", kId, rest);
}

TEST_F(OutboxTest, ARowIsAMessageOfTheTopicThatItNames) {
  const auto events =
      Stream(OfTable(), Insert("order 42 created '{\"a\": 1}' 5") + "\n" +
                            Insert("invoice 43 paid '{}' 6") + "\ninsert items 1\ndelete outbox " +
                            kId + "\ntruncate outbox");
  ASSERT_EQ(events.size(), 3U);
  EXPECT_THAT(events[0], HasSubstr("public.outbox.event.order"));
  EXPECT_THAT(events[0], HasSubstr("{\"a\": 1}"));
  EXPECT_THAT(events[1], HasSubstr("public.outbox.event.invoice"));
  EXPECT_EQ(events[2], "insert public.items 1");
  const schemas::TableSchema& schema = SchemaOf(0);
  EXPECT_EQ(schema.rows, schemas::RowKind::kOutbox);
  ASSERT_EQ(schema.columns.size(), 3U);
  EXPECT_EQ(schema.columns[0].name, "key");
  EXPECT_EQ(schema.columns[1].name, "payload");
  EXPECT_EQ(schema.columns[2].name, "id");
}

TEST_F(OutboxTest, OtherFieldsGoIntoHeadersOrBesideThePayload) {
  OutboxConfig config = OfTable();
  config.additional = {{"type", OutboxPlacement::kHeader, "eventType"},
                       {"weight", OutboxPlacement::kEnvelope, ""}};
  const auto events = Stream(config, Insert("order 42 created '{\"a\": 1}' 5"));
  ASSERT_EQ(events.size(), 1U);
  EXPECT_THAT(events[0], HasSubstr("{\"payload\":{\"a\": 1},\"weight\":5}"));
  ASSERT_EQ(SchemaOf(0).columns.size(), 4U);
  EXPECT_EQ(SchemaOf(0).columns[3].name, "eventType");
  config.additional = {{"nothing", OutboxPlacement::kHeader, ""}};
  EXPECT_THAT(Stream(config, Insert("order 42 created '{}' 5")),
              ElementsAre(HasSubstr("no column 'nothing'")));
  config.additional_missing = OutboxMissing::kIgnore;
  EXPECT_EQ(Stream(config, Insert("order 42 created '{}' 5")).size(), 1U);
}

TEST_F(OutboxTest, AnUpdateIsLeftOutOrFatal) {
  OutboxConfig config = OfTable();
  const std::string update = fmt::format("update outbox {} order 42 created '{{}}' 5", kId);
  EXPECT_TRUE(Stream(config, update).empty());
  config.on_update = OutboxUpdate::kFatal;
  EXPECT_THAT(Stream(config, update), ElementsAre(HasSubstr("an UPDATE of the outbox")));
  EXPECT_FALSE(culprit_.empty());
}

TEST_F(OutboxTest, AnEmptyPayloadMayBeATombstone) {
  OutboxConfig config = OfTable();
  EXPECT_THAT(Stream(config, Insert("order 42 gone null 5"))[0], HasSubstr("42 null"));
  config.additional = {{"weight", OutboxPlacement::kEnvelope, ""}};
  EXPECT_THAT(Stream(config, Insert("order 42 gone null 5"))[0], HasSubstr("\"payload\":null"));
  config.tombstone_on_empty_payload = true;
  EXPECT_THAT(Stream(config, Insert("order 42 gone null 5"))[0], HasSubstr("42 null"));
}

TEST_F(OutboxTest, ARowWithoutATopicIsRefused) {
  EXPECT_THAT(Stream(OfTable(), Insert("null 42 created '{}' 5")),
              ElementsAre(HasSubstr("'aggregatetype', which names its topic, is NULL")));
  EXPECT_FALSE(culprit_.empty());
}

TEST_F(OutboxTest, LogicalMessagesAreMessagesToo) {
  OutboxConfig config = OfMessages();
  config.topic = "events.{routed_by_value}.v1";
  config.additional = {{"type", OutboxPlacement::kHeader, ""}};
  const auto events = Messages(
      config, R"(outbox '{"id": 7, "aggregatetype": "order", "aggregateid": "42", "type": "new", )"
              R"("payload": {"n": 1.500, "s": "}"}}')"
              "\nother plain");
  ASSERT_EQ(events.size(), 2U);
  EXPECT_THAT(events[0], HasSubstr("pgflow.events.order.v1"));
  EXPECT_THAT(events[0], HasSubstr(R"({"n": 1.500, "s": "}"})"));
  EXPECT_EQ(events[1], "read pgflow.logical_message other plain");
  EXPECT_THAT(Messages(config, "outbox plain"), ElementsAre(HasSubstr("is no JSON object")));
  EXPECT_THAT(Messages(config, R"(outbox '{"id": 7}')"),
              ElementsAre(HasSubstr("no member 'aggregatetype'")));
}

TEST_F(OutboxTest, RefusesWhatMakesNoSense) {
  OutboxConfig both = OfTable();
  both.message_prefix = "outbox";
  EXPECT_THAT(Stream(both, ""), ElementsAre(HasSubstr("either `table` or `message_prefix`")));
  OutboxConfig topic = OfTable();
  topic.topic = "a.{value}";
  EXPECT_THAT(Stream(topic, ""), ElementsAre(HasSubstr("{routed_by_value} may stand once")));
  OutboxConfig name = OfTable();
  name.table = "outbox";
  EXPECT_THAT(Stream(name, ""), ElementsAre(HasSubstr("public.outbox")));
}

TEST(JsonObject, KeepsMembersAsTheyWereWritten) {
  const std::string text =
      R"( {"a\n" : [1.50, {"x": "]}\""}] , "b":"c\u00e9", "n":null,"t":true} )";
  const auto members = JsonMembersOf(text);
  ASSERT_TRUE(members.has_value());
  ASSERT_EQ(members->size(), 4U);
  EXPECT_EQ((*members)[0].name, "a\n");
  EXPECT_EQ((*members)[0].json, R"([1.50, {"x": "]}\""}])");
  EXPECT_EQ((*members)[1].Text(), "cé");
  EXPECT_TRUE((*members)[2].is_null());
  EXPECT_EQ((*members)[3].Text(), "true");
  EXPECT_TRUE(JsonMembersOf("{}")->empty());
  EXPECT_FALSE(JsonMembersOf("[1]").has_value());
  EXPECT_FALSE(JsonMembersOf("{\"a\":}").has_value());
}

}  // namespace
}  // namespace pgflow::transformers
