#include "transformers/project/project_transformer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/testing/event_builder.h"

namespace pgflow::transformers {
namespace {

using ::testing::ElementsAre;

class ProjectTest : public testing::Test {
 protected:
  ProjectTest() {
    builder_.Table("public.users (name text, id int4 key, secret text)");
    builder_.Table("public.full_users (id int4 key, secret text, name text) full");
    builder_.Table("audit.log (id int4 key)");
  }

  static std::unique_ptr<engine::Transformer> Make(std::vector<std::string> tables,
                                                   std::vector<std::string> include,
                                                   std::vector<std::string> exclude) {
    auto made =
        ProjectTransformer::Make({std::move(tables), std::move(include), std::move(exclude)});
    EXPECT_TRUE(made.ok()) << made.status();
    return *std::move(made);
  }

  engine::EventBuilder builder_;
};

TEST_F(ProjectTest, DropsColumnsOfAllImages) {
  auto project = Make({"public.*"}, {}, {"secret"});
  engine::Batch batch = builder_.StreamBatch(R"(
      begin
      insert users ann 1 x
      update users old(1) ann 2 unchanged
      update full_users full(1 x ann) 1 y bob
      delete users 2
      truncate users, log
      insert log 7
      commit)");
  ASSERT_TRUE(project->Transform(batch).ok());
  EXPECT_THAT(engine::Describe(batch),
              ElementsAre("insert public.users ann 1", "update public.users old(1) ann 2",
                          "update public.full_users full(1 ann) 1 bob", "delete public.users 2",
                          "truncate public.users", "truncate audit.log", "insert audit.log 7"));
}

TEST_F(ProjectTest, DerivesOneSchemaATable) {
  auto project = Make({"public.users"}, {"id", "name"}, {});
  const auto derived = *project->TransformSchema(builder_.FindTable("users"));
  ASSERT_EQ(derived->columns.size(), 2U);
  EXPECT_EQ(derived->columns[0].name, "name");
  EXPECT_EQ(derived->columns[1].attribute_number, 2);
  EXPECT_EQ(*project->TransformSchema(builder_.FindTable("users")), derived);
  EXPECT_EQ(*project->TransformSchema(builder_.FindTable("log")), builder_.FindTable("log"));
  engine::Batch batch = builder_.StreamBatch("begin\n insert users ann 1 x\n commit");
  ASSERT_TRUE(project->Transform(batch).ok());
  const std::span<const engine::ChangeEvent> events = *batch.Events();
  EXPECT_EQ(events[0].schema, derived.get());
}

TEST_F(ProjectTest, ProjectsSnapshotRows) {
  auto project = Make({"public.users"}, {"id"}, {});
  for (const auto format : {engine::CopyFormat::kText, engine::CopyFormat::kBinary}) {
    engine::Batch rows = builder_.Snapshot("users", "ann 1 x\nbob 2 null", format);
    ASSERT_TRUE(project->Transform(rows).ok());
    EXPECT_EQ(rows.raw_rows(), nullptr);
    EXPECT_THAT(engine::Describe(rows), ElementsAre("read public.users 1", "read public.users 2"));
    EXPECT_EQ((*rows.Events())[0].schema->columns.size(), 1U);
  }
  engine::Batch rows = builder_.Snapshot("log", "1");
  ASSERT_TRUE(project->Transform(rows).ok());
  EXPECT_NE(rows.raw_rows(), nullptr);
}

TEST_F(ProjectTest, KeepsTheKey) {
  const auto status = [&](std::vector<std::string> exclude, std::string_view table) {
    return Make({"public.*"}, {}, std::move(exclude))
        ->TransformSchema(builder_.FindTable(table))
        .status();
  };
  EXPECT_NE(status({"id"}, "users").message().find("'id' of table public.users is part of"),
            absl::string_view::npos);
  EXPECT_TRUE(status({"id"}, "full_users").ok());
  EXPECT_NE(status({"nope"}, "users").message().find("no column 'nope' (it has name, id, secret)"),
            absl::string_view::npos);
  EXPECT_FALSE(status({"id", "secret", "name"}, "full_users").ok());
}

TEST_F(ProjectTest, RefusesAContradictoryConfiguration) {
  EXPECT_FALSE(ProjectTransformer::Make({{"public.*"}, {}, {}}).ok());
  EXPECT_FALSE(ProjectTransformer::Make({{"public.*"}, {"a"}, {"b"}}).ok());
  EXPECT_FALSE(ProjectTransformer::Make({{"users"}, {"a"}, {}}).ok());
  EXPECT_EQ(ProjectType().describe().fields.size(), 3U);
}

}  // namespace
}  // namespace pgflow::transformers
