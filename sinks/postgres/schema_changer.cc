#include "sinks/postgres/schema_changer.h"

#include <utility>

#include "base/log.h"
#include "base/status.h"
#include "postgres/types/sql_state.h"

namespace pgflow::sinks {
namespace {

// The session is set up for looking rows up by key; building and checking want the planner whole.
constexpr const char* kSettings =
    "SET LOCAL enable_seqscan = on; SET LOCAL enable_hashjoin = on; SET LOCAL enable_mergejoin = "
    "on; SET LOCAL check_function_bodies = off; SET LOCAL maintenance_work_mem = '256MB'; "
    // Pending checks of rows would keep their table from being altered.
    "SET CONSTRAINTS ALL IMMEDIATE";
constexpr const char* kReset =
    "SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = "
    "off";

}  // namespace

absl::Status SchemaChanger::Run(const schemas::DdlScript& script, const std::string& title) {
  for (const std::string& warning : script.warnings) base::LogWarning("{}: {}", title, warning);
  if (script.statements.empty()) return absl::OkStatus();
  PGFLOW_RETURN_IF_ERROR(connection_.Execute(kSettings, stop_).status());
  if (!script.search_path.empty()) {
    PGFLOW_RETURN_IF_ERROR(
        connection_.Execute("SET LOCAL search_path = pg_catalog, " + script.search_path, stop_)
            .status());
  }
  for (const schemas::DdlStatement& statement : script.statements) {
    PGFLOW_ASSIGN_OR_RETURN(const bool done, Ask(statement.skip_when));
    if (done) {
      base::LogDebug("{}: already so on the target: {}", title, statement.sql);
      continue;
    }
    PGFLOW_ASSIGN_OR_RETURN(const bool left_out, Ask(statement.left_out_when));
    if (left_out) {
      base::LogWarning("{}: left out on the target: {} ({})", title, statement.sql,
                       statement.obstacle);
      continue;
    }
    const bool too_old = connection_.server_version() < statement.since;
    if (too_old && !statement.loss.empty()) base::LogWarning("{}: {}", title, statement.loss);
    const std::string& sql = too_old ? statement.older_sql : statement.sql;
    if (sql.empty()) continue;
    PGFLOW_RETURN_IF_ERROR(statement.best_effort ? RunBestEffort(sql, title)
                                                 : RunStatement(sql, title));
  }
  if (!script.search_path.empty()) {
    PGFLOW_RETURN_IF_ERROR(
        connection_.Execute("SET LOCAL search_path = pg_catalog", stop_).status());
  }
  PGFLOW_RETURN_IF_ERROR(connection_.Execute(kReset, stop_).status());
  if (!replica_role_) {
    PGFLOW_RETURN_IF_ERROR(connection_.Execute("SET CONSTRAINTS ALL DEFERRED", stop_).status());
  }
  base::LogInfo("applied {}", title);
  return absl::OkStatus();
}

absl::StatusOr<bool> SchemaChanger::Ask(const std::string& query) {
  if (query.empty()) return false;
  PGFLOW_ASSIGN_OR_RETURN(const postgres::Result answer, connection_.Execute(query, stop_));
  return answer.row_count() > 0 && !answer.is_null(0, 0) && answer.boolean(0, 0);
}

absl::Status SchemaChanger::RunStatement(const std::string& sql, const std::string& title) {
  absl::Status status = connection_.Execute(sql, stop_).status();
  if (status.ok() || base::IsRetryable(status) || status.code() == absl::StatusCode::kCancelled) {
    return base::Annotate(status, title);
  }
  absl::Status refused = base::MakeStatus(
      absl::StatusCode::kFailedPrecondition,
      "{}: the target refused it: {}. The statement was: {}. Nothing of its transaction is "
      "applied; "
      "make the target fit and run again, or apply it by hand and set ddl: report for one run",
      title, base::Message(status), sql);
  base::SetPayload(refused, postgres::kSqlStatePayload, postgres::SqlStateOf(status));
  return refused;
}

absl::Status SchemaChanger::RunBestEffort(const std::string& sql, const std::string& title) {
  PGFLOW_RETURN_IF_ERROR(connection_.Execute("SAVEPOINT pgflow_ddl", stop_).status());
  absl::Status status = connection_.Execute(sql, stop_).status();
  // What passes by itself is no refusal: the whole transaction comes again.
  if (base::IsRetryable(status) || (!status.ok() && postgres::SqlStateOf(status).empty())) {
    return status;
  }
  if (!status.ok()) {
    base::LogWarning("{}: left out on the target: {} ({})", title, sql, base::Message(status));
    PGFLOW_RETURN_IF_ERROR(connection_.Execute("ROLLBACK TO SAVEPOINT pgflow_ddl", stop_).status());
  }
  return connection_.Execute("RELEASE SAVEPOINT pgflow_ddl", stop_).status();
}

}  // namespace pgflow::sinks
