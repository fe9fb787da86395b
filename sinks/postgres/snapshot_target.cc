#include "sinks/postgres/snapshot_target.h"

#include <algorithm>
#include <set>
#include <utility>

#include <fmt/ranges.h>

#include "base/log.h"
#include "base/status.h"
#include "postgres/types/sql_state.h"
#include "sinks/postgres/column_fit.h"
#include "sinks/postgres/planned_table.h"
#include "sinks/postgres/resume_limits.h"
#include "sinks/postgres/schema_writer.h"
#include "sinks/postgres/table_binding.h"
#include "sinks/postgres/table_creation.h"

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
    if (column.definition == nullptr) {
      if (there->generated) return false;
      continue;
    }
    if (column.definition->not_null && !there->not_null) return false;
    // What one computes and the other is sent is not the same column.
    if ((column.definition->generated != '\0') != there->generated) return false;
  }
  return true;
}

ProgramTrust TrustOf(const PostgresSinkConfig& config) {
  return config.ddl_trusts_source ? ProgramTrust::kEverybody : ProgramTrust::kSuperusers;
}

}  // namespace

std::vector<TableProblem> ComparePlan(const TablePlan& plan, const TargetTable& target,
                                      const PostgresSinkConfig& config) {
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
    } else if (ColumnFit fit = FitOf(column, *there); fit.kind != ColumnFit::Kind::kFits) {
      const bool alters = fit.kind == ColumnFit::Kind::kAlters;
      problems.push_back(
          {fmt::format("column {} {}", column.name, fit.problem),
           alters ? std::string(kNarrowerColumnRemedy) : "give the target's the same type",
           alters && config.on_narrower_column == NarrowerColumn::kRefuse});
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
                                     std::span<const TablePlan> resumed, TargetChange* second) {
  if (config_.create_schema) {
    PGFLOW_RETURN_IF_ERROR(
        CreatePlannedTables(change_, second, definition_, fresh, TrustOf(config_), stop_));
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

std::string SnapshotTarget::Inspect(const TablePlan& plan, const TargetTablePtr& target) const {
  const schemas::TableName& name = plan.schema->table;
  if (target == nullptr) {
    return fmt::format("\n  {} is missing: create it, or set create_schema: true", name.ToString());
  }
  std::string problems;
  for (const TableProblem& problem : ComparePlan(plan, *target, config_)) {
    if (!problem.is_fatal) {
      base::LogWarning("target table {}: {}", name.ToString(), problem.problem);
      continue;
    }
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
  const absl::Status status = change_.Run("TRUNCATE TABLE " + names);
  // 0A000: a table that is not emptied refers to one of these. 42501: only DELETE is allowed.
  const std::string state = postgres::SqlStateOf(status);
  if (state != "0A000" && state != "42501") return base::Annotate(status, "empty " + names);
  PGFLOW_RETURN_IF_ERROR(RefuseCascade(tables));
  for (const TargetTablePtr& table : tables) {
    PGFLOW_RETURN_IF_ERROR(base::Annotate(
        change_.Run(fmt::format("DELETE FROM {}{}", table->only(), QuoteTable(table->name))),
        "empty " + table->name.ToString()));
  }
  return absl::OkStatus();
}

absl::Status SnapshotTarget::RefuseCascade(const std::vector<TargetTablePtr>& tables) {
  std::string oids;
  for (const TargetTablePtr& table : tables) {
    oids += fmt::format("{}{}", oids.empty() ? "" : ", ", table->oid);
  }
  PGFLOW_ASSIGN_OR_RETURN(
      const postgres::Result found,
      connection_.Execute(
          fmt::format("SELECT string_agg(DISTINCT conrelid::regclass::text, ', ') FROM "
                      "pg_catalog.pg_constraint WHERE contype = 'f' AND confrelid IN ({0}) AND "
                      "conrelid NOT IN ({0}) AND confdeltype IN ('c', 'n', 'd') AND "
                      "current_setting('session_replication_role') <> 'replica'",
                      oids),
          stop_));
  if (found.is_null(0, 0)) return absl::OkStatus();
  return base::MakeStatus(
      absl::StatusCode::kFailedPrecondition,
      "{} has to be emptied, and foreign keys (ON DELETE CASCADE or SET NULL) would change rows of "
      "{} with it: GRANT SET ON PARAMETER session_replication_role TO the role (PostgreSQL 15 and "
      "later), drop the foreign keys until the snapshot is complete, or empty all of them yourself",
      tables.front()->name.ToString(), found.at(0, 0));
}

absl::Status SnapshotTarget::Reset(std::span<const TablePlan> plans) {
  std::vector<schemas::TableName> names;
  for (const TablePlan& plan : plans) names.push_back(plan.schema->table);
  PGFLOW_ASSIGN_OR_RETURN(TargetTables targets, LoadTargetTables(connection_, names, stop_));
  SchemaWriter writer(change_, definition_, stop_);
  TargetTables emptied;
  std::vector<TablePlan> created;
  for (const TablePlan& plan : plans) {
    const schemas::TableName& name = plan.schema->table;
    const TargetTablePtr target = targets[name];
    if (target == nullptr && !config_.create_schema) return MissingTable(name);
    const bool same = target != nullptr && (!config_.create_schema || plan.definition == nullptr ||
                                            SameColumns(PlannedTable(plan), *target));
    if (same) {
      emptied[name] = target;
      continue;
    }
    if (target != nullptr) PGFLOW_RETURN_IF_ERROR(writer.DropTable(name));
    created.push_back(plan);
  }
  PGFLOW_RETURN_IF_ERROR(Empty(std::move(emptied)));
  if (created.empty()) return absl::OkStatus();
  return CreatePlannedTables(change_, nullptr, definition_, created, TrustOf(config_), stop_);
}

// Tables that refer to each other in one statement, which otherwise fails; of the others so many
// that their locks fit.
absl::Status SnapshotTarget::Empty(TargetTables tables) {
  PGFLOW_ASSIGN_OR_RETURN(const auto groups, ReadReferences(connection_, stop_));
  std::vector<TargetTablePtr> together;
  const auto take = [&](TargetTables::iterator table) {
    together.push_back(std::move(table->second));
    return tables.erase(table);
  };
  for (const std::set<schemas::TableName>& group : groups) {
    for (const schemas::TableName& name : group) {
      if (const auto table = tables.find(name); table != tables.end()) take(table);
    }
    PGFLOW_RETURN_IF_ERROR(Truncate(std::exchange(together, {})));
  }
  for (auto table = tables.begin(); table != tables.end();) {
    table = take(table);
    if (together.size() < kTablesAtOnce && table != tables.end()) continue;
    PGFLOW_RETURN_IF_ERROR(Truncate(std::exchange(together, {})));
  }
  return absl::OkStatus();
}

}  // namespace pgflow::sinks
