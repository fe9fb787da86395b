#include "sinks/stdout/line_writer.h"

#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <thread>

#include <gtest/gtest.h>

namespace pgflow::sinks {
namespace {

std::string TemporaryPath(const std::string& name) {
  return testing::TempDir() + "pgflow_line_writer_" + std::to_string(getpid()) + "_" + name;
}

std::string Contents(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(LineWriter, AppendsAndCutsAnUnfinishedLine) {
  const std::string path = TemporaryPath("cut");
  {
    auto writer = LineWriter::OpenFile(path);
    ASSERT_TRUE(writer.ok());
    ASSERT_TRUE((*writer)->Write("one\ntwo\n", {}).ok());
    ASSERT_TRUE((*writer)->Write(std::string(10'000, 'x'), {}).ok());
    ASSERT_TRUE((*writer)->Sync().ok());
  }
  auto writer = LineWriter::OpenFile(path);
  ASSERT_TRUE(writer.ok());
  ASSERT_TRUE((*writer)->Write("three\n", {}).ok());
  EXPECT_EQ(Contents(path), "one\ntwo\nthree\n");
  std::filesystem::remove(path);
}

TEST(LineWriter, NamesAPathThatCannotBeWritten) {
  const auto writer = LineWriter::OpenFile("/no/such/directory/out.jsonl");
  EXPECT_EQ(writer.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(writer.status().message().find("/no/such/directory/out.jsonl"),
            absl::string_view::npos);
}

TEST(LineWriter, AClosedPipeIsAnErrorNotASignal) {
  std::array<int, 2> ends{};
  ASSERT_EQ(pipe(ends.data()), 0);
  auto writer = LineWriter::ForDescriptor(ends[1], "standard output");
  close(ends[0]);
  const absl::Status status = writer->Write("line\n", {});
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(status.message().find("closed the pipe"), absl::string_view::npos);
  close(ends[1]);
}

TEST(LineWriter, ADiskThatIsFullCanPass) {
  auto writer = LineWriter::OpenFile("/dev/full");
  ASSERT_TRUE(writer.ok());
  EXPECT_EQ((*writer)->Write("line\n", {}).code(), absl::StatusCode::kResourceExhausted);
}

TEST(LineWriter, AStopEndsTheWaitForASlowReader) {
  std::array<int, 2> ends{};
  ASSERT_EQ(pipe(ends.data()), 0);
  auto writer = LineWriter::ForDescriptor(ends[1], "standard output");
  absl::Status status;
  std::jthread thread(
      [&](std::stop_token stop) { status = writer->Write(std::string(1 << 20, 'x'), stop); });
  thread.request_stop();
  thread.join();
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
  close(ends[0]);
  close(ends[1]);
}

TEST(LineWriter, LinesOfSeveralThreadsStayWhole) {
  const std::string path = TemporaryPath("threads");
  auto writer = LineWriter::OpenFile(path);
  ASSERT_TRUE(writer.ok());
  {
    std::vector<std::jthread> threads;
    for (char c = 'a'; c < 'e'; ++c) {
      threads.emplace_back([&writer, c] {
        for (int i = 0; i < 200; ++i) {
          EXPECT_TRUE((*writer)->Write(std::string(100, c) + "\n", {}).ok());
        }
      });
    }
  }
  std::ifstream file(path);
  int count = 0;
  for (std::string line; std::getline(file, line); ++count) {
    EXPECT_EQ(line, std::string(100, line[0]));
  }
  EXPECT_EQ(count, 800);
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace pgflow::sinks
