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
