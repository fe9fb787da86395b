#include "transformers/mask/regular_expression.h"

#include <random>
#include <regex>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/status.h"
#include "transformers/mask/column_mask_fixture_test.h"

namespace pgflow::transformers {
namespace {

using ::testing::HasSubstr;

RegularExpression Expression(std::string_view pattern) {
  auto made = RegularExpression::Make(pattern);
  EXPECT_TRUE(made.ok()) << made.status();
  return *std::move(made);
}

// "begin-end" of the match and its groups.
std::string Found(const RegularExpression& expression, std::string_view text) {
  RegularExpression::Scratch scratch;
  if (!expression.Find(text, 0, scratch)) return "none";
  std::string found;
  for (uint32_t i = 0; i <= expression.group_count(); ++i) {
    if (scratch.begin(i) == std::string_view::npos) {
      found += "- ";
    } else {
      found += fmt::format("{}-{} ", scratch.begin(i), scratch.end(i));
    }
  }
  return found;
}

std::string FoundByLibrary(const std::string& pattern, const std::string& text) {
  const std::regex expression(pattern, std::regex::ECMAScript);
  std::smatch match;
  if (!std::regex_search(text, match, expression)) return "none";
  std::string found;
  for (size_t i = 0; i < match.size(); ++i) {
    if (!match[i].matched) {
      found += "- ";
    } else {
      found += fmt::format("{}-{} ", match.position(i), match.position(i) + match.length(i));
    }
  }
  return found;
}

// Where both say the same of groups in repetitions: ECMAScript forgets them in each round.
TEST(RegularExpressionTest, FindsWhatTheLibraryFinds) {
  const std::vector<std::string> patterns = {"a",           "ab*",
                                             "a+?b",        "(a|ab)(c|bcd)?",
                                             "[ab]{2,3}",   "[^a]c",
                                             "^a",          "b$",
                                             "^$",          "(?:ab)+",
                                             "a??b",        "(a*)(b?)c",
                                             "\\bab\\b",    "\\d+",
                                             "\\w\\s\\w",   "a.c",
                                             "(a|b|cd){2}", "(?:a|ab)(?:c|b)*d",
                                             "[a-b]+?c$",   "\\S+ (\\S)",
                                             "a{0,2}b{2}",  "(?:a*|b)c",
                                             "[\\d\\-a]+",  "x|y|"};
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  for (const std::string& pattern : patterns) {
    const RegularExpression expression = Expression(pattern);
    for (int i = 0; i < 300; ++i) {
      std::string text;
      for (size_t size = random() % 9; size > 0; --size) text.push_back("abcd 1-"[random() % 7]);
      EXPECT_EQ(Found(expression, text), FoundByLibrary(pattern, text))
          << pattern << " in " << text;
    }
  }
}

TEST(RegularExpressionTest, KnowsCharactersBeyondAscii) {
  EXPECT_EQ(Found(Expression("ü."), "grüße"), "2-6 ");
  EXPECT_EQ(Found(Expression("[à-ü]+$"), "grüüü"), "2-8 ");
  EXPECT_EQ(Found(Expression("[^ü]"), "üx"), "2-3 ");
  EXPECT_EQ(Found(Expression("[[:alpha:]_]+"), "1ab_c"), "1-5 ");
  EXPECT_EQ(Found(Expression("[]a]+"), "x]a"), "1-3 ");
}

// What backtracking takes years for.
TEST(RegularExpressionTest, IsNeverSlow) {
  const std::string text(3000, 'a');
  EXPECT_EQ(Found(Expression("(?:a*)*b"), text), "none");
  EXPECT_EQ(Found(Expression("(?:a|aa)+$"), text), "0-3000 ");
}

TEST(RegularExpressionTest, SaysWhatIsWrong) {
  const auto problem = [](std::string_view pattern) {
    return std::string(base::Message(RegularExpression::Make(pattern).status()));
  };
  EXPECT_THAT(problem("a(b"), HasSubstr("at character 4: a ( without )"));
  EXPECT_THAT(problem("a)b"), HasSubstr("at character 2: a ) without ("));
  EXPECT_THAT(problem("[ab"), HasSubstr("a [ without ]"));
  EXPECT_THAT(problem("[b-a]"), HasSubstr("ends before it begins"));
  EXPECT_THAT(problem("*a"), HasSubstr("nothing to repeat"));
  EXPECT_THAT(problem("a**"), HasSubstr("second repetition"));
  EXPECT_THAT(problem("a{3,2}"), HasSubstr("in this order"));
  EXPECT_THAT(problem("a{1001}"), HasSubstr("a number up to 1000 must follow"));
  EXPECT_THAT(problem("(a)\\1"), HasSubstr("mean nothing"));
  EXPECT_THAT(problem("(?=a)"), HasSubstr("only (?:"));
  EXPECT_THAT(problem("a\\"), HasSubstr("nothing follows"));
  EXPECT_THAT(problem("(?:a{1000}){1000}"), HasSubstr("repeats too much"));
  EXPECT_THAT(problem(std::string(60, '(')), HasSubstr("too deep"));
}

class PatternMaskTest : public ColumnMaskTest {};

TEST_F(PatternMaskTest, MakesWhatThePatternFinds) {
  for (const std::string pattern : {"[A-Z]{2}-\\d{4,6}", "(?:red|green|blue) [^aeiou]+", "^x?y*z+$",
                                    "\\w{3}\\s\\S\\D", ".{5}|[ä-ü]{2}"}) {
    MaskRule rule = Rule(MaskKind::kRegexp);
    rule.pattern = pattern;
    Use(rule, oid::kText);
    const RegularExpression whole = Expression("^(?:" + pattern + ")$");
    std::set<std::string> seen;
    for (int i = 0; i < 3000; ++i) {
      const std::string made = Mask(std::to_string(i));
      ASSERT_NE(Found(whole, made), "none") << pattern << " made " << made;
      EXPECT_EQ(Mask(std::to_string(i)), made);
      seen.insert(made);
    }
    EXPECT_GT(seen.size(), 50U) << pattern;
  }
}

TEST_F(PatternMaskTest, ReplacesAllItFinds) {
  MaskRule rule = Rule(MaskKind::kRegexpReplace);
  const auto replace = [&](const std::string& pattern, const std::string& with) {
    rule.pattern = pattern;
    rule.replacement = with;
    Use(rule, oid::kText);
  };
  replace("(\\d{3})-(\\d{4})", "\\1-XXXX");
  EXPECT_EQ(Mask("call 555-1234 or 556-9876!"), "call 555-XXXX or 556-XXXX!");
  EXPECT_EQ(Mask("nothing"), "nothing");
  EXPECT_EQ(Mask(""), "");
  replace("[aeiou]", "<\\&>");
  EXPECT_EQ(Mask("grüße aus Ulm"), "grüß<e> <a><u>s Ulm");
  replace("x*", "-");
  EXPECT_EQ(Mask("axü"), "-a-ü-");
  replace("(a)|b", "[\\1\\\\]");
  EXPECT_EQ(Mask("abc"), "[a\\][\\]c");
  replace("a", "ää");
  Use(rule, oid::kVarchar, 4 + 3);
  EXPECT_EQ(Mask("xaa"), "xää");
}

TEST_F(PatternMaskTest, RefusesWhatCannotBe) {
  MaskRule rule = Rule(MaskKind::kRegexp);
  EXPECT_THAT(Refusal(rule, oid::kText), HasSubstr("regexp needs pattern"));
  rule.pattern = "a^b";
  EXPECT_THAT(Refusal(rule, oid::kText), HasSubstr("it does not match itself"));
  rule.pattern = "a{5}";
  EXPECT_THAT(Refusal(rule, oid::kVarchar, 4 + 4), HasSubstr("may make 5 characters, at most 4"));
  EXPECT_THAT(Refusal(rule, oid::kInt4), HasSubstr("gives no values of this type"));
  EXPECT_THAT(Refusal(rule, oid::kText, -1, true), HasSubstr("the table's key"));
  rule.with = MaskKind::kRegexpReplace;
  EXPECT_THAT(Refusal(rule, oid::kText), HasSubstr("needs replacement"));
  rule.replacement = "\\1";
  EXPECT_THAT(Refusal(rule, oid::kText), HasSubstr("one of the 0 groups"));
  rule.replacement = "x\\";
  EXPECT_THAT(Refusal(rule, oid::kText), HasSubstr("behind \\ must be"));
}

}  // namespace
}  // namespace pgflow::transformers
