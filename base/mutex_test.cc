#include "base/mutex.h"

#include <thread>

#include <gtest/gtest.h>

namespace pgflow::base {
namespace {

TEST(Mutex, AwaitSeesWhatOthersChange) {
  Mutex mutex;
  int value = 0;
  bool flag = false;
  std::thread other([&] {
    for (int i = 0; i < 100; ++i) {
      MutexLock lock(&mutex);
      ++value;
    }
    MutexLock lock(&mutex);
    const auto answered = [&flag] { return flag; };
    EXPECT_TRUE(mutex.AwaitWithTimeout(Condition(&answered), absl::Seconds(20)));
    value = 0;
  });
  {
    MutexLock lock(&mutex);
    const auto hundred = [&value] { return value == 100; };
    mutex.Await(Condition(&hundred));
    flag = true;
  }
  other.join();
  EXPECT_EQ(value, 0);
}

TEST(Mutex, AwaitGivesUp) {
  Mutex mutex;
  const bool never = false;
  MutexLock lock(&mutex);
  EXPECT_FALSE(mutex.AwaitWithTimeout(Condition(&never), absl::Milliseconds(1)));
  EXPECT_FALSE(mutex.AwaitWithTimeout(Condition(&never), absl::ZeroDuration()));
}

TEST(CondVar, WakesAndGivesUp) {
  Mutex mutex;
  CondVar arrived;
  bool there = false;
  std::thread other([&] {
    MutexLock lock(&mutex);
    there = true;
    arrived.SignalAll();
  });
  {
    MutexLock lock(&mutex);
    while (!there) arrived.WaitWithTimeout(&mutex, absl::InfiniteDuration());
    EXPECT_TRUE(arrived.WaitWithTimeout(&mutex, absl::Milliseconds(1)));
  }
  other.join();
}

}  // namespace
}  // namespace pgflow::base
