#include "sources/postgres/wait_report.h"

#include <stop_token>
#include <utility>
#include <vector>

#include <fmt/ranges.h>

#include "base/log.h"
#include "base/pause.h"
#include "base/status.h"

namespace pgflow::sources {
namespace {

using postgres::Connection;
using postgres::Result;

// A prepared transaction has no process that could be named as the blocking one.
absl::StatusOr<std::vector<std::string>> ReadBlockers(Connection& connection, int backend_pid,
                                                      const std::stop_token& stop) {
  PGFLOW_ASSIGN_OR_RETURN(
      const Result rows,
      connection.Execute(
          fmt::format(
              "SELECT format('prepared transaction %L of %I in database %I since %s: COMMIT "
              "PREPARED or ROLLBACK PREPARED ends it', p.gid, p.owner, p.database, "
              "date_trunc('second', p.prepared)) "
              "FROM pg_prepared_xacts p JOIN pg_locks l ON l.transactionid = p.transaction "
              "WHERE l.pid = {0} AND NOT l.granted "
              "UNION ALL SELECT format('process %s (%s, user %s, database %s), whose transaction "
              "began %s and is %s', pid, application_name, usename, datname, "
              "date_trunc('second', xact_start), state) "
              "FROM pg_stat_activity WHERE pid = ANY(pg_blocking_pids({0}))",
              backend_pid),
          stop));
  std::vector<std::string> blockers;
  blockers.reserve(static_cast<size_t>(rows.row_count()));
  for (int row = 0; row < rows.row_count(); ++row) blockers.push_back(rows.text(row, 0));
  return blockers;
}

void Report(const postgres::ConnectOptions& options, int backend_pid, const std::string& what,
            const std::stop_token& stop) {
  std::unique_ptr<Connection> connection;
  for (absl::Duration pause = WaitReport::kPatience; base::Pause(pause, stop);
       pause = WaitReport::kInterval) {
    if (connection == nullptr || !connection->StillThere()) {
      absl::StatusOr<std::unique_ptr<Connection>> opened = Connection::Connect(options, stop);
      if (!opened.ok()) continue;
      connection = *std::move(opened);
    }
    const absl::StatusOr<std::vector<std::string>> blockers =
        ReadBlockers(*connection, backend_pid, stop);
    if (!blockers.ok() || blockers->empty()) continue;
    base::LogInfo("{} still waits for {}", what, fmt::join(*blockers, "; "));
  }
}

}  // namespace

WaitReport::WaitReport(postgres::ConnectOptions options, int backend_pid, std::string what)
    : thread_([options = std::move(options), backend_pid, what = std::move(what)](
                  const std::stop_token& stop) { Report(options, backend_pid, what, stop); }) {}

}  // namespace pgflow::sources
