// Arithmetic and casts of the server's number types, on their text output.
//
// Pure functions of text; thread-safe. They give what the server gives, or an error with its words:
// kInvalidArgument for an integer that is out of range, a division by zero, a text that is no
// number, and for what is not calculated here (numerics of more than 1000 digits, or NaN).
#pragma once

#include <string>
#include <string_view>

#include <absl/status/statusor.h>

#include "expressions/decimal.h"
#include "postgres/types/oid.h"

namespace pgflow::expressions {

bool IsInteger(postgres::Oid type);
bool IsFloat(postgres::Oid type);
// The type of a sum of both: of integers the wider one, numeric, or a float. 0 counts as the other.
postgres::Oid ArithmeticType(postgres::Oid a, postgres::Oid b);
// The type that values of both become in CASE or COALESCE.
postgres::Oid CommonNumberType(postgres::Oid a, postgres::Oid b);

// Both texts are of any number type; the result is of `type`.
absl::StatusOr<std::string> CalculateAs(postgres::Oid type, Arithmetic arithmetic,
                                        std::string_view a, std::string_view b);
// `from` 0: a text that somebody wrote.
absl::StatusOr<std::string> CastNumber(std::string_view text, postgres::Oid from, postgres::Oid to);
// round, floor and ceil of a numeric or a float8.
absl::StatusOr<std::string> RoundAs(postgres::Oid type, std::string_view number, int scale,
                                    Rounding rounding);

}  // namespace pgflow::expressions
