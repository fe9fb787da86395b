#include "sinks/encoding/text_floats.h"

#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <type_traits>

#include "base/bytes.h"

namespace pgflow::sinks {
namespace {

// The significant digits of a number in scientific notation, without zeros at the end.
std::string SignificantDigits(std::string_view text) {
  std::string digits;
  for (const char c : text.substr(0, text.find('e'))) {
    if (c >= '0' && c <= '9') digits.push_back(c);
  }
  return digits.substr(0, digits.find_last_not_of('0') + 1);
}

// Whether `text`, the shortest digits of `value`, lies exactly between it and its neighbour. It
// reads back right only by rounding to even, so the server spends another digit on it. That can
// only happen where neighbours are whole numbers apart, and not beyond 1e38: a power of ten that
// large has more factors of five than a mantissa has room for.
template <typename Float>
bool IsHalfway(Float value, std::string_view text) {
  using Wide = std::conditional_t<sizeof(Float) == 4, double, long double>;
  constexpr auto kFirst = static_cast<Float>(uint64_t{1} << std::numeric_limits<Float>::digits);
  if (std::abs(value) < kFirst || std::abs(value) > static_cast<Float>(1e38)) return false;
  Wide wide = 0;
  std::from_chars(text.data(), text.data() + text.size(), wide);
  const Float toward = wide < Wide{value} ? -std::numeric_limits<Float>::infinity()
                                          : std::numeric_limits<Float>::infinity();
  const Wide gap = Wide{std::nextafter(value, toward)} - Wide{value};
  if (wide == Wide{value} || wide - Wide{value} != gap / 2) return false;
  // Reading it may have rounded: compare all digits of the number between with those of the text.
  std::array<char, 80> exact;
  const int size =
      std::snprintf(exact.data(), exact.size(), "%.45Le", static_cast<long double>(wide));
  return SignificantDigits({exact.data(), static_cast<size_t>(size)}) == SignificantDigits(text);
}

using FloatBuffer = std::array<char, 40>;

// In scientific notation, such as -1.25e+07.
template <typename Float>
std::string_view ShortestDigits(Float value, FloatBuffer& buffer) {
  char* const end = buffer.data() + buffer.size();
  const auto text_to = [&buffer](const char* last) {
    return std::string_view(buffer.data(), static_cast<size_t>(last - buffer.data()));
  };
  std::string_view text =
      text_to(std::to_chars(buffer.data(), end, value, std::chars_format::scientific).ptr);
  if (!IsHalfway(value, text)) return text;
  // max_digits10 digits always suffice: the loop ends with a text that reads back.
  for (int behind_point = 1; behind_point < std::numeric_limits<Float>::max_digits10;
       ++behind_point) {
    text = text_to(
        std::to_chars(buffer.data(), end, value, std::chars_format::scientific, behind_point).ptr);
    Float back = 0;
    std::from_chars(text.data(), text.data() + text.size(), back);
    if (back == value && !IsHalfway(value, text)) break;
  }
  return text;
}

// The shortest digits that read back as the same number, laid out as float4out and float8out do:
// an exponent of two digits at least, below 1e-4 and from 10^`fixed_digits` on.
template <typename Float>
void AppendFloat(Float value, int fixed_digits, std::string& out) {
  if (std::isnan(value)) {
    out.append("NaN");
    return;
  }
  if (std::isinf(value)) {
    out.append(value < 0 ? "-Infinity" : "Infinity");
    return;
  }
  FloatBuffer buffer;
  const std::string_view text = ShortestDigits(value, buffer);
  const size_t e = text.find('e');
  int exponent = 0;
  const char* exponent_digits = text.data() + e + (text[e + 1] == '+' ? 2 : 1);
  std::from_chars(exponent_digits, text.data() + text.size(), exponent);
  if (exponent < -4 || exponent >= fixed_digits) {
    out.append(text);
    return;
  }
  std::string_view mantissa = text.substr(0, e);
  if (mantissa.front() == '-') {
    out.push_back('-');
    mantissa.remove_prefix(1);
  }
  std::array<char, 24> digits;
  size_t count = 0;
  for (const char c : mantissa) {
    if (c != '.') digits[count++] = c;
  }
  if (exponent < 0) {
    out.append("0.");
    out.append(static_cast<size_t>(-exponent - 1), '0');
    out.append(digits.data(), count);
    return;
  }
  const size_t whole = static_cast<size_t>(exponent) + 1;
  if (count <= whole) {
    out.append(digits.data(), count);
    out.append(whole - count, '0');
    return;
  }
  out.append(digits.data(), whole);
  out.push_back('.');
  out.append(digits.data() + whole, count - whole);
}

}  // namespace

void AppendDoubleText(double value, std::string& out) { AppendFloat(value, 15, out); }

bool AppendFloat4(std::string_view bytes, const TypeText&, std::string& out) {
  if (bytes.size() != 4) return false;
  AppendFloat(std::bit_cast<float>(base::LoadBigEndian<uint32_t>(bytes.data())), 6, out);
  return true;
}

bool AppendFloat8(std::string_view bytes, const TypeText&, std::string& out) {
  if (bytes.size() != 8) return false;
  AppendFloat(std::bit_cast<double>(base::LoadBigEndian<uint64_t>(bytes.data())), 15, out);
  return true;
}

}  // namespace pgflow::sinks
