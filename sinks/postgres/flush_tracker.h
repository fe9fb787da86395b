// FlushTracker: which of the committed windows the target has flushed to its disk.
#pragma once

#include <deque>

#include "engine/api/position.h"
#include "postgres/types/lsn.h"

namespace pgflow::sinks {

// Plain bookkeeping, one thread. The apply session commits without waiting for the flush; a commit
// is durable once the target's flush position has passed the insert position seen behind it.
class FlushTracker {
 public:
  // `insert` was read in the target after the commit.
  void Committed(engine::StreamPoint point, postgres::Lsn insert) {
    constexpr uint64_t kPage = 8192;
    // At a page's start the insert position is behind the page header (24 bytes, 40 in a segment's
    // first page), which is not written before the next record: nothing to wait for.
    const uint64_t offset = insert.value() % kPage;
    const bool header_only = offset == 24 || offset == 40;
    pending_.push_back({point, header_only ? postgres::Lsn(insert.value() - offset) : insert});
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
  std::deque<Commit> pending_;
  engine::StreamPoint durable_;
};

}  // namespace pgflow::sinks
