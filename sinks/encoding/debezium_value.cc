#include "sinks/encoding/debezium_value.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/bytes.h"
#include "base/status.h"
#include "postgres/types/epoch.h"
#include "sinks/encoding/debezium_writer.h"
#include "sinks/encoding/decimal.h"
#include "sinks/encoding/json_value.h"
#include "sinks/encoding/parsed_times.h"

namespace pgflow::sinks {
namespace {

using schemas::Value;
using schemas::ValueKind;

constexpr int64_t kMicrosPerSecond = 1'000'000;
constexpr int64_t kMicrosPerDay = 86'400 * kMicrosPerSecond;

Value TextValue(std::string_view text) {
  return {text.data(), static_cast<uint32_t>(text.size()), ValueKind::kText};
}

absl::Status NoForm(std::string_view text, std::string_view form) {
  return base::MakeStatus(absl::StatusCode::kInvalidArgument, "value '{}' cannot be {}",
                          text.substr(0, 80), form);
}

// "\x00ff" as the server prints it.
template <typename Out>
bool AppendHex(std::string_view text, Out& out) {
  if (!text.starts_with("\\x") || text.size() % 2 != 0) return false;
  std::string bytes;
  bytes.reserve(text.size() / 2 - 1);
  for (size_t i = 2; i < text.size(); i += 2) {
    unsigned byte = 0;
    const auto result = std::from_chars(text.data() + i, text.data() + i + 2, byte, 16);
    if (result.ptr != text.data() + i + 2) return false;
    bytes.push_back(static_cast<char>(byte));
  }
  out.Bytes(bytes);
  return true;
}

// The last bit of the text is the lowest one, and the lowest byte comes first.
template <typename Out>
void AppendBits(std::string_view text, Out& out) {
  std::string bytes((text.size() + 7) / 8, '\0');
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[text.size() - 1 - i] != '1') continue;
    bytes[i / 8] = static_cast<char>(static_cast<uint8_t>(bytes[i / 8]) | (1U << (i % 8)));
  }
  out.Bytes(bytes);
}

template <typename Out>
absl::Status AppendDecimal(const DebeziumType& type, std::string_view text, Out& out) {
  const std::optional<int32_t> own_scale = ScaleOf(text);
  const bool variable = type.form == DebeziumForm::kVariableDecimal;
  const int32_t scale = variable ? own_scale.value_or(0) : type.scale;
  std::string unscaled;
  if (!own_scale.has_value() || !AppendUnscaled(text, scale, unscaled)) {
    return NoForm(text, "a decimal of Kafka Connect; `decimals: string` takes it");
  }
  if (variable) {
    out.Sign(R"({"scale":)");
    out.Integer(scale);
    out.Sign(R"(,"value":)");
  }
  out.Bytes(unscaled);
  if (variable) out.Sign("}");
  return absl::OkStatus();
}

template <typename Out>
void AppendDouble(std::string_view text, Out& out) {
  const double number = std::strtod(std::string(text).c_str(), nullptr);
  if (std::isfinite(number)) {
    out.Double(number, fmt::format("{}", number));
  } else {
    out.Double(number, std::isnan(number) ? "NaN" : number > 0 ? "Infinity" : "-Infinity");
  }
}

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

template <typename Out>
absl::Status AppendTimestampWithZone(std::string_view text, Out& out) {
  if (const std::optional<std::string> plain = PlainIso(text); plain.has_value()) {
    out.String(*plain);
    return absl::OkStatus();
  }
  const std::optional<int64_t> micros = ParseMicros(text);
  if (!micros.has_value()) return NoForm(text, "a timestamp");
  if (*micros == kInfinity || *micros == kMinusInfinity) {
    out.String(text);
    return absl::OkStatus();
  }
  // The date is as it was printed, but for years before the first, which ISO 8601 counts from 0.
  const std::string_view date = text.substr(0, text.find(' '));
  int64_t year = 0;
  std::from_chars(date.data(), date.data() + date.size(), year);
  if (text.ends_with(" BC")) year = 1 - year;
  const int64_t clock = ((*micros % kMicrosPerDay) + kMicrosPerDay) % kMicrosPerDay;
  std::string iso =
      fmt::format("{}{:04}{}T", year < 0 ? "-" : "", std::abs(year), date.substr(date.find('-')));
  AppendClock(clock, iso);
  iso += fmt::format(".{:06}Z", clock % kMicrosPerSecond);
  out.String(iso);
  return absl::OkStatus();
}

template <typename Out>
absl::Status AppendTimeWithZone(std::string_view text, Out& out) {
  const std::optional<int64_t> micros = ParseClockWithZone(text);
  if (!micros.has_value()) return NoForm(text, "a time");
  std::string iso;
  AppendClock(*micros, iso);
  if (*micros % kMicrosPerSecond != 0) {
    iso += fmt::format(".{:06}", *micros % kMicrosPerSecond);
    while (iso.back() == '0') iso.pop_back();
  }
  out.String(iso + "Z");
  return absl::OkStatus();
}

template <typename Out>
absl::Status AppendInterval(std::string_view text, Out& out) {
  const std::optional<ParsedInterval> interval = ParseInterval(text);
  if (!interval.has_value()) return NoForm(text, "a number of microseconds");
  // A month of 365.25 / 12 days.
  constexpr int64_t kMicrosPerMonth = kMicrosPerDay / 16 * 487;
  int64_t micros = 0;
  int64_t days = 0;
  if (__builtin_mul_overflow(interval->months, kMicrosPerMonth, &micros) ||
      __builtin_mul_overflow(interval->days, kMicrosPerDay, &days) ||
      __builtin_add_overflow(micros, days, &micros) ||
      __builtin_add_overflow(micros, interval->micros, &micros)) {
    return NoForm(text, "a number of microseconds, of 64 bits");
  }
  out.Integer(micros);
  return absl::OkStatus();
}

template <typename Out>
absl::Status AppendMoment(DebeziumForm form, std::string_view text, Out& out) {
  const bool date = form == DebeziumForm::kDate;
  const bool clock = form == DebeziumForm::kTimeMicros || form == DebeziumForm::kTimeMillis;
  std::optional<int64_t> number = date    ? ParseDays(text)
                                  : clock ? ParseClock(text)
                                          : ParseMicros(text);
  if (!number.has_value()) return NoForm(text, date ? "a date" : clock ? "a time" : "a timestamp");
  const bool infinite = *number == kInfinity || *number == kMinusInfinity;
  if (date && infinite) {
    number = *number == kInfinity ? std::numeric_limits<int32_t>::max()
                                  : std::numeric_limits<int32_t>::min();
  }
  const bool millis = form == DebeziumForm::kTimeMillis || form == DebeziumForm::kTimestampMillis;
  // The column keeps no more than milliseconds.
  out.Integer(millis && !infinite ? *number / 1000 : *number);
  return absl::OkStatus();
}

// "(1,2.5)", with its little-endian well-known binary.
template <typename Out>
absl::Status AppendPoint(std::string_view text, Out& out) {
  const size_t comma = text.find(',');
  if (text.size() < 5 || comma == std::string_view::npos) return NoForm(text, "a point");
  std::string wkb("\x01\x01\0\0\0", 5);
  bool first = true;
  for (const std::string_view part :
       {text.substr(1, comma - 1), text.substr(comma + 1, text.size() - comma - 2)}) {
    const double number = std::strtod(std::string(part).c_str(), nullptr);
    wkb.append(reinterpret_cast<const char*>(&number), sizeof(number));
    out.Sign(first ? "{\"x\":" : ",\"y\":");
    out.Double(number, part);
    first = false;
  }
  out.Sign(",\"wkb\":");
  out.Some();
  out.Bytes(wkb);
  out.Sign(",\"srid\":");
  out.Null();
  out.Sign("}");
  return absl::OkStatus();
}

// A text with quotes and backslashes, as array_out and hstore_out write it. One thread.
class QuotedText {
 public:
  explicit QuotedText(std::string_view text) : rest_(text) {}

  bool Take(std::string_view start) {
    if (!rest_.starts_with(start)) return false;
    rest_.remove_prefix(start.size());
    return true;
  }
  bool AtEnd() const { return rest_.empty(); }
  // A quoted text, or one up to any of `ends`; whether it was quoted.
  std::pair<std::string, bool> TakeItem(std::string_view ends) {
    std::string item;
    const bool quoted = Take("\"");
    while (!rest_.empty()) {
      char c = rest_.front();
      if (quoted ? c == '"' : ends.find(c) != std::string_view::npos) break;
      rest_.remove_prefix(1);
      if (c == '\\' && !rest_.empty()) {
        c = rest_.front();
        rest_.remove_prefix(1);
      }
      item.push_back(c);
    }
    if (quoted) Take("\"");
    return {std::move(item), quoted};
  }

 private:
  std::string_view rest_;
};

// "a"=>"1", "b"=>NULL
template <typename Out>
absl::Status AppendHstore(std::string_view text, Out& out) {
  QuotedText items(text);
  std::string json = "{";
  JsonWriter object(json);
  while (!items.AtEnd()) {
    if (json.size() > 1) json.push_back(',');
    object.String(items.TakeItem("=").first);
    if (!items.Take("=>")) return NoForm(text, "a JSON object");
    json.push_back(':');
    const auto [value, quoted] = items.TakeItem(",");
    if (quoted) {
      object.String(value);
    } else {
      object.Null();
    }
    if (!items.Take(", ") && !items.AtEnd()) return NoForm(text, "a JSON object");
  }
  json.push_back('}');
  out.String(json);
  return absl::OkStatus();
}

template <typename Out>
absl::Status AppendValue(const DebeziumType& type, const Value& value, Out& out);

template <typename Out>
absl::Status AppendElements(const DebeziumType& element, QuotedText& items, char delimiter,
                            Out& out) {
  if (!items.Take("{")) return NoForm("", "an array");
  const size_t start = out.BeginArray();
  const std::string ends{delimiter, '}'};
  size_t count = 0;
  while (!items.Take("}")) {
    if (count > 0 && !items.Take(std::string_view(&delimiter, 1))) return NoForm("", "an array");
    if (count > 0) out.Sign(",");
    ++count;
    QuotedText nested = items;
    if (nested.Take("{")) {
      if (Out::kTyped) return NoForm("{{...}}", "an array of one dimension");
      PGFLOW_RETURN_IF_ERROR(AppendElements(element, items, delimiter, out));
      continue;
    }
    const auto [text, quoted] = items.TakeItem(ends);
    if (!quoted && text == "NULL") {
      out.Null();
      continue;
    }
    out.Some();
    PGFLOW_RETURN_IF_ERROR(AppendValue(element, TextValue(text), out));
  }
  out.EndArray(start, count);
  return absl::OkStatus();
}

template <typename Out>
absl::Status AppendArray(const DebeziumType& type, std::string_view text, Out& out) {
  // Bounds other than from 1 come first: [2:3]={1,2}.
  if (text.starts_with('[')) text.remove_prefix(std::min(text.size(), text.find('=') + 1));
  QuotedText items(text);
  const bool box = type.element->text != nullptr && type.element->text->type == 603;
  return AppendElements(*type.element, items, box ? ';' : ',', out);
}

template <typename Out>
absl::Status AppendForm(const DebeziumType& type, std::string_view text, Out& out) {
  switch (type.form) {
    case DebeziumForm::kJson:
      out.Plain(type.text, TextValue(text));
      return absl::OkStatus();
    case DebeziumForm::kString:
      out.String(text);
      return absl::OkStatus();
    case DebeziumForm::kBytes:
      return AppendHex(text, out) ? absl::OkStatus() : NoForm(text, "bytes");
    case DebeziumForm::kBit:
      out.Bool(text == "1");
      return absl::OkStatus();
    case DebeziumForm::kBits:
      AppendBits(text, out);
      return absl::OkStatus();
    case DebeziumForm::kDecimal:
    case DebeziumForm::kVariableDecimal:
      return AppendDecimal(type, text, out);
    case DebeziumForm::kDouble:
      AppendDouble(text, out);
      return absl::OkStatus();
    case DebeziumForm::kTimeWithZone:
      return AppendTimeWithZone(text, out);
    case DebeziumForm::kTimestampWithZone:
      return AppendTimestampWithZone(text, out);
    case DebeziumForm::kDate:
    case DebeziumForm::kTimeMillis:
    case DebeziumForm::kTimeMicros:
    case DebeziumForm::kTimestampMillis:
    case DebeziumForm::kTimestampMicros:
      return AppendMoment(type.form, text, out);
    case DebeziumForm::kInterval:
      return AppendInterval(text, out);
    case DebeziumForm::kPoint:
      return AppendPoint(text, out);
    case DebeziumForm::kHstore:
      return AppendHstore(text, out);
    case DebeziumForm::kArray:
      return AppendArray(type, text, out);
  }
  return absl::OkStatus();
}

// The number that a binary value holds, where that is what Debezium sends and it is a usual one;
// infinities and whatever is beyond a range go by their text.
std::optional<int64_t> NumberIn(const DebeziumType& type, std::string_view bytes) {
  using postgres::kEpochDays;
  if (type.form == DebeziumForm::kDate && bytes.size() == sizeof(int32_t)) {
    const auto days = base::LoadBigEndian<int32_t>(bytes.data());
    const bool infinite =
        days == std::numeric_limits<int32_t>::max() || days == std::numeric_limits<int32_t>::min();
    if (!infinite) return days + kEpochDays;
  }
  if (type.form == DebeziumForm::kTimestampMicros && bytes.size() == sizeof(int64_t)) {
    const auto micros = base::LoadBigEndian<int64_t>(bytes.data());
    int64_t since_1970 = 0;
    const bool infinite = micros == kInfinity || micros == kMinusInfinity;
    const bool beyond = __builtin_add_overflow(micros, kEpochDays * kMicrosPerDay, &since_1970);
    if (!infinite && !beyond) return since_1970;
  }
  return std::nullopt;
}

// Not null.
template <typename Out>
absl::Status AppendValue(const DebeziumType& type, const Value& value, Out& out) {
  if (value.kind == ValueKind::kText) return AppendForm(type, value.view(), out);
  if (type.form == DebeziumForm::kJson) {
    out.Plain(type.text, value);
    return absl::OkStatus();
  }
  if (type.form == DebeziumForm::kBytes) {
    out.Bytes(value.view());
    return absl::OkStatus();
  }
  if (const std::optional<int64_t> number = NumberIn(type, value.view()); number.has_value()) {
    out.Integer(*number);
    return absl::OkStatus();
  }
  std::string text;
  if (AppendValueText(value, type.text, text)) return AppendForm(type, text, out);
  if (Out::kTyped && type.form != DebeziumForm::kString) return NoForm("\\x...", "read");
  text = "\\x";
  for (const char byte : value.view()) text += fmt::format("{:02x}", static_cast<uint8_t>(byte));
  out.String(text);
  return absl::OkStatus();
}

bool HoldsCodes(const DebeziumType& element) {
  if (element.form == DebeziumForm::kDate) return true;
  const postgres::Oid type = element.text == nullptr ? 0 : element.text->type;
  return type == postgres::oid::kInt4 || type == postgres::oid::kInt8;
}

template <typename Out>
bool AppendPlaceholder(const DebeziumType& type, std::string_view placeholder, Out& out) {
  switch (type.form) {
    case DebeziumForm::kString:
    case DebeziumForm::kHstore:
      out.String(placeholder);
      return true;
    case DebeziumForm::kBytes:
      out.Bytes(placeholder);
      return true;
    case DebeziumForm::kArray: {
      const DebeziumType& element = *type.element;
      const bool codes = HoldsCodes(element);
      if (!codes && element.form != DebeziumForm::kString && element.form != DebeziumForm::kBytes) {
        return false;
      }
      const size_t start = out.BeginArray();
      if (!codes) {
        out.Some();
        if (element.form == DebeziumForm::kString) out.String(placeholder);
        if (element.form == DebeziumForm::kBytes) out.Bytes(placeholder);
        out.EndArray(start, 1);
        return true;
      }
      // As that connector does: the codes of its bytes.
      for (size_t i = 0; i < placeholder.size(); ++i) {
        if (i > 0) out.Sign(",");
        out.Some();
        out.Integer(static_cast<signed char>(placeholder[i]));
      }
      out.EndArray(start, placeholder.size());
      return true;
    }
    default:
      return false;
  }
}

}  // namespace

absl::Status AppendDebeziumValue(const DebeziumType& type, const Value& value, std::string& out) {
  JsonWriter writer(out);
  if (!value.is_null() && !value.is_unchanged()) return AppendValue(type, value, writer);
  writer.Null();
  return absl::OkStatus();
}

bool AppendDebeziumPlaceholder(const DebeziumType& type, std::string_view placeholder,
                               std::string& out) {
  JsonWriter writer(out);
  return AppendPlaceholder(type, placeholder, writer);
}

absl::Status AppendAvroValue(const DebeziumType& type, const Value& value, bool optional,
                             std::string& out) {
  AvroWriter writer(out);
  if (value.is_null()) {
    if (!optional) return NoForm("null", "in a column of the key");
    writer.Null();
    return absl::OkStatus();
  }
  if (optional) writer.Some();
  PGFLOW_RETURN_IF_ERROR(AppendValue(type, value, writer));
  // Which is what a string in Avro is, and what the numbers of a number are.
  return writer.good() ? absl::OkStatus() : NoForm(value.view(), "read, or is not UTF-8");
}

bool AppendAvroPlaceholder(const DebeziumType& type, std::string_view placeholder, bool optional,
                           std::string& out) {
  const size_t start = out.size();
  AvroWriter writer(out);
  if (optional) writer.Some();
  if (AppendPlaceholder(type, placeholder, writer)) return true;
  out.resize(start);
  return false;
}

}  // namespace pgflow::sinks
