#include "engine/runtime/stall_watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/runtime/server_ends.h"

namespace pgflow::engine {
namespace {

using postgres::Lsn;
using testing::HasSubstr;

constexpr absl::Time kStart = absl::FromUnixSeconds(86'400);

absl::Time After(int seconds) { return kStart + absl::Seconds(seconds); }

TEST(ServerEnds, GivesTheAgeOfWhatIsNotHere) {
  ServerEnds ends;
  EXPECT_EQ(ends.AgeBehind(Lsn(), After(0)), absl::ZeroDuration());
  ends.Note(Lsn(100), After(0));
  ends.Note(Lsn(200), After(5));
  ends.Note(Lsn(200), After(9));
  EXPECT_EQ(ends.AgeBehind(Lsn(99), After(10)), absl::Seconds(10));
  EXPECT_EQ(ends.AgeBehind(Lsn(100), After(10)), absl::Seconds(5));
  EXPECT_EQ(ends.AgeBehind(Lsn(200), After(10)), absl::ZeroDuration());
  for (int i = 0; i < 100'000; ++i) ends.Note(Lsn(201 + static_cast<uint64_t>(i)), After(10 + i));
  EXPECT_EQ(ends.AgeBehind(Lsn(99), After(200'000)), absl::Seconds(200'000));
  EXPECT_LT(ends.AgeBehind(Lsn(100'190), After(100'010)), absl::Seconds(60));
}

class StallWatchTest : public testing::Test {
 protected:
  StallWatchTest() {
    view_.heard = kStart;
    view_.slot_active = true;
    view_.tells_end = true;
    view_.status.slot = "s";
    view_.status.server_lsn = view_.status.received_lsn = Lsn(100);
    SinkStatus& sink = view_.status.sinks.emplace_back();
    sink.name = "target";
    sink.phase = Phase::kStreaming;
  }
  // A look each second from `first` until `last`; what the last one said.
  StallWatch::Verdict LookAt(int first, int last) {
    StallWatch::Verdict verdict;
    for (int second = first; second <= last; ++second) {
      if (server_speaks_) view_.heard = After(second);
      verdict = watch_.Look(view_, After(second));
    }
    return verdict;
  }
  SinkStatus& sink() { return view_.status.sinks.front(); }

  StallWatch watch_;
  StallWatch::View view_;
  bool server_speaks_ = true;
};

TEST_F(StallWatchTest, AnIdlePipelineIsWell) {
  EXPECT_EQ(LookAt(0, 500).stalled, "");
  view_.status.server_lsn = Lsn(200);
  EXPECT_EQ(LookAt(501, 520).stalled, "");
  view_.status.received_lsn = Lsn(200);
  EXPECT_EQ(LookAt(521, 600).stalled, "");
}

TEST_F(StallWatchTest, ASilentStream) {
  server_speaks_ = false;
  EXPECT_EQ(LookAt(0, 29).stalled, "");
  const StallWatch::Verdict verdict = LookAt(30, 31);
  EXPECT_EQ(verdict.stalled, "nothing was heard from the source for 31s");
  EXPECT_TRUE(verdict.unhealthy);
  view_.source_waits = true;  // It is not listened to.
  EXPECT_EQ(LookAt(32, 500).stalled, "");
}

TEST_F(StallWatchTest, AnInactiveSlot) {
  view_.slot_active = false;
  EXPECT_FALSE(LookAt(0, 29).unhealthy);
  EXPECT_THAT(LookAt(30, 30).stalled, HasSubstr("slot s is not active"));
  view_.slot_active = true;
  EXPECT_FALSE(LookAt(31, 31).unhealthy);
}

TEST_F(StallWatchTest, AServerThatIsAhead) {
  view_.status.server_lsn = Lsn(200);
  const StallWatch::Verdict verdict = LookAt(0, 40);
  EXPECT_THAT(verdict.stalled, HasSubstr("nothing was received behind 0/64"));
  EXPECT_TRUE(verdict.unhealthy);
  for (int second = 41; second < 500; ++second) {
    ++view_.status.bytes;  // Slow, but it moves.
    EXPECT_EQ(LookAt(second, second).stalled, "");
  }
}

TEST_F(StallWatchTest, ASinkThatTakesNothing) {
  sink().queue_bytes = 1000;
  sink().lag = absl::Seconds(1);
  EXPECT_EQ(LookAt(0, 29).stalled, "");
  StallWatch::Verdict verdict = LookAt(30, 60);
  EXPECT_THAT(verdict.stalled, HasSubstr("sink target took nothing"));
  EXPECT_FALSE(verdict.unhealthy);
  EXPECT_TRUE(LookAt(61, 120).unhealthy);
  ++sink().windows;
  EXPECT_EQ(LookAt(121, 121).stalled, "");
  sink().phase = Phase::kSnapshot;  // What waits is not its turn.
  EXPECT_EQ(LookAt(122, 500).stalled, "");
}

}  // namespace
}  // namespace pgflow::engine
