#include "transformers/rename/rename_transformer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/testing/event_builder.h"

namespace pgflow::transformers {
namespace {

using ::testing::ElementsAre;

class RenameTest : public testing::Test {
 protected:
  RenameTest() {
    builder_.Table("public.users (id int4 key, mail text)");
    builder_.Table("public.orders (id int4 key)");
    builder_.Table("audit.log (id int4 key)");
  }

  static std::unique_ptr<engine::Transformer> Make(RenameConfig config) {
    auto made = RenameTransformer::Make(std::move(config));
    EXPECT_TRUE(made.ok()) << made.status();
    return *std::move(made);
  }

  engine::EventBuilder builder_;
};

TEST_F(RenameTest, RenamesTablesSchemasAndColumns) {
  auto rename = Make({.tables = {{"public.users", "customers"}, {"audit.log", "old.entries"}},
                      .schemas = {{"public", "shop"}},
                      .columns = {{"public.users.mail", "email"}}});
  engine::Batch batch = builder_.StreamBatch(
      "begin\n insert users 1 a\n insert orders 2\n insert log 3\n delete users 1\n commit");
  ASSERT_TRUE(rename->Transform(batch).ok());
  EXPECT_THAT(engine::Describe(batch),
              ElementsAre("insert public.customers 1 a", "insert shop.orders 2",
                          "insert old.entries 3", "delete public.customers 1"));
  const auto renamed = *rename->TransformSchema(builder_.FindTable("users"));
  EXPECT_EQ(renamed->columns[1].name, "email");
  EXPECT_EQ(renamed->columns[1].attribute_number, 2);
  const std::span<const engine::ChangeEvent> events = *batch.Events();
  EXPECT_EQ(events[0].schema, renamed.get());
}

TEST_F(RenameTest, RenamesByPattern) {
  auto rename = Make({.tables = {{"public.*", "shop.*_copy"}, {"public.orders", "sales"}},
                      .schemas = {},
                      .columns = {{"public.*.id", "key"}, {"public.orders.id", "number"}}});
  engine::Batch batch =
      builder_.StreamBatch("begin\n insert users 1 a\n insert orders 2\n insert log 3\n commit");
  ASSERT_TRUE(rename->Transform(batch).ok());
  EXPECT_THAT(engine::Describe(batch), ElementsAre("insert shop.users_copy 1 a",
                                                   "insert public.sales 2", "insert audit.log 3"));
  EXPECT_EQ((*rename->TransformSchema(builder_.FindTable("users")))->columns[0].name, "key");
  EXPECT_EQ((*rename->TransformSchema(builder_.FindTable("orders")))->columns[0].name, "number");
  rename = Make({.tables = {}, .schemas = {}, .columns = {{"*.*.mail", "email"}}});
  EXPECT_EQ((*rename->TransformSchema(builder_.FindTable("users")))->columns[1].name, "email");
  EXPECT_EQ(*rename->TransformSchema(builder_.FindTable("log")), builder_.FindTable("log"));
  EXPECT_FALSE(RenameTransformer::Make({{{"public.*", "*_*"}}, {}, {}}).ok());
  EXPECT_FALSE(RenameTransformer::Make({{{"public.a", "*"}}, {}, {}}).ok());
}

TEST_F(RenameTest, ChecksItsRules) {
  const auto rename = Make({.tables = {{"public.users", "a"}, {"public.user", "b"}},
                            .schemas = {{"audit", "c"}, {"odd", "d"}},
                            .columns = {{"public.nope.id", "e"}}});
  const std::vector<schemas::TableSchemaPtr> tables = {builder_.FindTable("users"),
                                                       builder_.FindTable("log")};
  std::vector<std::string> subjects;
  for (const engine::Finding& finding : rename->Check(tables)) subjects.push_back(finding.subject);
  EXPECT_THAT(subjects, ElementsAre("table public.user", "table odd.*", "table public.nope"));
}

TEST_F(RenameTest, KeepsTheRawRowsOfASnapshot) {
  auto rename = Make({.tables = {{"public.users", "customers"}}, .schemas = {}, .columns = {}});
  engine::Batch rows = builder_.Snapshot("users", "1 a", engine::CopyFormat::kBinary);
  ASSERT_TRUE(rename->Transform(rows).ok());
  ASSERT_NE(rows.raw_rows(), nullptr);
  EXPECT_EQ(rows.raw_rows()->schema->table.name, "customers");
  EXPECT_THAT(engine::Describe(rows), ElementsAre("read public.customers 1 a"));
}

TEST_F(RenameTest, LeavesOtherTablesAlone) {
  auto rename = Make({.tables = {{"public.users", "customers"}}, .schemas = {}, .columns = {}});
  EXPECT_EQ(*rename->TransformSchema(builder_.FindTable("log")), builder_.FindTable("log"));
}

TEST_F(RenameTest, ExplainsWhatIsWrong) {
  const auto status = [&](RenameConfig config) {
    return Make(std::move(config))->TransformSchema(builder_.FindTable("users")).status();
  };
  EXPECT_NE(status({{}, {}, {{"public.users.nope", "x"}}}).message().find("no column 'nope'"),
            absl::string_view::npos);
  EXPECT_NE(status({{}, {}, {{"public.users.mail", "id"}}}).message().find("the name 'id'"),
            absl::string_view::npos);
  EXPECT_FALSE(RenameTransformer::Make({}).ok());
  EXPECT_FALSE(RenameTransformer::Make({{{"users", "x"}}, {}, {}}).ok());
  EXPECT_FALSE(RenameTransformer::Make({{{"public.users", "x."}}, {}, {}}).ok());
  EXPECT_FALSE(RenameTransformer::Make({{}, {}, {{"users.mail", "x"}}}).ok());
  EXPECT_EQ(RenameType().describe().fields.size(), 3U);
}

}  // namespace
}  // namespace pgflow::transformers
