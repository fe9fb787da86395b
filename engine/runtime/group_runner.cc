#include "engine/runtime/group_runner.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <absl/time/clock.h>

#include "base/log.h"
#include "base/pause.h"
#include "base/status.h"
#include "engine/api/source.h"
#include "engine/api/takeover.h"

namespace pgflow::engine {
namespace {

constexpr absl::Duration kInterval = absl::Milliseconds(100);
constexpr absl::Duration kLook = absl::Milliseconds(20);
// How long a share may stay empty before nothing is to be expected of it.
constexpr absl::Duration kEmptyPatience = absl::Seconds(15);

void Add(const PipelineStatus& part, PipelineStatus& sum) {
  sum.events += part.events;
  sum.transactions += part.transactions;
  sum.bytes += part.bytes;
  sum.source_reconnects += part.source_reconnects;
  sum.memory_bytes += part.memory_bytes;
  sum.spool_bytes += part.spool_bytes;
  sum.spool_bytes_written += part.spool_bytes_written;
}

postgres::Lsn Sum(postgres::Lsn a, postgres::Lsn b) { return postgres::Lsn(a.value() + b.value()); }

}  // namespace

GroupRunner::GroupRunner(GroupOptions options, std::unique_ptr<SourceGroup> group, Factory factory)
    : options_(std::move(options)),
      group_(std::move(group)),
      factory_(std::move(factory)),
      started_(absl::Now()) {}

GroupRunner::~GroupRunner() { EndParts({}, false, {}); }

absl::Status GroupRunner::Run(std::stop_token drain, std::stop_token stop) {
  absl::Status status = Supervise(drain, stop);
  const bool drains = status.ok() && !stop.stop_requested();
  if (drains) base::LogInfo("stopping: delivering what was received");
  std::vector<std::string> all;
  {
    const base::MutexLock lock(&mutex_);
    phase_ = status.ok() ? Phase::kStopping : Phase::kFailed;
    error_ = std::string(base::Message(status));
    for (const auto& [name, part] : parts_) all.push_back(name);
  }
  EndParts(all, drains, stop);
  const absl::Status left = group_->Leave(std::move(stop));
  if (!left.ok()) base::LogWarning("{}", base::Message(left));
  return status;
}

absl::Status GroupRunner::Supervise(const std::stop_token& drain, const std::stop_token& stop) {
  const absl::Time start = absl::Now();
  Backoff backoff({absl::Milliseconds(200), absl::Seconds(5)});
  while (!drain.stop_requested() && !stop.stop_requested()) {
    const absl::StatusOr<ShareChange> change = group_->Next(kInterval, stop);
    if (change.status().code() == absl::StatusCode::kCancelled) break;
    if (!change.ok() && (!base::IsRetryable(change.status()) || !shared_)) return change.status();
    if (!change.ok()) {
      const absl::Duration pause = backoff.Next();
      base::LogWarning("source: {}; trying again in {}", base::Message(change.status()),
                       absl::FormatDuration(pause));
      base::Pause(pause, stop);
      continue;
    }
    backoff.Reset();
    if (!change->empty()) PGFLOW_RETURN_IF_ERROR(Apply(*change, stop));
    PGFLOW_RETURN_IF_ERROR(ReapParts());
    PGFLOW_RETURN_IF_ERROR(ResumeParts());
    if (!options_.until_current) continue;
    if (shared_ ? IsDone() : absl::Now() - start > kEmptyPatience) break;
  }
  return absl::OkStatus();
}

absl::Status GroupRunner::Apply(const ShareChange& change, const std::stop_token& stop) {
  if (!change.lost.empty()) {
    for (const std::string& name : change.lost) {
      base::LogInfo("{} goes to another process", name);
      resting_.erase(name);
    }
    EndParts(change.lost, !change.too_late, stop);
  }
  PGFLOW_RETURN_IF_ERROR(group_->Settle(stop));
  for (const std::string& name : change.gained) {
    base::LogInfo("{} is ours", name);
    PGFLOW_RETURN_IF_ERROR(StartPart(name));
  }
  shared_ = true;
  const base::MutexLock lock(&mutex_);
  phase_ = Phase::kStreaming;
  return absl::OkStatus();
}

absl::Status GroupRunner::StartPart(const std::string& name) {
  absl::StatusOr<std::unique_ptr<Source>> source = group_->Open(name);
  if (!source.ok()) return base::Annotate(source.status(), name);
  absl::StatusOr<std::unique_ptr<Pipeline>> pipeline = factory_(name, *std::move(source));
  if (!pipeline.ok()) return base::Annotate(pipeline.status(), name);
  auto part = std::make_unique<Part>();
  part->pipeline = *std::move(pipeline);
  part->thread = std::jthread([running = part.get()] {
    running->status = running->pipeline->Run(running->drain.get_token(), running->stop.get_token());
    running->ended = true;
  });
  const base::MutexLock lock(&mutex_);
  parts_[name] = std::move(part);
  return absl::OkStatus();
}

void GroupRunner::EndParts(const std::vector<std::string>& names, bool drains,
                           const std::stop_token& stop) {
  std::vector<std::unique_ptr<Part>> ending;
  {
    const base::MutexLock lock(&mutex_);
    for (const std::string& name : names) {
      const auto found = parts_.find(name);
      if (found == parts_.end()) continue;
      ending.push_back(std::move(found->second));
      parts_.erase(found);
    }
    if (names.empty()) {
      for (auto& [name, part] : parts_) ending.push_back(std::move(part));
      parts_.clear();
    }
  }
  for (const auto& part : ending) part->drain.request_stop();
  const absl::Time deadline = absl::Now() + options_.drain_patience;
  const auto all_ended = [&] {
    return std::ranges::all_of(ending, [](const auto& part) { return part->ended.load(); });
  };
  while (drains && !all_ended() && absl::Now() < deadline && base::Pause(kLook, stop)) {
  }
  // What is not durable by now comes again, here or elsewhere.
  for (const auto& part : ending) part->stop.request_stop();
  for (const auto& part : ending) {
    part->thread.join();
    const base::MutexLock lock(&mutex_);
    Keep(part->pipeline->status());
  }
}

void GroupRunner::Keep(const PipelineStatus& last) {
  Add(last, past_);
  past_.memory_bytes = past_.spool_bytes = 0;
}

absl::Status GroupRunner::ReapParts() {
  std::vector<std::string> failed;
  absl::Status fatal;
  {
    const base::MutexLock lock(&mutex_);
    for (const auto& [name, part] : parts_) {
      if (!part->ended) worked_ |= part->pipeline->status().phase == Phase::kStreaming;
      if (!part->ended || part->status.ok()) continue;  // An ended one has come to its end.
      failed.push_back(name);
      const bool taken_over = !base::Payload(part->status, kTakenOverPayload).empty();
      // Before it ever worked, an error is a mistake in the configuration rather than an outage.
      if (!taken_over && !(base::IsRetryable(part->status) && worked_)) {
        fatal = base::Annotate(part->status, name);
        continue;
      }
      Restart& restart = resting_[name];
      const absl::Duration pause = taken_over ? options_.takeover_patience : restart.backoff.Next();
      restart.at = absl::Now() + pause;
      base::LogWarning("{}: {}; again in {} unless it goes to another process", name,
                       base::Message(part->status), absl::FormatDuration(pause));
    }
  }
  PGFLOW_RETURN_IF_ERROR(fatal);
  if (!failed.empty()) EndParts(failed, false, {});
  return absl::OkStatus();
}

absl::Status GroupRunner::ResumeParts() {
  for (auto& [name, restart] : resting_) {
    if (absl::Now() < restart.at) continue;
    restart.at = absl::InfiniteFuture();
    PGFLOW_RETURN_IF_ERROR(StartPart(name));
  }
  return absl::OkStatus();
}

bool GroupRunner::IsDone() const {
  const base::MutexLock lock(&mutex_);
  const bool rests = std::ranges::any_of(
      resting_, [](const auto& entry) { return entry.second.at != absl::InfiniteFuture(); });
  return !rests &&
         std::ranges::all_of(parts_, [](const auto& entry) { return entry.second->ended.load(); });
}

absl::Status GroupRunner::Destroy(std::stop_token stop) {
  // First the group: while somebody is in it, its checkpoints are what makes it worth something.
  PGFLOW_RETURN_IF_ERROR(group_->Forget(stop));
  PGFLOW_ASSIGN_OR_RETURN(const std::vector<std::string> parts, group_->ListParts(stop));
  for (const std::string& name : parts) {
    PGFLOW_ASSIGN_OR_RETURN(std::unique_ptr<Source> source, group_->Open(name));
    PGFLOW_ASSIGN_OR_RETURN(const std::unique_ptr<Pipeline> pipeline,
                            factory_(name, std::move(source)));
    const absl::Status destroyed = pipeline->Destroy(stop);
    if (!destroyed.ok()) return base::Annotate(destroyed, name);
  }
  return absl::OkStatus();
}

PipelineStatus GroupRunner::status() const {
  const base::MutexLock lock(&mutex_);
  PipelineStatus status = past_;
  status.pipeline = options_.name;
  status.source = options_.source_name;
  status.counts_messages = true;
  status.started = started_;
  status.phase = phase_;
  status.error = error_;
  status.slot = fmt::format("{} parts of the log", parts_.size());
  for (const auto& [name, part] : parts_) {
    PipelineStatus one = part->pipeline->status();
    Add(one, status);
    if (!one.stalled.empty()) status.stalled = one.stalled;
    status.unhealthy |= one.unhealthy;
    status.server_lsn = Sum(status.server_lsn, one.server_lsn);
    status.received_lsn = Sum(status.received_lsn, one.received_lsn);
    status.acknowledged_lsn = Sum(status.acknowledged_lsn, one.acknowledged_lsn);
    if (status.phase == Phase::kStreaming) status.phase = std::min(status.phase, one.phase);
    for (SinkStatus& sink : one.sinks) {
      sink.name += " " + name;
      status.sinks.push_back(std::move(sink));
    }
  }
  return status;
}

}  // namespace pgflow::engine
