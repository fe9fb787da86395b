// The part of the log that is on disk: what does not come back as it was written, and its bound.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <random>
#include <string>
#include <utility>

#include <absl/time/clock.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/status.h"
#include "engine/runtime/batch_builder.h"
#include "engine/runtime/crc32c.h"
#include "engine/runtime/stream_log.h"
#include "engine/testing/event_builder.h"

namespace pgflow::engine {
namespace {

using Strings = std::vector<std::string>;

TEST(Crc32c, IsTheOneOfTheStandards) {
  EXPECT_EQ(Crc32c(""), 0u);
  EXPECT_EQ(Crc32c("123456789"), 0xE3069283u);
  EXPECT_EQ(Crc32c("6789", Crc32c("12345")), 0xE3069283u);
}

std::string SpoolDirectory() {
  return std::filesystem::temp_directory_path() / ("spool_test_" + std::to_string(::getpid()));
}

// The open, deleted segments of this process.
std::vector<int> LiveSegments() {
  std::vector<int> found;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code error;
    const std::string target = std::filesystem::read_symlink(entry.path(), error).string();
    if (error || target.find(SpoolDirectory() + "/segment-") != 0) continue;
    found.push_back(std::stoi(entry.path().filename().string()));
  }
  return found;
}

// A source's thread in single steps: transactions of the same contents whenever they are read.
class Server {
 public:
  static constexpr int kTransactions = 300;

  Server(StreamLog& log, std::mt19937& random) : log_(log), random_(random) {}

  static postgres::Lsn CommitOf(int number) {
    return postgres::Lsn(0x100 * static_cast<uint64_t>(number + 1));
  }
  static int RowsOf(int number) { return number % 40 == 0 ? 60 : 1 + number % 5; }
  static std::string Row(int number, int row) {
    return fmt::format("insert items {} 'row {} of {}'", row, row, number);
  }

  bool finished() const { return next_ == kTransactions; }
  int restarts() const { return restarts_; }

  void Step() {
    if (!log_.Writable().ok()) Restart();
    if (finished() || !log_.HasRoom()) return;
    if (random_() % 4 == 0) {
      Open(next_++);
    } else {
      Whole(random_() % 3);
    }
  }

 private:
  void Restart() {
    ++restarts_;
    log_.Cut();
    next_ = static_cast<int>(log_.tail().commit_lsn.value() / 0x100);
  }

  std::string Begin() const { return fmt::format("begin lsn={}\n", CommitOf(next_).ToString()); }

  // Some transactions; chunks end anywhere.
  void Whole(uint64_t more) {
    EventBuilder events;
    events.Table("shop.items (id int4 key, name text)");
    std::string script;
    for (uint64_t i = 0; i <= more && !finished(); ++i, ++next_) {
      script += Begin();
      for (int row = 0; row < RowsOf(next_); ++row) {
        script += Row(next_, row) + "\n";
        if (random_() % 8 == 0) Append(events.Stream(std::exchange(script, "")));
      }
      script += "commit\n";
    }
    Append(events.Stream(script));
  }

  void Open(int number) {
    EventBuilder events;
    events.Table("shop.items (id int4 key, name text)");
    for (int row = 0; row < RowsOf(number); ++row) {
      EXPECT_TRUE(log_.AppendOpen(7, events.Open(Row(number, row))).ok());
    }
    TransactionSpan span = events.Commit(7);
    span.commit_lsn = CommitOf(number);
    span.end_lsn = postgres::Lsn(span.commit_lsn.value() + 8);
    EXPECT_TRUE(log_.CommitOpen(7, span, {}).ok());
  }

  void Append(Chunk chunk) {
    if (chunk.records.empty() && chunk.transactions.empty()) return;
    const absl::Status status = log_.Append(std::move(chunk));
    EXPECT_TRUE(status.ok()) << status;
  }

  StreamLog& log_;
  std::mt19937& random_;
  int next_ = 0;
  int restarts_ = 0;
};

// A sink with its lane, in single steps.
class Reader {
 public:
  explicit Reader(StreamLog& log) : cursor_(log.OpenCursor()) { cursor_->Activate(); }

  const Strings& rows() const { return durable_rows_; }
  int aborts() const { return aborts_; }

  void Step(uint64_t window_bytes) {
    absl::StatusOr<Take> take =
        cursor_->Read(window_bytes, postgres::Lsn(UINT64_MAX), absl::InfinitePast());
    if (!take.ok()) {
      ASSERT_EQ(take.status().code(), absl::StatusCode::kAborted) << take.status();
      ++aborts_;
      rows_.clear();
      complete_ = 0;
      written_ = durable_;
      builder_.Start(durable_, {});
      cursor_->Rewind();
      return;
    }
    for (const Slice& slice : take->slices) {
      if (slice.chunk == nullptr) continue;
      Batch batch = *builder_.Build(slice);
      for (std::string& line : Describe(batch)) rows_.push_back(std::move(line));
    }
    if (take->slices.empty() || !take->ends_at_commit) return;
    written_ = take->end;
    complete_ = rows_.size();
  }
  void MakeDurable() {
    if (written_.end_lsn <= durable_.end_lsn) return;
    const auto end = rows_.begin() + static_cast<ptrdiff_t>(std::exchange(complete_, 0));
    durable_rows_.insert(durable_rows_.end(), rows_.begin(), end);
    rows_.erase(rows_.begin(), end);
    durable_ = written_;
    cursor_->Release(durable_);
  }

 private:
  std::unique_ptr<StreamLog::Cursor> cursor_;
  BatchBuilder builder_;
  StreamPoint written_;
  StreamPoint durable_;
  Strings rows_;
  size_t complete_ = 0;
  Strings durable_rows_;
  int aborts_ = 0;
};

class SpoolTest : public testing::Test {
 protected:
  ~SpoolTest() override { std::filesystem::remove_all(SpoolDirectory()); }

  std::unique_ptr<StreamLog> Log(uint64_t memory_bytes, uint64_t spool_bytes = 0) {
    return std::make_unique<StreamLog>(StreamLogOptions{.memory_bytes_max = memory_bytes,
                                                        .spool_directory = SpoolDirectory(),
                                                        .spool_bytes_max = spool_bytes});
  }

  // Noise, a changed letter, zeroes, or an end that is too early.
  void DamageSomething() {
    const std::vector<int> segments = LiveSegments();
    if (segments.empty()) return;
    const int fd = segments[random_() % segments.size()];
    struct stat status = {};
    ASSERT_EQ(fstat(fd, &status), 0);
    if (status.st_size == 0) return;
    const off_t at = static_cast<off_t>(random_() % static_cast<uint64_t>(status.st_size));
    std::string bytes(random_() % 3 == 0 ? 1 : 512, '\0');
    if (random_() % 2 == 0) {
      for (char& byte : bytes) byte = static_cast<char>(random_());
    }
    if (random_() % 6 == 0) {
      ASSERT_EQ(ftruncate(fd, at), 0);
      return;
    }
    ASSERT_EQ(pwrite(fd, bytes.data(), bytes.size(), at), static_cast<ssize_t>(bytes.size()));
  }

  const unsigned seed_ = std::random_device()();
  std::mt19937 random_{seed_};
};

TEST_F(SpoolTest, WhatIsDamagedOnDiskIsReadAgainAndEachRowComesOnce) {
  SCOPED_TRACE(fmt::format("seed {}", seed_));
  fmt::print("seed {}\n", seed_);
  int restarts = 0;
  int aborts = 0;
  for (int round = 0; round < 20; ++round) {
    const std::unique_ptr<StreamLog> log = Log(4000);
    Server server(*log, random_);
    Reader fast(*log);
    Reader slow(*log);
    Strings expected;
    for (int number = 0; number < Server::kTransactions; ++number) {
      for (int row = 0; row < Server::RowsOf(number); ++row) {
        expected.push_back(fmt::format("insert shop.items {} 'row {} of {}'", row, row, number));
      }
    }
    for (int step = 0; slow.rows().size() < expected.size() || fast.rows().size() < expected.size();
         ++step) {
      ASSERT_LT(step, 50'000) << "it stands still at " << slow.rows().size() << " and "
                              << fast.rows().size() << " rows of " << expected.size();
      server.Step();
      // After a while all is let through undamaged, so that it ends.
      if (step < 400 && random_() % 10 == 0) DamageSomething();
      fast.Step(1000);
      if (step % 3 == 0) fast.MakeDurable();
      if (step < 100 || random_() % 4 != 0) continue;
      slow.Step(1 + random_() % 3000);
      if (random_() % 2 == 0) slow.MakeDurable();
    }
    ASSERT_EQ(fast.rows(), expected);
    ASSERT_EQ(slow.rows(), expected);
    restarts += server.restarts();
    aborts += fast.aborts();
  }
  EXPECT_GT(restarts, 0) << "nothing was noticed";
  EXPECT_GT(aborts, 0) << "the one that was ahead did not go back";
}

class SpoolBoundTest : public SpoolTest {
 protected:
  SpoolBoundTest() {
    log_ = Log(4000, 100'000);
    events_.Table("shop.items (id int4 key, name text)");
  }
  absl::Status Append(const std::string& script) { return log_->Append(events_.Stream(script)); }

  // Disk that the spool really has.
  static int64_t DiskBytes() {
    int64_t blocks = 0;
    for (const int fd : LiveSegments()) {
      struct stat status = {};
      EXPECT_EQ(fstat(fd, &status), 0);
      blocks += status.st_blocks;
    }
    return blocks * 512;
  }

  std::unique_ptr<StreamLog> log_;
  EventBuilder events_;
};

TEST_F(SpoolBoundTest, AFullSpoolGoesOnWhenItsSinkIsBack) {
  Reader away(*log_);
  Reader there(*log_);
  size_t count = 0;
  for (int round = 0; round < 3; ++round) {
    for (; log_->HasRoom(); ++count) {
      ASSERT_LT(count, 10'000u);
      ASSERT_TRUE(Append("begin\ninsert items 1 'some text that takes room'\ncommit").ok());
      there.Step(1 << 20);
      there.MakeDurable();
    }
    EXPECT_GE(log_->spool_bytes(), 100'000u);
    EXPECT_FALSE(log_->WaitForRoom(absl::Milliseconds(1), {}));
    away.Step(4000);
    away.MakeDurable();
    EXPECT_TRUE(log_->HasRoom()) << "after a part was taken";
    while (away.rows().size() < count) {
      away.Step(4000);
      away.MakeDurable();
    }
    EXPECT_EQ(log_->spool_bytes(), 0u);
    EXPECT_LT(DiskBytes(), 100'000);
  }
}

TEST_F(SpoolBoundTest, ATransactionThatDoesNotFitStopsAndNamesTheSetting) {
  const Reader reader(*log_);
  absl::Status status;
  int open = 0;
  for (; status.ok() && open < 10'000; ++open) {
    ASSERT_TRUE(log_->HasRoom()) << "the source would wait for ever";
    status = log_->AppendOpen(7, events_.Open("insert items 1 'some text that takes room'"));
  }
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr("spool.size_max"));
}

TEST_F(SpoolBoundTest, ATransactionThatComesBehindItsCommitAndDoesNotFitStopsToo) {
  Reader reader(*log_);
  absl::Status status = Append("begin\ninsert items 1 'some text that takes room'");
  for (int i = 0; status.ok() && i < 10'000; ++i) {
    ASSERT_TRUE(log_->HasRoom()) << "the source would wait for ever";
    status = Append("insert items 1 'some text that takes room'");
    reader.Step(1 << 20);
  }
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr("spool.size_max"));
}

// Chunks of a busy source end inside transactions, all of them.
TEST_F(SpoolBoundTest, ManySmallTransactionsAreNotTakenForALargeOne) {
  Reader away(*log_);
  Reader there(*log_);
  absl::Status status = Append("begin\ninsert items 1 'some text that takes room'");
  for (int i = 0; status.ok() && i < 10'000 && log_->HasRoom(); ++i) {
    status = Append("insert items 2 b\ncommit\nbegin\ninsert items 1 'some text that takes room'");
    there.Step(1 << 20);
    there.MakeDurable();
  }
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_FALSE(log_->HasRoom());
}

// Full of what others wrote, and of a beginning: it is waited for, not refused.
TEST_F(SpoolBoundTest, WhatIsUnfinishedBesideAFullSpoolWaits) {
  Reader away(*log_);
  Reader there(*log_);
  for (int i = 0; log_->HasRoom(); ++i) {
    ASSERT_TRUE(Append("begin\ninsert items 1 'some text that takes room'\ncommit").ok());
    there.Step(1 << 20);
    there.MakeDurable();
  }
  EXPECT_TRUE(log_->AppendOpen(7, events_.Open("insert items 2 b")).ok());
  ASSERT_FALSE(log_->HasRoom());
  for (int i = 0; i < 1000 && !log_->HasRoom(); ++i) {
    away.Step(4000);
    away.MakeDurable();
  }
  EXPECT_TRUE(log_->HasRoom());
}

}  // namespace
}  // namespace pgflow::engine
