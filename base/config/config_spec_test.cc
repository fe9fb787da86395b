#include "base/config/config_spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/bytes.h"
#include "base/config/yaml_reader.h"

namespace pgflow::config {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

enum class Mode { kAll, kStream };

struct Snapshot {
  uint16_t workers = 4;
  ByteSize range_size{64 * base::kMiB};
};

struct Rule {
  std::string column;
  std::optional<int64_t> above;
};

struct Config {
  Secret url;
  Mode mode = Mode::kAll;
  bool ddl = true;
  double ratio = 0.5;
  absl::Duration interval = absl::Seconds(10);
  std::vector<std::string> tables{"*.*"};
  StringMap labels;
  std::optional<std::string> slot;
  Snapshot snapshot;
  std::optional<Snapshot> second;
  std::vector<Rule> rules;
  Node raw;
};

ConfigSpec<Snapshot> SnapshotSpec() {
  ConfigSpec<Snapshot> spec;
  spec.Field("workers", &Snapshot::workers, "Tables read at once.").Range(1, 64);
  spec.Field("range_size", &Snapshot::range_size, "Bytes in a range.")
      .Range(ByteSize{base::kMiB}, ByteSize{base::kGiB});
  return spec;
}

ConfigSpec<Rule> RuleSpec() {
  ConfigSpec<Rule> spec;
  spec.Field("column", &Rule::column, "Its name.").Required();
  spec.Field("above", &Rule::above, "A bound.");
  return spec;
}

ConfigSpec<Config> Spec() {
  ConfigSpec<Config> spec;
  spec.Field("url", &Config::url, "Where.").Required().Example("${SOURCE_URL}");
  spec.Field("mode", &Config::mode, "What.")
      .Choice({{"all", Mode::kAll}, {"stream", Mode::kStream}});
  spec.Field("ddl", &Config::ddl, "Follow DDL.");
  spec.Field("ratio", &Config::ratio, "A part.").Range(0, 1);
  spec.Field("interval", &Config::interval, "How often.")
      .Range(absl::Milliseconds(1), absl::Hours(1));
  spec.Field("tables", &Config::tables, "Which.");
  spec.Field("labels", &Config::labels, "Marks.");
  spec.Field("slot", &Config::slot, "Its name.");
  spec.Section("snapshot", &Config::snapshot, SnapshotSpec(), "How it is read.");
  spec.Section("second", &Config::second, SnapshotSpec(), "Another.");
  spec.Section("rules", &Config::rules, RuleSpec(), "All must hold.");
  spec.Field("raw", &Config::raw, "Anything.");
  return spec;
}

// What is wrong with `yaml`, a line each.
std::vector<std::string> ProblemsOf(const std::string& yaml) {
  Problems problems("p.yaml");
  const Node node = ParseYaml(yaml, "p.yaml", problems, [](const std::string& name) {
    return name == "PASSWORD" ? std::optional<std::string>("hunter2") : std::nullopt;
  });
  Config config;
  const bool good = Spec().Parse(node, config, problems);
  EXPECT_EQ(good, problems.empty());
  std::vector<std::string> lines;
  for (const Problem& problem : problems.Sorted()) lines.push_back(problem.ToString());
  return lines;
}

TEST(ConfigSpecTest, ReadsEveryType) {
  Problems problems;
  const Node node = ParseYaml(R"(
url: postgres://u:p@h/db
mode: stream
ddl: false
ratio: 0.25
interval: 1h
tables: [public.a, public.b]
labels: {a: b}
slot: s
snapshot: {workers: 8, range_size: 2 MiB}
second:
rules:
  - {column: x, above: -3}
  - column: y
raw: [1, {a: b}]
)",
                              "p.yaml", problems);
  Config config;
  EXPECT_TRUE(Spec().Parse(node, config, problems)) << problems.ToString();
  EXPECT_EQ(config.url.value(), "postgres://u:p@h/db");
  EXPECT_EQ(fmt::format("{}", config.url), "***");
  EXPECT_EQ(config.mode, Mode::kStream);
  EXPECT_FALSE(config.ddl);
  EXPECT_EQ(config.ratio, 0.25);
  EXPECT_EQ(config.interval, absl::Hours(1));
  EXPECT_THAT(config.tables, ElementsAre("public.a", "public.b"));
  EXPECT_EQ(config.labels.at("a"), "b");
  EXPECT_EQ(config.slot, "s");
  EXPECT_EQ(config.snapshot.workers, 8);
  EXPECT_EQ(config.snapshot.range_size.bytes, 2 * base::kMiB);
  EXPECT_TRUE(config.second.has_value());
  ASSERT_EQ(config.rules.size(), 2u);
  EXPECT_EQ(config.rules[0].above, -3);
  EXPECT_EQ(config.rules[1].above, std::nullopt);
  EXPECT_EQ(config.raw.items().at(1).Find("a").text(), "b");
}

TEST(ConfigSpecTest, KeepsDefaultsOfWhatIsNotWritten) {
  Problems problems;
  Config config;
  EXPECT_TRUE(Spec().Parse(ParseYaml("url: x", "p", problems), config, problems));
  EXPECT_EQ(config.snapshot.range_size.bytes, 64 * base::kMiB);
  EXPECT_THAT(config.tables, ElementsAre("*.*"));
  EXPECT_EQ(config.slot, std::nullopt);
  EXPECT_FALSE(config.second.has_value());
}

TEST(ConfigSpecTest, ReportsAllProblemsAtOnceInOrder) {
  EXPECT_THAT(
      ProblemsOf(
          "mode: steam\nsnapshot:\n  wrokers: 3\n  range_size: 1KiB\ninterval: 10\nxyzzy: 1\n"),
      ElementsAre(
          "p.yaml:1:1: 'url' is missing in the file; write url: ${SOURCE_URL}",
          "p.yaml:1:7: 'mode' must be one of all, stream, not 'steam'; did you mean 'stream'?",
          "p.yaml:3:3: unknown key 'wrokers' in 'snapshot'; did you mean 'workers'?",
          "p.yaml:4:15: 'snapshot.range_size' must be from 1MiB to 1GiB, not '1KiB'",
          "p.yaml:5:11: 'interval' must be a duration with its unit, such as 10s or 500ms, not "
          "'10'",
          HasSubstr("p.yaml:6:1: unknown key 'xyzzy' in the file; valid here: url, mode")));
}

TEST(ConfigSpecTest, RefusesWrongTypes) {
  const struct {
    const char* yaml;
    const char* problem;
  } kCases[] = {
      {"ddl: maybe", "'ddl' must be true or false, not 'maybe'"},
      {"ratio: 2", "'ratio' must be from 0 to 1, not '2'"},
      {"ratio: [1]", "'ratio' must be a number, not a list"},
      {"snapshot: {workers: 65536}", "'snapshot.workers' must be an integer"},
      {"snapshot: {workers: -1}", "'snapshot.workers' must be an integer, not '-1'"},
      {"snapshot: {workers: 0}", "'snapshot.workers' must be from 1 to 64, not '0'"},
      {"snapshot: 3", "'snapshot' must be a section of keys and values, not a text"},
      {"tables: public.a", "'tables' must be a list of texts"},
      {"labels: [a]", "'labels' must be a map of texts"},
      {"rules: {column: a}", "'rules' must be a list of sections"},
      {"rules: [{above: 1}]", "'column' is missing in 'rules[0]'"},
      {"rules: [{column: ''}]", "'rules[0].column' must not be empty"},
      {"interval: -1s", "'interval' must be a duration"},
  };
  for (const auto& test : kCases) {
    EXPECT_THAT(ProblemsOf(std::string("url: x\n") + test.yaml),
                ElementsAre(HasSubstr(test.problem)))
        << test.yaml;
  }
}

TEST(ConfigSpecTest, NeverRepeatsWhatAReferenceGave) {
  const std::vector<std::string> problems =
      ProblemsOf("url: x\nratio: ${PASSWORD}\nmode: ${PASSWORD}");
  EXPECT_THAT(problems, ElementsAre(HasSubstr("not the value of ${PASSWORD}"),
                                    HasSubstr("not the value of ${PASSWORD}")));
  EXPECT_THAT(ProblemsOf("url: {hunter2: x}"), ElementsAre(::testing::Not(HasSubstr("hunter2"))));
}

TEST(ConfigSpecTest, DescribesWhatItParses) {
  const SpecDescription description = Spec().Describe();
  EXPECT_EQ(description.fields.size(), 12u);
  EXPECT_TRUE(description.fields[0].required);
  EXPECT_EQ(description.fields[0].default_text, std::nullopt);
  EXPECT_EQ(description.fields[1].default_text, "all");
  EXPECT_THAT(description.fields[1].choices, ElementsAre("all", "stream"));
  EXPECT_EQ(description.fields[4].default_text, "10s");
  EXPECT_EQ(description.fields[4].minimum, "1ms");
  EXPECT_EQ(description.fields[8].nested->fields[1].default_text, "64MiB");
}

TEST(ByteSizeTest, ReadsAndPrints) {
  const struct {
    const char* text;
    uint64_t bytes;
    const char* printed;
  } kCases[] = {{"64MiB", 64 * base::kMiB, "64MiB"},
                {"0", 0, "0"},
                {"1 GB", 1000000000, "1GB"},
                {"1024", 1024, "1KiB"},
                {"17B", 17, "17"},
                {"1500kB", 1500000, "1500kB"}};
  for (const auto& test : kCases) {
    ByteSize size;
    const Node node = *ParseYaml(test.text, "p");
    EXPECT_TRUE(ReadValue(node, size)) << test.text;
    EXPECT_EQ(size.bytes, test.bytes) << test.text;
    EXPECT_EQ(fmt::format("{}", size), test.printed);
  }
  for (const char* text : {"64M", "-1", "1.5GB", "99999999999TiB", "x", "''"}) {
    ByteSize size{7};
    EXPECT_FALSE(ReadValue(*ParseYaml(text, "p"), size)) << text;
    EXPECT_EQ(size.bytes, 7u);
  }
}

TEST(NearestNameTest, FindsMisspellingsOnly) {
  const std::vector<std::string> names{"slot", "publication", "url", "ddl"};
  EXPECT_EQ(NearestName("slto", names), "slot");
  EXPECT_EQ(NearestName("Publications", names), "publication");
  EXPECT_EQ(NearestName("abc", names), "");
  EXPECT_EQ(NearestName("xx", names), "");
}

}  // namespace
}  // namespace pgflow::config
