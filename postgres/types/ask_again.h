// AskAgain: for questions to the catalog while others run DDL.
//
// The server's own functions (pg_get_expr, pg_get_publication_tables, ...) look at what is there
// now, not at what the statement's snapshot sees, and some fail at what was dropped in between:
// XX000, "could not open relation with OID ..." or "cache lookup failed for ...". Asked again, they
// no longer come across it.
#pragma once

#include <absl/status/status.h>

#include "postgres/types/sql_state.h"

namespace pgflow::postgres {

// Calls `ask` until it does not fail like that, at most kAskAgainMax times. It returns a StatusOr,
// and must leave no failed transaction behind.
inline constexpr int kAskAgainMax = 20;
template <typename Ask>
auto AskAgain(const Ask& ask) {
  for (int attempt = 1;; ++attempt) {
    auto answer = ask();
    if (attempt == kAskAgainMax || SqlStateOf(answer.status()) != "XX000") return answer;
  }
}

}  // namespace pgflow::postgres
