// Dead letters and their replay, in a pipeline between fakes.
#include "engine/runtime/letter_replay.h"

#include "base/status.h"
#include "engine/runtime/pipeline_fixture_test.h"

namespace pgflow::engine {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class DeadLetterTest : public PipelineTest, public testing::WithParamInterface<bool> {};

TEST_P(DeadLetterTest, TakesTheRefusedRowsAndTheOthersGoOn) {
  target_.Refuse("bad", /*name_culprit=*/GetParam());
  dead_letter_ = directory_ + "/dead.jsonl";
  Start({&target_});
  Write("begin\ninsert items 1 good\ninsert items 2 bad\ninsert items 3 fine\ncommit");
  Write("begin\ninsert items 4 bad\ncommit\nbegin\ninsert items 5 last\ncommit");
  ASSERT_TRUE(target_.WaitForEvents(3));
  EXPECT_TRUE(Drain().ok()) << result_;
  EXPECT_THAT(target_.durable_events(),
              ElementsAre("insert shop.items 1 good", "insert shop.items 3 fine",
                          "insert shop.items 5 last"));
  EXPECT_EQ(Letters()->Entries()->size(), 2u);
  EXPECT_THAT(target_.violations(), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(CulpritNamedOrNot, DeadLetterTest, testing::Bool());

// Which kind of sink: one that keeps its checkpoint has one of the replays, too.
class ReplayTest : public PipelineTest, public testing::WithParamInterface<bool> {
 protected:
  ReplayTest() {
    dead_letter_ = directory_ + "/dead.jsonl";
    if (GetParam()) replay_target_ = &replays_;
  }
  FakeTarget& target() { return GetParam() ? exact_ : target_; }
  // Where a letter comes back to.
  FakeTarget& replays() { return GetParam() ? replays_ : target_; }
  // Posts a request and waits for the answer.
  ReplayAnswer Replay(const ReplayRequest& request = {}) {
    const auto queue = Letters();
    const ReplayRequests requests(queue->database(), "test", "sink0");
    const int64_t id = *requests.Post(request);
    const absl::Time deadline = absl::Now() + absl::Seconds(20);
    while (absl::Now() < deadline) {
      if (auto answer = *requests.TakeAnswer(id); answer.has_value()) return *answer;
      std::this_thread::yield();
    }
    ADD_FAILURE() << "no answer";
    return {};
  }
  void Bury(int id) {
    target().Refuse("bad");
    Write(fmt::format("begin\ninsert items {} bad\ncommit\nbegin\ninsert items {} good\ncommit", id,
                      id + 1));
  }
};

TEST_P(ReplayTest, PutsALetterBackWhileChangesGoOn) {
  Start({&target()});
  Bury(1);
  ASSERT_TRUE(target().WaitForEvents(1));
  target().RefuseNothing();
  Write("begin\ninsert items 7 between\ncommit");
  const ReplayAnswer answer = Replay();
  EXPECT_EQ(answer.replayed, 1u) << answer.error;
  EXPECT_THAT(answer.refused, IsEmpty());
  Write("begin\ninsert items 8 behind\ncommit");
  ASSERT_TRUE(target().WaitForEvents(GetParam() ? 3 : 4));
  EXPECT_THAT(Letters()->Entries().value(), IsEmpty());
  EXPECT_TRUE(Drain().ok()) << result_;
  EXPECT_THAT(replays().durable_events(), testing::Contains("insert shop.items 1 bad"));
}

TEST_P(ReplayTest, ARowThatChangedSinceIsSkippedUnlessForced) {
  Start({&target()});
  Bury(1);
  ASSERT_TRUE(target().WaitForEvents(1));
  Write("begin\nupdate items 1 newer\ncommit");
  ASSERT_TRUE(target().WaitForEvents(2));
  target().RefuseNothing();
  const ReplayAnswer skipped = Replay();
  EXPECT_EQ(skipped.replayed, 0u);
  ASSERT_EQ(skipped.skipped.size(), 1u);
  EXPECT_THAT(skipped.skipped[0], HasSubstr("its row has changed since, at "));
  EXPECT_EQ(Letters()->Entries()->size(), 1u);
  EXPECT_EQ(Replay({.forced = true}).replayed, 1u);
  EXPECT_THAT(Letters()->Entries().value(), IsEmpty());
}

TEST_P(ReplayTest, WhatIsRefusedAgainStaysAndHoldsBackItsRow) {
  Start({&target()});
  target().Refuse("bad");
  Write("begin\ninsert items 1 bad\nupdate items 1 bad2\ninsert items 2 bad\ncommit");
  Write("begin\ninsert items 3 good\ncommit");
  ASSERT_TRUE(target().WaitForEvents(1));
  replays().Refuse("items 1 bad");
  if (GetParam()) target().RefuseNothing();
  const ReplayAnswer answer = Replay();
  EXPECT_EQ(answer.replayed, 1u) << answer.error;
  EXPECT_EQ(answer.refused.size(), 1u);
  EXPECT_EQ(answer.waiting, 1u) << "the update does not overtake the insert";
  EXPECT_EQ(Letters()->Entries()->size(), 2u);
  replays().RefuseNothing();
  EXPECT_EQ(Replay().replayed, 2u);
  EXPECT_THAT(Letters()->Entries().value(), IsEmpty());
  EXPECT_TRUE(Drain().ok()) << result_;
}

TEST_P(ReplayTest, WithoutThePipelineItRunsUnderItsLock) {
  Start({&target()});
  Bury(1);
  ASSERT_TRUE(target().WaitForEvents(1));
  EXPECT_TRUE(Drain().ok()) << result_;
  target().RefuseNothing();
  server_.SetSlotInUse(true);
  replay_only_ = true;
  {
    const auto queue = Letters();
    ASSERT_TRUE(ReplayRequests(queue->database(), "test", "sink0").Post({}).ok());
  }
  Start({&target()});
  EXPECT_FALSE(base::Payload(Join(), kSlotInUsePayload).empty()) << result_;
  server_.SetSlotInUse(false);
  Write("begin\ninsert items 9 later\ncommit");
  Start({&target()});
  EXPECT_TRUE(Join().ok()) << result_;
  EXPECT_THAT(Letters()->Entries().value(), IsEmpty());
  EXPECT_THAT(replays().durable_events(), testing::Contains("insert shop.items 1 bad"));
  EXPECT_THAT(target().durable_events(),
              testing::Not(testing::Contains("insert shop.items 9 later")));
}

TEST_P(ReplayTest, AnErrorOfTheSinkEndsTheReplayAndNotThePipeline) {
  Start({&target()});
  Bury(1);
  ASSERT_TRUE(target().WaitForEvents(1));
  target().RefuseNothing();
  replays().FailNext("write", absl::UnavailableError("away"));
  const ReplayAnswer answer = Replay();
  EXPECT_EQ(answer.replayed, 0u);
  EXPECT_THAT(answer.error, HasSubstr("away"));
  EXPECT_EQ(Replay().replayed, 1u);
  EXPECT_TRUE(Drain().ok()) << result_;
}

INSTANTIATE_TEST_SUITE_P(AtLeastOnceOrExact, ReplayTest, testing::Bool());

// The process ends behind the sink's commit: the sink's checkpoint of replays knows it.
TEST_F(PipelineTest, AReplayThatWasCutOffIsSettledByTheSinksCheckpoint) {
  replay_target_ = &replays_;
  dead_letter_ = directory_ + "/dead.jsonl";
  exact_.Refuse("bad");
  Start({&exact_});
  Write("begin\ninsert items 1 bad\ninsert items 2 bad\ncommit\nbegin\ninsert items 3 c\ncommit");
  ASSERT_TRUE(exact_.WaitForEvents(1));
  EXPECT_TRUE(Drain().ok()) << result_;
  {
    const auto queue = Letters();
    const auto entries = *queue->Entries();
    ASSERT_EQ(entries.size(), 2u);
    ASSERT_TRUE(queue->BeginAttempts({{entries[0].id, 1}, {entries[1].id, 2}}).ok());
    ASSERT_TRUE(replays_.store().Begin({}, {}).ok());
    ASSERT_TRUE(replays_.store().AdvanceStream({postgres::Lsn(1), postgres::Lsn(1)}).ok());
  }
  Start({&exact_});
  Write("begin\ninsert items 4 d\ncommit");
  ASSERT_TRUE(exact_.WaitForEvents(2));
  const auto left = *Letters()->Entries();
  ASSERT_EQ(left.size(), 1u);
  EXPECT_EQ(left[0].attempt, 0u);
  EXPECT_EQ(left[0].position.ordinal, 1u);
}

// Buried, and killed before the checkpoint passed it: the slot brings it again.
TEST_F(PipelineTest, ALetterThatComesAgainIsNotDelivered) {
  dead_letter_ = directory_ + "/dead.jsonl";
  target_.HoldDurable();
  target_.Refuse("bad");
  Start({&target_});
  Write("begin lsn=0/200\ninsert items 1 bad\ninsert items 2 b\ncommit");
  ASSERT_TRUE(target_.WaitForEvents(1));
  EXPECT_TRUE(Stop().ok()) << result_;
  target_.RefuseNothing();
  target_.ReleaseDurable();
  Start({&target_});
  ASSERT_TRUE(target_.WaitForDurable(postgres::Lsn(0x200)));
  EXPECT_TRUE(Drain().ok()) << result_;
  EXPECT_EQ(Letters()->Entries()->size(), 1u);
  EXPECT_THAT(target_.durable_events(), testing::Not(testing::Contains("insert shop.items 1 bad")));
}

}  // namespace
}  // namespace pgflow::engine
