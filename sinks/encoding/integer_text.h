// An integer in decimal digits, appended to text.
#pragma once

#include <array>
#include <charconv>
#include <string>

namespace pgflow::sinks {

template <typename Integer>
void AppendDigits(Integer value, std::string& out) {
  std::array<char, 24> digits;  // Those of 64 bits, and a sign.
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value);
  out.append(digits.data(), end.ptr);
}

}  // namespace pgflow::sinks
