// CapturedRows: the rows that a DDL command changed without writing them to the log one by one, as
// the capture on the source sends them (ddl_capture/publications.sql, pgflow.emit_rows).
//
// Pure. Gives them in the form of pgoutput's own messages, so that they take the way of all other
// changes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <absl/status/statusor.h>

#include "engine/api/change_event.h"

namespace pgflow::sources {

struct CapturedRows {
  // kInsert: rows of a new table; all rows anew when `replaces` is set. kUpdate: the columns that
  // the command computed, the others unchanged.
  engine::Operation operation = engine::Operation::kInsert;
  bool replaces = false;
  bool first = false;                     // Of several messages for one table.
  std::vector<std::string> publications;  // For whom.
  std::string relation;                   // A pgoutput Relation message.
  std::vector<std::string> tuples;        // TupleData, text values.
};

// kDataLoss: malformed.
absl::StatusOr<CapturedRows> ReadCapturedRows(std::string_view message);

}  // namespace pgflow::sources
