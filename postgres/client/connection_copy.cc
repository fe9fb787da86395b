// Connection: COPY in, out and both ways (the replication stream).
#include <poll.h>

#include <algorithm>

#include "base/bytes.h"
#include "base/status.h"
#include "postgres/client/connection.h"
#include "postgres/client/session.h"
#include "postgres/types/sql_state.h"

namespace pgflow::postgres {
namespace {

// One CopyData message; libpq copies it into its buffer, which keeps that size.
constexpr size_t kCopySlice = 256 * base::kKiB;

}  // namespace

absl::Status Connection::BeginCopy(const std::string& sql, int expected,
                                   const std::stop_token& stop) {
  if (PQsendQuery(connection_, sql.c_str()) == 0) return BrokenConnection("send a statement");
  // Statements before the COPY in the same string (BEGIN; SET ...) give results first.
  while (true) {
    PGFLOW_ASSIGN_OR_RETURN(pg_result * raw, TakeResult(stop));
    if (raw == nullptr) {
      return healthy() ? absl::InternalError("the statement started no COPY")
                       : BrokenConnection("start a COPY");
    }
    Result result(raw);
    const ExecStatusType status = PQresultStatus(raw);
    if (static_cast<int>(status) == expected) return absl::OkStatus();
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) continue;
    absl::Status error = ErrorOf(raw);
    if (healthy()) CollectResults(stop).IgnoreError();  // The end mark; nothing else can come.
    return error;
  }
}

absl::Status Connection::BeginCopyIn(const std::string& sql, std::stop_token stop) {
  return BeginCopy(sql, PGRES_COPY_IN, stop);
}

absl::Status Connection::PutCopyData(std::string_view bytes, std::stop_token stop) {
  while (!bytes.empty()) {
    const std::string_view slice = bytes.substr(0, kCopySlice);
    const int put = PQputCopyData(connection_, slice.data(), static_cast<int>(slice.size()));
    if (put < 0) return BrokenConnection("send COPY rows");
    if (put == 0) {
      PGFLOW_RETURN_IF_ERROR(Flush(stop));
      continue;
    }
    bytes.remove_prefix(slice.size());
    session_->unflushed_bytes += slice.size();
    if (session_->unflushed_bytes >= kCopySlice) PGFLOW_RETURN_IF_ERROR(Flush(stop));
  }
  return absl::OkStatus();
}

absl::StatusOr<int64_t> Connection::EndCopyIn(std::stop_token stop) {
  while (true) {
    const int put = PQputCopyEnd(connection_, nullptr);
    if (put < 0) return BrokenConnection("end a COPY");
    if (put > 0) break;
    PGFLOW_RETURN_IF_ERROR(Flush(stop));
  }
  PGFLOW_ASSIGN_OR_RETURN(const Result result, CollectResults(stop));
  return result.affected_rows();
}

absl::Status Connection::AbortCopyIn(const std::string& abort_reason, std::stop_token stop) {
  while (true) {
    const int put = PQputCopyEnd(connection_, abort_reason.c_str());
    if (put < 0) return BrokenConnection("end a COPY");
    if (put > 0) break;
    PGFLOW_RETURN_IF_ERROR(Flush(stop));
  }
  const absl::Status status = CollectResults(stop).status();
  return healthy() && status.code() != absl::StatusCode::kCancelled ? absl::OkStatus() : status;
}

absl::Status Connection::BeginCopyOut(const std::string& sql, std::stop_token stop) {
  return BeginCopy(sql, PGRES_COPY_OUT, stop);
}

// After PQgetCopyData said that the stream is over: how it ended.
absl::Status Connection::EndOfCopyStream(const std::stop_token& stop) {
  return CollectResults(stop).status();
}

absl::StatusOr<bool> Connection::ReadCopyRows(std::string& out, uint64_t& row_count, size_t enough,
                                              std::stop_token stop) {
  bool any = false;
  bool consumed = false;
  Silence silence;
  while (true) {
    char* row = nullptr;
    const int size = PQgetCopyData(connection_, &row, 1);
    if (size > 0) [[likely]] {
      out.append(row, static_cast<size_t>(size));
      PQfreemem(row);
      ++row_count;
      any = true;
      if (out.size() >= enough) return true;
      continue;
    }
    if (size == -1) {
      PGFLOW_RETURN_IF_ERROR(EndOfCopyStream(stop));
      return false;
    }
    if (size < 0) return BrokenConnection("read COPY rows");
    if (any) return true;
    // A busy server has the next rows in the socket already: poll only after a read in vain.
    if (consumed) PGFLOW_RETURN_IF_ERROR(WaitForServer(POLLIN, silence, stop));
    if (PQconsumeInput(connection_) == 0) return BrokenConnection("read COPY rows");
    consumed = true;
  }
}

absl::Status Connection::BeginCopyBoth(const std::string& command, std::stop_token stop) {
  return BeginCopy(command, PGRES_COPY_BOTH, stop);
}

absl::StatusOr<std::string_view> Connection::TryReadCopyMessage(const std::stop_token& stop) {
  if (copy_message_ != nullptr) {
    PQfreemem(copy_message_);
    copy_message_ = nullptr;
  }
  int size = PQgetCopyData(connection_, &copy_message_, 1);
  if (size == 0) {
    if (PQconsumeInput(connection_) == 0) return BrokenConnection("read the stream");
    size = PQgetCopyData(connection_, &copy_message_, 1);
  }
  if (size > 0) [[likely]]
    return std::string_view(copy_message_, static_cast<size_t>(size));
  if (size == 0) return std::string_view();
  if (size == -1) {
    const absl::Status ended = EndOfCopyStream(stop);
    if (!ended.ok()) return ended;
    return base::MakeStatus(absl::StatusCode::kUnavailable, "the server {} ended the stream",
                            display_name_);
  }
  return BrokenConnection("read the stream");
}

absl::Status Connection::WaitReadable(absl::Time deadline, std::stop_token stop) {
  const int pending = PQflush(connection_);
  if (pending < 0) return BrokenConnection("send");
  const short events = pending > 0 ? POLLIN | POLLOUT : POLLIN;
  return WaitForSocket(events, deadline, stop);
}

absl::Status Connection::SendCopyMessage(std::string_view payload) {
  // What the socket does not take now goes out with the next read or wait.
  if (PQputCopyData(connection_, payload.data(), static_cast<int>(payload.size())) < 0 ||
      PQflush(connection_) < 0) {
    return BrokenConnection("send a status update");
  }
  return absl::OkStatus();
}

}  // namespace pgflow::postgres
