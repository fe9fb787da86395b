// Which server answers: a url may lead to another one after a fail-over.
#pragma once

#include <stop_token>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "engine/api/checkpoint.h"
#include "postgres/client/connection.h"

namespace pgflow::sources {

// An expression: the timeline that a server writes now, which may be later than the one of its last
// checkpoint. It fails in recovery.
inline constexpr const char* kWrittenTimelineSql =
    "('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::bigint";

// Without the slot.
absl::StatusOr<engine::SourceIdentity> ReadServerIdentity(postgres::Connection& connection,
                                                          std::stop_token stop);

// kFailedPrecondition: the session leads to another log than `expected`, so positions of the one
// mean nothing in the other.
absl::Status CheckSameServer(postgres::Connection& connection,
                             const engine::SourceIdentity& expected, std::stop_token stop);

}  // namespace pgflow::sources
