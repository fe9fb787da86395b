// TapQueue: what one watcher has not printed yet, bounded in bytes. What does not fit is let go and
// counted.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>

#include <absl/base/thread_annotations.h>
#include <absl/time/time.h>

#include "base/mutex.h"
#include "engine/observe/tap_filter.h"

namespace pgflow::engine {

// A batch that several watchers may read; constant.
struct TappedBatch {
  explicit TappedBatch(Batch taken) : batch(std::move(taken)) {}

  Batch batch;
  std::span<const ChangeEvent> events;
  uint64_t bytes = 0;  // What it keeps in memory, about.
};

struct TapItem {
  uint64_t skipped = 0;                      // Changes let go before the batch.
  std::shared_ptr<const TappedBatch> batch;  // Null: only the count.
};

// Thread-safe: lanes push, one watcher takes. Shared by the tap and the watcher, for a lane may
// still hold it when the watcher leaves.
class TapQueue {
 public:
  TapQueue(TapFilter filter, uint64_t bytes_max)
      : filter_(std::move(filter)), bytes_max_(bytes_max) {}

  const TapFilter& filter() const { return filter_; }
  bool HasRoomFor(uint64_t bytes) const;
  void Push(std::shared_ptr<const TappedBatch> batch);
  void Skip(uint64_t changes);
  // Nothing when nothing came until `timeout` or `stop`.
  std::optional<TapItem> Take(absl::Duration timeout, const std::stop_token& stop);

 private:
  const TapFilter filter_;
  const uint64_t bytes_max_;
  mutable base::Mutex mutex_;
  base::CondVar arrived_;
  std::deque<TapItem> items_ ABSL_GUARDED_BY(mutex_);
  uint64_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t skipped_ ABSL_GUARDED_BY(mutex_) = 0;  // Since the last item.
};

}  // namespace pgflow::engine
