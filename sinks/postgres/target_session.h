// TargetSession: one connection to the target, set up for one of the sink's jobs.
#pragma once

#include <memory>
#include <stop_token>
#include <string>
#include <string_view>

#include <absl/status/statusor.h>

#include "postgres/client/connection.h"
#include "sinks/postgres/flush_tracker.h"

namespace pgflow::sinks {

enum class SessionJob {
  kApply,       // The stream: bulk statements by key, commits that are flushed later.
  kLane,        // Snapshot rows.
  kCheckpoint,  // The checkpoint tables and the catalog.
};

// Plain owner; destroyed before it can be reopened. Rules of Connection.
struct TargetSession {
  std::unique_ptr<postgres::Connection> connection;
  // session_replication_role = replica: ordinary triggers and foreign keys do not fire.
  bool replica_role = false;
  bool has_origin = false;
  WalLayout wal;  // Of a session that applies.
};

// `origin` is the name of the replication origin that marks our changes; empty: none.
// kUnavailable: the server cannot be reached, or another session has the origin.
absl::StatusOr<TargetSession> OpenTargetSession(const std::string& url, SessionJob job,
                                                const std::string& application_name,
                                                const std::string& origin, std::stop_token stop);

// The application_name of a sink's session, no longer than the server keeps; `role` says which of
// them, and is empty for the one that applies the stream.
std::string SessionName(const std::string& pipeline, const std::string& sink,
                        std::string_view role);

// Ends all other sessions of that sink, ours or of another process.
absl::Status EndSinkSessions(postgres::Connection& connection, const std::string& pipeline,
                             const std::string& sink, std::stop_token stop);

// For sessions of which there are several: marks what this one writes with the first free one of
// the origins `origin`_snapshot_1, `origin`_snapshot_2, ... Only where somebody decodes the
// database: origins are as scarce as slots. A warning when the role may not.
absl::Status TakeFreeOrigin(TargetSession& session, const std::string& origin,
                            std::stop_token stop);

// Removes `origin` and the origins that TakeFreeOrigin made of it, which sessions that just ended
// may hold for a moment. Those that somebody may still need stay; a warning where it fails.
absl::Status DropOrigins(postgres::Connection& connection, const std::string& origin,
                         std::stop_token stop);

}  // namespace pgflow::sinks
