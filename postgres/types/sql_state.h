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

// Errors of classes that do not pass as a whole, and that pass by themselves or do not, unlike the
// rest of their class.
struct SqlStateMeaning {
  std::string_view state;
  absl::StatusCode code;
};
inline constexpr SqlStateMeaning kSqlStateMeanings[] = {
    {"25006", absl::StatusCode::kUnavailable},         // Read-only: a standby, until its promotion.
    {"25P03", absl::StatusCode::kUnavailable},         // The server ended an idle transaction,
    {"25P04", absl::StatusCode::kDeadlineExceeded},    // or one that took long.
    {"42501", absl::StatusCode::kPermissionDenied},    //
    {"55006", absl::StatusCode::kUnavailable},         // Object in use.
    {"55P03", absl::StatusCode::kUnavailable},         // A lock was not to be had in time.
    {"57014", absl::StatusCode::kDeadlineExceeded},    // Somebody cancelled the statement.
    {"57P04", absl::StatusCode::kFailedPrecondition},  // The database was dropped.
};

// What a SQLSTATE means for us. Classes: "PostgreSQL Error Codes" in its manual. 22 and 23 (data
// exception, constraint violation) are kInvalidArgument: the row is at fault.
inline constexpr SqlStateMeaning kSqlStateClasses[] = {
    {"08", absl::StatusCode::kUnavailable},         // The connection.
    {"0A", absl::StatusCode::kUnimplemented},       //
    {"22", absl::StatusCode::kInvalidArgument},     //
    {"23", absl::StatusCode::kInvalidArgument},     //
    {"28", absl::StatusCode::kUnauthenticated},     //
    {"3D", absl::StatusCode::kFailedPrecondition},  // No such database,
    {"3F", absl::StatusCode::kFailedPrecondition},  // or schema.
    {"40", absl::StatusCode::kAborted},             // Deadlock, serialization.
    {"42", absl::StatusCode::kFailedPrecondition},  // What a statement names is not there.
    {"53", absl::StatusCode::kResourceExhausted},   // Disk full, memory, connections.
    {"55", absl::StatusCode::kFailedPrecondition},  // A state that nothing but somebody changes.
    {"57", absl::StatusCode::kUnavailable},         // The server starts, ends or recovers.
    {"58", absl::StatusCode::kUnavailable},         // Its machine has a fault.
};

inline absl::StatusCode CodeOfSqlState(std::string_view state) {
  for (const SqlStateMeaning& meaning : kSqlStateMeanings) {
    if (meaning.state == state) return meaning.code;
  }
  for (const SqlStateMeaning& meaning : kSqlStateClasses) {
    if (meaning.state == state.substr(0, 2)) return meaning.code;
  }
  return absl::StatusCode::kInternal;
}

}  // namespace pgflow::postgres
