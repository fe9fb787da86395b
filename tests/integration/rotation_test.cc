// Files that are put aside while changes come and the process is killed: every line is whole, every
// change is in one of them, and a file with a number has whole lines only.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <set>
#include <sstream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "tests/integration/system_test.h"

namespace pgflow::tests {
namespace {

class RotationTest : public SharedServerTest {
 protected:
  void SetUp() override {
    SharedServerTest::SetUp();
    source_.Execute(
        "CREATE TABLE t (id int PRIMARY KEY, v text);"
        "INSERT INTO t SELECT i, repeat('x', 50) FROM generate_series(1, 500) i");
    std::filesystem::create_directories(FileSinkPath("out"));
  }
  void Use(const std::string& rotate) {
    pipeline_.sinks = {fmt::format("stdout: {{file: \"{}\", rotate: {{{}}}}}",
                                   FileSinkPath("out/f.jsonl"), rotate)};
  }
  std::vector<std::filesystem::path> Files() const {
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(FileSinkPath("out"))) {
      files.push_back(entry.path());
    }
    std::ranges::sort(files);
    return files;
  }
  // The ids of all lines; a line that is none fails the test.
  std::set<int> Ids() const {
    const std::string out = FileSinkPath("out");
    const std::string all = FileSinkPath("all.jsonl");
    const std::string command = fmt::format(
        "(zcat {0}/*.gz 2>/dev/null; cat $(ls {0}/f.jsonl* | grep -v gz)) > {1}", out, all);
    EXPECT_EQ(std::system(command.c_str()), 0);
    std::set<int> ids;
    std::istringstream lines(ReadFile(all));
    for (std::string line; std::getline(lines, line);) {
      const nlohmann::json event = nlohmann::json::parse(line, nullptr, false);
      EXPECT_TRUE(event.is_object()) << line;
      if (event.is_object() && event["after"].is_object())
        ids.insert(event["after"]["id"].get<int>());
    }
    return ids;
  }
};

TEST_F(RotationTest, EveryLineIsWholeAndNoneIsMissingWhenTheProcessIsKilled) {
  Use("size: 20KiB, compress: true");
  int next = 1000;
  for (int round = 0; round < 4; ++round) {
    const auto process = Run();
    ASSERT_TRUE(process->WaitForOutput("streaming from")) << process->Output();
    for (int i = 0; i < 30; ++i, next += 20) {
      source_.Execute(
          fmt::format("INSERT INTO t SELECT i, repeat('y', 80) FROM "
                      "generate_series({}, {}) i",
                      next, next + 19));
    }
    process->Kill9();
    for (const std::filesystem::path& file : Files()) {
      const std::string name = file.filename().string();
      if (name == "f.jsonl" || name.ends_with(".part") || name.ends_with(".gz")) continue;
      EXPECT_TRUE(ReadFile(file).ends_with("\n")) << name;
    }
  }
  RunToCurrent();
  const std::set<int> ids = Ids();
  EXPECT_EQ(std::to_string(ids.size()), source_.Value("SELECT count(*) FROM t"));
  EXPECT_GT(Files().size(), 10U);
  for (const std::filesystem::path& file : Files()) {
    EXPECT_LT(std::filesystem::file_size(file), (20 << 10) + 4096U) << file;
    EXPECT_FALSE(file.string().ends_with(".part")) << file;
  }
}

TEST_F(RotationTest, KeepsSoManyAndRotatesByTimeThoughNothingComes) {
  Use("every: 1s, keep: 1");
  const auto process = Run();
  ASSERT_TRUE(process->WaitForOutput("streaming from")) << process->Output();
  std::string newest = "f.jsonl";
  for (int i = 0; i < 2; ++i) {
    source_.Execute(fmt::format("UPDATE t SET v = '{}' WHERE id = 1", i));
    EXPECT_TRUE(Eventually([&] { return Files().back().filename() > newest; })) << newest;
    newest = Files().back().filename();
  }
  EXPECT_GE(newest, "f.jsonl.000002");
  // One with a number, and the one that is written to.
  EXPECT_TRUE(Eventually([&] { return Files().size() <= 2; }));
  process->Kill9();
}

}  // namespace
}  // namespace pgflow::tests
