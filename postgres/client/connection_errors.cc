// Connection: from libpq's errors to statuses.
#include "base/status.h"
#include "postgres/client/connection.h"
#include "postgres/client/session.h"
#include "postgres/types/sql_state.h"

namespace pgflow::postgres {
namespace {

std::string_view Field(const pg_result* result, int code) {
  const char* text = PQresultErrorField(result, code);
  return text == nullptr ? std::string_view() : std::string_view(text);
}

void AppendField(std::string& message, std::string_view label, std::string_view value) {
  if (!value.empty()) message += fmt::format("; {}: {}", label, value);
}

// On one line; what libpq adds to the server's last words is left out.
std::string OneLine(const char* text) {
  std::string message = text == nullptr ? "" : text;
  if (message.find("FATAL:") != std::string::npos) message = message.substr(0, message.find('\n'));
  std::string line;
  for (const char c : message) {
    const char printed = c == '\n' || c == '\t' ? ' ' : c;
    if (printed != ' ' || (!line.empty() && line.back() != ' ')) line.push_back(printed);
  }
  while (!line.empty() && line.back() == ' ') line.pop_back();
  return line;
}

}  // namespace

absl::Status Connection::BrokenConnection(std::string_view action) const {
  const std::string message = OneLine(PQerrorMessage(connection_));
  // libpq refuses a call in a wrong state without the connection being at fault.
  const absl::StatusCode code =
      healthy() ? absl::StatusCode::kInternal : absl::StatusCode::kUnavailable;
  return base::MakeStatus(code, "cannot {} at {}: {}", action, display_name_,
                          message.empty() ? "the connection was closed" : message);
}

absl::Status Connection::ErrorOf(const pg_result* result) const {
  const std::string_view state = Field(result, PG_DIAG_SQLSTATE);
  if (state.empty()) {
    // Made by libpq itself: the connection broke while we waited for the answer.
    return base::MakeStatus(PQstatus(connection_) == CONNECTION_OK ? absl::StatusCode::kInternal
                                                                   : absl::StatusCode::kUnavailable,
                            "{} ({})", OneLine(PQresultErrorMessage(result)), display_name_);
  }
  std::string message =
      fmt::format("{} (SQLSTATE {})", Field(result, PG_DIAG_MESSAGE_PRIMARY), state);
  AppendField(message, "detail", Field(result, PG_DIAG_MESSAGE_DETAIL));
  AppendField(message, "hint", Field(result, PG_DIAG_MESSAGE_HINT));
  const std::string_view table = Field(result, PG_DIAG_TABLE_NAME);
  if (!table.empty()) {
    AppendField(message, "table", fmt::format("{}.{}", Field(result, PG_DIAG_SCHEMA_NAME), table));
  }
  AppendField(message, "column", Field(result, PG_DIAG_COLUMN_NAME));
  AppendField(message, "constraint", Field(result, PG_DIAG_CONSTRAINT_NAME));
  const std::string_view context = Field(result, PG_DIAG_CONTEXT);
  if (context.substr(0, 5) == "COPY ") {
    // "COPY t, line 3, column c: <value>": the place, without the value.
    AppendField(message, "at", context.substr(0, context.find_first_of(":\n")));
  }
  message += fmt::format(" [{}]", display_name_);
  absl::Status status(CodeOfSqlState(state), message);
  base::SetPayload(status, kSqlStatePayload, state);
  return status;
}

}  // namespace pgflow::postgres
