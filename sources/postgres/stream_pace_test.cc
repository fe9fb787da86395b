#include "sources/postgres/stream_pace.h"

#include <algorithm>
#include <functional>
#include <random>

#include <gtest/gtest.h>

namespace pgflow::sources {
namespace {

class StreamPaceTest : public testing::Test {
 protected:
  // What Rest says after `messages` more in `passed`.
  absl::Duration After(absl::Duration passed, int64_t messages, int64_t message_bytes = 100) {
    now_ += passed;
    return pace_.Rest(now_, messages, messages * message_bytes);
  }

  // A reader that rests as told and finds what `gathered` says of the time since its last look.
  // The messages a second in the second of two seconds.
  double Read(const std::function<int64_t(absl::Duration)>& gathered, int64_t message_bytes = 100) {
    constexpr absl::Duration kDrain = absl::Microseconds(200);
    After(absl::Seconds(1), 1);
    const absl::Time start = now_;
    int64_t counted = 0;
    looks_ = 0;
    absl::Duration rest;
    while (now_ < start + absl::Seconds(2)) {
      const absl::Duration passed = std::max(rest, absl::Microseconds(5)) + kDrain;
      const int64_t messages = gathered(passed);
      rest = After(passed, messages, message_bytes);
      if (now_ < start + absl::Seconds(1)) continue;
      counted += messages;
      if (rest > absl::ZeroDuration()) ++looks_;
    }
    return static_cast<double>(counted);
  }

  absl::Time now_ = absl::FromUnixSeconds(1'000'000);
  StreamPace pace_;
  int looks_ = 0;  // Rests in that second.
};

int64_t Arrived(absl::Duration time, double per_second) {
  return static_cast<int64_t>(absl::ToDoubleSeconds(time) * per_second);
}

TEST_F(StreamPaceTest, AQuietStreamIsNeverKeptWaiting) {
  EXPECT_EQ(After(absl::Hours(1), 3), absl::ZeroDuration());
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(After(absl::Microseconds(400), 3), absl::ZeroDuration()) << i;
  }
}

TEST_F(StreamPaceTest, ABusyOneGathersShortly) {
  Read([](absl::Duration time) { return Arrived(time, 60'000); });
  EXPECT_EQ(After(absl::Milliseconds(1), 60), StreamPace::kGatherMin);
}

TEST_F(StreamPaceTest, AFloodGathersLonger) {
  Read([](absl::Duration time) { return Arrived(time, 250'000); });
  EXPECT_GT(After(absl::Milliseconds(20), 5000), absl::Milliseconds(16));
}

TEST_F(StreamPaceTest, LargeMessagesDoNotFillTheBuffers) {
  Read([](absl::Duration time) { return Arrived(time, 150'000); }, 2000);
  EXPECT_LE(After(absl::Milliseconds(4), 600, 2000), absl::Milliseconds(4));
}

// The server gets every second slice of its processor, more or less.
TEST_F(StreamPaceTest, AServerWithNeighboursIsNoReasonForShortRests) {
  std::minstd_rand random(1);
  const auto arrived = [&random, left = absl::ZeroDuration(),
                        runs = false](absl::Duration time) mutable {
    int64_t messages = 0;
    while (time > absl::ZeroDuration()) {
      if (left <= absl::ZeroDuration()) {
        left = absl::Microseconds(500 + random() % 7000);
        runs = random() % 2 == 0;
      }
      const absl::Duration slice = std::min(left, time);
      if (runs) messages += Arrived(slice, 300'000);
      left -= slice;
      time -= slice;
    }
    return messages;
  };
  Read(arrived);
  EXPECT_LT(looks_, 100);  // In a second.
}

// Between machines nothing comes once the receive window is full.
TEST_F(StreamPaceTest, AFullWindowDoesNotSlowTheStream) {
  for (const int64_t window : {650, 2000, 6000}) {
    const double rate = Read([window](absl::Duration time) {
      return std::min<int64_t>(window, Arrived(time, 250'000));
    });
    EXPECT_GT(rate, 0.9 * 250'000) << window;
  }
}

TEST_F(StreamPaceTest, TheFirstMessageAfterASilenceDoesNotWait) {
  Read([](absl::Duration time) { return Arrived(time, 250'000); });
  ASSERT_GT(After(absl::Milliseconds(32), 8000), absl::ZeroDuration());
  EXPECT_EQ(After(absl::Milliseconds(40), 1), absl::ZeroDuration());
}

TEST_F(StreamPaceTest, OneLargeBunchIsNoBusyStream) {
  EXPECT_EQ(After(absl::Seconds(1), 10'000), absl::ZeroDuration());
}

}  // namespace
}  // namespace pgflow::sources
