#include "sinks/postgres/target_session.h"

#include <utility>

#include <absl/time/clock.h>

#include "base/log.h"
#include "base/status.h"
#include "postgres/types/sql_state.h"

namespace pgflow::sinks {
namespace {

constexpr absl::Duration kOriginPatience = absl::Milliseconds(500);
constexpr absl::Duration kDropPatience = absl::Seconds(3);
constexpr size_t kSessionNameMax = 63;
constexpr int kFreeOriginsMax = 100;  // More than there are lanes.

bool IsRefusal(const absl::Status& status) {
  // 42501: no privilege. 53400: no free max_replication_slots entry. 55000: origins are off.
  const std::string state = postgres::SqlStateOf(status);
  return state == "42501" || state == "53400" || state == "55000";
}

absl::StatusOr<WalLayout> ReadWalLayout(postgres::Connection& connection,
                                        const std::stop_token& stop) {
  PGFLOW_ASSIGN_OR_RETURN(const postgres::Result sizes,
                          connection.Execute("SELECT current_setting('wal_block_size')::bigint, "
                                             "pg_size_bytes(current_setting('wal_segment_size'))",
                                             stop));
  return WalLayout{.page_bytes = static_cast<uint64_t>(sizes.integer(0, 0)),
                   .segment_bytes = static_cast<uint64_t>(sizes.integer(0, 1))};
}

absl::Status TakeReplicaRole(TargetSession& session, const std::stop_token& stop) {
  const absl::Status status =
      session.connection->Execute("SET session_replication_role = replica", stop).status();
  if (!status.ok() && !IsRefusal(status)) return status;
  session.replica_role = status.ok();
  return absl::OkStatus();
}

absl::Status CreateOrigin(postgres::Connection& connection, const std::string& quoted_name,
                          const std::stop_token& stop) {
  absl::Status status = connection
                            .Execute(fmt::format("SELECT pg_replication_origin_create({0}) WHERE "
                                                 "pg_replication_origin_oid({0}) IS NULL",
                                                 quoted_name),
                                     stop)
                            .status();
  // Created by another process just now.
  return postgres::SqlStateOf(status) == "23505" ? absl::OkStatus() : status;
}

// Tries until `deadline` while another session has the origin.
absl::Status SetUpOrigin(postgres::Connection& connection, const std::string& quoted_name,
                         absl::Time deadline, const std::stop_token& stop) {
  while (true) {
    const absl::Status status =
        connection
            .Execute(fmt::format("SELECT pg_replication_origin_session_setup({})", quoted_name),
                     stop)
            .status();
    const bool busy = postgres::SqlStateOf(status) == "55006";
    if (!busy || absl::Now() > deadline) return status;
    absl::SleepFor(absl::Milliseconds(10));
    if (stop.stop_requested()) return absl::CancelledError("stopped");
  }
}

// Whoever opens a sink holds the slot, so another session of the same sink is a leftover: of a
// process that hangs, or of a connection that only we know is dead. The epoch fences its commits
// off in any case; its hold on the origin has to be ended.
absl::Status EndLeftovers(postgres::Connection& connection, const std::string& application_name,
                          const std::stop_token& stop) {
  return connection
      .Execute(fmt::format("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
                           "application_name = {} AND pid <> pg_backend_pid()",
                           connection.QuoteLiteral(application_name)),
               stop)
      .status();
}

absl::Status TakeOrigin(TargetSession& session, const std::string& origin,
                        const std::string& application_name, const std::stop_token& stop) {
  postgres::Connection& connection = *session.connection;
  const std::string name = connection.QuoteLiteral(origin);
  absl::Status status = CreateOrigin(connection, name, stop);
  if (status.ok()) {
    // A session of ours that was just closed may still hold it for a moment.
    status = SetUpOrigin(connection, name, absl::Now() + kOriginPatience, stop);
  }
  if (postgres::SqlStateOf(status) == "55006") {
    PGFLOW_RETURN_IF_ERROR(EndLeftovers(connection, application_name, stop));
    status = SetUpOrigin(connection, name, absl::Now() + kOriginPatience, stop);
  }
  if (postgres::SqlStateOf(status) == "53400") {
    // The role may, so somebody may rely on it.
    base::LogWarning(
        "no replication origin is free at {}: {}; a pipeline that reads this database with origin: "
        "none takes what is applied for its own. Drop origins that nobody uses "
        "(pg_replication_origin_drop), or raise max_replication_slots (from version 18 on "
        "max_active_replication_origins)",
        session.connection->display_name(), base::Message(status));
    return absl::OkStatus();
  }
  if (IsRefusal(status)) {
    base::LogDebug("no replication origin at {}: {}", session.connection->display_name(),
                   base::Message(status));
    return absl::OkStatus();
  }
  if (!status.ok()) return base::Annotate(status, "replication origin " + origin);
  session.has_origin = true;
  return absl::OkStatus();
}

// Whether somebody reads the changes of this database.
absl::StatusOr<bool> IsDecoded(postgres::Connection& connection, const std::stop_token& stop) {
  PGFLOW_ASSIGN_OR_RETURN(
      const postgres::Result answer,
      connection.Execute("SELECT EXISTS (SELECT FROM pg_replication_slots WHERE slot_type = "
                         "'logical' AND database = current_database())",
                         stop));
  return answer.boolean(0, 0);
}

}  // namespace

std::string SessionName(const std::string& pipeline, const std::string& sink,
                        std::string_view role) {
  std::string name = fmt::format("pgflow {} {}", pipeline, sink);
  if (!role.empty()) name += fmt::format(" {}", role);
  if (name.size() <= kSessionNameMax) return name;
  // The server would cut it, and sinks whose names begin alike would be one.
  uint64_t hash = 14695981039346656037U;  // FNV-1a.
  for (const char c : name) hash = (hash ^ static_cast<uint8_t>(c)) * 1099511628211U;
  const std::string suffix = fmt::format("~{:016x}", hash);
  return name.substr(0, kSessionNameMax - suffix.size()) + suffix;
}

absl::Status EndSinkSessions(postgres::Connection& connection, const std::string& pipeline,
                             const std::string& sink, std::stop_token stop) {
  std::string names;
  for (const std::string_view role : {"", "checkpoint", "tables", "snapshot"}) {
    names += names.empty() ? "" : ", ";
    names += connection.QuoteLiteral(SessionName(pipeline, sink, role));
  }
  return connection
      .Execute(fmt::format("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
                           "application_name IN ({}) AND datname = current_database() AND "
                           "usename = current_user AND pid <> pg_backend_pid()",
                           names),
               std::move(stop))
      .status();
}

absl::Status TakeFreeOrigin(TargetSession& session, const std::string& origin,
                            std::stop_token stop) {
  postgres::Connection& connection = *session.connection;
  PGFLOW_ASSIGN_OR_RETURN(const bool decoded, IsDecoded(connection, stop));
  if (!decoded) return absl::OkStatus();
  absl::Status status;
  for (int i = 1; i <= kFreeOriginsMax; ++i) {
    const std::string name = connection.QuoteLiteral(fmt::format("{}_snapshot_{}", origin, i));
    status = CreateOrigin(connection, name, stop);
    if (status.ok()) status = SetUpOrigin(connection, name, absl::InfinitePast(), stop);
    session.has_origin = status.ok();
    if (postgres::SqlStateOf(status) != "55006") break;
  }
  if (!IsRefusal(status)) return base::Annotate(status, "replication origin of " + origin);
  base::LogWarning(
      "no replication origin at {}: {}; a pipeline that reads this database with origin: none "
      "takes "
      "what is copied now for its own",
      connection.display_name(), base::Message(status));
  return absl::OkStatus();
}

absl::Status DropOrigins(postgres::Connection& connection, const std::string& origin,
                         std::stop_token stop) {
  // Before version 16 who reads the log knows them by their names only.
  PGFLOW_ASSIGN_OR_RETURN(const bool decoded, IsDecoded(connection, stop));
  if (decoded && connection.server_version() < 160000) return absl::OkStatus();
  const std::string of_lanes = connection.QuoteLiteral(origin + "_snapshot_");
  const std::string sql = fmt::format(
      "SELECT pg_replication_origin_drop(roname) FROM pg_replication_origin WHERE roname = {0} OR "
      "starts_with(roname, {1}) AND substr(roname, length({1}) + 1) ~ '^[0-9]+$'",
      connection.QuoteLiteral(origin), of_lanes);
  const absl::Time deadline = absl::Now() + kDropPatience;
  while (true) {
    const absl::Status status = connection.Execute(sql, stop).status();
    if (status.ok() || IsRefusal(status)) return absl::OkStatus();
    if (stop.stop_requested()) return absl::CancelledError("stopped");
    const bool busy = postgres::SqlStateOf(status) == "55006";
    if (!busy || absl::Now() > deadline) {
      base::LogWarning("replication origin {} stays at {}: {}", origin, connection.display_name(),
                       base::Message(status));
      return absl::OkStatus();
    }
    absl::SleepFor(absl::Milliseconds(10));
  }
}

absl::StatusOr<TargetSession> OpenTargetSession(const std::string& url, SessionJob job,
                                                const std::string& application_name,
                                                const std::string& origin, std::stop_token stop) {
  postgres::ConnectOptions options;
  options.url = url;
  options.application_name = application_name;
  if (job == SessionJob::kApply) {
    options.settings = {
        // The acknowledgement waits for the flush (Durable), the commit does not.
        {"synchronous_commit", "off"},
        // Bulk statements look rows up by key: the planner must not think about scanning a table
        // for an array whose size it cannot know.
        {"enable_hashjoin", "off"},
        {"enable_mergejoin", "off"},
        {"enable_seqscan", "off"},
        {"plan_cache_mode", "force_generic_plan"},
        {"jit", "off"},
        {"work_mem", "32MB"},
    };
  } else {
    // Durable when COMMIT returns, whatever the database's default. Not on standbys, as the stream:
    // where source and target are one server, that one may be us.
    options.settings = {{"synchronous_commit", "local"}, {"jit", "off"}};
  }
  TargetSession session;
  PGFLOW_ASSIGN_OR_RETURN(session.connection, postgres::Connection::Connect(options, stop));
  if (job != SessionJob::kCheckpoint) PGFLOW_RETURN_IF_ERROR(TakeReplicaRole(session, stop));
  if (job == SessionJob::kApply) {
    PGFLOW_ASSIGN_OR_RETURN(session.wal, ReadWalLayout(*session.connection, stop));
  }
  if (!origin.empty()) PGFLOW_RETURN_IF_ERROR(TakeOrigin(session, origin, application_name, stop));
  if (job == SessionJob::kApply) {
    PGFLOW_ASSIGN_OR_RETURN(session.wal, ReadWalLayout(*session.connection, stop));
  }
  return session;
}

}  // namespace pgflow::sinks
