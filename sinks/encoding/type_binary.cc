#include "sinks/encoding/type_binary.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <limits>

#include "base/bytes.h"
#include "postgres/types/epoch.h"

namespace pgflow::sinks {
namespace {

namespace oid = postgres::oid;

constexpr int64_t kMicrosPerSecond = 1'000'000;
constexpr int64_t kMicrosPerDay = 86'400 * kMicrosPerSecond;
constexpr int64_t kYearMax = 5'874'897;  // Of a date; a timestamp ends earlier.
constexpr int64_t kYearMin = -4713;
constexpr int64_t kTimestampDaysMax = 106'751'990;

// Days since 1970-01-01 (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
int64_t DaysFromCivil(int64_t year, unsigned month, unsigned day) {
  year -= month <= 2 ? 1 : 0;
  const int64_t era = (year >= 0 ? year : year - 399) / 400;
  const auto year_of_era = static_cast<unsigned>(year - era * 400);
  const unsigned day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
  const unsigned day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * 146'097 + static_cast<int64_t>(day_of_era) - 719'468;
}

unsigned DaysInMonth(int64_t year, unsigned month) {
  static constexpr unsigned kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  return month == 2 && leap ? 29 : kDays[month - 1];
}

// Takes digits off the front of `text`; false when there are fewer than `least`.
bool TakeNumber(std::string_view& text, size_t least, size_t most, int64_t& number) {
  size_t size = 0;
  number = 0;
  while (size < text.size() && size < most && text[size] >= '0' && text[size] <= '9') {
    number = number * 10 + (text[size] - '0');
    ++size;
  }
  text.remove_prefix(size);
  return size >= least;
}

bool TakeCharacter(std::string_view& text, char wanted) {
  if (text.empty() || text.front() != wanted) return false;
  text.remove_prefix(1);
  return true;
}

// YYYY-MM-DD, as days since 2000-01-01.
bool TakeDate(std::string_view& text, bool bc, int64_t& days) {
  int64_t year = 0;
  int64_t month = 0;
  int64_t day = 0;
  if (!TakeNumber(text, 4, 7, year) || !TakeCharacter(text, '-') ||
      !TakeNumber(text, 2, 2, month) || !TakeCharacter(text, '-') || !TakeNumber(text, 2, 2, day)) {
    return false;
  }
  if (bc) year = 1 - year;
  if (year > kYearMax || year < kYearMin || month < 1 || month > 12 || day < 1 ||
      day > DaysInMonth(year, static_cast<unsigned>(month))) {
    return false;
  }
  days = DaysFromCivil(year, static_cast<unsigned>(month), static_cast<unsigned>(day)) -
         postgres::kEpochDays;
  return true;
}

// HH:MM[:SS[.ffffff]]
bool TakeClock(std::string_view& text, int64_t& micros) {
  int64_t hour = 0;
  int64_t minute = 0;
  int64_t second = 0;
  if (!TakeNumber(text, 2, 2, hour) || !TakeCharacter(text, ':') ||
      !TakeNumber(text, 2, 2, minute)) {
    return false;
  }
  if (TakeCharacter(text, ':') && !TakeNumber(text, 2, 2, second)) return false;
  int64_t fraction = 0;
  if (TakeCharacter(text, '.')) {
    const size_t before = text.size();
    if (!TakeNumber(text, 1, 6, fraction)) return false;
    for (size_t digits = before - text.size(); digits < 6; ++digits) fraction *= 10;
  }
  if (hour > 24 || minute > 59 || second > 59) return false;
  micros = ((hour * 60 + minute) * 60 + second) * kMicrosPerSecond + fraction;
  return micros <= kMicrosPerDay;
}

// Z, +HH, +HH:MM or +HH:MM:SS; nothing is nothing.
bool TakeOffset(std::string_view& text, int64_t& micros) {
  micros = 0;
  if (text.empty() || TakeCharacter(text, 'Z')) return true;
  const bool west = text.front() == '-';
  if (!west && text.front() != '+') return true;
  text.remove_prefix(1);
  int64_t hours = 0;
  int64_t minutes = 0;
  int64_t seconds = 0;
  if (!TakeNumber(text, 2, 2, hours)) return false;
  if (TakeCharacter(text, ':') && !TakeNumber(text, 2, 2, minutes)) return false;
  if (TakeCharacter(text, ':') && !TakeNumber(text, 2, 2, seconds)) return false;
  micros = ((hours * 60 + minutes) * 60 + seconds) * kMicrosPerSecond;
  if (west) micros = -micros;
  return true;
}

bool TakeEra(std::string_view& text) {
  if (!text.ends_with(" BC")) return false;
  text.remove_suffix(3);
  return true;
}

template <typename Integer>
bool AppendInteger(std::string_view text, std::string& out) {
  Integer value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return false;
  base::AppendBigEndian(out, value);
  return true;
}

template <typename Float, typename Bits>
bool AppendFloat(std::string_view text, std::string& out) {
  Float value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return false;
  base::AppendBigEndian(out, std::bit_cast<Bits>(value));
  return true;
}

bool AppendBoolean(std::string_view text, std::string& out) {
  const bool yes = text == "t" || text == "true";
  if (!yes && text != "f" && text != "false") return false;
  out.push_back(yes ? '\1' : '\0');
  return true;
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool AppendHex(std::string_view text, std::string& out) {
  if (!text.starts_with("\\x") || text.size() % 2 != 0) return false;
  const size_t before = out.size();
  for (size_t i = 2; i < text.size(); i += 2) {
    const int high = HexDigit(text[i]);
    const int low = HexDigit(text[i + 1]);
    if (high < 0 || low < 0) {
      out.resize(before);
      return false;
    }
    out.push_back(static_cast<char>(high * 16 + low));
  }
  return true;
}

}  // namespace

std::optional<int32_t> ParseDate(std::string_view text) {
  if (text == "infinity") return std::numeric_limits<int32_t>::max();
  if (text == "-infinity") return std::numeric_limits<int32_t>::min();
  const bool bc = TakeEra(text);
  int64_t days = 0;
  if (!TakeDate(text, bc, days) || !text.empty()) return std::nullopt;
  return static_cast<int32_t>(days);
}

std::optional<int64_t> ParseTimestamp(std::string_view text) {
  if (text == "infinity") return std::numeric_limits<int64_t>::max();
  if (text == "-infinity") return std::numeric_limits<int64_t>::min();
  const bool bc = TakeEra(text);
  int64_t days = 0;
  int64_t clock = 0;
  int64_t offset = 0;
  if (!TakeDate(text, bc, days) || days > kTimestampDaysMax) return std::nullopt;
  if (TakeCharacter(text, ' ') || TakeCharacter(text, 'T')) {
    if (!TakeClock(text, clock) || !TakeOffset(text, offset)) return std::nullopt;
  }
  if (!text.empty()) return std::nullopt;
  int64_t micros = days * kMicrosPerDay + clock;
  if (__builtin_sub_overflow(micros, offset, &micros)) return std::nullopt;
  return micros;
}

std::optional<std::string> ParseUuid(std::string_view text) {
  std::array<char, 16> bytes{};
  size_t count = 0;
  int high = -1;
  for (const char c : text) {
    if (c == '-') continue;
    const int digit = HexDigit(c);
    if (digit < 0 || count == bytes.size()) return std::nullopt;
    if (high < 0) {
      high = digit;
      continue;
    }
    bytes[count++] = static_cast<char>(high * 16 + digit);
    high = -1;
  }
  if (count != bytes.size() || high >= 0) return std::nullopt;
  return std::string(bytes.begin(), bytes.end());
}

bool AppendNumericBinary(std::string_view text, std::string& out) {
  const auto append = [&out](size_t count, int weight, int sign, size_t scale) {
    base::AppendBigEndian(out, static_cast<uint16_t>(count));
    base::AppendBigEndian(out, static_cast<int16_t>(weight));
    base::AppendBigEndian(out, static_cast<uint16_t>(sign));
    base::AppendBigEndian(out, static_cast<uint16_t>(scale));
  };
  if (text == "NaN" || text == "Infinity" || text == "-Infinity") {
    append(0, 0, text == "NaN" ? 0xC000 : text == "Infinity" ? 0xD000 : 0xF000, 0);
    return true;
  }
  const bool negative = !text.empty() && text.front() == '-';
  if (negative) text.remove_prefix(1);
  const size_t point = std::min(text.find('.'), text.size());
  const std::string_view whole = text.substr(0, point);
  const std::string_view fraction = point < text.size() ? text.substr(point + 1) : "";
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  if (whole.empty() || whole.size() > 131'072 || fraction.size() > 16'383 ||
      !std::ranges::all_of(whole, is_digit) || !std::ranges::all_of(fraction, is_digit)) {
    return false;
  }
  // Groups of four digits on both sides of the point.
  const size_t whole_groups = (whole.size() + 3) / 4;
  const size_t groups = whole_groups + (fraction.size() + 3) / 4;
  const size_t lead = whole_groups * 4 - whole.size();
  const auto digit_at = [&](size_t index) -> int {
    if (index < lead) return 0;
    index -= lead;
    if (index < whole.size()) return whole[index] - '0';
    index -= whole.size();
    return index < fraction.size() ? fraction[index] - '0' : 0;
  };
  const auto group_at = [&](size_t group) {
    const size_t at = group * 4;
    return digit_at(at) * 1000 + digit_at(at + 1) * 100 + digit_at(at + 2) * 10 + digit_at(at + 3);
  };
  size_t first = 0;
  size_t last = groups;
  while (first < last && group_at(first) == 0) ++first;
  while (last > first && group_at(last - 1) == 0) --last;
  const bool zero = first == last;
  append(last - first, zero ? 0 : static_cast<int>(whole_groups) - 1 - static_cast<int>(first),
         negative && !zero ? 0x4000 : 0, fraction.size());
  for (size_t i = first; i < last; ++i) {
    base::AppendBigEndian(out, static_cast<uint16_t>(group_at(i)));
  }
  return true;
}

bool KnowsBinaryOfText(postgres::Oid type) {
  static constexpr postgres::Oid kKnown[] = {
      oid::kBool,   oid::kInt2,    oid::kInt4,      oid::kInt8,       oid::kFloat4,
      oid::kFloat8, oid::kNumeric, oid::kText,      oid::kVarchar,    oid::kBpchar,
      oid::kName,   oid::kJson,    oid::kXml,       oid::kJsonb,      oid::kBytea,
      oid::kUuid,   oid::kDate,    oid::kTimestamp, oid::kTimestamptz};
  return std::ranges::find(kKnown, type) != std::end(kKnown);
}

bool AppendBinaryOfText(std::string_view text, postgres::Oid type, std::string& out) {
  switch (type) {
    case oid::kBool:
      return AppendBoolean(text, out);
    case oid::kInt2:
      return AppendInteger<int16_t>(text, out);
    case oid::kInt4:
      return AppendInteger<int32_t>(text, out);
    case oid::kInt8:
      return AppendInteger<int64_t>(text, out);
    case oid::kFloat4:
      return AppendFloat<float, uint32_t>(text, out);
    case oid::kFloat8:
      return AppendFloat<double, uint64_t>(text, out);
    case oid::kNumeric:
      return AppendNumericBinary(text, out);
    case oid::kJsonb:
      out.push_back('\1');  // The version.
      out.append(text);
      return true;
    case oid::kBytea:
      return AppendHex(text, out);
    case oid::kUuid: {
      const std::optional<std::string> bytes = ParseUuid(text);
      if (bytes.has_value()) out.append(*bytes);
      return bytes.has_value();
    }
    case oid::kDate: {
      const std::optional<int32_t> days = ParseDate(text);
      if (days.has_value()) base::AppendBigEndian(out, *days);
      return days.has_value();
    }
    case oid::kTimestamp:
    case oid::kTimestamptz: {
      const std::optional<int64_t> micros = ParseTimestamp(text);
      if (micros.has_value()) base::AppendBigEndian(out, *micros);
      return micros.has_value();
    }
    default:
      if (!KnowsBinaryOfText(type)) return false;
      out.append(text);
      return true;
  }
}

}  // namespace pgflow::sinks
