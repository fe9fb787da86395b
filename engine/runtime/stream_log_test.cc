#include "engine/runtime/stream_log.h"

#include <cstdlib>
#include <filesystem>
#include <string>
#include <utility>

#include <absl/time/clock.h>
#include <gtest/gtest.h>

#include "base/status.h"
#include "engine/runtime/batch_builder.h"
#include "engine/testing/event_builder.h"

namespace pgflow::engine {
namespace {

constexpr postgres::Lsn kNoStop(UINT64_MAX);

class StreamLogTest : public testing::Test {
 protected:
  StreamLogTest() { events_.Table("shop.items (id int4 key, name text)"); }

  StreamLog& Log(uint64_t memory_bytes_max = 1 << 20) {
    StreamLogOptions options;
    options.memory_bytes_max = memory_bytes_max;
    options.spool_directory = directory_;
    log_ = std::make_unique<StreamLog>(options);
    cursor_ = log_->OpenCursor();
    cursor_->Activate();
    return *log_;
  }

  void Append(std::string_view script) { ASSERT_TRUE(log_->Append(events_.Stream(script)).ok()); }

  Take Read(uint64_t bytes_max = 1 << 20, postgres::Lsn before = kNoStop) {
    absl::StatusOr<Take> take = cursor_->Read(bytes_max, before, absl::Now());
    EXPECT_TRUE(take.ok()) << take.status();
    return take.ok() ? *std::move(take) : Take();
  }

  // What a take holds, "lsn:ordinal event" each.
  std::vector<std::string> Lines(const Take& take) {
    std::vector<std::string> lines;
    for (const Slice& slice : take.slices) {
      if (slice.chunk == nullptr) continue;
      Batch batch = *builder_.Build(slice);
      std::vector<std::string> events = Describe(batch);
      const std::span<const ChangeEvent> changes = *batch.Events();
      for (size_t i = 0; i < events.size(); ++i) {
        lines.push_back(batch.PositionOf(changes[i]).ToString() + " " + events[i]);
      }
    }
    return lines;
  }

  std::string directory_ =
      (std::filesystem::temp_directory_path() / ("spool_" + std::to_string(::getpid()))).string();
  EventBuilder events_;
  std::unique_ptr<StreamLog> log_;
  std::unique_ptr<StreamLog::Cursor> cursor_;
  BatchBuilder builder_;
};

using Strings = std::vector<std::string>;

TEST_F(StreamLogTest, GivesTransactionsInOrder) {
  Log();
  Append(
      "begin lsn=0/100\ninsert items 1 a\ninsert items 2 b\ncommit\nbegin lsn=0/200\ndelete items "
      "1\ncommit");
  const Take take = Read();
  EXPECT_TRUE(take.ends_at_commit);
  EXPECT_EQ(take.end.commit_lsn, postgres::Lsn(0x200));
  EXPECT_EQ(Lines(take), (Strings{"0/100:0 insert shop.items 1 a", "0/100:1 insert shop.items 2 b",
                                  "0/200:0 delete shop.items 1"}));
  EXPECT_TRUE(Read().slices.empty());
}

TEST_F(StreamLogTest, AnUnfinishedTransactionWaitsForItsEnd) {
  Log();
  Append("begin lsn=0/100\ninsert items 1 a\ncommit\nbegin lsn=0/200\ninsert items 2 b");
  EXPECT_EQ(Lines(Read()), (Strings{"0/100:0 insert shop.items 1 a"}));
  EXPECT_TRUE(Read().slices.empty());
  EXPECT_TRUE(cursor_->AtEnd());
  Append("insert items 3 c\ncommit");
  EXPECT_FALSE(cursor_->AtEnd());
  EXPECT_EQ(Lines(Read()),
            (Strings{"0/200:0 insert shop.items 2 b", "0/200:1 insert shop.items 3 c"}));
}

TEST_F(StreamLogTest, ALargeTransactionComesInParts) {
  Log();
  Append("begin lsn=0/100\ninsert items 1 a");
  Append("insert items 2 b");
  Take take = Read(1);
  EXPECT_FALSE(take.ends_at_commit);
  EXPECT_EQ(Lines(take), (Strings{"0/100:0 insert shop.items 1 a"}));
  take = Read(1);
  EXPECT_EQ(Lines(take), (Strings{"0/100:1 insert shop.items 2 b"}));
  Append("insert items 3 c\ncommit");
  take = Read(1);
  EXPECT_TRUE(take.ends_at_commit);
  EXPECT_EQ(Lines(take), (Strings{"0/100:2 insert shop.items 3 c"}));
}

TEST_F(StreamLogTest, ATransactionLargerThanTheMemoryMovesOnWithALargeWindow) {
  Log(4000);
  Append("begin lsn=0/100\ninsert items 1 'some text that takes room'");
  size_t events = 0;
  for (int i = 0; i < 200; ++i) {
    ASSERT_TRUE(log_->HasRoom()) << i;
    Append("insert items 1 'some text that takes room'");
    events += Lines(Read(1 << 20)).size();
  }
  Append("commit");
  events += Lines(Read(1 << 20)).size();
  EXPECT_EQ(events, 201u);
}

TEST_F(StreamLogTest, WhatIsNotReleasedComesAgain) {
  Log();
  Append("begin lsn=0/100\ninsert items 1 a\ncommit");
  Append("begin lsn=0/200\ninsert items 2 b\ncommit");
  const Take take = Read();
  cursor_->Release({postgres::Lsn(0x100), take.slices.front().transactions.front().end_lsn});
  cursor_->Rewind();
  EXPECT_EQ(Lines(Read()), (Strings{"0/200:0 insert shop.items 2 b"}));
  cursor_->Release(log_->tail());
  EXPECT_EQ(cursor_->held_bytes(), 0u);
  EXPECT_EQ(log_->memory_bytes(), 0u);
}

// Chunks of a busy source end inside transactions, all of them.
TEST_F(StreamLogTest, WhatIsDurableIsReleasedThoughNoChunkEndsAtACommit) {
  Log();
  Append("begin lsn=0/100\ninsert items 1 a\ncommit\nbegin lsn=0/200\ninsert items 2 b");
  Append("insert items 3 c\ncommit\nbegin lsn=0/300\ninsert items 4 d");
  const Take take = Read();
  EXPECT_EQ(take.end.commit_lsn, postgres::Lsn(0x200));
  const uint64_t held = cursor_->held_bytes();
  cursor_->Release(take.end);
  EXPECT_LT(cursor_->held_bytes(), held);
  cursor_->Rewind();
  builder_.Start(take.end, {});
  Append("commit");
  EXPECT_EQ(Lines(Read()), (Strings{"0/300:0 insert shop.items 4 d"}));
}

// A transaction beyond the budget: the sink takes parts of it as soon as the source must wait.
TEST_F(StreamLogTest, ATransactionLargerThanTheBudgetDoesNotBlock) {
  Log(/*memory_bytes_max=*/1000);
  Append("begin lsn=0/100\ninsert items 1 a");
  for (int i = 0; log_->HasRoom(); ++i) Append("insert items 2 b");
  const Take take = Read();
  EXPECT_FALSE(take.ends_at_commit);
  EXPECT_FALSE(take.slices.empty());
  EXPECT_TRUE(log_->HasRoom());
}

TEST_F(StreamLogTest, ASlowCursorReadsBehindFromDisk) {
  Log(2000);
  std::unique_ptr<StreamLog::Cursor> slow = log_->OpenCursor();
  slow->Activate();
  for (int i = 0; i < 100; ++i) {
    Append("begin\ninsert items " + std::to_string(i) + " 'some text that takes room'\ncommit");
    Read();
    cursor_->Release(log_->tail());
  }
  EXPECT_LE(log_->memory_bytes(), 4000u);
  EXPECT_GT(log_->spool_bytes(), 0u);
  EXPECT_TRUE(log_->HasRoom());  // The fast one has nothing left to do.
  size_t events = 0;
  while (true) {
    absl::StatusOr<Take> take = slow->Read(4000, kNoStop, absl::Now());
    ASSERT_TRUE(take.ok());
    if (take->slices.empty()) break;
    for (const std::string& line : Lines(*take)) {
      EXPECT_NE(line.find(" " + std::to_string(events++) + " 'some"), std::string::npos) << line;
    }
  }
  EXPECT_EQ(events, 100u);
  slow->Release(log_->tail());
  cursor_.reset();
  slow.reset();
}

TEST_F(StreamLogTest, TheSourceWaitsForTheFastestSink) {
  Log(2000);
  for (int i = 0; log_->HasRoom(); ++i) {
    ASSERT_LT(i, 1000);
    Append("begin\ninsert items 1 'some text that takes room'\ncommit");
  }
  EXPECT_FALSE(log_->WaitForRoom(absl::Milliseconds(1), {}));
  Read();
  cursor_->Release(log_->tail());
  EXPECT_TRUE(log_->HasRoom());
}

TEST_F(StreamLogTest, OpenTransactionsJoinAtCommitWithoutAbortedParts) {
  for (uint64_t memory : {uint64_t{1} << 20, uint64_t{1}}) {  // In memory, and spilled.
    Log(memory);
    ASSERT_TRUE(log_->AppendOpen(7, events_.Open("insert items 1 a\ninsert@8 items 2 b")).ok());
    ASSERT_TRUE(log_->AppendOpen(9, events_.Open("insert items 9 x")).ok());
    ASSERT_TRUE(log_->AppendOpen(7, events_.Open("insert items 3 c")).ok());
    EXPECT_TRUE(Read().slices.empty());
    log_->DropOpen(9);
    TransactionSpan commit = events_.Commit(7);
    const postgres::Xid aborted[] = {8};
    ASSERT_TRUE(log_->CommitOpen(7, commit, aborted).ok());
    const std::string lsn = commit.commit_lsn.ToString();
    EXPECT_EQ(Lines(Read()),
              (Strings{lsn + ":0 insert shop.items 1 a", lsn + ":1 insert shop.items 3 c"}));
    cursor_->Release(log_->tail());
    EXPECT_EQ(log_->memory_bytes(), 0u);
    cursor_.reset();
  }
}

TEST_F(StreamLogTest, ACutTransactionIsForgotten) {
  Log();
  Append("begin lsn=0/100\ninsert items 1 a\ncommit\nbegin lsn=0/200\ninsert items 2 b");
  EXPECT_EQ(Lines(Read()).size(), 1u);
  log_->Cut();
  EventBuilder again;
  again.Table("shop.items (id int4 key, name text)");
  ASSERT_TRUE(log_->Append(again.Stream("begin lsn=0/200\ninsert items 2 b\ncommit")).ok());
  EXPECT_EQ(Lines(Read()), (Strings{"0/200:0 insert shop.items 2 b"}));
}

TEST_F(StreamLogTest, TheTailIsTheLastCommitThoughItsChunkGoesOn) {
  Log();
  Append("begin lsn=0/100\ninsert items 1 a\ncommit\nbegin lsn=0/200\ninsert items 2 b");
  // Where the source goes on reading after a lost connection: 0/100 must not come again.
  EXPECT_EQ(log_->tail().commit_lsn, postgres::Lsn(0x100));
  log_->Cut();
  EXPECT_EQ(log_->tail().commit_lsn, postgres::Lsn(0x100));
}

TEST_F(StreamLogTest, RefusesATransactionThatComesAgain) {
  Log();
  Append("begin lsn=0/100\ninsert items 1 a\ncommit\nbegin lsn=0/200\ninsert items 2 b");
  log_->Cut();
  EventBuilder again;
  again.Table("shop.items (id int4 key, name text)");
  Chunk chunk = again.Stream("begin lsn=0/100\ninsert items 1 a\ncommit");
  const TransactionSpan span = chunk.transactions.front();
  EXPECT_EQ(log_->Append(std::move(chunk)).code(), absl::StatusCode::kInternal);
  ASSERT_TRUE(log_->AppendOpen(7, again.Stream("begin lsn=0/100\ninsert items 1 a")).ok());
  EXPECT_EQ(log_->CommitOpen(7, span, {}).code(), absl::StatusCode::kInternal);
}

TEST_F(StreamLogTest, AReaderInsideACutTransactionStartsOver) {
  Log();
  Append("begin lsn=0/200\ninsert items 2 b");
  EXPECT_FALSE(Read(1).ends_at_commit);
  log_->Cut();
  EXPECT_EQ(cursor_->Read(1, kNoStop, absl::Now()).status().code(), absl::StatusCode::kAborted);
  cursor_->Rewind();
  EXPECT_TRUE(Read().slices.empty());
}

// The server's end of WAL is the end of its last commit, and nothing more comes.
TEST_F(StreamLogTest, StopsAtTheEndOfTheLastTransaction) {
  Log();
  Append("begin lsn=0/100\ninsert items 1 a\ncommit\nbegin lsn=0/200\ninsert items 2 b\ncommit");
  const Take take = Read(1 << 20, log_->tail().end_lsn);
  EXPECT_EQ(Lines(take),
            (Strings{"0/100:0 insert shop.items 1 a", "0/200:0 insert shop.items 2 b"}));
  EXPECT_TRUE(take.ends_at_commit);
  EXPECT_TRUE(take.reached_stop);
}

TEST_F(StreamLogTest, StopsBeforeAPoint) {
  Log();
  Append("begin lsn=0/100\ninsert items 1 a\ncommit\nbegin lsn=0/200\ninsert items 2 b\ncommit");
  Take take = Read(1 << 20, postgres::Lsn(0x200));
  EXPECT_EQ(Lines(take), (Strings{"0/100:0 insert shop.items 1 a"}));
  take = Read(1 << 20, postgres::Lsn(0x200));
  EXPECT_TRUE(take.slices.empty());
  EXPECT_TRUE(take.reached_stop);
}

TEST_F(StreamLogTest, IdlePositionsAreCoalesced) {
  Log();
  ASSERT_TRUE(log_->Idle(postgres::Lsn(0x500)).ok());
  ASSERT_TRUE(log_->Idle(postgres::Lsn(0x600)).ok());
  const Take take = Read();
  EXPECT_EQ(take.slices.size(), 1u);
  EXPECT_EQ(take.end.end_lsn, postgres::Lsn(0x600));
}

}  // namespace
}  // namespace pgflow::engine
