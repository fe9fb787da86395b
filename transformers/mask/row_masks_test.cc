// Rules that look at more than their value: `when`, templates beside it, `random`, and the defaults
// of the mask.
#include <fstream>
#include <set>

#include "transformers/mask/mask_fixture_test.h"

namespace pgflow::transformers {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class RowMasksTest : public MaskTest {
 protected:
  RowMasksTest() {
    builder_.Table("public.people (id int4 key, country text, name text, note text)");
    builder_.Table("public.full_people (id int4 key, country text, name text, note text) full");
  }
};

constexpr std::string_view kByCountry = R"(
rules:
  - {table: public.*people, column: name, with: constant, value: D, when: "country = 'DE'"}
  - {table: public.*people, column: name, with: constant, value: E, when: "country = 'ES'"}
  - {table: public.*people, column: country, with: constant, value: XX})";

TEST_F(RowMasksTest, TheRowSaysWhichRuleCounts) {
  const auto mask = Make(std::string(kByCountry));
  EXPECT_THAT(Stream(*mask, R"(
      begin
      insert people 1 DE ann x
      insert people 2 ES ann x
      insert people 3 FR ann x
      insert people 4 null ann x
      insert people 5 DE null x
      update full_people full(1 DE ann x) 1 FR ann x
      delete full_people full(1 ES ann x)
      delete people 1
      commit)"),
              ElementsAre("insert public.people 1 XX D x", "insert public.people 2 XX E x",
                          "insert public.people 3 XX ann x", "insert public.people 4 null ann x",
                          "insert public.people 5 XX null x",
                          "update public.full_people full(1 XX D x) 1 XX ann x",
                          "delete public.full_people full(1 XX E x)", "delete public.people 1"));
}

TEST_F(RowMasksTest, SnapshotAndStreamAgree) {
  const auto mask = Make(std::string(kByCountry));
  const std::vector<std::string> streamed =
      Stream(*mask, "begin\n insert people 1 DE a x\n insert people 2 FR b x\n commit");
  for (const auto format : {engine::CopyFormat::kText, engine::CopyFormat::kBinary}) {
    engine::Batch rows = builder_.Snapshot("people", "1 DE a x\n2 FR b x", format);
    ASSERT_EQ(mask->Transform(rows), absl::OkStatus());
    const std::vector<std::string> read = engine::Describe(rows);
    ASSERT_EQ(read.size(), 2U);
    EXPECT_EQ(read[0].substr(4), streamed[0].substr(6));
    EXPECT_EQ(read[1].substr(4), streamed[1].substr(6));
  }
}

// What the condition looks at was not sent: the value is masked, and never shown by mistake.
TEST_F(RowMasksTest, WhatCannotBeToldIsMasked) {
  const auto mask = Make(std::string(kByCountry));
  EXPECT_THAT(Stream(*mask, R"(
      begin
      update people 3 unchanged ann x
      update full_people full(1 FR ann x) 1 unchanged bob x
      commit)"),
              ElementsAre("update public.people 3 unchanged D x",
                          "update public.full_people full(1 XX ann x) 1 unchanged bob x"));
}

// A large value that was not sent: the target has what the rule of the row before made of it.
TEST_F(RowMasksTest, UnsentValuesFollowTheirCondition) {
  const auto mask = Make(std::string(kByCountry));
  EXPECT_THAT(Stream(*mask, R"(
      begin
      update full_people full(1 DE ann x) 1 DE unchanged y
      update full_people full(1 FR ann x) 1 DE unchanged y
      update full_people full(1 DE ann x) 1 FR unchanged y
      commit)"),
              ElementsAre("update public.full_people full(1 XX D x) 1 XX unchanged y",
                          "update public.full_people full(1 XX ann x) 1 XX D y",
                          "update public.full_people full(1 XX D x) 1 XX ann y"));
  EXPECT_THAT(Stream(*mask, "begin\n update people 1 DE unchanged y\n commit"),
              ElementsAre(HasSubstr("column 'name': it holds a large value that did not change")));
  // The key alone decides, and it did not change.
  const auto by_key =
      Make("rules: [{table: public.people, column: name, with: 'null', when: 'id < 10'}]");
  EXPECT_THAT(Stream(*by_key, "begin\n update people 1 DE unchanged y\n commit"),
              ElementsAre("update public.people 1 DE unchanged y"));
}

TEST_F(RowMasksTest, TemplatesMayHaveConditions) {
  const auto mask = Make(R"(
rules:
  - table: public.*people
    column: note
    with: template
    value: "{name}@{country}.example"
    when: id < 10
  - {table: public.*people, column: note, with: "null", when: id < 20}
  - {table: public.*people, column: name, with: constant, value: N, when: "country = 'DE'"})");
  EXPECT_THAT(
      Stream(*mask, R"(
      begin
      insert people 1 DE ann secret
      insert people 2 FR ann secret
      insert people 11 FR ann secret
      insert people 21 FR ann public
      insert people 3 FR ann null
      update full_people full(1 DE ann x) 1 FR ann unchanged
      update full_people full(9 DE ann x) 10 DE ann unchanged
      commit)"),
      ElementsAre("insert public.people 1 DE N N@DE.example",
                  "insert public.people 2 FR ann ann@FR.example",
                  "insert public.people 11 FR ann null", "insert public.people 21 FR ann public",
                  "insert public.people 3 FR ann null",
                  "update public.full_people full(1 DE N N@DE.example) 1 FR ann "
                  "ann@FR.example",
                  "update public.full_people full(9 DE N N@DE.example) 10 DE N null"));
}

TEST_F(RowMasksTest, SaysWhatIsWrongWithACondition) {
  const auto problem = [](const std::string& rule) {
    return Problem("rules: [{table: public.people, column: name, with: 'null', when: \"" + rule +
                   "\"}]");
  };
  EXPECT_THAT(problem("country ="), HasSubstr("mask: when"));
  EXPECT_THAT(problem("old.country = 'DE'"), HasSubstr("looks at one row"));
  EXPECT_THAT(problem("operation = 'insert'"), HasSubstr("looks at one row"));
  const auto table_problem = [this](const std::string& column, const std::string& when) {
    const auto mask = Make("rules: [{table: public.people, column: " + column +
                           ", with: permute, when: \"" + when + "\"}]");
    return std::string(base::Message(mask->TransformSchema(builder_.FindTable("people")).status()));
  };
  EXPECT_THAT(table_problem("id", "id < 3"), HasSubstr("leave `when` out"));
  const auto mask =
      Make("rules: [{table: public.people, column: name, with: 'null', when: 'city = 1'}]");
  EXPECT_THAT(base::Message(mask->TransformSchema(builder_.FindTable("people")).status()),
              HasSubstr("city"));
}

TEST_F(RowMasksTest, ARulesOptionsAreNotForAllRules) {
  for (const char* option : {"random: true", "when: id < 3", "with: uuid"}) {
    EXPECT_THAT(Problem(std::string(option) + "\nrules: [{table: a.b, column: c, with: uuid}]"),
                HasSubstr("write them in the rules"));
  }
}

TEST_F(RowMasksTest, StrictWantsARuleWithoutACondition) {
  const std::string rules = R"(
strict: true
rules:
  - {table: public.people, column: name, with: "null", when: id < 3}
  - {table: public.people, column: "[icn]*", with: keep})";
  EXPECT_TRUE(Make(rules)->TransformSchema(builder_.FindTable("people")).ok());
  const auto mask = Make(rules +
                         "\n  - {table: public.full_people, column: name, with: \"null\", "
                         "when: id < 3}\n"
                         "  - {table: public.full_people, column: \"[icn][dou]*\", with: keep}");
  EXPECT_THAT(base::Message(mask->TransformSchema(builder_.FindTable("full_people")).status()),
              HasSubstr("column 'name' of table public.full_people has no rule without `when`"));
}

TEST_F(RowMasksTest, AMixedPermutationIsNotUnique) {
  builder_.Table("public.cards (id int4 key, number int4 unique, other int4 unique)");
  const auto mask = Make(R"(
rules:
  - {table: public.cards, column: number, with: keep, when: id < 10}
  - {table: public.cards, column: number, with: permute}
  - {table: public.cards, column: other, with: permute})");
  const schemas::TableSchemaPtr table = builder_.FindTable("cards");
  const std::vector<engine::Finding> findings = mask->Check({&table, 1});
  ASSERT_EQ(findings.size(), 1U);
  EXPECT_EQ(findings[0].subject, "table public.cards, column number");
}

TEST_F(RowMasksTest, RandomDrawsAnew) {
  const std::string rule =
      "rules: [{table: public.people, column: note, with: string, random: true}]";
  auto made = Parse(rule);
  ASSERT_TRUE(made.ok()) << made.status();  // It needs no key.
  std::set<std::string> seen;
  for (int i = 0; i < 200; ++i) {
    const std::vector<std::string> out =
        Stream(**made, "begin\n insert people 1 DE ann secret\n commit");
    ASSERT_EQ(out.size(), 1U);
    EXPECT_THAT(out[0], testing::MatchesRegex("insert public.people 1 DE ann [a-z0-9]{16}"));
    seen.insert(out[0]);
  }
  EXPECT_EQ(seen.size(), 200U);
  const std::vector<std::string> batch =
      Stream(**made, "begin\n insert people 1 DE a s\n insert people 1 DE a s\n commit");
  ASSERT_EQ(batch.size(), 2U);
  EXPECT_NE(batch[0], batch[1]);
  EXPECT_THAT(Stream(**made, "begin\n insert people 1 DE ann null\n commit"),
              ElementsAre("insert public.people 1 DE ann null"));

  const auto refusal = [this](const std::string& table, const std::string& column) {
    const auto mask = Make("rules: [{table: public." + table + ", column: " + column +
                           ", with: uuid, random: true}]");
    return std::string(base::Message(mask->TransformSchema(builder_.FindTable(table)).status()));
  };
  builder_.Table("public.tokens (id text key, note text)");
  builder_.Table("public.loose (id text, note text) full");
  EXPECT_THAT(refusal("tokens", "id"), HasSubstr("leave `random` out"));
  EXPECT_EQ(refusal("tokens", "note"), "");
  // Its rows are found by all of their values.
  EXPECT_THAT(refusal("loose", "note"), HasSubstr("leave `random` out"));
  EXPECT_THAT(Problem("rules: [{table: a.b, column: c, with: hash, random: true}]"),
              HasSubstr("hash does not take random"));
}

TEST_F(RowMasksTest, TheMasksLocaleIsTheRules) {
  const std::string rules = R"(
rules:
  - {table: public.people, column: name, with: country}
  - {table: public.people, column: note, with: country, locale: es}
  - {table: public.people, column: country, with: partial})";
  const auto german = Make("locale: de" + rules);
  const auto explicitly = Make(R"(
rules:
  - {table: public.people, column: name, with: country, locale: de}
  - {table: public.people, column: note, with: country, locale: es}
  - {table: public.people, column: country, with: partial})");
  const auto english = Make(rules);
  const std::string_view script = "begin\n insert people 1 DE ann ann\n commit";
  EXPECT_EQ(Stream(*german, script), Stream(*explicitly, script));
  EXPECT_NE(Stream(*german, script), Stream(*english, script));
  EXPECT_THAT(Problem("table: a.b\ncolumn: c\nwith: city\nlocale: fr"), HasSubstr("locale"));
}

TEST_F(RowMasksTest, ChoicesComeFromAFile) {
  const std::string path = testing::TempDir() + "mask_choices.txt";
  std::ofstream(path) << "red\r\ndark green\n";
  const auto mask =
      Make("rules: [{table: public.people, column: note, with: choice, file: '" + path + "'}]");
  std::string script = "begin\n";
  for (int i = 0; i < 40; ++i) script += " insert people 1 DE ann " + std::to_string(i) + "\n";
  const std::vector<std::string> out = Stream(*mask, script + " commit");
  const std::set<std::string> seen(out.begin(), out.end());
  EXPECT_THAT(seen, ElementsAre("insert public.people 1 DE ann 'dark green'",
                                "insert public.people 1 DE ann red"));
  std::ofstream(path) << "";
  const std::string begin = "rules: [{table: a.b, column: c, with: choice, ";
  EXPECT_THAT(Problem(begin + "file: '" + path + "'}]"), HasSubstr("is empty"));
  EXPECT_THAT(Problem(begin + "file: /none/such}]"), HasSubstr("/none/such"));
  EXPECT_THAT(Problem(begin + "file: x, values: [a]}]"), HasSubstr("one of the two"));
  EXPECT_THAT(Problem(begin.substr(0, begin.size() - 2) + "}]"), HasSubstr("needs values or file"));
}

}  // namespace
}  // namespace pgflow::transformers
