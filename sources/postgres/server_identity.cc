#include "sources/postgres/server_identity.h"

#include <utility>

#include "base/status.h"
#include "engine/api/promotion.h"

namespace pgflow::sources {

absl::StatusOr<engine::SourceIdentity> ReadServerIdentity(postgres::Connection& connection,
                                                          std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(
      const postgres::Result row,
      connection.Execute(
          fmt::format("SELECT (SELECT system_identifier FROM pg_control_system()), "
                      "current_database(), CASE WHEN pg_is_in_recovery() "
                      "THEN (SELECT timeline_id::bigint FROM pg_control_checkpoint()) ELSE {} END",
                      kWrittenTimelineSql),
          std::move(stop)));
  engine::SourceIdentity identity;
  identity.system_identifier = static_cast<uint64_t>(row.integer(0, 0));
  identity.timeline = static_cast<uint32_t>(row.integer(0, 2));
  identity.database = row.text(0, 1);
  return identity;
}

absl::Status CheckSameServer(postgres::Connection& connection,
                             const engine::SourceIdentity& expected, std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(const engine::SourceIdentity found,
                          ReadServerIdentity(connection, std::move(stop)));
  const bool same = found.system_identifier == expected.system_identifier &&
                    found.timeline == expected.timeline && found.database == expected.database;
  if (same) return absl::OkStatus();
  return engine::AnotherServer(found, expected, connection.display_name());
}

}  // namespace pgflow::sources
