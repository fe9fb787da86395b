#include "engine/runtime/sink_lane.h"

#include <algorithm>
#include <set>
#include <utility>

#include <absl/time/clock.h>

#include "base/log.h"
#include "base/pause.h"
#include "base/status.h"
#include "engine/api/copy_again.h"
#include "engine/runtime/checkpoint_identity.h"

namespace pgflow::engine {
namespace {

// More than this is not held back just to write fewer checkpoints.
constexpr uint64_t kHeldBytesMax = 8 << 20;
// A window of so many changes is a sign of a busy stream: the next one may gather a little.
constexpr size_t kBusyWindowEvents = 500;

}  // namespace

SinkLane::SinkLane(const LaneContext& context, SinkNode node)
    : context_(context),
      node_(std::move(node)),
      statistics_(node_.name, node_.type),
      cursor_(context.log.OpenCursor()),
      own_store_(context.state, context.pipeline, node_.name),
      joining_(context, node_),
      was_open_(context.join != nullptr) {
  frontier_ = context.slot.confirmed_flush.value();
  if (context.join != nullptr) builder_.Restrict(&context.join->tables);
}

postgres::Lsn SinkLane::frontier() const {
  return std::min(postgres::Lsn(frontier_.load()), joining_.frontier());
}

void SinkLane::HoldTables(const std::vector<schemas::TableName>& tables, bool again) {
  joining_.Hold(tables, again);
  cursor_->Wake();
}

void SinkLane::JoinTables(postgres::Lsn published) {
  joining_.Join(published);
  cursor_->Wake();
}

void SinkLane::Finish() {
  finish_ = true;
  cursor_->Wake();
}

void SinkLane::StopBefore(postgres::Lsn lsn) {
  stop_before_ = lsn.value();
  cursor_->Wake();
}

absl::Status SinkLane::Run(std::stop_token stop) {
  absl::Status status = RunUntilDone(std::move(stop));
  joining_.Stop();
  return status;
}

absl::Status SinkLane::RunUntilDone(std::stop_token stop) {
  std::stop_callback wake(stop, [this] { cursor_->Wake(); });
  Backoff backoff(node_.retry);
  const absl::Time started = absl::Now();
  while (true) {
    absl::Status status = Attempt(stop);
    if (status.ok()) return status;
    if (stop.stop_requested()) return absl::CancelledError("stopped");
    if (std::exchange(retry_now_, false) || CopiesAgain(status)) continue;
    // Before it ever worked, an error that lasts is a mistake in the configuration rather than an
    // outage.
    const bool given_up = !was_open_ && absl::Now() - started >= context_.startup_timeout;
    if (!base::IsRetryable(status) || given_up) {
      statistics_.SetPhase(Phase::kFailed);
      return base::Annotate(status, fmt::format("sink {}", node_.name));
    }
    if (std::exchange(progressed_, false)) backoff.Reset();
    const absl::Duration pause = backoff.Next();
    statistics_.OnRetry(status);
    base::LogWarning("sink {}: {}; trying again in {}", node_.name, base::Message(status),
                     absl::FormatDuration(pause));
    base::Pause(pause, stop);
  }
}

absl::Status SinkLane::Attempt(std::stop_token stop) {
  PGFLOW_RETURN_IF_ERROR(OpenLetters());
  if (context_.replay_only) {
    if (!replay_.has_value()) return absl::OkStatus();
    PGFLOW_ASSIGN_OR_RETURN(const auto request, replay_->Waiting(/*now=*/true));
    if (!request.has_value()) return absl::OkStatus();  // This sink need not be there.
  }
  PGFLOW_RETURN_IF_ERROR(node_.sink->Open(
      {context_.pipeline, node_.name, context_.identity.database, context_.state.directory(),
       context_.confirm_slot,
       context_.join == nullptr ? std::set<schemas::TableName>() : context_.join->again},
      stop));
  store_ = node_.sink->checkpoint_store();
  if (store_ == nullptr) store_ = &own_store_;
  PGFLOW_ASSIGN_OR_RETURN(SinkCheckpoint checkpoint, LoadCheckpoint(stop));
  if (was_open_ && checkpoint.stream.end_lsn < durable_.end_lsn) {
    return base::MakeStatus(absl::StatusCode::kDataLoss,
                            "the checkpoint went back from {} to {}: the target lost what it had "
                            "confirmed (restored from a backup?)",
                            durable_.end_lsn, checkpoint.stream.end_lsn);
  }
  if (replay_.has_value()) PGFLOW_RETURN_IF_ERROR(replay_->Recover(stop));
  if (context_.replay_only) return ReplayOnly(checkpoint, stop);
  was_open_ = true;
  statistics_.ClearError();
  // Before the frontier moves: what was received must stay for the tables that are being joined.
  joining_.Restore(checkpoint,
                   std::max(postgres::Lsn(frontier_.load()), context_.slot.confirmed_flush));
  if (context_.join == nullptr) {
    PGFLOW_RETURN_IF_ERROR(node_.sink->TakeCopies(checkpoint.tables, stop));
  }
  if (!checkpoint.snapshot_complete) PGFLOW_RETURN_IF_ERROR(CopySnapshot(checkpoint, stop));
  if (context_.snapshot_only) return store_->Forget();
  PGFLOW_RETURN_IF_ERROR(ResumeTransformers(checkpoint.stream.end_lsn, stop));
  PGFLOW_RETURN_IF_ERROR(FindOutdated(stop));
  TableGates gates(checkpoint, node_.sink->copies_beside());
  const bool settled = checkpoint.stream.end_lsn >= gates.settled();
  builder_.Start(checkpoint.stream, std::move(gates));
  PGFLOW_RETURN_IF_ERROR(SkipLetters(checkpoint.stream));
  written_ = position_ = checkpoint.stream;
  shown_ = std::max(context_.slot.log_end, context_.log.tail().end_lsn);
  timeline_ = checkpoint.identity.timeline;
  inside_window_ = false;
  reached_stop_ = false;
  last_window_end_ = absl::Now();
  SetFrontier(checkpoint.stream);
  reached_ = position_.end_lsn.value();
  statistics_.SetPhase(settled ? Phase::kStreaming : Phase::kCatchUp);
  cursor_->Rewind();
  cursor_->Activate();
  return Stream(stop);
}

absl::Status SinkLane::FindOutdated(std::stop_token stop) {
  if (context_.join != nullptr || looked_for_outdated_) return absl::OkStatus();
  PGFLOW_ASSIGN_OR_RETURN(const auto outdated, node_.sink->FindOutdated(std::move(stop)));
  looked_for_outdated_ = true;
  for (const auto& [table, reason] : outdated) {
    if (joining_.CopyAgain({table})) {
      base::LogInfo("sink {}: table {} is copied again: {}", node_.name, table.ToString(), reason);
    } else {
      base::LogWarning(
          "sink {}: table {}: {}; have it copied again (pgflow refresh FILE --copy {})", node_.name,
          table.ToString(), reason, table.ToString());
    }
  }
  return absl::OkStatus();
}

bool SinkLane::CopiesAgain(const absl::Status& error) {
  const std::set<schemas::TableName> tables = TablesToCopyAgain(error);
  if (tables.empty() || !joining_.CopyAgain(tables)) return false;
  base::LogWarning("sink {}: {}: it is copied again now", node_.name, base::Message(error));
  return true;
}

// One that looks rows up and is new in a pipeline that runs already has to learn them first.
absl::Status SinkLane::ResumeTransformers(postgres::Lsn from, std::stop_token stop) {
  for (const auto& transformer : context_.transformers) {
    absl::Status status = transformer->Resume(from);
    if (status.code() == absl::StatusCode::kFailedPrecondition) {
      base::LogInfo("sink {}: reading what is looked up ({})", node_.name, base::Message(status));
      PGFLOW_RETURN_IF_ERROR(context_.open_session(postgres::Lsn(), stop).status());
      status = transformer->Resume(from);
    }
    PGFLOW_RETURN_IF_ERROR(status);
  }
  return absl::OkStatus();
}

absl::StatusOr<SinkCheckpoint> SinkLane::LoadCheckpoint(const std::stop_token& stop) {
  PGFLOW_ASSIGN_OR_RETURN(std::optional<SinkCheckpoint> checkpoint, store_->Load());
  if (context_.replay_only && !(checkpoint.has_value() && checkpoint->snapshot_complete)) {
    return absl::FailedPreconditionError(
        "the first copy is not complete; letters are replayed when `pgflow run` has made it");
  }
  if (checkpoint.has_value() && !(context_.join != nullptr && IsStale(*checkpoint))) {
    PGFLOW_RETURN_IF_ERROR(FollowPromotion(context_, node_.name, *store_, *checkpoint, stop));
    PGFLOW_RETURN_IF_ERROR(CheckIdentity(context_, node_.name, *checkpoint, began_));
    if (!was_open_) PGFLOW_RETURN_IF_ERROR(CheckLogReaches(context_, node_.name, *checkpoint));
  } else {
    PGFLOW_RETURN_IF_ERROR(BeginAgain(checkpoint));
    PGFLOW_ASSIGN_OR_RETURN(checkpoint, store_->Load());
    if (!checkpoint.has_value()) {
      return absl::InternalError("the new checkpoint cannot be read back");
    }
  }
  if (!IsWithoutCopy(*checkpoint)) return *std::move(checkpoint);
  PGFLOW_RETURN_IF_ERROR(store_->FinishSnapshot(postgres::Lsn()));
  checkpoint->snapshot_complete = true;
  return *std::move(checkpoint);
}

// Nothing was copied, and nothing is to be: also when the process that began the checkpoint did not
// live to say so. What another mode began to copy is finished.
bool SinkLane::IsWithoutCopy(const SinkCheckpoint& checkpoint) const {
  return context_.plan.mode == SourcePlan::Mode::kStream && !context_.snapshot_only &&
         !checkpoint.snapshot_complete && checkpoint.tables.empty();
}

absl::Status SinkLane::BeginAgain(const std::optional<SinkCheckpoint>& stale) {
  PGFLOW_RETURN_IF_ERROR(
      store_->Begin(context_.identity, {postgres::Lsn(), context_.slot.confirmed_flush}));
  began_ = true;
  if (context_.join == nullptr) {
    return node_.letters == nullptr ? absl::OkStatus() : node_.letters->OvertakeAll();
  }
  std::set<schemas::TableName> with_rows = context_.join->again;
  if (stale.has_value()) {
    for (const TableProgress& table : stale->tables) with_rows.insert(table.table);
  }
  std::vector<TableProgress> begun;
  begun.reserve(with_rows.size());
  for (const schemas::TableName& table : with_rows) {
    begun.push_back({table, {}, "", {}, false, {}});
  }
  return store_->BeginTables(begun);
}

bool SinkLane::IsStale(const SinkCheckpoint& checkpoint) const {
  if (began_) return false;
  if (context_.join->fresh) return true;
  if (!(checkpoint.identity == context_.identity)) return true;
  if (checkpoint.stream.end_lsn < context_.slot.confirmed_flush) return true;
  if (!checkpoint.snapshot_complete) return false;
  // It had other tables to bring in.
  return !std::ranges::all_of(context_.join->tables, [&](const schemas::TableName& table) {
    return std::ranges::find(checkpoint.tables, table, &TableProgress::table) !=
           checkpoint.tables.end();
  });
}

absl::Status SinkLane::CopySnapshot(SinkCheckpoint& checkpoint, std::stop_token stop) {
  statistics_.SetPhase(Phase::kSnapshot);
  SnapshotRunner runner(
      {.sink = *node_.sink,
       .store = *store_,
       .names = {context_.pipeline,
                 node_.name,
                 context_.identity.database,
                 context_.state.directory(),
                 {}},
       .transformers = context_.transformers,
       .open_session = context_.open_session,
       .statistics = statistics_,
       .dead_letter = node_.letters.get(),
       .retry = node_.retry,
       .wanted = [this](const auto& table) { return context_.IsWanted(table); },
       .newer_than = context_.join == nullptr ? postgres::Lsn() : context_.join->published,
       .workers = context_.plan.snapshot_workers,
       .tap = context_.tap});
  PGFLOW_RETURN_IF_ERROR(runner.Run(checkpoint, stop));
  PGFLOW_ASSIGN_OR_RETURN(checkpoint, LoadCheckpoint(stop));
  base::LogInfo("sink {}: the snapshot is complete", node_.name);
  return absl::OkStatus();
}

absl::Status SinkLane::Stream(std::stop_token stop) {
  while (!stop.stop_requested()) {
    PGFLOW_RETURN_IF_ERROR(StepJoining(stop));
    PGFLOW_RETURN_IF_ERROR(StepReplay(stop));
    Gather();
    const bool lags = durable_.end_lsn < written_.end_lsn;
    const bool soon = lags || joining_.active();
    const absl::Time deadline =
        absl::Now() + (soon ? context_.options.durable_interval : absl::Seconds(1));
    const postgres::Lsn stop_before(stop_before_.load());
    // A lane that comes back where it was asked to end need not wait to be told so: an idle server
    // does not say again where it is.
    reached_stop_ |= !inside_window_ && position_.end_lsn >= stop_before;
    Take take;
    if (!reached_stop_ || joining_.active()) {
      PGFLOW_ASSIGN_OR_RETURN(
          take, cursor_->Read(context_.options.window_bytes_max, stop_before, deadline));
      reached_stop_ |= take.reached_stop;
    }
    const bool drained = take.slices.empty() && finish_.load() && cursor_->AtEnd();
    // Tables that join belong to what was asked for, unless the program is told to end.
    const bool finished = drained || (reached_stop_ && !joining_.active());
    if (!take.slices.empty()) PGFLOW_RETURN_IF_ERROR(WriteTake(take, stop));
    reached_ = position_.end_lsn.value();
    const bool held = cursor_->held_bytes() > kHeldBytesMax;
    const bool urgent = awaited();
    const bool due =
        urgent || absl::Now() - last_window_end_ > context_.options.idle_checkpoint_interval;
    // Never inside a transaction: a window that ends would make its parts visible.
    if (!inside_window_ && position_.end_lsn > written_.end_lsn && (finished || due || held)) {
      PGFLOW_RETURN_IF_ERROR(WritePosition(stop));
    }
    PGFLOW_RETURN_IF_ERROR(UpdateDurable(finished || held || urgent, stop));
    PGFLOW_RETURN_IF_ERROR(StepTimeline());
    if (!finished) continue;
    if (durable_.end_lsn >= written_.end_lsn) return node_.sink->Close(stop);
    base::Pause(context_.options.durable_interval, stop);
  }
  return absl::CancelledError("stopped");
}

absl::Status SinkLane::StepJoining(std::stop_token stop) {
  if (inside_window_ || context_.join != nullptr) return absl::OkStatus();
  const bool caught_up = reached_stop_ || position_.end_lsn >= shown_;
  return joining_.Step(*store_, builder_, position_, postgres::Lsn(frontier_.load()), caught_up,
                       stop);
}

absl::Status SinkLane::OpenLetters() {
  if (node_.dead_letter_path.empty()) return absl::OkStatus();
  if (node_.letters == nullptr) {
    const std::string& directory = node_.letters_directory;
    PGFLOW_ASSIGN_OR_RETURN(
        node_.letters, DeadLetterQueue::Open(
                           {.directory = directory.empty() ? context_.state.directory() : directory,
                            .pipeline = context_.pipeline,
                            .sink = node_.name,
                            .file = node_.dead_letter_path}));
  }
  // Letters of a lane for joins are replayed by the one whose stream the tables join.
  if (context_.join == nullptr && !replay_.has_value()) {
    replay_.emplace(context_, node_, *node_.letters);
  }
  return absl::OkStatus();
}

// What an earlier run buried behind its checkpoint comes again from the slot.
absl::Status SinkLane::SkipLetters(StreamPoint checkpoint) {
  if (node_.letters == nullptr) return absl::OkStatus();
  PGFLOW_ASSIGN_OR_RETURN(const std::vector<Position> buried,
                          node_.letters->Behind(checkpoint.commit_lsn));
  for (const Position& position : buried) builder_.Skip(position);
  return absl::OkStatus();
}

// Between two windows, and everything that was written is durable: a letter's own place is passed
// then, and no change of its row is under way.
absl::Status SinkLane::StepReplay(std::stop_token stop) {
  if (!replay_.has_value() || inside_window_) return absl::OkStatus();
  PGFLOW_ASSIGN_OR_RETURN(const std::optional<ReplayRequest> request,
                          replay_->Waiting(/*now=*/std::exchange(replay_waits_, false)));
  if (!request.has_value()) return absl::OkStatus();
  if (!cursor_->AtEnd()) {
    // Each refused change sends the lane back to where its window began. It passes the letters that
    // it has buried on the way before it is asked for them.
    PGFLOW_ASSIGN_OR_RETURN(const std::vector<Position> ahead,
                            node_.letters->Behind(position_.commit_lsn));
    replay_waits_ = !ahead.empty();
    if (replay_waits_) return absl::OkStatus();
  }
  if (position_.end_lsn > written_.end_lsn) PGFLOW_RETURN_IF_ERROR(WritePosition(stop));
  while (durable_.end_lsn < written_.end_lsn) {
    if (stop.stop_requested()) return absl::CancelledError("stopped");
    PGFLOW_RETURN_IF_ERROR(UpdateDurable(true, stop));
    base::Pause(absl::Milliseconds(5), stop);
  }
  PGFLOW_ASSIGN_OR_RETURN(const bool reopen, replay_->Run(*request, durable_, stop));
  if (!reopen) return absl::OkStatus();
  retry_now_ = true;
  return absl::AbortedError("the sink is opened again behind a replay");
}

absl::Status SinkLane::ReplayOnly(const SinkCheckpoint& checkpoint, std::stop_token stop) {
  while (true) {
    PGFLOW_ASSIGN_OR_RETURN(const std::optional<ReplayRequest> request,
                            replay_->Waiting(/*now=*/true));
    if (!request.has_value()) return node_.sink->Close(stop);
    PGFLOW_RETURN_IF_ERROR(replay_->Run(*request, checkpoint.stream, stop).status());
  }
}

absl::Status SinkLane::StepTimeline() {
  const uint32_t timeline = context_.timeline.load();
  if (timeline == timeline_ || inside_window_) return absl::OkStatus();
  PGFLOW_RETURN_IF_ERROR(store_->FollowTimeline(timeline));
  timeline_ = timeline;
  return absl::OkStatus();
}

void SinkLane::Gather() {
  if (std::exchange(last_window_events_, 0) < kBusyWindowEvents || finish_.load()) return;
  cursor_->Gather(context_.options.window_bytes_max,
                  last_window_start_ + context_.options.gather_interval);
}

absl::Status SinkLane::WriteTake(const Take& take, std::stop_token stop) {
  std::vector<Batch> batches;
  size_t events = 0;
  for (const Slice& slice : take.slices) {
    if (slice.chunk == nullptr) continue;
    PGFLOW_ASSIGN_OR_RETURN(Batch batch, builder_.Build(slice));
    for (const auto& transformer : context_.transformers) {
      PGFLOW_RETURN_IF_ERROR(transformer->Transform(batch));
    }
    events += batch.row_count();
    if (!batch.transactions().empty()) {
      written_commit_time_ = batch.transactions().back().commit_time;
    }
    batches.push_back(std::move(batch));
  }
  PGFLOW_RETURN_IF_ERROR(joining_.HoldRenamed(*store_, builder_.TakeRenamed()));
  if (events == 0 && !inside_window_) {
    if (take.ends_at_commit) {
      position_ = {std::max(position_.commit_lsn, take.end.commit_lsn),
                   std::max(position_.end_lsn, take.end.end_lsn)};
    }
    return absl::OkStatus();
  }
  last_window_events_ = events;
  last_window_start_ = absl::Now();
  if (isolate_until_.has_value()) {
    PGFLOW_RETURN_IF_ERROR(WriteOneByOne(batches, take, stop));
  } else {
    PGFLOW_RETURN_IF_ERROR(WriteWindow({batches, take.ends_at_commit, take.end, awaited()}, stop));
  }
  if (context_.tap == nullptr || !context_.tap->watched()) return absl::OkStatus();
  for (Batch& batch : batches) context_.tap->Take(node_.name, std::move(batch));
  return absl::OkStatus();
}

absl::Status SinkLane::WriteWindow(const Window& window, std::stop_token stop) {
  if (node_.letters != nullptr) PGFLOW_RETURN_IF_ERROR(node_.letters->Overtake(window.batches));
  const absl::Time start = absl::Now();
  absl::StatusOr<WriteResult> result = node_.sink->Write(window, stop);
  if (!result.ok()) return OnRefused(result.status(), window);
  statistics_.OnWritten(window, absl::Now() - start);
  if (result->skipped > 0) statistics_.OnSkipped(result->skipped);
  for (const Rejection& rejection : result->rejections) {
    PGFLOW_RETURN_IF_ERROR(Bury(window, rejection.position, rejection.error));
  }
  progressed_ = true;
  inside_window_ = !window.ends_at_commit;
  if (!window.ends_at_commit) return absl::OkStatus();
  last_window_end_ = absl::Now();
  written_ = position_ = window.end;
  if (builder_.settled(written_.commit_lsn)) statistics_.SetPhase(Phase::kStreaming);
  if (isolate_until_.has_value() && written_.commit_lsn >= *isolate_until_) isolate_until_.reset();
  return absl::OkStatus();
}

absl::Status SinkLane::WritePosition(std::stop_token stop) {
  return WriteWindow({{}, true, position_, awaited()}, stop);
}

// The way to the one bad event of a sink that cannot name it: everything once more, one by one.
absl::Status SinkLane::WriteOneByOne(std::span<Batch> batches, const Take& take,
                                     std::stop_token stop) {
  for (Batch& batch : batches) {
    PGFLOW_ASSIGN_OR_RETURN(const std::span<const ChangeEvent> events, batch.Events());
    for (size_t i = 0; i < events.size();) {
      // All that a transformer made of one change.
      std::vector<ChangeEvent> one = {events[i]};
      while (++i < events.size() && batch.PositionOf(events[i]) == batch.PositionOf(one.front())) {
        one.push_back(events[i]);
      }
      Batch single(nullptr, std::move(one),
                   {batch.transactions().begin(), batch.transactions().end()});
      PGFLOW_RETURN_IF_ERROR(WriteWindow({{&single, 1}, false, {}}, stop));
    }
  }
  return WriteWindow({{}, take.ends_at_commit, take.end}, stop);
}

absl::Status SinkLane::OnRefused(const absl::Status& error, const Window& window) {
  if (error.code() != absl::StatusCode::kInvalidArgument || node_.letters == nullptr) return error;
  const std::string culprit = base::Payload(error, kCulpritPayload);
  std::set<Position> positions;
  for (Batch& batch : window.batches) {
    PGFLOW_ASSIGN_OR_RETURN(const std::span<const ChangeEvent> events, batch.Events());
    for (const ChangeEvent& event : events) positions.insert(batch.PositionOf(event));
  }
  std::optional<Position> found;
  for (const Position& position : positions) {
    if (positions.size() == 1 || position.ToString() == culprit) found = position;
  }
  if (found.has_value()) {
    PGFLOW_RETURN_IF_ERROR(Bury(window, *found, error));
  } else if (isolate_until_.has_value() || window.batches.empty()) {
    return error;  // Nothing of it can be singled out.
  } else {
    isolate_until_ = window.batches.back().transactions().back().commit_lsn;
  }
  retry_now_ = true;  // Once more, without the event, or to find it.
  return error;
}

// Records what became of the change at `position`, so that it is not delivered again: all of it,
// where a transformer made several events of it.
absl::Status SinkLane::Bury(const Window& window, const Position& position,
                            const absl::Status& error) {
  size_t part = 0;
  for (Batch& batch : window.batches) {
    PGFLOW_ASSIGN_OR_RETURN(const std::span<const ChangeEvent> events, batch.Events());
    for (const ChangeEvent& event : events) {
      if (batch.PositionOf(event) != position) continue;
      // A definition that is left out would make everything behind it wrong.
      const bool definition = event.operation == Operation::kSchemaChange;
      if (definition || node_.letters == nullptr) return error;
      PGFLOW_RETURN_IF_ERROR(
          node_.letters->Bury({.sink = node_.name,
                               .position = position,
                               .part = part++,
                               .transaction = &batch.transactions()[event.transaction],
                               .event = event,
                               .error = error},
                              std::nullopt));
      base::LogWarning("sink {}: {} of {} at {} went to the dead letter: {}", node_.name,
                       OperationName(event.operation), event.schema->table.ToString(),
                       position.ToString(), base::Message(error));
    }
  }
  if (part == 0) return error;  // Of an event that is not in the window.
  builder_.Skip(position);
  statistics_.OnRejection();
  return absl::OkStatus();
}

absl::Status SinkLane::UpdateDurable(bool force, std::stop_token stop) {
  if (durable_.end_lsn >= written_.end_lsn) return absl::OkStatus();
  const absl::Time now = absl::Now();
  const absl::Duration interval =
      store_ == &own_store_ ? context_.options.save_interval : context_.options.durable_interval;
  if (!force && now - last_durable_time_ < interval) return absl::OkStatus();
  last_durable_time_ = now;
  PGFLOW_ASSIGN_OR_RETURN(const StreamPoint point, node_.sink->Durable(stop));
  if (point.end_lsn <= durable_.end_lsn) return absl::OkStatus();
  if (store_ == &own_store_) PGFLOW_RETURN_IF_ERROR(store_->AdvanceStream(point));
  SetFrontier(point);
  return absl::OkStatus();
}

void SinkLane::SetFrontier(StreamPoint point) {
  durable_ = point;
  const bool current = point.end_lsn >= written_.end_lsn;
  statistics_.OnDurable(point, current ? written_commit_time_ : absl::UnixEpoch());
  cursor_->Release(point);
  frontier_ = point.end_lsn.value();
  context_.on_durable();
}

SinkStatus SinkLane::status(const SourceView& source) const {
  SinkStatus status = statistics_.Snapshot();
  status.endpoints = node_.sink->endpoints();
  status.queue_bytes = cursor_->held_bytes();
  const uint64_t frontier = frontier_.load();
  status.durable_lsn = postgres::Lsn(frontier);
  status.lag_bytes = source.end.value() > frontier ? source.end.value() - frontier : 0;
  status.lag = source.unreceived;
  const absl::Time oldest = cursor_->oldest_commit_time();
  if (oldest != absl::InfiniteFuture()) {
    status.lag = std::max(status.lag, absl::Now() + source.clock - oldest);
  }
  return status;
}

}  // namespace pgflow::engine
