// StreamLog: the committed transactions of a slot in order, with a cursor for each sink.
//
// It is queue, retry buffer and spool in one (docs/adr/0002). Chunks stay in memory up to a budget;
// beyond it the oldest go to disk. Each sink reads at its own pace and gives back what it has made
// durable; what nobody needs any more is freed. Open (streamed) transactions are kept aside by xid
// and joined to the log when they commit.
//
// Back-pressure: the source stops reading when even the fastest sink has more than the budget to
// do, or the disk has as much as it may.
//
// Damage: what does not come back from disk as it was written is never given out. The log then ends
// in front of it until the source has read it again, which the slot still has.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include <absl/base/thread_annotations.h>
#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>

#include "base/mutex.h"
#include "engine/api/stream_writer.h"
#include "engine/runtime/spool_segment.h"

namespace pgflow::engine {

struct StreamLogOptions {
  uint64_t memory_bytes_max = 64 << 20;
  std::string spool_directory = ".pgflow/spool";
  uint64_t spool_bytes_max = 0;  // 0: as much as the disk holds.
};

using XidSet = absl::flat_hash_set<postgres::Xid>;

// Some consecutive transactions of one chunk, ready to be made into a batch.
struct Slice {
  std::shared_ptr<const Chunk> chunk;         // Null: only a position.
  std::vector<TransactionSpan> transactions;  // All of the chunk's.
  uint32_t first = 0;                         // The slice is [first, last) of them.
  uint32_t last = 0;
  std::shared_ptr<const XidSet> aborted;  // Their events do not count; may be null.
};

// What a cursor gives at once.
struct Take {
  std::vector<Slice> slices;
  bool ends_at_commit = true;
  StreamPoint end;  // Valid when ends_at_commit and not empty.
  uint64_t bytes = 0;
  bool reached_stop = false;  // The next transaction is at or behind the point asked for.
};

class StreamLog final : public StreamWriter {
 public:
  class Cursor;

  explicit StreamLog(StreamLogOptions options);
  ~StreamLog() override;

  // StreamWriter, for the source's thread.
  void Started() override;
  absl::Status Append(Chunk chunk) override;
  absl::Status AppendOpen(postgres::Xid xid, Chunk chunk) override;
  absl::Status CommitOpen(postgres::Xid xid, const TransactionSpan& commit,
                          std::span<const postgres::Xid> aborted) override;
  void DropOpen(postgres::Xid xid) override;
  absl::Status Idle(postgres::Lsn lsn) override;
  void Cut() override;
  StreamPoint tail() const override;
  absl::Status Writable() const override;
  bool HasRoom() const override;
  bool WaitForRoom(absl::Duration timeout, std::stop_token stop) override;

  // Before the source runs. The log outlives its cursors. Until Activate a cursor only holds back
  // what it will need (its sink is copying the snapshot).
  std::unique_ptr<Cursor> OpenCursor();

  // True once the source has the slot.
  bool WaitStarted(absl::Duration timeout) const;
  uint64_t memory_bytes() const;
  uint64_t spool_bytes() const { return spool_.live_bytes(); }
  uint64_t spool_bytes_written() const { return spool_.written_bytes(); }

 private:
  struct Entry {
    std::shared_ptr<const Chunk> chunk;  // Null when spilled, or when it is only a position.
    std::shared_ptr<const SpooledChunk> spilled;
    std::vector<TransactionSpan> transactions;
    std::shared_ptr<const XidSet> aborted;
    StreamPoint end;  // After its last transaction that ends here; else of the one before.
    uint64_t bytes = 0;
    uint64_t bytes_before = 0;  // Of all entries before it, since the start.

    bool position_only() const { return chunk == nullptr && spilled == nullptr; }
    bool ends_at_commit() const { return transactions.empty() || transactions.back().ends; }
  };
  struct OpenChunk {
    std::shared_ptr<const Chunk> chunk;
    std::shared_ptr<const SpooledChunk> spilled;
    uint64_t bytes = 0;
  };

  Entry& At(uint64_t id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return entries_[id - first_id_]; }
  const Entry& At(uint64_t id) const ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return entries_[id - first_id_];
  }
  uint64_t end_id() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return first_id_ + entries_.size(); }
  // What is behind it is not to be read, or not any more.
  uint64_t readable_end() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return std::min(end_id(), damaged_id_);
  }
  uint64_t BytesFrom(uint64_t id) const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  bool HasRoomLocked() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  static absl::Status CheckOrder(const TransactionSpan& span, const StreamPoint& behind);
  void Push(Entry entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status SpillLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool IsDiskFull() const;
  // An error: transactions that nobody can take before they are complete fill the disk's share.
  absl::Status CheckFitsLocked() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  void PopBackLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool CutDamageLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool CutUnfinishedLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void FreeLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const StreamLogOptions options_;
  mutable base::Mutex mutex_;
  mutable base::CondVar arrived_;  // Something to read, or a cut, or a wake-up.
  mutable base::CondVar released_;
  SpoolWriter spool_;
  bool started_ ABSL_GUARDED_BY(mutex_) = false;
  StreamPoint tail_ ABSL_GUARDED_BY(mutex_);                  // The last end that came in.
  StreamPoint freed_ ABSL_GUARDED_BY(mutex_);                 // The end of what is no longer there.
  uint64_t damaged_id_ ABSL_GUARDED_BY(mutex_) = UINT64_MAX;  // The first one, until it is cut off.
  uint64_t first_id_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t spill_id_ ABSL_GUARDED_BY(mutex_) = 0;  // No entry before it is in memory.
  uint64_t cuts_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t pushed_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  std::deque<Entry> entries_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<postgres::Xid, std::vector<OpenChunk>> open_ ABSL_GUARDED_BY(mutex_);
  uint64_t memory_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<Cursor*> cursors_ ABSL_GUARDED_BY(mutex_);
};

// One sink's place in the log. Used by one thread (its lane); state is guarded by the log's mutex.
class StreamLog::Cursor {
 public:
  ~Cursor();
  Cursor(const Cursor&) = delete;
  Cursor& operator=(const Cursor&) = delete;

  // Starts to count for back-pressure and may read.
  void Activate();

  // Whole transactions, about `bytes_max` of them; a larger one comes in parts (ends_at_commit
  // false). Waits until `deadline` for the first; then empty. Only transactions with commit_lsn <
  // `before`. kAborted: what was read already was cut off (the source reconnected inside a
  // transaction, or what comes before is read again): roll back and Rewind.
  absl::StatusOr<Take> Read(uint64_t bytes_max, postgres::Lsn before, absl::Time deadline);

  // Lets more arrive before a Read: until there are `bytes`, or `until`, or a Wake.
  void Gather(uint64_t bytes, absl::Time until);

  // Everything up to `durable` is never needed again.
  void Release(const StreamPoint& durable);
  // Goes back to the first transaction that was not released.
  void Rewind();

  // Bytes received and not released.
  uint64_t held_bytes() const;
  // When the oldest transaction that is not released committed; the infinite future: there is none.
  absl::Time oldest_commit_time() const;
  // True when nothing is left to read but an unfinished transaction.
  bool AtEnd() const;
  // Makes a waiting Read return early; any thread.
  void Wake();

 private:
  friend class StreamLog;
  explicit Cursor(StreamLog& log) : log_(log) {}

  struct Place {
    uint64_t id = 0;
    uint32_t transaction = 0;
  };
  struct Draft;  // A Take whose spilled chunks are not loaded yet.
  Draft Collect(uint64_t bytes_max, postgres::Lsn before) const
      ABSL_SHARED_LOCKS_REQUIRED(log_.mutex_);
  // As if the draft had not been read: its entry `id` does not come back from disk.
  Take TakeBack(Place place, bool inside, uint64_t id, const absl::Status& error);

  StreamLog& log_;
  bool active_ = false;
  bool woken_ = false;
  Place next_;            // To be read next.
  uint64_t held_id_ = 0;  // The first entry that is not released.
  bool ahead_ = false;    // What was read comes again, behind next_.
  bool inside_ = false;   // Parts of an unfinished transaction were given out.
  uint64_t cuts_ = 0;     // The log's cut counter when they were.
};

}  // namespace pgflow::engine
