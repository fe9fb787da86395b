// Connection: pipeline mode. Chapter "Pipeline Mode" of libpq's manual.
#include "base/bytes.h"
#include "base/status.h"
#include "postgres/client/connection.h"
#include "postgres/client/session.h"

namespace pgflow::postgres {
namespace {

// libpq writes by itself at 64 KiB, but never waits: beyond this we do, so that its buffer is
// bounded.
constexpr size_t kUnflushedBytesMax = 256 * base::kKiB;

size_t SizeOf(std::span<const Parameter> parameters) {
  size_t size = 32;
  for (const Parameter& parameter : parameters) size += parameter.size + 4;
  return size;
}

}  // namespace

absl::Status Connection::EnterPipeline() {
  if (PQenterPipelineMode(connection_) == 0) return BrokenConnection("enter pipeline mode");
  session_->outstanding = 0;
  return absl::OkStatus();
}

absl::Status Connection::ExitPipeline() {
  // The last statement's end mark (a null result) may not have been taken yet.
  while (PQpipelineStatus(connection_) != PQ_PIPELINE_OFF) {
    if (PQexitPipelineMode(connection_) != 0) break;
    if (session_->outstanding != 0 || PQisBusy(connection_) != 0) {
      return BrokenConnection("leave pipeline mode with results outstanding");
    }
    PQclear(PQgetResult(connection_));
  }
  return absl::OkStatus();
}

absl::Status Connection::AfterSend(int sent, size_t bytes, const std::stop_token& stop) {
  if (sent == 0) return BrokenConnection("send a statement");
  ++session_->outstanding;
  session_->unflushed_bytes += bytes;
  if (session_->unflushed_bytes < kUnflushedBytesMax) return absl::OkStatus();
  return Flush(stop);
}

absl::Status Connection::SendPrepare(const std::string& name, const std::string& sql,
                                     std::span<const Oid> types, std::stop_token stop) {
  return AfterSend(PQsendPrepare(connection_, name.c_str(), sql.c_str(),
                                 static_cast<int>(types.size()), types.data()),
                   sql.size(), stop);
}

absl::Status Connection::SendPrepared(const std::string& name,
                                      std::span<const Parameter> parameters, std::stop_token stop) {
  session_->Bind(parameters);
  return AfterSend(PQsendQueryPrepared(connection_, name.c_str(),
                                       static_cast<int>(parameters.size()), session_->values.data(),
                                       session_->lengths.data(), session_->formats.data(), 0),
                   SizeOf(parameters), stop);
}

absl::Status Connection::SendQuery(const std::string& sql, std::span<const Parameter> parameters,
                                   std::stop_token stop) {
  session_->Bind(parameters);
  return AfterSend(PQsendQueryParams(connection_, sql.c_str(), static_cast<int>(parameters.size()),
                                     nullptr, session_->values.data(), session_->lengths.data(),
                                     session_->formats.data(), 0),
                   sql.size() + SizeOf(parameters), stop);
}

absl::Status Connection::SendSync(std::stop_token stop) {
  return AfterSend(PQpipelineSync(connection_), 5, stop);
}

absl::StatusOr<Connection::PipelineResult> Connection::NextResult(std::stop_token stop) {
  if (session_->outstanding == 0) return absl::InternalError("no result is outstanding");
  while (true) {
    PGFLOW_RETURN_IF_ERROR(WaitForResult(stop));
    pg_result* raw = PQgetResult(connection_);
    if (raw == nullptr) {
      // The mark between the results of two statements.
      if (!healthy()) return BrokenConnection("read the answer");
      continue;
    }
    Result result(raw);
    --session_->outstanding;
    switch (PQresultStatus(raw)) {
      case PGRES_PIPELINE_SYNC:
        return PipelineResult{PipelineOutcome::kSync, std::move(result)};
      case PGRES_PIPELINE_ABORTED:
        return PipelineResult{PipelineOutcome::kSkipped, std::move(result)};
      case PGRES_TUPLES_OK:
      case PGRES_COMMAND_OK:
      case PGRES_EMPTY_QUERY:
        return PipelineResult{PipelineOutcome::kResult, std::move(result)};
      default:
        return ErrorOf(raw);
    }
  }
}

}  // namespace pgflow::postgres
