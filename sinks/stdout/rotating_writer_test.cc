#include "sinks/stdout/rotating_writer.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/pause.h"

namespace pgflow::sinks {
namespace {

using ::testing::ElementsAre;

class RotatingWriterTest : public testing::Test {
 protected:
  void SetUp() override {
    directory_ = testing::TempDir() + "/rotating_writer";
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directories(directory_);
    path_ = directory_ + "/f.jsonl";
    options_.size_max = 10;
  }
  void Open() {
    writer_.reset();
    auto opened = RotatingWriter::OpenFile(path_, options_);
    ASSERT_TRUE(opened.ok()) << opened.status();
    writer_ = *std::move(opened);
  }
  void Write(std::string_view lines) { ASSERT_TRUE(writer_->Write(lines, {}).ok()); }
  void Put(const std::string& name, const std::string& text) const {
    std::ofstream(directory_ + "/" + name) << text;
  }
  std::string Text(const std::string& name) const {
    std::ifstream file(directory_ + "/" + name);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(directory_)) {
      names.push_back(entry.path().filename().string());
    }
    std::ranges::sort(names);
    return names;
  }

  std::string directory_;
  std::string path_;
  RotationOptions options_;
  std::unique_ptr<RotatingWriter> writer_;
};

TEST_F(RotatingWriterTest, PutsFilesAsideBySize) {
  Open();
  Write("one\ntwo\n");
  Write("three\n");
  Write("a line that is too long\n");
  Write("x\n");
  EXPECT_THAT(Names(),
              ElementsAre("f.jsonl", "f.jsonl.000001", "f.jsonl.000002", "f.jsonl.000003"));
  EXPECT_EQ(Text("f.jsonl.000001"), "one\ntwo\n");
  EXPECT_EQ(Text("f.jsonl.000002"), "three\n");
  EXPECT_EQ(Text("f.jsonl.000003"), "a line that is too long\n");
  EXPECT_EQ(Text("f.jsonl"), "x\n");
  Open();  // Numbers go on, and so does the size.
  Write("12345678\n");
  EXPECT_EQ(Text("f.jsonl.000004"), "x\n");
}

TEST_F(RotatingWriterTest, PutsFilesAsideByAgeThoughNothingComes) {
  options_ = {};
  options_.age_max = absl::Milliseconds(30);
  Open();
  Write("one\n");
  for (int i = 0; i < 500 && Names().size() < 2; ++i) {
    base::Pause(absl::Milliseconds(10), {});
    Write("");
  }
  EXPECT_EQ(Text("f.jsonl.000001"), "one\n");
  base::Pause(absl::Milliseconds(60), {});
  Write("");
  EXPECT_EQ(Names().size(), 2U) << "an empty file is not put aside";
}

TEST_F(RotatingWriterTest, KeepsSoManyAndNothingOfOthers) {
  options_.keep = 2;
  for (const char* name : {"f.jsonl.x", "f.jsonl.000001.bak", "g.jsonl.000001"}) Put(name, "mine");
  Open();
  for (int i = 0; i < 6; ++i) Write("123456789\n");
  EXPECT_THAT(Names(), ElementsAre("f.jsonl", "f.jsonl.000001.bak", "f.jsonl.000004",
                                   "f.jsonl.000005", "f.jsonl.x", "g.jsonl.000001"));
}

TEST_F(RotatingWriterTest, CutsATornLineBeforeAFileIsPutAside) {
  Put("f.jsonl", "whole\ntorn");
  Open();
  Write("123456789\n");
  EXPECT_EQ(Text("f.jsonl.000001"), "whole\n");
}

TEST_F(RotatingWriterTest, CompressesAndOutlivesACrashAtEveryStep) {
  options_.compress = true;
  // Killed while it compressed the first one, and between the two steps of the second.
  Put("f.jsonl.000001", "one\n");
  Put("f.jsonl.000001.gz.part", "half");
  Put("f.jsonl.000002", "two\n");
  ASSERT_EQ(std::system(("gzip -k " + path_ + ".000002").c_str()), 0);
  Open();
  Write("three\n");
  Write("123456789\n");
  writer_.reset();
  Open();  // Waits for nobody; what was not compressed is compressed now.
  for (int i = 0; i < 1000 && std::filesystem::exists(path_ + ".000003"); ++i) {
    base::Pause(absl::Milliseconds(10), {});
  }
  writer_.reset();
  EXPECT_THAT(Names(), ElementsAre("f.jsonl", "f.jsonl.000001.gz", "f.jsonl.000002.gz",
                                   "f.jsonl.000003.gz"));
  ASSERT_EQ(std::system(("gzip -d " + directory_ + "/*.gz").c_str()), 0);
  EXPECT_EQ(Text("f.jsonl.000001"), "one\n");
  EXPECT_EQ(Text("f.jsonl.000002"), "two\n");
  EXPECT_EQ(Text("f.jsonl.000003"), "three\n");
}

TEST_F(RotatingWriterTest, RefusesWhatIsNoFile) {
  EXPECT_EQ(RotatingWriter::OpenFile("/dev/null", options_).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace pgflow::sinks
