#include "engine/observe/tap.h"

#include <algorithm>
#include <utility>

#include <absl/time/clock.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/status.h"

namespace pgflow::engine {
namespace {

// The sink itself, or the lane that joins tables to its stream.
bool IsOf(std::string_view lane, std::string_view sink) {
  return lane.starts_with(sink) && (lane.size() == sink.size() || lane[sink.size()] == '+');
}

}  // namespace

void Tap::Take(std::string_view sink, Batch batch) {
  std::vector<std::shared_ptr<TapQueue>> queues;
  bool counting = false;
  {
    base::MutexLock lock(&mutex_);
    queues = queues_;
    counting = absl::Now() < counting_until_;
    if (!counting) activity_.clear();
    SetWatched();
  }
  if (counting) {
    std::vector<TableActivity> counted;
    CountActivity(sink, batch, counted);
    base::MutexLock lock(&mutex_);
    AddActivity(counted, activity_);
  }
  std::erase_if(queues, [&](const auto& queue) { return !IsOf(sink, queue->filter().sink); });
  if (queues.empty()) return;

  const uint64_t bytes = batch.byte_count() + batch.row_count() * sizeof(ChangeEvent);
  std::erase_if(queues, [&](const std::shared_ptr<TapQueue>& queue) {
    const uint64_t wanted = queue->filter().CountIn(batch);
    if (wanted == 0) return true;
    if (queue->HasRoomFor(bytes)) return false;
    queue->Skip(wanted);
    return true;
  });
  if (queues.empty()) return;
  const auto shared = std::make_shared<TappedBatch>(std::move(batch));
  const auto events = shared->batch.Events();
  if (!events.ok()) return;  // Malformed rows of a snapshot, which a sink passed on unread.
  shared->events = *events;
  shared->bytes = bytes;
  for (const std::shared_ptr<TapQueue>& queue : queues) queue->Push(shared);
}

absl::StatusOr<std::unique_ptr<TapWatcher>> Tap::Watch(TapFilter filter) {
  if (options_.watchers_max == 0) {
    return absl::FailedPreconditionError(
        "the pipeline's file has admin.tap: false, so its changes are not shown");
  }
  if (filter.sink.empty() && !options_.sinks.empty()) filter.sink = options_.sinks.front();
  if (std::ranges::find(options_.sinks, filter.sink) == options_.sinks.end()) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "sink: the pipeline has no '{}'; it has {}", filter.sink,
                            fmt::join(options_.sinks, ", "));
  }
  auto queue = std::make_shared<TapQueue>(std::move(filter), options_.queue_bytes_max);
  base::MutexLock lock(&mutex_);
  if (queues_.size() >= options_.watchers_max) {
    return base::MakeStatus(absl::StatusCode::kResourceExhausted,
                            "{} watch this pipeline already; end one of them", queues_.size());
  }
  queues_.push_back(queue);
  SetWatched();
  return std::unique_ptr<TapWatcher>(new TapWatcher(*this, std::move(queue)));
}

std::vector<TableActivity> Tap::Activity() {
  base::MutexLock lock(&mutex_);
  const absl::Time now = absl::Now();
  // Totals of an earlier look would make the first rate of this one wrong.
  if (now >= counting_until_) activity_.clear();
  counting_until_ = now + options_.counting_time;
  SetWatched();
  return activity_;
}

void Tap::Leave(const TapQueue* queue) {
  base::MutexLock lock(&mutex_);
  std::erase_if(queues_, [queue](const auto& each) { return each.get() == queue; });
  SetWatched();
}

void Tap::SetWatched() {
  watched_.store(!queues_.empty() || absl::Now() < counting_until_, std::memory_order_relaxed);
}

}  // namespace pgflow::engine
