#include "sinks/webhook/subscription_row.h"

#include <gtest/gtest.h>

#include "base/status.h"
#include "postgres/types/oid.h"

namespace pgflow::sinks {
namespace {

WebhookConfig Sink() {
  WebhookConfig config;
  config.subscriptions.emplace().table = "public.subs";
  config.connection.headers = {{"X-From", "pgflow"}};
  return config;
}

std::string ErrorOf(std::string_view row) {
  return std::string(base::Message(EndpointConfig(Sink(), row).status()));
}

TEST(SubscriptionRowTest, ReadsArraysAsPostgresWritesThem) {
  const std::vector<std::string> texts = {"a", "b c", R"(d"e\f)", ""};
  EXPECT_EQ(*ParseTextArray(R"({a,"b c","d\"e\\f",""})"), texts);
  EXPECT_TRUE(ParseTextArray("{}")->empty());
  for (const char* wrong : {"", "a", "{a", "{{a},{b}}", "{a,}", R"({"a)", R"({"a"b})", "{NULL}"}) {
    EXPECT_FALSE(ParseTextArray(wrong).ok()) << wrong;
  }
}

TEST(SubscriptionRowTest, MakesAnEndpointOfARow) {
  const absl::StatusOr<WebhookConfig> config = EndpointConfig(
      Sink(), R"({"id":1,"url":"https://a.example/h?k=1","tables":"{public.orders}",)"
              R"("operations":["insert"],"condition":"id > 1","headers":{"X-Key":"1"},)"
              R"("secrets":"{whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw}","changed_columns":null})");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->url.value(), "https://a.example/h?k=1");
  EXPECT_EQ(config->subscribe.tables, std::vector<std::string>({"public.orders"}));
  EXPECT_EQ(config->subscribe.operations, std::vector<std::string>({"insert"}));
  EXPECT_EQ(config->subscribe.when, "id > 1");
  EXPECT_EQ(config->connection.headers, (config::StringMap{{"X-From", "pgflow"}, {"X-Key", "1"}}));
  EXPECT_EQ(config->secrets.size(), 1U);
  EXPECT_EQ(EndpointConfig(Sink(), R"({"url":"https://a.example"})")->subscribe.operations,
            std::vector<std::string>({"insert", "update", "delete", "truncate"}));
}

TEST(SubscriptionRowTest, SaysWhatIsWrongWithoutASecret) {
  EXPECT_EQ(ErrorOf("{}"), "column url: it is missing");
  EXPECT_NE(ErrorOf(R"({"url":"ftp://hush"})"), "");
  EXPECT_NE(ErrorOf(R"({"url":"https://a.example","condition":"id >"})"), "");
  EXPECT_NE(ErrorOf(R"({"url":"https://a.example","operations":["read"]})"), "");
  EXPECT_NE(ErrorOf(R"({"url":"https://a.example","operations":["upsert"]})"), "");
  EXPECT_NE(ErrorOf(R"({"url":"https://a.example","tables":["nodot"]})"), "");
  EXPECT_NE(ErrorOf(R"({"url":"https://a.example","headers":["hush"]})"), "");
  EXPECT_NE(ErrorOf(R"({"url":"https://a.example","enabled":"hush"})"), "");
  for (const char* row :
       {R"({"url":"ftp://hush"})", R"({"url":"https://a.example/hush","secrets":["hush"]})",
        R"({"url":"https://a.example","headers":{"a b":"hush"}})"}) {
    EXPECT_EQ(ErrorOf(row).find("hush"), std::string::npos) << ErrorOf(row);
    EXPECT_NE(ErrorOf(row), "");
  }
}

TEST(SubscriptionRowTest, ChecksTheTable) {
  using Severity = engine::Finding::Severity;
  schemas::TableSchema schema{.table = {"public", "subs"}, .columns = {}};
  const auto column = [](std::string name, postgres::Oid type, bool identity = false) {
    schemas::Column made;
    made.name = std::move(name);
    made.type = type;
    made.identity = identity;
    return made;
  };
  schema.columns = {column("id", postgres::oid::kInt8, true), column("url", postgres::oid::kText)};
  EXPECT_EQ(CheckSubscriptionTable(schema)[0].severity, Severity::kOk);
  schema.columns[0].identity = false;
  EXPECT_EQ(CheckSubscriptionTable(schema)[0].severity, Severity::kError);
  schema.columns[0].identity = true;
  schema.columns.push_back(column("headers", postgres::oid::kText));
  EXPECT_NE(CheckSubscriptionTable(schema)[0].problem.find("headers"), std::string::npos);
  schema.columns = {column("id", postgres::oid::kInt8, true)};
  EXPECT_NE(CheckSubscriptionTable(schema)[0].problem.find("url"), std::string::npos);
}

}  // namespace
}  // namespace pgflow::sinks
