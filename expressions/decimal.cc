#include "expressions/decimal.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <utility>

namespace pgflow::expressions {
namespace {

// A decimal number as +-0.d1d2d3... * 10^exponent, without zeros at either end of the digits.
struct Decimal {
  int rank = 0;  // -2: -Infinity, -1: negative, 0: zero, 1: positive, 2: Infinity, 3: NaN.
  int64_t exponent = 0;
  std::string digits;
};

std::optional<Decimal> ParseSpecial(std::string_view text) {
  Decimal decimal;
  if (text == "NaN") {
    decimal.rank = 3;
  } else if (text == "Infinity") {
    decimal.rank = 2;
  } else if (text == "-Infinity") {
    decimal.rank = -2;
  } else {
    return std::nullopt;
  }
  return decimal;
}

std::optional<Decimal> ParseDecimal(std::string_view text) {
  if (std::optional<Decimal> special = ParseSpecial(text)) return special;
  Decimal decimal;
  bool negative = false;
  if (!text.empty() && (text.front() == '-' || text.front() == '+')) {
    negative = text.front() == '-';
    text.remove_prefix(1);
  }
  const size_t e = text.find_first_of("eE");
  std::string_view mantissa = text.substr(0, e);
  if (e != std::string_view::npos) {
    std::string_view exponent = text.substr(e + 1);
    if (!exponent.empty() && exponent.front() == '+') exponent.remove_prefix(1);
    int32_t value = 0;
    const auto [end, error] =
        std::from_chars(exponent.data(), exponent.data() + exponent.size(), value);
    if (error != std::errc() || end != exponent.data() + exponent.size()) return std::nullopt;
    decimal.exponent = value;
  }
  const size_t point = mantissa.find('.');
  const std::string_view whole = mantissa.substr(0, point);
  const std::string_view fraction =
      point == std::string_view::npos ? std::string_view() : mantissa.substr(point + 1);
  decimal.digits.append(whole).append(fraction);
  if (decimal.digits.empty() ||
      decimal.digits.find_first_not_of("0123456789") != std::string::npos) {
    return std::nullopt;
  }
  decimal.exponent += static_cast<int64_t>(whole.size());
  const size_t first = std::min(decimal.digits.find_first_not_of('0'), decimal.digits.size());
  decimal.exponent -= static_cast<int64_t>(first);
  decimal.digits.erase(0, first);
  decimal.digits.erase(decimal.digits.find_last_not_of('0') + 1);
  decimal.rank = decimal.digits.empty() ? 0 : negative ? -1 : 1;
  return decimal;
}

constexpr size_t kDigitsMax = 1000;

// A number as digits without a point, and how many of them stand behind it.
struct Scaled {
  bool negative = false;
  std::string digits;  // The last one first, for the loops below.
  size_t scale = 0;
};

std::optional<Scaled> ParseScaled(std::string_view text) {
  Scaled scaled;
  if (!text.empty() && (text.front() == '-' || text.front() == '+')) {
    scaled.negative = text.front() == '-';
    text.remove_prefix(1);
  }
  const size_t point = text.find('.');
  if (point != std::string_view::npos) scaled.scale = text.size() - point - 1;
  scaled.digits.assign(text);
  if (point != std::string_view::npos) scaled.digits.erase(point, 1);
  if (scaled.digits.empty() || scaled.digits.size() > kDigitsMax ||
      scaled.digits.find_first_not_of("0123456789") != std::string::npos) {
    return std::nullopt;
  }
  std::ranges::reverse(scaled.digits);
  return scaled;
}

std::string Print(Scaled scaled) {
  std::string& digits = scaled.digits;
  while (digits.size() > scaled.scale + 1 && digits.back() == '0') digits.pop_back();
  if (digits.size() <= scaled.scale) digits.append(scaled.scale + 1 - digits.size(), '0');
  const bool zero = digits.find_first_not_of('0') == std::string::npos;
  if (scaled.scale > 0) digits.insert(scaled.scale, 1, '.');
  if (scaled.negative && !zero) digits.push_back('-');
  std::ranges::reverse(digits);
  return digits;
}

// Both have as many digits.
std::string AddDigits(const std::string& a, const std::string& b) {
  std::string sum;
  int carry = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const int digit = (a[i] - '0') + (b[i] - '0') + carry;
    sum.push_back(static_cast<char>('0' + digit % 10));
    carry = digit / 10;
  }
  if (carry > 0) sum.push_back('1');
  return sum;
}

// `a` is not less than `b`, and both have as many digits.
std::string SubtractDigits(const std::string& a, const std::string& b) {
  std::string difference;
  int borrow = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    int digit = a[i] - b[i] - borrow;
    borrow = digit < 0 ? 1 : 0;
    digit += borrow * 10;
    difference.push_back(static_cast<char>('0' + digit));
  }
  return difference;
}

Scaled Add(Scaled a, Scaled b) {
  const size_t scale = std::max(a.scale, b.scale);
  a.digits.insert(0, scale - a.scale, '0');
  b.digits.insert(0, scale - b.scale, '0');
  const size_t size = std::max(a.digits.size(), b.digits.size());
  a.digits.resize(size, '0');
  b.digits.resize(size, '0');
  if (a.negative == b.negative) return {a.negative, AddDigits(a.digits, b.digits), scale};
  const bool less = std::lexicographical_compare(a.digits.rbegin(), a.digits.rend(),
                                                 b.digits.rbegin(), b.digits.rend());
  if (less) return {b.negative, SubtractDigits(b.digits, a.digits), scale};
  return {a.negative, SubtractDigits(a.digits, b.digits), scale};
}

Scaled Multiply(const Scaled& a, const Scaled& b) {
  std::string product(a.digits.size() + b.digits.size(), '0');
  for (size_t i = 0; i < a.digits.size(); ++i) {
    int carry = 0;
    for (size_t j = 0; j < b.digits.size() || carry > 0; ++j) {
      const int digit = j < b.digits.size() ? (a.digits[i] - '0') * (b.digits[j] - '0') : 0;
      const int sum = product[i + j] - '0' + digit + carry;
      product[i + j] = static_cast<char>('0' + sum % 10);
      carry = sum / 10;
    }
  }
  return {a.negative != b.negative, std::move(product), a.scale + b.scale};
}

struct Division {
  std::string quotient;
  std::string remainder;
};

std::string WithoutZeros(std::string digits) {
  digits.erase(0, std::min(digits.find_first_not_of('0'), digits.size() - 1));
  return digits;
}

// Whole numbers, the first digit first; the divisor is not zero.
Division Divide(const std::string& dividend, std::string divisor) {
  constexpr size_t kFastDigits = 18;  // Ten times as much still fits in 64 bits.
  divisor = WithoutZeros(std::move(divisor));
  Division result;
  if (divisor.size() <= kFastDigits) {
    uint64_t by = 0;
    std::from_chars(divisor.data(), divisor.data() + divisor.size(), by);
    uint64_t rest = 0;
    for (const char digit : dividend) {
      rest = rest * 10 + static_cast<uint64_t>(digit - '0');
      result.quotient.push_back(static_cast<char>('0' + rest / by));
      rest %= by;
    }
    result.remainder = std::to_string(rest);
    return result;
  }
  std::string by(divisor.rbegin(), divisor.rend());
  by.push_back('0');
  std::string rest(by.size(), '0');  // The last digit first, as SubtractDigits reads it.
  const auto fits = [&] {
    return !std::lexicographical_compare(rest.rbegin(), rest.rend(), by.rbegin(), by.rend());
  };
  for (const char digit : dividend) {
    rest.insert(rest.begin(), digit);
    rest.pop_back();
    char count = '0';
    for (; fits(); ++count) rest = SubtractDigits(rest, by);
    result.quotient.push_back(count);
  }
  result.remainder.assign(rest.rbegin(), rest.rend());
  return result;
}

// Where numeric's first digit, of base 10000, stands and what it is: see select_div_scale() in the
// server's numeric.c, which chooses the scale of a quotient by them.
struct FirstDigit {
  int weight = 0;
  int digit = 0;
};

FirstDigit FirstDigitOf(const Scaled& number) {
  const size_t size = number.digits.size();
  const size_t zeros = number.digits.find_last_not_of('0');
  if (zeros == std::string::npos) return {};
  const auto power = static_cast<int>(zeros) - static_cast<int>(number.scale);
  FirstDigit first;
  first.weight = power >= 0 ? power / 4 : -((-power + 3) / 4);
  for (int at = first.weight * 4 + 3; at >= first.weight * 4; --at) {
    const int index = at + static_cast<int>(number.scale);
    const bool there = index >= 0 && index < static_cast<int>(size);
    first.digit = first.digit * 10 + (there ? number.digits[static_cast<size_t>(index)] - '0' : 0);
  }
  return first;
}

size_t QuotientScale(const Scaled& a, const Scaled& b) {
  constexpr int kSignificantDigits = 16;
  constexpr size_t kScaleMax = 1000;
  const FirstDigit over = FirstDigitOf(a);
  const FirstDigit under = FirstDigitOf(b);
  const int weight = over.weight - under.weight - (over.digit <= under.digit ? 1 : 0);
  const int scale = std::max(kSignificantDigits - weight * 4, 0);
  return std::min(std::max({static_cast<size_t>(scale), a.scale, b.scale}), kScaleMax);
}

bool IsZero(const Scaled& number) {
  return number.digits.find_first_not_of('0') == std::string::npos;
}

// One more in the last place.
void Increment(std::string& digits) {
  size_t i = digits.size();
  while (i > 0 && digits[i - 1] == '9') digits[--i] = '0';
  if (i == 0) {
    digits.insert(digits.begin(), '1');
  } else {
    ++digits[i - 1];
  }
}

Scaled Quotient(const Scaled& a, const Scaled& b) {
  const size_t scale = QuotientScale(a, b);
  std::string dividend(a.digits.rbegin(), a.digits.rend());
  dividend.append(scale + 1 + b.scale - a.scale, '0');  // One digit more, to round by.
  std::string quotient = Divide(dividend, {b.digits.rbegin(), b.digits.rend()}).quotient;
  const bool up = quotient.back() >= '5';
  quotient.pop_back();
  if (up) Increment(quotient);
  std::ranges::reverse(quotient);
  return {a.negative != b.negative, std::move(quotient), scale};
}

Scaled Modulo(Scaled a, Scaled b) {
  const size_t scale = std::max(a.scale, b.scale);
  a.digits.insert(0, scale - a.scale, '0');
  b.digits.insert(0, scale - b.scale, '0');
  std::string rest =
      Divide({a.digits.rbegin(), a.digits.rend()}, {b.digits.rbegin(), b.digits.rend()}).remainder;
  std::ranges::reverse(rest);
  return {a.negative, std::move(rest), scale};
}

}  // namespace

bool IsNumber(std::string_view text) { return ParseDecimal(text).has_value(); }

int CompareNumbers(std::string_view a, std::string_view b) {
  const Decimal x = ParseDecimal(a).value_or(Decimal());
  const Decimal y = ParseDecimal(b).value_or(Decimal());
  if (x.rank != y.rank) return x.rank < y.rank ? -1 : 1;
  if (x.rank != 1 && x.rank != -1) return 0;
  int magnitude = 0;
  if (x.exponent != y.exponent) {
    magnitude = x.exponent < y.exponent ? -1 : 1;
  } else {
    magnitude = x.digits.compare(y.digits);
  }
  return x.rank < 0 ? -magnitude : magnitude;
}

std::optional<std::string> Calculate(Arithmetic arithmetic, std::string_view a,
                                     std::string_view b) {
  std::optional<Scaled> left = ParseScaled(a);
  std::optional<Scaled> right = ParseScaled(b);
  if (!left.has_value() || !right.has_value()) return std::nullopt;
  if (arithmetic == Arithmetic::kMultiply) return Print(Multiply(*left, *right));
  if (arithmetic == Arithmetic::kDivide || arithmetic == Arithmetic::kModulo) {
    if (IsZero(*right)) return std::nullopt;
    return Print(arithmetic == Arithmetic::kDivide ? Quotient(*left, *right)
                                                   : Modulo(*std::move(left), *std::move(right)));
  }
  if (arithmetic == Arithmetic::kSubtract) right->negative = !right->negative;
  return Print(Add(*std::move(left), *std::move(right)));
}

std::string Negate(std::string_view number) {
  if (number.starts_with('-')) return std::string(number.substr(1));
  const bool zero = number.find_first_not_of("0.") == std::string_view::npos;
  return (zero || number == "NaN" ? "" : "-") + std::string(number);
}

std::optional<std::string> PlainDecimal(std::string_view number) {
  const std::optional<Decimal> decimal = ParseDecimal(number);
  if (!decimal.has_value() || decimal->rank < -1 || decimal->rank > 1) return std::nullopt;
  const size_t e = std::min(number.find_first_of("eE"), number.size());
  const std::string_view mantissa = number.substr(0, e);
  const size_t point = mantissa.find('.');
  const auto fraction =
      static_cast<int64_t>(point == std::string_view::npos ? 0 : mantissa.size() - point - 1);
  int64_t exponent = 0;
  if (e < number.size()) {
    const size_t sign = number[e + 1] == '+' ? 1 : 0;
    std::from_chars(number.data() + e + 1 + sign, number.data() + number.size(), exponent);
  }
  constexpr int64_t kScaleMax = 1000;
  const int64_t scale = std::max<int64_t>(fraction - exponent, 0);
  if (scale > kScaleMax || decimal->exponent > kScaleMax) return std::nullopt;
  Scaled plain;
  plain.negative = decimal->rank < 0;
  plain.scale = static_cast<size_t>(scale);
  plain.digits = decimal->digits;
  const auto behind = static_cast<int64_t>(decimal->digits.size()) - decimal->exponent;
  if (decimal->rank != 0) plain.digits.append(static_cast<size_t>(scale - behind), '0');
  if (plain.digits.empty()) plain.digits = "0";
  std::ranges::reverse(plain.digits);
  return Print(std::move(plain));
}

std::optional<std::string> Round(std::string_view number, int scale, Rounding rounding) {
  std::optional<Scaled> parsed = ParseScaled(number);
  constexpr int kScaleMax = 1000;
  if (!parsed.has_value() || scale > kScaleMax || scale < -kScaleMax) return std::nullopt;
  Scaled& scaled = *parsed;
  const auto wanted = static_cast<size_t>(std::max(scale, 0));
  if (wanted >= scaled.scale && scale >= 0) {
    scaled.digits.insert(0, wanted - scaled.scale, '0');
    scaled.scale = wanted;
    return Print(std::move(scaled));
  }
  const auto cut = static_cast<size_t>(static_cast<int>(scaled.scale) - scale);
  if (scaled.digits.size() < cut + 1) scaled.digits.append(cut + 1 - scaled.digits.size(), '0');
  const bool rest = scaled.digits.substr(0, cut).find_first_not_of('0') != std::string::npos;
  const bool up = rounding == Rounding::kNearest ? scaled.digits[cut - 1] >= '5'
                  : rounding == Rounding::kUp    ? rest && !scaled.negative
                                                 : rest && scaled.negative;
  std::string kept(scaled.digits.rbegin(), scaled.digits.rend() - static_cast<ptrdiff_t>(cut));
  if (up) Increment(kept);
  kept.append(scale < 0 ? static_cast<size_t>(-scale) : 0, '0');
  scaled.digits.assign(kept.rbegin(), kept.rend());
  scaled.scale = wanted;
  return Print(std::move(scaled));
}

}  // namespace pgflow::expressions
