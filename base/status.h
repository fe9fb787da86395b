// Status macros and constructors: the one place where our std::string_view meets Abseil's.
//
// The code of a status carries the retry decision, and only engine/runtime reads it:
//   kUnavailable, kAborted, kDeadlineExceeded, kResourceExhausted   may pass: retried with back-off
//   kCancelled                                                      shutdown
//   everything else                                                 stops the pipeline
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <fmt/format.h>

namespace pgflow::base {

// The message of `status`; valid while `status` lives.
inline std::string_view Message(const absl::Status& status) {
  return {status.message().data(), status.message().size()};
}

// A status with `code` and a message made with fmt.
template <typename... Args>
absl::Status MakeStatus(absl::StatusCode code, fmt::format_string<Args...> format, Args&&... args) {
  return absl::Status(code, fmt::format(format, std::forward<Args>(args)...));
}

// The same code and payloads with "context: " before the message. OK stays OK.
absl::Status Annotate(const absl::Status& status, std::string_view context);

// True when the same call may succeed later without anybody changing anything.
bool IsRetryable(const absl::Status& status);

// A typed string payload of a status, e.g. the SQLSTATE. Empty when it has none.
void SetPayload(absl::Status& status, std::string_view type, std::string_view payload);
std::string Payload(const absl::Status& status, std::string_view type);

}  // namespace pgflow::base

#define PGFLOW_CONCAT_INNER(a, b) a##b
#define PGFLOW_CONCAT(a, b) PGFLOW_CONCAT_INNER(a, b)

#define PGFLOW_RETURN_IF_ERROR(expression)     \
  do {                                         \
    absl::Status pgflow_status = (expression); \
    if (!pgflow_status.ok()) [[unlikely]]      \
      return pgflow_status;                    \
  } while (false)

#define PGFLOW_ASSIGN_OR_RETURN(target, expression) \
  PGFLOW_ASSIGN_OR_RETURN_INNER(PGFLOW_CONCAT(pgflow_or_, __LINE__), target, expression)
#define PGFLOW_ASSIGN_OR_RETURN_INNER(result, target, expression) \
  auto result = (expression);                                     \
  if (!result.ok()) [[unlikely]]                                  \
    return std::move(result).status();                            \
  target = *std::move(result)
