#include "sinks/postgres/preflight.h"

#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "sinks/postgres/snapshot_target.h"
#include "sinks/postgres/target_session.h"

namespace pgflow::sinks {
namespace {

using engine::Finding;
using engine::TablePlan;
using Severity = Finding::Severity;

// One run over a target; collects findings.
class Preflight {
 public:
  Preflight(TargetSession session, const PostgresSinkConfig& config, std::stop_token stop)
      : session_(std::move(session)), config_(config), stop_(std::move(stop)) {}

  absl::Status Run(const schemas::DatabaseDefinition& definition,
                   std::span<const TablePlan> tables) {
    PGFLOW_RETURN_IF_ERROR(CheckServer());
    PGFLOW_RETURN_IF_ERROR(CheckReplicaRole());
    PGFLOW_RETURN_IF_ERROR(CheckOrigin());
    PGFLOW_RETURN_IF_ERROR(CheckCheckpointSchema());
    if (config_.create_schema && !(definition.tables.empty() && tables.empty())) {
      PGFLOW_RETURN_IF_ERROR(CheckCreate());
      PGFLOW_RETURN_IF_ERROR(CheckPrograms(definition));
    }
    for (const TablePlan& plan : tables) PGFLOW_RETURN_IF_ERROR(CheckTable(plan));
    return absl::OkStatus();
  }

  std::vector<Finding> findings;

 private:
  void Add(Severity severity, std::string subject, std::string problem, std::string remedy = "") {
    findings.push_back({severity, std::move(subject), std::move(problem), std::move(remedy)});
  }

  absl::StatusOr<postgres::Result> Ask(const std::string& sql) {
    return session_.connection->Execute(sql, stop_);
  }

  absl::Status CheckServer() {
    PGFLOW_ASSIGN_OR_RETURN(
        const postgres::Result answer,
        Ask("SELECT current_setting('server_version'), current_setting('server_encoding'),"
            " current_setting('fsync'), current_setting('transaction_read_only')"));
    const int version = session_.connection->server_version();
    const std::string text = "PostgreSQL " + answer.text(0, 0);
    if (version < 130000) {
      Add(Severity::kError, "target version", text + " is too old", "use PostgreSQL 13 or newer");
    } else {
      Add(Severity::kOk, "target version", text);
    }
    const std::string encoding = answer.text(0, 1);
    if (encoding == "UTF8") {
      Add(Severity::kOk, "target encoding", encoding);
    } else {
      Add(Severity::kWarning, "target encoding", encoding + ": characters it lacks are refused",
          "create the target database in UTF8");
    }
    if (answer.at(0, 2) == "off") {
      Add(Severity::kWarning, "target fsync", "off: a crash of the target may lose everything",
          "set fsync = on");
    }
    if (answer.at(0, 3) == "on") {
      Add(Severity::kError, "target", "is read-only (a standby?)", "connect to the primary");
    }
    return absl::OkStatus();
  }

  absl::Status CheckReplicaRole() {
    if (session_.replica_role) {
      Add(Severity::kOk, "session_replication_role", "replica can be set");
    } else {
      Add(Severity::kWarning, "session_replication_role",
          "the role may not set it: triggers and foreign keys of the target fire, and changes are "
          "applied in order, which is slower",
          "GRANT SET ON PARAMETER session_replication_role TO <role> (PostgreSQL 15 and newer), or "
          "use a superuser");
    }
    return absl::OkStatus();
  }

  absl::Status CheckOrigin() {
    PGFLOW_ASSIGN_OR_RETURN(
        const postgres::Result answer,
        Ask("SELECT has_function_privilege('pg_replication_origin_session_setup(text)', 'EXECUTE')"
            " AND has_function_privilege('pg_replication_origin_create(text)', 'EXECUTE')"));
    if (answer.boolean(0, 0)) {
      Add(Severity::kOk, "replication origin", "can be set");
    } else {
      Add(Severity::kWarning, "replication origin",
          "the role may not set one: a pipeline in the other direction cannot tell our changes "
          "from "
          "others",
          "only for two-way replication: use a superuser, or grant EXECUTE on the "
          "pg_replication_origin functions");
    }
    return absl::OkStatus();
  }

  absl::Status CheckCheckpointSchema() {
    const std::string literal = session_.connection->QuoteLiteral(config_.schema);
    PGFLOW_ASSIGN_OR_RETURN(
        const postgres::Result answer,
        Ask(fmt::format("SELECT CASE WHEN n.oid IS NULL THEN"
                        " has_database_privilege(current_database(), 'CREATE')"
                        " ELSE has_schema_privilege(n.oid, 'USAGE')"
                        " AND (has_schema_privilege(n.oid, 'CREATE') OR"
                        " EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = n.oid"
                        " AND c.relname = 'finished_range')) END"
                        " FROM (SELECT 1) one LEFT JOIN pg_namespace n ON n.nspname = {}",
                        literal)));
    if (answer.boolean(0, 0)) {
      Add(Severity::kOk, "checkpoint schema", config_.schema);
    } else {
      Add(Severity::kError, "checkpoint schema",
          fmt::format("{} cannot be created, or used", config_.schema),
          fmt::format("CREATE SCHEMA {0} AUTHORIZATION <role>, or ALTER SCHEMA {0} OWNER TO <role>",
                      schemas::QuoteIdentifier(config_.schema)));
    }
    return absl::OkStatus();
  }

  absl::Status CheckCreate() {
    PGFLOW_ASSIGN_OR_RETURN(
        const postgres::Result answer,
        Ask("SELECT has_database_privilege(current_database(), 'CREATE'), current_database(), "
            "current_user"));
    if (!answer.boolean(0, 0)) {
      Add(Severity::kWarning, "create_schema", "the role may not create schemas in the target",
          fmt::format("GRANT CREATE ON DATABASE {} TO {}",
                      schemas::QuoteIdentifier(answer.at(0, 1)),
                      schemas::QuoteIdentifier(answer.at(0, 2))));
    }
    return absl::OkStatus();
  }

  // Functions that create_schema leaves out.
  absl::Status CheckPrograms(const schemas::DatabaseDefinition& definition) {
    if (config_.ddl_trusts_source) return absl::OkStatus();
    std::vector<const schemas::ObjectDefinition*> risky;
    for (const schemas::ObjectDefinition& object : definition.objects) risky.push_back(&object);
    for (const schemas::LateDefinition& late : definition.late) {
      if (late.object.has_value()) risky.push_back(&*late.object);
    }
    std::erase_if(risky, [](const auto* object) { return object->risk.empty(); });
    for (const schemas::ObjectDefinition* object : risky) {
      // NULL or an error of to_regprocedure: a type that its arguments need is not there yet.
      const absl::StatusOr<postgres::Result> there = Ask(object->exists_sql);
      if (!session_.connection->healthy()) return there.status();
      if (there.ok() && there->boolean(0, 0)) continue;
      Add(Severity::kWarning, object->Subject(),
          fmt::format("will not be created: {}, and here it would run with the rights of whoever "
                      "writes to the tables that use it",
                      object->risk),
          "create it on the target yourself, or set ddl_trusts_source: true");
    }
    return absl::OkStatus();
  }

  absl::Status CheckTable(const TablePlan& plan) {
    const schemas::TableName& name = plan.schema->table;
    const std::string subject = "target table " + name.ToString();
    PGFLOW_ASSIGN_OR_RETURN(const TargetTablePtr target,
                            LoadTargetTable(*session_.connection, name, stop_));
    if (target == nullptr) {
      if (config_.create_schema) {
        Add(Severity::kOk, subject, "will be created");
      } else {
        Add(Severity::kError, subject, "is missing", "create it, or set create_schema: true");
      }
      return absl::OkStatus();
    }
    const size_t before = findings.size();
    for (TableProblem& problem : ComparePlan(plan, *target, config_)) {
      Add(problem.is_fatal ? Severity::kError : Severity::kWarning, subject,
          std::move(problem.problem), std::move(problem.remedy));
    }
    PGFLOW_ASSIGN_OR_RETURN(const bool readable, CheckPrivileges(*target, subject));
    if (readable && config_.on_existing_rows == ExistingRows::kRefuse) {
      PGFLOW_ASSIGN_OR_RETURN(const std::vector<TargetTablePtr> filled,
                              TablesWithRows(*session_.connection, {&target, 1}, stop_));
      if (!filled.empty()) {
        Add(Severity::kWarning, subject,
            "holds rows already, which a first snapshot refuses (a pipeline that ran before goes "
            "on)",
            "empty it, or set on_existing_rows to truncate or append");
      }
    }
    if (findings.size() == before) Add(Severity::kOk, subject, "fits");
    return absl::OkStatus();
  }

  absl::StatusOr<bool> CheckPrivileges(const TargetTable& target, const std::string& subject) {
    PGFLOW_ASSIGN_OR_RETURN(
        const postgres::Result answer,
        Ask(fmt::format("SELECT string_agg(p, ', '), bool_or(p = 'SELECT'), current_user"
                        " FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) p"
                        " WHERE NOT has_table_privilege({}::oid, p)",
                        target.oid)));
    if (answer.is_null(0, 0)) return true;
    const std::string missing = answer.text(0, 0);
    Add(Severity::kError, subject, fmt::format("the role lacks {}", missing),
        fmt::format("GRANT {} ON {} TO {}", missing, schemas::QuoteTable(target.name),
                    schemas::QuoteIdentifier(answer.at(0, 2))));
    return !answer.boolean(0, 1);
  }

  TargetSession session_;
  const PostgresSinkConfig& config_;
  std::stop_token stop_;
};

}  // namespace

absl::StatusOr<std::vector<Finding>> CheckTarget(const PostgresSinkConfig& config,
                                                 const schemas::DatabaseDefinition& definition,
                                                 std::span<const TablePlan> tables,
                                                 std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(
      TargetSession session,
      OpenTargetSession(config.url.value(), SessionJob::kLane, "pgflow check", "", stop));
  Preflight preflight(std::move(session), config, std::move(stop));
  PGFLOW_RETURN_IF_ERROR(preflight.Run(definition, tables));
  return std::move(preflight.findings);
}

}  // namespace pgflow::sinks
