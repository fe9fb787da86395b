#include "sinks/opensearch/index_shape.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/status.h"
#include "engine/testing/event_builder.h"

namespace pgflow::sinks {
namespace {

using testing::HasSubstr;
using Kind = ShapeChange::Kind;

IndexShape Shape(const std::string& declaration, const std::vector<int16_t>& key = {}) {
  engine::EventBuilder builder;
  const auto shape = MakeIndexShape(*builder.Table(declaration), key, {}, {});
  EXPECT_TRUE(shape.ok()) << shape.status();
  return *shape;
}

ShapeChange Compare(const IndexShape& before, const IndexShape& after) {
  const auto change = CompareShapes(before.meta, before.properties, after);
  EXPECT_TRUE(change.ok()) << change.status();
  return *change;
}

TEST(IndexShapeTest, TellsWhatAMappingCanFollow) {
  const IndexShape before = Shape("public.t (id int4 key, a text, b int2)");
  EXPECT_EQ(Compare(before, before).kind, Kind::kNone);
  // The mapping stays, and what is remembered of the types changes.
  EXPECT_EQ(Compare(before, Shape("public.t (id int4 key, a varchar, b int8)")).kind, Kind::kAdd);
  const ShapeChange added =
      Compare(before, Shape("public.t (id int4 key, a text, b int2, c bool)"));
  EXPECT_EQ(added.kind, Kind::kAdd);
  EXPECT_EQ(added.added.dump(), R"({"c":{"type":"boolean"}})");
  const ShapeChange renamed = Compare(before, Shape("public.t (id int4 key, x text, b int2)"));
  EXPECT_EQ(renamed.kind, Kind::kRebuild);
  ASSERT_EQ(renamed.edits.renamed.size(), 1U);
  EXPECT_EQ(renamed.edits.renamed[0].second, "\"x\"");
  EXPECT_EQ(Compare(before, Shape("public.t (id int4 key, a numeric, b int2)")).kind,
            Kind::kRebuild);
  const ShapeChange gone = Compare(before, Shape("public.t (id int4 key, a text)"));
  EXPECT_EQ(gone.kind, Kind::kRemove);
  EXPECT_EQ(gone.edits.removed, std::vector<std::string>{"\"b\""});
}

TEST(IndexShapeTest, TellsWhatBecomesOfTheDocuments) {
  IndexShape before = Shape("public.t (id int4 key, a int4)");
  before.meta.defaults[3] = "2026-01-31 12:00:00+00";
  const ShapeChange added = Compare(before, Shape("public.t (id int4 key, a text, t timestamptz)"));
  EXPECT_EQ(added.kind, Kind::kRebuild);
  ASSERT_EQ(added.edits.added.size(), 1U);
  EXPECT_EQ(added.edits.added[0].second, "\"2026-01-31T12:00:00Z\"");
  EXPECT_EQ(added.edits.texts, std::vector<std::string>{"\"a\""});
  // Rounded there, and nobody says to what.
  const IndexShape numeric = Shape("public.t (id int4 key, a numeric)");
  EXPECT_FALSE(
      CompareShapes(numeric.meta, numeric.properties, Shape("public.t (id int4 key, a int8)"))
          .ok());
}

TEST(IndexShapeTest, AnotherKeyIsAnError) {
  const IndexShape before = Shape("public.t (id int4 key, a int4)");
  const IndexShape after = Shape("public.t (id int4, a int4 key)");
  EXPECT_EQ(CompareShapes(before.meta, before.properties, after).status().code(),
            absl::StatusCode::kFailedPrecondition);
  // The whole row as identity, by the key that is known.
  const IndexShape full = Shape("public.t (id int4, a int4) full", {1});
  EXPECT_EQ(Compare(before, full).kind, Kind::kNone);
}

TEST(IndexShapeTest, RemembersItselfInTheMapping) {
  IndexMeta meta = Shape("public.t (id int4 key, a text)").meta;
  meta.done = {postgres::Lsn(0x1234), 2};
  meta.announced = {{1, "id"}, {3, "b"}};
  meta.former = {{"s", {postgres::Lsn(0x1200), 1}}};
  meta.loading = {{"index.refresh_interval", nullptr}};
  const auto read = IndexMeta::FromMapping({{"_meta", meta.ToJson()}});
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->columns, meta.columns);
  EXPECT_EQ(read->key, meta.key);
  EXPECT_EQ(read->done, meta.done);
  EXPECT_EQ(read->announced, meta.announced);
  EXPECT_EQ(read->former, meta.former);
  EXPECT_EQ(read->loading, meta.loading);
  EXPECT_TRUE(IndexMeta::FromMapping({{"properties", 1}})->columns.empty());
  EXPECT_FALSE(IndexMeta::FromMapping({{"_meta", {{"pgflow", {{"key", "x"}}}}}}).ok());
}

TEST(IndexShapeTest, WantsAKey) {
  EXPECT_TRUE(CheckKey(Shape("public.t (id int4 key)").plan).ok());
  EXPECT_FALSE(CheckKey(Shape("public.t (id int4) full").plan).ok());
}

}  // namespace
}  // namespace pgflow::sinks
