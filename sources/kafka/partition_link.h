// PartitionLink: what the source of one partition and the group's thread tell each other.
//
// Shared by both, for neither outlives the other for certain. Thread-safe.
//
// A TRUNCATE is in every partition of its topic. Applied where each partition comes to it, it would
// take rows away that another partition wrote behind it. So all partitions wait at theirs until all
// have come to it; then partition 0 alone applies it, and the others go on when it has. What each
// says to the others travels as a note with the group's committed offsets.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <absl/base/thread_annotations.h>

#include "base/mutex.h"
#include "kafka/group_member.h"

namespace pgflow::sources {

// The note: "done=ID,ID at=ID". IDs have no blanks and commas; either may be empty.
struct TruncateNote {
  // The last truncates that are behind the partition, the newest at the end. Several: a place that
  // moves by truncates alone is not durable at once, and all since then come again.
  std::vector<std::string> done;
  std::string at;  // The one it waits at.

  bool IsPast(const std::string& truncate) const;
  std::string ToString() const;
  static TruncateNote Parse(const std::string& text);
};

class PartitionLink {
 public:
  explicit PartitionLink(kafka::TopicPartition at) : at_(std::move(at)) {}

  const kafka::TopicPartition& at() const { return at_; }

  // By the source. Everything before `next` is durable; never goes back.
  void MoveTo(int64_t next);
  int64_t next() const { return next_.load(); }
  // Waits at the truncate at `offset`: the group is told no later place until Pass.
  void WaitAt(const std::string& truncate, int64_t offset);
  bool is_past(const std::string& truncate) const;
  bool may_pass() const;
  // True when the group knows of the last Pass.
  bool pass_is_known() const;
  void Pass();

  // By the group. What is to be committed; nothing when that is known already.
  std::optional<kafka::GroupPlace> News() const;
  void Committed(const kafka::GroupPlace& place);
  // From what the group had before.
  void Restore(const TruncateNote& note);
  std::string waits_at() const;
  void LetPass();

 private:
  kafka::GroupPlace Place() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);

  const kafka::TopicPartition at_;
  std::atomic<int64_t> next_{-1};
  mutable base::Mutex mutex_;
  TruncateNote note_ ABSL_GUARDED_BY(mutex_);
  int64_t hold_ ABSL_GUARDED_BY(mutex_) = -1;  // Of the truncate; -1: none.
  bool may_pass_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<int64_t> committed_ ABSL_GUARDED_BY(mutex_);
  std::string committed_note_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace pgflow::sources
