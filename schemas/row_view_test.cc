#include "schemas/row_view.h"

#include <string>

#include <gtest/gtest.h>

#include "base/bytes.h"

namespace pgflow::schemas {
namespace {

std::string TupleOf(std::initializer_list<std::pair<char, std::string>> columns) {
  std::string bytes;
  base::AppendBigEndian<uint16_t>(bytes, static_cast<uint16_t>(columns.size()));
  for (const auto& [kind, text] : columns) {
    bytes.push_back(kind);
    if (kind == 'n' || kind == 'u') continue;
    base::AppendBigEndian<uint32_t>(bytes, static_cast<uint32_t>(text.size()));
    bytes += text;
  }
  return bytes;
}

TEST(RowViewTest, DecodesATuple) {
  const std::string bytes = TupleOf({{'t', "abc"}, {'n', ""}, {'u', ""}, {'b', ""}});
  ASSERT_EQ(RowView::ValidateTuple(bytes + "rest"), bytes.size());
  std::vector<Value> values;
  RowView::Tuple(bytes).Decode(values);
  ASSERT_EQ(values.size(), 4u);
  EXPECT_EQ(values[0].kind, ValueKind::kText);
  EXPECT_EQ(values[0].view(), "abc");
  EXPECT_TRUE(values[1].is_null());
  EXPECT_TRUE(values[2].is_unchanged());
  EXPECT_EQ(values[3].kind, ValueKind::kBinary);
  EXPECT_EQ(values[3].size, 0u);
}

TEST(RowViewTest, EveryCutTupleIsRefused) {
  const std::string bytes = TupleOf({{'t', "abc"}, {'n', ""}, {'b', "xy"}});
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(RowView::ValidateTuple(std::string_view(bytes).substr(0, size)).has_value())
        << size;
  }
  std::string wrong = bytes;
  wrong[2] = 'z';
  EXPECT_FALSE(RowView::ValidateTuple(wrong).has_value());
}

TEST(RowViewTest, DecodesACopyTuple) {
  std::string bytes;
  base::AppendBigEndian<uint16_t>(bytes, 2);
  base::AppendBigEndian<int32_t>(bytes, -1);
  base::AppendBigEndian<int32_t>(bytes, 2);
  bytes += "hi";
  ASSERT_EQ(RowView::ValidateCopyBinary(bytes), bytes.size());
  std::vector<Value> values;
  RowView::CopyBinary(bytes).Decode(values);
  EXPECT_TRUE(values[0].is_null());
  EXPECT_EQ(values[1].view(), "hi");
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(RowView::ValidateCopyBinary(std::string_view(bytes).substr(0, size)).has_value());
  }
  EXPECT_FALSE(RowView::ValidateCopyBinary("\xff\xff").has_value());  // The trailer.
}

}  // namespace
}  // namespace pgflow::schemas
