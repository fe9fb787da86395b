#include "sources/postgres/server_log.h"

#include <algorithm>
#include <utility>
#include <variant>

#include <absl/time/clock.h>

#include "base/crypto/digest.h"
#include "base/log.h"
#include "base/status.h"
#include "postgres/wire/replication.h"
#include "sources/postgres/server_identity.h"

namespace pgflow::sources {
namespace {

using postgres::Connection;
using postgres::Lsn;
using postgres::Result;

// Some records: each has the place of the one before, a transaction's number and a checksum.
constexpr uint64_t kSampleBytes = 512;
constexpr absl::Duration kSamplePatience = absl::Seconds(5);

absl::Status WentBack(std::string_view what) {
  return base::MakeStatus(
      absl::StatusCode::kFailedPrecondition,
      "the source's log is not the one that was read any more: {}. The server was put back to an "
      "older state (a disk image, a file system snapshot): changes that it has lost are in the "
      "targets, and the slot may have skipped new ones. Run `pgflow destroy`, empty the targets "
      "and copy again",
      what);
}

}  // namespace

absl::StatusOr<KnownLog> LookAtLog(Connection& connection, const std::string& slot,
                                   const std::stop_token& stop) {
  PGFLOW_ASSIGN_OR_RETURN(
      const Result row,
      connection.Execute(
          fmt::format("SELECT l.timeline, l.lsn, s.restart_lsn FROM (SELECT "
                      "CASE WHEN pg_is_in_recovery() THEN 0 ELSE {} END AS timeline, "
                      "CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() "
                      "ELSE pg_current_wal_flush_lsn() END AS lsn) l "
                      "LEFT JOIN pg_replication_slots s ON s.slot_name = {}",
                      kWrittenTimelineSql, connection.QuoteLiteral(slot)),
          stop));
  KnownLog log;
  log.timeline = static_cast<uint32_t>(row.integer(0, 0));
  log.end = Lsn::Parse(row.at(0, 1)).value_or(Lsn());
  log.restart = Lsn::Parse(row.at(0, 2)).value_or(Lsn());
  return log;
}

absl::Status CheckLog(const KnownLog& known, const KnownLog& now, Lsn reached) {
  if (now.timeline == 0) {
    if (now.end >= reached) return absl::OkStatus();
    return base::MakeStatus(absl::StatusCode::kUnavailable,
                            "the standby has come to {} only, and {} was received", now.end,
                            reached);
  }
  if (now.end < reached) {
    return WentBack(fmt::format("it ends at {}, and {} was received", now.end, reached));
  }
  if (known.timeline != now.timeline) return absl::OkStatus();  // Nothing known, or a promotion.
  if (now.end < known.end) {
    return WentBack(fmt::format("it ends at {}, and it had come to {}", now.end, known.end));
  }
  if (now.restart.valid() && now.restart < known.restart) {
    return WentBack(fmt::format("the slot begins at {} again, and had moved on to {}", now.restart,
                                known.restart));
  }
  return absl::OkStatus();
}

std::string SampleLog(postgres::ConnectOptions options, uint32_t timeline, Lsn end,
                      const std::stop_token& stop) {
  if (end.value() <= kSampleBytes) return "";
  options.replication = true;
  const auto connection = Connection::Connect(options, stop);
  if (!connection.ok()) return "";
  const absl::Status begun =
      (*connection)
          ->BeginCopyBoth(fmt::format("START_REPLICATION PHYSICAL {} TIMELINE {}",
                                      Lsn(end.value() - kSampleBytes), timeline),
                          stop);
  std::string bytes;
  const absl::Time deadline = absl::Now() + kSamplePatience;
  absl::Status status = begun;
  while (status.ok() && bytes.size() < kSampleBytes && absl::Now() < deadline) {
    const absl::StatusOr<std::string_view> payload = (*connection)->TryReadCopyMessage();
    status = payload.status();
    if (!status.ok()) break;
    if (payload->empty()) {
      status = (*connection)->WaitReadable(deadline, stop);
      continue;
    }
    const auto frame = postgres::DecodeReplicationFrame(*payload);
    status = frame.status();
    if (!status.ok()) break;
    if (const auto* wal = std::get_if<postgres::XLogData>(&*frame)) bytes += wal->message;
  }
  if (bytes.size() < kSampleBytes) {
    base::LogDebug("no sample of the source's log at {}: {}", end, base::Message(status));
    return "";
  }
  return base::Hex(base::Sha256(std::string_view(bytes).substr(0, kSampleBytes)));
}

absl::Status CheckSample(const postgres::ConnectOptions& options, const KnownLog& known,
                         const KnownLog& now, const std::stop_token& stop) {
  if (known.sample.empty() || known.timeline != now.timeline || known.sample_end > now.end) {
    return absl::OkStatus();
  }
  const std::string sample = SampleLog(options, known.timeline, known.sample_end, stop);
  if (sample.empty() || sample == known.sample) return absl::OkStatus();
  return WentBack(fmt::format("something else is written at {} than was", known.sample_end));
}

}  // namespace pgflow::sources
