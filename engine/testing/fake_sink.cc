#include "engine/testing/fake_sink.h"

#include <algorithm>
#include <optional>

#include "base/status.h"
#include "engine/testing/event_builder.h"

namespace pgflow::engine {

// Rows become visible when their range is finished.
class FakeLane final : public SnapshotLane {
 public:
  explicit FakeLane(FakeTarget& target) : target_(target) {}

  absl::Status BeginRange(const TablePlan& table, BlockRange range, RangeOptions options) override {
    PGFLOW_RETURN_IF_ERROR(target_.errors_.Next("lane.begin"));
    table_ = table.source_table;
    range_ = range;
    options_ = options;
    rows_.clear();
    return absl::OkStatus();
  }

  absl::StatusOr<WriteResult> Write(Batch& batch, std::stop_token /*stop*/) override {
    PGFLOW_RETURN_IF_ERROR(target_.errors_.Next("lane.write"));
    PGFLOW_ASSIGN_OR_RETURN(std::span<const ChangeEvent> events, batch.Events());
    base::MutexLock lock(&target_.mutex_);
    WriteResult result;
    for (size_t i = 0; i < events.size(); ++i) {
      const std::string text = Describe(events[i]);
      const std::string row = text.substr(text.find(' ', sizeof("read ") - 1) + 1);
      if (!target_.Refused(text)) {
        rows_.push_back(row);
        continue;
      }
      absl::Status error =
          base::MakeStatus(absl::StatusCode::kInvalidArgument, "refused: {}", text);
      if (options_.mode == Mode::kFast) return error;
      result.rejections.push_back({{{}, i}, i, std::move(error)});
    }
    return result;
  }

  absl::Status FinishRange(std::stop_token /*stop*/) override {
    PGFLOW_RETURN_IF_ERROR(target_.errors_.Next("lane.finish"));
    base::MutexLock lock(&target_.mutex_);
    std::vector<std::string>& rows = target_.rows_[table_];
    for (std::string& row : rows_) {
      const bool exists = std::ranges::find(rows, row) != rows.end();
      if (!(options_.upsert && exists)) rows.push_back(std::move(row));
    }
    rows_.clear();
    if (!target_.keeps_checkpoint_ || !options_.record) return absl::OkStatus();
    return target_.store_.FinishRange(table_, range_);
  }

  absl::Status FinishTable(const TablePlan& table, std::stop_token /*stop*/) override {
    PGFLOW_RETURN_IF_ERROR(target_.errors_.Next("lane.finish_table"));
    base::MutexLock lock(&target_.mutex_);
    target_.finished_tables_.insert(table.source_table.ToString());
    return absl::OkStatus();
  }

 private:
  FakeTarget& target_;
  schemas::TableName table_;
  BlockRange range_;
  RangeOptions options_;
  std::vector<std::string> rows_;
};

void FakeTarget::Cork() {
  base::MutexLock lock(&mutex_);
  corked_ = true;
}

void FakeTarget::Uncork() {
  base::MutexLock lock(&mutex_);
  corked_ = false;
}

void FakeTarget::HoldDurable() {
  base::MutexLock lock(&mutex_);
  durable_held_ = true;
}

void FakeTarget::ReleaseDurable() {
  base::MutexLock lock(&mutex_);
  durable_held_ = false;
}

void FakeTarget::Refuse(std::string text, bool name_culprit) {
  base::MutexLock lock(&mutex_);
  refused_ = std::move(text);
  name_culprit_ = name_culprit;
}

void FakeTarget::RefuseNothing() { Refuse(""); }

bool FakeTarget::Refused(std::string_view text) const {
  return !refused_.empty() && text.find(refused_) != std::string_view::npos;
}

std::vector<std::string> FakeTarget::events() const {
  std::vector<std::string> texts;
  for (FakeEvent& event : history()) texts.push_back(std::move(event.text));
  return texts;
}

std::vector<std::string> FakeTarget::durable_events() const {
  base::MutexLock lock(&mutex_);
  std::vector<std::string> texts;
  for (size_t i = 0; i < durable_count_; ++i) texts.push_back(events_[i].text);
  return texts;
}

std::vector<FakeEvent> FakeTarget::history() const {
  base::MutexLock lock(&mutex_);
  return events_;
}

std::vector<std::string> FakeTarget::rows(std::string_view table) const {
  base::MutexLock lock(&mutex_);
  for (const auto& [name, rows] : rows_) {
    if (name.ToString() != table && name.name != table) continue;
    std::vector<std::string> sorted = rows;
    std::ranges::sort(sorted);
    return sorted;
  }
  return {};
}

std::set<std::string> FakeTarget::finished_tables() const {
  base::MutexLock lock(&mutex_);
  return finished_tables_;
}

StreamPoint FakeTarget::durable() const {
  base::MutexLock lock(&mutex_);
  return durable_;
}

int FakeTarget::open_count() const {
  base::MutexLock lock(&mutex_);
  return open_count_;
}

int FakeTarget::write_count() const {
  base::MutexLock lock(&mutex_);
  return write_count_;
}

std::vector<std::string> FakeTarget::copies() const {
  base::MutexLock lock(&mutex_);
  return copies_;
}

std::vector<std::string> FakeTarget::violations() const {
  base::MutexLock lock(&mutex_);
  return violations_;
}

bool FakeTarget::WaitForEvents(size_t count, absl::Duration timeout) const {
  base::MutexLock lock(&mutex_);
  const auto there = [this, count]()
                         ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return events_.size() >= count; };
  return mutex_.AwaitWithTimeout(base::Condition(&there), timeout);
}

bool FakeTarget::WaitForDurable(postgres::Lsn commit_lsn, absl::Duration timeout) const {
  base::MutexLock lock(&mutex_);
  const auto there = [this, commit_lsn]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return durable_.commit_lsn >= commit_lsn;
  };
  return mutex_.AwaitWithTimeout(base::Condition(&there), timeout);
}

bool FakeTarget::WaitForBlockedWrite(absl::Duration timeout) const {
  base::MutexLock lock(&mutex_);
  return mutex_.AwaitWithTimeout(base::Condition(&blocked_), timeout);
}

absl::Status FakeTarget::Take(const Window& window) {
  std::vector<FakeEvent> taken;
  for (Batch& batch : window.batches) {
    PGFLOW_ASSIGN_OR_RETURN(std::span<const ChangeEvent> events, batch.Events());
    for (const ChangeEvent& event : events) {
      FakeEvent& added = taken.emplace_back();
      added.position = batch.PositionOf(event);
      added.text = Describe(event);
      added.catch_up = event.catch_up;
      if (!Refused(added.text)) continue;
      absl::Status error =
          base::MakeStatus(absl::StatusCode::kInvalidArgument, "refused: {}", added.text);
      if (name_culprit_) base::SetPayload(error, kCulpritPayload, added.position.ToString());
      return error;
    }
  }
  for (FakeEvent& event : taken) {
    if (!events_.empty() && event.position <= events_.back().position) {
      violations_.push_back(fmt::format("{} came after {}", event.position.ToString(),
                                        events_.back().position.ToString()));
    }
    events_.push_back(std::move(event));
  }
  if (!window.ends_at_commit) return absl::OkStatus();
  if (window.end < written_) {
    violations_.push_back(
        fmt::format("a window ends at {}, before {}", window.end.end_lsn, written_.end_lsn));
  }
  if (!events_.empty() && window.end.commit_lsn < events_.back().position.commit_lsn) {
    violations_.push_back(fmt::format("a window ends at {}, inside the transaction of {}",
                                      window.end.commit_lsn, events_.back().position.ToString()));
  }
  written_ = window.end;
  complete_count_ = events_.size();
  return MoveDurable();
}

absl::Status FakeTarget::MoveDurable() {
  // A replayed letter moves the rows and not the position.
  const bool is_durable = durable_ == written_ && durable_count_ == complete_count_;
  if (durable_held_ || is_durable) return absl::OkStatus();
  durable_ = written_;
  durable_count_ = complete_count_;
  return keeps_checkpoint_ ? store_.AdvanceStream(durable_) : absl::OkStatus();
}

// What was not durable is gone, as after a crash.
absl::Status FakeSink::Open(const SinkContext& context, std::stop_token stop) {
  if (!std::exchange(taken_, true) && context.confirm_slot != nullptr) {
    PGFLOW_RETURN_IF_ERROR(context.confirm_slot(std::move(stop)));
  }
  base::MutexLock lock(&target_.mutex_);
  ++target_.open_count_;
  target_.events_.resize(target_.durable_count_);
  target_.complete_count_ = target_.durable_count_;
  target_.written_ = target_.durable_;
  target_.open_ = false;
  PGFLOW_RETURN_IF_ERROR(target_.errors_.Next("open"));
  target_.open_ = true;
  return absl::OkStatus();
}

CheckpointStore* FakeSink::checkpoint_store() {
  return target_.keeps_checkpoint_ ? &target_.store_ : nullptr;
}

absl::Status FakeSink::PrepareSnapshot(const schemas::DatabaseDefinition& /*definition*/,
                                       std::span<const TablePlan> tables,
                                       std::span<const TablePlan> /*resumed*/,
                                       std::stop_token /*stop*/) {
  PGFLOW_RETURN_IF_ERROR(target_.errors_.Next("prepare"));
  base::MutexLock lock(&target_.mutex_);
  for (const TablePlan& table : tables) {
    const auto found = target_.rows_.find(table.source_table);
    if (found == target_.rows_.end() || found->second.empty()) continue;
    return base::MakeStatus(absl::StatusCode::kFailedPrecondition, "table {} is not empty",
                            table.source_table.ToString());
  }
  return absl::OkStatus();
}

absl::Status FakeSink::ResetTable(const TablePlan& table, std::stop_token /*stop*/) {
  PGFLOW_RETURN_IF_ERROR(target_.errors_.Next("reset"));
  base::MutexLock lock(&target_.mutex_);
  target_.rows_.erase(table.source_table);
  target_.finished_tables_.erase(table.source_table.ToString());
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<SnapshotLane>> FakeSink::OpenLane(std::stop_token /*stop*/) {
  PGFLOW_RETURN_IF_ERROR(target_.errors_.Next("open_lane"));
  return std::make_unique<FakeLane>(target_);
}

absl::Status FakeSink::FinishCopies(const std::map<schemas::TableName, postgres::Lsn>& tables,
                                    std::stop_token) {
  PGFLOW_RETURN_IF_ERROR(target_.errors_.Next("finish_copies"));
  base::MutexLock lock(&target_.mutex_);
  for (const auto& [table, from] : tables) target_.copies_.push_back("finish " + table.ToString());
  return absl::OkStatus();
}

absl::Status FakeSink::TakeCopies(std::span<const TableProgress> tables, std::stop_token) {
  PGFLOW_RETURN_IF_ERROR(target_.errors_.Next("take_copies"));
  base::MutexLock lock(&target_.mutex_);
  for (const TableProgress& table : tables) {
    const std::string text =
        fmt::format("take {}{}", table.table.ToString(), table.held_again() ? " held" : "");
    if (target_.copies_.empty() || target_.copies_.back() != text) target_.copies_.push_back(text);
  }
  return absl::OkStatus();
}

absl::StatusOr<WriteResult> FakeSink::Write(const Window& window, std::stop_token stop) {
  base::MutexLock lock(&target_.mutex_);
  ++target_.write_count_;
  if (!target_.open_) target_.violations_.emplace_back("Write without Open");
  const auto uncorked = [this, &stop]() ABSL_SHARED_LOCKS_REQUIRED(target_.mutex_) {
    return !target_.corked_ || stop.stop_requested();
  };
  target_.blocked_ = target_.corked_;
  // The token cannot wake a condition: look at it now and then.
  while (!target_.mutex_.AwaitWithTimeout(base::Condition(&uncorked), absl::Milliseconds(5))) {
  }
  target_.blocked_ = false;
  if (target_.corked_) return absl::Status(absl::StatusCode::kCancelled, "stopped");
  absl::Status status = target_.errors_.Next("write");
  if (status.ok()) status = target_.Take(window);
  if (status.ok()) return WriteResult();
  target_.open_ = false;
  return status;
}

absl::StatusOr<StreamPoint> FakeSink::Durable(std::stop_token /*stop*/) {
  PGFLOW_RETURN_IF_ERROR(target_.errors_.Next("durable"));
  base::MutexLock lock(&target_.mutex_);
  PGFLOW_RETURN_IF_ERROR(target_.MoveDurable());
  return target_.durable_;
}

absl::Status FakeSink::Close(std::stop_token /*stop*/) { return target_.errors_.Next("close"); }

}  // namespace pgflow::engine
