#include "postgres/client/connection.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <future>
#include <thread>

#include <absl/time/clock.h>

#include "base/log.h"
#include "base/status.h"
#include "postgres/client/connection_url.h"
#include "postgres/client/session.h"
#include "postgres/types/sql_state.h"

namespace pgflow::postgres {
namespace {

// With TLS, decrypted bytes may wait inside the TLS library where poll() cannot see them, so waits
// are cut into slices of this length.
constexpr absl::Duration kTlsPollSlice = absl::Milliseconds(20);
// A server that is there takes a request to cancel in a millisecond.
constexpr absl::Duration kCancelPatience = absl::Milliseconds(500);

void LogNotice(void* /*argument*/, const PGresult* result) {
  const char* text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
  if (text != nullptr) base::LogDebug("server notice: {}", text);
}

bool Contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

// libpq gives no SQLSTATE for a refused connection, only the text.
absl::StatusCode CodeOfRefusal(std::string_view message) {
  for (const std::string_view part :
       {"authentication failed", "pg_hba.conf", "no password supplied", "certificate"}) {
    if (Contains(message, part)) return absl::StatusCode::kUnauthenticated;
  }
  for (const std::string_view part :
       {"permission denied", "not permitted to log in", "must be superuser or replication role",
        "REPLICATION attribute"}) {
    if (Contains(message, part)) return absl::StatusCode::kPermissionDenied;
  }
  if (Contains(message, "FATAL:") && Contains(message, "does not exist")) {
    return absl::StatusCode::kFailedPrecondition;
  }
  return absl::StatusCode::kUnavailable;
}

std::string_view RemedyOfRefusal(absl::StatusCode code, bool replication) {
  switch (code) {
    case absl::StatusCode::kPermissionDenied:
      return replication ? " (ALTER ROLE <role of the url> REPLICATION)" : "";
    case absl::StatusCode::kUnauthenticated:
      return " (check user and password of the url, and the server's pg_hba.conf)";
    case absl::StatusCode::kUnavailable:
      return " (check host and port of the url, and that the server runs)";
    case absl::StatusCode::kFailedPrecondition:
      return " (check user and database name of the url)";
    default:
      return "";
  }
}

std::string Trimmed(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
  return std::string(text);
}

std::string SetCommand(std::string_view name, std::string_view literal) {
  return fmt::format("SET {} = {};", name, literal);
}

}  // namespace

Connection::Session::Session() : wake_fd(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}

Connection::Session::~Session() {
  if (wake_fd >= 0) close(wake_fd);
}

void Connection::Session::Bind(std::span<const Parameter> parameters) {
  values.clear();
  lengths.clear();
  formats.clear();
  for (const Parameter& parameter : parameters) {
    values.push_back(parameter.bytes);
    lengths.push_back(static_cast<int>(parameter.size));
    formats.push_back(parameter.binary ? 1 : 0);
  }
}

void Result::Clear(pg_result* result) { PQclear(result); }
int Result::row_count() const { return PQntuples(result_.get()); }
int Result::column_count() const { return PQnfields(result_.get()); }
bool Result::is_null(int row, int column) const {
  return PQgetisnull(result_.get(), row, column) != 0;
}
std::string_view Result::at(int row, int column) const {
  const char* value = PQgetvalue(result_.get(), row, column);
  if (value == nullptr) return {};
  return {value, static_cast<size_t>(PQgetlength(result_.get(), row, column))};
}
int64_t Result::integer(int row, int column) const {
  if (is_null(row, column)) return 0;
  return std::strtoll(PQgetvalue(result_.get(), row, column), nullptr, 10);
}
int64_t Result::affected_rows() const {
  return std::strtoll(PQcmdTuples(result_.get()), nullptr, 10);
}
std::string_view Result::command_tag() const { return PQcmdStatus(result_.get()); }

Connection::Connection(pg_conn* connection)
    : connection_(connection), session_(std::make_unique<Session>()) {}

Connection::~Connection() {
  if (copy_message_ != nullptr) PQfreemem(copy_message_);
  // A backend that waits for a lock does not see that its client left and would keep its own locks.
  if (!session_->replication && !session_->given_up && PQstatus(connection_) == CONNECTION_OK &&
      PQtransactionStatus(connection_) == PQTRANS_ACTIVE) {
    Cancel();
  }
  PQfinish(connection_);
}

absl::StatusOr<std::unique_ptr<Connection>> Connection::Connect(const ConnectOptions& options,
                                                                std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(const ConnectionUrl url, ConnectionUrl::Parse(options.url));
  // Later keywords win: the url may change what stands before "dbname", not what stands behind it.
  std::vector<std::pair<const char*, const char*>> keywords = {
      {"keepalives", "1"},         {"keepalives_idle", "10"},     {"keepalives_interval", "5"},
      {"keepalives_count", "4"},   {"tcp_user_timeout", "60000"}, {"dbname", options.url.c_str()},
      {"client_encoding", "UTF8"},
  };
  if (!options.host.empty()) keywords.emplace_back("host", options.host.c_str());
  if (!options.port.empty()) keywords.emplace_back("port", options.port.c_str());
  if (options.replication) keywords.emplace_back("replication", "database");
  if (!options.application_name.empty()) {
    keywords.emplace_back("application_name", options.application_name.c_str());
  }
  std::vector<const char*> names;
  std::vector<const char*> values;
  for (const auto& [name, value] : keywords) {
    names.push_back(name);
    values.push_back(value);
  }
  names.push_back(nullptr);
  values.push_back(nullptr);
  PGconn* handle = PQconnectStartParams(names.data(), values.data(), 1);
  if (handle == nullptr) {
    return absl::ResourceExhaustedError("no memory for a connection");
  }
  std::unique_ptr<Connection> connection(new Connection(handle));
  connection->session_->options = options;
  connection->session_->stop = stop;
  PGFLOW_RETURN_IF_ERROR(connection->FinishConnecting(options, url, stop));
  PGFLOW_RETURN_IF_ERROR(connection->ApplySettings(options, stop));
  return connection;
}

absl::Status Connection::FinishConnecting(const ConnectOptions& options, const ConnectionUrl& url,
                                          std::stop_token stop) {
  session_->replication = options.replication;
  if (session_->wake_fd < 0) return absl::ResourceExhaustedError("no file descriptor left");
  PQsetNoticeReceiver(connection_, &LogNotice, nullptr);
  const absl::Time deadline = absl::Now() + options.connect_timeout;
  PostgresPollingStatusType state = PGRES_POLLING_WRITING;
  while (state != PGRES_POLLING_OK) {
    if (PQstatus(connection_) == CONNECTION_BAD || state == PGRES_POLLING_FAILED) {
      const std::string_view message = PQerrorMessage(connection_);
      const absl::StatusCode code = PQconnectionNeedsPassword(connection_) != 0
                                        ? absl::StatusCode::kUnauthenticated
                                        : CodeOfRefusal(message);
      return base::MakeStatus(code, "cannot connect to {}: {}{}", url.shown(), url.Explain(message),
                              RemedyOfRefusal(code, options.replication));
    }
    const short events = state == PGRES_POLLING_READING ? POLLIN : POLLOUT;
    PGFLOW_RETURN_IF_ERROR(WaitForSocket(events, deadline, stop));
    if (absl::Now() >= deadline) {
      return base::MakeStatus(absl::StatusCode::kUnavailable,
                              "cannot connect to {}: no answer within {} s{}", url.shown(),
                              absl::ToInt64Seconds(options.connect_timeout),
                              RemedyOfRefusal(absl::StatusCode::kUnavailable, options.replication));
    }
    state = PQconnectPoll(connection_);
  }
  display_name_ = fmt::format("{}:{}/{} as {}", PQhost(connection_), PQport(connection_),
                              PQdb(connection_), PQuser(connection_));
  session_->cancel = std::shared_ptr<PGcancel>(PQgetCancel(connection_), &PQfreeCancel);
  if (PQsetnonblocking(connection_, 1) != 0) return BrokenConnection("set up");
  return absl::OkStatus();
}

absl::Status Connection::ApplySettings(const ConnectOptions& options, std::stop_token stop) {
  // What could change the text of a value or how it is read, hide rows, or end a session that
  // waits. Role and database defaults (ALTER ROLE ... SET) would otherwise apply to ours too.
  std::string sql =
      "SET client_encoding = 'UTF8';SET DateStyle = 'ISO, YMD';SET IntervalStyle = 'postgres';"
      "SET TimeZone = 'UTC';SET extra_float_digits = 3;SET bytea_output = 'hex';"
      "SET search_path = pg_catalog;SET standard_conforming_strings = on;SET row_security = off;"
      "SET lc_monetary = 'C';SET array_nulls = on;SET xmloption = content;"
      "SET transform_null_equals = off;SET quote_all_identifiers = off;"
      "SET default_transaction_read_only = off;SET default_transaction_deferrable = off;"
      "SET default_transaction_isolation = 'read committed';"
      "SET statement_timeout = 0;SET lock_timeout = 0;"
      "SET idle_in_transaction_session_timeout = 0;";
  if (server_version() >= 140000) sql += SetCommand("idle_session_timeout", "0");
  if (server_version() >= 170000) sql += SetCommand("transaction_timeout", "0");
  for (const auto& [name, value] : options.settings) sql += SetCommand(name, QuoteLiteral(value));
  sql += "SELECT pg_backend_pid()";
  // As quick as connecting.
  session_->options.answer_timeout = std::min(options.answer_timeout, options.connect_timeout);
  absl::StatusOr<Result> result = Execute(sql, std::move(stop));
  session_->options.answer_timeout = options.answer_timeout;
  if (!result.ok()) {
    return base::Annotate(result.status(), fmt::format("set up the session at {}", display_name_));
  }
  session_->pid_is_real = result->row_count() == 1 && result->integer(0, 0) == backend_pid();
  return absl::OkStatus();
}

int Connection::server_version() const { return PQserverVersion(connection_); }
int Connection::backend_pid() const { return PQbackendPID(connection_); }
bool Connection::healthy() const {
  return PQstatus(connection_) == CONNECTION_OK && !session_->given_up && !session_->interrupted;
}

bool Connection::in_transaction() const {
  const PGTransactionStatusType status = PQtransactionStatus(connection_);
  return status == PQTRANS_INTRANS || status == PQTRANS_INERROR;
}

bool Connection::StillThere() {
  // Twice: the first call may read the server's last words, the second one the end behind them.
  return PQconsumeInput(connection_) != 0 && PQconsumeInput(connection_) != 0 && healthy();
}

absl::Status Connection::WaitForSocket(short events, absl::Time deadline,
                                       const std::stop_token& given, bool* is_ready) {
  const std::stop_token& stop = given.stop_possible() ? given : session_->stop;
  const int wake_fd = session_->wake_fd;
  // Runs at once when the stop has already come.
  std::stop_callback wake(stop, [wake_fd] {
    const uint64_t one = 1;
    if (write(wake_fd, &one, sizeof(one)) < 0) return;  // Full: readable already.
  });
  if (PQsslInUse(connection_) != 0) deadline = std::min(deadline, absl::Now() + kTlsPollSlice);
  while (true) {
    pollfd sockets[2] = {{PQsocket(connection_), events, 0}, {wake_fd, POLLIN, 0}};
    int timeout = -1;
    if (deadline != absl::InfiniteFuture()) {
      const absl::Duration left = std::max(deadline - absl::Now(), absl::ZeroDuration());
      timeout = static_cast<int>(
          std::min<int64_t>(absl::ToInt64Milliseconds(left + absl::Microseconds(999)), 60'000));
    }
    const int ready = poll(sockets, 2, timeout);
    if (ready < 0 && errno != EINTR) {
      return base::MakeStatus(absl::StatusCode::kUnavailable, "poll: {}", std::strerror(errno));
    }
    if (sockets[1].revents != 0 && ready > 0) {
      uint64_t count = 0;
      if (read(wake_fd, &count, sizeof(count)) < 0) count = 0;
      if (stop.stop_requested()) return absl::CancelledError("stopped");
      continue;  // Left over from an earlier wait's token.
    }
    if (is_ready != nullptr) *is_ready = ready > 0;
    if (ready > 0 || (ready == 0 && absl::Now() >= deadline)) return absl::OkStatus();
  }
}

absl::Status Connection::Flush(const std::stop_token& stop) {
  Silence silence;
  while (true) {
    const int pending = PQflush(connection_);
    if (pending < 0) return BrokenConnection("send");
    if (pending == 0) {
      session_->unflushed_bytes = 0;
      return absl::OkStatus();
    }
    // Taking results in while sending: else the server blocks on its answers and we on it.
    PGFLOW_RETURN_IF_ERROR(WaitForServer(POLLIN | POLLOUT, silence, stop));
    if (PQconsumeInput(connection_) == 0) return BrokenConnection("send");
  }
}

absl::Status Connection::WaitForResult(const std::stop_token& stop) {
  Silence silence;
  while (PQisBusy(connection_) != 0) {
    const int pending = PQflush(connection_);
    if (pending < 0) return BrokenConnection("send");
    if (pending == 0) session_->unflushed_bytes = 0;
    const short events = pending > 0 ? POLLIN | POLLOUT : POLLIN;
    PGFLOW_RETURN_IF_ERROR(WaitForServer(events, silence, stop));
    if (PQconsumeInput(connection_) == 0) return BrokenConnection("read the answer");
  }
  return absl::OkStatus();
}

absl::StatusOr<pg_result*> Connection::TakeResult(const std::stop_token& stop) {
  const absl::Status waited = WaitForResult(stop);
  if (waited.ok()) return PQgetResult(connection_);
  session_->interrupted |= waited.code() == absl::StatusCode::kCancelled;
  return waited;
}

// All results of one statement string: the first error, else the last result.
absl::StatusOr<Result> Connection::CollectResults(const std::stop_token& stop) {
  Result last(nullptr);
  absl::Status error;
  while (true) {
    PGFLOW_ASSIGN_OR_RETURN(pg_result * raw, TakeResult(stop));
    if (raw == nullptr) break;
    last = Result(raw);
    const ExecStatusType status = PQresultStatus(raw);
    if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH) {
      return absl::InternalError("a COPY was started where none was expected");
    }
    const bool failed = status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE;
    if (failed && error.ok()) error = ErrorOf(raw);
  }
  if (!error.ok()) return error;
  if (last.raw() == nullptr) return BrokenConnection("read the answer");
  return last;
}

absl::StatusOr<Result> Connection::Execute(const std::string& sql, std::stop_token stop) {
  if (PQsendQuery(connection_, sql.c_str()) == 0) return BrokenConnection("send a statement");
  return CollectResults(stop);
}

absl::StatusOr<Result> Connection::ExecuteParams(const std::string& sql,
                                                 std::span<const Parameter> parameters,
                                                 std::stop_token stop) {
  session_->Bind(parameters);
  if (PQsendQueryParams(connection_, sql.c_str(), static_cast<int>(parameters.size()), nullptr,
                        session_->values.data(), session_->lengths.data(), session_->formats.data(),
                        0) == 0) {
    return BrokenConnection("send a statement");
  }
  return CollectResults(stop);
}

absl::Status Connection::Prepare(const std::string& name, const std::string& sql,
                                 std::span<const Oid> types, std::stop_token stop) {
  if (PQsendPrepare(connection_, name.c_str(), sql.c_str(), static_cast<int>(types.size()),
                    types.data()) == 0) {
    return BrokenConnection("prepare a statement");
  }
  return CollectResults(stop).status();
}

absl::StatusOr<Result> Connection::ExecutePrepared(const std::string& name,
                                                   std::span<const Parameter> parameters,
                                                   std::stop_token stop) {
  session_->Bind(parameters);
  if (PQsendQueryPrepared(connection_, name.c_str(), static_cast<int>(parameters.size()),
                          session_->values.data(), session_->lengths.data(),
                          session_->formats.data(), 0) == 0) {
    return BrokenConnection("send a statement");
  }
  return CollectResults(stop);
}

absl::StatusOr<Result> Connection::ExecuteKept(const std::string& sql,
                                               std::span<const Parameter> parameters,
                                               std::stop_token stop) {
  auto kept = session_->kept.find(sql);
  if (kept == session_->kept.end()) {
    std::string name = fmt::format("pgflow_kept_{}", session_->kept.size());
    PGFLOW_RETURN_IF_ERROR(Prepare(name, sql, {}, stop));
    kept = session_->kept.emplace(sql, std::move(name)).first;
  }
  return ExecutePrepared(kept->second, parameters, std::move(stop));
}

absl::Status Connection::DeallocateAll(std::stop_token stop) {
  session_->kept.clear();
  return Execute("DEALLOCATE ALL", std::move(stop)).status();
}

std::string Connection::QuoteLiteral(std::string_view text) const {
  char* quoted = PQescapeLiteral(connection_, text.data(), text.size());
  if (quoted == nullptr) return "NULL";  // Not valid UTF-8: no literal can hold it.
  std::string literal(quoted);
  PQfreemem(quoted);
  return literal;
}

void Connection::Cancel() {
  if (session_->cancel == nullptr) return;
  // libpq connects anew for it and waits for the server to hang up, for ever where that hangs: so a
  // thread of its own, which is left behind when it takes too long.
  auto sent = std::make_shared<std::promise<std::string>>();
  std::future<std::string> outcome = sent->get_future();
  std::thread([sent, cancel = session_->cancel] {
    char error[256] = "";
    const bool done = PQcancel(cancel.get(), error, sizeof(error)) != 0;
    sent->set_value(done ? std::string() : Trimmed(error));
  }).detach();
  if (outcome.wait_for(absl::ToChronoMilliseconds(kCancelPatience)) != std::future_status::ready) {
    base::LogDebug("cancel at {}: no answer", display_name_);
  } else if (const std::string error = outcome.get(); !error.empty()) {
    base::LogDebug("cancel at {}: {}", display_name_, error);
  }
}

}  // namespace pgflow::postgres
