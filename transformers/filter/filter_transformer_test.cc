#include "transformers/filter/filter_transformer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/testing/event_builder.h"

namespace pgflow::transformers {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class FilterTest : public testing::Test {
 protected:
  FilterTest() {
    builder_.Table("public.orders (id int4 key, status text, note text)");
    builder_.Table("public.full_orders (id int4 key, status text, note text) full");
    builder_.Table("audit.log (id int4 key)");
  }

  std::vector<std::string> Stream(FilterConfig config, const std::string& script) {
    auto filter = FilterTransformer::Make(std::move(config));
    EXPECT_TRUE(filter.ok()) << filter.status();
    batch_.emplace(builder_.StreamBatch("begin\n" + script + "\ncommit"));
    const absl::Status status = (*filter)->Transform(*batch_);
    EXPECT_TRUE(status.ok()) << status;
    return engine::Describe(*batch_);
  }

  std::vector<bool> Lenient() {
    std::vector<bool> lenient;
    std::span<const engine::ChangeEvent> events = *batch_->Events();
    for (const engine::ChangeEvent& event : events) lenient.push_back(event.catch_up);
    return lenient;
  }

  static FilterConfig Paid() {
    FilterConfig config;
    config.where = {{"status", Comparison::kEqual, "paid", {}}};
    return config;
  }

  engine::EventBuilder builder_;
  std::optional<engine::Batch> batch_;
};

TEST_F(FilterTest, ChoosesTables) {
  FilterConfig config;
  config.tables = {.include = {"public.*"}, .exclude = {"*.full_*"}};
  EXPECT_THAT(Stream(config, "insert orders 1 a b\ninsert full_orders 1 a b\ninsert log 1"),
              ElementsAre("insert public.orders 1 a b"));
  auto filter = *FilterTransformer::Make(config);
  EXPECT_EQ(*filter->TransformSchema(builder_.FindTable("log")), nullptr);
  EXPECT_EQ(*filter->TransformSchema(builder_.FindTable("orders")), builder_.FindTable("orders"));
}

TEST_F(FilterTest, KeepsATruncateTogether) {
  FilterConfig config;
  config.tables.exclude = {"audit.*"};
  EXPECT_THAT(Stream(config, "truncate orders, full_orders, log"),
              ElementsAre("truncate public.orders", "truncate public.full_orders"));
  const std::span<const engine::ChangeEvent> events = *batch_->Events();
  EXPECT_TRUE(events[0].truncate_more);
  EXPECT_FALSE(events[1].truncate_more);
}

TEST_F(FilterTest, ChoosesOperations) {
  FilterConfig config;
  config.operations = {"insert", "delete"};
  config.for_tables = {"public.orders"};
  EXPECT_THAT(
      Stream(config,
             "insert orders 1 a b\nupdate orders 1 b b\ndelete orders 1\n"
             "truncate orders\ntruncate log"),
      ElementsAre("insert public.orders 1 a b", "delete public.orders 1", "truncate audit.log"));
}

TEST_F(FilterTest, ChoosesRowsByTheirNewState) {
  FilterConfig config = Paid();
  config.for_tables = {"public.*"};
  EXPECT_THAT(Stream(config, "insert orders 1 paid x\ninsert orders 2 open x\ninsert log 1"),
              ElementsAre("insert public.orders 1 paid x", "insert audit.log 1"));
}

TEST_F(FilterTest, SeesRowsMoveWithAFullBeforeImage) {
  FilterConfig config = Paid();
  EXPECT_THAT(
      Stream(config,
             "update full_orders full(1 open x) 1 paid unchanged\n"
             "update full_orders full(2 paid x) 2 open x\n"
             "update full_orders full(3 paid x) 3 paid y\n"
             "update full_orders full(4 open x) 4 open y\n"
             "delete full_orders full(5 open x)\n"
             "delete full_orders full(6 paid x)"),
      ElementsAre("insert public.full_orders 1 paid x", "delete public.full_orders full(2 paid x)",
                  "update public.full_orders full(3 paid x) 3 paid y",
                  "delete public.full_orders full(6 paid x)"));
  EXPECT_THAT(Lenient(), ElementsAre(false, false, false, false));
}

TEST_F(FilterTest, LosesNothingWhenTheOldRowIsNotKnown) {
  EXPECT_THAT(Stream(Paid(),
                     "update orders 1 paid x\n"
                     "update orders 2 open x\n"
                     "update orders old(3) 4 paid x\n"
                     "update orders old(5) 6 open x\n"
                     "update orders 7 paid unchanged\n"
                     "update orders 8 unchanged x\n"
                     "delete orders 9"),
              ElementsAre("insert public.orders 1 paid x", "delete public.orders 2",
                          "delete public.orders 3", "insert public.orders 4 paid x",
                          "delete public.orders 5", "update public.orders 7 paid unchanged",
                          "update public.orders 8 unchanged x", "delete public.orders 9"));
  EXPECT_THAT(Lenient(), ElementsAre(true, true, true, true, true, false, true, true));
}

TEST_F(FilterTest, IsExactForConditionsOnTheKey) {
  FilterConfig config;
  config.where = {{"id", Comparison::kLess, "10", {}}};
  EXPECT_THAT(Stream(config,
                     "update orders 1 a b\nupdate orders 11 a b\nupdate orders old(1) 11 a b\n"
                     "update orders old(11) 1 a b\ndelete orders 1\ndelete orders 11"),
              ElementsAre("update public.orders 1 a b", "delete public.orders 1",
                          "insert public.orders 1 a b", "delete public.orders 1"));
  EXPECT_THAT(Lenient(), ElementsAre(false, false, false, false));
}

TEST_F(FilterTest, FiltersSnapshotRows) {
  auto filter = *FilterTransformer::Make(Paid());
  engine::Batch rows = builder_.Snapshot("orders", "1 paid x\n2 open x");
  ASSERT_TRUE(filter->Transform(rows).ok());
  EXPECT_THAT(engine::Describe(rows), ElementsAre("read public.orders 1 paid x"));

  FilterConfig config;
  config.operations = {"insert"};
  filter = *FilterTransformer::Make(config);
  rows = builder_.Snapshot("orders", "1 paid x");
  ASSERT_TRUE(filter->Transform(rows).ok());
  EXPECT_THAT(engine::Describe(rows), IsEmpty());
  EXPECT_EQ(rows.raw_rows(), nullptr);
}

TEST_F(FilterTest, LeavesRawRowsOfOtherTables) {
  FilterConfig config = Paid();
  config.for_tables = {"public.orders"};
  auto filter = *FilterTransformer::Make(config);
  engine::Batch rows = builder_.Snapshot("log", "1");
  ASSERT_TRUE(filter->Transform(rows).ok());
  EXPECT_NE(rows.raw_rows(), nullptr);
}

TEST_F(FilterTest, RefusesWhatItCannotDo) {
  FilterConfig config;
  config.operations = {"upsert"};
  EXPECT_EQ(FilterTransformer::Make(config).status().code(), absl::StatusCode::kInvalidArgument);
  config.operations = {};
  config.tables.include = {"orders"};
  EXPECT_EQ(FilterTransformer::Make(config).status().code(), absl::StatusCode::kInvalidArgument);
  auto filter = *FilterTransformer::Make(Paid());
  EXPECT_EQ(filter->TransformSchema(builder_.FindTable("log")).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(FilterTest, DescribesItsOptions) { EXPECT_EQ(FilterType().describe().fields.size(), 5U); }

TEST_F(FilterTest, WhenOnOneRowIsMembership) {
  FilterConfig config;
  config.when = "new.status = 'paid' and id < 10";
  EXPECT_THAT(Stream(config, R"(
      insert orders 1 paid x
      insert orders 2 open x
      insert orders 3 null x
      update orders 4 paid x
      update orders 5 open x
      update full_orders full(6 open x) 6 paid x
      update full_orders full(7 paid x) 7 open x
      update full_orders full(8 open x) 8 null x
      delete orders 9
      delete orders 10
      delete full_orders full(9 open x)
      delete full_orders full(9 paid x)
      update orders 1 unchanged y)"),
              ElementsAre("insert public.orders 1 paid x", "insert public.orders 4 paid x",
                          "delete public.orders 5", "insert public.full_orders 6 paid x",
                          "delete public.full_orders full(7 paid x)", "delete public.orders 9",
                          "delete public.full_orders full(9 paid x)",
                          "update public.orders 1 unchanged y"));
  EXPECT_THAT(Lenient(), ElementsAre(false, true, true, false, false, true, false, true));
}

TEST_F(FilterTest, WhenOnTheChangeLetsItPassOrNot) {
  FilterConfig config;
  config.when = "old.status is distinct from new.status and operation <> 'delete'";
  EXPECT_THAT(
      Stream(config, R"(
      insert orders 1 paid x
      insert orders 2 null x
      update orders 3 paid x
      update full_orders full(4 open x) 4 paid x
      update full_orders full(5 open x) 5 open y
      update full_orders full(6 open x) 6 unchanged y
      delete full_orders full(7 open x)
      truncate orders)"),
      ElementsAre("insert public.orders 1 paid x", "update public.orders 3 paid x",
                  "update public.full_orders full(4 open x) 4 paid x", "truncate public.orders"));
  config.when = "old.status = 'open' and operation = 'delete'";
  EXPECT_THAT(Stream(config, "delete orders 1\nupdate orders 2 open x"),
              ElementsAre("delete public.orders 1"));
  EXPECT_THAT(Lenient(), ElementsAre(true));
}

TEST_F(FilterTest, WhenIsChecked) {
  FilterConfig config;
  config.when = "status =";
  EXPECT_THAT(FilterTransformer::Make(config).status().ToString(),
              testing::HasSubstr("when: 'status =': at character 9: syntax error"));
  config.when = "state = 'x'";
  auto filter = *FilterTransformer::Make(config);
  EXPECT_THAT(filter->TransformSchema(builder_.FindTable("orders")).status().ToString(),
              testing::HasSubstr("table public.orders has no column 'state'"));
}

}  // namespace
}  // namespace pgflow::transformers
