#include "engine/runtime/joining_tables.h"

#include <algorithm>
#include <utility>

#include <fmt/ranges.h>

#include "base/log.h"
#include "base/status.h"
#include "engine/api/copy_again.h"
#include "engine/runtime/table_join.h"

namespace pgflow::engine {

JoiningTables::JoiningTables(const LaneContext& context, const SinkNode& node)
    : context_(context), node_(node) {}

JoiningTables::~JoiningTables() = default;

void JoiningTables::Hold(const std::vector<schemas::TableName>& tables, bool again) {
  base::MutexLock lock(&mutex_);
  for (const schemas::TableName& table : tables) requests_[table] = again;
  published_.reset();
  awaits_published_ = true;
  asked_ = true;
  busy_ = true;
}

// The stream carries them: where it is makes no difference.
bool JoiningTables::CopyAgain(const std::set<schemas::TableName>& tables) {
  // One that asks for it again and again would copy for ever.
  constexpr int kCopiesMax = 3;
  const bool can = node_.make != nullptr && node_.sink->copies_beside() &&
                   context_.join == nullptr && !context_.snapshot_only &&
                   context_.plan.mode != SourcePlan::Mode::kStream;
  if (!can) return false;
  for (const schemas::TableName& table : tables) {
    if (++copies_[table] > kCopiesMax) return false;
  }
  base::MutexLock lock(&mutex_);
  for (const schemas::TableName& table : tables) requests_[table] = true;
  if (!awaits_published_ && !published_.has_value()) published_ = postgres::Lsn();
  try_again_ = true;
  asked_ = true;
  busy_ = true;
  return true;
}

void JoiningTables::Join(postgres::Lsn published) {
  base::MutexLock lock(&mutex_);
  published_ = published;
  awaits_published_ = false;
  try_again_ = true;
}

postgres::Lsn JoiningTables::frontier() const {
  base::MutexLock lock(&mutex_);
  return join_ == nullptr ? postgres::Lsn(UINT64_MAX) : join_->frontier();
}

std::optional<SinkStatus> JoiningTables::status(const SourceView& source) const {
  base::MutexLock lock(&mutex_);
  if (join_ == nullptr) return std::nullopt;
  return join_->status(source);
}

std::string JoiningTables::Names() const {
  std::vector<std::string> names;
  for (const auto& [table, again] : held_) names.push_back(table.ToString());
  return fmt::format("{}", fmt::join(names, ", "));
}

void JoiningTables::Restore(const SinkCheckpoint& checkpoint, postgres::Lsn start) {
  held_.clear();
  for (const TableProgress& table : checkpoint.tables) {
    if (table.held()) held_[table.table] = table.held_again();
  }
  if (!held_.empty() && !failed_) Make(start);
  restored_ = true;
}

void JoiningTables::Make(postgres::Lsn start) {
  base::MutexLock lock(&mutex_);
  if (join_ != nullptr || node_.make == nullptr) return;
  JoinScope scope;
  scope.fresh = restored_;
  for (const auto& [table, again] : held_) {
    scope.tables.insert(table);
    if (again) scope.again.insert(table);
  }
  join_ = std::make_unique<TableJoin>(context_, node_, std::move(scope), start);
}

void JoiningTables::Reset() {
  std::unique_ptr<TableJoin> gone;
  base::MutexLock lock(&mutex_);
  gone = std::move(join_);
}

absl::Status JoiningTables::HoldRenamed(CheckpointStore& store,
                                        const std::vector<schemas::TableName>& tables) {
  for (const schemas::TableName& table : tables) {
    PGFLOW_RETURN_IF_ERROR(store.BeginTable(TableProgress::Held(table, false)));
    held_[table] = false;
  }
  return absl::OkStatus();
}

absl::Status JoiningTables::ShowSink(CheckpointStore& store, std::stop_token stop) {
  if (!node_.sink->copies_beside()) return absl::OkStatus();
  PGFLOW_ASSIGN_OR_RETURN(const std::optional<SinkCheckpoint> checkpoint, store.Load());
  if (!checkpoint.has_value()) return absl::InternalError("the checkpoint vanished");
  return node_.sink->TakeCopies(checkpoint->tables, std::move(stop));
}

absl::Status JoiningTables::TakeRequests(CheckpointStore& store, BatchBuilder& builder,
                                         std::stop_token stop) {
  std::map<schemas::TableName, bool> requests;
  {
    base::MutexLock lock(&mutex_);
    requests = requests_;
  }
  for (const auto& [table, again] : requests) {
    if (const auto held = held_.find(table); held != held_.end() && held->second >= again) continue;
    PGFLOW_RETURN_IF_ERROR(store.BeginTable(TableProgress::Held(table, again)));
    if (again && node_.sink->copies_beside()) {
      builder.Watch(table);
    } else {
      builder.Hold(table);
    }
    held_[table] = again;
  }
  PGFLOW_RETURN_IF_ERROR(ShowSink(store, std::move(stop)));
  base::MutexLock lock(&mutex_);
  std::erase_if(requests_, [&](const auto& request) { return requests.contains(request.first); });
  asked_ = !requests_.empty();
  return absl::OkStatus();
}

absl::Status JoiningTables::Step(CheckpointStore& store, BatchBuilder& builder,
                                 StreamPoint position, postgres::Lsn frontier, bool caught_up,
                                 std::stop_token stop) {
  if (asked()) PGFLOW_RETURN_IF_ERROR(TakeRequests(store, builder, stop));
  if (!held_.empty()) {
    PGFLOW_RETURN_IF_ERROR(
        StepHeld(store, builder, position, frontier, caught_up, std::move(stop)));
  }
  base::MutexLock lock(&mutex_);
  busy_ = asked_.load() || !held_.empty();
  return absl::OkStatus();
}

absl::Status JoiningTables::StepHeld(CheckpointStore& store, BatchBuilder& builder,
                                     StreamPoint position, postgres::Lsn frontier, bool caught_up,
                                     std::stop_token stop) {
  std::optional<postgres::Lsn> published;
  TableJoin* join = nullptr;
  {
    base::MutexLock lock(&mutex_);
    published = published_;
    if (std::exchange(try_again_, false)) failed_ = false;
    join = join_.get();
  }
  if (failed_) return absl::OkStatus();
  if (join == nullptr) {
    Make(frontier);
    return absl::OkStatus();
  }
  if (!join->started()) {
    // A table may have come to be held later than the source published it: by a new name.
    if (published.has_value()) join->Start(std::max(*published, position.end_lsn));
    return absl::OkStatus();
  }
  if (const std::optional<absl::Status> ended = join->result(); ended.has_value() && !ended->ok()) {
    OnEnded(*ended);
    return absl::OkStatus();
  }
  if (!join->result().has_value() && !join->IsCloseTo(position.end_lsn)) return absl::OkStatus();
  // Before a crash, or an error, the old index may have got more than the checkpoint says: the new
  // one is not to show less.
  if (!caught_up && node_.sink->copies_beside()) return absl::OkStatus();
  return TakeOver(store, builder, position, std::move(stop));
}

absl::Status JoiningTables::TakeOver(CheckpointStore& store, BatchBuilder& builder,
                                     StreamPoint position, std::stop_token stop) {
  TableJoin* join = nullptr;
  {
    base::MutexLock lock(&mutex_);
    join = join_.get();
  }
  const auto gates = join->Finish(position.end_lsn, stop);
  if (!gates.ok()) {
    if (stop.stop_requested()) return gates.status();
    OnEnded(gates.status());
    return absl::OkStatus();
  }
  std::map<schemas::TableName, postgres::Lsn> complete;
  for (const auto& [table, gate] : *gates) complete[table] = gate.apply_from;
  PGFLOW_RETURN_IF_ERROR(node_.sink->FinishCopies(complete, stop));
  PGFLOW_RETURN_IF_ERROR(Take(store, builder, *gates));
  PGFLOW_RETURN_IF_ERROR(join->Forget());
  Reset();
  context_.on_durable();
  return ShowSink(store, std::move(stop));
}

absl::Status JoiningTables::Take(CheckpointStore& store, BatchBuilder& builder,
                                 const std::map<schemas::TableName, TableGates::Gate>& gates) {
  std::vector<TableProgress> complete;
  complete.reserve(gates.size());
  for (const auto& [table, gate] : gates) {
    complete.push_back({table, gate.apply_from, "", {}, true, gate.catch_up_until});
  }
  PGFLOW_RETURN_IF_ERROR(store.BeginTables(complete));
  for (const auto& [table, gate] : gates) {
    builder.Open(table, gate);
    held_.erase(table);
    base::LogInfo("sink {}: table {} has joined the stream at {}", node_.name, table.ToString(),
                  gate.apply_from);
  }
  return absl::OkStatus();
}

void JoiningTables::OnEnded(const absl::Status& error) {
  const std::set<schemas::TableName> again = TablesToCopyAgain(error);
  if (again.empty() || !CopyAgain(again)) return Fail(error);
  base::LogWarning("sink {}: {} begin anew with the copy: {}", node_.name, Names(),
                   base::Message(error));
  Reset();
}

void JoiningTables::Fail(const absl::Status& error) {
  base::LogError(
      "sink {}: {} cannot join the stream: {}. All other tables go on; mend the cause, then run "
      "`pgflow refresh`",
      node_.name, Names(), base::Message(error));
  failed_ = true;
  Reset();
  context_.on_durable();  // Nothing is kept for it any more.
}

void JoiningTables::Stop() { Reset(); }

}  // namespace pgflow::engine
