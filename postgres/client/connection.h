// Connection: one session of a Postgres server. The only folder that knows libpq.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include "postgres/types/oid.h"

struct pg_conn;
struct pg_result;

namespace pgflow::postgres {

class ConnectionUrl;

struct ConnectOptions {
  std::string url;                 // A libpq URI or keyword string; may hold a password.
  std::string application_name{};  // Shows in pg_stat_activity.
  bool replication = false;        // A walsender session (replication=database).
  absl::Duration connect_timeout = absl::Seconds(10);
  // How long an answer may let wait for its next byte. Infinite: for as long as the server works
  // for us, which a second connection asks it now and then (liveness.cc).
  absl::Duration answer_timeout = absl::InfiniteDuration();
  std::string host{};  // Instead of the url's.
  std::string port{};
  // SET for the session, after the ones that every session of ours gets (see connection.cc: time
  // zone, DateStyle, search_path, timeouts and the rest that could change values or end sessions).
  std::vector<std::pair<std::string, std::string>> settings{};
};

// One parameter of a statement; points to the caller's bytes until the call returns.
struct Parameter {
  const char* bytes = nullptr;  // Null pointer: SQL NULL. Text must not need a terminating zero.
  uint32_t size = 0;
  bool binary = false;

  static Parameter Null() { return {}; }
  // `text` must be zero-terminated behind its end (libpq reads text parameters as C strings).
  static Parameter Text(const std::string& text) {
    return {text.c_str(), static_cast<uint32_t>(text.size()), false};
  }
  static Parameter Binary(std::string_view bytes) {
    return {bytes.data() == nullptr ? "" : bytes.data(), static_cast<uint32_t>(bytes.size()), true};
  }
};

// The rows that a statement gave. Move-only. Views are valid while it lives.
class Result {
 public:
  explicit Result(pg_result* result) : result_(result, &Clear) {}

  int row_count() const;
  int column_count() const;
  bool is_null(int row, int column) const;
  std::string_view at(int row, int column) const;
  std::string text(int row, int column) const { return std::string(at(row, column)); }
  int64_t integer(int row, int column) const;  // 0 for NULL.
  bool boolean(int row, int column) const { return at(row, column) == "t"; }
  // Rows that INSERT, UPDATE, DELETE, COPY touched.
  int64_t affected_rows() const;
  std::string_view command_tag() const;
  pg_result* raw() const { return result_.get(); }

 private:
  static void Clear(pg_result* result);
  std::unique_ptr<pg_result, void (*)(pg_result*)> result_;
};

// Not thread-safe: one thread at a time (Cancel aside). Every waiting call takes a stop token and
// returns kCancelled soon after a stop; the session is then in the middle of something: destroy it.
// A call without one obeys the token of Connect.
//
// Errors: kUnavailable when the connection is broken, dead or refused (the message names the
// server, never the password); kUnauthenticated, kPermissionDenied, kInvalidArgument, ... by
// CodeOfSqlState, with the SQLSTATE as payload (SqlStateOf) and detail, hint, constraint and table
// in the message.
class Connection {
 public:
  static absl::StatusOr<std::unique_ptr<Connection>> Connect(const ConnectOptions& options,
                                                             std::stop_token stop);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // host:port/database as user.
  const std::string& display_name() const { return display_name_; }
  int server_version() const;  // 150018.
  int backend_pid() const;
  bool healthy() const;         // False after the connection broke.
  bool in_transaction() const;  // A transaction block is open.
  // Between two statements: looks whether the server closed the session meanwhile. Does not wait.
  bool StillThere();
  // From now on; see ConnectOptions.
  void set_answer_timeout(absl::Duration timeout);

  // Simple protocol; may hold several statements (the last one's result is returned).
  absl::StatusOr<Result> Execute(const std::string& sql, std::stop_token stop = {});
  // Extended protocol; results as text.
  absl::StatusOr<Result> ExecuteParams(const std::string& sql,
                                       std::span<const Parameter> parameters,
                                       std::stop_token stop = {});
  absl::Status Prepare(const std::string& name, const std::string& sql,
                       std::span<const Oid> types = {}, std::stop_token stop = {});
  absl::StatusOr<Result> ExecutePrepared(const std::string& name,
                                         std::span<const Parameter> parameters,
                                         std::stop_token stop = {});
  // As ExecuteParams; the server keeps the statement, and soon a plan that is good for any values,
  // until the session ends. For few different texts: they are never forgotten.
  absl::StatusOr<Result> ExecuteKept(const std::string& sql, std::span<const Parameter> parameters,
                                     std::stop_token stop = {});
  // Drops all prepared statements of the session, those kept ones too.
  absl::Status DeallocateAll(std::stop_token stop = {});

  // Pipeline mode: Send... queues (and writes when the buffer is full, taking in results that block
  // the server, so that neither side can deadlock); Sync ends an implicit-transaction segment;
  // after an error the server skips to the next Sync. Results come back in order, one a Send or
  // Sync.
  absl::Status EnterPipeline();
  absl::Status ExitPipeline();
  absl::Status SendPrepare(const std::string& name, const std::string& sql,
                           std::span<const Oid> types = {}, std::stop_token stop = {});
  absl::Status SendPrepared(const std::string& name, std::span<const Parameter> parameters,
                            std::stop_token stop = {});
  absl::Status SendQuery(const std::string& sql, std::span<const Parameter> parameters = {},
                         std::stop_token stop = {});
  absl::Status SendSync(std::stop_token stop = {});
  // The next result. An error status for a failed statement; a statement that was skipped because
  // an earlier one failed gives kSkipped.
  enum class PipelineOutcome { kResult, kSkipped, kSync };
  struct PipelineResult {
    PipelineOutcome outcome;
    Result result;
  };
  absl::StatusOr<PipelineResult> NextResult(std::stop_token stop);

  // COPY ... FROM STDIN. PutCopyData buffers; `bytes` may hold many rows, or parts of one.
  absl::Status BeginCopyIn(const std::string& sql, std::stop_token stop);
  absl::Status PutCopyData(std::string_view bytes, std::stop_token stop);
  // Ends it; the number of rows. With an `abort_reason` the server fails the COPY (an error of
  // ours, reported as OK with 0 rows).
  absl::StatusOr<int64_t> EndCopyIn(std::stop_token stop);
  absl::Status AbortCopyIn(const std::string& abort_reason, std::stop_token stop);

  // COPY ... TO STDOUT, and the replication stream (COPY BOTH).
  absl::Status BeginCopyOut(const std::string& sql, std::stop_token stop);
  // Appends CopyData payloads to `out` until it holds `enough` bytes, nothing more is there without
  // waiting, or the end. Waits for the first one. False: the COPY is over and succeeded.
  absl::StatusOr<bool> ReadCopyRows(std::string& out, uint64_t& row_count, size_t enough,
                                    std::stop_token stop);

  // Starts COPY BOTH with START_REPLICATION.
  absl::Status BeginCopyBoth(const std::string& command, std::stop_token stop);
  // One CopyData payload if one is there without waiting; empty when not. The view is valid until
  // the next call. kUnavailable when the server ended the stream.
  absl::StatusOr<std::string_view> TryReadCopyMessage(const std::stop_token& stop = {});
  // Waits until the socket is readable, the deadline, or a stop.
  absl::Status WaitReadable(absl::Time deadline, std::stop_token stop);
  absl::Status SendCopyMessage(std::string_view payload);

  std::string QuoteLiteral(std::string_view text) const;
  // Ends the running statement, from any thread. Does not wait for a server that does not answer.
  void Cancel();

 private:
  struct Session;
  struct Silence;
  enum class Liveness { kWorks, kWaitsForUs, kUnknown };

  explicit Connection(pg_conn* connection);
  absl::Status FinishConnecting(const ConnectOptions& options, const ConnectionUrl& url,
                                std::stop_token stop);
  absl::Status ApplySettings(const ConnectOptions& options, std::stop_token stop);
  // Sets `ready`, when given, to whether the socket is.
  absl::Status WaitForSocket(short events, absl::Time deadline, const std::stop_token& stop,
                             bool* ready = nullptr);
  // For something that the server has to do; perhaps for a slice of that only.
  absl::Status WaitForServer(short events, Silence& silence, const std::stop_token& stop);
  absl::Status EndSilence(Silence& silence, const std::stop_token& stop);
  Liveness AskForLiveness(const std::stop_token& stop, bool end_if_waiting);
  absl::Status GiveUp(std::string_view why);
  absl::Status Flush(const std::stop_token& stop);
  absl::Status WaitForResult(const std::stop_token& stop);
  absl::StatusOr<pg_result*> TakeResult(const std::stop_token& stop);
  absl::StatusOr<Result> CollectResults(const std::stop_token& stop);
  absl::Status BeginCopy(const std::string& sql, int expected, const std::stop_token& stop);
  absl::Status EndOfCopyStream(const std::stop_token& stop);
  absl::Status AfterSend(int sent, size_t bytes, const std::stop_token& stop);
  absl::Status BrokenConnection(std::string_view action) const;
  absl::Status ErrorOf(const pg_result* result) const;

  pg_conn* connection_;
  std::string display_name_;
  std::unique_ptr<Session> session_;
  char* copy_message_ = nullptr;
};

}  // namespace pgflow::postgres
