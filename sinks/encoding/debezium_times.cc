#include "sinks/encoding/debezium_times.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <limits>

#include <fmt/format.h>

#include "sinks/encoding/parsed_times.h"

namespace pgflow::sinks {
namespace {

constexpr int64_t kMicrosPerSecond = 1'000'000;
constexpr int64_t kMicrosPerMinute = 60 * kMicrosPerSecond;
constexpr int64_t kMicrosPerDay = 86'400 * kMicrosPerSecond;

void AppendClock(int64_t micros, std::string& out) {
  const int64_t seconds = micros / kMicrosPerSecond;
  out += fmt::format("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
}

bool HasForm(std::string_view text, std::string_view form) {
  return std::ranges::equal(text, form, [](char c, char wanted) {
    return wanted == '0' ? c >= '0' && c <= '9' : c == wanted;
  });
}

// "2026-01-31 09:05:00.25+00", as all but few moments are printed: its parts stay as they are.
std::optional<std::string> PlainIso(std::string_view text) {
  constexpr std::string_view kSeconds = "0000-00-00 00:00:00";
  constexpr std::string_view kFraction = ".000000";
  if (!text.ends_with("+00")) return std::nullopt;
  text.remove_suffix(3);
  const std::string_view fraction = text.substr(std::min(text.size(), kSeconds.size()));
  if (!HasForm(text.substr(0, kSeconds.size()), kSeconds) ||
      !HasForm(fraction, kFraction.substr(0, fraction.size()))) {
    return std::nullopt;
  }
  std::string iso(text);
  iso[kSeconds.find(' ')] = 'T';
  iso += kFraction.substr(fraction.size());
  iso += 'Z';
  return iso;
}

// Of a year that leaves no room for microseconds.
std::optional<int64_t> ParseFarMillis(std::string_view text) {
  const size_t space = text.find(' ');
  if (space == std::string_view::npos || text.ends_with(" BC")) return std::nullopt;
  const std::optional<int64_t> days = ParseDays(text.substr(0, space));
  const std::optional<int64_t> clock = ParseClock(text.substr(space + 1));
  if (!days.has_value() || !clock.has_value()) return std::nullopt;
  return *days * (kMicrosPerDay / 1000) + *clock / 1000;
}

}  // namespace

std::optional<std::string> IsoTimestamp(std::string_view text) {
  if (std::optional<std::string> plain = PlainIso(text); plain.has_value()) return plain;
  std::optional<int64_t> micros = ParseMicros(text);
  if (micros == kInfinity || micros == kMinusInfinity) return std::string(text);
  int64_t clock = 0;
  if (micros.has_value()) {
    clock = ((*micros % kMicrosPerDay) + kMicrosPerDay) % kMicrosPerDay;
  } else {
    const size_t space = text.find(' ');
    if (space == std::string_view::npos || !text.ends_with("+00")) return std::nullopt;
    const auto far = ParseClock(text.substr(space + 1, text.size() - space - 4));
    if (!far.has_value()) return std::nullopt;
    clock = *far;
  }
  // The date is as it was printed, but for years before the first, which ISO 8601 counts from 0.
  const std::string_view date = text.substr(0, text.find(' '));
  int64_t year = 0;
  std::from_chars(date.data(), date.data() + date.size(), year);
  if (text.ends_with(" BC")) year = 1 - year;
  std::string iso =
      fmt::format("{}{:04}{}T", year < 0 ? "-" : "", std::abs(year), date.substr(date.find('-')));
  AppendClock(clock, iso);
  iso += fmt::format(".{:06}Z", clock % kMicrosPerSecond);
  return iso;
}

std::optional<std::string> IsoTime(std::string_view text) {
  const std::optional<int64_t> micros = ParseClockWithZone(text);
  if (!micros.has_value()) return std::nullopt;
  std::string iso;
  AppendClock(*micros, iso);
  if (*micros % kMicrosPerSecond != 0) {
    iso += fmt::format(".{:06}", *micros % kMicrosPerSecond);
    while (iso.back() == '0') iso.pop_back();
  }
  return iso + "Z";
}

std::optional<std::string> IsoInterval(std::string_view text) {
  const std::optional<ParsedInterval> interval = ParseInterval(text);
  if (!interval.has_value()) return std::nullopt;
  const int64_t minutes = interval->micros / kMicrosPerMinute;
  const int64_t micros = interval->micros % kMicrosPerMinute;
  std::string seconds =
      fmt::format("{}{}.{:06}", micros < 0 ? "-" : "", std::abs(micros) / kMicrosPerSecond,
                  std::abs(micros) % kMicrosPerSecond);
  while (seconds.back() == '0') seconds.pop_back();
  if (seconds.back() == '.') seconds.pop_back();
  return fmt::format("P{}Y{}M{}DT{}H{}M{}S", interval->months / 12, interval->months % 12,
                     interval->days, minutes / 60, minutes % 60, seconds);
}

std::optional<int64_t> IntervalMicros(std::string_view text, bool clamps) {
  const std::optional<ParsedInterval> interval = ParseInterval(text);
  if (!interval.has_value()) return std::nullopt;
  // A month of 365.25 / 12 days.
  constexpr int64_t kMicrosPerMonth = kMicrosPerDay / 16 * 487;
  int64_t micros = 0;
  int64_t days = 0;
  if (__builtin_mul_overflow(interval->months, kMicrosPerMonth, &micros) ||
      __builtin_mul_overflow(interval->days, kMicrosPerDay, &days) ||
      __builtin_add_overflow(micros, days, &micros) ||
      __builtin_add_overflow(micros, interval->micros, &micros)) {
    if (!clamps) return std::nullopt;
    // No other part is large enough.
    const bool negative = interval->months != 0 ? interval->months < 0 : interval->days < 0;
    return negative ? kMinusInfinity : kInfinity;
  }
  return micros;
}

std::optional<int64_t> MomentNumber(DebeziumForm form, std::string_view text, bool clamps) {
  const bool date = form == DebeziumForm::kDate;
  const bool clock = form == DebeziumForm::kTimeMicros || form == DebeziumForm::kTimeMillis;
  const bool millis = form == DebeziumForm::kTimeMillis || form == DebeziumForm::kTimestampMillis;
  const std::optional<int64_t> number = date    ? ParseDays(text)
                                        : clock ? ParseClock(text)
                                                : ParseMicros(text);
  if (!number.has_value() && !date && !clock) {
    const std::optional<int64_t> far = ParseFarMillis(text);
    if (millis || !far.has_value()) return far;
    if (clamps) return kInfinity;
  }
  if (!number.has_value()) return std::nullopt;
  const bool infinite = *number == kInfinity || *number == kMinusInfinity;
  if (date && infinite) {
    return *number == kInfinity ? std::numeric_limits<int32_t>::max()
                                : std::numeric_limits<int32_t>::min();
  }
  // The column keeps no more than milliseconds.
  return millis && !infinite ? *number / 1000 : *number;
}

}  // namespace pgflow::sinks
