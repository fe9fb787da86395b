#include "tests/crash/observer.h"

#include <absl/time/clock.h>
#include <fmt/format.h>

namespace pgflow::tests {

Observer::Observer(engine::ScratchPostgres& target, std::string pipeline, int64_t total)
    : target_(target), pipeline_(std::move(pipeline)), total_(total) {
  thread_ = std::jthread([this](std::stop_token stop) { Watch(stop); });
}

Observer::~Observer() {
  thread_.request_stop();
  thread_.join();
}

std::string Observer::violations() const {
  std::lock_guard lock(mutex_);
  return violations_;
}

// The target is killed under it: then it connects again.
void Observer::Watch(std::stop_token stop) {
  while (!stop.stop_requested()) {
    auto connection = target_.Connect();
    while (connection.ok() && !stop.stop_requested() && Look(**connection)) {
      absl::SleepFor(absl::Milliseconds(5));
    }
    absl::SleepFor(absl::Milliseconds(10));
  }
}

// One statement, so one snapshot. False: the session is of no more use, or there are no tables yet.
bool Observer::Look(postgres::Connection& connection) {
  const auto progress = connection.Execute(fmt::format(
      "SELECT c.snapshot_complete, c.end_lsn >= coalesce((SELECT max(greatest(snapshot_lsn,"
      " catch_up_until)) FROM pgflow.table_progress t WHERE t.pipeline = c.pipeline AND t.sink ="
      " c.sink), '0/0'), c.commit_lsn, c.end_lsn,"
      " (SELECT sum(balance) FROM account), (SELECT sum(amount) FROM journal),"
      " (SELECT count(*) FROM account) FROM pgflow.checkpoint c WHERE pipeline = '{}'",
      pipeline_));
  if (!progress.ok()) {
    const bool absent = connection.healthy();
    if (absent) phase_ = Phase::kUnknown;
    return false;
  }
  if (progress->row_count() == 0) {
    phase_ = Phase::kUnknown;
    return true;
  }
  Judge(*progress);
  return true;
}

void Observer::Judge(const postgres::Result& row) {
  if (!row.boolean(0, 0)) {
    phase_ = Phase::kSnapshot;
    return;
  }
  if (!row.boolean(0, 1)) {
    phase_ = Phase::kCatchUp;
    return;
  }
  phase_ = Phase::kStream;
  ++observations_;
  if (row.integer(0, 4) == total_ && row.integer(0, 5) == 0) return;
  failed_ = true;
  std::lock_guard lock(mutex_);
  if (violations_.size() > 4000) return;
  violations_ += fmt::format(
      "at commit {} (end {}): sum(balance) is {}, not {}; sum(amount) is {}, not 0; {} accounts\n",
      row.text(0, 2), row.text(0, 3), row.text(0, 4), total_, row.text(0, 5), row.text(0, 6));
}

}  // namespace pgflow::tests
