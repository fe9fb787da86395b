#include "engine/runtime/letter_replay.h"

#include <algorithm>
#include <utility>

#include <absl/time/clock.h>

#include "base/log.h"
#include "base/pause.h"
#include "base/status.h"

namespace pgflow::engine {
namespace {

constexpr absl::Duration kLookInterval = absl::Milliseconds(500);
constexpr absl::Duration kDurablePoll = absl::Milliseconds(5);
constexpr absl::Duration kDurablePatience = absl::Seconds(30);
// So many are written before it is waited until they are durable.
constexpr size_t kGroupMax = 100;
// An answer is shown to a person.
constexpr size_t kShownMax = 1000;

void Note(std::vector<std::string>& list, const Position& position, std::string_view why) {
  if (list.size() < kShownMax) list.push_back(fmt::format("{}: {}", position.ToString(), why));
}

}  // namespace

bool LetterReplay::IsExact() const {
  return node_.make != nullptr && node_.sink->checkpoint_store() != nullptr;
}

absl::Status LetterReplay::OpenSink(std::stop_token stop) {
  if (own_ == nullptr) own_ = node_.make();
  if (own_ == nullptr) return absl::InternalError("the sink cannot be made a second time");
  PGFLOW_RETURN_IF_ERROR(own_->Open({context_.pipeline, node_.name + std::string(kReplaySuffix),
                                     context_.identity.database, context_.state.directory()},
                                    stop));
  CheckpointStore* store = own_->checkpoint_store();
  if (store == nullptr) return absl::InternalError("the sink keeps no checkpoint any more");
  PGFLOW_ASSIGN_OR_RETURN(std::optional<SinkCheckpoint> checkpoint, store->Load());
  if (!checkpoint.has_value()) {
    // Attempts that were begun never came: it has been forgotten, or there were none.
    PGFLOW_RETURN_IF_ERROR(store->Begin(context_.identity, {}));
    PGFLOW_RETURN_IF_ERROR(store->FinishSnapshot(postgres::Lsn()));
    PGFLOW_RETURN_IF_ERROR(own_->Open({context_.pipeline, node_.name + std::string(kReplaySuffix),
                                       context_.identity.database, context_.state.directory()},
                                      stop));
    checkpoint.emplace();
  }
  taken_ = checkpoint->stream.commit_lsn.value();
  return absl::OkStatus();
}

absl::Status LetterReplay::Recover(std::stop_token stop) {
  if (!queue_.has_attempts()) return absl::OkStatus();
  // It was one, and is configured otherwise now: its letters may come twice.
  if (!IsExact()) return queue_.SettleAttempts(0);
  // Opening takes the sink over: a transaction of the old owner is either in the checkpoint that
  // is read now, or fails.
  PGFLOW_RETURN_IF_ERROR(OpenSink(stop));
  PGFLOW_RETURN_IF_ERROR(queue_.SettleAttempts(taken_));
  own_.reset();
  return queue_.WriteCopy();
}

absl::StatusOr<std::optional<ReplayRequest>> LetterReplay::Waiting(bool now) {
  if (!now && absl::Now() < next_look_) return std::optional<ReplayRequest>();
  next_look_ = absl::Now() + kLookInterval;
  return requests_.Waiting();
}

absl::StatusOr<bool> LetterReplay::Run(const ReplayRequest& request, StreamPoint durable,
                                       std::stop_token stop) {
  PGFLOW_RETURN_IF_ERROR(requests_.Begin(request.id));
  ReplayAnswer answer;
  held_.clear();
  const bool exact = IsExact();
  const absl::Status done = RunAll(request, durable, answer, stop);
  own_.reset();
  if (stop.stop_requested()) return absl::CancelledError("stopped");  // It is not answered.
  if (!done.ok()) answer.error = std::string(base::Message(done));
  if (const absl::Status copied = queue_.WriteCopy(); !copied.ok()) {
    base::LogWarning("{}", base::Message(copied));
  }
  base::LogInfo("sink {}: letters: {} replayed, {} refused again, {} skipped, {} dropped{}{}",
                node_.name, answer.replayed, answer.refused.size(), answer.skipped.size(),
                answer.dropped, answer.error.empty() ? "" : "; ", answer.error);
  PGFLOW_RETURN_IF_ERROR(requests_.Answer(request.id, answer));
  if (done.ok()) return !exact;
  // What is open is settled when the lane begins again. An error of the replay is no reason to end.
  return base::MakeStatus(absl::StatusCode::kUnavailable, "replay: {}", base::Message(done));
}

absl::Status LetterReplay::RunAll(const ReplayRequest& request, StreamPoint durable,
                                  ReplayAnswer& answer, std::stop_token stop) {
  const bool exact = IsExact();
  if (exact) PGFLOW_RETURN_IF_ERROR(OpenSink(stop));
  PGFLOW_ASSIGN_OR_RETURN(std::vector<Attempt> attempts, Choose(request, durable, answer));
  std::span<Attempt> rest = attempts;
  while (!rest.empty()) {
    const size_t count = std::min(rest.size(), kGroupMax);
    PGFLOW_RETURN_IF_ERROR(WriteGroup(rest.first(count), durable, answer, stop));
    rest = rest.subspan(count);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<LetterReplay::Attempt>> LetterReplay::Choose(
    const ReplayRequest& request, StreamPoint durable, ReplayAnswer& answer) {
  PGFLOW_ASSIGN_OR_RETURN(const std::vector<DeadLetterQueue::Entry> entries, queue_.Entries());
  std::vector<Attempt> attempts;
  std::vector<int64_t> dropped;
  for (const DeadLetterQueue::Entry& entry : entries) {
    // The stream brings the row's earlier changes first.
    if (!entry.of_snapshot && entry.position.commit_lsn > durable.commit_lsn &&
        entry.changed_at.empty()) {
      ++answer.waiting;
      continue;
    }
    if (!entry.changed_at.empty() && !request.forced) {
      if (request.drops) {
        dropped.push_back(entry.id);
        continue;
      }
      Note(answer.skipped, entry.position,
           entry.changed_at == "unknown"
               ? "nobody noted whether its row has changed since"
               : fmt::format("its row has changed since, at {}", entry.changed_at));
      continue;
    }
    attempts.push_back({entry.id, entry.position, 0, entry.keys});
  }
  PGFLOW_RETURN_IF_ERROR(queue_.Remove(dropped));
  answer.dropped = dropped.size();
  return attempts;
}

absl::Status LetterReplay::WriteGroup(std::span<Attempt> group, StreamPoint durable,
                                      ReplayAnswer& answer, std::stop_token stop) {
  const bool exact = own_ != nullptr;
  if (exact) {
    std::vector<std::pair<int64_t, uint64_t>> numbered;
    uint64_t number = taken_;
    for (Attempt& attempt : group) numbered.emplace_back(attempt.id, attempt.number = ++number);
    PGFLOW_RETURN_IF_ERROR(queue_.BeginAttempts(numbered));
  }
  std::vector<int64_t> written;
  uint64_t last = 0;
  for (const Attempt& attempt : group) {
    if (stop.stop_requested()) return absl::CancelledError("stopped");
    const auto is_held = [this](const std::string& key) { return held_.contains(key); };
    if (std::ranges::any_of(attempt.keys, is_held)) {
      ++answer.waiting;
      // A later number in the sink must not say that this one is there.
      if (exact) PGFLOW_RETURN_IF_ERROR(queue_.BeginAttempts({{attempt.id, 0}}));
      continue;
    }
    PGFLOW_ASSIGN_OR_RETURN(const Written outcome, WriteOne(attempt, durable, stop));
    const absl::Status& refusal = outcome.refusal;
    if (refusal.ok()) {
      written.push_back(attempt.id);
      last = attempt.number;
      continue;
    }
    if (exact && taken_ < last) {
      // What was not durable when the sink was opened again is forgotten there.
      return absl::AbortedError("letters that were written before a refused one were not durable");
    }
    held_.insert(attempt.keys.begin(), attempt.keys.end());
    Note(answer.refused, attempt.position, base::Message(refusal));
    PGFLOW_RETURN_IF_ERROR(queue_.RefusedAgain(attempt.id, refusal));
  }
  if (exact) {
    PGFLOW_RETURN_IF_ERROR(AwaitDurable(last, stop));
    taken_ = std::max(taken_, last);
    // Those that were not written lose their numbers.
    PGFLOW_RETURN_IF_ERROR(queue_.SettleAttempts(last));
  } else {
    // A sink may take what it has not made durable yet.
    PGFLOW_RETURN_IF_ERROR(node_.sink->Durable(stop).status());
    PGFLOW_RETURN_IF_ERROR(node_.sink->Close(stop));
    PGFLOW_RETURN_IF_ERROR(queue_.Remove(written));
    PGFLOW_RETURN_IF_ERROR(node_.sink->Open(
        {context_.pipeline, node_.name, context_.identity.database, context_.state.directory()},
        stop));
  }
  answer.replayed += written.size();
  return absl::OkStatus();
}

absl::StatusOr<LetterReplay::Written> LetterReplay::WriteOne(const Attempt& attempt,
                                                             StreamPoint durable,
                                                             std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(const std::string line, queue_.Line(attempt.id));
  absl::StatusOr<DeadLetter> letter = DecodeDeadLetter(line);
  if (!letter.ok()) return Written{letter.status()};
  const bool exact = own_ != nullptr;
  Sink& sink = exact ? *own_ : *node_.sink;
  Window window;
  window.batches = {&letter->batch, 1};
  window.end =
      exact ? StreamPoint{postgres::Lsn(attempt.number), postgres::Lsn(attempt.number)} : durable;
  const absl::StatusOr<WriteResult> result = sink.Write(window, stop);
  if (result.ok()) {
    return Written{result->rejections.empty() ? absl::OkStatus()
                                              : result->rejections.front().error};
  }
  const absl::Status& refusal = result.status();
  if (stop.stop_requested() || base::IsRetryable(refusal)) return refusal;
  // After an error a sink wants to be opened again.
  if (!exact) {
    PGFLOW_RETURN_IF_ERROR(sink.Open(
        {context_.pipeline, node_.name, context_.identity.database, context_.state.directory()},
        stop));
    return Written{refusal};
  }
  PGFLOW_RETURN_IF_ERROR(OpenSink(stop));
  return Written{refusal};
}

absl::Status LetterReplay::AwaitDurable(uint64_t number, std::stop_token stop) {
  const absl::Time deadline = absl::Now() + kDurablePatience;
  while (number != 0) {
    PGFLOW_ASSIGN_OR_RETURN(const StreamPoint point, own_->Durable(stop));
    if (point.commit_lsn.value() >= number) break;
    if (stop.stop_requested()) return absl::CancelledError("stopped");
    if (absl::Now() > deadline) {
      return base::MakeStatus(absl::StatusCode::kUnavailable,
                              "what was replayed is not durable after {}",
                              absl::FormatDuration(kDurablePatience));
    }
    base::Pause(kDurablePoll, stop);
  }
  return absl::OkStatus();
}

}  // namespace pgflow::engine
