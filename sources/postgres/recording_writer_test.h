// RecordingWriter: a StreamWriter that keeps committed changes as readable lines. For tests only.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include <absl/synchronization/mutex.h>
#include <absl/time/clock.h>
#include <fmt/format.h>

#include "engine/api/stream_writer.h"

namespace pgflow::sources {

// Thread-safe. Lines: "insert public.t 1,NULL,x" (values as received), "commit".
class RecordingWriter final : public engine::StreamWriter {
 public:
  void Started() override {
    absl::MutexLock lock(&mutex_);
    ++starts_;
  }
  absl::Status Append(engine::Chunk chunk) override {
    absl::MutexLock lock(&mutex_);
    size_t next = 0;
    for (size_t t = 0; t < chunk.transactions.size(); ++t) {
      const engine::TransactionSpan& span = chunk.transactions[t];
      if (span.begins) pending_.clear();
      for (; next < chunk.records.size() && chunk.records[next].transaction == t; ++next) {
        pending_.push_back({chunk.records[next].xid, Line(chunk, chunk.records[next])});
        ++received_;
      }
      if (span.ends) Commit(pending_, span, {});
    }
    return absl::OkStatus();
  }
  absl::Status AppendOpen(postgres::Xid xid, engine::Chunk chunk) override {
    absl::MutexLock lock(&mutex_);
    for (const engine::EventRecord& record : chunk.records) {
      open_[xid].push_back({record.xid, Line(chunk, record)});
      ++streamed_;
    }
    return absl::OkStatus();
  }
  absl::Status CommitOpen(postgres::Xid xid, const engine::TransactionSpan& commit,
                          std::span<const postgres::Xid> aborted) override {
    absl::MutexLock lock(&mutex_);
    Commit(open_[xid], commit, aborted);
    open_.erase(xid);
    return absl::OkStatus();
  }
  void DropOpen(postgres::Xid xid) override {
    absl::MutexLock lock(&mutex_);
    open_.erase(xid);
    ++dropped_;
  }
  absl::Status Idle(postgres::Lsn lsn) override {
    absl::MutexLock lock(&mutex_);
    idle_ = std::max(idle_, lsn);
    return absl::OkStatus();
  }
  void Cut() override {
    absl::MutexLock lock(&mutex_);
    open_.clear();
    pending_.clear();
  }
  engine::StreamPoint tail() const override {
    absl::MutexLock lock(&mutex_);
    return tail_;
  }
  bool HasRoom() const override {
    absl::MutexLock lock(&mutex_);
    return room_;
  }
  bool WaitForRoom(absl::Duration timeout, std::stop_token /*stop*/) override {
    absl::MutexLock lock(&mutex_);
    mutex_.AwaitWithTimeout(absl::Condition(&room_), timeout);
    return room_;
  }

  void set_room(bool room) {
    absl::MutexLock lock(&mutex_);
    room_ = room;
  }
  std::vector<std::string> lines() const {
    absl::MutexLock lock(&mutex_);
    return lines_;
  }
  // Waits until `count` lines are there (20 s at most), then gives them all.
  std::vector<std::string> WaitForLines(size_t count) const {
    absl::MutexLock lock(&mutex_);
    const auto enough = [this, count] { return lines_.size() >= count; };
    mutex_.AwaitWithTimeout(absl::Condition(&enough), absl::Seconds(20));
    return lines_;
  }
  bool WaitForStarts(int count) const {
    absl::MutexLock lock(&mutex_);
    const auto enough = [this, count] { return starts_ >= count; };
    return mutex_.AwaitWithTimeout(absl::Condition(&enough), absl::Seconds(20));
  }
  bool WaitForIdle(postgres::Lsn lsn) const {
    absl::MutexLock lock(&mutex_);
    const auto enough = [this, lsn] { return std::max(idle_, tail_.end_lsn) >= lsn; };
    return mutex_.AwaitWithTimeout(absl::Condition(&enough), absl::Seconds(20));
  }
  bool WaitForStreamed(uint64_t count) const {
    absl::MutexLock lock(&mutex_);
    const auto enough = [this, count] { return streamed_ >= count; };
    return mutex_.AwaitWithTimeout(absl::Condition(&enough), absl::Seconds(20));
  }
  uint64_t streamed() const {
    absl::MutexLock lock(&mutex_);
    return streamed_;
  }
  uint64_t dropped() const {
    absl::MutexLock lock(&mutex_);
    return dropped_;
  }
  uint64_t received() const {
    absl::MutexLock lock(&mutex_);
    return received_;
  }
  size_t open_count() const {
    absl::MutexLock lock(&mutex_);
    return open_.size();
  }

 private:
  using XidLines = std::vector<std::pair<postgres::Xid, std::string>>;

  static std::string Row(const engine::Chunk& chunk, uint32_t offset, uint32_t size) {
    if (size == 0) return "-";
    std::vector<schemas::Value> values;
    schemas::RowView::Tuple(std::string_view(chunk.bytes).substr(offset, size)).Decode(values);
    std::vector<std::string> texts;
    for (const schemas::Value& value : values) {
      texts.push_back(value.is_null()        ? "NULL"
                      : value.is_unchanged() ? "UNCHANGED"
                                             : std::string(value.view()));
    }
    return fmt::format("{}", fmt::join(texts, ","));
  }
  static std::string Line(const engine::Chunk& chunk, const engine::EventRecord& record) {
    std::string line = fmt::format("{} {}", engine::OperationName(record.operation),
                                   chunk.tables[record.table]->table.ToString());
    if (record.before_size > 0) {
      line += " old " + Row(chunk, record.before_offset, record.before_size);
    }
    if (record.after_size > 0) line += " " + Row(chunk, record.after_offset, record.after_size);
    if (record.truncate_flags != 0) line += fmt::format(" flags {}", record.truncate_flags);
    return line;
  }
  void Commit(XidLines& from, const engine::TransactionSpan& span,
              std::span<const postgres::Xid> aborted) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    for (const auto& [xid, line] : from) {
      if (std::ranges::find(aborted, xid) == aborted.end()) lines_.push_back(line);
    }
    lines_.push_back("commit");
    from.clear();
    if (span.commit_lsn <= tail_.commit_lsn) lines_.push_back("OUT OF ORDER");
    tail_ = {span.commit_lsn, span.end_lsn};
  }

  mutable absl::Mutex mutex_;
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
