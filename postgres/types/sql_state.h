// SqlState: the five characters that say what the server refused; rides on a status as a payload.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace pgflow::postgres {

inline constexpr std::string_view kSqlStatePayload = "pgflow/sqlstate";

// The SQLSTATE of an error that a server sent; empty when it is not one.
inline std::string SqlStateOf(const absl::Status& status) {
  return base::Payload(status, kSqlStatePayload);
}

// What the class of a SQLSTATE means for us. Classes: "PostgreSQL Error Codes" in its manual.
// 22 and 23 (data exception, constraint violation) are kInvalidArgument: the row is at fault.
inline absl::StatusCode CodeOfSqlState(std::string_view state) {
  const std::string_view error_class = state.substr(0, 2);
  if (error_class == "08" || error_class == "57" || error_class == "58") {
    return state == "57014" ? absl::StatusCode::kDeadlineExceeded : absl::StatusCode::kUnavailable;
  }
  if (error_class == "40") return absl::StatusCode::kAborted;            // Deadlock, serialization.
  if (error_class == "53") return absl::StatusCode::kResourceExhausted;  // Disk full, connections.
  if (error_class == "55") {
    // 55000 is "wrong state for ever" (a lost slot); 55006 and 55P03 pass.
    return state == "55000" ? absl::StatusCode::kFailedPrecondition
                            : absl::StatusCode::kUnavailable;
  }
  if (error_class == "22" || error_class == "23") return absl::StatusCode::kInvalidArgument;
  if (error_class == "28") return absl::StatusCode::kUnauthenticated;
  if (state == "42501") return absl::StatusCode::kPermissionDenied;
  if (error_class == "42" || error_class == "3D" || error_class == "3F") {
    return absl::StatusCode::kFailedPrecondition;
  }
  if (error_class == "0A") return absl::StatusCode::kUnimplemented;
  return absl::StatusCode::kInternal;
}

}  // namespace pgflow::postgres
