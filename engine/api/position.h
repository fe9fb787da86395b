// Position: the unique, totally ordered place of one change in one slot.
#pragma once

#include <compare>
#include <cstdint>
#include <string>

#include <fmt/format.h>

#include "postgres/types/lsn.h"

namespace pgflow::engine {

// An LSN alone names no row: a multi-insert gives several rows one LSN, and BEGIN of N+1 shares the
// LSN of COMMIT of N. So: the LSN of the transaction's COMMIT record, and the change's number
// within the transaction (0, 1, ...; rolled-back subtransactions do not count).
struct Position {
  postgres::Lsn commit_lsn;
  uint64_t ordinal = 0;

  std::string ToString() const { return fmt::format("{}:{}", commit_lsn, ordinal); }
  friend auto operator<=>(const Position&, const Position&) = default;
};

// Where a stream stands between two transactions: everything that committed at or before
// `commit_lsn` has been seen, and reading goes on at `end_lsn`.
struct StreamPoint {
  postgres::Lsn commit_lsn;  // Start of the last COMMIT record; 0 when none was seen yet.
  postgres::Lsn end_lsn;     // Just behind it, or a later place without any change in between.

  friend auto operator<=>(const StreamPoint&, const StreamPoint&) = default;
};

}  // namespace pgflow::engine
