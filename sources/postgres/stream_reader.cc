#include "sources/postgres/stream_reader.h"

#include <algorithm>
#include <chrono>
#include <future>
#include <utility>

#include <absl/time/clock.h>

#include "base/log.h"
#include "base/status.h"
#include "postgres/types/sql_state.h"
#include "postgres/wire/replication.h"
#include "sources/postgres/server_identity.h"

namespace pgflow::sources {
namespace {

using postgres::Lsn;

// A walsender gives up after wal_sender_timeout (60 s by default, a few seconds where somebody set
// it so) without an answer.
constexpr absl::Duration kStatusInterval = absl::Seconds(1);
// An acknowledgement that moved goes out after this: a server that shuts down waits for it.
constexpr absl::Duration kAcknowledgeInterval = absl::Milliseconds(100);
// Where a commit of the source waits for it, it is looked for that often, unless a sink is away.
constexpr absl::Duration kAwaitedInterval = absl::Milliseconds(1);
constexpr absl::Duration kAwaitedPatience = absl::Seconds(5);
// Positions without changes are worth a checkpoint, but not after each foreign transaction.
constexpr absl::Duration kIdleInterval = absl::Milliseconds(100);
// How a shutdown shows: so many requests for an answer in so long. Otherwise there is one each half
// of wal_sender_timeout at most, and none while we answer unasked.
constexpr int kPingsOfShutdown = 20;
constexpr absl::Duration kShutdownPatience = absl::Seconds(3);
// A quiet server is asked so often whether it is there, or twice within its time-out.
constexpr absl::Duration kAskInterval = absl::Seconds(10);
constexpr auto kLookupPatience = std::chrono::milliseconds(100);
// Messages between two looks at the clock.
constexpr int kMessagesPerLook = 256;

int ProtocolVersion(int server_version) {
  if (server_version >= 160000) return 4;
  if (server_version >= 150000) return 3;
  return server_version >= 140000 ? 2 : 1;
}

// What the stream's error means for a pipeline.
absl::Status Explain(const absl::Status& status, const std::string& slot) {
  const std::string state = postgres::SqlStateOf(status);
  const std::string_view message = base::Message(status);
  const auto contains = [&](std::string_view part) {
    return message.find(part) != std::string_view::npos;
  };
  if (state == "55006") {
    absl::Status in_use =
        base::MakeStatus(absl::StatusCode::kUnavailable, "slot {} is in use: {}", slot, message);
    base::SetPayload(in_use, engine::kSlotInUsePayload, "1");
    return in_use;
  }
  // A url that leads to a standby, until that is promoted.
  if (contains("being synchronized from the primary") || contains("while in recovery")) {
    return base::MakeStatus(absl::StatusCode::kUnavailable, "slot {}: {}", slot, message);
  }
  const bool lost = contains("already been removed") || contains("has been invalidated") ||
                    contains("can no longer get changes");
  if (lost) {
    return base::MakeStatus(
        absl::StatusCode::kFailedPrecondition,
        "slot {}: {}. The server no longer has the changes that come next (see "
        "max_slot_wal_keep_size); run `pgflow destroy`, empty the targets and start over with a "
        "new snapshot",
        slot, message);
  }
  if (state == "42704" && contains("replication slot")) {
    return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                            "slot {}: {}. It was dropped while the pipeline ran; changes are lost: "
                            "run `pgflow destroy`, empty the targets and start over",
                            slot, message);
  }
  return base::Annotate(status, fmt::format("stream of slot {}", slot));
}

}  // namespace

absl::StatusOr<schemas::TableSchemaPtr> PatientLookup::Resolve(
    const postgres::RelationMessage& message, const std::optional<OpenTransactionId>& learnt_in) {
  return Await<absl::StatusOr<schemas::TableSchemaPtr>>(
      [&] { return relations_.Resolve(message, learnt_in); });
}

absl::Status PatientLookup::ConfirmDefinitions(std::span<const postgres::Oid> tables) {
  return Await<absl::Status>([&] { return relations_.ConfirmDefinitions(tables); });
}

template <typename Answer>
Answer PatientLookup::Await(std::function<Answer()> ask) {
  auto answer = std::async(std::launch::async, std::move(ask));
  absl::Status waited;
  while (answer.wait_for(kLookupPatience) != std::future_status::ready) {
    if (waited.ok()) waited = while_waiting_();
  }
  PGFLOW_RETURN_IF_ERROR(waited);
  return answer.get();
}

absl::Status StreamReader::Run(std::stop_token stop) {
  absl::Status status = Start(stop);
  if (status.ok()) {
    out_.Started();
    watch_.Begin();
    status = Loop(stop);
    NoteFailure(status);
    // The server forgets what it was sending; so do we.
    out_.Cut();
    options_.backend_pid->store(0);
    if (options_.telemetry != nullptr) options_.telemetry->open_transactions.store(0);
  }
  if (status.code() == absl::StatusCode::kCancelled && stop.stop_requested()) {
    if (connection_ != nullptr && connection_->healthy()) SendStatus(absl::Now()).IgnoreError();
    return status;
  }
  return Explain(status, options_.slot);
}

void StreamReader::NoteFailure(const absl::Status& status) {
  const std::string state = postgres::SqlStateOf(status);
  failed_in_progress_ = (state == "XX000" && SendsInProgress()) ||
                        !base::Payload(status, kStaleDefinitionsPayload).empty();
  // "no binary output function available": of a part of a type that is gone by now.
  if (state == "42883") relations_.RequireText();
}

absl::Status StreamReader::Start(const std::stop_token& stop) {
  PGFLOW_RETURN_IF_ERROR(relations_.Load(options_.slot, options_.publication, stop));
  postgres::ConnectOptions walsender = options_.connect;
  walsender.replication = true;
  PGFLOW_ASSIGN_OR_RETURN(connection_, postgres::Connection::Connect(walsender, stop));
  if (options_.server.has_value()) {
    PGFLOW_RETURN_IF_ERROR(CheckSameServer(*connection_, *options_.server, stop));
  }
  PGFLOW_RETURN_IF_ERROR(watch_.CheckBefore(*connection_, out_.tail().end_lsn, stop));
  if (options_.origin == ChangeOrigin::kNone && !ServerLeavesOutReplicated()) {
    decoder_.LeaveOutReplicated();
  }
  if (!options_.messages.empty()) {
    if (connection_->server_version() < 140000) {
      return base::MakeStatus(
          absl::StatusCode::kFailedPrecondition,
          "messages: logical messages are in the stream from version 14 on, and "
          "the source is older; leave `messages` out");
    }
    decoder_.TakeMessages(options_.messages);
  }
  // Asked: the number that the protocol gives may be a pooler's own.
  PGFLOW_ASSIGN_OR_RETURN(const postgres::Result backend,
                          connection_->Execute("SELECT pg_backend_pid()", stop));
  PGFLOW_RETURN_IF_ERROR(connection_->BeginCopyBoth(StartCommand(), stop));
  options_.backend_pid->store(static_cast<int>(backend.integer(0, 0)));
  base::LogInfo("slot {}: streaming from {} with protocol {}, {} values", options_.slot,
                out_.tail().end_lsn, ProtocolVersion(connection_->server_version()),
                relations_.wants_binary() ? "binary" : "text");
  Hear(absl::Now());
  return SendStatus(absl::Now());
}

bool StreamReader::ServerLeavesOutReplicated() const {
  return connection_->server_version() >= 160000;
}

bool StreamReader::SendsInProgress() const {
  const bool origins_first = options_.origin == ChangeOrigin::kNone && !ServerLeavesOutReplicated();
  return options_.in_progress && connection_->server_version() >= 140000 &&
         !relations_.tells_changes() && !origins_first;
}

std::string StreamReader::StartCommand() const {
  const int version = connection_->server_version();
  const bool own_only = options_.origin == ChangeOrigin::kNone;
  // The server starts at what was confirmed to it, or at our place when that is later.
  std::string command = fmt::format(
      "START_REPLICATION SLOT {} LOGICAL {} (proto_version '{}', publication_names {}",
      schemas::QuoteIdentifier(options_.slot), out_.tail().end_lsn, ProtocolVersion(version),
      schemas::QuoteLiteral(schemas::QuoteIdentifier(options_.publication)));
  if (version >= 140000) {
    command += relations_.wants_binary() ? ", binary 'true'" : "";
    command += ", messages 'true'";
    if (SendsInProgress()) command += ", streaming 'on'";
  }
  if (own_only && ServerLeavesOutReplicated()) command += ", origin 'none'";
  return command + ")";
}

absl::Status StreamReader::Loop(const std::stop_token& stop) {
  while (true) {
    if (stop.stop_requested()) return absl::CancelledError("stopped");
    PGFLOW_RETURN_IF_ERROR(out_.Writable());
    PGFLOW_RETURN_IF_ERROR(watch_.finding());
    if (!out_.HasRoom()) {
      PGFLOW_RETURN_IF_ERROR(WaitForRoom(stop));
      continue;
    }
    const int64_t taken = taken_;
    PGFLOW_RETURN_IF_ERROR(Drain(stop));
    const absl::Time now = absl::Now();
    if (taken_ != taken) Hear(now);
    PGFLOW_RETURN_IF_ERROR(ExpectWord(now));
    PGFLOW_RETURN_IF_ERROR(SendStatusWhenDue(now));
    if (drained_) PGFLOW_RETURN_IF_ERROR(Rest(stop));
  }
}

void StreamReader::Hear(absl::Time now) {
  heard_ = now;
  if (options_.telemetry == nullptr) return;
  options_.telemetry->heard_micros.store(absl::ToUnixMicros(now), std::memory_order_relaxed);
}

// What stands between us and the server may acknowledge for it, though it is gone.
absl::Status StreamReader::ExpectWord(absl::Time now) {
  const absl::Duration quiet = now - heard_;
  const absl::Duration interval = std::min(kAskInterval, options_.receive_timeout / 2);
  if (quiet < interval || now - asked_ < interval) return absl::OkStatus();
  if (quiet >= options_.receive_timeout) {
    return base::MakeStatus(
        absl::StatusCode::kUnavailable,
        "the server has said nothing for {}, though it was asked to: the connection is dead (or "
        "the server too busy; then raise replication.receive_timeout)",
        absl::FormatDuration(quiet));
  }
  asked_ = now;
  return SendStatus(now, /*reply_requested=*/true);
}

absl::Status StreamReader::Drain(const std::stop_token& stop) {
  drained_ = false;
  for (int i = 0; i < kMessagesPerLook; ++i) {
    PGFLOW_ASSIGN_OR_RETURN(const std::string_view frame, connection_->TryReadCopyMessage(stop));
    if (frame.empty()) {
      drained_ = true;
      return decoder_.Flush();
    }
    ++taken_;
    taken_bytes_ += static_cast<int64_t>(frame.size());
    PGFLOW_RETURN_IF_ERROR(TakeFrame(frame));
  }
  return absl::OkStatus();
}

absl::Status StreamReader::TakeFrame(std::string_view frame) {
  PGFLOW_ASSIGN_OR_RETURN(const postgres::ReplicationFrame decoded,
                          postgres::DecodeReplicationFrame(frame));
  engine::SourceTelemetry* telemetry = options_.telemetry;
  if (const auto* wal = std::get_if<postgres::XLogData>(&decoded)) {
    if (telemetry != nullptr) {
      telemetry->server_lsn.store(wal->server_end.value(), std::memory_order_relaxed);
      telemetry->received_lsn.store(wal->start.value(), std::memory_order_relaxed);
    }
    return decoder_.Take(wal->message);
  }
  const auto& keepalive = std::get<postgres::PrimaryKeepalive>(decoded);
  if (telemetry != nullptr) {
    telemetry->server_lsn.store(keepalive.server_end.value(), std::memory_order_relaxed);
  }
  // The server has decoded all WAL up to there, and sent what committed in it.
  if (!decoder_.in_transaction()) {
    idle_lsn_ = std::max(idle_lsn_, keepalive.server_end);
    if (telemetry != nullptr) {
      telemetry->received_lsn.store(keepalive.server_end.value(), std::memory_order_relaxed);
    }
  }
  return keepalive.reply_requested ? AnswerPing(keepalive.server_end) : absl::OkStatus();
}

// A server that shuts down asks again after each answer until everything it sent is acknowledged,
// for ever when a sink is down. After a while we go, so that it can; the rest comes again.
absl::Status StreamReader::AnswerPing(Lsn server_end) {
  const absl::Time now = absl::Now();
  if (server_end != ping_lsn_ || now - status_sent_ >= kStatusInterval) {
    ping_lsn_ = server_end;
    pings_ = 0;
    pings_since_ = now;
  }
  ++pings_;
  if (pings_ >= kPingsOfShutdown && now - pings_since_ >= kShutdownPatience) {
    return absl::UnavailableError("the server shuts down");
  }
  return SendStatus(now);
}

// Nothing is there: tell the position, then wait for more.
absl::Status StreamReader::Rest(const std::stop_token& stop) {
  const absl::Time now = absl::Now();
  PGFLOW_RETURN_IF_ERROR(ReportIdle(now));
  const absl::Duration gather =
      pace_.Rest(now, std::exchange(taken_, 0), std::exchange(taken_bytes_, 0));
  if (gather > absl::ZeroDuration()) {
    absl::SleepFor(gather);
    return absl::OkStatus();
  }
  return connection_->WaitReadable(
      now + (AwaitsSinks(now) ? kAwaitedInterval : kAcknowledgeInterval), stop);
}

bool StreamReader::AwaitsSinks(absl::Time now) const {
  if (!awaited() || now - heard_ > kAwaitedPatience) return false;
  return Lsn(options_.acknowledged->load(std::memory_order_relaxed)) <
         std::max(idle_told_, out_.tail().end_lsn);
}

absl::Status StreamReader::WaitForRoom(const std::stop_token& stop) {
  PGFLOW_RETURN_IF_ERROR(decoder_.Flush());
  out_.WaitForRoom(kAcknowledgeInterval, stop);
  heard_ = absl::Now();  // What it says is not listened to.
  return SendStatusWhenDue(heard_);
}

absl::Status StreamReader::ReportIdle(absl::Time now) {
  if (!decoder_.at_rest()) return absl::OkStatus();
  const Lsn lsn = std::max(idle_lsn_, decoder_.last_end());
  if (lsn <= idle_told_ || lsn <= out_.tail().end_lsn) return absl::OkStatus();
  if (!awaited() && now - idle_reported_ < kIdleInterval) return absl::OkStatus();
  idle_told_ = lsn;
  idle_reported_ = now;
  return out_.Idle(lsn);
}

absl::Status StreamReader::SendStatusWhenDue(absl::Time now) {
  const absl::Duration since = now - status_sent_;
  const bool moved = options_.acknowledged->load(std::memory_order_relaxed) != reported_;
  if (moved && awaited()) return SendStatus(now);
  if (since < (moved ? kAcknowledgeInterval : kStatusInterval)) return absl::OkStatus();
  return SendStatus(now);
}

absl::Status StreamReader::SendStatus(absl::Time now, bool reply_requested) {
  reported_ = options_.acknowledged->load(std::memory_order_relaxed);
  status_sent_ = now;
  const Lsn durable(reported_);
  // "written" too: with it behind, the server sends its position whenever it comes to rest.
  return connection_->SendCopyMessage(
      postgres::EncodeStandbyStatus({.written = durable,
                                     .flushed = durable,
                                     .applied = durable,
                                     .send_time = now,
                                     .reply_requested = reply_requested}));
}

}  // namespace pgflow::sources
