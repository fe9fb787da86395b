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

enum class Arithmetic { kAdd, kSubtract, kMultiply, kDivide, kModulo };

// With the scale that numeric's operators give: the greater of both, their sum for a product, and
// for a quotient enough for 16 significant digits. Nothing when a number has more than 1000 digits,
// an exponent, or is NaN or infinite, or the divisor is zero.
std::optional<std::string> Calculate(Arithmetic arithmetic, std::string_view a, std::string_view b);
std::string Negate(std::string_view number);

// As numeric prints it: no exponent, no superfluous zeros in front. Nothing for NaN, infinities and
// what is no number.
std::optional<std::string> PlainDecimal(std::string_view number);
enum class Rounding { kNearest, kDown, kUp };
// To `scale` digits behind the point (before it when negative), halves away from zero. Takes what
// Calculate takes.
std::optional<std::string> Round(std::string_view number, int scale, Rounding rounding);

}  // namespace pgflow::expressions
