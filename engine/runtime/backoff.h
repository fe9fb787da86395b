// Backoff: how long to wait before the next attempt; exponential, with jitter.
#pragma once

#include <algorithm>
#include <random>

#include <absl/time/time.h>

namespace pgflow::engine {

struct RetryOptions {
  absl::Duration initial = absl::Milliseconds(100);
  absl::Duration max = absl::Seconds(15);
};

// One thread.
class Backoff {
 public:
  explicit Backoff(RetryOptions options) : options_(options), random_(std::random_device{}()) {}

  // Doubles with each call since the last Reset; between half of that and all of it, so that those
  // who lost the same server do not come back at the same instant.
  absl::Duration Next() {
    const absl::Duration full =
        std::min(options_.max, next_ == absl::ZeroDuration() ? options_.initial : next_);
    next_ = std::min(options_.max, full * 2);
    ++attempts_;
    return full * std::uniform_real_distribution<double>(0.5, 1.0)(random_);
  }
  void Reset() {
    next_ = absl::ZeroDuration();
    attempts_ = 0;
  }
  int attempts() const { return attempts_; }

 private:
  RetryOptions options_;
  std::mt19937_64 random_;
  absl::Duration next_;
  int attempts_ = 0;
};

}  // namespace pgflow::engine
