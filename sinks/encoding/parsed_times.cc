#include "sinks/encoding/parsed_times.h"

#include <charconv>

namespace pgflow::sinks {
namespace {

constexpr int64_t kMicrosPerSecond = 1'000'000;
constexpr int64_t kMicrosPerDay = 86'400 * kMicrosPerSecond;

// Takes a number from the front of `text`; nothing when there is none.
std::optional<int64_t> TakeNumber(std::string_view& text) {
  int64_t number = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), number);
  if (result.ec != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<size_t>(result.ptr - text.data()));
  return number;
}

bool Take(std::string_view& text, std::string_view start) {
  if (!text.starts_with(start)) return false;
  text.remove_prefix(start.size());
  return true;
}

// The inverse of ToCivil in text_times.cc; year 0 is 1 BC.
int64_t DaysOf(int64_t year, int64_t month, int64_t day) {
  if (month <= 2) --year;
  const int64_t era = (year >= 0 ? year : year - 399) / 400;
  const int64_t year_of_era = year - era * 400;
  const int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
  const int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * 146'097 + day_of_era - 719'468;
}

std::optional<int64_t> Infinity(std::string_view text) {
  if (text == "infinity") return kInfinity;
  if (text == "-infinity") return kMinusInfinity;
  return std::nullopt;
}

std::optional<int64_t> TakeDays(std::string_view& text, bool bc) {
  const std::optional<int64_t> year = TakeNumber(text);
  if (!year.has_value() || !Take(text, "-")) return std::nullopt;
  const std::optional<int64_t> month = TakeNumber(text);
  if (!month.has_value() || *month < 1 || *month > 12 || !Take(text, "-")) return std::nullopt;
  const std::optional<int64_t> day = TakeNumber(text);
  if (!day.has_value()) return std::nullopt;
  return DaysOf(bc ? 1 - *year : *year, *month, *day);
}

// Hours may be beyond 24 in an interval.
std::optional<int64_t> TakeClock(std::string_view& text) {
  const std::optional<int64_t> hours = TakeNumber(text);
  if (!hours.has_value() || !Take(text, ":")) return std::nullopt;
  const std::optional<int64_t> minutes = TakeNumber(text);
  if (!minutes.has_value() || !Take(text, ":")) return std::nullopt;
  const std::optional<int64_t> seconds = TakeNumber(text);
  if (!seconds.has_value()) return std::nullopt;
  int64_t micros = ((*hours * 60 + *minutes) * 60 + *seconds) * kMicrosPerSecond;
  if (!Take(text, ".")) return micros;
  for (int64_t unit = kMicrosPerSecond / 10; !text.empty() && text[0] >= '0' && text[0] <= '9';
       unit /= 10) {
    micros += (text[0] - '0') * unit;
    text.remove_prefix(1);
  }
  return micros;
}

bool TakeEra(std::string_view& text) {
  if (!text.ends_with(" BC")) return false;
  text.remove_suffix(3);
  return true;
}

}  // namespace

std::optional<int64_t> ParseDays(std::string_view text) {
  if (const auto infinity = Infinity(text); infinity.has_value()) return infinity;
  const bool bc = TakeEra(text);
  const std::optional<int64_t> days = TakeDays(text, bc);
  return text.empty() ? days : std::nullopt;
}

std::optional<int64_t> ParseClock(std::string_view text) {
  const std::optional<int64_t> micros = TakeClock(text);
  return text.empty() ? micros : std::nullopt;
}

std::optional<int64_t> ParseClockWithZone(std::string_view text) {
  const std::optional<int64_t> micros = TakeClock(text);
  if (!micros.has_value() || text.empty()) return std::nullopt;
  const bool east = text[0] == '+';
  text.remove_prefix(1);
  int64_t seconds = 0;
  for (const int64_t unit : {3600, 60, 1}) {
    const std::optional<int64_t> part = TakeNumber(text);
    if (!part.has_value()) return std::nullopt;
    seconds += *part * unit;
    if (!Take(text, ":")) break;
  }
  if (!text.empty()) return std::nullopt;
  const int64_t utc = *micros + (east ? -seconds : seconds) * kMicrosPerSecond;
  return ((utc % kMicrosPerDay) + kMicrosPerDay) % kMicrosPerDay;
}

std::optional<int64_t> ParseMicros(std::string_view text) {
  if (const auto infinity = Infinity(text); infinity.has_value()) return infinity;
  const bool bc = TakeEra(text);
  const std::optional<int64_t> days = TakeDays(text, bc);
  if (!days.has_value() || !Take(text, " ")) return std::nullopt;
  const std::optional<int64_t> micros = TakeClock(text);
  if (!micros.has_value() || !(text.empty() || text == "+00")) return std::nullopt;
  int64_t sum = 0;
  // The last years of all, counted from 1970, are beyond 64 bits.
  if (__builtin_mul_overflow(*days, kMicrosPerDay, &sum) ||
      __builtin_add_overflow(sum, *micros, &sum)) {
    return std::nullopt;
  }
  return sum;
}

std::optional<ParsedInterval> ParseInterval(std::string_view text) {
  ParsedInterval interval;
  while (!text.empty()) {
    const bool clock = text.substr(0, text.find(' ')).find(':') != std::string_view::npos;
    if (clock) {
      const bool negative = Take(text, "-");
      if (!negative) Take(text, "+");
      const std::optional<int64_t> micros = TakeClock(text);
      if (!micros.has_value()) return std::nullopt;
      interval.micros = negative ? -*micros : *micros;
      continue;
    }
    Take(text, "+");
    const std::optional<int64_t> count = TakeNumber(text);
    if (!count.has_value() || !Take(text, " ")) return std::nullopt;
    const std::string_view unit = text.substr(0, text.find(' '));
    if (unit.starts_with("year")) {
      interval.months += 12 * *count;
    } else if (unit.starts_with("mon")) {
      interval.months += *count;
    } else if (unit.starts_with("day")) {
      interval.days += *count;
    } else {
      return std::nullopt;
    }
    text.remove_prefix(unit.size());
    Take(text, " ");
  }
  return interval;
}

}  // namespace pgflow::sinks
