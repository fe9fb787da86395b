// The spool of a running pipeline: its files are damaged, or it is full.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <random>

#include <fmt/format.h>

#include "tests/integration/stalling_proxy.h"
#include "tests/integration/system_test.h"

namespace pgflow::tests {
namespace {

// A target behind a proxy, so that it can stand still, and a file, for which the log goes on.
class SpoolTest : public SharedServerTest {
 protected:
  void SetUp() override {
    SharedServerTest::SetUp();
    to_target_.emplace(target_.server->port());
    source_.Execute(
        "CREATE TABLE t (id int PRIMARY KEY, v int, filler text);"
        "INSERT INTO t SELECT i, 0, 'x' FROM generate_series(1, 100) i");
    pipeline_.sinks = {fmt::format("postgres: {{url: \"postgresql://postgres@127.0.0.1:{}/{}\", "
                                   "create_schema: true}}",
                                   to_target_->port(), target_.name),
                       FileSink()};
  }

  // About a megabyte each.
  void Write(int transactions) {
    for (int i = 0; i < transactions; ++i) {
      source_.Execute(
          fmt::format("INSERT INTO t SELECT {} + i, i, repeat(md5(i::text), 32) FROM "
                      "generate_series(1, 1000) i",
                      next_id_ += 1000));
    }
  }
  size_t Lines() const { return CountOf(ReadFile(FileSinkPath()), "\n"); }

  // Of the program: the open, deleted files of its spool.
  static std::vector<std::string> Segments(const PgflowProcess& process) {
    std::vector<std::string> found;
    const std::string directory = fmt::format("/proc/{}/fd", process.pid());
    for (const auto& entry : std::filesystem::directory_iterator(directory)) {
      std::error_code error;
      const std::string target = std::filesystem::read_symlink(entry.path(), error).string();
      if (!error && target.find("/segment-") != std::string::npos) found.push_back(entry.path());
    }
    return found;
  }

  std::optional<StallingProxy> to_target_;
  int next_id_ = 100'000;
};

TEST_F(SpoolTest, DamagedFilesAreReadAgainFromTheSource) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  fmt::print("seed {}\n", seed);
  std::mt19937 random(seed);
  pipeline_.more = "spool: {memory: 1MiB}\n";
  const auto process = Run();
  ASSERT_TRUE(WaitForSnapshot(*process)) << process->Output();
  ExpectEqualSoon({"t"}, *process);
  const size_t before = Lines();
  to_target_->Stall();
  Write(8);
  ASSERT_TRUE(Eventually([&] { return Lines() == before + 8000; })) << process->Output();
  const std::vector<std::string> segments = Segments(*process);
  ASSERT_FALSE(segments.empty());
  for (int i = 0; i < 200; ++i) {
    const int fd = open(segments[random() % segments.size()].c_str(), O_RDWR | O_CLOEXEC);
    ASSERT_GE(fd, 0);
    struct stat status = {};
    ASSERT_EQ(fstat(fd, &status), 0);
    const off_t at = static_cast<off_t>(random() % static_cast<uint64_t>(status.st_size));
    const std::string zeroes(i % 50 == 0 ? 4096 : 0, '\0');
    const std::string letter(1, static_cast<char>('a' + random() % 26));
    const std::string& bytes = zeroes.empty() ? letter : zeroes;
    EXPECT_EQ(pwrite(fd, bytes.data(), bytes.size(), at), static_cast<ssize_t>(bytes.size()));
    close(fd);
  }
  to_target_->Resume();
  ExpectEqualSoon({"t"}, *process);
  EXPECT_TRUE(process->Printed("read again from the source")) << process->Output();
  Write(1);
  ExpectEqualSoon({"t"}, *process);
}

TEST_F(SpoolTest, AFullOneGoesOnWhenTheTargetIsBack) {
  pipeline_.more = "spool: {memory: 1MiB, size_max: 3MiB}\n";
  const auto process = Run();
  ASSERT_TRUE(WaitForSnapshot(*process)) << process->Output();
  ExpectEqualSoon({"t"}, *process);
  for (int round = 0; round < 2; ++round) {
    const size_t before = Lines();
    to_target_->Stall();
    Write(12);
    ASSERT_TRUE(Eventually([&] { return Lines() >= before + 3000; })) << process->Output();
    to_target_->Resume();
    ExpectEqualSoon({"t"}, *process);
  }
}

TEST_F(SpoolTest, ATransactionThatDoesNotFitNamesTheSetting) {
  pipeline_.more = "spool: {memory: 1MiB, size_max: 2MiB}\n";
  const auto process = Run();
  ASSERT_TRUE(WaitForSnapshot(*process)) << process->Output();
  source_.Execute(
      "INSERT INTO t SELECT 1000 + i, i, repeat(md5(i::text), 32) FROM generate_series(1, 10000) "
      "i");
  EXPECT_EQ(process->WaitForExit(), 1) << process->Output();
  EXPECT_TRUE(process->Printed("spool.size_max")) << process->Output();
  pipeline_.more = "spool: {memory: 1MiB, size_max: 64MiB}\n";
  RunToCurrent();
  ExpectEqual({"t"});
}

}  // namespace
}  // namespace pgflow::tests
