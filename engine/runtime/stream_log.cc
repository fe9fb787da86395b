#include "engine/runtime/stream_log.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/status.h"

namespace pgflow::engine {

StreamLog::StreamLog(StreamLogOptions options)
    : options_(std::move(options)), spool_(options_.spool_directory) {}

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
  return SpillLocked();
}

absl::Status StreamLog::AppendOpen(postgres::Xid xid, Chunk chunk) {
  OpenChunk open;
  open.bytes = chunk.MemoryBytes();
  base::MutexLock lock(&mutex_);
  if (memory_bytes_ + open.bytes > options_.memory_bytes_max) {
    if (options_.spool_bytes_max > 0 && spool_.live_bytes() > options_.spool_bytes_max) {
      return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                              "spool: transaction {} does not fit into spool.size_max of {} bytes; "
                              "raise it, then run again (nothing is lost: the slot keeps it)",
                              xid, options_.spool_bytes_max);
    }
    PGFLOW_ASSIGN_OR_RETURN(open.spilled, spool_.Write(chunk));
  } else {
    memory_bytes_ += open.bytes;
    open.chunk = std::make_shared<const Chunk>(std::move(chunk));
  }
  open_[xid].push_back(std::move(open));
  return absl::OkStatus();
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
  bool cut = false;
  while (!entries_.empty() && !entries_.back().ends_at_commit()) {
    cut = true;
    Entry& entry = entries_.back();
    entry.transactions.pop_back();
    if (!entry.transactions.empty()) break;
    if (entry.chunk != nullptr) memory_bytes_ -= entry.bytes;
    pushed_bytes_ = entry.bytes_before;
    entries_.pop_back();
  }
  if (!cut) return;
  ++cuts_;
  spill_id_ = std::min(spill_id_, end_id());
  for (Cursor* cursor : cursors_) {
    // One that had read parts of the transaction learns of it by the cut counter and rewinds.
    if (cursor->next_.id > end_id()) cursor->next_ = {end_id(), 0};
  }
  arrived_.SignalAll();
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

bool StreamLog::HasRoomLocked() const {
  if (options_.spool_bytes_max > 0 && spool_.live_bytes() >= options_.spool_bytes_max) return false;
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
