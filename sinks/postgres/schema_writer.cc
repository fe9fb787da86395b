#include "sinks/postgres/schema_writer.h"

#include <algorithm>
#include <deque>
#include <iterator>
#include <optional>
#include <set>
#include <utility>

#include <fmt/ranges.h>

#include "base/log.h"
#include "base/status.h"
#include "engine/api/takeover.h"
#include "postgres/types/sql_state.h"

namespace pgflow::sinks {
namespace {

using schemas::QuoteIdentifier;
using schemas::QuoteTable;
using schemas::TableDefinition;
using schemas::TableName;

// For indexes: the work memory of the build, and how many workers the server may add.
constexpr const char* kIndexSettings =
    "SET maintenance_work_mem = '256MB'; SET max_parallel_maintenance_workers = 4";

// So many tables are made in one transaction: it holds locks on each, of which the server has few.
constexpr size_t kTablesAtOnce = 100;

std::string AnalyzeSql(const TableName& table) { return "ANALYZE " + QuoteTable(table); }

constexpr std::string_view kKeyIsThere = "42P16";
constexpr std::string_view kIndexIsThere = "42P07";

}  // namespace

absl::Status SchemaWriter::Run(const std::string& sql, const std::string& object) {
  return base::Annotate(change_.Run(sql), object);
}

absl::Status SchemaWriter::Execute(const std::string& sql, const std::string& object) {
  return base::Annotate(connection_.Execute(sql, stop_).status(), object);
}

absl::StatusOr<bool> SchemaWriter::Ask(const std::string& sql) {
  PGFLOW_ASSIGN_OR_RETURN(const postgres::Result answer, connection_.Execute(sql, stop_));
  return answer.row_count() > 0 && answer.boolean(0, 0);
}

std::string SchemaWriter::Regclass(const TableName& table) const {
  return fmt::format("to_regclass({})", connection_.QuoteLiteral(QuoteTable(table)));
}

const TableDefinition* SchemaWriter::Find(const TableName& table) const {
  for (const TableDefinition& candidate : definition_.tables) {
    if (candidate.table == table) return &candidate;
  }
  return nullptr;
}

absl::Status SchemaWriter::CreateNamespace(const std::string& name) {
  PGFLOW_ASSIGN_OR_RETURN(
      const bool exists,
      Ask(fmt::format("SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = {})",
                      connection_.QuoteLiteral(name))));
  if (exists) return absl::OkStatus();
  return Run("CREATE SCHEMA IF NOT EXISTS " + QuoteIdentifier(name), "schema " + name);
}

absl::Status SchemaWriter::CreateObjects() {
  for (const schemas::ObjectDefinition& object : definition_.objects) {
    PGFLOW_RETURN_IF_ERROR(CreateObject(object));
  }
  return absl::OkStatus();
}

absl::Status SchemaWriter::CreateObject(const schemas::ObjectDefinition& object) {
  const std::string subject = object.Subject();
  PGFLOW_ASSIGN_OR_RETURN(const bool exists, Ask(object.exists_sql));
  if (exists) return absl::OkStatus();
  if (!object.risk.empty() && trust_ == ProgramTrust::kSuperusers) {
    base::LogWarning(
        "{} is left out: {}, and here it would run with the rights of whoever writes to the tables "
        "that use it; create it yourself, or set ddl_trusts_source: true",
        subject, object.risk);
    return absl::OkStatus();
  }
  if (!object.name.schema.empty()) PGFLOW_RETURN_IF_ERROR(CreateNamespace(object.name.schema));
  PGFLOW_RETURN_IF_ERROR(Run(object.create_sql, subject));
  base::LogInfo("created {}", subject);
  return absl::OkStatus();
}

absl::Status SchemaWriter::CreateLate(std::span<const engine::TablePlan> plans) {
  for (const schemas::LateDefinition& late : definition_.late) {
    if (late.object.has_value()) {
      PGFLOW_RETURN_IF_ERROR(CreateObject(*late.object));
      continue;
    }
    std::vector<engine::TablePlan> some;
    std::ranges::copy_if(plans, std::back_inserter(some), [&](const engine::TablePlan& plan) {
      return plan.source_table == late.table;
    });
    PGFLOW_RETURN_IF_ERROR(CreateTables(some));
  }
  return absl::OkStatus();
}

absl::Status SchemaWriter::CreateSchemas(std::span<const engine::TablePlan> plans) {
  std::set<std::string> names;
  for (const engine::TablePlan& plan : plans) names.insert(plan.schema->table.schema);
  for (const std::string& name : names) PGFLOW_RETURN_IF_ERROR(CreateNamespace(name));
  return absl::OkStatus();
}

std::vector<PlannedTable> SchemaWriter::WithParents(
    std::span<const engine::TablePlan> plans) const {
  std::vector<PlannedTable> tables;
  std::set<TableName> named;  // Routes may bring several tables into one.
  const auto add = [&](PlannedTable table) {
    if (named.insert(table.name()).second) tables.push_back(std::move(table));
  };
  for (const engine::TablePlan& plan : plans) {
    PlannedTable table(plan);
    // From the root down.
    std::deque<const TableDefinition*> parents;
    for (const TableDefinition* at = table.is_partition() ? plan.definition : nullptr;
         at != nullptr && at->parent.has_value();) {
      at = Find(*at->parent);
      if (at != nullptr) parents.push_front(at);
    }
    for (const TableDefinition* parent : parents) add(PlannedTable(*parent));
    add(std::move(table));
  }
  return tables;
}

absl::StatusOr<std::vector<PlannedTable>> SchemaWriter::Missing(std::vector<PlannedTable> tables) {
  std::vector<PlannedTable> missing;
  if (tables.empty()) return missing;
  std::string names;
  for (size_t i = 0; i < tables.size(); ++i) {
    names += fmt::format("{}({}, {})", i == 0 ? "" : ", ", i,
                         connection_.QuoteLiteral(QuoteTable(tables[i].name())));
  }
  PGFLOW_ASSIGN_OR_RETURN(
      const postgres::Result found,
      connection_.Execute(
          fmt::format("SELECT place FROM (VALUES {}) t(place, name) WHERE to_regclass(name) IS "
                      "NULL ORDER BY place",
                      names),
          stop_));
  for (int row = 0; row < found.row_count(); ++row) {
    missing.push_back(std::move(tables[static_cast<size_t>(found.integer(row, 0))]));
  }
  return missing;
}

absl::Status SchemaWriter::CreateEmptyTrees(std::span<const engine::TablePlan> plans) {
  std::set<TableName> with_rows;
  for (const engine::TablePlan& plan : plans) {
    if (plan.schema->table != plan.source_table) return absl::OkStatus();
  }
  for (const TableDefinition& table : definition_.tables) {
    if (table.partitioned) continue;
    for (const TableDefinition* at = &table; at != nullptr && at->parent.has_value();) {
      at = with_rows.insert(*at->parent).second ? Find(*at->parent) : nullptr;
    }
  }
  std::vector<PlannedTable> trees;
  for (const TableDefinition& table : definition_.tables) {
    if (table.partitioned && !with_rows.contains(table.table)) trees.emplace_back(table);
  }
  PGFLOW_ASSIGN_OR_RETURN(const std::vector<PlannedTable> missing, Missing(std::move(trees)));
  for (const PlannedTable& table : missing) {
    PGFLOW_RETURN_IF_ERROR(CreateNamespace(table.name().schema));
    PGFLOW_RETURN_IF_ERROR(Create(table));
    const int version = connection_.server_version();
    if (const std::string key_sql = table.PrimaryKeySql(version);
        !key_sql.empty() && !table.is_partition() && !table.HasKeyAtOnce(version)) {
      PGFLOW_RETURN_IF_ERROR(Run(key_sql, "table " + table.name().ToString()));
    }
    SayCreated(table);
  }
  return absl::OkStatus();
}

void SchemaWriter::SayCreated(const PlannedTable& table) const {
  for (const std::string& loss : table.Losses(connection_.server_version())) {
    base::LogWarning("table {}, {}", table.name().ToString(), loss);
  }
  base::LogInfo("created table {}", table.name().ToString());
}

absl::Status SchemaWriter::CreateTables(std::span<const engine::TablePlan> plans) {
  PGFLOW_ASSIGN_OR_RETURN(const std::vector<PlannedTable> missing, Missing(WithParents(plans)));
  std::set<std::string> schemas;
  for (const PlannedTable& table : missing) schemas.insert(table.name().schema);
  for (const std::string& schema : schemas) PGFLOW_RETURN_IF_ERROR(CreateNamespace(schema));
  for (std::span<const PlannedTable> rest = missing; !rest.empty();) {
    const auto some = rest.first(std::min(rest.size(), kTablesAtOnce));
    rest = rest.subspan(some.size());
    std::string sql;
    for (const PlannedTable& table : some) {
      sql += TableSql(table) + DefaultsSql(table, table.columns());
    }
    const absl::Status status = change_.Run(sql);
    // Which of them it was, and whether that one can do without a default, is found out one by one.
    const bool refused = !postgres::SqlStateOf(status).empty() && !base::IsRetryable(status);
    if (!status.ok() && (!refused || base::Payload(status, engine::kTakenOverPayload) == "1")) {
      return base::Annotate(status, "create tables");
    }
    for (const PlannedTable& table : some) {
      if (!status.ok()) PGFLOW_RETURN_IF_ERROR(Create(table));
      SayCreated(table);
    }
  }
  return absl::OkStatus();
}

std::string SchemaWriter::TableSql(const PlannedTable& table) const {
  const int version = connection_.server_version();
  std::string sql = table.CreateSql(version) + ";";
  if (table.definition() != nullptr && table.definition()->identity_full) {
    sql += fmt::format("ALTER TABLE {} REPLICA IDENTITY FULL;", QuoteTable(table.name()));
  }
  if (table.HasKeyAtOnce(version)) sql += table.PrimaryKeySql(version) + ";";
  return sql;
}

absl::Status SchemaWriter::Create(const PlannedTable& table) {
  const std::string object = "table " + table.name().ToString();
  PGFLOW_RETURN_IF_ERROR(base::Annotate(change_.Begin(), object));
  PGFLOW_RETURN_IF_ERROR(Execute(TableSql(table), object));
  for (const PlannedColumn& column : table.columns()) {
    const std::string sql = DefaultsSql(table, {&column, 1});
    if (!sql.empty()) PGFLOW_RETURN_IF_ERROR(TryDefault(table, column, sql));
  }
  return base::Annotate(change_.Commit(), object);
}

absl::Status SchemaWriter::TryDefault(const PlannedTable& table, const PlannedColumn& column,
                                      const std::string& sql) {
  PGFLOW_RETURN_IF_ERROR(Execute("SAVEPOINT pgflow_default", "default"));
  absl::Status status = Execute(sql, "default of " + column.name);
  if (status.ok()) return status;
  if (base::IsRetryable(status) || postgres::SqlStateOf(status).empty()) return status;
  // A function that the target lacks, most likely. Replication does not need the default.
  base::LogWarning("table {}, column {}: its default was left out: {}", table.name().ToString(),
                   column.name, base::Message(status));
  return Execute("ROLLBACK TO SAVEPOINT pgflow_default", "default");
}

std::string SchemaWriter::DefaultsSql(const PlannedTable& table,
                                      std::span<const PlannedColumn> columns) {
  const std::string quoted = QuoteTable(table.name());
  std::string sequences;
  std::string defaults;
  std::string owners;
  for (const PlannedColumn& column : columns) {
    if (column.definition == nullptr || column.definition->default_sql.empty()) continue;
    if (column.definition->generated != '\0') continue;
    const std::string name = QuoteIdentifier(column.name);
    defaults += fmt::format("{} ALTER COLUMN {} SET DEFAULT {}", defaults.empty() ? "" : ",", name,
                            column.definition->default_sql);
    const std::optional<std::string> sequence = SequenceOf(column.definition->default_sql);
    if (!sequence.has_value()) continue;
    const std::string& type = column.definition->sequence_type;
    sequences += fmt::format("CREATE SEQUENCE IF NOT EXISTS {}{} {};", *sequence,
                             type.empty() ? "" : " AS " + type, column.definition->sequence_sql);
    owners += fmt::format("ALTER SEQUENCE {} OWNED BY {}.{};", *sequence, quoted, name);
  }
  if (defaults.empty()) return "";
  return fmt::format("{}ALTER TABLE {}{};{}", sequences, quoted, defaults, owners);
}

absl::Status SchemaWriter::DropTable(const TableName& table) {
  return Run("DROP TABLE IF EXISTS " + QuoteTable(table), "table " + table.ToString());
}

absl::Status SchemaWriter::FinishTable(const engine::TablePlan& plan) {
  const PlannedTable table(plan);
  PGFLOW_ASSIGN_OR_RETURN(
      const postgres::Result found,
      connection_.Execute(fmt::format("{}; SELECT EXISTS (SELECT FROM pg_catalog.pg_index i WHERE "
                                      "i.indrelid = c.oid AND i.indisprimary) FROM "
                                      "pg_catalog.pg_class c WHERE c.oid = {}",
                                      kIndexSettings, Regclass(table.name())),
                          stop_));
  if (found.row_count() == 0) return Analyze(table.name());
  std::string key_sql = table.PrimaryKeySql(connection_.server_version());
  if (found.boolean(0, 0)) key_sql.clear();
  const std::string index_sql = table.IdentityIndexSql(connection_.server_version());
  const std::string object = "table " + table.name().ToString();
  absl::Status status =
      Run(fmt::format("{};{};{}", key_sql, index_sql, AnalyzeSql(table.name())), object);
  const std::string state = postgres::SqlStateOf(status);
  if (state == kKeyIsThere || state == kIndexIsThere) {
    PGFLOW_RETURN_IF_ERROR(RunUnlessThere(key_sql, kKeyIsThere, object));
    PGFLOW_RETURN_IF_ERROR(RunUnlessThere(index_sql, kIndexIsThere, object));
    PGFLOW_RETURN_IF_ERROR(Analyze(table.name()));
  } else {
    PGFLOW_RETURN_IF_ERROR(status);
  }
  return table.is_partition() ? FinishParents(*plan.definition) : absl::OkStatus();
}

// What is there was added by an earlier attempt, whose answer was lost.
absl::Status SchemaWriter::RunUnlessThere(const std::string& sql, std::string_view state,
                                          const std::string& object) {
  if (sql.empty()) return absl::OkStatus();
  absl::Status status = Run(sql, object);
  return postgres::SqlStateOf(status) == state ? absl::OkStatus() : status;
}

absl::Status SchemaWriter::FinishParents(const TableDefinition& leaf) {
  const TableDefinition* root = &leaf;
  while (root->parent.has_value()) {
    root = Find(*root->parent);
    if (root == nullptr) return absl::OkStatus();
  }
  const std::string key_sql = PlannedTable(*root).PrimaryKeySql(connection_.server_version());
  if (key_sql.empty()) return absl::OkStatus();
  const std::string object = "table " + root->table.ToString();
  // Lanes may finish two partitions at once.
  PGFLOW_RETURN_IF_ERROR(base::Annotate(change_.Begin(), object));
  PGFLOW_RETURN_IF_ERROR(Execute("SELECT pg_advisory_xact_lock(7308325411)", object));
  PGFLOW_ASSIGN_OR_RETURN(
      const bool ready,
      Ask(fmt::format("SELECT bool_and(i.indrelid IS NOT NULL) FILTER (WHERE p.isleaf)"
                      " AND NOT bool_or(i.indrelid IS NOT NULL) FILTER (WHERE p.level = 0)"
                      " FROM pg_catalog.pg_partition_tree({}) p LEFT JOIN pg_catalog.pg_index i"
                      " ON i.indrelid = p.relid AND i.indisprimary",
                      Regclass(root->table))));
  // The server takes the partitions' own keys over instead of building new ones.
  if (ready) PGFLOW_RETURN_IF_ERROR(Execute(key_sql, object));
  return base::Annotate(change_.Commit(), object);
}

absl::Status SchemaWriter::Analyze(const TableName& table) {
  return Run(AnalyzeSql(table), "table " + table.ToString());
}

}  // namespace pgflow::sinks
