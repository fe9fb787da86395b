// Exact decimal arithmetic on numbers as the server prints them.
//
// Pure functions of text; thread-safe. NaN equals itself and is greater than all others, as in the
// server.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace pgflow::expressions {

bool IsNumber(std::string_view text);
// Negative, zero or positive, as `a` is less than, equal to or greater than `b`.
int CompareNumbers(std::string_view a, std::string_view b);

enum class Arithmetic { kAdd, kSubtract, kMultiply };

// With the scale that numeric's operators give: the greater of both, or their sum for a product.
// Nothing when a number has more than 1000 digits, an exponent, or is NaN or infinite.
std::optional<std::string> Calculate(Arithmetic arithmetic, std::string_view a, std::string_view b);
std::string Negate(std::string_view number);

}  // namespace pgflow::expressions
