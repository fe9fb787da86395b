// Whether the server's log is still the one that was read: a server that was put back to an older
// image of its disk has the same name, timeline and slot, and writes other changes to the same
// places.
//
// Free functions over a connection. Errors: those of the connection.
#pragma once

#include <stop_token>
#include <string>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "postgres/client/connection.h"
#include "postgres/types/lsn.h"
#include "sources/postgres/known_source.h"

namespace pgflow::sources {

// How far it reaches now, without a sample. The timeline is 0 at a standby: that one's log is its
// primary's, and reaches further by itself.
absl::StatusOr<KnownLog> LookAtLog(postgres::Connection& connection, const std::string& slot,
                                   const std::stop_token& stop);

// kFailedPrecondition when `now` lacks what was known, or ends before `reached`, which was
// received. kUnavailable: it is a standby, which may still come to it.
absl::Status CheckLog(const KnownLog& known, const KnownLog& now, postgres::Lsn reached);

// A hash of the bytes of the log before `end`, by a replication session of its own. Empty when the
// server does not give them (any more).
std::string SampleLog(postgres::ConnectOptions options, uint32_t timeline, postgres::Lsn end,
                      const std::stop_token& stop);

// The same as CheckLog, of the place that was sampled.
absl::Status CheckSample(const postgres::ConnectOptions& options, const KnownLog& known,
                         const KnownLog& now, const std::stop_token& stop);

}  // namespace pgflow::sources
