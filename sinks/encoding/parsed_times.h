// The numbers behind dates and times, from the server's text output (ISO dates, IntervalStyle
// postgres, zone UTC). Pure, thread-safe. Nothing for text that is none.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>

namespace pgflow::sinks {

inline constexpr int64_t kInfinity = std::numeric_limits<int64_t>::max();
inline constexpr int64_t kMinusInfinity = std::numeric_limits<int64_t>::min();

// Days since 1970-01-01, or one of the infinities.
std::optional<int64_t> ParseDays(std::string_view text);
// Microseconds since midnight.
std::optional<int64_t> ParseClock(std::string_view text);
// The same in UTC, within a day, of a time with its zone.
std::optional<int64_t> ParseClockWithZone(std::string_view text);
// Microseconds since 1970-01-01 00:00, or one of the infinities; a zone behind it is UTC.
std::optional<int64_t> ParseMicros(std::string_view text);

struct ParsedInterval {
  int64_t months = 0;
  int64_t days = 0;
  int64_t micros = 0;
};
std::optional<ParsedInterval> ParseInterval(std::string_view text);

}  // namespace pgflow::sinks
