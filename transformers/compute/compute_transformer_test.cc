#include "transformers/compute/compute_transformer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/status.h"
#include "engine/testing/event_builder.h"

namespace pgflow::transformers {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
namespace oid = postgres::oid;

class ComputeTest : public testing::Test {
 protected:
  ComputeTest() {
    builder_.Table("public.people (id int4 key, first text, last text)");
    builder_.Table("public.full_people (id int4 key, first text, last text) full");
    builder_.Table("public.orders (id int4 key, price float8, quantity int4)");
    builder_.Table("audit.log (id int4 key)");
  }

  static ComputeConfig FullName() {
    ComputeConfig config;
    config.table = "public.*people";
    config.columns = {{"full_name", "first || ' ' || last"}};
    return config;
  }

  static std::unique_ptr<engine::Transformer> Make(ComputeConfig config) {
    auto made = ComputeTransformer::Make(std::move(config));
    EXPECT_TRUE(made.ok()) << made.status();
    return *std::move(made);
  }

  // The events, or the error alone.
  std::vector<std::string> Stream(ComputeConfig config, const std::string& script) {
    auto compute = Make(std::move(config));
    engine::Batch batch = builder_.StreamBatch("begin\n" + script + "\ncommit");
    const absl::Status status = compute->Transform(batch);
    culprit_ = base::Payload(status, engine::kCulpritPayload);
    if (!status.ok()) return {std::string(base::Message(status))};
    return engine::Describe(batch);
  }

  std::string Refusal(ComputeConfig config, std::string_view table) {
    const auto made = ComputeTransformer::Make(std::move(config));
    if (!made.ok()) return std::string(base::Message(made.status()));
    return std::string(base::Message((*made)->TransformSchema(builder_.FindTable(table)).status()));
  }

  engine::EventBuilder builder_;
  std::string culprit_;
};

TEST_F(ComputeTest, AddsColumnsToEveryRow) {
  EXPECT_THAT(
      Stream(FullName(), R"(
      insert people 1 ann lee
      insert people 2 ann null
      update people 3 bob lee
      update people old(4) 5 bob lee
      delete people 6
      update full_people full(7 ann lee) 7 ann day
      delete full_people full(8 bob lee)
      truncate people
      insert log 9)"),
      ElementsAre("insert public.people 1 ann lee 'ann lee'",
                  "insert public.people 2 ann null null",
                  "update public.people 3 bob lee 'bob lee'",
                  "update public.people old(4) 5 bob lee 'bob lee'", "delete public.people 6",
                  "update public.full_people full(7 ann lee 'ann lee') 7 ann day 'ann day'",
                  "delete public.full_people full(8 bob lee 'bob lee')", "truncate public.people",
                  "insert audit.log 9"));
}

TEST_F(ComputeTest, DerivesOneSchemaATable) {
  auto compute = Make(FullName());
  const auto derived = *compute->TransformSchema(builder_.FindTable("people"));
  ASSERT_EQ(derived->columns.size(), 4U);
  EXPECT_EQ(derived->columns[3].name, "full_name");
  EXPECT_EQ(derived->columns[3].type, oid::kText);
  EXPECT_EQ(derived->columns[3].type_name, "text");
  EXPECT_FALSE(derived->columns[3].identity);
  EXPECT_TRUE((*compute->TransformSchema(builder_.FindTable("full_people")))->columns[3].identity);
  EXPECT_EQ(*compute->TransformSchema(builder_.FindTable("people")), derived);
  EXPECT_EQ(*compute->TransformSchema(builder_.FindTable("log")), builder_.FindTable("log"));
  engine::Batch batch = builder_.StreamBatch("begin\n insert people 1 a b\n commit");
  ASSERT_TRUE(compute->Transform(batch).ok());
  const std::span<const engine::ChangeEvent> events = *batch.Events();
  EXPECT_EQ(events[0].schema, derived.get());
}

TEST_F(ComputeTest, ComputesInTheFormOfTheSnapshot) {
  ComputeConfig config;
  config.table = "public.orders";
  config.columns = {{"total", "price * quantity"}, {"many", "quantity > 5"}};
  auto compute = Make(config);
  for (const auto format : {engine::CopyFormat::kText, engine::CopyFormat::kBinary}) {
    engine::Batch rows = builder_.Snapshot("orders", "1 2.5 3\n2 null 7", format);
    ASSERT_TRUE(compute->Transform(rows).ok());
    EXPECT_THAT(engine::Describe(rows), ElementsAre("read public.orders 1 2.5 3 f 7.5",
                                                    "read public.orders 2 null 7 t null"));
    std::vector<schemas::Value> values;
    const std::span<const engine::ChangeEvent> events = *rows.Events();
    events[0].after.Decode(values);
    EXPECT_EQ(values[4].kind, values[0].kind);
    EXPECT_EQ(events[0].schema->columns[4].type, oid::kFloat8);
  }
  engine::Batch rows = builder_.Snapshot("log", "1");
  ASSERT_TRUE(compute->Transform(rows).ok());
  EXPECT_NE(rows.raw_rows(), nullptr);
}

TEST_F(ComputeTest, ReplacesOnlyWhatItIsToldTo) {
  ComputeConfig config;
  config.table = "public.people";
  config.replace = {{"first", "upper(last)"}, {"last", "first"}, {"id", "id + 100"}};
  EXPECT_THAT(Stream(config,
                     "insert people 1 ann lee\nupdate people old(1) 2 bob lee\n"
                     "delete people 2"),
              ElementsAre("insert public.people 101 LEE ann",
                          "update public.people old(101) 102 LEE bob", "delete public.people 102"));
  EXPECT_THAT(Refusal(FullName(), "people"), "");
  config.replace = {{"id", "length(first)"}};
  EXPECT_THAT(Refusal(config, "people"), HasSubstr("'id': it is part of the key, and 'first'"));
  config.replace = {{"first", "id"}};
  EXPECT_THAT(Refusal(config, "people"), HasSubstr("it is text, and its new value is integer"));
  config.types = {{"first", "bigint"}};
  EXPECT_EQ((*Make(config)->TransformSchema(builder_.FindTable("people")))->columns[1].type,
            oid::kInt8);
  config = FullName();
  config.columns = {{"first", "last"}};
  EXPECT_THAT(Refusal(config, "people"), HasSubstr("write it under `replace`"));
}

TEST_F(ComputeTest, LeavesOutWhatDidNotChange) {
  ComputeConfig config = FullName();
  config.columns = {{"named", "id || first"}};
  config.replace = {{"first", "lower(first)"}};
  EXPECT_THAT(Stream(config,
                     "update people 1 unchanged lee\n"
                     "update full_people full(1 Ann lee) 1 unchanged day"),
              ElementsAre("update public.people 1 unchanged lee unchanged",
                          "update public.full_people full(1 ann lee 1Ann) 1 ann day 1Ann"));
  // The key changed, so that what is made of it did.
  EXPECT_THAT(Stream(config, "update people old(1) 2 unchanged lee"),
              ElementsAre(HasSubstr("compute: table public.people, row (id) = (2), column 'named': "
                                    "'id || first' needs the column 'first', which the source did "
                                    "not send")));
  EXPECT_THAT(Stream(FullName(), "update people 1 unchanged lee"),
              ElementsAre(HasSubstr("set REPLICA IDENTITY FULL on the table")));
  EXPECT_EQ(culprit_, "0/300:0");
}

TEST_F(ComputeTest, NamesTheRowThatHasNoValue) {
  ComputeConfig config;
  config.table = "public.orders";
  config.columns = {{"ratio", "100 / quantity"}};
  EXPECT_THAT(Stream(config, "insert orders 1 2.5 3\ninsert orders 2 2.5 0"),
              ElementsAre("compute: table public.orders, row (id) = (2), column 'ratio': "
                          "'100 / quantity': at character 5: division by zero"));
}

TEST_F(ComputeTest, ChoosesTheType) {
  ComputeConfig config;
  config.table = "public.orders";
  config.columns = {{"total", "price * quantity"}};
  config.types = {{"total", "numeric"}};
  EXPECT_THAT(Stream(config, "insert orders 1 0.1 3"),
              ElementsAre("insert public.orders 1 0.1 3 0.3"));
  EXPECT_EQ((*Make(config)->TransformSchema(builder_.FindTable("orders")))->columns[3].type_name,
            "numeric");
}

TEST_F(ComputeTest, RefusesWhatItCannotDo) {
  ComputeConfig config = FullName();
  config.columns = {{"x", "first ||"}};
  EXPECT_THAT(Refusal(config, "people"), HasSubstr("columns.x: 'first ||': at character 9"));
  config.columns = {{"x", "old.first"}};
  EXPECT_THAT(Refusal(config, "people"), HasSubstr("columns.x: 'old.first': it may look at one"));
  config.columns = {{"x", "nope || 'a'"}};
  EXPECT_THAT(Refusal(config, "people"),
              HasSubstr("compute: table public.people, column 'x': 'nope || 'a'': at character 1: "
                        "table public.people has no column 'nope'"));
  config = FullName();
  config.types = {{"full_name", "money"}};
  EXPECT_THAT(Refusal(config, "people"), HasSubstr("types.full_name: 'money' is no type here"));
  config.types = {{"other", "text"}};
  EXPECT_THAT(Refusal(config, "people"), HasSubstr("'other' is neither one of `columns`"));
  config = {};
  config.table = "people";
  EXPECT_THAT(Refusal(config, "people"), HasSubstr("write 'public.people'"));
  config.table = "public.people";
  EXPECT_THAT(Refusal(config, "people"), HasSubstr("needs `columns` or `replace`"));
  EXPECT_EQ(ComputeType().describe().fields.size(), 4U);
}

}  // namespace
}  // namespace pgflow::transformers
