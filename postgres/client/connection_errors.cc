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
  const absl::StatusCode code = PQstatus(connection_) == CONNECTION_OK
                                    ? absl::StatusCode::kInternal
                                    : absl::StatusCode::kUnavailable;
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

std::string RedactUrl(std::string_view url) {
  std::string redacted(url);
  const size_t scheme = redacted.find("://");
  if (scheme != std::string::npos) {
    // userinfo ends at the last '@' before the path; the password starts at its first ':'.
    const size_t begin = scheme + 3;
    const size_t path = std::min(redacted.find_first_of("/?", begin), redacted.size());
    size_t at = redacted.rfind('@', path);
    // An unescaped '/' or '?' in a password: hide up to the last '@' of all.
    const size_t last_at = redacted.rfind('@');
    if (last_at != std::string::npos && last_at > begin && at != last_at) at = last_at;
    if (at != std::string::npos && at >= begin) {
      const size_t colon = redacted.find(':', begin);
      if (colon < at) redacted.replace(colon + 1, at - colon - 1, "***");
    }
  }
  // password=... of a keyword string or of the query part.
  for (size_t from = 0; (from = redacted.find("password", from)) != std::string::npos;) {
    size_t value = redacted.find_first_not_of(' ', from + 8);
    if (value == std::string::npos || redacted[value] != '=') {
      from += 8;
      continue;
    }
    value = std::min(redacted.find_first_not_of(' ', value + 1), redacted.size());
    size_t end = value;
    const bool quoted = value < redacted.size() && redacted[value] == '\'';
    if (quoted) {
      for (++end; end < redacted.size() && redacted[end] != '\''; ++end) {
        if (redacted[end] == '\\') ++end;
      }
      end = std::min(end + 1, redacted.size());
    } else {
      end = std::min(redacted.find_first_of(scheme == std::string::npos ? " " : "&", value),
                     redacted.size());
    }
    redacted.replace(value, end - value, "***");
    from = value + 3;
  }
  return redacted;
}

}  // namespace pgflow::postgres
