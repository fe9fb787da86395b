// Values that are moved: how far, and that they stay what their column takes.
#include <cmath>
#include <random>
#include <set>

#include <fmt/format.h>

#include "transformers/mask/column_mask_fixture_test.h"

namespace pgflow::transformers {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;

class NoiseTest : public ColumnMaskTest {
 protected:
  NoiseTest() : seed_(std::random_device()()), random_(seed_), trace_(__FILE__, 1, seed_) {}

  static MaskRule Ratio(double ratio) {
    MaskRule rule = Rule(MaskKind::kNoise);
    rule.ratio = ratio;
    return rule;
  }
  static MaskRule Absolute(double absolute) {
    MaskRule rule = Rule(MaskKind::kNoise);
    rule.absolute = absolute;
    return rule;
  }

  const unsigned seed_;
  std::mt19937_64 random_;
  testing::ScopedTrace trace_;
};

TEST_F(NoiseTest, MovesByItsPart) {
  Use(Ratio(0.1), oid::kInt4);
  int up = 0;
  int moved = 0;
  for (int i = 0; i < 5000; ++i) {
    const auto given = static_cast<int>(random_() % 2'000'000) - 1'000'000;
    const int made = std::stoi(Mask(std::to_string(given)));
    ASSERT_LE(std::abs(made - given), std::abs(given) * 0.1 + 0.5) << given;
    EXPECT_EQ(std::to_string(made), Mask(std::to_string(given)));
    up += made > given ? 1 : 0;
    moved += made != given ? 1 : 0;
  }
  EXPECT_GT(moved, 4900);
  EXPECT_NEAR(up, 2500, 250);
  EXPECT_EQ(Mask("0"), "0");
}

TEST_F(NoiseTest, KeepsItsTypeAndBounds) {
  for (const postgres::Oid type : {oid::kInt2, oid::kInt4, oid::kInt8}) {
    Use(Absolute(1e15), type);
    for (int i = 0; i < 2000; ++i) Mask(std::to_string(static_cast<int16_t>(random_())));
    const std::string most = type == oid::kInt2   ? "32767"
                             : type == oid::kInt4 ? "2147483647"
                                                  : "9223372036854775807";
    EXPECT_EQ(Mask(most), Mask(most));
  }
  MaskRule rule = Absolute(1000);
  rule.min = "-5";
  rule.max = "7";
  std::set<int> seen;
  Use(rule, oid::kInt4);
  for (int i = 0; i < 2000; ++i) seen.insert(std::stoi(Mask(std::to_string(random_() % 100))));
  EXPECT_EQ(*seen.begin(), -5);
  EXPECT_EQ(*seen.rbegin(), 7);
  rule.max.reset();
  Use(rule, oid::kNumeric);
  for (int i = 0; i < 2000; ++i) {
    EXPECT_GE(std::stod(Mask(fmt::format("{}.50", random_() % 100))), -5);
  }
  rule.max = "-6";
  EXPECT_THAT(Refusal(rule, oid::kInt4), HasSubstr("no range of such numbers"));
}

TEST_F(NoiseTest, KeepsANumericsDigits) {
  Use(Ratio(0.5), oid::kNumeric, (5 << 16 | 2) + 4);
  for (int i = 0; i < 5000; ++i) {
    const std::string given = fmt::format("{}.{:02}", random_() % 1000, random_() % 100);
    const std::string made = Mask(given);
    ASSERT_THAT(made, MatchesRegex("[0-9]{1,3}[.][0-9]{2}")) << given;
    ASSERT_LE(std::stod(made), std::stod(given) * 1.5 + 0.01);
    ASSERT_GE(std::stod(made), std::stod(given) * 0.5 - 0.01);
  }
  Mask("NaN");
  EXPECT_EQ(outcome_, MaskOutcome::kKept);
  Use(Absolute(0.004), oid::kNumeric);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(Mask("0.00"), "0.00");
  Use(Absolute(5), oid::kNumeric, (2 << 16 | 2) + 4);  // 0.99 at most.
  for (int i = 0; i < 300; ++i) {
    ASSERT_THAT(Mask(fmt::format("0.{:02}", i % 100)), MatchesRegex("-?0[.][0-9]{2}"));
  }
}

TEST_F(NoiseTest, MovesFloats) {
  for (const postgres::Oid type : {oid::kFloat4, oid::kFloat8}) {
    Use(Ratio(0.25), type);
    for (int i = 0; i < 3000; ++i) {
      const double given = static_cast<double>(random_() % 100'000) / 8;  // Exact in both.
      const double made = std::stod(Mask(fmt::format("{}", given)));
      ASSERT_LE(std::abs(made - given), given * 0.2501);
    }
    Mask("NaN");
    EXPECT_EQ(outcome_, MaskOutcome::kKept);
  }
  Use(Ratio(1000), oid::kFloat4);
  EXPECT_THAT(Mask("3e+38"), testing::Not(HasSubstr("Inf")));
}

TEST_F(NoiseTest, MovesDates) {
  MaskRule rule = Rule(MaskKind::kNoise);
  rule.shift = absl::Hours(72);
  rule.min = "2020-06-14";
  Use(rule, oid::kDate);
  std::set<std::string> seen;
  for (int i = 1; i <= 30; ++i) {
    const std::string made = Mask(fmt::format("2020-06-{:02}", i));
    seen.insert(made);
    EXPECT_GE(made, "2020-06-14");
    EXPECT_TRUE(i <= 17 || std::abs(std::stoi(made.substr(8)) - i) % 27 <= 3) << made;
  }
  EXPECT_GT(seen.size(), 8U);
  Use(rule, oid::kTimestamptz);
  EXPECT_THAT(Mask("2020-06-17 12:00:00+00"), MatchesRegex("2020-06-(1[4-9]|20) .*[+]00"));
  EXPECT_EQ(Mask("2019-06-17 12:00:00+00"), "2020-06-14 00:00:00+00");
  EXPECT_THAT(Refusal(rule, oid::kInt4), HasSubstr("numbers take `ratio` or `absolute`"));
  rule.ratio = 1;
  EXPECT_THAT(Refusal(rule, oid::kDate), HasSubstr("one of `ratio`, `absolute` and `shift`"));
  EXPECT_THAT(Refusal(Ratio(1), oid::kDate), HasSubstr("dates and timestamps take `shift`"));
  EXPECT_THAT(Refusal(Rule(MaskKind::kNoise), oid::kInt4), HasSubstr("one of `ratio`"));
  EXPECT_THAT(Refusal(Ratio(1), oid::kInt4, -1, true), HasSubstr("the table's key"));
}

}  // namespace
}  // namespace pgflow::transformers
