#include "engine/observe/tap_queue.h"

#include <utility>

#include <absl/time/clock.h>

namespace pgflow::engine {

bool TapQueue::HasRoomFor(uint64_t bytes) const {
  base::MutexLock lock(&mutex_);
  return bytes_ + bytes <= bytes_max_;
}

void TapQueue::Push(std::shared_ptr<const TappedBatch> batch) {
  base::MutexLock lock(&mutex_);
  bytes_ += batch->bytes;
  items_.push_back({std::exchange(skipped_, 0), std::move(batch)});
  arrived_.Signal();
}

void TapQueue::Skip(uint64_t changes) {
  base::MutexLock lock(&mutex_);
  skipped_ += changes;
  arrived_.Signal();
}

std::optional<TapItem> TapQueue::Take(absl::Duration timeout, const std::stop_token& stop) {
  const std::stop_callback wake(stop, [this] {
    base::MutexLock lock(&mutex_);
    arrived_.Signal();
  });
  const absl::Time deadline = absl::Now() + timeout;
  base::MutexLock lock(&mutex_);
  while (items_.empty() && skipped_ == 0) {
    const absl::Duration left = deadline - absl::Now();
    if (left <= absl::ZeroDuration() || stop.stop_requested()) return std::nullopt;
    arrived_.WaitWithTimeout(&mutex_, left);
  }
  if (items_.empty()) return TapItem{std::exchange(skipped_, 0), nullptr};
  TapItem item = std::move(items_.front());
  items_.pop_front();
  bytes_ -= item.batch->bytes;
  return item;
}

}  // namespace pgflow::engine
