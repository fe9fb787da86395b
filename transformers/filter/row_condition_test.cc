#include "transformers/filter/row_condition.h"

#include <gtest/gtest.h>

#include "expressions/decimal.h"

namespace pgflow::transformers {
namespace {

using expressions::CompareNumbers;
using expressions::IsNumber;

TEST(CompareNumbers, IsExact) {
  EXPECT_EQ(CompareNumbers("1", "1.000"), 0);
  EXPECT_EQ(CompareNumbers("-0", "0.00"), 0);
  EXPECT_EQ(CompareNumbers("1e+20", "100000000000000000000"), 0);
  EXPECT_EQ(CompareNumbers("1.5e-07", "0.00000015"), 0);
  EXPECT_LT(CompareNumbers("9007199254740992", "9007199254740993"), 0);
  EXPECT_LT(CompareNumbers("9", "10"), 0);
  EXPECT_LT(CompareNumbers("-10", "-9"), 0);
  EXPECT_LT(CompareNumbers("-1", "0"), 0);
  EXPECT_LT(CompareNumbers("0.099", "0.1"), 0);
  EXPECT_GT(CompareNumbers("NaN", "Infinity"), 0);
  EXPECT_EQ(CompareNumbers("NaN", "NaN"), 0);
  EXPECT_GT(CompareNumbers("Infinity", "1e+308"), 0);
  EXPECT_LT(CompareNumbers("-Infinity", "-1e+308"), 0);
}

TEST(CompareNumbers, KnowsWhatIsNone) {
  for (const std::string_view text : {"", "-", ".", "1e", "abc", "1,5", "0x10", "1 "}) {
    EXPECT_FALSE(IsNumber(text)) << text;
  }
  EXPECT_TRUE(IsNumber(".5"));
  EXPECT_TRUE(IsNumber("+5."));
}

schemas::TableSchema Schema() {
  schemas::TableSchema schema;
  schema.table = {"public", "t"};
  const auto add = [&](std::string name, postgres::Oid type) {
    schema.columns.emplace_back();
    schema.columns.back().name = std::move(name);
    schema.columns.back().type = type;
  };
  add("amount", 1700);
  add("name", 25);
  add("ok", 16);
  return schema;
}

Truth Evaluate(const ConditionConfig& config, std::string_view text,
               schemas::ValueKind kind = schemas::ValueKind::kText) {
  EXPECT_TRUE(RowCondition::Validate(config).ok());
  const absl::StatusOr<RowCondition> condition = RowCondition::Bind(config, Schema());
  EXPECT_TRUE(condition.ok()) << condition.status();
  return *condition->Evaluate({text.data(), static_cast<uint32_t>(text.size()), kind});
}

TEST(RowCondition, ComparesByType) {
  EXPECT_EQ(Evaluate({"amount", Comparison::kGreater, "9", {}}, "10.0"), Truth::kTrue);
  EXPECT_EQ(Evaluate({"amount", Comparison::kIn, {}, {"1", "10"}}, "10.00"), Truth::kTrue);
  EXPECT_EQ(Evaluate({"name", Comparison::kGreater, "9", {}}, "10.0"), Truth::kFalse);
  EXPECT_EQ(Evaluate({"name", Comparison::kNotEqual, "a", {}}, "b"), Truth::kTrue);
  EXPECT_EQ(Evaluate({"ok", Comparison::kEqual, "true", {}}, "t"), Truth::kTrue);
  EXPECT_EQ(Evaluate({"ok", Comparison::kEqual, "true", {}}, std::string(1, '\1'),
                     schemas::ValueKind::kBinary),
            Truth::kTrue);
}

TEST(RowCondition, NullAndUnchanged) {
  constexpr auto kNull = schemas::ValueKind::kNull;
  constexpr auto kUnchanged = schemas::ValueKind::kUnchanged;
  EXPECT_EQ(Evaluate({"name", Comparison::kEqual, "", {}}, "", kNull), Truth::kFalse);
  EXPECT_EQ(Evaluate({"name", Comparison::kNotEqual, "", {}}, "", kNull), Truth::kFalse);
  EXPECT_EQ(Evaluate({"name", Comparison::kIsNull, {}, {}}, "", kNull), Truth::kTrue);
  EXPECT_EQ(Evaluate({"name", Comparison::kIsNotNull, {}, {}}, "", kNull), Truth::kFalse);
  EXPECT_EQ(Evaluate({"name", Comparison::kIsNotNull, {}, {}}, "", kUnchanged), Truth::kTrue);
  EXPECT_EQ(Evaluate({"name", Comparison::kEqual, "x", {}}, "", kUnchanged), Truth::kUnknown);
}

TEST(RowCondition, ExplainsWhatIsWrong) {
  EXPECT_FALSE(RowCondition::Validate({"name", Comparison::kIn, "x", {}}).ok());
  EXPECT_FALSE(RowCondition::Validate({"name", Comparison::kIsNull, "x", {}}).ok());
  EXPECT_FALSE(RowCondition::Validate({"name", Comparison::kLess, {}, {}}).ok());
  const auto missing = RowCondition::Bind({"nope", Comparison::kEqual, "x", {}}, Schema());
  EXPECT_NE(missing.status().message().find("public.t has no column 'nope' (it has amount, name"),
            absl::string_view::npos);
  EXPECT_FALSE(RowCondition::Bind({"amount", Comparison::kEqual, "x", {}}, Schema()).ok());
  EXPECT_FALSE(RowCondition::Bind({"ok", Comparison::kEqual, "x", {}}, Schema()).ok());
}

}  // namespace
}  // namespace pgflow::transformers
