#include "sinks/encoding/text_times.h"

#include <array>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <limits>

#include "base/bytes.h"
#include "postgres/types/epoch.h"
#include "sinks/encoding/integer_text.h"

namespace pgflow::sinks {
namespace {

constexpr int64_t kMicrosPerSecond = 1'000'000;
constexpr int64_t kMicrosPerDay = 86'400 * kMicrosPerSecond;

struct CivilDate {
  int64_t year;  // 0 is 1 BC.
  unsigned month;
  unsigned day;
};

// The proleptic Gregorian date of a day since 1970-01-01 (Howard Hinnant, "chrono-Compatible
// Low-Level Date Algorithms"): years are counted from March in eras of 400 years.
CivilDate ToCivil(int64_t days) {
  days += 719'468;
  const int64_t era = (days >= 0 ? days : days - 146'096) / 146'097;
  const auto day_of_era = static_cast<unsigned>(days - era * 146'097);
  const unsigned year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
  const unsigned day_of_year =
      day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const unsigned shifted_month = (5 * day_of_year + 2) / 153;
  const unsigned day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
  const unsigned month = shifted_month < 10 ? shifted_month + 3 : shifted_month - 9;
  return {year_of_era + era * 400 + (month <= 2 ? 1 : 0), month, day};
}

void AppendPadded(uint64_t value, size_t width, std::string& out) {
  std::array<char, 24> buffer;
  const auto result = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  const auto size = static_cast<size_t>(result.ptr - buffer.data());
  if (size < width) out.append(width - size, '0');
  out.append(buffer.data(), size);
}

// Without the era, which comes behind the time; true when it is BC.
bool AppendYearMonthDay(const CivilDate& date, std::string& out) {
  const bool bc = date.year <= 0;
  AppendPadded(static_cast<uint64_t>(bc ? 1 - date.year : date.year), 4, out);
  out.push_back('-');
  AppendPadded(date.month, 2, out);
  out.push_back('-');
  AppendPadded(date.day, 2, out);
  return bc;
}

// `micros` is not negative; trailing zeros of the fraction are left out.
void AppendClock(uint64_t micros, std::string& out) {
  const uint64_t seconds = micros / kMicrosPerSecond;
  AppendPadded(seconds / 3600, 2, out);
  out.push_back(':');
  AppendPadded(seconds / 60 % 60, 2, out);
  out.push_back(':');
  AppendPadded(seconds % 60, 2, out);
  const uint64_t fraction = micros % kMicrosPerSecond;
  if (fraction == 0) return;
  out.push_back('.');
  AppendPadded(fraction, 6, out);
  while (out.back() == '0') out.pop_back();
}

bool AppendMoment(std::string_view bytes, std::string_view zone, std::string& out) {
  if (bytes.size() != 8) return false;
  const auto micros = base::LoadBigEndian<int64_t>(bytes.data());
  if (micros == std::numeric_limits<int64_t>::max()) {
    out.append("infinity");
    return true;
  }
  if (micros == std::numeric_limits<int64_t>::min()) {
    out.append("-infinity");
    return true;
  }
  int64_t day = micros / kMicrosPerDay;
  if (micros % kMicrosPerDay < 0) --day;
  const bool bc = AppendYearMonthDay(ToCivil(day + postgres::kEpochDays), out);
  out.push_back(' ');
  // Unsigned, for the first day of all would overflow.
  AppendClock(static_cast<uint64_t>(micros) - static_cast<uint64_t>(day) * kMicrosPerDay, out);
  out.append(zone);
  if (bc) out.append(" BC");
  return true;
}

// One part of an interval, as AddPostgresIntPart of the server writes it: a plus sign only behind
// a negative part.
void AppendIntervalPart(int64_t value, std::string_view unit, bool& first, bool& negative_before,
                        std::string& out) {
  if (value == 0) return;
  if (!first) out.push_back(' ');
  if (negative_before && value > 0) out.push_back('+');
  AppendDigits(value, out);
  out.push_back(' ');
  out.append(unit);
  if (value != 1) out.push_back('s');
  negative_before = value < 0;
  first = false;
}

}  // namespace

bool AppendDate(std::string_view bytes, const TypeText&, std::string& out) {
  if (bytes.size() != 4) return false;
  const auto days = base::LoadBigEndian<int32_t>(bytes.data());
  if (days == std::numeric_limits<int32_t>::max()) {
    out.append("infinity");
  } else if (days == std::numeric_limits<int32_t>::min()) {
    out.append("-infinity");
  } else if (AppendYearMonthDay(ToCivil(days + postgres::kEpochDays), out)) {
    out.append(" BC");
  }
  return true;
}

bool AppendTime(std::string_view bytes, const TypeText&, std::string& out) {
  if (bytes.size() != 8) return false;
  const auto micros = base::LoadBigEndian<int64_t>(bytes.data());
  if (micros < 0 || micros > kMicrosPerDay) return false;
  AppendClock(static_cast<uint64_t>(micros), out);
  return true;
}

bool AppendTimetz(std::string_view bytes, const TypeText& type, std::string& out) {
  if (bytes.size() != 12 || !AppendTime(bytes.substr(0, 8), type, out)) return false;
  // Seconds west of Greenwich; the text counts east.
  const auto west = base::LoadBigEndian<int32_t>(bytes.data() + 8);
  if (west < -100 * 3600 || west > 100 * 3600) return false;
  out.push_back(west <= 0 ? '+' : '-');
  const auto offset = static_cast<uint64_t>(std::abs(west));
  AppendPadded(offset / 3600, 2, out);
  if (offset % 3600 != 0) {
    out.push_back(':');
    AppendPadded(offset / 60 % 60, 2, out);
  }
  if (offset % 60 != 0) {
    out.push_back(':');
    AppendPadded(offset % 60, 2, out);
  }
  return true;
}

bool AppendTimestamp(std::string_view bytes, const TypeText&, std::string& out) {
  return AppendMoment(bytes, "", out);
}

bool AppendTimestamptz(std::string_view bytes, const TypeText&, std::string& out) {
  return AppendMoment(bytes, "+00", out);
}

bool AppendInterval(std::string_view bytes, const TypeText&, std::string& out) {
  if (bytes.size() != 16) return false;
  const auto micros = base::LoadBigEndian<int64_t>(bytes.data());
  const auto days = base::LoadBigEndian<int32_t>(bytes.data() + 8);
  const auto months = base::LoadBigEndian<int32_t>(bytes.data() + 12);
  // All three at an end: the infinities of Postgres 17.
  using Micros = std::numeric_limits<int64_t>;
  using Parts = std::numeric_limits<int32_t>;
  if (micros == Micros::max() && days == Parts::max() && months == Parts::max()) {
    out.append("infinity");
    return true;
  }
  if (micros == Micros::min() && days == Parts::min() && months == Parts::min()) {
    out.append("-infinity");
    return true;
  }
  bool first = true;
  bool negative_before = false;
  AppendIntervalPart(months / 12, "year", first, negative_before, out);
  AppendIntervalPart(months % 12, "mon", first, negative_before, out);
  AppendIntervalPart(days, "day", first, negative_before, out);
  if (!first && micros == 0) return true;
  if (!first) out.push_back(' ');
  if (micros < 0) {
    out.push_back('-');
  } else if (negative_before) {
    out.push_back('+');
  }
  AppendClock(micros < 0 ? -static_cast<uint64_t>(micros) : static_cast<uint64_t>(micros), out);
  return true;
}

void AppendRfc3339(absl::Time time, std::string& out) {
  const int64_t micros = absl::ToUnixMicros(time);
  int64_t day = micros / kMicrosPerDay;
  if (micros % kMicrosPerDay < 0) --day;
  AppendYearMonthDay(ToCivil(day), out);
  out.push_back('T');
  const auto in_day = static_cast<uint64_t>(micros - day * kMicrosPerDay);
  const uint64_t seconds = in_day / kMicrosPerSecond;
  AppendPadded(seconds / 3600, 2, out);
  out.push_back(':');
  AppendPadded(seconds / 60 % 60, 2, out);
  out.push_back(':');
  AppendPadded(seconds % 60, 2, out);
  out.push_back('.');
  AppendPadded(in_day % kMicrosPerSecond, 6, out);
  out.push_back('Z');
}

}  // namespace pgflow::sinks
