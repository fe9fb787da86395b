// SchemaWriter: creates in the target what the source's catalog describes. Everything may be
// repeated: what is there stays as it is.
#pragma once

#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include <absl/status/status.h>

#include "engine/api/sink.h"
#include "postgres/client/connection.h"
#include "schemas/table_definition.h"
#include "sinks/postgres/planned_table.h"
#include "sinks/postgres/target_change.h"

namespace pgflow::sinks {

// Whose functions are created: they run with the rights of whoever writes to the tables.
enum class ProgramTrust { kSuperusers, kEverybody };

// Short-lived, as `change` is.
class SchemaWriter {
 public:
  SchemaWriter(TargetChange& change, const schemas::DatabaseDefinition& definition,
               std::stop_token stop, ProgramTrust trust = ProgramTrust::kSuperusers)
      : change_(change),
        connection_(change.connection()),
        definition_(definition),
        trust_(trust),
        stop_(std::move(stop)) {}

  // What tables need and what needs no table.
  absl::Status CreateObjects();
  // What needs a table, among it some of the tables of `plans`.
  absl::Status CreateLate(std::span<const engine::TablePlan> plans);
  // Those that the tables are in.
  absl::Status CreateSchemas(std::span<const engine::TablePlan> plans);
  // With schemas, sequences and partitioned parents; without keys, which FinishTable adds.
  absl::Status CreateTables(std::span<const engine::TablePlan> plans);
  // Partitioned tables that have no partition with rows, and so no plan, with their keys; not where
  // any of `plans` has another name than at the source: nobody knows what theirs would be.
  absl::Status CreateEmptyTrees(std::span<const engine::TablePlan> plans);
  absl::Status DropTable(const schemas::TableName& table);
  // Primary key, identity index, statistics; the parents' primary key behind the last partition.
  absl::Status FinishTable(const engine::TablePlan& plan);
  absl::Status Analyze(const schemas::TableName& table);

 private:
  // In a transaction of its own; Execute: in the open one.
  absl::Status Run(const std::string& sql, const std::string& object);
  absl::Status Execute(const std::string& sql, const std::string& object);
  absl::Status CreateNamespace(const std::string& name);
  // With what it could not have here.
  void SayCreated(const PlannedTable& table) const;
  absl::Status CreateObject(const schemas::ObjectDefinition& object);
  // Parents before their partitions.
  std::vector<PlannedTable> WithParents(std::span<const engine::TablePlan> plans) const;
  // Those that the target lacks.
  absl::StatusOr<std::vector<PlannedTable>> Missing(std::vector<PlannedTable> tables);
  // One table, which does without a default that the target refuses.
  absl::Status Create(const PlannedTable& table);
  absl::Status TryDefault(const PlannedTable& table, const PlannedColumn& column,
                          const std::string& sql);
  // Statements, with a `;` behind each.
  std::string TableSql(const PlannedTable& table) const;
  static std::string DefaultsSql(const PlannedTable& table, std::span<const PlannedColumn> columns);
  absl::Status RunUnlessThere(const std::string& sql, std::string_view state,
                              const std::string& object);
  absl::Status FinishParents(const schemas::TableDefinition& leaf);
  const schemas::TableDefinition* Find(const schemas::TableName& table) const;
  absl::StatusOr<bool> Ask(const std::string& sql);
  std::string Regclass(const schemas::TableName& table) const;

  TargetChange& change_;
  postgres::Connection& connection_;
  const schemas::DatabaseDefinition& definition_;
  const ProgramTrust trust_;
  std::stop_token stop_;
};

}  // namespace pgflow::sinks
