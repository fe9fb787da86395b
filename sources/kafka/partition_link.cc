#include "sources/kafka/partition_link.h"

#include <algorithm>
#include <utility>

#include <fmt/ranges.h>

namespace pgflow::sources {
namespace {

constexpr std::string_view kDone = "done=";
constexpr std::string_view kAt = " at=";
// About 40 bytes each; a note may have 4096.
constexpr size_t kDoneMax = 32;

}  // namespace

bool TruncateNote::IsPast(const std::string& truncate) const {
  return std::ranges::find(done, truncate) != done.end();
}

std::string TruncateNote::ToString() const {
  if (done.empty() && at.empty()) return "";
  return fmt::format("{}{}{}{}", kDone, fmt::join(done, ","), kAt, at);
}

TruncateNote TruncateNote::Parse(const std::string& text) {
  const size_t at = text.find(kAt);
  if (!text.starts_with(kDone) || at == std::string::npos) return {};
  TruncateNote note;
  note.at = text.substr(at + kAt.size());
  for (size_t begin = kDone.size(); begin < at;) {
    const size_t end = std::min(text.find(',', begin), at);
    note.done.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return note;
}

void PartitionLink::MoveTo(int64_t next) {
  int64_t known = next_.load();
  while (next > known && !next_.compare_exchange_weak(known, next)) {
  }
}

void PartitionLink::WaitAt(const std::string& truncate, int64_t offset) {
  const base::MutexLock lock(&mutex_);
  note_.at = truncate;
  hold_ = offset;
  may_pass_ = false;
}

bool PartitionLink::is_past(const std::string& truncate) const {
  const base::MutexLock lock(&mutex_);
  return note_.IsPast(truncate);
}

bool PartitionLink::may_pass() const {
  const base::MutexLock lock(&mutex_);
  return may_pass_;
}

void PartitionLink::Pass() {
  const base::MutexLock lock(&mutex_);
  note_.done.push_back(std::exchange(note_.at, ""));
  if (note_.done.size() > kDoneMax) note_.done.erase(note_.done.begin());
  hold_ = -1;
  may_pass_ = false;
}

bool PartitionLink::pass_is_known() const {
  const base::MutexLock lock(&mutex_);
  return committed_note_ == note_.ToString();
}

kafka::GroupPlace PartitionLink::Place() const {
  int64_t next = next_.load();
  if (hold_ >= 0) next = std::min(next, hold_);
  return {at_, next, note_.ToString()};
}

std::optional<kafka::GroupPlace> PartitionLink::News() const {
  const base::MutexLock lock(&mutex_);
  kafka::GroupPlace place = Place();
  if (*place.next < 0) return std::nullopt;
  if (place.next == committed_ && place.note == committed_note_) return std::nullopt;
  return place;
}

void PartitionLink::Committed(const kafka::GroupPlace& place) {
  const base::MutexLock lock(&mutex_);
  committed_ = place.next;
  committed_note_ = place.note;
}

void PartitionLink::Restore(const TruncateNote& note) {
  const base::MutexLock lock(&mutex_);
  // Where it waited it will come to again.
  note_ = {note.done, ""};
}

std::string PartitionLink::waits_at() const {
  const base::MutexLock lock(&mutex_);
  return may_pass_ ? "" : note_.at;
}

void PartitionLink::LetPass() {
  const base::MutexLock lock(&mutex_);
  may_pass_ = true;
}

}  // namespace pgflow::sources
