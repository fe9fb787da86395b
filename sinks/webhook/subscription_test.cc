#include "sinks/webhook/subscription.h"

#include <gtest/gtest.h>

#include "engine/testing/event_builder.h"

namespace pgflow::sinks {
namespace {

// What passes, described.
std::vector<std::string> Passing(const SubscriptionConfig& config, engine::EventBuilder& builder,
                                 std::string_view script) {
  absl::StatusOr<Subscription> subscription = Subscription::Make(config);
  EXPECT_TRUE(subscription.ok()) << subscription.status();
  engine::Batch batch = builder.StreamBatch(script);
  std::vector<std::string> passing;
  const std::span<const engine::ChangeEvent> events = *batch.Events();
  for (const engine::ChangeEvent& event : events) {
    const absl::StatusOr<bool> wanted = subscription->Wants(event);
    EXPECT_TRUE(wanted.ok());
    if (*wanted) passing.push_back(engine::Describe(event));
  }
  return passing;
}

TEST(SubscriptionTest, ChoosesTablesAndOperations) {
  engine::EventBuilder builder;
  builder.Table("public.orders (id int4 key)");
  builder.Table("audit.log (id int4 key)");
  const std::string script =
      "begin\n insert orders 1\n insert log 1\n delete orders 1\n truncate orders\n commit";
  EXPECT_EQ(Passing({}, builder, script).size(), 4U);
  SubscriptionConfig config;
  config.tables = {"public.*"};
  config.operations = {"insert", "truncate"};
  EXPECT_EQ(Passing(config, builder, script).size(), 2U);
}

TEST(SubscriptionTest, PassesUpdatesOfTheChosenColumns) {
  engine::EventBuilder builder;
  builder.Table("public.orders (id int4, status text, note text) full");
  SubscriptionConfig config;
  config.changed_columns = {"status", "no_such_column"};
  EXPECT_EQ(Passing(config, builder, R"(
      begin
      insert orders 1 new a
      update orders full(1 new a) 1 paid a
      update orders full(1 paid a) 1 paid b
      update orders full(1 paid a) 1 null b
      update orders full(1 paid a) 1 unchanged b
      delete orders full(1 null b)
      commit)")
                .size(),
            4U);
}

TEST(SubscriptionTest, PassesUpdatesWhoseOldRowIsNotKnown) {
  engine::EventBuilder builder;
  builder.Table("public.orders (id int4 key, status text)");
  SubscriptionConfig config;
  config.changed_columns = {"status"};
  const std::string script =
      "begin\n update orders 1 paid\n update orders 1 unchanged\n update orders old(1) 2 paid\n "
      "commit";
  EXPECT_EQ(Passing(config, builder, script).size(), 2U);
  config.changed_columns = {"id"};
  EXPECT_EQ(Passing(config, builder, script).size(), 1U) << "only the one that changed its key";
}

TEST(SubscriptionTest, PassesWhatFulfilsTheCondition) {
  engine::EventBuilder builder;
  builder.Table("public.orders (id int4, status text, total numeric) full");
  SubscriptionConfig config;
  config.when = "total > 100 and old.status is distinct from status";
  EXPECT_EQ(Passing(config, builder, R"(
      begin
      insert orders 1 new 100.5
      insert orders 2 new 99
      update orders full(1 new 200) 1 new 300
      update orders full(1 new 200) 1 paid 300
      update orders full(1 new 200) 1 null null
      truncate orders
      commit)"),
            (std::vector<std::string>{"insert public.orders 1 new 100.5",
                                      "update public.orders full(1 new 200) 1 paid 300",
                                      "truncate public.orders"}));
  config.changed_columns = {"total"};
  config.when = "status = 'paid'";
  EXPECT_EQ(Passing(config, builder, R"(
      begin
      update orders full(1 new 200) 1 paid 200
      update orders full(1 new 200) 1 paid 300
      commit)")
                .size(),
            1U);
}

TEST(SubscriptionTest, PassesWhatTheConditionCannotJudge) {
  engine::EventBuilder builder;
  builder.Table("public.orders (id int4 key, status text, note text)");
  SubscriptionConfig config;
  config.when = "old.status <> status or note = 'x'";
  EXPECT_EQ(Passing(config, builder, "begin\n update orders old(1) 2 paid a\n commit").size(), 1U);
  config.when = "note = 'x'";
  EXPECT_EQ(Passing(config, builder,
                    "begin\n update orders 1 paid unchanged\n update orders 1 paid y\n"
                    " delete orders 1\n commit")
                .size(),
            2U);
}

TEST(SubscriptionTest, NamesTheTableThatDoesNotFitTheCondition) {
  engine::EventBuilder builder;
  builder.Table("public.log (line text)");
  SubscriptionConfig config;
  config.when = "total > 100";
  absl::StatusOr<Subscription> subscription = Subscription::Make(config);
  ASSERT_TRUE(subscription.ok());
  engine::Batch batch = builder.StreamBatch("begin\n insert log x\n commit");
  const absl::Status status = subscription->Wants((*batch.Events())[0]).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(status.message().find("public.log"), absl::string_view::npos) << status;
  EXPECT_FALSE(subscription->CheckTable(*builder.FindTable("public.log")).ok());
}

TEST(SubscriptionTest, RefusesWhatItDoesNotKnow) {
  SubscriptionConfig when;
  when.when = "total >";
  EXPECT_FALSE(Subscription::Make(when).ok());
  SubscriptionConfig tables;
  tables.tables = {"orders"};
  EXPECT_FALSE(Subscription::Make(tables).ok());
  SubscriptionConfig operations;
  operations.operations = {"upsert"};
  EXPECT_FALSE(Subscription::Make(operations).ok());
  operations.operations = {};
  EXPECT_FALSE(Subscription::Make(operations).ok());
}

}  // namespace
}  // namespace pgflow::sinks
