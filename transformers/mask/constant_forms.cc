#include "transformers/mask/constant_forms.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <optional>

#include "base/bytes.h"
#include "base/status.h"
#include "sinks/encoding/parsed_times.h"
#include "sinks/encoding/type_binary.h"

namespace pgflow::transformers {
namespace {

namespace oid = postgres::oid;

constexpr int64_t kMicrosPerSecond = 1'000'000;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

template <typename Number>
bool ReadWhole(std::string_view text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

bool IsZeroBeyond(std::string_view bytes, unsigned bits) {
  for (size_t i = 0; i < bytes.size(); ++i) {
    const unsigned kept =
        bits > i * 8 ? std::min<unsigned>(8, bits - static_cast<unsigned>(i) * 8) : 0;
    if ((static_cast<unsigned char>(bytes[i]) & (0xFFU >> kept)) != 0) return false;
  }
  return true;
}

bool AppendNetwork(std::string_view text, bool is_cidr, std::string& out) {
  NetworkAddress address;
  if (!ParseNetwork(text, address)) return false;
  if (is_cidr && !IsZeroBeyond(address.bytes, address.bits)) return false;
  AppendNetworkBinary(address, is_cidr, out);
  return true;
}

// HH:MM[:SS[.ffffff]], as microseconds since midnight.
std::optional<int64_t> ParseTime(std::string_view text) {
  const bool plain =
      std::ranges::all_of(text, [](char c) { return IsDigit(c) || c == ':' || c == '.'; });
  if (!plain) return std::nullopt;
  return sinks::ParseTimestamp(std::string("2000-01-01 ").append(text));
}

// The clock of an interval may go beyond a day.
std::optional<int64_t> ParseHours(std::string_view text) {
  const bool plain =
      std::ranges::all_of(text, [](char c) { return IsDigit(c) || c == ':' || c == '.'; });
  const auto colons = std::ranges::count(text, ':');
  if (!plain || colons < 1 || colons > 2 || text.size() > 24) return std::nullopt;
  return sinks::ParseClock(colons == 1 ? std::string(text).append(":00") : std::string(text));
}

struct Interval {
  int64_t micros = 0;
  int64_t days = 0;
  int64_t months = 0;
};

bool AddUnits(std::string_view unit, int64_t count, Interval& interval) {
  struct Unit {
    std::string_view name;
    int64_t Interval::*part;
    int64_t size;
  };
  static constexpr int64_t kMinute = 60 * kMicrosPerSecond;
  static constexpr std::array kUnits = {Unit{"year", &Interval::months, 12},
                                        Unit{"month", &Interval::months, 1},
                                        Unit{"mon", &Interval::months, 1},
                                        Unit{"week", &Interval::days, 7},
                                        Unit{"day", &Interval::days, 1},
                                        Unit{"hour", &Interval::micros, 60 * kMinute},
                                        Unit{"minute", &Interval::micros, kMinute},
                                        Unit{"min", &Interval::micros, kMinute},
                                        Unit{"second", &Interval::micros, kMicrosPerSecond},
                                        Unit{"sec", &Interval::micros, kMicrosPerSecond}};
  if (unit.ends_with('s')) unit.remove_suffix(1);
  const auto found = std::ranges::find(kUnits, unit, &Unit::name);
  if (found == kUnits.end()) return false;
  int64_t product = 0;
  int64_t& part = interval.*(found->part);
  return !__builtin_mul_overflow(count, found->size, &product) &&
         !__builtin_add_overflow(part, product, &part);
}

std::string_view TakeWord(std::string_view& text) {
  const size_t end = std::min(text.find(' '), text.size());
  const std::string_view word = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return word;
}

bool AppendInterval(std::string_view text, std::string& out) {
  Interval interval;
  if (text.empty()) return false;
  while (!text.empty()) {
    std::string_view word = TakeWord(text);
    const bool negative = word.starts_with('-');
    if (negative || word.starts_with('+')) word.remove_prefix(1);
    int64_t number = 0;
    if (word.find(':') != std::string_view::npos) {
      const std::optional<int64_t> clock = ParseHours(word);
      if (!clock.has_value()) return false;
      interval.micros += negative ? -*clock : *clock;
    } else if (!ReadWhole(word, number) || word.starts_with('-') ||
               !AddUnits(TakeWord(text), negative ? -number : number, interval)) {
      return false;
    }
  }
  const auto days = static_cast<int32_t>(interval.days);
  const auto months = static_cast<int32_t>(interval.months);
  if (days != interval.days || months != interval.months) return false;
  base::AppendBigEndian(out, interval.micros);
  base::AppendBigEndian(out, days);
  base::AppendBigEndian(out, months);
  return true;
}

// What the server sends as text has the form of its lc_monetary; the digits alone are hundredths,
// or what else the currency counts in.
bool AppendMoney(std::string_view text, std::string& out) {
  const bool negative = text.find_first_of("-(") != std::string_view::npos;
  std::string digits;
  std::ranges::copy_if(text, std::back_inserter(digits), IsDigit);
  int64_t hundredths = 0;
  if (!ReadWhole(digits, hundredths)) return false;
  base::AppendBigEndian(out, negative ? -hundredths : hundredths);
  return true;
}

// What a person writes is a decimal number.
bool CompleteMoney(std::string& text) {
  const std::string_view number = std::string_view(text).substr(text.starts_with('-') ? 1 : 0);
  const size_t point = std::min(number.find('.'), number.size());
  const std::string_view behind = number.substr(std::min(point + 1, number.size()));
  if (point == 0 || behind.size() > 2 || !std::ranges::all_of(number.substr(0, point), IsDigit) ||
      !std::ranges::all_of(behind, IsDigit)) {
    return false;
  }
  const size_t missing = 2 - behind.size();
  if (point == number.size()) text.push_back('.');
  text.append(missing, '0');
  return true;
}

bool AppendPoint(std::string_view text, std::string& out) {
  if (text.starts_with('(') && text.ends_with(')')) text = text.substr(1, text.size() - 2);
  const size_t comma = text.find(',');
  if (comma == std::string_view::npos) return false;
  std::string_view second = text.substr(comma + 1);
  if (second.starts_with(' ')) second.remove_prefix(1);
  double x = 0;
  double y = 0;
  if (!ReadWhole(text.substr(0, comma), x) || !ReadWhole(second, y)) return false;
  base::AppendBigEndian(out, std::bit_cast<uint64_t>(x));
  base::AppendBigEndian(out, std::bit_cast<uint64_t>(y));
  return true;
}

bool AppendBits(std::string_view text, const ColumnType& type, std::string& out) {
  const bool good = std::ranges::all_of(text, [](char c) { return c == '0' || c == '1'; });
  const auto most = static_cast<size_t>(std::max(type.modifier, 0));
  if (!good || text.size() > 1'000'000) return false;
  if (type.modifier >= 0 && (type.wire == kBit ? text.size() != most : text.size() > most)) {
    return false;
  }
  base::AppendBigEndian(out, static_cast<int32_t>(text.size()));
  for (size_t i = 0; i < text.size(); i += 8) {
    unsigned byte = 0;
    for (size_t j = i; j < i + 8; ++j) byte = byte * 2 + (j < text.size() && text[j] == '1');
    out.push_back(static_cast<char>(byte));
  }
  return true;
}

bool KnowsConstant(postgres::Oid type) {
  static constexpr postgres::Oid kKnown[] = {kInet,          kCidr,      kMacaddr, kMacaddr8,
                                             kMoney,         kBit,       kVarbit,  oid::kTime,
                                             oid::kInterval, oid::kPoint};
  return std::ranges::find(kKnown, type) != std::end(kKnown);
}

}  // namespace

bool ParseNetwork(std::string_view text, NetworkAddress& address) {
  const size_t slash = std::min(text.find('/'), text.size());
  const std::string host(text.substr(0, slash));
  std::array<char, 16> bytes{};
  address.is_v4 = host.find(':') == std::string::npos;
  if (inet_pton(address.is_v4 ? AF_INET : AF_INET6, host.c_str(), bytes.data()) != 1) return false;
  const size_t size = address.is_v4 ? 4 : 16;
  address.bytes.assign(bytes.data(), size);
  address.bits = static_cast<unsigned>(size * 8);
  if (slash == text.size()) return true;
  unsigned bits = 0;
  if (!ReadWhole(text.substr(slash + 1), bits) || bits > address.bits) return false;
  address.bits = bits;
  return true;
}

void AppendNetworkBinary(const NetworkAddress& address, bool is_cidr, std::string& out) {
  out.push_back(address.is_v4 ? '\2' : '\3');
  out.push_back(static_cast<char>(address.bits));
  out.push_back(is_cidr ? '\1' : '\0');
  out.push_back(static_cast<char>(address.bytes.size()));
  out.append(address.bytes);
}

bool ParseMac(std::string_view text, std::string& bytes) {
  bytes.clear();
  while (!text.empty()) {
    unsigned byte = 0;
    if (text.size() < 2) return false;
    const auto [end, error] = std::from_chars(text.data(), text.data() + 2, byte, 16);
    if (error != std::errc() || end != text.data() + 2) return false;
    bytes.push_back(static_cast<char>(byte));
    text.remove_prefix(2);
    if (text.empty()) break;
    if (text.front() != ':' && text.front() != '-') return false;
    text.remove_prefix(1);
    if (text.empty()) return false;
  }
  return bytes.size() == 6 || bytes.size() == 8;
}

bool AppendConstantBinary(std::string_view text, const ColumnType& type, std::string& out) {
  switch (type.wire) {
    case kInet:
    case kCidr:
      return AppendNetwork(text, type.wire == kCidr, out);
    case kMacaddr:
    case kMacaddr8: {
      std::string bytes;
      if (!ParseMac(text, bytes) || bytes.size() != (type.wire == kMacaddr ? 6 : 8)) return false;
      out.append(bytes);
      return true;
    }
    case oid::kTime: {
      const std::optional<int64_t> micros = ParseTime(text);
      if (micros.has_value()) base::AppendBigEndian(out, *micros);
      return micros.has_value();
    }
    case oid::kInterval:
      return AppendInterval(text, out);
    case kMoney:
      return AppendMoney(text, out);
    case oid::kPoint:
      return AppendPoint(text, out);
    case kBit:
    case kVarbit:
      return AppendBits(text, type, out);
    default:
      return false;
  }
}

absl::StatusOr<BothForms> FormsOf(const std::string& text, const ColumnType& type) {
  BothForms forms{text, {}};
  if (type.value_class == ValueClass::kBoolean && (text == "true" || text == "false")) {
    forms.text = text.substr(0, 1);
  }
  const bool constant = KnowsConstant(type.wire);
  if (!constant && !sinks::KnowsBinaryOfText(type.wire)) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "no value of its type can be written in a rule; use keep or null");
  }
  if (type.wire == kMoney && !CompleteMoney(forms.text)) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "'{}' is no amount; write a number with a point, as 12.50", text);
  }
  if (constant ? !AppendConstantBinary(forms.text, type, forms.binary)
               : !sinks::AppendBinaryOfText(forms.text, type.wire, forms.binary)) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument, "'{}' is no value of its type",
                            text);
  }
  if (constant && type.text != nullptr) {
    forms.text.clear();
    type.text->append(forms.binary, *type.text, forms.text);
  }
  if (type.characters_max != 0 && CountCharacters(text) > type.characters_max) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument, "'{}' has more than {} characters",
                            text, type.characters_max);
  }
  return forms;
}

}  // namespace pgflow::transformers
