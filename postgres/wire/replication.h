// The frames of a replication stream: what is inside CopyData while START_REPLICATION runs.
//
// Written from "Streaming Replication Protocol" in the PostgreSQL manual. Pure functions of bytes;
// views point into the frame. Errors: kDataLoss for a malformed frame.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include "postgres/types/lsn.h"

namespace pgflow::postgres {

// Microseconds since 2000-01-01 UTC, as Postgres counts. Any value is safe.
absl::Time TimeFromWire(int64_t microseconds);
int64_t TimeToWire(absl::Time time);

struct XLogData {  // 'w'
  Lsn start;       // Of the WAL that this message tells of; 0 for messages without a place.
  Lsn server_end;  // End of WAL on the server (of what was sent, for pgoutput).
  absl::Time send_time;
  std::string_view message;  // For DecodePgoutput.
};

struct PrimaryKeepalive {  // 'k'
  Lsn server_end;
  absl::Time send_time;
  bool reply_requested = false;  // The server ends the connection unless we answer soon.
};

using ReplicationFrame = std::variant<XLogData, PrimaryKeepalive>;

absl::StatusOr<ReplicationFrame> DecodeReplicationFrame(std::string_view frame);

struct StandbyStatus {  // 'r'
  Lsn written;
  Lsn flushed;  // What the slot's confirmed_flush_lsn becomes. Never ahead of what is durable.
  Lsn applied;
  absl::Time send_time;
  bool reply_requested = false;
};

std::string EncodeStandbyStatus(const StandbyStatus& status);

}  // namespace pgflow::postgres
