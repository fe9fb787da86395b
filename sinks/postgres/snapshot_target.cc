#include "sinks/postgres/snapshot_target.h"

#include <algorithm>

#include <fmt/ranges.h>

#include "base/status.h"
#include "postgres/types/sql_state.h"
#include "sinks/postgres/planned_table.h"
#include "sinks/postgres/schema_writer.h"
#include "sinks/postgres/table_binding.h"

namespace pgflow::sinks {
namespace {

using engine::TablePlan;
using schemas::QuoteTable;

// The type arrives in binary and the target's type reads something else. Types that do not travel
// in binary (composites, arrays of user types) come as text, which every type reads.
bool ReadsOtherBytes(const schemas::Column& source, const TargetColumn& target) {
  return source.type < postgres::kFirstUserOid && target.base_type < postgres::kFirstUserOid &&
         !TakesBinary(source, target);
}

bool SameColumns(const PlannedTable& planned, const TargetTable& target) {
  if (planned.columns().size() != target.columns.size()) return false;
  for (const PlannedColumn& column : planned.columns()) {
    const TargetColumn* there = target.FindColumn(column.name);
    if (there == nullptr || there->type_sql != column.type_sql) return false;
    if (column.definition != nullptr && column.definition->not_null && !there->not_null) {
      return false;
    }
  }
  return true;
}

}  // namespace

std::vector<TableProblem> ComparePlan(const TablePlan& plan, const TargetTable& target) {
  std::vector<TableProblem> problems;
  if (target.kind == 'v') {
    problems.push_back({"is a view in the target", "replace it by a table"});
    return problems;
  }
  for (const schemas::Column& column : plan.schema->columns) {
    const TargetColumn* there = target.FindColumn(column.name);
    if (there == nullptr) {
      problems.push_back({fmt::format("lacks column {}", column.name),
                          "add it, or drop it on the way with a project transformer"});
    } else if (ReadsOtherBytes(column, *there)) {
      problems.push_back({fmt::format("column {} is {} at the source and {} in the target",
                                      column.name, column.type_name, there->type_name),
                          "give both the same type"});
    }
  }
  for (const TargetColumn& column : target.columns) {
    const bool filled = column.generated || column.has_default || column.identity_always ||
                        !column.not_null || plan.schema->FindColumn(column.name).has_value();
    if (filled) continue;
    problems.push_back({fmt::format("column {} is NOT NULL, has no default, and the source does "
                                    "not have it",
                                    column.name),
                        "give it a default"});
  }
  return problems;
}

// A statement asks this many tables, and so locks them.
constexpr size_t kTablesAtOnce = 200;

absl::StatusOr<std::vector<TargetTablePtr>> TablesWithRows(postgres::Connection& connection,
                                                           std::span<const TargetTablePtr> tables,
                                                           std::stop_token stop) {
  std::vector<TargetTablePtr> filled;
  while (!tables.empty()) {
    const auto some = tables.first(std::min(tables.size(), kTablesAtOnce));
    tables = tables.subspan(some.size());
    std::vector<std::string> questions;
    for (const TargetTablePtr& table : some) {
      questions.push_back(fmt::format("SELECT {} WHERE EXISTS (SELECT FROM {}{})", questions.size(),
                                      table->only(), QuoteTable(table->name)));
    }
    PGFLOW_ASSIGN_OR_RETURN(
        const postgres::Result answer,
        connection.Execute(fmt::format("{}", fmt::join(questions, " UNION ALL ")), stop));
    for (int row = 0; row < answer.row_count(); ++row) {
      filled.push_back(some[static_cast<size_t>(answer.integer(row, 0))]);
    }
  }
  return filled;
}

absl::Status SnapshotTarget::Prepare(std::span<const TablePlan> fresh,
                                     std::span<const TablePlan> resumed) {
  if (config_.create_schema) {
    SchemaWriter writer(connection_, definition_, stop_);
    PGFLOW_RETURN_IF_ERROR(writer.CreateTypes());
    for (const TablePlan& plan : fresh) PGFLOW_RETURN_IF_ERROR(writer.CreateTable(plan));
  }
  std::vector<schemas::TableName> names;
  for (const TablePlan& plan : fresh) names.push_back(plan.schema->table);
  for (const TablePlan& plan : resumed) names.push_back(plan.schema->table);
  PGFLOW_ASSIGN_OR_RETURN(TargetTables targets, LoadTargetTables(connection_, names, stop_));
  std::string problems;
  std::vector<TargetTablePtr> to_fill;
  for (const TablePlan& plan : fresh) {
    const std::string found = Inspect(plan, targets[plan.schema->table]);
    if (found.empty()) to_fill.push_back(targets[plan.schema->table]);
    problems += found;
  }
  for (const TablePlan& plan : resumed) problems += Inspect(plan, targets[plan.schema->table]);
  std::vector<TargetTablePtr> to_empty;
  if (config_.on_existing_rows != ExistingRows::kAppend) {
    PGFLOW_ASSIGN_OR_RETURN(to_empty, TablesWithRows(connection_, to_fill, stop_));
  }
  if (config_.on_existing_rows == ExistingRows::kRefuse) {
    for (const TargetTablePtr& table : to_empty) {
      problems += fmt::format(
          "\n  {} holds rows already: empty it, or set on_existing_rows to truncate or append",
          table->name.ToString());
    }
  }
  if (!problems.empty()) {
    return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                            "the target's tables cannot take the snapshot:{}", problems);
  }
  return Truncate(to_empty);
}

std::string SnapshotTarget::Inspect(const TablePlan& plan, const TargetTablePtr& target) {
  const schemas::TableName& name = plan.schema->table;
  if (target == nullptr) {
    return fmt::format("\n  {} is missing: create it, or set create_schema: true", name.ToString());
  }
  std::string problems;
  for (const TableProblem& problem : ComparePlan(plan, *target)) {
    problems += fmt::format("\n  {} {}: {}", name.ToString(), problem.problem, problem.remedy);
  }
  return problems;
}

absl::Status SnapshotTarget::Truncate(const std::vector<TargetTablePtr>& tables) {
  if (tables.empty()) return absl::OkStatus();
  std::string names;
  for (const TargetTablePtr& table : tables) {
    names +=
        fmt::format("{}{}{}", names.empty() ? "" : ", ", table->only(), QuoteTable(table->name));
  }
  const absl::Status status = connection_.Execute("TRUNCATE TABLE " + names, stop_).status();
  // 0A000: a table that is not emptied refers to one of these. 42501: only DELETE is allowed.
  const std::string state = postgres::SqlStateOf(status);
  if (state != "0A000" && state != "42501") return base::Annotate(status, "empty " + names);
  for (const TargetTablePtr& table : tables) {
    PGFLOW_RETURN_IF_ERROR(base::Annotate(
        connection_
            .Execute(fmt::format("DELETE FROM {}{}", table->only(), QuoteTable(table->name)), stop_)
            .status(),
        "empty " + table->name.ToString()));
  }
  return absl::OkStatus();
}

absl::Status SnapshotTarget::Reset(const TablePlan& plan) {
  const schemas::TableName& name = plan.schema->table;
  PGFLOW_ASSIGN_OR_RETURN(const TargetTablePtr target, LoadTargetTable(connection_, name, stop_));
  if (!config_.create_schema) {
    return target == nullptr ? MissingTable(name) : Truncate({target});
  }
  SchemaWriter writer(connection_, definition_, stop_);
  if (target != nullptr) {
    if (plan.definition == nullptr || SameColumns(PlannedTable(plan), *target)) {
      return Truncate({target});
    }
    PGFLOW_RETURN_IF_ERROR(writer.DropTable(name));
  }
  PGFLOW_RETURN_IF_ERROR(writer.CreateTypes());
  return writer.CreateTable(plan);
}

}  // namespace pgflow::sinks
