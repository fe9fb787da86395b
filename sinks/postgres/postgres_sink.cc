#include "sinks/postgres/postgres_sink.h"

#include <optional>
#include <utility>

#include "base/log.h"
#include "base/status.h"
#include "sinks/postgres/left_out_tables.h"
#include "sinks/postgres/preflight.h"
#include "sinks/postgres/resume_limits.h"
#include "sinks/postgres/snapshot_lane.h"
#include "sinks/postgres/snapshot_target.h"
#include "sinks/postgres/table_creation.h"
#include "sinks/postgres/window_applier.h"

namespace pgflow::sinks {
namespace {

// Asking costs a round trip on the connection that applies: not more often than this.
constexpr absl::Duration kPollInterval = absl::Milliseconds(20);
// The target's WAL writer flushes within three of its delays (200 ms each by default). Where it is
// set much longer we do it.
constexpr absl::Duration kFlushPatience = absl::Seconds(1);

}  // namespace

absl::StatusOr<std::unique_ptr<engine::Sink>> PostgresSink::Make(PostgresSinkConfig config) {
  PGFLOW_RETURN_IF_ERROR(ValidatePostgresSinkConfig(config));
  return std::make_unique<PostgresSink>(std::move(config));
}

PostgresSink::PostgresSink(PostgresSinkConfig config)
    : config_(std::move(config)),
      definition_(std::make_shared<const schemas::DatabaseDefinition>()) {}

PostgresSink::~PostgresSink() = default;

absl::Status PostgresSink::Open(const engine::SinkContext& context, std::stop_token stop) {
  applier_.reset();
  if (store_ == nullptr) {
    context_ = context;
    statements_ =
        std::make_shared<CheckpointStatements>(config_.schema, context.pipeline, context.sink);
    store_ = std::make_unique<PostgresCheckpointStore>(config_.url.value(), statements_);
    store_->set_before_forget([this] { applier_.reset(); });
  }
  PGFLOW_RETURN_IF_ERROR(store_->Open(context.confirm_slot, stop));
  PGFLOW_ASSIGN_OR_RETURN(TargetSession session,
                          OpenTargetSession(config_.url.value(), SessionJob::kApply,
                                            SessionName(context.pipeline, context.sink, ""),
                                            statements_->Origin(), stop));
  if (!session.replica_role) {
    base::LogInfo(
        "sink {}: no privilege to set session_replication_role: triggers and foreign keys "
        "of the target fire, and changes are applied in the source's order",
        context.sink);
  }
  PGFLOW_ASSIGN_OR_RETURN(const std::optional<engine::SinkCheckpoint> checkpoint, store_->Load());
  applier_ = std::make_unique<WindowApplier>(std::move(session), config_, statements_);
  if (checkpoint.has_value()) applier_->flushes().Reset(checkpoint->stream);
  PGFLOW_RETURN_IF_ERROR(applier_->ReadLeftOut(stop));
  lags_since_ = absl::InfiniteFuture();
  return absl::OkStatus();
}

absl::StatusOr<std::optional<engine::SinkCheckpoint>> PostgresSink::PeekCheckpoint(
    const engine::SinkContext& context, std::stop_token stop) {
  PostgresCheckpointStore store(
      config_.url.value(),
      std::make_shared<CheckpointStatements>(config_.schema, context.pipeline, context.sink));
  return store.Peek(std::move(stop));
}

absl::StatusOr<TargetSession> PostgresSink::ConnectForTables(std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(
      TargetSession session,
      OpenTargetSession(config_.url.value(), SessionJob::kLane,
                        SessionName(context_.pipeline, context_.sink, "tables"), "", stop));
  PGFLOW_RETURN_IF_ERROR(TakeFreeOrigin(session, statements_->Origin(), std::move(stop)));
  return session;
}

absl::StatusOr<std::vector<engine::Finding>> PostgresSink::Check(
    const schemas::DatabaseDefinition& definition, std::span<const engine::TablePlan> tables,
    std::stop_token stop) {
  return CheckTarget(config_, definition, tables, std::move(stop));
}

// They are copied: what was left out of them does not matter any more.
absl::Status PostgresSink::TakeIn(TargetChange& change,
                                  std::initializer_list<std::span<const engine::TablePlan>> tables,
                                  const std::stop_token& stop) {
  std::vector<schemas::TableName> names;
  for (const auto& some : tables) {
    for (const engine::TablePlan& plan : some) names.push_back(plan.schema->table);
  }
  if (names.empty()) return absl::OkStatus();
  PGFLOW_ASSIGN_OR_RETURN(const std::string sql,
                          LeftOutTables::RemoveSql(change.connection(), *statements_, names, stop));
  return sql.empty() ? absl::OkStatus() : change.Run(sql);
}

absl::Status PostgresSink::PrepareSnapshot(const schemas::DatabaseDefinition& definition,
                                           std::span<const engine::TablePlan> tables,
                                           std::span<const engine::TablePlan> resumed,
                                           std::stop_token stop) {
  definition_ = std::make_shared<const schemas::DatabaseDefinition>(definition);
  PGFLOW_ASSIGN_OR_RETURN(const TargetSession session, ConnectForTables(stop));
  TargetChange change(*session.connection, *statements_, stop);
  PGFLOW_RETURN_IF_ERROR(TakeIn(change, {tables, resumed}, stop));
  std::optional<TargetSession> second;
  std::optional<TargetChange> helper;
  if (config_.create_schema && tables.size() >= kTablesForTwo) {
    PGFLOW_ASSIGN_OR_RETURN(second, ConnectForTables(stop));
    helper.emplace(*second->connection, *statements_, stop);
  }
  PGFLOW_RETURN_IF_ERROR(SnapshotTarget(change, config_, *definition_, stop)
                             .Prepare(tables, resumed, helper.has_value() ? &*helper : nullptr));
  targets_->Expect(tables);
  return absl::OkStatus();
}

absl::StatusOr<engine::ResumeLimits> PostgresSink::LimitResuming(
    std::span<const engine::TablePlan> tables, std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(const TargetSession session, ConnectForTables(stop));
  return FindResumeLimits(*session.connection, session.replica_role, config_, tables, stop);
}

absl::Status PostgresSink::ResetTables(const schemas::DatabaseDefinition& definition,
                                       std::span<const engine::TablePlan> tables,
                                       std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(const TargetSession session, ConnectForTables(stop));
  TargetChange change(*session.connection, *statements_, stop);
  PGFLOW_RETURN_IF_ERROR(TakeIn(change, {tables}, stop));
  absl::Status reset = SnapshotTarget(change, config_, definition, stop).Reset(tables);
  targets_->Forget();
  return reset;
}

absl::StatusOr<std::unique_ptr<engine::SnapshotLane>> PostgresSink::OpenLane(std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(
      TargetSession session,
      OpenTargetSession(config_.url.value(), SessionJob::kLane,
                        SessionName(context_.pipeline, context_.sink, "snapshot"), "", stop));
  PGFLOW_RETURN_IF_ERROR(TakeFreeOrigin(session, statements_->Origin(), std::move(stop)));
  return std::make_unique<PostgresLane>(std::move(session), config_, statements_, targets_,
                                        definition_);
}

absl::StatusOr<engine::WriteResult> PostgresSink::Write(const engine::Window& window,
                                                        std::stop_token stop) {
  if (applier_ == nullptr) {
    return base::MakeStatus(absl::StatusCode::kUnavailable,
                            "the connection to the target is closed");
  }
  const absl::Status status = applier_->Apply(window, std::move(stop));
  if (!status.ok()) {
    applier_.reset();
    return status;
  }
  if (applier_->flushes().lags() && lags_since_ == absl::InfiniteFuture()) {
    lags_since_ = absl::Now();
  }
  return engine::WriteResult{.rejections = {}, .skipped = applier_->TellSkipped()};
}

absl::StatusOr<engine::StreamPoint> PostgresSink::Durable(std::stop_token stop) {
  if (applier_ == nullptr) {
    return base::MakeStatus(absl::StatusCode::kUnavailable,
                            "the connection to the target is closed");
  }
  FlushTracker& flushes = applier_->flushes();
  const absl::Time now = absl::Now();
  const bool urgent = applier_->awaited();
  if (flushes.lags() && (urgent || now - last_poll_ >= kPollInterval)) {
    last_poll_ = now;
    const bool force = urgent || now - lags_since_ > kFlushPatience;
    const engine::StreamPoint before = flushes.durable();
    const absl::Status status = applier_->PollFlush(force, std::move(stop));
    if (!status.ok()) {
      applier_.reset();
      return status;
    }
    if (flushes.durable() != before) lags_since_ = now;
  }
  if (!flushes.lags()) lags_since_ = absl::InfiniteFuture();
  return flushes.durable();
}

absl::Status PostgresSink::Close(std::stop_token stop) {
  if (applier_ == nullptr || !applier_->flushes().lags()) return absl::OkStatus();
  return applier_->PollFlush(true, std::move(stop));
}

engine::ComponentType<engine::Sink> PostgresSinkType() {
  return engine::MakeComponentType<engine::Sink, PostgresSinkConfig>(
      "postgres", "Another Postgres database.",
      "Exactly once: the target moves from one commit of the source to a later one, atomically; "
      "the "
      "checkpoint is written in the same transaction as the rows.",
      &PostgresSinkSpec, &PostgresSink::Make);
}

}  // namespace pgflow::sinks
