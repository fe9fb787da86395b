// FakeClock: a clock that stands still until a test moves it.
#pragma once

#include <absl/base/thread_annotations.h>

#include "base/clock.h"
#include "base/mutex.h"

namespace pgflow::engine {

// Thread-safe.
class FakeClock final : public base::Clock {
 public:
  explicit FakeClock(absl::Time now = absl::FromUnixSeconds(1767225600)) : now_(now) {}

  absl::Time Now() const override {
    base::MutexLock lock(&mutex_);
    return now_;
  }
  void Advance(absl::Duration by) {
    base::MutexLock lock(&mutex_);
    now_ += by;
  }

 private:
  mutable base::Mutex mutex_;
  absl::Time now_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace pgflow::engine
