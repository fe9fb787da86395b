#include "base/config/yaml_reader.h"

#include <fstream>
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/status.h"

namespace pgflow::config {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::optional<std::string> FakeEnvironment(const std::string& name) {
  static const std::map<std::string, std::string> variables{
      {"HOST", "db1"}, {"EMPTY", ""}, {"YAML", "{a: b}"}};
  const auto found = variables.find(name);
  if (found == variables.end()) return std::nullopt;
  return found->second;
}

// The text of the value under `v`, or the problems.
std::string Resolve(const std::string& yaml) {
  Problems problems("p.yaml");
  const Node root = ParseYaml(yaml, "p.yaml", problems, FakeEnvironment);
  return problems.empty() ? root.Find("v").text() : problems.ToString();
}

TEST(YamlReaderTest, KnowsThePlaceOfEveryNode) {
  Problems problems;
  const Node root = ParseYaml("a:\n  b: [x, yy]\n  c:\nd: 1\n", "f.yaml", problems);
  ASSERT_TRUE(problems.empty());
  EXPECT_THAT(root.keys(), ElementsAre("a", "d"));
  const Node item = root.Find("a").Find("b").items().at(1);
  EXPECT_EQ(item.text(), "yy");
  EXPECT_EQ(item.line(), 2);
  EXPECT_EQ(item.column(), 10);
  EXPECT_EQ(item.path(), "a.b[1]");
  EXPECT_EQ(item.file(), "f.yaml");
  const Node nothing = root.Find("a").Find("c");
  EXPECT_TRUE(nothing.is_null());
  EXPECT_EQ(nothing.line(), 3);
  EXPECT_TRUE(root.Find("x").is_absent());
}

TEST(YamlReaderTest, ResolvesReferences) {
  EXPECT_EQ(Resolve("v: ${HOST}"), "db1");
  EXPECT_EQ(Resolve("v: \"http://${HOST}:${PORT:-80}/${EMPTY}\""), "http://db1:80/");
  EXPECT_EQ(Resolve("v: ${EMPTY:-x}"), "x");
  EXPECT_EQ(Resolve("v: ${NONE:-}"), "");
  EXPECT_EQ(Resolve("v: $${HOST} $HOST"), "${HOST} $HOST");
  EXPECT_EQ(Resolve("v: ${YAML}"), "{a: b}");
  const std::string path = ::testing::TempDir() + "pgflow_reference";
  std::ofstream(path) << "secret\n";
  EXPECT_EQ(Resolve("v: ${file:" + path + "}"), "secret");
}

TEST(YamlReaderTest, ReportsReferencesThatLeadNowhere) {
  EXPECT_EQ(Resolve("a: 1\nv: ${NONE}"),
            "p.yaml:2:4: environment variable NONE is not set; set it, or give a default with "
            "${NONE:-default}");
  EXPECT_THAT(Resolve("v: ${file:/nowhere}"),
              HasSubstr("p.yaml:1:4: ${file:/nowhere}: cannot read /nowhere: No such file"));
  EXPECT_THAT(Resolve("v: ${file:/tmp}"), HasSubstr("cannot read /tmp"));
  EXPECT_THAT(Resolve("v: ${a b}"), HasSubstr("is no reference"));
  EXPECT_THAT(Resolve("v: 'x${HOST'"), HasSubstr("'${' without '}'"));
}

TEST(YamlReaderTest, ReportsDuplicateKeysAndSyntax) {
  EXPECT_EQ(Resolve("v: 1\na: {x: 1}\nv: 2\n"),
            "p.yaml:3:1: 'v' is written twice; the first time in line 1");
  EXPECT_THAT(Resolve("v: [1, 2\nb: 3\n"), HasSubstr("p.yaml:2:2: not valid YAML: "));
  EXPECT_THAT(Resolve("v: \tx: y: z"), HasSubstr("p.yaml:1:"));
  EXPECT_THAT(Resolve("? [a]\n: b\n"), HasSubstr("a key must be a plain text"));
}

TEST(YamlReaderTest, RefusesAliasBombs) {
  std::string yaml = "a: &l0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int level = 1; level < 10; ++level) {
    yaml += fmt::format("b{}: &l{} [", level, level);
    for (int i = 0; i < 10; ++i) yaml += fmt::format("{}*l{}", i == 0 ? "" : ", ", level - 1);
    yaml += "]\n";
  }
  EXPECT_THAT(Resolve(yaml), HasSubstr("too deeply or too large"));
  EXPECT_THAT(Resolve(std::string(200, '[') + std::string(200, ']')), HasSubstr("too deeply"));
}

TEST(YamlReaderTest, GivesAStatusWhenAskedForOne) {
  EXPECT_EQ(ParseYaml("a: [", "x.yaml").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(ParseYaml("", "x.yaml")->is_null());
}

}  // namespace
}  // namespace pgflow::config
