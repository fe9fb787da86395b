#include "engine/runtime/pipeline.h"

#include <algorithm>
#include <utility>

#include <absl/time/clock.h>

#include "base/either_stop.h"
#include "base/log.h"
#include "base/pause.h"
#include "base/status.h"
#include "engine/api/promotion.h"
#include "engine/runtime/checkpoint_identity.h"
#include "engine/runtime/lookup_tables.h"
#include "engine/runtime/table_join.h"

namespace pgflow::engine {
namespace {

constexpr absl::Duration kStandbyInterval = absl::Milliseconds(250);
constexpr absl::Duration kSuperviseInterval = absl::Milliseconds(100);
constexpr absl::Duration kHealthInterval = absl::Seconds(1);
// A sink that takes nothing for so long is not waited for at the end: it hangs, or is away.
constexpr absl::Duration kDrainPatience = absl::Seconds(3);
constexpr RetryOptions kSourceRetry{absl::Milliseconds(100), absl::Seconds(5)};

bool IsSlotInUse(const absl::Status& status) {
  return !base::Payload(status, kSlotInUsePayload).empty();
}

}  // namespace

Pipeline::Pipeline(PipelineOptions options, std::unique_ptr<Source> source,
                   std::vector<std::unique_ptr<Transformer>> transformers,
                   std::vector<SinkNode> sinks)
    : options_(std::move(options)),
      source_(std::move(source)),
      transformers_(std::move(transformers)),
      nodes_(std::move(sinks)),
      log_(options_.log),
      started_(absl::Now()) {
  source_->set_telemetry(&telemetry_);
  source_->set_pipeline(options_.name);
  source_->set_state_directory(options_.state_directory);
}

Pipeline::~Pipeline() {
  for (std::jthread& thread : lane_threads_) thread.request_stop();
  source_thread_.request_stop();
}

absl::Status Pipeline::Initialize(std::stop_token stop) {
  PGFLOW_RETURN_IF_ERROR(source_->Open(stop).status());
  return source_->OpenSlot(true, stop).status();
}

absl::Status Pipeline::Destroy(std::stop_token stop) {
  absl::Status failed;
  const auto note = [&](const absl::Status& status, std::string_view what) {
    if (status.ok()) return;
    failed = failed.ok() ? base::Annotate(status, what)
                         : base::MakeStatus(failed.code(), "{}; {}: {}", base::Message(failed),
                                            what, base::Message(status));
  };
  absl::StatusOr<SourceIdentity> identity = source_->Open(stop);
  note(identity.ok() ? source_->DropSlot(stop) : identity.status(), "source");
  // While a slot is there, perhaps in use, its checkpoints are what makes it worth something.
  if (!failed.ok()) return failed;
  absl::StatusOr<std::unique_ptr<SqliteDatabase>> state =
      SqliteDatabase::Open(options_.state_directory);
  note(state.status(), "state");
  for (SinkNode& node : nodes_) {
    const auto forget = [&](Sink& sink, const std::string& name) {
      absl::Status status = sink.Open({options_.name, name, "", options_.state_directory}, stop);
      if (status.ok() && sink.checkpoint_store() != nullptr) {
        status = sink.checkpoint_store()->Forget();
      } else if (status.ok() && state.ok()) {
        status = SqliteCheckpointStore(**state, options_.name, name).Forget();
      }
      note(status, name);
      return status.ok();
    };
    if (!forget(*node.sink, node.name) || node.make == nullptr) continue;
    forget(*node.make(), node.name + std::string(kJoinSuffix));
    if (!node.dead_letter_path.empty()) {
      forget(*node.make(), node.name + std::string(kReplaySuffix));
    }
  }
  for (size_t i = 0; i < transformers_.size(); ++i) {
    note(transformers_[i]->Forget({options_.name, options_.state_directory, i}),
         fmt::format("transformer {}", i + 1));
  }
  return failed;
}

absl::StatusOr<SourceIdentity> Pipeline::OpenSource(SlotState& slot, const std::stop_token& stop) {
  const auto open = [&]() -> absl::StatusOr<SourceIdentity> {
    PGFLOW_ASSIGN_OR_RETURN(SourceIdentity identity, source_->Open(stop));
    if (!options_.snapshot_only) {
      PGFLOW_ASSIGN_OR_RETURN(slot, source_->OpenSlot(!options_.replay_only, stop));
    }
    return identity;
  };
  Backoff backoff(kSourceRetry);
  while (true) {
    absl::StatusOr<SourceIdentity> identity = open();
    if (identity.ok()) return identity;
    if (stop.stop_requested()) return absl::CancelledError("stopped");
    const absl::Duration left = options_.startup_timeout - (absl::Now() - started_);
    if (!base::IsRetryable(identity.status()) || left <= absl::ZeroDuration()) {
      return base::Annotate(identity.status(), "source");
    }
    const absl::Duration pause = std::min(left, backoff.Next());
    base::LogWarning("source: {}; trying again in {}, for another {} (startup_timeout)",
                     base::Message(identity.status()), absl::FormatDuration(pause),
                     absl::FormatDuration(absl::Trunc(left, absl::Seconds(1))));
    base::Pause(pause, stop);
  }
}

absl::Status Pipeline::Start(const std::stop_token& stop) {
  PGFLOW_ASSIGN_OR_RETURN(state_, SqliteDatabase::Open(options_.state_directory));
  SlotState slot;
  const absl::StatusOr<SourceIdentity> identity = OpenSource(slot, stop);
  if (!identity.ok()) return identity.status();
  const bool learns = std::ranges::any_of(
      transformers_, [](const auto& transformer) { return transformer->looked_up() != nullptr; });
  if (!options_.snapshot_only && source_->plan().mode == SourcePlan::Mode::kStream && !learns) {
    source_->ReleaseSnapshot();
  }
  timeline_ = identity->timeline;
  engine::ConfirmSlot confirm_slot;
  if (!options_.snapshot_only) {
    confirm_slot = [this](std::stop_token token) { return ConfirmSlot(std::move(token)); };
  }
  context_ = std::make_unique<LaneContext>(LaneContext{
      .pipeline = options_.name,
      .log = log_,
      .transformers = transformers_,
      .state = *state_,
      .identity = *identity,
      .timeline = timeline_,
      .slot = slot,
      .plan = source_->plan(),
      .snapshot_only = options_.snapshot_only,
      .replay_only = options_.replay_only,
      .open_session = [this](postgres::Lsn newer_than,
                             std::stop_token token) { return OpenSession(newer_than, token); },
      .timeline_end =
          [this](uint32_t timeline, std::stop_token token) {
            base::MutexLock lock(&source_mutex_);
            return source_->TimelineEnd(timeline, std::move(token));
          },
      .on_durable = [this] { MoveFrontier(); },
      .confirm_slot = confirm_slot,
      .awaited = [this] { return source_->awaited(); },
      .options = options_.lane,
      .startup_timeout = options_.startup_timeout,
      .tap = options_.tap,
  });
  // Positions mean nothing in another database's log.
  const std::string log = fmt::format("{}/{}", identity->system_identifier, identity->database);
  for (size_t i = 0; i < transformers_.size(); ++i) {
    PGFLOW_RETURN_IF_ERROR(
        transformers_[i]->Open({options_.name, options_.state_directory, i, log}));
  }
  std::vector<std::unique_ptr<SinkLane>> lanes;
  for (SinkNode& node : nodes_) {
    lanes.push_back(std::make_unique<SinkLane>(*context_, std::move(node)));
  }
  base::MutexLock lock(&mutex_);
  lanes_ = std::move(lanes);
  slot_ = context_->identity.slot;
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<SnapshotSession>> Pipeline::OpenSession(postgres::Lsn newer_than,
                                                                       std::stop_token stop) {
  base::MutexLock lock(&source_mutex_);
  if (std::shared_ptr<SnapshotSession> session = session_.lock();
      session != nullptr && session->consistent_point() > newer_than) {
    return session;
  }
  PGFLOW_ASSIGN_OR_RETURN(std::unique_ptr<SnapshotSession> opened, source_->OpenSnapshot(stop));
  PGFLOW_RETURN_IF_ERROR(LearnLookups(*opened, transformers_, stop));
  std::shared_ptr<SnapshotSession> session = std::move(opened);
  session_ = session;
  return session;
}

// The stream may be on its way back, or another process may stream: then a sink waits here, as a
// whole pipeline does at its start.
absl::Status Pipeline::ConfirmSlot(std::stop_token stop) {
  for (bool told = false;;) {
    absl::Status status;
    {
      base::MutexLock lock(&source_mutex_);
      status = source_->ConfirmSlot(stop);
    }
    if (!base::IsRetryable(status)) return status;
    if (!std::exchange(told, true)) {
      base::LogInfo("{}; waiting for it before a sink is taken over", base::Message(status));
    }
    if (!base::Pause(kStandbyInterval, stop)) return absl::CancelledError("stopped");
  }
}

// The source's thread: reads, and connects again when the connection is lost.
void Pipeline::ReadSource(std::stop_token stop) {
  Backoff backoff(kSourceRetry);
  while (!stop.stop_requested()) {
    const uint64_t received = telemetry_.received_lsn.load();
    absl::Status status = source_->Run(log_, stop);
    if (stop.stop_requested()) break;
    log_.Cut();
    if (telemetry_.received_lsn.load() != received) backoff.Reset();
    if (IsSlotInUse(status)) {
      {
        base::MutexLock lock(&mutex_);
        if (phase_ == Phase::kStarting) {
          phase_ = Phase::kStandby;
          base::LogInfo("{}; standing by to take over", base::Message(status));
        }
      }
      base::Pause(kStandbyInterval, stop);
      continue;
    }
    if (status.ok()) status = absl::UnavailableError("the source ended the stream");
    if (!base::IsRetryable(status)) {
      base::MutexLock lock(&mutex_);
      source_error_ = base::Annotate(status, "source");
      return;
    }
    telemetry_.reconnects.fetch_add(1, std::memory_order_relaxed);
    const absl::Duration pause = backoff.Next();
    base::LogWarning("source: {}; trying again in {}", base::Message(status),
                     absl::FormatDuration(pause));
    base::Pause(pause, stop);
  }
  log_.Cut();
}

absl::Status Pipeline::AwaitSlot(std::stop_token stop) {
  while (!log_.WaitStarted(kSuperviseInterval)) {
    if (stop.stop_requested()) return absl::CancelledError("stopped");
    base::MutexLock lock(&mutex_);
    if (!source_error_.ok()) return source_error_;
    if (options_.replay_only && phase_ == Phase::kStandby) {
      absl::Status in_use = absl::UnavailableError("another process runs the pipeline");
      base::SetPayload(in_use, kSlotInUsePayload, "1");
      return in_use;
    }
  }
  if (context_->slot.created) return absl::OkStatus();
  // While we stood by, the one before us went on: what it acknowledged is no longer to be had.
  const auto prepare = [&]() -> absl::Status {
    base::MutexLock lock(&source_mutex_);
    PGFLOW_ASSIGN_OR_RETURN(context_->slot, source_->OpenSlot(false, stop));
    return options_.replay_only ? absl::OkStatus() : RefreshAtStart(stop);
  };
  Backoff backoff(kSourceRetry);
  while (true) {
    const absl::Status prepared = prepare();
    if (!base::IsRetryable(prepared)) return base::Annotate(prepared, "source");
    {
      base::MutexLock lock(&mutex_);
      if (!source_error_.ok()) return source_error_;
    }
    const absl::Duration pause = backoff.Next();
    base::LogWarning("source: {}; trying again in {}", base::Message(prepared),
                     absl::FormatDuration(pause));
    base::Pause(pause, stop);
    if (stop.stop_requested()) return absl::CancelledError("stopped");
  }
}

absl::Status Pipeline::StartLanes(std::stop_token stop) {
  std::optional<postgres::Lsn> until = options_.until_lsn;
  if (options_.until_current) {
    base::MutexLock lock(&source_mutex_);
    PGFLOW_ASSIGN_OR_RETURN(until, source_->CurrentLsn(stop));
  }
  base::MutexLock lock(&mutex_);
  phase_ = Phase::kStreaming;
  lanes_running_ = lanes_.size();
  next_refresh_ = absl::Now();
  for (size_t i = 0; i < lanes_.size(); ++i) {
    if (until.has_value()) lanes_[i]->StopBefore(*until);
    lane_threads_.emplace_back(
        [this, i](std::stop_token token) { OnLaneEnd(i, lanes_[i]->Run(token)); });
  }
  return absl::OkStatus();
}

void Pipeline::OnLaneEnd(size_t lane, absl::Status status) {
  base::MutexLock lock(&mutex_);
  --lanes_running_;
  const bool stopped = status.code() == absl::StatusCode::kCancelled;
  if (status.ok()) base::LogInfo("sink {}: done", lanes_[lane]->name());
  if (!status.ok() && !stopped && lane_error_.ok()) lane_error_ = std::move(status);
}

void Pipeline::StartSource() {
  source_thread_ = std::jthread([this](std::stop_token token) { ReadSource(token); });
}

void Pipeline::StopSource() {
  if (!source_thread_.joinable()) return;
  source_thread_.request_stop();
  source_thread_.join();
}

// No more comes in; what came is delivered. A snapshot is not waited for: it can be resumed.
void Pipeline::BeginDrain() {
  base::LogInfo("stopping: delivering what was received");
  StopSource();
  drain_moved_ = absl::Now();
  for (size_t i = 0; i < lanes_.size(); ++i) {
    const Phase phase = lanes_[i]->status({}).phase;
    if (phase == Phase::kSnapshot || phase == Phase::kStarting) lane_threads_[i].request_stop();
    lanes_[i]->Finish();
  }
  base::MutexLock lock(&mutex_);
  phase_ = Phase::kStopping;
}

// What tells whether the sinks get on.
uint64_t Pipeline::Delivered() const {
  uint64_t delivered = 0;
  for (const auto& lane : lanes_) {
    const SinkStatus sink = lane->status({});
    delivered += sink.windows + sink.events + sink.written_lsn.value() + sink.durable_lsn.value();
  }
  return delivered;
}

bool Pipeline::DrainsOn() {
  const uint64_t delivered = Delivered();
  const absl::Time now = absl::Now();
  if (std::exchange(drain_delivered_, delivered) != delivered) drain_moved_ = now;
  if (now - drain_moved_ < kDrainPatience) return true;
  base::LogWarning(
      "nothing was delivered for {}: stopping without the rest, which comes again when pgflow runs "
      "again",
      absl::FormatDuration(kDrainPatience));
  return false;
}

absl::Status Pipeline::Supervise(std::stop_token drain, std::stop_token stop) {
  const base::EitherStop either(drain, stop);
  const std::stop_token asked_to_end = either.token();
  absl::Time next_health = absl::Now();
  bool draining = false;
  while (true) {
    {
      base::MutexLock lock(&mutex_);
      const auto changed = [this] {
        mutex_.AssertReaderHeld();
        return lanes_running_ == 0 || !lane_error_.ok() || !source_error_.ok();
      };
      mutex_.AwaitWithTimeout(base::Condition(&changed), kSuperviseInterval);
      if (!lane_error_.ok()) return lane_error_;
      if (!source_error_.ok()) return source_error_;
      if (lanes_running_ == 0) return absl::OkStatus();
    }
    if (stop.stop_requested()) return absl::OkStatus();
    if (drain.stop_requested() && !std::exchange(draining, true)) BeginDrain();
    if (!snapshot_released_) StepSnapshot();
    if (draining && !DrainsOn()) return absl::OkStatus();
    if (!draining && !options_.replay_only) StepRefresh(asked_to_end);
    if (!draining && absl::Now() >= next_health) {
      RefreshHealth(asked_to_end);
      LookForStalls();
      next_health = absl::Now() + kHealthInterval;
    }
  }
}

// The slot's own snapshot is for sinks that begin at once. Who streams already, or waits for its
// server, does not keep the source from cleaning up: it can have a later one.
void Pipeline::StepSnapshot() {
  for (const auto& lane : lanes_) {
    const SinkStatus status = lane->status({});
    const bool may_ask = status.phase == Phase::kStarting || status.phase == Phase::kSnapshot;
    if (may_ask && status.last_error.empty()) return;
  }
  if (!source_mutex_.TryLock()) return;  // A snapshot is being opened.
  source_->ReleaseSnapshot();
  source_mutex_.Unlock();
  snapshot_released_ = true;
}

void Pipeline::RefreshHealth(std::stop_token stop) {
  if (!source_mutex_.TryLock()) return;  // A snapshot is being opened.
  absl::StatusOr<SlotHealth> health = source_->Health(stop);
  absl::Status reopened;
  if (!health.ok() && base::IsRetryable(health.status())) {
    absl::StatusOr<SourceIdentity> identity = source_->Open(stop);
    if (identity.ok() && !(*identity == context_->identity)) {
      reopened = base::Annotate(AnotherServer(*identity, context_->identity, "the source's url"),
                                "source");
    }
  }
  source_mutex_.Unlock();
  // The stream went on through the promotion of its server: what comes is of the new timeline.
  if (health.ok() && health->timeline > timeline_.load()) {
    base::LogInfo("the source was promoted: timeline {}", health->timeline);
    timeline_ = health->timeline;
  }
  if (health.ok()) NoteHealth(*std::move(health));
  base::MutexLock lock(&mutex_);
  if (!reopened.ok() && source_error_.ok()) source_error_ = reopened;
}

void Pipeline::NoteHealth(SlotHealth health) {
  const absl::Time now = absl::Now();
  base::MutexLock lock(&mutex_);
  // A source that knows its slot counts its log in bytes, whether it is read or not.
  if (health.slot_active.has_value()) ends_.Note(health.server_lsn, now);
  if (health.server_time != absl::UnixEpoch()) source_clock_ = health.server_time - now;
  health_ = std::move(health);
}

void Pipeline::LookForStalls() {
  StallWatch::View view;
  view.status = status();
  view.heard = absl::FromUnixMicros(telemetry_.heard_micros.load());
  view.source_waits = !log_.HasRoom();
  {
    base::MutexLock lock(&mutex_);
    view.slot_active = health_.slot_active;
    view.tells_end = health_.slot_active.has_value();
  }
  StallWatch::Verdict verdict = stall_watch_.Look(view, absl::Now());
  base::MutexLock lock(&mutex_);
  if (verdict_.stalled.empty() != verdict.stalled.empty()) {
    if (verdict.stalled.empty()) {
      base::LogInfo("it moves on");
    } else {
      base::LogWarning("stalled: {}", verdict.stalled);
    }
  }
  verdict_ = std::move(verdict);
}

void Pipeline::MoveFrontier() {
  postgres::Lsn frontier(UINT64_MAX);
  for (const auto& lane : lanes_) frontier = std::min(frontier, lane->frontier());
  if (frontier == postgres::Lsn(UINT64_MAX) || !frontier.valid()) return;
  source_->Acknowledge(frontier);
  for (const auto& transformer : transformers_) transformer->Settle(frontier);
}

absl::Status Pipeline::Run(std::stop_token drain, std::stop_token stop) {
  // Until there is something to deliver, the wish to drain is one to end.
  const base::EitherStop either(drain, stop);
  absl::Status status = Start(either.token());
  if (status.ok() && !options_.snapshot_only) {
    StartSource();
    status = AwaitSlot(either.token());
  }
  if (status.ok()) status = StartLanes(either.token());
  if (status.ok()) status = Supervise(drain, stop);
  for (std::jthread& thread : lane_threads_) thread.request_stop();
  for (std::jthread& thread : lane_threads_) thread.join();
  lane_threads_.clear();
  StopSource();
  if (!base::Payload(status, kRecreatedSlotPayload).empty()) {
    // The slot that this run made would only pin WAL.
    const absl::Status dropped = source_->DropSlot(stop);
    if (!dropped.ok()) base::LogWarning("{}", base::Message(dropped));
  }
  if (status.code() == absl::StatusCode::kCancelled) status = absl::OkStatus();
  base::MutexLock lock(&mutex_);
  phase_ = status.ok() ? Phase::kStopping : Phase::kFailed;
  return status;
}

PipelineStatus Pipeline::status() const {
  PipelineStatus status;
  status.pipeline = options_.name;
  status.started = started_;
  status.source = options_.source_name;
  status.received_lsn = postgres::Lsn(telemetry_.received_lsn.load());
  {
    base::MutexLock lock(&mutex_);
    status.phase = phase_;
    status.slot_wal_status = health_.wal_status;
    status.ddl = health_.ddl;
    status.retained_wal_bytes = health_.retained_wal_bytes;
    status.server_lsn = std::max(health_.server_lsn, postgres::Lsn(telemetry_.server_lsn.load()));
    const absl::Status& error = lane_error_.ok() ? source_error_ : lane_error_;
    status.error = std::string(base::Message(error));
    status.slot = slot_;
    status.stalled = verdict_.stalled;
    status.unhealthy = verdict_.unhealthy;
    const SourceView source{.end = status.server_lsn,
                            .clock = source_clock_,
                            .unreceived = ends_.AgeBehind(status.received_lsn, absl::Now())};
    for (const auto& lane : lanes_) {
      SinkStatus sink = lane->status(source);
      if (status.phase == Phase::kStreaming) status.phase = std::min(status.phase, sink.phase);
      status.sinks.push_back(std::move(sink));
      if (auto joining = lane->joining_status(source); joining.has_value()) {
        status.sinks.push_back(*std::move(joining));
      }
    }
  }
  status.acknowledged_lsn = postgres::Lsn(telemetry_.acknowledged_lsn.load());
  status.events = telemetry_.events.load();
  status.transactions = telemetry_.transactions.load();
  status.bytes = telemetry_.bytes.load();
  status.open_transactions = telemetry_.open_transactions.load();
  status.source_reconnects = telemetry_.reconnects.load();
  status.memory_bytes = log_.memory_bytes();
  status.spool_bytes = log_.spool_bytes();
  status.spool_bytes_written = log_.spool_bytes_written();
  return status;
}

}  // namespace pgflow::engine
