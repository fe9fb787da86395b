// StreamLog::Cursor: reading the log at a sink's own pace.
#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/status.h"
#include "engine/runtime/stream_log.h"

namespace pgflow::engine {

StreamLog::Cursor::~Cursor() {
  base::MutexLock lock(&log_.mutex_);
  std::erase(log_.cursors_, this);
  log_.FreeLocked();
}

void StreamLog::Cursor::Activate() {
  base::MutexLock lock(&log_.mutex_);
  active_ = true;
}

void StreamLog::Cursor::Wake() {
  base::MutexLock lock(&log_.mutex_);
  woken_ = true;
  log_.arrived_.SignalAll();
}

struct StreamLog::Cursor::Draft {
  Take take;
  std::vector<std::shared_ptr<const SpooledChunk>> spilled;  // One a slice, as the next.
  std::vector<uint64_t> ids;
  Place next;  // Behind the take.
};

// Gathers whole transactions up to `bytes_max`; when the first one is not complete, its parts.
StreamLog::Cursor::Draft StreamLog::Cursor::Collect(uint64_t bytes_max,
                                                    postgres::Lsn before) const {
  Draft draft;
  size_t whole_slices = 0;   // Of the draft's slices, these end at a commit ...
  uint32_t whole_last = 0;   // ... the last of them at this transaction,
  Place whole_next = next_;  // ... and reading goes on here.
  for (uint64_t id = next_.id; id < log_.readable_end() && draft.take.bytes < bytes_max; ++id) {
    const Entry& entry = log_.At(id);
    if (entry.position_only()) {
      draft.take.reached_stop = entry.end.end_lsn >= before;
      draft.take.end = entry.end;
      draft.take.slices.push_back({});
      draft.spilled.emplace_back();
      draft.ids.push_back(id);
      whole_slices = draft.take.slices.size();
      whole_last = 0;
      whole_next = draft.next = {id + 1, 0};
      if (draft.take.reached_stop) break;
      continue;
    }
    Slice slice{entry.chunk, entry.transactions, id == next_.id ? next_.transaction : 0, 0,
                entry.aborted};
    uint32_t whole = slice.first;
    for (slice.last = slice.first; slice.last < entry.transactions.size(); ++slice.last) {
      const TransactionSpan& span = entry.transactions[slice.last];
      if (span.commit_lsn >= before) {
        draft.take.reached_stop = true;
        break;
      }
      if (!span.ends) continue;
      whole = slice.last + 1;
      draft.take.end = {span.commit_lsn, span.end_lsn};
      // Whatever comes next commits behind it; on an idle server nothing does.
      if (span.end_lsn >= before) {
        draft.take.reached_stop = true;
        ++slice.last;
        break;
      }
    }
    if (slice.last > slice.first) {
      draft.next =
          slice.last == entry.transactions.size() ? Place{id + 1, 0} : Place{id, slice.last};
      if (whole > slice.first) {
        whole_slices = draft.take.slices.size() + 1;
        whole_last = whole;
        whole_next = whole == entry.transactions.size() ? Place{id + 1, 0} : Place{id, whole};
      }
      draft.take.bytes += entry.bytes;
      draft.take.slices.push_back(std::move(slice));
      draft.spilled.push_back(entry.spilled);
      draft.ids.push_back(id);
    }
    if (draft.take.reached_stop) break;
  }
  draft.take.ends_at_commit = whole_slices > 0;
  if (!draft.take.ends_at_commit) return draft;
  // What follows the last whole transaction waits for its end, and for the next window.
  draft.take.slices.resize(whole_slices);
  draft.spilled.resize(whole_slices);
  if (whole_last > 0) draft.take.slices.back().last = whole_last;
  draft.next = whole_next;
  return draft;
}

absl::StatusOr<Take> StreamLog::Cursor::Read(uint64_t bytes_max, postgres::Lsn before,
                                             absl::Time deadline) {
  Draft draft;
  // Parts of an unfinished transaction are taken before they use up what HasRoom grants: else
  // source and sink would wait for each other.
  const uint64_t part_bytes_min = std::min(bytes_max, log_.options_.memory_bytes_max / 4);
  Place place;
  bool inside = false;
  {
    base::MutexLock lock(&log_.mutex_);
    while (true) {
      if (inside_ && cuts_ != log_.cuts_) {
        return absl::AbortedError(
            "the source's connection was lost inside a transaction; it is read again");
      }
      if (ahead_) return absl::AbortedError("what was read comes again from the source");
      if (log_.readable_end() > next_.id) {
        draft = Collect(bytes_max, before);
        if (draft.take.ends_at_commit || draft.take.bytes >= part_bytes_min) break;
        if (draft.take.reached_stop && draft.take.slices.empty()) return std::move(draft.take);
      }
      const bool woken = std::exchange(woken_, false);
      if (woken || log_.arrived_.WaitWithTimeout(&log_.mutex_, deadline - absl::Now())) {
        // A part that is not worth a window yet stays where it is.
        if (woken || log_.readable_end() <= next_.id || absl::Now() >= deadline) return Take{};
      }
    }
    place = std::exchange(next_, draft.next);
    inside = inside_;
    inside_ = !draft.take.ends_at_commit;
    cuts_ = log_.cuts_;
    log_.released_.SignalAll();
  }
  for (size_t i = 0; i < draft.take.slices.size(); ++i) {
    if (draft.spilled[i] == nullptr) continue;
    absl::StatusOr<std::shared_ptr<const Chunk>> chunk = draft.spilled[i]->Load();
    if (!chunk.ok()) return TakeBack(place, inside, draft.ids[i], chunk.status());
    draft.take.slices[i].chunk = *std::move(chunk);
  }
  return std::move(draft.take);
}

Take StreamLog::Cursor::TakeBack(Place place, bool inside, uint64_t id, const absl::Status& error) {
  StreamPoint last;
  {
    base::MutexLock lock(&log_.mutex_);
    if (cuts_ != log_.cuts_) {
      ahead_ = true;  // Cut off meanwhile: `id` may be another entry's by now.
      return Take{};
    }
    next_ = place;
    inside_ = inside;
    log_.damaged_id_ = std::min(log_.damaged_id_, id);
    last = id > log_.first_id_ ? log_.At(id - 1).end : log_.freed_;
  }
  base::LogWarning("{}; nothing of it is used, what comes behind {} is read again from the source",
                   base::Message(error), last.end_lsn);
  return Take{};
}

void StreamLog::Cursor::Gather(uint64_t bytes, absl::Time until) {
  base::MutexLock lock(&log_.mutex_);
  while (!woken_ && log_.BytesFrom(next_.id) < bytes) {
    if (log_.arrived_.WaitWithTimeout(&log_.mutex_, until - absl::Now())) return;
  }
}

void StreamLog::Cursor::Release(const StreamPoint& durable) {
  base::MutexLock lock(&log_.mutex_);
  uint64_t keep = held_id_;
  for (uint64_t id = held_id_; id <= next_.id && id < log_.end_id(); ++id) {
    const Entry& entry = log_.At(id);
    if (entry.end.end_lsn > durable.end_lsn) break;
    if (entry.ends_at_commit()) {
      keep = std::min(id + 1, next_.id);
    } else if (entry.transactions.back().begins) {
      // Under load chunks end anywhere: only the unfinished transaction is still needed. What is
      // durable of this chunk is left out when it is read again (BatchBuilder).
      keep = id;
    }
  }
  if (keep == held_id_) return;
  held_id_ = keep;
  log_.FreeLocked();
}

void StreamLog::Cursor::Rewind() {
  base::MutexLock lock(&log_.mutex_);
  next_ = {held_id_, 0};
  inside_ = false;
  ahead_ = false;
}

uint64_t StreamLog::Cursor::held_bytes() const {
  base::MutexLock lock(&log_.mutex_);
  return log_.BytesFrom(held_id_);
}

absl::Time StreamLog::Cursor::oldest_commit_time() const {
  base::MutexLock lock(&log_.mutex_);
  for (uint64_t id = held_id_; id < log_.end_id(); ++id) {
    const Entry& entry = log_.At(id);
    if (!entry.transactions.empty()) return entry.transactions.front().commit_time;
  }
  return absl::InfiniteFuture();
}

bool StreamLog::Cursor::AtEnd() const {
  base::MutexLock lock(&log_.mutex_);
  if (next_.id >= log_.readable_end()) return true;
  const Draft draft = Collect(UINT64_MAX, postgres::Lsn(UINT64_MAX));
  return !draft.take.ends_at_commit;
}

}  // namespace pgflow::engine
