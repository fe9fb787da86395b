// Lsn: one byte position in the write-ahead log.
#pragma once

#include <charconv>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <fmt/format.h>

namespace pgflow::postgres {

// 0 is "no position" (InvalidXLogRecPtr). Prints as Postgres does: 16/B374D848.
class Lsn {
 public:
  constexpr Lsn() = default;
  constexpr explicit Lsn(uint64_t value) : value_(value) {}

  // The text form; nothing when it is not one.
  static std::optional<Lsn> Parse(std::string_view text) {
    const size_t slash = text.find('/');
    if (slash == std::string_view::npos) return std::nullopt;
    uint32_t high = 0;
    uint32_t low = 0;
    if (!ParseHex(text.substr(0, slash), high) || !ParseHex(text.substr(slash + 1), low)) {
      return std::nullopt;
    }
    return Lsn((uint64_t{high} << 32) | low);
  }

  constexpr uint64_t value() const { return value_; }
  constexpr bool valid() const { return value_ != 0; }
  std::string ToString() const {
    return fmt::format("{:X}/{:X}", value_ >> 32, value_ & 0xFFFFFFFFU);
  }

  friend constexpr auto operator<=>(Lsn, Lsn) = default;

 private:
  static bool ParseHex(std::string_view text, uint32_t& value) {
    if (text.empty() || text.size() > 8) return false;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
    return error == std::errc() && end == text.data() + text.size();
  }

  uint64_t value_ = 0;
};

}  // namespace pgflow::postgres

template <>
struct fmt::formatter<pgflow::postgres::Lsn> : fmt::formatter<std::string> {
  auto format(pgflow::postgres::Lsn lsn, fmt::format_context& context) const {
    return fmt::formatter<std::string>::format(lsn.ToString(), context);
  }
};
