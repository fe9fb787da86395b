#include "sources/postgres/ddl_capture.h"

#include <vector>

#include <absl/time/clock.h>
#include <fmt/ranges.h>

#include "base/status.h"
#include "sources/postgres/ddl_capture_sql.h"

namespace pgflow::sources {
namespace {

using postgres::Connection;
using postgres::ConnectOptions;
using postgres::Result;

// Identifies the installed script: a comment on its main event trigger. FNV-1a.
std::string Version() {
  uint64_t hash = 14695981039346656037U;
  for (const char c : kDdlCaptureSql) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211U;
  }
  return fmt::format("pgflow DDL capture {:016x}", hash);
}

std::string TextArray(Connection& connection, const std::vector<std::string>& values) {
  std::vector<std::string> quoted;
  quoted.reserve(values.size());
  for (const std::string& value : values) quoted.push_back(connection.QuoteLiteral(value));
  return fmt::format("ARRAY[{}]::text[]", fmt::join(quoted, ", "));
}

absl::StatusOr<bool> Ask(Connection& connection, const std::string& sql,
                         const std::stop_token& stop) {
  PGFLOW_ASSIGN_OR_RETURN(const Result answer, connection.Execute(sql, stop));
  return answer.row_count() > 0 && answer.boolean(0, 0);
}

constexpr std::string_view kIsThere = "SELECT to_regclass('pgflow.capture_pipeline') IS NOT NULL";

// Which tables the pipeline has.
std::string RegisterSql(Connection& connection, const CapturedPipeline& pipeline) {
  std::string sql = fmt::format(
      "INSERT INTO pgflow.capture_pipeline VALUES ({}, {}, {}, {}) ON CONFLICT (pipeline) DO "
      "UPDATE SET publication = excluded.publication, includes = excluded.includes, "
      "excludes = excluded.excludes;",
      connection.QuoteLiteral(pipeline.name), connection.QuoteLiteral(pipeline.publication),
      TextArray(connection, pipeline.filter->IncludeExpressions()),
      TextArray(connection, pipeline.filter->ExcludeExpressions()));
  if (connection.server_version() < 140000) {
    sql += fmt::format("SELECT pgflow.publish_messages({});",
                       connection.QuoteLiteral(pipeline.publication));
  }
  return sql;
}

// Notes the transaction's number if it is the first that is not over.
constexpr const char* kNoteAlone =
    "SELECT set_config('pgflow.installed_by', CASE WHEN pg_snapshot_xmin(pg_current_snapshot())"
    "::text = pg_current_xact_id()::text THEN pg_current_xact_id()::text ELSE '' END, false);";
// Whether this number is the next one behind the so many that were ours, so that no transaction
// that wrote was there meanwhile; a command that only began to has no number yet.
constexpr const char* kWasAlone =
    "SELECT current_setting('pgflow.installed_by') = (pg_current_xact_id()::text::bigint - "
    "{})::text "
    "AND NOT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND "
    "backend_type = 'client backend' AND state <> 'idle' AND pid <> pg_backend_pid())";
// Takes a number also where there is nothing to store.
constexpr const char* kRefreshShare = "SELECT pg_current_xact_id(), pgflow.refresh_share({}, {})";

// One transaction: all of it, or nothing.
absl::Status RunScript(Connection& connection, const std::string& script,
                       const std::stop_token& stop) {
  absl::Status status = connection.Execute("BEGIN; " + script + " COMMIT", stop).status();
  if (!status.ok() && connection.healthy()) {
    connection.Execute("ROLLBACK", stop).status().IgnoreError();
  }
  return status;
}

// What takes longest of a first start with very many tables: two sessions take half of it each. The
// number of transactions that it took.
absl::StatusOr<int> RefreshSideBySide(Connection& connection, const ConnectOptions& options,
                                      const std::stop_token& stop) {
  auto second = Connection::Connect(options, stop);
  // There may be no room for a second one.
  if (!second.ok()) {
    PGFLOW_RETURN_IF_ERROR(connection.Execute(fmt::format(kRefreshShare, 0, 1), stop).status());
    return 1;
  }
  PGFLOW_RETURN_IF_ERROR((*second)->EnterPipeline());
  PGFLOW_RETURN_IF_ERROR((*second)->SendQuery(fmt::format(kRefreshShare, 1, 2), {}, stop));
  PGFLOW_RETURN_IF_ERROR((*second)->SendSync(stop));
  PGFLOW_RETURN_IF_ERROR(connection.Execute(fmt::format(kRefreshShare, 0, 2), stop).status());
  for (int i = 0; i < 2; ++i) PGFLOW_RETURN_IF_ERROR((*second)->NextResult(stop).status());
  return 2;
}

// Waits for those that are under way.
absl::Status AwaitTransactions(Connection& connection, const std::stop_token& stop) {
  PGFLOW_ASSIGN_OR_RETURN(
      const Result now, connection.Execute("SELECT pg_snapshot_xmax(pg_current_snapshot())", stop));
  while (true) {
    PGFLOW_ASSIGN_OR_RETURN(
        const bool over,
        Ask(connection,
            fmt::format("SELECT pg_snapshot_xmin(pg_current_snapshot()) >= '{}'::xid8",
                        now.at(0, 0)),
            stop));
    if (over) return absl::OkStatus();
    if (stop.stop_requested()) return absl::CancelledError("stopped");
    PGFLOW_RETURN_IF_ERROR(connection.WaitReadable(absl::Now() + absl::Milliseconds(50), stop));
  }
}

}  // namespace

absl::StatusOr<CaptureState> ReadCaptureState(Connection& connection,
                                              const CapturedPipeline& pipeline,
                                              const std::stop_token& stop) {
  PGFLOW_ASSIGN_OR_RETURN(const bool there, Ask(connection, std::string(kIsThere), stop));
  if (!there) return CaptureState::kMissing;
  PGFLOW_ASSIGN_OR_RETURN(
      const Result row,
      connection.Execute(
          fmt::format("SELECT t.enabled = 4, t.version = {0}, "
                      "has_table_privilege('pgflow.capture_secret', 'SELECT'), "
                      "p.publication = {1} AND p.includes = {2} AND p.excludes = {3} "
                      "FROM pgflow.capture_pipeline p, "
                      "(SELECT count(*) AS enabled, max(obj_description(oid, 'pg_event_trigger')) "
                      "AS version FROM pg_event_trigger WHERE evtenabled = 'A' AND evtname IN "
                      "('pgflow_capture', 'pgflow_capture_start', 'pgflow_capture_rewrite', "
                      "'pgflow_capture_drop')) t "
                      "WHERE p.pipeline = {4}",
                      connection.QuoteLiteral(Version()),
                      connection.QuoteLiteral(pipeline.publication),
                      TextArray(connection, pipeline.filter->IncludeExpressions()),
                      TextArray(connection, pipeline.filter->ExcludeExpressions()),
                      connection.QuoteLiteral(pipeline.name)),
          stop));
  if (row.row_count() == 0) return CaptureState::kMissing;
  if (!row.boolean(0, 0)) return CaptureState::kDisabled;
  if (row.is_null(0, 1) || !row.boolean(0, 1)) return CaptureState::kOtherVersion;
  if (!row.boolean(0, 2)) return CaptureState::kClosed;
  return row.boolean(0, 3) ? CaptureState::kCurrent : CaptureState::kOtherSelection;
}

absl::Status CaptureObstacle(CaptureState state) {
  std::string_view problem;
  switch (state) {
    case CaptureState::kMissing:
    case CaptureState::kCurrent:
      return absl::OkStatus();
    case CaptureState::kDisabled:
      problem = "its event triggers are disabled or gone";
      break;
    case CaptureState::kOtherVersion:
      problem = "it was made by another version of pgflow";
      break;
    case CaptureState::kClosed:
      return base::MakeStatus(absl::StatusCode::kPermissionDenied,
                              "the source's role may not read the DDL capture; GRANT SELECT ON "
                              "pgflow.capture_secret TO it");
    case CaptureState::kOtherSelection:
      problem = "it is there for other tables than the file selects now";
      break;
  }
  return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                          "the DDL capture on the source cannot be used as it is: {}; let a "
                          "superuser run `pgflow init` with this file, which mends it",
                          problem);
}

absl::StatusOr<engine::Finding> CheckCapture(Connection& connection,
                                             const CapturedPipeline& pipeline,
                                             const std::stop_token& stop) {
  using Severity = engine::Finding::Severity;
  engine::Finding finding;
  finding.subject = "DDL capture";
  PGFLOW_ASSIGN_OR_RETURN(const CaptureState state, ReadCaptureState(connection, pipeline, stop));
  PGFLOW_ASSIGN_OR_RETURN(const bool superuser, MayMakeCapture(connection, stop));
  const absl::Status obstacle = superuser ? absl::OkStatus() : CaptureObstacle(state);
  if (!obstacle.ok()) {
    finding.severity = Severity::kError;
    finding.problem = base::Message(obstacle);
  } else if (state == CaptureState::kCurrent) {
    finding.problem = "event triggers are there";
  } else if (superuser) {
    finding.problem = state == CaptureState::kMissing ? "is made by the first run"
                                                      : "is brought up to date by the next run";
  } else {
    finding.severity = Severity::kWarning;
    finding.problem =
        "the role may not create event triggers: only columns that are added, dropped, renamed or "
        "retyped are replicated";
    finding.remedy = "let a superuser run `pgflow init` once";
  }
  return finding;
}

absl::StatusOr<bool> MayMakeCapture(Connection& connection, const std::stop_token& stop) {
  return Ask(connection, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user", stop);
}

absl::StatusOr<bool> InstallCapture(Connection& connection, const CapturedPipeline& pipeline,
                                    const ConnectOptions* second_session,
                                    const std::stop_token& stop) {
  PGFLOW_ASSIGN_OR_RETURN(const bool there, Ask(connection, std::string(kIsThere), stop));
  std::string script = "SET LOCAL client_min_messages = warning;";
  script += kNoteAlone;
  script += kDdlCaptureSql;
  script +=
      "GRANT USAGE ON SCHEMA pgflow TO PUBLIC; GRANT SELECT ON pgflow.capture_pipeline TO PUBLIC;";
  script += RegisterSql(connection, pipeline);
  // Whoever finds triggers without it makes them again.
  const std::string complete = fmt::format("COMMENT ON EVENT TRIGGER pgflow_capture IS {};",
                                           connection.QuoteLiteral(Version()));
  if (there || second_session == nullptr) {
    PGFLOW_RETURN_IF_ERROR(
        RunScript(connection, script + complete + "SELECT pgflow.refresh();", stop));
    return Ask(connection, fmt::format(kWasAlone, 1), stop);
  }
  PGFLOW_RETURN_IF_ERROR(RunScript(connection, script, stop));
  PGFLOW_ASSIGN_OR_RETURN(const int shares, RefreshSideBySide(connection, *second_session, stop));
  PGFLOW_RETURN_IF_ERROR(connection.Execute(complete, stop).status());
  return Ask(connection, fmt::format(kWasAlone, shares + 2), stop);
}

absl::Status UpdateCapture(Connection& connection, const CapturedPipeline& pipeline,
                           const std::stop_token& stop) {
  // The states are there, and kept by the triggers.
  return RunScript(connection,
                   RegisterSql(connection, pipeline) + "SELECT pgflow.refresh_publications();",
                   stop);
}

absl::StatusOr<bool> MissesChosenTables(Connection& connection, const CapturedPipeline& pipeline,
                                        const std::stop_token& stop) {
  return Ask(connection,
             fmt::format("SELECT EXISTS (SELECT FROM pgflow.chosen(ARRAY(SELECT object FROM "
                         "pgflow.object_state WHERE class = 'pg_class'::regclass "
                         "AND NOT {0} = ANY (publications))) c WHERE c.of_publication = {0})",
                         connection.QuoteLiteral(pipeline.publication)),
             stop);
}

absl::StatusOr<std::string> ReadCaptureSecret(Connection& connection, const std::stop_token& stop) {
  PGFLOW_ASSIGN_OR_RETURN(const Result row,
                          connection.Execute("SELECT secret FROM pgflow.capture_secret", stop));
  if (row.row_count() != 1) {
    return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                            "the DDL capture on the source is damaged; run `pgflow destroy`");
  }
  return row.text(0, 0);
}

absl::Status SettleCapture(Connection& connection, const std::stop_token& stop) {
  while (true) {
    PGFLOW_RETURN_IF_ERROR(AwaitTransactions(connection, stop));
    const absl::StatusOr<Result> stored = connection.Execute(
        "SELECT pgflow.refresh_share(0, 1) > 0, pgflow.refresh_publications()", stop);
    PGFLOW_RETURN_IF_ERROR(base::Annotate(stored.status(), "refresh the DDL capture"));
    // A command that dropped one of these before it could see its state has to be over as well.
    if (!stored->boolean(0, 0)) return absl::OkStatus();
  }
}

absl::Status RemoveCapture(Connection& connection, const std::string& pipeline,
                           const std::stop_token& stop) {
  PGFLOW_ASSIGN_OR_RETURN(const bool there, Ask(connection, std::string(kIsThere), stop));
  if (!there) return absl::OkStatus();
  PGFLOW_ASSIGN_OR_RETURN(
      const bool ours,
      Ask(connection,
          fmt::format("SELECT EXISTS (SELECT FROM pgflow.capture_pipeline WHERE pipeline = {})",
                      connection.QuoteLiteral(pipeline)),
          stop));
  if (!ours) return absl::OkStatus();
  return RunScript(connection,
                   fmt::format("DELETE FROM pgflow.capture_pipeline WHERE pipeline = {}; "
                               "DO $$ BEGIN PERFORM pgflow.remove_capture(); END $$;",
                               connection.QuoteLiteral(pipeline)),
                   stop);
}

}  // namespace pgflow::sources
