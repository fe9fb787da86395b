// Tap: hands what lanes leave to whoever watches: batches to watchers, counts to /activity.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <absl/base/thread_annotations.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include "base/mutex.h"
#include "engine/api/change_tap.h"
#include "engine/observe/table_activity.h"
#include "engine/observe/tap_queue.h"

namespace pgflow::engine {

struct TapOptions {
  std::vector<std::string> sinks;          // The pipeline's, in the order of its file.
  size_t watchers_max = 8;                 // 0: values are shown to nobody.
  uint64_t queue_bytes_max = 16ULL << 20;  // Of each watcher.
  // Tables are counted so long after somebody asked.
  absl::Duration counting_time = absl::Seconds(10);
};

class TapWatcher;

// Thread-safe. Outlives the pipeline and the watchers.
class Tap final : public ChangeTap {
 public:
  explicit Tap(TapOptions options) : options_(std::move(options)) {}

  bool watched() const override { return watched_.load(std::memory_order_relaxed); }
  void Take(std::string_view sink, Batch batch) override;

  // From now on. kInvalidArgument: there is no such sink; kResourceExhausted: too many watch;
  // kFailedPrecondition: nobody may.
  absl::StatusOr<std::unique_ptr<TapWatcher>> Watch(TapFilter filter);

  // Totals since the counting began, which this call begins or goes on with.
  std::vector<TableActivity> Activity();

 private:
  friend class TapWatcher;

  void Leave(const TapQueue* queue);
  void SetWatched() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const TapOptions options_;
  std::atomic<bool> watched_{false};
  base::Mutex mutex_;
  std::vector<std::shared_ptr<TapQueue>> queues_ ABSL_GUARDED_BY(mutex_);
  absl::Time counting_until_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  std::vector<TableActivity> activity_ ABSL_GUARDED_BY(mutex_);
};

// One who watches, until it is destroyed. One thread.
class TapWatcher {
 public:
  ~TapWatcher() { tap_.Leave(queue_.get()); }
  TapWatcher(const TapWatcher&) = delete;
  TapWatcher& operator=(const TapWatcher&) = delete;

  const TapFilter& filter() const { return queue_->filter(); }
  std::optional<TapItem> Take(absl::Duration timeout, const std::stop_token& stop) {
    return queue_->Take(timeout, stop);
  }

 private:
  friend class Tap;
  TapWatcher(Tap& tap, std::shared_ptr<TapQueue> queue) : tap_(tap), queue_(std::move(queue)) {}

  Tap& tap_;
  const std::shared_ptr<TapQueue> queue_;
};

}  // namespace pgflow::engine
