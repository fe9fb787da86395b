#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/status.h"
#include "engine/testing/event_builder.h"
#include "engine/testing/fake_clock.h"
#include "engine/testing/fake_sink.h"
#include "engine/testing/fake_source.h"
#include "engine/testing/sink_contract.h"

namespace pgflow::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

postgres::Lsn At(uint64_t lsn) { return postgres::Lsn(lsn); }
StreamPoint Point(uint64_t commit) { return {At(commit), At(commit + 0x30)}; }

class FakeSinkTest : public ::testing::Test {
 protected:
  FakeSinkTest() { builder_.Table("t (id int4 key, name text)"); }

  absl::Status Write(FakeSink& sink, std::string_view script, StreamPoint end,
                     bool ends_at_commit = true, std::stop_token stop = {}) {
    Batch batch = builder_.StreamBatch(script);
    Window window;
    window.batches = {&batch, 1};
    window.ends_at_commit = ends_at_commit;
    window.end = end;
    return sink.Write(window, std::move(stop)).status();
  }

  EventBuilder builder_;
};

TEST_F(FakeSinkTest, ForgetsWhatWasNotDurable) {
  FakeTarget target(true);
  ASSERT_TRUE(target.store().Begin({}, {}).ok());
  FakeSink sink(target);
  ASSERT_TRUE(sink.Open({}, {}).ok());
  ASSERT_TRUE(Write(sink, "begin\n insert t 1 a\n commit", Point(0x100)).ok());
  target.HoldDurable();
  ASSERT_TRUE(Write(sink, "begin\n insert t 2 b\n commit", Point(0x200)).ok());
  EXPECT_THAT(target.events(), ElementsAre("insert public.t 1 a", "insert public.t 2 b"));
  EXPECT_THAT(target.durable_events(), ElementsAre("insert public.t 1 a"));
  ASSERT_TRUE(sink.Open({}, {}).ok());
  EXPECT_THAT(target.events(), ElementsAre("insert public.t 1 a"));
  EXPECT_EQ((*target.store().Load())->stream, Point(0x100));
  EXPECT_EQ(*sink.Durable({}), Point(0x100));
  EXPECT_THAT(target.violations(), IsEmpty());
}

TEST_F(FakeSinkTest, CorksUncorksAndFails) {
  FakeTarget target;
  FakeSink sink(target);
  ASSERT_TRUE(sink.Open({}, {}).ok());
  target.Cork();
  std::thread uncork([&target] {
    EXPECT_TRUE(target.WaitForBlockedWrite());
    target.Uncork();
  });
  EXPECT_TRUE(Write(sink, "begin\n insert t 1 a\n commit", Point(0x100)).ok());
  uncork.join();
  target.Cork();
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(Write(sink, "begin\n commit", Point(0x200), true, stop.get_token()).code(),
            absl::StatusCode::kCancelled);
  target.Uncork();
  target.FailNext("write", absl::UnavailableError("gone"));
  EXPECT_EQ(Write(sink, "begin\n commit", Point(0x200)).code(), absl::StatusCode::kUnavailable);
  ASSERT_TRUE(sink.Open({}, {}).ok());
  target.Refuse("bad");
  const absl::Status refused =
      Write(sink, "begin lsn=0/400\n insert t 1 a\n insert t 2 bad\n commit", Point(0x400));
  EXPECT_EQ(base::Payload(refused, kCulpritPayload), "0/400:1");
  EXPECT_EQ(target.open_count(), 2);
}

TEST_F(FakeSinkTest, LanesShowRowsOfFinishedRanges) {
  FakeTarget target(true);
  FakeSink sink(target);
  ASSERT_TRUE(sink.Open({}, {}).ok());
  ASSERT_TRUE(target.store().Begin({}, {}).ok());
  TablePlan plan;
  plan.source_table = {"public", "t"};
  TableProgress progress;
  progress.table = plan.source_table;
  ASSERT_TRUE(target.store().BeginTable(progress).ok());
  auto lane = *sink.OpenLane({});
  ASSERT_TRUE(lane->BeginRange(plan, {0, 1}, {.mode = SnapshotLane::Mode::kCareful}).ok());
  target.Refuse("bad");
  Batch batch = builder_.Snapshot("t", "1 a\n 2 bad\n 3 null");
  EXPECT_EQ(lane->Write(batch, {})->rejections.size(), 1U);
  EXPECT_THAT(target.rows("t"), IsEmpty());
  ASSERT_TRUE(lane->FinishRange({}).ok());
  EXPECT_THAT(target.rows("t"), ElementsAre("1 a", "3 null"));
  EXPECT_EQ((*target.store().Load())->tables[0].finished.size(), 1U);
  EXPECT_EQ(sink.PrepareSnapshot({}, {&plan, 1}, {}, {}).code(),
            absl::StatusCode::kFailedPrecondition);
}

// Keeps what a source appends, as commit LSNs.
class Recorder final : public StreamWriter {
 public:
  void Started() override {}
  absl::Status Append(Chunk chunk) override {
    for (const TransactionSpan& span : chunk.transactions) Commit(span);
    return absl::OkStatus();
  }
  absl::Status AppendOpen(postgres::Xid, Chunk) override { return absl::OkStatus(); }
  absl::Status CommitOpen(postgres::Xid, const TransactionSpan& commit,
                          std::span<const postgres::Xid>) override {
    Commit(commit);
    return absl::OkStatus();
  }
  void DropOpen(postgres::Xid) override {}
  absl::Status Idle(postgres::Lsn) override { return absl::OkStatus(); }
  void Cut() override {}
  StreamPoint tail() const override {
    base::MutexLock lock(&mutex_);
    return tail_;
  }
  bool HasRoom() const override { return true; }
  bool WaitForRoom(absl::Duration, std::stop_token) override { return true; }

  std::vector<uint64_t> Wait(size_t count) {
    base::MutexLock lock(&mutex_);
    const auto there = [this, count] { return commits_.size() >= count; };
    mutex_.AwaitWithTimeout(base::Condition(&there), absl::Seconds(10));
    return commits_;
  }

 private:
  void Commit(const TransactionSpan& span) {
    base::MutexLock lock(&mutex_);
    commits_.push_back(span.commit_lsn.value());
    if (span.ends) tail_ = {span.commit_lsn, span.end_lsn};
  }
  mutable base::Mutex mutex_;
  std::vector<uint64_t> commits_;
  StreamPoint tail_;
};

TEST(FakeSource, RunsAgainBehindTheTail) {
  EventBuilder builder;
  builder.Table("t (id int4 key)");
  FakeServer server;
  FakeSource source(server);
  ASSERT_TRUE(source.Open({}).ok());
  EXPECT_TRUE(source.OpenSlot(true, {})->created);
  server.Write(builder.Stream("begin\n insert t 1\n commit\n begin\n insert t 2"));
  Recorder log;
  absl::Status ended;
  std::jthread run([&] { ended = source.Run(log, {}); });
  EXPECT_THAT(log.Wait(2), ElementsAre(0x100, 0x200));
  server.Disconnect();
  run.join();
  EXPECT_EQ(ended.code(), absl::StatusCode::kUnavailable);
  server.Write(builder.Stream("insert t 3\n commit"));
  server.WriteOpen(9, builder.Open("insert t 4"));
  server.CommitOpen(9, builder.Commit(9), {});
  run = std::jthread([&](std::stop_token stop) { ended = source.Run(log, stop); });
  // The first transaction was whole; the second comes again from its beginning.
  EXPECT_THAT(log.Wait(5), ElementsAre(0x100, 0x200, 0x200, 0x200, 0x300));
  run.request_stop();
  run.join();
  EXPECT_EQ(ended.code(), absl::StatusCode::kCancelled);
  source.Acknowledge(At(0x330));
  EXPECT_TRUE(server.WaitForAcknowledged(At(0x330)));
  EXPECT_EQ(source.Health({})->retained_wal_bytes, 0U);
}

TEST(FakeSource, GivesRangesAndNoticesChangedTables) {
  EventBuilder builder;
  const schemas::TableSchemaPtr schema = builder.Table("t (id int4 key)");
  FakeServer server;
  FakeSource source(server);
  server.SetTable(schema, {builder.Rows("t", "1\n2"), builder.Rows("t", "3")});
  auto session = *source.OpenSnapshot({});
  ASSERT_EQ(session->tables().size(), 1U);
  EXPECT_EQ(session->tables()[0].ranges.size(), 2U);
  auto reader = *session->OpenReader({});
  std::vector<std::string> rows;
  const BatchConsumer consume = [&rows](Batch batch) {
    for (std::string& line : Describe(batch)) rows.push_back(std::move(line));
    return absl::OkStatus();
  };
  for (const BlockRange& range : session->tables()[0].ranges) {
    EXPECT_EQ(*reader->Read({.table = 0, .range = range, .only_newer_than = ""}, consume, {}),
              RangeOutcome::kDone);
  }
  EXPECT_THAT(rows, ElementsAre("read public.t 1", "read public.t 2", "read public.t 3"));
  server.SetTable(schema, {builder.Rows("t", "4")});
  EXPECT_EQ(*reader->Read({}, consume, {}), RangeOutcome::kTableChanged);
}

TEST(SinkContract, TheFakesKeepIt) {
  for (const bool keeps_checkpoint : {false, true}) {
    FakeTarget target(keeps_checkpoint);
    const std::vector<std::string> broken =
        CheckSinkContract({.make = [&target] { return std::make_unique<FakeSink>(target); }});
    EXPECT_THAT(broken, IsEmpty());
    EXPECT_THAT(target.violations(), IsEmpty());
    EXPECT_THAT(target.rows("items"), ElementsAre("101 a", "102 null", "103 'c\td'"));
    EXPECT_EQ(target.durable_events().size(), 8U);
  }
}

TEST(SinkContract, SeesABrokenSink) {
  FakeTarget target(true);
  target.FailNext("durable", absl::InternalError("no"));
  EXPECT_THAT(CheckSinkContract({.make = [&target] { return std::make_unique<FakeSink>(target); }}),
              ::testing::Not(IsEmpty()));
}

TEST(FakeClock, MovesWhenTold) {
  FakeClock clock;
  const absl::Time before = clock.Now();
  clock.Advance(absl::Seconds(3));
  EXPECT_EQ(clock.Now() - before, absl::Seconds(3));
}

}  // namespace
}  // namespace pgflow::engine
