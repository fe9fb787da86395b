// PostgresSink: another Postgres database. Exactly once: the checkpoint is written in the same
// transaction as the rows (schema pgflow in the target), and a replaced pgflow is fenced off.
//
// Threads: as engine/api/sink.h says; lanes and the checkpoint store have connections of their own.
// Errors: kUnavailable and friends when the target cannot be reached; kInvalidArgument with
// engine::kCulpritPayload when it refuses a change; kFailedPrecondition when tables or columns are
// missing or another pgflow has taken over.
#pragma once

#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "engine/api/registry.h"
#include "engine/api/sink.h"
#include "sinks/postgres/checkpoint_store.h"
#include "sinks/postgres/expected_targets.h"
#include "sinks/postgres/sink_config.h"

namespace pgflow::sinks {

struct TargetSession;
class TargetChange;
class WindowApplier;

class PostgresSink final : public engine::Sink {
 public:
  static absl::StatusOr<std::unique_ptr<engine::Sink>> Make(PostgresSinkConfig config);

  explicit PostgresSink(PostgresSinkConfig config);
  ~PostgresSink() override;

  absl::Status Open(const engine::SinkContext& context, std::stop_token stop) override;
  engine::CheckpointStore* checkpoint_store() override { return store_.get(); }
  absl::StatusOr<std::optional<engine::SinkCheckpoint>> PeekCheckpoint(
      const engine::SinkContext& context, std::stop_token stop) override;
  absl::StatusOr<std::vector<engine::Finding>> Check(const schemas::DatabaseDefinition& definition,
                                                     std::span<const engine::TablePlan> tables,
                                                     std::stop_token stop) override;
  absl::Status PrepareSnapshot(const schemas::DatabaseDefinition& definition,
                               std::span<const engine::TablePlan> tables,
                               std::span<const engine::TablePlan> resumed,
                               std::stop_token stop) override;
  absl::StatusOr<engine::ResumeLimits> LimitResuming(std::span<const engine::TablePlan> tables,
                                                     std::stop_token stop) override;
  absl::Status ResetTables(const schemas::DatabaseDefinition& definition,
                           std::span<const engine::TablePlan> tables,
                           std::stop_token stop) override;
  absl::StatusOr<std::unique_ptr<engine::SnapshotLane>> OpenLane(std::stop_token stop) override;
  absl::StatusOr<engine::WriteResult> Write(const engine::Window& window,
                                            std::stop_token stop) override;
  absl::StatusOr<engine::StreamPoint> Durable(std::stop_token stop) override;
  absl::Status Close(std::stop_token stop) override;

 private:
  absl::StatusOr<TargetSession> ConnectForTables(std::stop_token stop);
  absl::Status TakeIn(TargetChange& change,
                      std::initializer_list<std::span<const engine::TablePlan>> tables,
                      const std::stop_token& stop);

  const PostgresSinkConfig config_;
  engine::SinkContext context_;
  std::shared_ptr<CheckpointStatements> statements_;
  std::unique_ptr<PostgresCheckpointStore> store_;
  std::unique_ptr<WindowApplier> applier_;
  std::shared_ptr<const schemas::DatabaseDefinition> definition_;
  const std::shared_ptr<ExpectedTargets> targets_ = std::make_shared<ExpectedTargets>();
  absl::Time last_poll_ = absl::InfinitePast();
  absl::Time lags_since_ = absl::InfiniteFuture();
};

engine::ComponentType<engine::Sink> PostgresSinkType();

}  // namespace pgflow::sinks
