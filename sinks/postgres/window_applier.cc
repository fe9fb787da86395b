#include "sinks/postgres/window_applier.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/status.h"

namespace pgflow::sinks {
namespace {

using engine::ChangeEvent;
using engine::Operation;
using engine::Window;

// Tags of statements that are no change.
constexpr uint32_t kCheckpointTag = Expectation::kNoTag - 1;

}  // namespace

absl::Time WindowApplier::CommitTime(const Window& window) {
  for (auto batch = window.batches.rbegin(); batch != window.batches.rend(); ++batch) {
    if (!batch->transactions().empty()) return batch->transactions().back().commit_time;
  }
  return absl::InfinitePast();
}

WindowApplier::WindowApplier(TargetSession session, const PostgresSinkConfig& config,
                             std::shared_ptr<const CheckpointStatements> checkpoint)
    : session_(std::move(session), config, checkpoint),
      config_(config),
      checkpoint_(std::move(checkpoint)),
      check_counts_(config.on_missing_row == MissingRow::kError),
      rows_(session_.statements(), {config.on_missing_row, config.on_conflict}),
      bulk_(session_.connection(), session_.statements(), config.on_missing_row),
      flushes_(session_.wal()) {}

absl::StatusOr<bool> WindowApplier::HasSchemaChange(const Window& window) {
  for (engine::Batch& batch : window.batches) {
    PGFLOW_ASSIGN_OR_RETURN(const std::span<const ChangeEvent> events, batch.Events());
    const bool has_one = std::ranges::any_of(events, [](const ChangeEvent& event) {
      return event.operation == Operation::kSchemaChange;
    });
    if (has_one) return true;
  }
  return false;
}

absl::Status WindowApplier::Collect(const Window& window, std::stop_token stop) {
  changes_.Clear();
  for (engine::Batch& batch : window.batches) {
    PGFLOW_ASSIGN_OR_RETURN(const std::span<const ChangeEvent> events, batch.Events());
    for (const ChangeEvent& event : events) {
      if (event.truncate_done) continue;
      PGFLOW_RETURN_IF_ERROR(changes_.Add(session_, batch, event, skipped_, stop));
    }
  }
  return absl::OkStatus();
}

absl::Status WindowApplier::Apply(const Window& window, std::stop_token stop) {
  awaited_ = window.awaited;
  skipped_.Forget();
  if (session_.statements().IsFull()) {
    PGFLOW_RETURN_IF_ERROR(session_.ForgetStatements(stop));
  }
  PGFLOW_ASSIGN_OR_RETURN(const bool changes_schema, HasSchemaChange(window));
  if (schema_changed_ || changes_schema) return ApplyWithDdl(window, stop);
  PGFLOW_RETURN_IF_ERROR(Collect(window, stop));
  if (config_.transactions == TransactionMode::kKeep) return ApplyKept(window, stop);
  return ApplyMerged(window, stop);
}

absl::Status WindowApplier::ApplyMerged(const Window& window, std::stop_token stop) {
  const Commit commit{window.end, CommitTime(window)};
  return ApplyChanges(changes_.all(), window.ends_at_commit ? &commit : nullptr, stop);
}

absl::Status WindowApplier::ApplyChanges(Changes changes, const Commit* commit,
                                         std::stop_token stop) {
  const bool in_bulk =
      changes.size() >= config_.bulk_threshold &&
      std::ranges::none_of(changes, [](const Change& change) { return change.event->catch_up; });
  if (!in_bulk) return ApplyRows(changes, commit, stop);
  PGFLOW_ASSIGN_OR_RETURN(const bool written, ApplyBulk(changes, stop));
  return ApplyRows(written ? Changes() : changes, commit, stop);
}

absl::Status WindowApplier::ApplyKept(const Window& window, std::stop_token stop) {
  // A part of one large transaction.
  if (!window.ends_at_commit) return ApplyRows(changes_.all(), nullptr, stop);
  const Changes all = changes_.all();
  size_t begin = 0;
  for (const engine::Batch& batch : window.batches) {
    const std::span<const engine::TransactionSpan> transactions = batch.transactions();
    for (uint32_t i = 0; i < transactions.size(); ++i) {
      size_t end = begin;
      while (end < all.size() && all[end].batch == &batch && all[end].event->transaction == i) {
        ++end;
      }
      const Changes changes = all.subspan(begin, end - begin);
      begin = end;
      const engine::TransactionSpan& span = transactions[i];
      const Commit commit{{span.commit_lsn, span.end_lsn}, span.commit_time};
      if (changes.empty() && !in_transaction_) continue;
      PGFLOW_RETURN_IF_ERROR(ApplyRows(changes, span.ends ? &commit : nullptr, stop));
    }
  }
  // The window may end behind its last transaction.
  if (window.end == committed_) return absl::OkStatus();
  const Commit commit{window.end, CommitTime(window)};
  return ApplyRows({}, &commit, stop);
}

absl::Status WindowApplier::QueueBegin(ApplyPipeline& pipeline) {
  if (in_transaction_) return absl::OkStatus();
  in_transaction_ = true;
  PGFLOW_ASSIGN_OR_RETURN(const StatementCache::Prepared* begin,
                          session_.statements().Other(pipeline, "BEGIN", {}));
  PGFLOW_RETURN_IF_ERROR(pipeline.Send(begin->name, {}, {}));
  if (session_.replica_role()) return absl::OkStatus();
  // A merged or reordered transaction may be valid only at its end.
  PGFLOW_ASSIGN_OR_RETURN(
      const StatementCache::Prepared* defer,
      session_.statements().Other(pipeline, "SET CONSTRAINTS ALL DEFERRED", {}));
  return pipeline.Send(defer->name, {}, {});
}

absl::Status WindowApplier::QueueCommit(ApplyPipeline& pipeline, const Commit& commit) {
  StatementCache& statements = session_.statements();
  if (awaited_) {
    PGFLOW_ASSIGN_OR_RETURN(const StatementCache::Prepared* flush,
                            statements.Other(pipeline, "SET LOCAL synchronous_commit = local", {}));
    PGFLOW_RETURN_IF_ERROR(pipeline.Send(flush->name, {}, {}));
  }
  checkpoint_->Fill(commit.point, commit.time, advance_);
  PGFLOW_ASSIGN_OR_RETURN(
      const StatementCache::Prepared* advance,
      statements.Other(pipeline, checkpoint_->advance_sql(), checkpoint_->advance_types()));
  PGFLOW_RETURN_IF_ERROR(
      pipeline.Send(advance->name, advance_.parameters, {.rows = 1, .tag = kCheckpointTag}));
  PGFLOW_ASSIGN_OR_RETURN(const StatementCache::Prepared* end,
                          statements.Other(pipeline, "COMMIT", {}));
  // Deferred constraints are checked here.
  PGFLOW_RETURN_IF_ERROR(pipeline.Send(end->name, {}, {}));
  PGFLOW_ASSIGN_OR_RETURN(
      const StatementCache::Prepared* positions,
      statements.Other(pipeline, "SELECT pg_current_wal_insert_lsn(), pg_current_wal_flush_lsn()",
                       {}));
  return pipeline.Send(positions->name, {}, {.capture = true});
}

absl::Status WindowApplier::FinishCommit(ApplyPipeline& pipeline, const Commit& commit) {
  in_transaction_ = false;
  committed_ = commit.point;
  if (!pipeline.captured().has_value()) return absl::InternalError("no WAL position came back");
  const postgres::Result& positions = *pipeline.captured();
  flushes_.Committed(commit.point,
                     postgres::Lsn::Parse(positions.at(0, 0)).value_or(postgres::Lsn()));
  flushes_.Flushed(postgres::Lsn::Parse(positions.at(0, 1)).value_or(postgres::Lsn()));
  return absl::OkStatus();
}

absl::StatusOr<size_t> WindowApplier::QueueTruncate(ApplyPipeline& pipeline, Changes changes,
                                                    size_t at) {
  std::vector<const TableBinding*> tables;
  const ChangeEvent& first = *changes[at].event;
  size_t count = 0;
  while (at + count < changes.size()) {
    const Change& change = changes[at + count];
    // What stood between two statements may have been left out.
    if (change.event->operation != Operation::kTruncate ||
        change.event->truncate_restart_identity != first.truncate_restart_identity ||
        change.event->truncate_cascade != first.truncate_cascade) {
      break;
    }
    ++count;
    // Several versions of a table, or tables that are routed into one.
    const bool listed = std::ranges::any_of(tables, [&](const TableBinding* table) {
      return table->target->oid == change.binding->target->oid;
    });
    if (!listed) tables.push_back(change.binding);
    if (!change.event->truncate_more) break;
  }
  PGFLOW_RETURN_IF_ERROR(
      pipeline.Query(TruncateSql(tables, first.truncate_restart_identity, first.truncate_cascade),
                     {.tag = static_cast<uint32_t>(at)}));
  return count;
}

absl::Status WindowApplier::QueueRows(ApplyPipeline& pipeline, Changes changes, size_t& at) {
  for (at = 0; at < changes.size() && !pipeline.failure().has_value();) {
    const Change& change = changes[at];
    if (change.event->operation == Operation::kTruncate) {
      PGFLOW_ASSIGN_OR_RETURN(const size_t count, QueueTruncate(pipeline, changes, at));
      at += count;
      continue;
    }
    PGFLOW_RETURN_IF_ERROR(rows_.Write(pipeline, *change.binding, *change.event,
                                       static_cast<uint32_t>(at), change.cascaded));
    ++at;
  }
  return absl::OkStatus();
}

absl::Status WindowApplier::ApplyRows(Changes changes, const Commit* commit, std::stop_token stop) {
  ApplyPipeline pipeline(session_.connection(), stop);
  PGFLOW_RETURN_IF_ERROR(QueueBegin(pipeline));
  if (std::exchange(in_savepoint_, false)) {
    PGFLOW_RETURN_IF_ERROR(pipeline.Query("RELEASE SAVEPOINT pgflow_window"));
  }
  size_t at = 0;
  const absl::Status queued = QueueRows(pipeline, changes, at);
  if (!queued.ok()) {
    // Perhaps an earlier change was refused by the server; then that one is the first.
    if (!session_.connection().healthy()) return queued;
    PGFLOW_RETURN_IF_ERROR(pipeline.Drain());
    if (pipeline.failure().has_value()) return Failed(*pipeline.failure(), changes, stop);
    return Failed({queued, static_cast<uint32_t>(at)}, changes, stop);
  }
  // The number of rows that an UPDATE touched is known only here, not in the server: look at it
  // before anything is committed. Without such statements the commit goes out in the same packet.
  const bool look =
      check_counts_ && std::ranges::any_of(changes, [](const Change& change) {
        return !change.event->catch_up && (change.event->operation == Operation::kUpdate ||
                                           change.event->operation == Operation::kDelete);
      });
  if (commit == nullptr || look) {
    PGFLOW_RETURN_IF_ERROR(pipeline.Drain());
    if (pipeline.failure().has_value()) return Failed(*pipeline.failure(), changes, stop);
  }
  if (commit != nullptr) {
    PGFLOW_RETURN_IF_ERROR(QueueCommit(pipeline, *commit));
    PGFLOW_RETURN_IF_ERROR(pipeline.Drain());
    if (pipeline.failure().has_value()) return Failed(*pipeline.failure(), changes, stop);
  }
  NoteDeviations(pipeline, changes);
  if (commit == nullptr) return absl::OkStatus();
  return FinishCommit(pipeline, *commit);
}

absl::Status WindowApplier::ReadLeftOut(std::stop_token stop) {
  return session_.ReadLeftOut(std::move(stop));
}

void WindowApplier::NoteDeviations(const ApplyPipeline& pipeline, Changes changes) {
  for (const Deviation& deviation : pipeline.deviations()) {
    if (deviation.tag >= changes.size()) {
      skipped_.Add(deviation, "");
      continue;
    }
    const Change& change = changes[deviation.tag];
    skipped_.Add(deviation, fmt::format("{} at {}", DescribeChange(*change.binding, *change.event),
                                        change.batch->PositionOf(*change.event).ToString()));
  }
}

absl::Status WindowApplier::Blame(const absl::Status& status, const Change& change) const {
  const engine::Position position = change.batch->PositionOf(*change.event);
  absl::Status blamed = base::Annotate(
      status,
      fmt::format("{} at {}", DescribeChange(*change.binding, *change.event), position.ToString()));
  base::SetPayload(blamed, engine::kCulpritPayload, position.ToString());
  return blamed;
}

absl::Status WindowApplier::Failed(const StatementFailure& failure, Changes changes,
                                   std::stop_token stop) {
  session_.connection().Execute("ROLLBACK", std::move(stop)).status().IgnoreError();
  in_transaction_ = false;
  session_.statements().Clear();
  if (failure.tag == kCheckpointTag) {
    return failure.wrong_row_count ? checkpoint_->TakenOver()
                                   : checkpoint_->Explain(failure.status);
  }
  if (failure.tag >= changes.size()) return failure.status;
  const Change& change = changes[failure.tag];
  if (!failure.wrong_row_count) return Blame(failure.status, change);
  return Blame(base::MakeStatus(absl::StatusCode::kInvalidArgument,
                                "{}: the target has diverged from the source (on_missing_row: "
                                "ignore would go on without it)",
                                base::Message(failure.status)),
               change);
}

absl::Status WindowApplier::PollFlush(bool force, std::stop_token stop) {
  postgres::Connection& connection = session_.connection();
  if (force && !in_transaction_) {
    // Any commit that waits for its flush takes the earlier ones along.
    PGFLOW_RETURN_IF_ERROR(checkpoint_->Explain(
        connection
            .Execute(fmt::format("BEGIN; SET LOCAL synchronous_commit = local; {}; UPDATE "
                                 "{}.checkpoint SET updated_at = now() WHERE {}; COMMIT",
                                 checkpoint_->FenceSql(connection), checkpoint_->schema(),
                                 checkpoint_->Mine(connection)),
                     stop)
            .status()));
  }
  PGFLOW_ASSIGN_OR_RETURN(const postgres::Result flushed,
                          connection.Execute("SELECT pg_current_wal_flush_lsn()", stop));
  flushes_.Flushed(postgres::Lsn::Parse(flushed.at(0, 0)).value_or(postgres::Lsn()));
  return absl::OkStatus();
}

}  // namespace pgflow::sinks
