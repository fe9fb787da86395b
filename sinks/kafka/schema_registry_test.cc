#include "sinks/kafka/schema_registry.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/testing/scripted_http_server.h"

namespace pgflow::sinks {
namespace {

using engine::HttpReceived;
using engine::HttpScript;
using testing::HasSubstr;

class SchemaRegistryTest : public testing::Test {
 protected:
  std::unique_ptr<SchemaRegistry> Make(bool register_schemas = true) const {
    SchemaRegistryConfig config;
    config.url = fmt::format("http://127.0.0.1:{}/api/", server_.port());
    config.register_schemas = register_schemas;
    config.connection.auth.username = "me";
    config.connection.auth.password = config::Secret("hush");
    auto made = SchemaRegistry::Make(config);
    EXPECT_TRUE(made.ok()) << made.status();
    return *std::move(made);
  }
  void Answer(int status, const std::string& body) {
    HttpScript script;
    script.status = status;
    script.body = body;
    server_.Add(script);
  }
  engine::ScriptedHttpServer server_;
};

TEST_F(SchemaRegistryTest, RegistersOnceAndRemembers) {
  Answer(200, R"({"id":7})");
  Answer(200, R"({"id":8})");
  const auto registry = Make();
  EXPECT_EQ(*registry->IdOf("a b-value", R"("int")", "table t", {}), 7U);
  EXPECT_EQ(*registry->IdOf("a b-value", R"("int")", "table t", {}), 7U);
  EXPECT_EQ(*registry->IdOf("a b-value", R"("long")", "table t", {}), 8U);
  ASSERT_EQ(server_.RequestCount(), 2U);
  const HttpReceived request = server_.Requests()[0];
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.target, "/api/subjects/a%20b-value/versions");
  EXPECT_EQ(request.body, R"({"schema":"\"int\"","schemaType":"AVRO"})");
  EXPECT_EQ(request.Header("Content-Type"), "application/vnd.schemaregistry.v1+json");
  EXPECT_EQ(request.Header("Authorization"), "Basic bWU6aHVzaA==");
}

TEST_F(SchemaRegistryTest, WhatIsNotCompatibleSaysTheLevelAndWhatToDo) {
  Answer(409, R"({"error_code":409,"message":"field x was int"})");
  Answer(404, R"({"error_code":40401,"message":"no such subject"})");
  Answer(200, R"({"compatibilityLevel":"BACKWARD"})");
  const auto refused = Make()->IdOf("t-value", R"("int")", "table t", {});
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition);
  const std::string said(refused.status().message());
  EXPECT_THAT(said, HasSubstr("subject t-value"));
  EXPECT_THAT(said, HasSubstr("field x was int"));
  EXPECT_THAT(said, HasSubstr("compatibility level BACKWARD"));
  EXPECT_THAT(said, HasSubstr("PUT"));
  EXPECT_EQ(server_.Requests()[1].target, "/api/config/t-value");
}

TEST_F(SchemaRegistryTest, TriesAgainWhatMayPass) {
  Answer(503, "later");
  Answer(429, "");
  Answer(200, R"({"id":1})");
  EXPECT_EQ(*Make()->IdOf("t-value", R"("int")", "table t", {}), 1U);
  EXPECT_EQ(server_.RequestCount(), 3U);
}

TEST_F(SchemaRegistryTest, GivesUpForTheRuntimeToGoOn) {
  for (int i = 0; i < 5; ++i) Answer(500, "out of order");
  const auto failed = Make()->IdOf("t-value", R"("int")", "table t", {});
  EXPECT_EQ(failed.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(failed.status().message()), HasSubstr("out of order"));
}

TEST_F(SchemaRegistryTest, OnlyLooksWhereItMayNotRegister) {
  Answer(200, R"({"subject":"t-value","id":9,"version":2,"schema":"\"int\""})");
  Answer(404, R"({"error_code":40403,"message":"Schema not found"})");
  const auto registry = Make(false);
  EXPECT_EQ(*registry->IdOf("t-value", R"("int")", "table t", {}), 9U);
  EXPECT_EQ(server_.Requests()[0].target, "/api/subjects/t-value");
  const auto missing = registry->IdOf("t-value", R"("long")", "table t", {});
  EXPECT_EQ(missing.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(missing.status().message()), HasSubstr("register: true"));
}

TEST_F(SchemaRegistryTest, AWrongPasswordIsNotShown) {
  Answer(401, R"({"error_code":401,"message":"Unauthorized"})");
  const auto refused = Make()->IdOf("t-value", R"("int")", "table t", {});
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kUnauthenticated);
  EXPECT_THAT(std::string(refused.status().message()), Not(HasSubstr("hush")));
}

TEST_F(SchemaRegistryTest, AnAnswerThatIsNoneIsNoNumber) {
  Answer(200, "<html>");
  const auto refused = Make()->IdOf("t-value", R"("int")", "table t", {});
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("schema_registry.url"));
}

}  // namespace
}  // namespace pgflow::sinks
