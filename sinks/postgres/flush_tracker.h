// FlushTracker: which of the committed windows the target has flushed to its disk.
#pragma once

#include <cstdint>
#include <deque>

#include "engine/api/position.h"
#include "postgres/types/lsn.h"

namespace pgflow::sinks {

// How the server lays its WAL out; both sizes are chosen when it is built and initialised.
struct WalLayout {
  uint64_t page_bytes = 8192;
  uint64_t segment_bytes = 16 << 20;

  // What has to be flushed for everything before the insert position `insert` to be. At a page's
  // start the server names the place behind the page's header, which is not written before the next
  // record: then it is the start of the page. The header is longer in a segment's first page; in
  // any other page the same offset is where a record ends.
  postgres::Lsn EndOfRecords(postgres::Lsn insert) const {
    constexpr uint64_t kHeader = 24;
    constexpr uint64_t kHeaderOfSegment = 40;
    const uint64_t offset = insert.value() % page_bytes;
    const bool starts_segment = insert.value() % segment_bytes < page_bytes;
    const bool header_only = offset == (starts_segment ? kHeaderOfSegment : kHeader);
    return header_only ? postgres::Lsn(insert.value() - offset) : insert;
  }
};

// Plain bookkeeping, one thread. The apply session commits without waiting for the flush; a commit
// is durable once the target's flush position has passed the insert position seen behind it.
class FlushTracker {
 public:
  explicit FlushTracker(WalLayout layout) : layout_(layout) {}

  // `insert` was read in the target after the commit.
  void Committed(engine::StreamPoint point, postgres::Lsn insert) {
    pending_.push_back({point, layout_.EndOfRecords(insert)});
  }
  void Flushed(postgres::Lsn flushed) {
    while (!pending_.empty() && pending_.front().insert <= flushed) {
      durable_ = pending_.front().point;
      pending_.pop_front();
    }
  }
  // After a reconnect: the checkpoint that the target has.
  void Reset(engine::StreamPoint durable) {
    pending_.clear();
    durable_ = durable;
  }
  bool lags() const { return !pending_.empty(); }
  engine::StreamPoint durable() const { return durable_; }

 private:
  struct Commit {
    engine::StreamPoint point;
    postgres::Lsn insert;
  };
  const WalLayout layout_;
  std::deque<Commit> pending_;
  engine::StreamPoint durable_;
};

}  // namespace pgflow::sinks
