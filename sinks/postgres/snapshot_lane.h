// PostgresLane: one worker's connection to the target during the snapshot. A range is a
// transaction: COPY, the ledger's entry, COMMIT. Attempts at the same range come one after the
// other, and one of them commits.
#pragma once

#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "engine/api/sink.h"
#include "sinks/postgres/checkpoint_statements.h"
#include "sinks/postgres/copy_rows.h"
#include "sinks/postgres/expected_targets.h"
#include "sinks/postgres/row_writer.h"
#include "sinks/postgres/sink_config.h"
#include "sinks/postgres/table_binding.h"
#include "sinks/postgres/target_session.h"

namespace pgflow::sinks {

// One thread. Bytes of a range that nobody transformed go from the source's frames into ours.
class PostgresLane final : public engine::SnapshotLane {
 public:
  PostgresLane(TargetSession session, const PostgresSinkConfig& config,
               std::shared_ptr<CheckpointStatements> checkpoint,
               std::shared_ptr<ExpectedTargets> targets,
               std::shared_ptr<const schemas::DatabaseDefinition> definition);

  absl::Status BeginRange(const engine::TablePlan& table, engine::BlockRange range,
                          RangeOptions options) override;
  absl::StatusOr<engine::WriteResult> Write(engine::Batch& batch, std::stop_token stop) override;
  absl::Status FinishRange(std::stop_token stop) override;
  absl::Status FinishTable(const engine::TablePlan& table, std::stop_token stop) override;

 private:
  absl::Status Bind(const schemas::TableSchemaPtr& schema);
  absl::Status BeginAlone();
  absl::Status CreateStage();
  // The rows that follow are of that table.
  absl::Status SwitchTo(const schemas::TableSchemaPtr& schema, std::stop_token stop);
  // The rows of each table together, in any order of the tables.
  absl::Status WriteByTable(engine::Batch& batch, engine::WriteResult& result,
                            std::stop_token stop);
  // Starts a COPY of that format unless it is running.
  absl::Status BeginCopy(bool binary, std::stop_token stop);
  absl::Status EndCopy(std::stop_token stop);
  absl::Status WriteRaw(const engine::CopyRows& rows, std::stop_token stop);
  absl::Status WriteEvents(std::span<const engine::ChangeEvent> events, std::stop_token stop);
  absl::Status WriteSingly(std::span<const engine::ChangeEvent> events, std::stop_token stop);
  absl::Status WriteCarefully(std::span<const engine::ChangeEvent> all, size_t begin, size_t end,
                              engine::WriteResult& result, std::stop_token stop);
  // Everything of these rows, to where a constraint could refuse it.
  absl::Status WritePiece(std::span<const engine::ChangeEvent> events, std::stop_token stop);
  absl::Status MergeStage(std::stop_token stop);
  absl::Status Execute(const std::string& sql, std::stop_token stop);
  absl::Status WriteBatch(engine::Batch& batch, engine::WriteResult& result, std::stop_token stop);
  absl::Status CommitRange(std::stop_token stop);
  absl::Status Concede(std::stop_token stop);
  // A missing parent row may still come.
  bool MayPass(const absl::Status& status) const;
  absl::Status Explain(absl::Status status) const;

  TargetSession session_;
  const PostgresSinkConfig& config_;
  const std::shared_ptr<CheckpointStatements> checkpoint_;
  const std::shared_ptr<ExpectedTargets> targets_;
  const std::shared_ptr<const schemas::DatabaseDefinition> definition_;

  std::unique_ptr<TableBinding> binding_;
  schemas::TableSchemaPtr bound_schema_;
  bool passes_binary_ = false;  // Raw binary rows fit the target's columns.
  StatementCache statements_;

  schemas::TableName source_table_;
  engine::BlockRange range_;
  RangeOptions options_;
  std::string destination_;  // Quoted: the table, or the stage of an upsert.
  enum class Copy { kNone, kBinary, kText } copy_ = Copy::kNone;
  std::string buffer_;
  std::vector<schemas::Value> values_;
};

}  // namespace pgflow::sinks
