// ColumnFit: what becomes of a source column's values in a column of the target. Pure.
#pragma once

#include <string>
#include <string_view>

#include "schemas/table_schema.h"
#include "sinks/postgres/target_table.h"

namespace pgflow::sinks {

struct ColumnFit {
  enum class Kind {
    kFits,     // Whatever the source has can be stored as it is.
    kRefuses,  // The server refuses values that are too long, with an error of its own.
    kAlters,   // The server rounds or cuts values without an error.
  };
  Kind kind = Kind::kFits;
  // "is numeric(12,4) at the source and numeric(12,2) in the target, which rounds".
  std::string problem;
};

// Of what is known: nothing is said of a source whose modifiers are not (kModifierUnknown, and
// domains of the source).
ColumnFit FitOf(const schemas::Column& source, const TargetColumn& target);

inline constexpr std::string_view kNarrowerColumnRemedy =
    "give the target's column the same type, or accept the loss with on_narrower_column: round";

// True when values are rounded to what the column's modifier says: a value of the source has to be
// rounded in the same way before it is compared with the column.
bool RoundsToModifier(const TargetColumn& target);

}  // namespace pgflow::sinks
