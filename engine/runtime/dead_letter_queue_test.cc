#include "engine/runtime/dead_letter_queue.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include <absl/time/clock.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/status.h"
#include "engine/runtime/dead_letter_file.h"
#include "engine/testing/event_builder.h"

namespace pgflow::engine {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class DeadLetterQueueTest : public testing::Test {
 protected:
  DeadLetterQueueTest() {
    std::string path = (std::filesystem::temp_directory_path() / "letters_XXXXXX").string();
    EXPECT_NE(::mkdtemp(path.data()), nullptr);
    directory_ = path;
    file_ = directory_ + "/dead.jsonl";
    events_.Table("shop.items (id int4 key, name text)");
    events_.Table("shop.others (id int4 key, name text)");
    Reopen();
  }
  ~DeadLetterQueueTest() override { std::filesystem::remove_all(directory_); }

  void Reopen() {
    queue_.reset();
    auto opened = DeadLetterQueue::Open({directory_ + "/state", "shop", "pg", file_});
    ASSERT_TRUE(opened.ok()) << opened.status();
    queue_ = *std::move(opened);
  }

  // One transaction at that place with those changes, which are refused.
  absl::Status Bury(std::string_view lsn, const std::string& changes,
                    const std::optional<DeadLetterQueue::Range>& range = std::nullopt) {
    Batch batch = events_.StreamBatch(fmt::format("begin lsn={}\n{}\ncommit", lsn, changes));
    const std::span<const ChangeEvent> events = *batch.Events();
    for (const ChangeEvent& event : events) {
      PGFLOW_RETURN_IF_ERROR(queue_->Bury({.sink = "pg",
                                           .position = batch.PositionOf(event),
                                           .transaction = &batch.transactions()[0],
                                           .event = event,
                                           .error = absl::InvalidArgumentError("refused")},
                                          range));
    }
    return absl::OkStatus();
  }
  void Take(std::string_view lsn, const std::string& changes) {
    std::vector<Batch> batches;
    batches.push_back(events_.StreamBatch(fmt::format("begin lsn={}\n{}\ncommit", lsn, changes)));
    EXPECT_TRUE(queue_->Overtake(batches).ok());
  }
  // "position changed_at" of each letter.
  std::vector<std::string> Letters() {
    std::vector<std::string> letters;
    const std::vector<DeadLetterQueue::Entry> entries = *queue_->Entries();
    for (const DeadLetterQueue::Entry& entry : entries) {
      letters.push_back(entry.position.ToString() + " " + entry.changed_at);
    }
    return letters;
  }
  std::vector<std::string> Lines() const { return *ReadLetterFile(file_); }

  std::string directory_;
  std::string file_;
  EventBuilder events_;
  std::shared_ptr<DeadLetterQueue> queue_;
};

TEST_F(DeadLetterQueueTest, KeepsLettersInTheOrderOfTheStream) {
  ASSERT_TRUE(Bury("0/200", "insert items 2 b").ok());
  ASSERT_TRUE(Bury("0/100", "insert items 1 a\ndelete items old(9)").ok());
  ASSERT_TRUE(Bury("0/100", "insert items 1 a").ok()) << "after a restart it is refused again";
  EXPECT_THAT(Letters(), ElementsAre("0/100:0 ", "0/100:1 ", "0/200:0 "));
  EXPECT_EQ(Lines().size(), 4U);
  Reopen();
  EXPECT_THAT(Letters(), ElementsAre("0/100:0 ", "0/100:1 ", "0/200:0 "));
  EXPECT_THAT(*queue_->Behind(postgres::Lsn(0x100)),
              ElementsAre(Position{postgres::Lsn(0x200), 0}));
  ASSERT_TRUE(queue_->WriteCopy().ok());
  EXPECT_EQ(Lines().size(), 3U);
  ASSERT_TRUE(queue_->Remove({queue_->Entries()->front().id}).ok());
  ASSERT_TRUE(queue_->WriteCopy().ok());
  EXPECT_EQ(Lines().size(), 2U);
}

TEST_F(DeadLetterQueueTest, NotesLaterChangesOfTheSameRow) {
  ASSERT_TRUE(Bury("0/100", "insert items 1 a\ninsert items 2 b\ninsert items 3 c").ok());
  Take("0/80", "update items 1 z");
  Take("0/200", "update items 2 z\nupdate others 1 z");
  Take("0/300", "update items old(3) 4 z\nupdate items 2 y");
  EXPECT_THAT(Letters(), ElementsAre("0/100:0 ", "0/100:1 0/200:0", "0/100:2 0/300:0"));
  Reopen();
  Take("0/400", "update items 1 z");
  EXPECT_THAT(Letters(), ElementsAre("0/100:0 0/400:0", "0/100:1 0/200:0", "0/100:2 0/300:0"));
}

TEST_F(DeadLetterQueueTest, AChangeThatIsRefusedItselfOvertakesNothing) {
  ASSERT_TRUE(Bury("0/100", "insert items 1 a").ok());
  Take("0/200", "update items 1 b");
  EXPECT_THAT(Letters(), ElementsAre("0/100:0 0/200:0"));
  ASSERT_TRUE(Bury("0/200", "update items 1 b").ok());
  EXPECT_THAT(Letters(), ElementsAre("0/100:0 ", "0/200:0 "));
  Take("0/300", "delete items old(1)");
  EXPECT_THAT(Letters(), ElementsAre("0/100:0 0/300:0", "0/200:0 0/300:0"));
}

TEST_F(DeadLetterQueueTest, ATruncateOvertakesAllRowsAndIsOvertakenByAny) {
  ASSERT_TRUE(Bury("0/100", "insert items 1 a\ninsert others 1 a\ntruncate others").ok());
  Take("0/200", "truncate items\ninsert others 7 z");
  EXPECT_THAT(Letters(), ElementsAre("0/100:0 0/200:0", "0/100:1 ", "0/100:2 0/200:1"));
}

TEST_F(DeadLetterQueueTest, AKeyThatIsSpeltDifferentlyMayBeTheSame) {
  ASSERT_TRUE(Bury("0/100", "insert items 1 a").ok());
  events_.Table("shop.items (id int4 key, name text key)");
  Take("0/200", "insert items 5 b");
  EXPECT_THAT(Letters(), ElementsAre("0/100:0 0/200:0"));
}

TEST_F(DeadLetterQueueTest, ARangeThatIsCopiedAgainReplacesItsLetters) {
  const schemas::TableName items{"shop", "items"};
  ASSERT_TRUE(Bury("0/50", "insert items 8 s\ninsert others 8 s").ok());
  ASSERT_TRUE(Bury("0/100", "insert items 1 a", DeadLetterQueue::Range{items, {0, 8}}).ok());
  ASSERT_TRUE(Bury("0/100", "insert items 1 a", DeadLetterQueue::Range{items, {8, 16}}).ok());
  EXPECT_THAT(Letters(), ElementsAre("0/50:0 ", "0/50:1 ", "0/100:0 ", "0/100:0 "));
  ASSERT_TRUE(queue_->BeginRange({items, {8, 16}}).ok());
  EXPECT_THAT(Letters(), ElementsAre("0/50:0 ", "0/50:1 ", "0/100:0 "));
  const std::vector<BlockRange> finished = {{0, 8}};
  ASSERT_TRUE(queue_->BeginCopy(items, items, finished, postgres::Lsn(0x200)).ok());
  EXPECT_THAT(Letters(), ElementsAre("0/50:0 0/200:0", "0/50:1 ", "0/100:0 "));
  ASSERT_TRUE(queue_->BeginCopy(items, items, {}, postgres::Lsn(0x300)).ok());
  EXPECT_THAT(Letters(), ElementsAre("0/50:0 0/200:0", "0/50:1 "));
}

TEST_F(DeadLetterQueueTest, TakesInTheFileOfAnEarlierVersion) {
  ASSERT_TRUE(Bury("0/100", "insert items 1 a").ok());
  ASSERT_TRUE(Bury("0/200", "insert items 2 b\ninsert items 3 c").ok());
  std::vector<std::string> lines = Lines();
  for (std::string& line : lines) {
    const size_t at = line.find("\"queue\":");
    line.erase(at, line.find(',', at) + 1 - at);
  }
  queue_.reset();
  std::filesystem::remove_all(directory_ + "/state");
  // A full disk cut the second letter, and the third one followed in its line; the last line is of
  // another sink.
  std::string other = lines[0];
  other.replace(other.find("\"pg\""), 4, "\"kf\"");
  std::ofstream(file_) << lines[0] << "\n"
                       << lines[1].substr(0, 40) << lines[2] << "\n"
                       << other << "\nnonsense";
  Reopen();
  EXPECT_THAT(Letters(), ElementsAre("0/100:0 unknown", "0/200:1 unknown"));
  EXPECT_THAT(*ReadLetterFile(file_ + ".damaged"), ElementsAre(lines[1].substr(0, 40), "nonsense"));
  EXPECT_EQ(Lines().size(), 3U);
  EXPECT_EQ(Lines().front(), other);
  // What was replayed does not come back from the copy.
  ASSERT_TRUE(queue_->Remove({queue_->Entries()->front().id}).ok());
  Reopen();
  EXPECT_THAT(Letters(), ElementsAre("0/200:1 unknown"));
}

TEST_F(DeadLetterQueueTest, AttemptsAreSettledByTheSinksCheckpoint) {
  ASSERT_TRUE(Bury("0/100", "insert items 1 a\ninsert items 2 b\ninsert items 3 c").ok());
  const std::vector<DeadLetterQueue::Entry> entries = *queue_->Entries();
  ASSERT_TRUE(queue_->BeginAttempts({{entries[0].id, 7}, {entries[1].id, 8}}).ok());
  Reopen();
  EXPECT_TRUE(queue_->has_attempts());
  ASSERT_TRUE(queue_->SettleAttempts(7).ok());
  EXPECT_THAT(Letters(), ElementsAre("0/100:1 ", "0/100:2 "));
  EXPECT_FALSE(queue_->has_attempts());
  EXPECT_EQ(queue_->Entries()->front().attempt, 0U);
}

TEST_F(DeadLetterQueueTest, OnlyItsUserMayRead) {
  const mode_t before = ::umask(0);
  ASSERT_TRUE(Bury("0/100", "insert items 1 a").ok());
  ASSERT_TRUE(queue_->WriteCopy().ok());
  ::umask(before);
  using std::filesystem::perms;
  for (const std::string& path :
       {file_, directory_ + "/state", directory_ + "/state/dead_letters.db"}) {
    EXPECT_EQ(std::filesystem::status(path).permissions() & (perms::group_all | perms::others_all),
              perms::none)
        << path;
  }
}

// Files may not grow: like a full disk, without one.
TEST_F(DeadLetterQueueTest, AFullDiskLosesNothing) {
  ASSERT_TRUE(Bury("0/100", "insert items 1 a").ok());
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = ::signal(SIGXFSZ, SIG_IGN);
  // Room for a part of a letter's line, and for some pages of the queue.
  rlimit tight = before;
  tight.rlim_cur = std::filesystem::file_size(directory_ + "/state/dead_letters.db-wal") + 20'000;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &tight), 0);
  std::vector<absl::Status> outcomes;
  for (int i = 0; i < 60; ++i) {
    outcomes.push_back(Bury(fmt::format("0/{}", 200 + i), fmt::format("insert items {} b", i)));
  }
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  ::signal(SIGXFSZ, handler);
  size_t kept = 1;
  size_t refused = 0;
  for (const absl::Status& outcome : outcomes) {
    outcome.ok() ? ++kept : ++refused;
    EXPECT_TRUE(outcome.ok() || base::IsRetryable(outcome)) << outcome;
  }
  EXPECT_GT(refused, 0U);
  EXPECT_EQ(queue_->Entries()->size(), kept);
  ASSERT_TRUE(Bury("0/900", "insert items 900 b").ok()) << "there is room again";
  Reopen();
  EXPECT_EQ(queue_->Entries()->size(), kept + 1);
  EXPECT_THAT(*ReadLetterFile(file_ + ".damaged"), IsEmpty()) << "a cut line of ours is a copy";
}

TEST_F(DeadLetterQueueTest, IsOnDiskWhenItSaysSo) {
  queue_.reset();
  for (int round = 0; round < 5; ++round) {
    int said[2];
    ASSERT_EQ(::pipe(said), 0);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      auto queue = DeadLetterQueue::Open({directory_ + "/state", "shop", "pg", file_});
      if (!queue.ok()) ::_exit(1);
      queue_ = *std::move(queue);
      for (int i = 0;; ++i) {
        const int number = round * 1000 + i;
        if (!Bury(fmt::format("1/{:X}", number), fmt::format("insert items {} b", number)).ok()) {
          ::_exit(1);
        }
        if (::write(said[1], "x", 1) != 1) ::_exit(1);
      }
    }
    ::close(said[1]);
    char c = 0;
    size_t count = 0;
    while (count < 20 + static_cast<size_t>(round) && ::read(said[0], &c, 1) == 1) ++count;
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    while (::read(said[0], &c, 1) == 1) ++count;
    ::close(said[0]);
    Reopen();
    size_t found = 0;
    const std::vector<DeadLetterQueue::Entry> entries = *queue_->Entries();
    for (const DeadLetterQueue::Entry& entry : entries) {
      const uint64_t number = entry.position.commit_lsn.value() & 0xFFFFFFFF;
      if (number / 1000 == static_cast<uint64_t>(round)) ++found;
    }
    EXPECT_GE(found, count);
    EXPECT_LE(found, count + 1);
    EXPECT_TRUE(queue_->WriteCopy().ok());
    EXPECT_EQ(Lines().size(), queue_->Entries()->size());
    queue_.reset();
  }
}

}  // namespace
}  // namespace pgflow::engine
