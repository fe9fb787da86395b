// SnapshotTarget: makes the target's tables ready for the snapshot's rows, or says why they are
// not.
#pragma once

#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include <absl/status/status.h>

#include "engine/api/sink.h"
#include "postgres/client/connection.h"
#include "sinks/postgres/sink_config.h"
#include "sinks/postgres/target_change.h"
#include "sinks/postgres/target_table.h"

namespace pgflow::sinks {

// What is wrong with one table of the target, for Prepare and `pgflow check`.
struct TableProblem {
  std::string problem;
  std::string remedy;
  bool is_fatal = true;  // False: some rows may be refused, or changed where the user accepts it.
};

// Missing columns, types that do not read the source's bytes or narrow its values, NOT NULL columns
// that nobody fills.
std::vector<TableProblem> ComparePlan(const engine::TablePlan& plan, const TargetTable& target,
                                      const PostgresSinkConfig& config);
// Those that hold a row.
absl::StatusOr<std::vector<TargetTablePtr>> TablesWithRows(postgres::Connection& connection,
                                                           std::span<const TargetTablePtr> tables,
                                                           std::stop_token stop);

// Short-lived; everything given must outlive it.
class SnapshotTarget {
 public:
  SnapshotTarget(TargetChange& change, const PostgresSinkConfig& config,
                 const schemas::DatabaseDefinition& definition, std::stop_token stop)
      : change_(change),
        connection_(change.connection()),
        config_(config),
        definition_(definition),
        stop_(std::move(stop)) {}

  // All problems of all tables in one kFailedPrecondition. `second`, unless null, helps to create
  // tables.
  absl::Status Prepare(std::span<const engine::TablePlan> fresh,
                       std::span<const engine::TablePlan> resumed, TargetChange* second);
  // Empties the tables, together; one that we created is created anew when its definition changed.
  // kFailedPrecondition: rows of other tables would go with theirs.
  absl::Status Reset(std::span<const engine::TablePlan> plans);

 private:
  // Says what is wrong with `target` (null: it is missing).
  std::string Inspect(const engine::TablePlan& plan, const TargetTablePtr& target) const;
  absl::Status Truncate(const std::vector<TargetTablePtr>& tables);
  absl::Status Empty(TargetTables tables);
  absl::Status RefuseCascade(const std::vector<TargetTablePtr>& tables);

  TargetChange& change_;
  postgres::Connection& connection_;
  const PostgresSinkConfig& config_;
  const schemas::DatabaseDefinition& definition_;
  std::stop_token stop_;
};

}  // namespace pgflow::sinks
