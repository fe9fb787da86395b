// Connection: whether the server still works for us, when it has been silent for long.
//
// A statement may take hours: a lock, a slow disk, the keys of a large table. A connection that is
// dead looks the same, if something in between (a proxy, a tunnel) still acknowledges for it. So
// the server is asked through a second connection what our session does there.
#include <algorithm>

#include <absl/time/clock.h>

#include "base/status.h"
#include "postgres/client/connection.h"
#include "postgres/client/session.h"

namespace pgflow::postgres {
namespace {

constexpr absl::Duration kFirstLook = absl::Seconds(10);
constexpr absl::Duration kLooksApartMax = absl::Minutes(1);
constexpr absl::Duration kSecondLook = absl::Seconds(1);  // The answer may have been on its way.
constexpr absl::Duration kProbeTimeout = absl::Seconds(5);
// Of a server that cannot be asked, either.
constexpr absl::Duration kSilenceMax = absl::Seconds(60);

}  // namespace

void Connection::set_answer_timeout(absl::Duration timeout) {
  session_->options.answer_timeout = timeout;
}

absl::Status Connection::WaitForServer(short events, Silence& silence,
                                       const std::stop_token& stop) {
  const absl::Duration limit = session_->options.answer_timeout;
  if (silence.since == absl::InfinitePast()) {
    silence.since = absl::Now();
    silence.interval = std::min(limit, kFirstLook);
    silence.next_look = silence.since + silence.interval;
  }
  bool ready = false;
  PGFLOW_RETURN_IF_ERROR(WaitForSocket(events, silence.next_look, stop, &ready));
  if (ready) silence = Silence();
  if (ready || absl::Now() < silence.next_look) return absl::OkStatus();
  if (limit == absl::InfiniteDuration()) return EndSilence(silence, stop);
  if (absl::Now() - silence.since >= limit) {
    return GiveUp(fmt::format("no answer within {}", absl::FormatDuration(limit)));
  }
  silence.next_look = silence.since + limit;
  return absl::OkStatus();
}

absl::Status Connection::EndSilence(Silence& silence, const std::stop_token& stop) {
  const Liveness liveness =
      AskForLiveness(stop.stop_possible() ? stop : session_->stop, silence.doubts > 0);
  if (stop.stop_requested()) return absl::CancelledError("stopped");
  const absl::Time now = absl::Now();
  silence.doubts = liveness == Liveness::kWaitsForUs ? silence.doubts + 1 : 0;
  if (silence.doubts > 1) {
    return GiveUp(
        fmt::format("the connection is dead: the server's process {} waits for us, as we for it",
                    backend_pid()));
  }
  if (liveness == Liveness::kWorks) silence.since = now;
  if (now - silence.since >= kSilenceMax) {
    return GiveUp(fmt::format("no answer within {}, nor on a second connection",
                              absl::FormatDuration(kSilenceMax)));
  }
  if (liveness == Liveness::kWorks) {
    silence.interval = std::min(2 * silence.interval, kLooksApartMax);
  }
  silence.next_look = now + (silence.doubts > 0 ? kSecondLook : silence.interval);
  return absl::OkStatus();
}

Connection::Liveness Connection::AskForLiveness(const std::stop_token& stop, bool end_if_waiting) {
  ConnectOptions options;
  options.url = session_->options.url;
  options.application_name = "pgflow watch";
  options.connect_timeout = kProbeTimeout;
  options.answer_timeout = kProbeTimeout;
  // Of several hosts in the url, this one.
  options.host = PQhost(connection_);
  options.port = PQport(connection_);
  absl::StatusOr<std::unique_ptr<Connection>> second = Connect(options, stop);
  if (!second.ok()) {
    // A refusal is an answer, too: no connection is left, say.
    const bool answered = !absl::IsUnavailable(second.status()) ||
                          base::Message(second.status()).find("FATAL:") != std::string_view::npos;
    return answered ? Liveness::kWorks : Liveness::kUnknown;
  }
  const absl::StatusOr<Result> row = (*second)->Execute(
      fmt::format("SELECT coalesce(state, 'active'), coalesce(wait_event_type, '') FROM "
                  "pg_stat_activity WHERE pid = {}",
                  backend_pid()),
      stop);
  if (!row.ok()) return Liveness::kUnknown;
  // Only the server itself knows its processes.
  if (!session_->pid_is_real) return Liveness::kWorks;
  if (row->row_count() == 0) return Liveness::kWaitsForUs;
  const std::string_view state = row->at(0, 0);
  const bool idle = state.substr(0, 4) == "idle";
  if (!idle && row->at(0, 1) != "Client") return Liveness::kWorks;
  if (end_if_waiting) {
    // Its locks and its snapshot would stay for as long as something acknowledges for us.
    const std::string sql = fmt::format("SELECT pg_terminate_backend({})", backend_pid());
    (*second)->Execute(sql, stop).status().IgnoreError();
  }
  return Liveness::kWaitsForUs;
}

absl::Status Connection::GiveUp(std::string_view why) {
  session_->given_up = true;
  return base::MakeStatus(absl::StatusCode::kUnavailable, "{}: {}", display_name_, why);
}

}  // namespace pgflow::postgres
