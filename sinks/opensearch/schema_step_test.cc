#include "sinks/opensearch/schema_step.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/status.h"
#include "engine/testing/event_builder.h"
#include "sinks/opensearch/index_shape.h"

namespace pgflow::sinks {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

schemas::TableSchema Table(const std::string& declaration) {
  engine::EventBuilder builder;
  return *builder.Table(declaration);
}

IndexShape Shape(const schemas::TableSchema& schema) {
  const auto shape = MakeIndexShape(schema, {}, {}, {});
  EXPECT_TRUE(shape.ok()) << shape.status();
  return *shape;
}

// As after a start, when the catalog is that of a later time.
schemas::TableSchema WithoutNumbers(schemas::TableSchema schema) {
  for (schemas::Column& column : schema.columns) column.attribute_number = 0;
  return schema;
}

std::vector<int16_t> Numbers(const IndexMeta& meta, const schemas::TableSchema& schema) {
  const auto numbered = NumberColumns(meta, schema);
  EXPECT_TRUE(numbered.ok()) << numbered.status();
  std::vector<int16_t> numbers;
  if (!numbered.ok()) return numbers;
  for (const schemas::Column& column : numbered->columns) {
    numbers.push_back(column.attribute_number);
  }
  return numbers;
}

std::string Message(const std::string& before, const std::string& after) {
  return R"({"tag":"ALTER TABLE","before":{"columns":[)" + before + R"(]},"after":{"columns":[)" +
         after + "]}}";
}
std::string Named(int number, const std::string& name, const std::string& more = "") {
  return R"({"number":)" + std::to_string(number) + R"(,"name":")" + name + "\"" + more + "}";
}

TEST(SchemaStepTest, RowsOfBeforeKeepTheirColumns) {
  const schemas::TableSchema schema = Table("public.t (id int4 key, a text, b text)");
  const IndexMeta meta = Shape(schema).meta;
  EXPECT_THAT(Numbers(meta, schema), ElementsAre(1, 2, 3));
  EXPECT_THAT(Numbers(meta, WithoutNumbers(schema)), ElementsAre(1, 2, 3));
  // Told by the catalog alone: another column of the same name.
  schemas::TableSchema again = schema;
  again.columns[2].attribute_number = 4;
  EXPECT_THAT(Numbers(meta, again), ElementsAre(1, 2, 4));
  // Had it come before the row, a message would have told of it.
  again.changes_told = true;
  EXPECT_THAT(Numbers(meta, again), ElementsAre(1, 2, 3));
  EXPECT_THAT(Numbers({}, WithoutNumbers(schema)), ElementsAre(-1, -2, -3));
}

TEST(SchemaStepTest, WhatNobodyKnowsIsRefused) {
  const IndexMeta meta = Shape(Table("public.t (id int4 key, a text, b text)")).meta;
  EXPECT_THAT(Numbers(meta, Table("public.t (id int4 key, a text, x text)")), ElementsAre(1, 2, 3));
  // One more is an addition, whatever its number.
  EXPECT_THAT(
      Numbers(meta, WithoutNumbers(Table("public.t (id int4 key, a text, b text, c text)"))),
      ElementsAre(1, 2, 3, -1));
  EXPECT_THAT(Numbers(meta, WithoutNumbers(Table("public.t (id int4 key, a text)"))),
              ElementsAre(1, 2));
  for (const char* unclear :
       {"public.t (id int4 key, a text, x text)", "public.t (id int4 key, b text, a text)"}) {
    const auto numbered = NumberColumns(meta, WithoutNumbers(Table(unclear)));
    EXPECT_EQ(numbered.status().code(), absl::StatusCode::kFailedPrecondition) << unclear;
    EXPECT_THAT(std::string(base::Message(numbered.status())), HasSubstr("pgflow refresh"));
  }
}

TEST(SchemaStepTest, NamesFollowEachCommand) {
  const IndexShape shape = Shape(Table("public.t (id int4 key, a text, b int8)"));
  IndexMeta meta = shape.meta;
  json properties = shape.properties;
  const auto follow = [&](const std::string& before, const std::string& after) {
    return FollowColumns(ReadColumnsChange(Message(before, after)), meta, properties);
  };
  const std::string id = Named(1, "id") + ",";
  // a and b exchange their names.
  follow(id + Named(2, "a") + "," + Named(3, "b"), id + Named(2, "c") + "," + Named(3, "b"));
  follow(id + Named(2, "c") + "," + Named(3, "b"), id + Named(2, "c") + "," + Named(3, "a"));
  const FieldEdits last =
      follow(id + Named(2, "c") + "," + Named(3, "a"), id + Named(2, "b") + "," + Named(3, "a"));
  EXPECT_THAT(last.renamed, ElementsAre(Pair("\"c\"", "\"b\"")));
  EXPECT_EQ(properties["a"]["type"], "long");
  EXPECT_EQ(properties["b"]["type"], "text");
  EXPECT_FALSE(properties.contains("c"));
  EXPECT_THAT(Numbers(meta, WithoutNumbers(Table("public.t (id int4 key, b text, a int8)"))),
              ElementsAre(1, 2, 3));
  // a goes, and another a comes with a value in older rows.
  const FieldEdits gone = follow(id + Named(2, "b") + "," + Named(3, "a"), id + Named(2, "b"));
  EXPECT_THAT(gone.removed, ElementsAre("\"a\""));
  const FieldEdits added =
      follow(id + Named(2, "b"), id + Named(2, "b") + "," + Named(4, "a", R"(,"missing":"7")"));
  EXPECT_TRUE(added.empty());
  EXPECT_THAT(meta.defaults, ElementsAre(Pair(4, "7")));
  EXPECT_THAT(Numbers(meta, WithoutNumbers(Table("public.t (id int4 key, b text, a int8)"))),
              ElementsAre(1, 2, 4));
  // It goes again before a row had it.
  follow(id + Named(2, "b") + "," + Named(4, "a"), id + Named(2, "b"));
  EXPECT_THAT(meta.defaults, IsEmpty());
}

TEST(SchemaStepTest, ACommandGivesTheNumbersThatNoRowHad) {
  const schemas::TableSchema schema = WithoutNumbers(Table("public.t (id int4 key, a text)"));
  const auto numbered = NumberColumns({}, schema);
  ASSERT_TRUE(numbered.ok()) << numbered.status();
  const IndexShape shape = Shape(*numbered);
  IndexMeta meta = shape.meta;
  json properties = shape.properties;
  FollowColumns(ReadColumnsChange(Message(Named(1, "id") + "," + Named(5, "a"),
                                          Named(1, "id") + "," + Named(5, "b"))),
                meta, properties);
  EXPECT_THAT(meta.key, ElementsAre(1));
  EXPECT_EQ(meta.columns.at(5).name, "b");
}

TEST(SchemaStepTest, ReadsWhatACommandIsAbout) {
  EXPECT_TRUE(ReadColumnsChange(R"({"tag":"CREATE TABLE","before":null,"after":{}})").creates);
  const ColumnsChange drop = ReadColumnsChange(R"({"tag":"DROP TABLE","before":{},"after":null})");
  EXPECT_FALSE(drop.creates);
  EXPECT_TRUE(drop.drops);
  EXPECT_TRUE(ReadColumnsChange(R"({"tag":"DROP TABLE","before":{}})").drops);
  EXPECT_TRUE(ReadColumnsChange("{").after.empty());
}

}  // namespace
}  // namespace pgflow::sinks
