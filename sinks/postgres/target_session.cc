#include "sinks/postgres/target_session.h"

#include <utility>

#include <absl/time/clock.h>

#include "base/log.h"
#include "base/status.h"
#include "postgres/types/sql_state.h"

namespace pgflow::sinks {
namespace {

constexpr absl::Duration kOriginPatience = absl::Seconds(1);

bool IsRefusal(const absl::Status& status) {
  // 42501: no privilege. 53400: no free max_replication_slots entry. 55000: origins are off.
  const std::string state = postgres::SqlStateOf(status);
  return state == "42501" || state == "53400" || state == "55000";
}

absl::Status TakeReplicaRole(TargetSession& session, const std::stop_token& stop) {
  const absl::Status status =
      session.connection->Execute("SET session_replication_role = replica", stop).status();
  if (!status.ok() && !IsRefusal(status)) return status;
  session.replica_role = status.ok();
  return absl::OkStatus();
}

absl::Status TakeOrigin(TargetSession& session, const std::string& origin,
                        const std::stop_token& stop) {
  const std::string name = session.connection->QuoteLiteral(origin);
  absl::Status status = session.connection
                            ->Execute(fmt::format("SELECT pg_replication_origin_create({0}) WHERE "
                                                  "pg_replication_origin_oid({0}) IS NULL",
                                                  name),
                                      stop)
                            .status();
  // Created by another process just now.
  if (postgres::SqlStateOf(status) == "23505") status = absl::OkStatus();
  // A session of ours that was just closed may still hold it for a moment.
  const absl::Time deadline = absl::Now() + kOriginPatience;
  while (status.ok()) {
    status =
        session.connection
            ->Execute(fmt::format("SELECT pg_replication_origin_session_setup({})", name), stop)
            .status();
    const bool busy = postgres::SqlStateOf(status) == "55006";
    if (!busy || absl::Now() > deadline) break;
    absl::SleepFor(absl::Milliseconds(10));
    status = stop.stop_requested() ? absl::CancelledError("stopped") : absl::OkStatus();
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

}  // namespace

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
    // Durable when COMMIT returns, whatever the database's default.
    options.settings = {{"synchronous_commit", "on"}, {"jit", "off"}};
  }
  TargetSession session;
  PGFLOW_ASSIGN_OR_RETURN(session.connection, postgres::Connection::Connect(options, stop));
  if (job != SessionJob::kCheckpoint) PGFLOW_RETURN_IF_ERROR(TakeReplicaRole(session, stop));
  if (!origin.empty()) PGFLOW_RETURN_IF_ERROR(TakeOrigin(session, origin, stop));
  return session;
}

}  // namespace pgflow::sinks
