#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/status.h"
#include "sinks/opensearch/index_name.h"

namespace pgflow::sinks {
namespace {

using schemas::Value;
using schemas::ValueKind;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

Value Text(std::string_view text) {
  return {text.data(), static_cast<uint32_t>(text.size()), ValueKind::kText};
}

std::string Id(std::vector<std::string_view> values) {
  std::vector<Value> row;
  std::vector<KeyPart> key;
  for (size_t i = 0; i < values.size(); ++i) {
    row.push_back(Text(values[i]));
    key.push_back({i, FindTypeText(postgres::oid::kText)});
  }
  std::string id;
  AppendDocumentId(key, row, id);
  return id;
}

TEST(IndexNameTest, FillsInTheTable) {
  EXPECT_EQ(*IndexName("{table}", {"public", "Orders"}), "orders");
  EXPECT_EQ(*IndexName("shop-{schema}.{table}", {"My Schema", "a*b"}), "shop-my_schema.a_b");
  EXPECT_EQ(*IndexName("{table}", {"public", "größe"}), "größe");
  EXPECT_FALSE(IndexName("{table}", {"public", "_hidden"}).ok());
  EXPECT_FALSE(IndexName("{table}", {"public", std::string(300, 'x')}).ok());
}

TEST(IndexNameTest, TellsWhatATemplateMayNotBe) {
  EXPECT_TRUE(ValidateIndexTemplate("index", "x-{schema}-{table}").ok());
  for (const char* bad : {"", "Upper", "a b", "{tabel}", "{table", "-x", "_x", "a#b", "a:b"}) {
    EXPECT_EQ(ValidateIndexTemplate("index", bad).code(), absl::StatusCode::kInvalidArgument)
        << bad;
  }
}

TEST(IndexNameTest, CountsGenerations) {
  EXPECT_EQ(GenerationName("orders", 12), "orders-000012");
  EXPECT_EQ(GenerationOf("orders", "orders-000012"), 12U);
  EXPECT_EQ(GenerationOf("orders", "orders-12"), 0U);
  EXPECT_EQ(GenerationOf("orders", "other-000012"), 0U);
}

TEST(FieldNameTest, AvoidsWhatTheServerReadsOtherwise) {
  EXPECT_EQ(FieldName("title"), "title");
  EXPECT_EQ(FieldName("a.b"), "a_b");
  EXPECT_EQ(FieldName("_id"), "col_id");
  EXPECT_EQ(FieldName("  "), "col_2");
}

TEST(DocumentIdTest, IsTheKeyItselfWhereItCanBe) {
  EXPECT_EQ(Id({"7"}), "7");
  EXPECT_EQ(Id({"a|b"}), "a|b");
  EXPECT_EQ(Id({"a", "b"}), "a|b");
}

TEST(DocumentIdTest, DifferentKeysHaveDifferentIds) {
  EXPECT_NE(Id({"a|b", "c"}), Id({"a", "b|c"}));
  EXPECT_NE(Id({"a\\", "b"}), Id({"a", "\\b"}));
  EXPECT_NE(Id({"", "a"}), Id({"\\0", "a"}));
  EXPECT_EQ(Id({""}), "\\0");
  const std::string longer(600, 'x');
  EXPECT_NE(Id({longer}), Id({longer + "y"}));
  EXPECT_NE(Id({longer, "a"}), Id({longer, "b"}));
  EXPECT_NE(Id({"\xff"}), Id({"\xfe"}));
}

TEST(DocumentIdTest, HasAtMost512Bytes) {
  const std::string longest(512, 'x');
  EXPECT_EQ(Id({longest}), longest);
  const std::string shortened = Id({longest + "x"});
  EXPECT_LE(shortened.size(), kDocumentIdBytesMax);
  EXPECT_THAT(shortened, StartsWith("xxxx"));
  EXPECT_THAT(shortened, HasSubstr("\\#"));
  std::string umlauts;
  for (int i = 0; i < 400; ++i) umlauts += "ä";
  for (const char* shift : {"", "a"}) {
    const std::string id = Id({shift + umlauts});
    EXPECT_LE(id.size(), kDocumentIdBytesMax);
    EXPECT_NE(static_cast<unsigned char>(id[id.find("\\#") - 1]), 0xC3);  // Whole characters.
  }
}

}  // namespace
}  // namespace pgflow::sinks
