// RecordingWriter: a StreamWriter that keeps committed changes as readable lines. For tests only.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include <absl/time/clock.h>
#include <fmt/format.h>

#include "base/mutex.h"
#include "engine/api/stream_writer.h"

namespace pgflow::sources {

// Thread-safe. Lines: "insert public.t 1,NULL,x" (values as received), "commit".
class RecordingWriter final : public engine::StreamWriter {
 public:
  void Started() override {
    base::MutexLock lock(&mutex_);
    ++starts_;
  }
  absl::Status Append(engine::Chunk chunk) override;
  absl::Status AppendOpen(postgres::Xid xid, engine::Chunk chunk) override {
    base::MutexLock lock(&mutex_);
    for (const engine::EventRecord& record : chunk.records) {
      open_[xid].push_back({record.xid, Line(chunk, record)});
      ++streamed_;
    }
    return absl::OkStatus();
  }
  absl::Status CommitOpen(postgres::Xid xid, const engine::TransactionSpan& commit,
                          std::span<const postgres::Xid> aborted) override {
    base::MutexLock lock(&mutex_);
    Commit(open_[xid], commit, aborted);
    open_.erase(xid);
    return absl::OkStatus();
  }
  void DropOpen(postgres::Xid xid) override {
    base::MutexLock lock(&mutex_);
    open_.erase(xid);
    ++dropped_;
  }
  absl::Status Idle(postgres::Lsn lsn) override {
    base::MutexLock lock(&mutex_);
    idle_ = std::max(idle_, lsn);
    return absl::OkStatus();
  }
  void Cut() override {
    base::MutexLock lock(&mutex_);
    open_.clear();
    pending_.clear();
  }
  engine::StreamPoint tail() const override {
    base::MutexLock lock(&mutex_);
    return tail_;
  }
  bool HasRoom() const override {
    base::MutexLock lock(&mutex_);
    return room_;
  }
  bool WaitForRoom(absl::Duration timeout, std::stop_token /*stop*/) override {
    base::MutexLock lock(&mutex_);
    mutex_.AwaitWithTimeout(base::Condition(&room_), timeout);
    return room_;
  }

  void set_room(bool room) {
    base::MutexLock lock(&mutex_);
    room_ = room;
  }
  std::vector<std::string> lines() const {
    base::MutexLock lock(&mutex_);
    return lines_;
  }
  // Waits until `count` lines are there (20 s at most), then gives them all.
  std::vector<std::string> WaitForLines(size_t count) const {
    base::MutexLock lock(&mutex_);
    const auto enough = [this, count] { return lines_.size() >= count; };
    mutex_.AwaitWithTimeout(base::Condition(&enough), absl::Seconds(20));
    return lines_;
  }
  bool WaitForStarts(int count) const {
    base::MutexLock lock(&mutex_);
    const auto enough = [this, count] { return starts_ >= count; };
    return mutex_.AwaitWithTimeout(base::Condition(&enough), absl::Seconds(20));
  }
  bool WaitForIdle(postgres::Lsn lsn) const {
    base::MutexLock lock(&mutex_);
    const auto enough = [this, lsn] { return std::max(idle_, tail_.end_lsn) >= lsn; };
    return mutex_.AwaitWithTimeout(base::Condition(&enough), absl::Seconds(20));
  }
  bool WaitForStreamed(uint64_t count) const {
    base::MutexLock lock(&mutex_);
    const auto enough = [this, count] { return streamed_ >= count; };
    return mutex_.AwaitWithTimeout(base::Condition(&enough), absl::Seconds(20));
  }
  uint64_t streamed() const {
    base::MutexLock lock(&mutex_);
    return streamed_;
  }
  uint64_t dropped() const {
    base::MutexLock lock(&mutex_);
    return dropped_;
  }
  uint64_t received() const {
    base::MutexLock lock(&mutex_);
    return received_;
  }
  size_t open_count() const {
    base::MutexLock lock(&mutex_);
    return open_.size();
  }

 private:
  using XidLines = std::vector<std::pair<postgres::Xid, std::string>>;

  static std::string Line(const engine::Chunk& chunk, const engine::EventRecord& record);
  void Commit(XidLines& from, const engine::TransactionSpan& span,
              std::span<const postgres::Xid> aborted) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable base::Mutex mutex_;
  bool room_ ABSL_GUARDED_BY(mutex_) = true;
  int starts_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t streamed_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t received_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t dropped_ ABSL_GUARDED_BY(mutex_) = 0;
  engine::StreamPoint tail_ ABSL_GUARDED_BY(mutex_);
  postgres::Lsn idle_ ABSL_GUARDED_BY(mutex_);
  XidLines pending_ ABSL_GUARDED_BY(mutex_);
  std::map<postgres::Xid, XidLines> open_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> lines_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace pgflow::sources
