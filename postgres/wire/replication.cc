#include "postgres/wire/replication.h"

#include "base/bytes.h"
#include "base/status.h"
#include "postgres/types/epoch.h"

namespace pgflow::postgres {
namespace {

// 2000-01-01 00:00:00 UTC.
constexpr int64_t kEpochUnixSeconds = kEpochDays * 86'400;

absl::Time Epoch() { return absl::FromUnixSeconds(kEpochUnixSeconds); }

}  // namespace

absl::Time TimeFromWire(int64_t microseconds) {
  // Durations saturate where an addition of integers would overflow.
  return Epoch() + absl::Microseconds(microseconds);
}

int64_t TimeToWire(absl::Time time) { return absl::ToInt64Microseconds(time - Epoch()); }

absl::StatusOr<ReplicationFrame> DecodeReplicationFrame(std::string_view frame) {
  base::ByteReader reader(frame);
  const char kind = reader.Read<char>();
  if (kind == 'w') {
    XLogData log;
    log.start = Lsn(reader.Read<uint64_t>());
    log.server_end = Lsn(reader.Read<uint64_t>());
    log.send_time = TimeFromWire(reader.Read<int64_t>());
    if (reader.ok()) {
      log.message = reader.ReadBytes(reader.remaining());
      return ReplicationFrame(log);
    }
  } else if (kind == 'k') {
    PrimaryKeepalive keepalive;
    keepalive.server_end = Lsn(reader.Read<uint64_t>());
    keepalive.send_time = TimeFromWire(reader.Read<int64_t>());
    keepalive.reply_requested = reader.Read<uint8_t>() != 0;
    if (reader.ok() && reader.remaining() == 0) return ReplicationFrame(keepalive);
  }
  return base::MakeStatus(absl::StatusCode::kDataLoss,
                          "replication stream: malformed frame of kind 0x{:02X}, {} bytes",
                          static_cast<uint8_t>(kind), frame.size());
}

std::string EncodeStandbyStatus(const StandbyStatus& status) {
  std::string bytes;
  bytes.reserve(34);
  bytes.push_back('r');
  base::AppendBigEndian(bytes, status.written.value());
  base::AppendBigEndian(bytes, status.flushed.value());
  base::AppendBigEndian(bytes, status.applied.value());
  base::AppendBigEndian(bytes, TimeToWire(status.send_time));
  bytes.push_back(status.reply_requested ? 1 : 0);
  return bytes;
}

}  // namespace pgflow::postgres
