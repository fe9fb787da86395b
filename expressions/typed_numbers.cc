#include "expressions/typed_numbers.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <optional>
#include <utility>

#include "base/bytes.h"
#include "base/status.h"
#include "sinks/encoding/text_floats.h"

namespace pgflow::expressions {
namespace {

namespace oid = postgres::oid;
using postgres::Oid;

constexpr std::pair<Oid, std::string_view> kOrder[] = {
    {oid::kInt2, "smallint"},   {oid::kInt4, "integer"}, {oid::kInt8, "bigint"},
    {oid::kNumeric, "numeric"}, {oid::kFloat4, "real"},  {oid::kFloat8, "double precision"},
};

size_t RankOf(Oid type) {
  size_t rank = 0;
  while (rank < std::size(kOrder) && kOrder[rank].first != type) ++rank;
  return rank;
}

absl::Status Wrong(std::string message) { return absl::InvalidArgumentError(message); }

absl::Status OutOfRange(Oid type) {
  return Wrong(fmt::format("{} out of range", kOrder[RankOf(type)].second));
}

absl::StatusOr<int64_t> ParseInteger(std::string_view text) {
  const std::string_view digits = text.starts_with('+') ? text.substr(1) : text;
  int64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error == std::errc::result_out_of_range) return OutOfRange(oid::kInt8);
  if (error != std::errc() || end != digits.data() + digits.size()) {
    return Wrong(fmt::format("'{}' is no integer", text));
  }
  return value;
}

absl::StatusOr<std::string> PrintInteger(int64_t value, Oid type) {
  const int64_t max = type == oid::kInt2   ? std::numeric_limits<int16_t>::max()
                      : type == oid::kInt4 ? std::numeric_limits<int32_t>::max()
                                           : std::numeric_limits<int64_t>::max();
  if (value > max || value < -max - 1) return OutOfRange(type);
  return std::to_string(value);
}

absl::StatusOr<double> ParseFloat(std::string_view text) {
  const std::string copy(text);
  char* end = nullptr;
  const double value = std::strtod(copy.c_str(), &end);
  const bool words = text == "NaN" || text == "Infinity" || text == "-Infinity";
  if (copy.empty() || end != copy.c_str() + copy.size() || (!words && !IsNumber(text))) {
    return Wrong(fmt::format("'{}' is no number", text));
  }
  if (!words && (std::isinf(value) || (value == 0 && CompareNumbers(text, "0") != 0))) {
    return OutOfRange(oid::kFloat8);
  }
  return value;
}

absl::StatusOr<std::string> PrintFloat(double value, Oid type) {
  std::string bytes;
  std::string text;
  if (type == oid::kFloat8) {
    base::AppendBigEndian(bytes, std::bit_cast<int64_t>(value));
    sinks::AppendFloat8(bytes, {}, text);
    return text;
  }
  const auto narrow = static_cast<float>(value);
  if (std::isinf(narrow) != std::isinf(value) || (narrow == 0) != (value == 0)) {
    return OutOfRange(type);
  }
  base::AppendBigEndian(bytes, std::bit_cast<int32_t>(narrow));
  sinks::AppendFloat4(bytes, {}, text);
  return text;
}

absl::StatusOr<std::string> CalculateIntegers(Oid type, Arithmetic arithmetic, int64_t a,
                                              int64_t b) {
  int64_t result = 0;
  bool overflow = false;
  switch (arithmetic) {
    case Arithmetic::kAdd:
      overflow = __builtin_add_overflow(a, b, &result);
      break;
    case Arithmetic::kSubtract:
      overflow = __builtin_sub_overflow(a, b, &result);
      break;
    case Arithmetic::kMultiply:
      overflow = __builtin_mul_overflow(a, b, &result);
      break;
    case Arithmetic::kDivide:
    case Arithmetic::kModulo: {
      if (b == 0) return Wrong("division by zero");
      const bool divide = arithmetic == Arithmetic::kDivide;
      if (b == -1) {  // The least integer has no opposite.
        overflow = divide && __builtin_sub_overflow(int64_t{0}, a, &result);
      } else {
        result = divide ? a / b : a % b;
      }
      break;
    }
  }
  if (overflow) return OutOfRange(type);
  return PrintInteger(result, type);
}

template <typename Float>
absl::StatusOr<std::string> CalculateFloats(Oid type, Arithmetic arithmetic, Float a, Float b) {
  Float result = 0;
  switch (arithmetic) {
    case Arithmetic::kAdd:
      result = a + b;
      break;
    case Arithmetic::kSubtract:
      result = a - b;
      break;
    case Arithmetic::kMultiply:
      result = a * b;
      break;
    case Arithmetic::kDivide:
      if (b == 0 && !std::isnan(a)) return Wrong("division by zero");
      result = a / b;
      break;
    case Arithmetic::kModulo:
      return Wrong("% is not for floating-point numbers");
  }
  const bool product = arithmetic == Arithmetic::kMultiply || arithmetic == Arithmetic::kDivide;
  if (std::isinf(result) && !std::isinf(a) && !std::isinf(b)) {
    return Wrong("value out of range: overflow");
  }
  if (product && result == 0 && a != 0 && !std::isinf(b) &&
      (arithmetic == Arithmetic::kDivide || b != 0)) {
    return Wrong("value out of range: underflow");
  }
  return PrintFloat(static_cast<double>(result), type);
}

absl::StatusOr<std::string> ToInteger(std::string_view text, Oid from, Oid to) {
  if (IsFloat(from)) {
    PGFLOW_ASSIGN_OR_RETURN(const double value, ParseFloat(text));
    const double whole = std::nearbyint(value);  // Halves to the even one, as rint() does there.
    constexpr double kEnd = 9223372036854775808.0;
    if (!(whole >= -kEnd && whole < kEnd)) return OutOfRange(to);
    return PrintInteger(static_cast<int64_t>(whole), to);
  }
  std::string rounded(text);
  if (from == oid::kNumeric) {
    std::optional<std::string> whole = Round(text, 0, Rounding::kNearest);
    if (!whole.has_value()) return Wrong(fmt::format("cannot convert {} to an integer", text));
    rounded = *std::move(whole);
  }
  const absl::StatusOr<int64_t> value = ParseInteger(rounded);
  if (!value.ok()) return from == 0 ? value.status() : OutOfRange(to);
  return PrintInteger(*value, to);
}

absl::StatusOr<std::string> ToNumeric(std::string_view text, Oid from) {
  if (text == "NaN" || text == "Infinity" || text == "-Infinity") return std::string(text);
  std::string exact(text);
  if (IsFloat(from)) {
    PGFLOW_ASSIGN_OR_RETURN(const double value, ParseFloat(text));
    // As many digits as the type has for certain: FLT_DIG and DBL_DIG.
    exact = from == oid::kFloat4 ? fmt::format("{:.6g}", value) : fmt::format("{:.15g}", value);
  }
  std::optional<std::string> plain = PlainDecimal(exact);
  if (!plain.has_value()) return Wrong(fmt::format("'{}' is no number", text));
  return *std::move(plain);
}

}  // namespace

bool IsInteger(Oid type) { return RankOf(type) < RankOf(oid::kNumeric); }
bool IsFloat(Oid type) { return type == oid::kFloat4 || type == oid::kFloat8; }

Oid CommonNumberType(Oid a, Oid b) {
  if (a == 0 || b == 0) return a == 0 ? b : a;
  return RankOf(a) < RankOf(b) ? b : a;
}

// There is an operator for two reals; a real and anything else meet as double precision.
Oid ArithmeticType(Oid a, Oid b) {
  if (a == 0 || b == 0) return a == 0 ? b : a;
  if ((a == oid::kFloat4) != (b == oid::kFloat4)) return oid::kFloat8;
  return CommonNumberType(a, b);
}

absl::StatusOr<std::string> CalculateAs(Oid type, Arithmetic arithmetic, std::string_view a,
                                        std::string_view b) {
  if (IsInteger(type)) {
    PGFLOW_ASSIGN_OR_RETURN(const int64_t left, ParseInteger(a));
    PGFLOW_ASSIGN_OR_RETURN(const int64_t right, ParseInteger(b));
    return CalculateIntegers(type, arithmetic, left, right);
  }
  if (IsFloat(type)) {
    PGFLOW_ASSIGN_OR_RETURN(const double left, ParseFloat(a));
    PGFLOW_ASSIGN_OR_RETURN(const double right, ParseFloat(b));
    if (type == oid::kFloat8) return CalculateFloats(type, arithmetic, left, right);
    return CalculateFloats(type, arithmetic, static_cast<float>(left), static_cast<float>(right));
  }
  const bool divides = arithmetic == Arithmetic::kDivide || arithmetic == Arithmetic::kModulo;
  if (divides && CompareNumbers(b, "0") == 0) return Wrong("division by zero");
  std::optional<std::string> result = Calculate(arithmetic, a, b);
  if (!result.has_value()) return Wrong(fmt::format("{} and {} have no exact result", a, b));
  return *std::move(result);
}

absl::StatusOr<std::string> CastNumber(std::string_view text, Oid from, Oid to) {
  if (from == to) return std::string(text);
  if (IsInteger(to)) return ToInteger(text, from, to);
  if (!IsFloat(to)) return ToNumeric(text, from);
  PGFLOW_ASSIGN_OR_RETURN(const double value, ParseFloat(text));
  // The fewest digits that tell one real from all others are not its value.
  return PrintFloat(from == oid::kFloat4 ? static_cast<float>(value) : value, to);
}

absl::StatusOr<std::string> RoundAs(Oid type, std::string_view number, int scale,
                                    Rounding rounding) {
  if (IsFloat(type)) {
    PGFLOW_ASSIGN_OR_RETURN(const double value, ParseFloat(number));
    return PrintFloat(rounding == Rounding::kNearest ? std::nearbyint(value)
                      : rounding == Rounding::kDown  ? std::floor(value)
                                                     : std::ceil(value),
                      type);
  }
  std::optional<std::string> rounded = Round(number, scale, rounding);
  if (!rounded.has_value()) return Wrong(fmt::format("{} cannot be rounded", number));
  return *std::move(rounded);
}

}  // namespace pgflow::expressions
