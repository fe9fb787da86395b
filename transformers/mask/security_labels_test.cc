#include "transformers/mask/security_labels.h"

#include "transformers/mask/mask_fixture_test.h"

namespace pgflow::transformers {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string KindOf(std::string_view label) {
  const absl::StatusOr<MaskRule> rule = RuleOfLabel(label);
  return rule.ok() ? MaskKindName(rule->with) : std::string(base::Message(rule.status()));
}

TEST(SecurityLabelsTest, FunctionsHaveTheirKinds) {
  EXPECT_EQ(KindOf("MASKED WITH FUNCTION anon.fake_first_name()"), "first_name");
  EXPECT_EQ(KindOf("masked with function anon.dummy_last_name ( )"), "last_name");
  EXPECT_EQ(KindOf("MASKED WITH FUNCTION anon.pseudo_email(seed_column)"), "email");
  EXPECT_EQ(KindOf("MASKED WITH FUNCTION random_zip()"), "postcode");
  EXPECT_EQ(KindOf("  MASKED  WITH\n FUNCTION \"anon\".fake_iban()"), "iban");
  EXPECT_EQ(KindOf("MASKED WITH FUNCTION anon.hash(name)"), "hash");
  EXPECT_EQ(KindOf("MASKED WITH FUNCTION anon.lorem_ipsum(words := 7)"), "paragraph");
  EXPECT_EQ(KindOf("NOT MASKED"), "keep");
  EXPECT_EQ(KindOf("MASKED WITH VALUE NULL"), "null");
}

TEST(SecurityLabelsTest, ArgumentsSayWhatToDo) {
  auto rule = RuleOfLabel("MASKED WITH FUNCTION anon.partial(phone, 2, $$***$$, 3)");
  ASSERT_TRUE(rule.ok()) << rule.status();
  EXPECT_EQ(rule->with, MaskKind::kPartial);
  EXPECT_EQ(rule->keep_first, 2);
  EXPECT_EQ(rule->keep_last, 3);
  EXPECT_EQ(rule->character, "*");

  rule = RuleOfLabel("MASKED WITH FUNCTION anon.random_int_between(1, 9)");
  ASSERT_TRUE(rule.ok()) << rule.status();
  EXPECT_EQ(rule->min, "1");
  EXPECT_EQ(rule->max, "9");

  rule = RuleOfLabel("MASKED WITH FUNCTION anon.dnoise(born, '2 years'::interval)");
  ASSERT_TRUE(rule.ok()) << rule.status();
  EXPECT_EQ(rule->shift, 2 * 365 * absl::Hours(24));

  rule = RuleOfLabel("MASKED WITH FUNCTION anon.noise(salary, 0.33)");
  ASSERT_TRUE(rule.ok()) << rule.status();
  EXPECT_EQ(rule->ratio, 0.33);

  rule = RuleOfLabel("MASKED WITH FUNCTION anon.random_in(ARRAY['a, (b)', 'it''s'])");
  ASSERT_TRUE(rule.ok()) << rule.status();
  EXPECT_THAT(rule->values, ElementsAre("a, (b)", "it's"));

  for (const char* label : {"MASKED WITH VALUE 'it''s'", "MASKED WITH VALUE $$it's$$",
                            "MASKED WITH VALUE $x$it's$x$", "MASKED WITH VALUE 'it''s'::text"}) {
    rule = RuleOfLabel(label);
    ASSERT_TRUE(rule.ok()) << rule.status();
    EXPECT_EQ(rule->with, MaskKind::kConstant);
    EXPECT_EQ(rule->value, "it's") << label;
  }
  EXPECT_EQ(RuleOfLabel("MASKED WITH VALUE false")->value, "false");
  rule = RuleOfLabel("MASKED WITH VALUE 42");
  ASSERT_TRUE(rule.ok()) << rule.status();
  EXPECT_EQ(rule->value, "42");
}

// What is not understood must never count as "not masked".
TEST(SecurityLabelsTest, WhatHasNoKindIsRefused) {
  for (const char* label :
       {"MASKED WITH FUNCTION anon.my_own(name)", "MASKED WITH FUNCTION anon.partial(a, 1)",
        "MASKED WITH FUNCTION anon.partial(a, 1, $$*-$$, 1)", "MASKED WITH FUNCTION md5(name) || 1",
        "MASKED WITH VALUE", "MASKED WITH VALUE 'a' || 'b'", "MASKED", "NOT MASKED AT ALL", "x", "",
        "MASKED WITH FUNCTION anon.fake_city() || name", "MASKED WITH FUNCTION anon.fake_city(",
        "MASKED WITH FUNCTION anon.random_in(ARRAY['a'", "MASKED WITH VALUE 'open",
        "MASKED WITH FUNCTION anon.dnoise(born, 'P1Y')", "MASKED WITH VALUE CURRENT_DATE",
        "MASKED WITH VALUE date '2020-01-01'", "MASKED WITH VALUE CASE WHEN a THEN 'x' END"}) {
    EXPECT_THAT(KindOf(label), HasSubstr("has no kind of mask here")) << label;
  }
}

TEST_F(MaskTest, AColumnWhoseLabelNobodyKnowsIsNotShown) {
  const auto mask = Make(R"(
security_labels: true
rules:
  - {table: "*", column: id, with: keep}
  - {table: public.users, column: last, with: keep})");
  EXPECT_THAT(Stream(*mask, "begin\n insert users 1 ann secret a\n insert log 7 note\n commit"),
              ElementsAre("insert public.users 1 null null a", "insert audit.log 7 null"));
  // NULL is no key.
  const auto alone = Make("security_labels: true");
  EXPECT_THAT(Stream(*alone, "begin\n insert log 7 note\n commit"),
              ElementsAre(HasSubstr("table audit.log, column 'id': the catalog does not know it")));
}

}  // namespace
}  // namespace pgflow::transformers
