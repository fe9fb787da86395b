#include "engine/runtime/stream_log.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/status.h"

namespace pgflow::engine {

StreamLog::StreamLog(StreamLogOptions options)
    : options_(std::move(options)),
      spool_(options_.spool_directory, options_.spool_bytes_max > 0) {}

StreamLog::~StreamLog() = default;

void StreamLog::Started() {
  base::MutexLock lock(&mutex_);
  started_ = true;
  arrived_.SignalAll();
}

bool StreamLog::WaitStarted(absl::Duration timeout) const {
  base::MutexLock lock(&mutex_);
  if (!started_) arrived_.WaitWithTimeout(&mutex_, timeout);
  return started_;
}

void StreamLog::Push(Entry entry) {
  entry.bytes_before = pushed_bytes_;
  pushed_bytes_ += entry.bytes;
  if (entry.chunk != nullptr) memory_bytes_ += entry.bytes;
  tail_ = entry.end;
  entries_.push_back(std::move(entry));
  arrived_.SignalAll();
}

// Transactions come in the order of their commits, each of them once: a sink that met one again
// would apply it again.
absl::Status StreamLog::CheckOrder(const TransactionSpan& span, const StreamPoint& behind) {
  if (span.commit_lsn > behind.commit_lsn) return absl::OkStatus();
  return base::MakeStatus(absl::StatusCode::kInternal,
                          "the source gave the transaction of {} behind the one of {}; nothing of "
                          "it was applied. This is a bug of pgflow; run it again to go on",
                          span.commit_lsn, behind.commit_lsn);
}

absl::Status StreamLog::Append(Chunk chunk) {
  Entry entry;
  entry.transactions = std::move(chunk.transactions);
  chunk.transactions.clear();
  entry.bytes = chunk.MemoryBytes();
  entry.chunk = std::make_shared<const Chunk>(std::move(chunk));
  base::MutexLock lock(&mutex_);
  entry.end = tail_;
  for (const TransactionSpan& span : entry.transactions) {
    PGFLOW_RETURN_IF_ERROR(CheckOrder(span, entry.end));
    if (span.ends) entry.end = {span.commit_lsn, span.end_lsn};
  }
  Push(std::move(entry));
  PGFLOW_RETURN_IF_ERROR(SpillLocked());
  return CheckFitsLocked();
}

absl::Status StreamLog::AppendOpen(postgres::Xid xid, Chunk chunk) {
  OpenChunk open;
  open.bytes = chunk.MemoryBytes();
  base::MutexLock lock(&mutex_);
  if (memory_bytes_ + open.bytes > options_.memory_bytes_max) {
    PGFLOW_ASSIGN_OR_RETURN(open.spilled, spool_.Write(chunk));
  } else {
    memory_bytes_ += open.bytes;
    open.chunk = std::make_shared<const Chunk>(std::move(chunk));
  }
  open_[xid].push_back(std::move(open));
  return CheckFitsLocked();
}

absl::Status StreamLog::CommitOpen(postgres::Xid xid, const TransactionSpan& commit,
                                   std::span<const postgres::Xid> aborted) {
  std::shared_ptr<const XidSet> dropped;
  if (!aborted.empty()) dropped = std::make_shared<const XidSet>(aborted.begin(), aborted.end());
  base::MutexLock lock(&mutex_);
  PGFLOW_RETURN_IF_ERROR(CheckOrder(commit, tail_));
  std::vector<OpenChunk> chunks;
  if (auto it = open_.find(xid); it != open_.end()) {
    chunks = std::move(it->second);
    open_.erase(it);
  }
  const StreamPoint end{commit.commit_lsn, commit.end_lsn};
  for (size_t i = 0; i < chunks.size(); ++i) {
    Entry entry;
    entry.chunk = std::move(chunks[i].chunk);
    entry.spilled = std::move(chunks[i].spilled);
    entry.bytes = chunks[i].bytes;
    entry.aborted = dropped;
    TransactionSpan span = commit;
    span.begins = i == 0;
    span.ends = i + 1 == chunks.size();
    entry.transactions = {span};
    entry.end = span.ends ? end : tail_;
    if (entry.chunk != nullptr) memory_bytes_ -= entry.bytes;  // Push counts it again.
    Push(std::move(entry));
  }
  if (chunks.empty()) {
    Entry entry;
    entry.end = end;
    Push(std::move(entry));
  }
  return SpillLocked();
}

void StreamLog::DropOpen(postgres::Xid xid) {
  base::MutexLock lock(&mutex_);
  auto it = open_.find(xid);
  if (it == open_.end()) return;
  for (const OpenChunk& open : it->second) {
    if (open.chunk != nullptr) memory_bytes_ -= open.bytes;
  }
  open_.erase(it);
  released_.SignalAll();
}

absl::Status StreamLog::Idle(postgres::Lsn lsn) {
  base::MutexLock lock(&mutex_);
  if (lsn <= tail_.end_lsn) return absl::OkStatus();
  PGFLOW_CHECK(entries_.empty() || entries_.back().ends_at_commit(),
               "a source is not idle inside a transaction");
  const StreamPoint end{tail_.commit_lsn, lsn};
  const bool unread = !entries_.empty() && entries_.back().position_only() &&
                      std::ranges::all_of(cursors_, [&](const Cursor* cursor) {
                        return cursor->next_.id < end_id();
                      });
  if (unread) {
    entries_.back().end = end;
    tail_ = end;
    arrived_.SignalAll();
    return absl::OkStatus();
  }
  Entry entry;
  entry.end = end;
  Push(std::move(entry));
  return absl::OkStatus();
}

void StreamLog::Cut() {
  base::MutexLock lock(&mutex_);
  for (auto& [xid, chunks] : open_) {
    for (const OpenChunk& open : chunks) {
      if (open.chunk != nullptr) memory_bytes_ -= open.bytes;
    }
  }
  open_.clear();
  const bool damaged = CutDamageLocked();
  const bool unfinished = CutUnfinishedLocked();
  if (!damaged && !unfinished) return;
  ++cuts_;
  spill_id_ = std::min(spill_id_, end_id());
  for (Cursor* cursor : cursors_) {
    cursor->held_id_ = std::min(cursor->held_id_, end_id());
    if (cursor->next_.id < end_id()) continue;
    // One that had read parts of a transaction learns of it by the cut counter and rewinds.
    cursor->ahead_ |= damaged && (cursor->next_.id > end_id() || cursor->next_.transaction > 0);
    cursor->next_ = {end_id(), 0};
  }
  arrived_.SignalAll();
  released_.SignalAll();
}

void StreamLog::PopBackLocked() {
  const Entry& entry = entries_.back();
  if (entry.chunk != nullptr) memory_bytes_ -= entry.bytes;
  pushed_bytes_ = entry.bytes_before;
  entries_.pop_back();
}

// Everything from the damaged entry on is read again: the source can only go on at one place.
bool StreamLog::CutDamageLocked() {
  const uint64_t from = std::exchange(damaged_id_, UINT64_MAX);
  if (from >= end_id()) return false;
  while (!entries_.empty() && end_id() > from) PopBackLocked();
  tail_ = entries_.empty() ? freed_ : entries_.back().end;
  return true;
}

bool StreamLog::CutUnfinishedLocked() {
  bool cut = false;
  while (!entries_.empty() && !entries_.back().ends_at_commit()) {
    cut = true;
    entries_.back().transactions.pop_back();
    if (!entries_.back().transactions.empty()) break;
    PopBackLocked();
  }
  return cut;
}

absl::Status StreamLog::Writable() const {
  base::MutexLock lock(&mutex_);
  if (damaged_id_ == UINT64_MAX) return absl::OkStatus();
  return absl::UnavailableError("what was spooled is damaged, so it is read again");
}

StreamPoint StreamLog::tail() const {
  base::MutexLock lock(&mutex_);
  return tail_;
}

uint64_t StreamLog::memory_bytes() const {
  base::MutexLock lock(&mutex_);
  return memory_bytes_;
}

uint64_t StreamLog::BytesFrom(uint64_t id) const {
  return id >= end_id() ? 0 : pushed_bytes_ - At(id).bytes_before;
}

bool StreamLog::IsDiskFull() const {
  return options_.spool_bytes_max > 0 && spool_.live_bytes() >= options_.spool_bytes_max;
}

// What is complete leaves the disk when the sinks have taken it; what is not can only grow.
absl::Status StreamLog::CheckFitsLocked() const {
  if (!IsDiskFull()) return absl::OkStatus();
  uint64_t unfinished = 0;
  const auto count = [&unfinished](const std::shared_ptr<const SpooledChunk>& spilled) {
    if (spilled != nullptr) unfinished += spilled->size();
  };
  for (auto entry = entries_.rbegin(); entry != entries_.rend() && !entry->ends_at_commit();
       ++entry) {
    count(entry->spilled);
    // Before it are others, of which each chunk may end within one, too.
    if (entry->transactions.back().begins) break;
  }
  for (const auto& [xid, chunks] : open_) {
    for (const OpenChunk& open : chunks) count(open.spilled);
  }
  if (unfinished < options_.spool_bytes_max) return absl::OkStatus();
  return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                          "spool.size_max of {} bytes is less than one transaction of the source "
                          "needs, which has to be kept until it is complete; raise it, or set it "
                          "to 0 for no limit, then run again (nothing is lost: the slot keeps it)",
                          options_.spool_bytes_max);
}

bool StreamLog::HasRoomLocked() const {
  if (IsDiskFull()) return false;
  const Cursor* fastest = nullptr;
  for (const Cursor* cursor : cursors_) {
    if (cursor->active_ && (fastest == nullptr || cursor->next_.id > fastest->next_.id)) {
      fastest = cursor;
    }
  }
  if (fastest == nullptr) return true;  // All copy their snapshots: the spool takes it.
  // The second half: a transaction larger than the budget must be read whole before any of it is
  // released.
  return BytesFrom(fastest->held_id_) < options_.memory_bytes_max ||
         BytesFrom(fastest->next_.id) < options_.memory_bytes_max / 4;
}

bool StreamLog::HasRoom() const {
  base::MutexLock lock(&mutex_);
  return HasRoomLocked();
}

bool StreamLog::WaitForRoom(absl::Duration timeout, std::stop_token /*stop*/) {
  base::MutexLock lock(&mutex_);
  if (!HasRoomLocked()) released_.WaitWithTimeout(&mutex_, timeout);
  return HasRoomLocked();
}

absl::Status StreamLog::SpillLocked() {
  spill_id_ = std::max(spill_id_, first_id_);
  while (memory_bytes_ > options_.memory_bytes_max && spill_id_ < end_id()) {
    Entry& entry = At(spill_id_);
    if (entry.chunk != nullptr) {
      PGFLOW_ASSIGN_OR_RETURN(entry.spilled, spool_.Write(*entry.chunk));
      memory_bytes_ -= entry.bytes;
      entry.chunk = nullptr;
    }
    ++spill_id_;
  }
  return absl::OkStatus();
}

void StreamLog::FreeLocked() {
  uint64_t needed = end_id();
  for (const Cursor* cursor : cursors_) needed = std::min(needed, cursor->held_id_);
  while (first_id_ < needed) {
    const Entry& entry = entries_.front();
    if (entry.chunk != nullptr) memory_bytes_ -= entry.bytes;
    freed_ = entry.end;
    entries_.pop_front();
    ++first_id_;
  }
  released_.SignalAll();
}

std::unique_ptr<StreamLog::Cursor> StreamLog::OpenCursor() {
  std::unique_ptr<Cursor> cursor(new Cursor(*this));
  base::MutexLock lock(&mutex_);
  cursor->next_ = {first_id_, 0};
  cursor->held_id_ = first_id_;
  cursors_.push_back(cursor.get());
  return cursor;
}

}  // namespace pgflow::engine
