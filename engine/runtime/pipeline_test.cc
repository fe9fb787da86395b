// The engine as a whole, between fakes.
#include "engine/runtime/pipeline.h"

#include <fstream>
#include <functional>

#include "base/status.h"
#include "engine/runtime/pipeline_fixture_test.h"

namespace pgflow::engine {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST_F(PipelineTest, CopiesThenStreamsWhatCameBehindTheSnapshot) {
  server_.SetTable(items_, {events_.Rows("items", "1 a\n2 b"), events_.Rows("items", "3 c")});
  server_.SetConsistentPoint(postgres::Lsn(0x150));
  Write("begin lsn=0/100\ninsert items 3 c\ncommit");  // The snapshot has it.
  Write("begin lsn=0/200\nupdate items 3 d\ncommit");
  Start({&target_});
  ASSERT_TRUE(target_.WaitForDurable(postgres::Lsn(0x200)));
  EXPECT_TRUE(Drain().ok()) << result_;
  EXPECT_THAT(target_.rows("items"), ElementsAre("1 a", "2 b", "3 c"));
  EXPECT_THAT(target_.durable_events(), ElementsAre("update shop.items 3 d"));
  EXPECT_THAT(target_.violations(), IsEmpty());
}

TEST_F(PipelineTest, WhoWatchesGetsWhatTheSinkHasTaken) {
  dead_letter_ = directory_ + "/refused.jsonl";
  server_.SetTable(items_, {events_.Rows("items", "1 a")});
  server_.SetConsistentPoint(postgres::Lsn(0x150));
  target_.Refuse("bad", false);
  target_.FailNext("write", absl::UnavailableError("away"));
  Write("begin lsn=0/200\ninsert items 2 b\ninsert items 3 bad\ninsert items 4 c\ncommit");
  Start({&target_});
  ASSERT_TRUE(target_.WaitForDurable(postgres::Lsn(0x200)));
  EXPECT_TRUE(server_.WaitForAcknowledged(postgres::Lsn(0x200)));
  tap_.watching = false;
  Write("begin lsn=0/300\ninsert items 5 d\ncommit");
  ASSERT_TRUE(target_.WaitForDurable(postgres::Lsn(0x300)));
  EXPECT_TRUE(Drain().ok()) << result_;
  EXPECT_THAT(tap_.lines(),
              ElementsAre("sink0: read shop.items 1 a", "sink0: insert shop.items 2 b",
                          "sink0: insert shop.items 4 c"));
}

TEST_F(PipelineTest, ARestartContinuesFromTheCheckpoint) {
  Write("begin lsn=0/100\ninsert items 1 a\ncommit");
  Start({&target_});
  ASSERT_TRUE(target_.WaitForDurable(postgres::Lsn(0x100)));
  EXPECT_TRUE(Stop().ok());
  Write("begin lsn=0/200\ninsert items 2 b\ncommit");
  Start({&target_});
  ASSERT_TRUE(target_.WaitForDurable(postgres::Lsn(0x200)));
  EXPECT_TRUE(Stop().ok());
  EXPECT_THAT(target_.durable_events(),
              ElementsAre("insert shop.items 1 a", "insert shop.items 2 b"));
  EXPECT_EQ(server_.snapshot_count(), 1);
}

TEST_F(PipelineTest, AStoppedSinkHoldsBackNeitherTheOtherNorTheSource) {
  FakeTarget stuck(true);
  stuck.Cork();
  Start({&target_, &stuck});
  // Before that, a sink whose snapshot was opened later would rightly leave out what is in it.
  while (!AllStream()) std::this_thread::yield();
  for (int i = 0; i < 50; ++i) Write("begin\ninsert items 1 x\ncommit");
  ASSERT_TRUE(target_.WaitForEvents(50));
  EXPECT_EQ(stuck.events().size(), 0u);
  stuck.Uncork();
  ASSERT_TRUE(stuck.WaitForEvents(50));
  EXPECT_TRUE(Drain().ok());
  EXPECT_EQ(stuck.durable_events().size(), 50u);
}

TEST_F(PipelineTest, OnlyWhatIsDurableIsAcknowledged) {
  target_.HoldDurable();
  Start({&target_});
  Write("begin lsn=0/200\ninsert items 1 a\ncommit");
  ASSERT_TRUE(target_.WaitForEvents(1));
  EXPECT_FALSE(server_.WaitForAcknowledged(postgres::Lsn(0x200), absl::Milliseconds(50)));
  target_.ReleaseDurable();
  EXPECT_TRUE(server_.WaitForAcknowledged(postgres::Lsn(0x200)));
}

TEST_F(PipelineTest, AnIdlePositionIsAcknowledged) {
  Start({&target_});
  server_.Idle(postgres::Lsn(0x900));
  EXPECT_TRUE(server_.WaitForAcknowledged(postgres::Lsn(0x900)));
}

// It would make the parts of the transaction visible, and the rest of it be taken for all of it
// after a restart.
TEST_F(PipelineTest, AnIdlePositionIsNotWrittenInsideATransaction) {
  window_bytes_max_ = 1;  // Every transaction comes in parts.
  Start({&target_});
  Write("begin lsn=0/200\ninsert items 1 a\ncommit");
  ASSERT_TRUE(target_.WaitForDurable(postgres::Lsn(0x200)));
  server_.Idle(postgres::Lsn(0x280));  // Waits for idle_checkpoint_interval ...
  Write("begin lsn=0/300\ninsert items 2 b");
  ASSERT_TRUE(target_.WaitForEvents(2));
  std::this_thread::sleep_for(std::chrono::milliseconds(60));  // ... which passes here.
  Write("insert items 3 c");
  ASSERT_TRUE(target_.WaitForEvents(3));
  Write("commit");
  ASSERT_TRUE(target_.WaitForDurable(postgres::Lsn(0x300)));
  EXPECT_TRUE(Drain().ok()) << result_;
  EXPECT_THAT(target_.violations(), IsEmpty());
  EXPECT_THAT(
      target_.durable_events(),
      ElementsAre("insert shop.items 1 a", "insert shop.items 2 b", "insert shop.items 3 c"));
}

TEST_F(PipelineTest, ABusyStreamIsGatheredIntoLargerWindows) {
  gather_interval_ = absl::Milliseconds(200);
  Start({&target_});
  while (!AllStream()) std::this_thread::yield();
  std::string busy = "begin lsn=0/200\n";
  for (int i = 0; i < 1000; ++i) busy += "insert items 1 a\n";
  Write(busy + "commit");
  ASSERT_TRUE(target_.WaitForEvents(1000));
  const int windows = target_.write_count();
  for (int i = 0; i < 50; ++i) {
    Write("begin\ninsert items 2 b\ncommit");
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  ASSERT_TRUE(target_.WaitForEvents(1050));
  EXPECT_LE(target_.write_count() - windows, 10);
  // Few changes came in the last window: the next one does not wait.
  const absl::Time start = absl::Now();
  Write("begin\ninsert items 3 c\ncommit");
  ASSERT_TRUE(target_.WaitForEvents(1051));
  EXPECT_LT(absl::Now() - start, absl::Milliseconds(150));
  EXPECT_TRUE(Drain().ok()) << result_;
}

TEST_F(PipelineTest, APassingErrorIsRetriedWithoutLossOrRepetition) {
  Start({&target_});
  Write("begin lsn=0/200\ninsert items 1 a\ncommit");
  ASSERT_TRUE(target_.WaitForDurable(postgres::Lsn(0x200)));
  target_.FailNext("write", absl::UnavailableError("connection lost"), 3);
  Write("begin lsn=0/300\ninsert items 2 b\ncommit");
  ASSERT_TRUE(target_.WaitForDurable(postgres::Lsn(0x300)));
  EXPECT_EQ(pipeline_->status().sinks[0].retries, 3u);
  EXPECT_TRUE(Drain().ok());
  EXPECT_THAT(target_.durable_events(),
              ElementsAre("insert shop.items 1 a", "insert shop.items 2 b"));
  EXPECT_THAT(target_.violations(), IsEmpty());
}

TEST_F(PipelineTest, AFinalErrorStopsThePipelineAndNamesTheSink) {
  Start({&target_});
  target_.FailNext("write", absl::FailedPreconditionError("column gone"));
  Write("begin lsn=0/200\ninsert items 1 a\ncommit");
  const absl::Status status = Join();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(base::Message(status), "sink sink0: column gone");
}

TEST_F(PipelineTest, ALostSourceConnectionGivesNothingTwice) {
  Write("begin lsn=0/200\ninsert items 1 a\ncommit");
  Start({&target_});
  ASSERT_TRUE(target_.WaitForEvents(1));
  server_.Disconnect();
  Write("begin lsn=0/300\ninsert items 2 b\ncommit");
  ASSERT_TRUE(target_.WaitForEvents(2));
  EXPECT_TRUE(Drain().ok());
  EXPECT_EQ(server_.run_count(), 2);
  EXPECT_THAT(target_.durable_events(),
              ElementsAre("insert shop.items 1 a", "insert shop.items 2 b"));
}

TEST_F(PipelineTest, ARefusedRowStopsWithoutADeadLetter) {
  target_.Refuse("bad");
  Start({&target_});
  Write("begin lsn=0/200\ninsert items 1 bad\ncommit");
  EXPECT_EQ(Join().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(PipelineTest, AnotherSourceThanTheCheckpointsIsRefused) {
  Start({&target_});
  Write("begin lsn=0/200\ninsert items 1 a\ncommit");
  ASSERT_TRUE(target_.WaitForDurable(postgres::Lsn(0x200)));
  EXPECT_TRUE(Stop().ok());
  server_.SetIdentity({8, 1, "fake", "slot"});
  Start({&target_});
  EXPECT_THAT(std::string(base::Message(Join())), HasSubstr("system identifier 7 there, 8 here"));
}

TEST_F(PipelineTest, AMissingSlotWithACheckpointIsRefused) {
  Start({&target_});
  Write("begin lsn=0/200\ninsert items 1 a\ncommit");
  ASSERT_TRUE(target_.WaitForDurable(postgres::Lsn(0x200)));
  EXPECT_TRUE(Stop().ok());
  server_.RemoveSlot();
  Start({&target_});
  EXPECT_THAT(std::string(base::Message(Join())), HasSubstr("replication slot slot did not exist"));
}

TEST_F(PipelineTest, ASecondRunStandsByUntilTheSlotIsFree) {
  server_.SetSlotInUse(true);
  Start({&target_});
  while (pipeline_->status().phase != Phase::kStandby) std::this_thread::yield();
  EXPECT_EQ(target_.open_count(), 0);
  server_.SetSlotInUse(false);
  Write("begin lsn=0/200\ninsert items 1 a\ncommit");
  EXPECT_TRUE(target_.WaitForDurable(postgres::Lsn(0x200)));
}

// Between the first look at the slot and the first write, a process may lose it.
TEST_F(PipelineTest, ASinkIsTakenOnlyByWhoHasTheSlot) {
  FakeTarget target;
  server_.FailNext("confirm_slot", absl::UnavailableError("slot is not ours now"), 1000000);
  server_.Write(events_.Stream("begin\ninsert items 1 a\ncommit"));
  Start({&target});
  const absl::Time deadline = absl::Now() + absl::Seconds(10);
  while (server_.confirm_count() < 2 && absl::Now() < deadline)
    absl::SleepFor(absl::Milliseconds(1));
  EXPECT_GE(server_.confirm_count(), 2);
  EXPECT_EQ(target.open_count(), 0);
  server_.StopFailing("confirm_slot");
  EXPECT_TRUE(target.WaitForEvents(1));
  EXPECT_EQ(Drain(), absl::OkStatus());
}

TEST_F(PipelineTest, AProcessThatNeverGetsTheSlotBackCanBeStopped) {
  FakeTarget target;
  server_.FailNext("confirm_slot", absl::UnavailableError("slot is not ours now"), 1000000);
  Start({&target});
  EXPECT_EQ(Drain(), absl::OkStatus());
  EXPECT_EQ(target.open_count(), 0);
}

TEST_F(PipelineTest, EndsBeforeAPoint) {
  until_ = postgres::Lsn(0x300);
  Write("begin lsn=0/200\ninsert items 1 a\ncommit\nbegin lsn=0/300\ninsert items 2 b\ncommit");
  Start({&target_});
  EXPECT_TRUE(Join().ok()) << result_;
  EXPECT_THAT(target_.durable_events(), ElementsAre("insert shop.items 1 a"));
}

TEST_F(PipelineTest, EndsAtAnIdlePoint) {
  until_ = postgres::Lsn(0x300);
  Write("begin lsn=0/200\ninsert items 1 a\ncommit");
  server_.Idle(postgres::Lsn(0x300));
  Start({&target_});
  EXPECT_TRUE(Join().ok()) << result_;
  EXPECT_THAT(target_.durable_events(), ElementsAre("insert shop.items 1 a"));
}

// A server without writes does not repeat where it is.
TEST_F(PipelineTest, ASinkThatIsLostAtTheEndOfAnIdleStreamKnowsItWhenItIsBack) {
  until_ = postgres::Lsn(0x300);
  Write("begin lsn=0/200\ninsert items 1 a\ncommit");
  server_.Idle(postgres::Lsn(0x300));
  target_.FailNext("close", absl::UnavailableError("the connection was lost"));
  Start({&target_});
  EXPECT_TRUE(Join().ok()) << result_;
  EXPECT_EQ(target_.open_count(), 2);
  EXPECT_THAT(target_.durable_events(), ElementsAre("insert shop.items 1 a"));
}

TEST_F(PipelineTest, ASinkWithoutAStoreIsKeptInTheStateDirectory) {
  FakeTarget plain(false);
  Start({&plain});
  Write("begin lsn=0/200\ninsert items 1 a\ncommit");
  ASSERT_TRUE(plain.WaitForEvents(1));
  EXPECT_TRUE(Drain().ok());
  Write("begin lsn=0/300\ninsert items 2 b\ncommit");
  Start({&plain});
  ASSERT_TRUE(plain.WaitForEvents(2));
  EXPECT_TRUE(Drain().ok());
  EXPECT_THAT(plain.durable_events(),
              ElementsAre("insert shop.items 1 a", "insert shop.items 2 b"));
  EXPECT_EQ(server_.snapshot_count(), 1);
}

// What the first process wrote before it was killed.
TEST_F(PipelineTest, AStreamThatWasKilledAtItsStartCopiesNothing) {
  plan_.mode = SourcePlan::Mode::kStream;
  server_.SetTable(items_, {events_.Rows("items", "1 a")});
  Start({&target_});
  ASSERT_TRUE(Eventually([this] { return AllStream(); }));
  EXPECT_TRUE(Stop().ok()) << result_;
  ASSERT_TRUE(
      target_.store().Begin({7, 1, "fake", "slot"}, {postgres::Lsn(), postgres::Lsn(0x80)}).ok());
  Start({&target_});
  Write("begin lsn=0/200\ninsert items 2 b\ncommit");
  ASSERT_TRUE(target_.WaitForDurable(postgres::Lsn(0x200)));
  EXPECT_TRUE(Drain().ok()) << result_;
  EXPECT_EQ(server_.snapshot_count(), 0);
  EXPECT_THAT(target_.rows("items"), IsEmpty());
}

TEST_F(PipelineTest, NobodyKeepsTheSlotsOwnSnapshotInStreamMode) {
  plan_.mode = SourcePlan::Mode::kStream;
  server_.SetTable(items_, {events_.Rows("items", "1 a")});
  Start({&target_});
  EXPECT_TRUE(Eventually([this] { return AllStream(); }));
  EXPECT_EQ(server_.snapshots_held(), 0);
  EXPECT_TRUE(Drain().ok()) << result_;
}

// One that knows all the rows that it looks up.
class LearnedLookup final : public Transformer {
 public:
  absl::StatusOr<schemas::TableSchemaPtr> TransformSchema(
      const schemas::TableSchemaPtr& schema) override {
    return schema;
  }
  absl::Status Transform(Batch&) override { return absl::OkStatus(); }
  const schemas::TableName* looked_up() const override { return &table_; }

 private:
  const schemas::TableName table_{"shop", "items"};
};

TEST_F(PipelineTest, NobodyKeepsASnapshotThatNoSinkAskedFor) {
  plan_.mode = SourcePlan::Mode::kStream;
  transformers_.push_back(std::make_unique<LearnedLookup>());
  Start({&target_});
  EXPECT_TRUE(Eventually([this] { return AllStream(); }));
  EXPECT_TRUE(Eventually([this] { return server_.snapshots_held() == 0; }));
  EXPECT_EQ(server_.snapshot_count(), 0);
  EXPECT_TRUE(Drain().ok()) << result_;
}

// Building keys takes long, and needs nothing of the source.
TEST_F(PipelineTest, TheSnapshotIsLetGoWhenAllWasRead) {
  server_.SetTable(items_, {events_.Rows("items", "1 a"), events_.Rows("items", "2 b")});
  target_.FailNext("lane.finish_table", absl::UnavailableError("building"), 1000000);
  Start({&target_});
  EXPECT_TRUE(Eventually([this] { return target_.rows("items").size() == 2; }));
  EXPECT_TRUE(Eventually([this] { return server_.snapshots_held() == 0; }));
  EXPECT_TRUE(target_.finished_tables().empty());
  target_.StopFailing("lane.finish_table");
  ASSERT_TRUE(Eventually([this] { return AllStream(); }));
  EXPECT_EQ(server_.snapshot_count(), 1);
  EXPECT_TRUE(Drain().ok()) << result_;
}

TEST_F(PipelineTest, ATableThatChangedDuringTheSnapshotIsCopiedAgain) {
  server_.SetTable(items_, {events_.Rows("items", "1 a"), events_.Rows("items", "2 b")});
  target_.FailNext("lane.write", absl::UnavailableError("gone"), 2);
  Start({&target_});
  server_.SetTable(items_, {events_.Rows("items", "3 c")});
  server_.SetConsistentPoint(postgres::Lsn(0x90));
  Write("begin lsn=0/200\ninsert items 9 z\ncommit");
  ASSERT_TRUE(target_.WaitForDurable(postgres::Lsn(0x200)));
  EXPECT_TRUE(Drain().ok());
  EXPECT_THAT(target_.rows("items"), ElementsAre("3 c"));
}

// A foreign key that the target checks.
TEST_F(PipelineTest, RowsThatReferToOthersWaitForThem) {
  const schemas::TableSchemaPtr parents = events_.Table("shop.parents (id int4 key)");
  server_.SetTable(items_, {events_.Rows("items", "1 a"), events_.Rows("items", "2 b")});
  server_.SetTable(parents, {events_.Rows("parents", "1"), events_.Rows("parents", "2")});
  absl::Status refers = absl::InvalidArgumentError("no such parent");
  base::SetPayload(refers, kNeedsOthersPayload, "1");
  target_.FailNext("lane.finish", refers, 2);
  Start({&target_});
  while (!AllStream()) std::this_thread::yield();
  EXPECT_EQ(pipeline_->status().sinks[0].retries, 0u);
  EXPECT_TRUE(Drain().ok()) << result_;
  EXPECT_THAT(target_.rows("items"), ElementsAre("1 a", "2 b"));
  EXPECT_THAT(target_.rows("parents"), ElementsAre("1", "2"));
}

TEST_F(PipelineTest, RowsThatReferToNothingEndTheSnapshot) {
  server_.SetTable(items_, {events_.Rows("items", "1 a"), events_.Rows("items", "2 b")});
  absl::Status refers = absl::InvalidArgumentError("no such parent");
  base::SetPayload(refers, kNeedsOthersPayload, "1");
  target_.FailNext("lane.finish", refers, 1000);
  Start({&target_});
  EXPECT_THAT(std::string(base::Message(Join())), HasSubstr("no such parent"));
}

}  // namespace
}  // namespace pgflow::engine
