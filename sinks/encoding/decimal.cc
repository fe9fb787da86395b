#include "sinks/encoding/decimal.h"

#include <algorithm>
#include <charconv>

namespace pgflow::sinks {
namespace {

constexpr std::string_view kDigits = "0123456789";

// Without a sign: digits, and a point among them at most.
struct Digits {
  bool negative = false;
  std::string_view whole;
  std::string_view fraction;
};

std::optional<Digits> Split(std::string_view number) {
  Digits digits;
  digits.negative = number.starts_with('-');
  if (digits.negative) number.remove_prefix(1);
  const size_t point = number.find('.');
  digits.whole = number.substr(0, point);
  if (point != std::string_view::npos) digits.fraction = number.substr(point + 1);
  if (digits.whole.empty() && digits.fraction.empty()) return std::nullopt;
  if (digits.whole.find_first_not_of(kDigits) != std::string_view::npos ||
      digits.fraction.find_first_not_of(kDigits) != std::string_view::npos) {
    return std::nullopt;
  }
  return digits;
}

// The magnitude of a decimal as bytes, the lowest first: schoolbook, nine digits at a time.
std::string ToBytes(std::string_view digits) {
  std::string bytes;
  while (!digits.empty()) {
    const std::string_view part = digits.substr(0, 9);
    digits.remove_prefix(part.size());
    uint64_t carry = 0;
    std::from_chars(part.data(), part.data() + part.size(), carry);
    uint64_t factor = 1;
    for (size_t i = 0; i < part.size(); ++i) factor *= 10;
    for (char& byte : bytes) {
      carry += static_cast<uint8_t>(byte) * factor;
      byte = static_cast<char>(carry & 0xFF);
      carry >>= 8;
    }
    for (; carry > 0; carry >>= 8) bytes.push_back(static_cast<char>(carry & 0xFF));
  }
  return bytes;
}

// What fits 64 bits, which is nearly every decimal: the shortest two's complement.
void AppendShortest(int64_t value, std::string& out) {
  size_t size = 1;
  while (size < sizeof(value) && value >> (8 * size - 1) != value >> 63) ++size;
  for (; size > 0; --size) out.push_back(static_cast<char>((value >> (8 * (size - 1))) & 0xFF));
}

}  // namespace

std::optional<int32_t> ScaleOf(std::string_view number) {
  const std::optional<Digits> digits = Split(number);
  if (!digits.has_value()) return std::nullopt;
  return static_cast<int32_t>(digits->fraction.size());
}

bool AppendUnscaled(std::string_view number, int32_t scale, std::string& out) {
  const std::optional<Digits> digits = Split(number);
  if (!digits.has_value()) return false;
  std::string all(digits->whole);
  all.append(digits->fraction);
  const int64_t shift = int64_t{scale} - static_cast<int64_t>(digits->fraction.size());
  if (shift >= 0) {
    all.append(static_cast<size_t>(shift), '0');
  } else {
    const size_t cut = std::min(all.size(), static_cast<size_t>(-shift));
    if (all.find_first_not_of('0', all.size() - cut) != std::string::npos) return false;
    all.resize(all.size() - cut);
  }
  constexpr size_t kDigitsOf64Bits = 18;
  if (all.size() <= kDigitsOf64Bits) {
    int64_t value = 0;
    std::from_chars(all.data(), all.data() + all.size(), value);
    AppendShortest(digits->negative ? -value : value, out);
    return true;
  }
  std::string bytes = ToBytes(all);
  // Room for the sign bit.
  if (bytes.empty() || (bytes.back() & 0x80) != 0) bytes.push_back('\0');
  if (digits->negative) {
    int carry = 1;
    for (char& byte : bytes) {
      const int inverted = (static_cast<uint8_t>(byte) ^ 0xFF) + carry;
      byte = static_cast<char>(inverted & 0xFF);
      carry = inverted >> 8;
    }
    // -128 needs one byte, not two.
    while (bytes.size() > 1 && bytes.back() == '\xFF' && (bytes[bytes.size() - 2] & 0x80) != 0) {
      bytes.pop_back();
    }
  }
  out.append(bytes.rbegin(), bytes.rend());
  return true;
}

}  // namespace pgflow::sinks
