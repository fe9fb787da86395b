#include "engine/api/batch.h"

#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace pgflow::engine {
namespace {

Batch TextRows(const std::string& lines, size_t columns) {
  auto schema = std::make_shared<schemas::TableSchema>();
  schema->table = {"public", "t"};
  schema->columns.resize(columns);
  return Batch(CopyRows{std::move(schema), CopyFormat::kText, lines, 1});
}

TEST(BatchTest, UnescapesCopyText) {
  Batch batch = TextRows("a\\tb\\\\\t\\N\t\n", 3);
  const absl::StatusOr<std::span<const ChangeEvent>> events = batch.Events();
  ASSERT_TRUE(events.ok()) << events.status();
  ASSERT_EQ(events->size(), 1u);
  std::vector<schemas::Value> values;
  events->front().after.Decode(values);
  EXPECT_EQ(values[0].view(), "a\tb\\");
  EXPECT_TRUE(values[1].is_null());
  EXPECT_EQ(values[2].kind, schemas::ValueKind::kText);
  EXPECT_EQ(values[2].size, 0u);
}

TEST(BatchTest, ALineWithAnotherNumberOfColumnsIsRefused) {
  for (const char* line : {"a\n", "a\tb\tc\n", "a\tb\t\n", "a\tb"}) {
    Batch batch = TextRows(line, 2);
    EXPECT_EQ(batch.Events().status().code(), absl::StatusCode::kDataLoss) << line;
  }
}

TEST(BatchTest, ATableWithoutColumnsHasRows) {
  Batch batch = TextRows("\n\n", 0);
  ASSERT_TRUE(batch.Events().ok());
  EXPECT_EQ(batch.row_count(), 1u);  // As the source counted; the index has both.
  EXPECT_EQ(batch.Events()->size(), 2u);
}

TEST(BatchTest, ChangedRowsAreNoLongerRaw) {
  Batch batch = TextRows("a\n", 1);
  EXPECT_NE(batch.raw_rows(), nullptr);
  ASSERT_TRUE(batch.Events().ok());
  EXPECT_NE(batch.raw_rows(), nullptr);
  ASSERT_TRUE(batch.MutableEvents().ok());
  EXPECT_EQ(batch.raw_rows(), nullptr);
}

}  // namespace
}  // namespace pgflow::engine
