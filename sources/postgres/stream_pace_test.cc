#include "sources/postgres/stream_pace.h"

#include <gtest/gtest.h>

namespace pgflow::sources {
namespace {

class StreamPaceTest : public testing::Test {
 protected:
  // What Rest says after `messages` more in `passed`.
  absl::Duration After(absl::Duration passed, int64_t messages) {
    now_ += passed;
    return pace_.Rest(now_, messages);
  }

  absl::Time now_ = absl::FromUnixSeconds(1'000'000);
  StreamPace pace_;
};

TEST_F(StreamPaceTest, AQuietStreamIsNeverKeptWaiting) {
  EXPECT_EQ(After(absl::Hours(1), 3), absl::ZeroDuration());
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(After(absl::Microseconds(400), 3), absl::ZeroDuration()) << i;
  }
}

TEST_F(StreamPaceTest, ABusyOneGathers) {
  After(absl::Seconds(1), 1);
  absl::Duration rest;
  for (int i = 0; i < 300; ++i) rest = After(absl::Microseconds(5), 1);
  EXPECT_EQ(rest, StreamPace::kGather);
}

TEST_F(StreamPaceTest, TheFirstMessageAfterASilenceDoesNotWait) {
  After(absl::Seconds(1), 1);
  for (int i = 0; i < 300; ++i) After(absl::Microseconds(5), 1);
  ASSERT_EQ(After(absl::Microseconds(5), 1), StreamPace::kGather);
  EXPECT_EQ(After(absl::Milliseconds(10), 1), absl::ZeroDuration());
}

TEST_F(StreamPaceTest, OneLargeBunchIsNoBusyStream) {
  EXPECT_EQ(After(absl::Seconds(1), 10'000), absl::ZeroDuration());
}

}  // namespace
}  // namespace pgflow::sources
