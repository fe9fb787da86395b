#include "sinks/postgres/schema_writer.h"

#include "base/log.h"
#include "base/status.h"
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

absl::Status SchemaWriter::CreateTypes() {
  for (const schemas::TypeDefinition& type : definition_.types) {
    PGFLOW_RETURN_IF_ERROR(CreateNamespace(type.name.schema));
    PGFLOW_ASSIGN_OR_RETURN(const bool exists,
                            Ask(fmt::format("SELECT to_regtype({}) IS NOT NULL",
                                            connection_.QuoteLiteral(QuoteTable(type.name)))));
    if (!exists) PGFLOW_RETURN_IF_ERROR(Run(type.create_sql, "type " + type.name.ToString()));
  }
  return absl::OkStatus();
}

absl::Status SchemaWriter::CreateTable(const engine::TablePlan& plan) {
  const PlannedTable table(plan);
  if (table.is_partition()) {
    // From the root down.
    std::vector<const TableDefinition*> parents;
    for (const TableDefinition* at = plan.definition; at->parent.has_value();) {
      at = Find(*at->parent);
      if (at == nullptr) break;
      parents.insert(parents.begin(), at);
    }
    for (const TableDefinition* parent : parents) {
      PGFLOW_RETURN_IF_ERROR(Create(PlannedTable(*parent)));
    }
  }
  return Create(table);
}

absl::Status SchemaWriter::Create(const PlannedTable& table) {
  PGFLOW_ASSIGN_OR_RETURN(const bool exists,
                          Ask(fmt::format("SELECT {} IS NOT NULL", Regclass(table.name()))));
  if (exists) return absl::OkStatus();
  PGFLOW_RETURN_IF_ERROR(CreateNamespace(table.name().schema));
  const std::string object = "table " + table.name().ToString();
  PGFLOW_RETURN_IF_ERROR(base::Annotate(change_.Begin(), object));
  PGFLOW_RETURN_IF_ERROR(Execute(table.CreateSql(), object));
  if (table.definition() != nullptr && table.definition()->identity_full) {
    PGFLOW_RETURN_IF_ERROR(Execute(
        fmt::format("ALTER TABLE {} REPLICA IDENTITY FULL", QuoteTable(table.name())), object));
  }
  PGFLOW_RETURN_IF_ERROR(SetDefaults(table));
  PGFLOW_RETURN_IF_ERROR(base::Annotate(change_.Commit(), object));
  base::LogInfo("created {}", object);
  return absl::OkStatus();
}

absl::Status SchemaWriter::SetDefaults(const PlannedTable& table) {
  for (const PlannedColumn& column : table.columns()) {
    if (column.definition == nullptr || column.definition->default_sql.empty()) continue;
    if (column.definition->generated != '\0') continue;
    PGFLOW_RETURN_IF_ERROR(Execute("SAVEPOINT pgflow_default", "default"));
    absl::Status status = SetDefault(table, column);
    if (status.ok()) continue;
    if (base::IsRetryable(status) || postgres::SqlStateOf(status).empty()) return status;
    // A function that the target lacks, most likely. Replication does not need the default.
    base::LogWarning("table {}, column {}: its default was left out: {}", table.name().ToString(),
                     column.name, base::Message(status));
    PGFLOW_RETURN_IF_ERROR(Execute("ROLLBACK TO SAVEPOINT pgflow_default", "default"));
  }
  return absl::OkStatus();
}

absl::Status SchemaWriter::SetDefault(const PlannedTable& table, const PlannedColumn& column) {
  const std::string object = "default of " + column.name;
  const std::string name = QuoteIdentifier(column.name);
  const std::optional<std::string> sequence = SequenceOf(column.definition->default_sql);
  if (sequence.has_value()) {
    const std::string& type = column.type_sql;
    const bool small = type == "integer" || type == "smallint";
    PGFLOW_RETURN_IF_ERROR(Execute(fmt::format("CREATE SEQUENCE IF NOT EXISTS {} AS {}", *sequence,
                                               small ? type : std::string("bigint")),
                                   object));
  }
  PGFLOW_RETURN_IF_ERROR(
      Execute(fmt::format("ALTER TABLE {} ALTER COLUMN {} SET DEFAULT {}", QuoteTable(table.name()),
                          name, column.definition->default_sql),
              object));
  if (!sequence.has_value()) return absl::OkStatus();
  return Execute(
      fmt::format("ALTER SEQUENCE {} OWNED BY {}.{}", *sequence, QuoteTable(table.name()), name),
      object);
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
  if (found.row_count() == 0) return absl::OkStatus();
  const std::string object = "table " + table.name().ToString();
  const std::string key_sql = table.PrimaryKeySql();
  if (!key_sql.empty() && !found.boolean(0, 0)) {
    const absl::Status status = Run(key_sql, object);
    // An earlier attempt, whose answer was lost, has just added it.
    if (!status.ok() && postgres::SqlStateOf(status) != "42P16") return status;
  }
  if (table.is_unchanged() && !plan.definition->identity_index_sql.empty()) {
    absl::Status status = Run(plan.definition->identity_index_sql, object);
    if (!status.ok() && postgres::SqlStateOf(status) != "42P07") return status;
  }
  return table.is_partition() ? FinishParents(*plan.definition) : absl::OkStatus();
}

absl::Status SchemaWriter::FinishParents(const TableDefinition& leaf) {
  const TableDefinition* root = &leaf;
  while (root->parent.has_value()) {
    root = Find(*root->parent);
    if (root == nullptr) return absl::OkStatus();
  }
  const std::string key_sql = PlannedTable(*root).PrimaryKeySql();
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
  return Run("ANALYZE " + QuoteTable(table), "table " + table.ToString());
}

}  // namespace pgflow::sinks
