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
#include "sinks/encoding/decimal.h"
#include "sinks/encoding/json_string.h"
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

void AppendString(std::string_view text, std::string& out) { AppendJsonName(text, out); }

void AppendBase64String(std::string_view bytes, std::string& out) {
  out.push_back('"');
  AppendBase64(bytes, out);
  out.push_back('"');
}

// "\x00ff" as the server prints it.
bool AppendHexAsBase64(std::string_view text, std::string& out) {
  if (!text.starts_with("\\x") || text.size() % 2 != 0) return false;
  std::string bytes;
  bytes.reserve(text.size() / 2 - 1);
  for (size_t i = 2; i < text.size(); i += 2) {
    unsigned byte = 0;
    const auto result = std::from_chars(text.data() + i, text.data() + i + 2, byte, 16);
    if (result.ptr != text.data() + i + 2) return false;
    bytes.push_back(static_cast<char>(byte));
  }
  AppendBase64String(bytes, out);
  return true;
}

// The last bit of the text is the lowest one, and the lowest byte comes first.
void AppendBits(std::string_view text, std::string& out) {
  std::string bytes((text.size() + 7) / 8, '\0');
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[text.size() - 1 - i] != '1') continue;
    bytes[i / 8] = static_cast<char>(static_cast<uint8_t>(bytes[i / 8]) | (1U << (i % 8)));
  }
  AppendBase64String(bytes, out);
}

absl::Status AppendDecimal(const DebeziumType& type, std::string_view text, std::string& out) {
  const std::optional<int32_t> own_scale = ScaleOf(text);
  const bool variable = type.form == DebeziumForm::kVariableDecimal;
  const int32_t scale = variable ? own_scale.value_or(0) : type.scale;
  std::string unscaled;
  if (!own_scale.has_value() || !AppendUnscaled(text, scale, unscaled)) {
    return NoForm(text, "a decimal of Kafka Connect; `decimals: string` takes it");
  }
  if (variable) out += fmt::format(R"({{"scale":{},"value":)", scale);
  AppendBase64String(unscaled, out);
  if (variable) out.push_back('}');
  return absl::OkStatus();
}

absl::Status AppendDouble(std::string_view text, std::string& out) {
  const double number = std::strtod(std::string(text).c_str(), nullptr);
  if (std::isfinite(number)) {
    out += fmt::format("{}", number);
  } else {
    AppendString(std::isnan(number) ? "NaN" : number > 0 ? "Infinity" : "-Infinity", out);
  }
  return absl::OkStatus();
}

void AppendClock(int64_t micros, std::string& out) {
  const int64_t seconds = micros / kMicrosPerSecond;
  out += fmt::format("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
}

absl::Status AppendTimestampWithZone(std::string_view text, std::string& out) {
  const std::optional<int64_t> micros = ParseMicros(text);
  if (!micros.has_value()) return NoForm(text, "a timestamp");
  if (*micros == kInfinity || *micros == kMinusInfinity) {
    AppendString(text, out);
    return absl::OkStatus();
  }
  // The date is as it was printed, but for years before the first, which ISO 8601 counts from 0.
  const std::string_view date = text.substr(0, text.find(' '));
  int64_t year = 0;
  std::from_chars(date.data(), date.data() + date.size(), year);
  if (text.ends_with(" BC")) year = 1 - year;
  const int64_t clock = ((*micros % kMicrosPerDay) + kMicrosPerDay) % kMicrosPerDay;
  out +=
      fmt::format("\"{}{:04}{}T", year < 0 ? "-" : "", std::abs(year), date.substr(date.find('-')));
  AppendClock(clock, out);
  out += fmt::format(".{:06}Z\"", clock % kMicrosPerSecond);
  return absl::OkStatus();
}

absl::Status AppendTimeWithZone(std::string_view text, std::string& out) {
  const std::optional<int64_t> micros = ParseClockWithZone(text);
  if (!micros.has_value()) return NoForm(text, "a time");
  out.push_back('"');
  AppendClock(*micros, out);
  if (*micros % kMicrosPerSecond != 0) {
    out += fmt::format(".{:06}", *micros % kMicrosPerSecond);
    while (out.back() == '0') out.pop_back();
  }
  out += "Z\"";
  return absl::OkStatus();
}

absl::Status AppendInterval(std::string_view text, std::string& out) {
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
  out += fmt::format("{}", micros);
  return absl::OkStatus();
}

absl::Status AppendMoment(DebeziumForm form, std::string_view text, std::string& out) {
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
  out += fmt::format("{}", millis && !infinite ? *number / 1000 : *number);
  return absl::OkStatus();
}

// "(1,2.5)", with its little-endian well-known binary.
absl::Status AppendPoint(std::string_view text, std::string& out) {
  const size_t comma = text.find(',');
  if (text.size() < 5 || comma == std::string_view::npos) return NoForm(text, "a point");
  std::string wkb("\x01\x01\0\0\0", 5);
  std::string numbers;
  for (const std::string_view part :
       {text.substr(1, comma - 1), text.substr(comma + 1, text.size() - comma - 2)}) {
    const double number = std::strtod(std::string(part).c_str(), nullptr);
    wkb.append(reinterpret_cast<const char*>(&number), sizeof(number));
    numbers += numbers.empty() ? "{\"x\":" : ",\"y\":";
    if (std::isfinite(number)) {
      numbers += part;
    } else {
      AppendString(part, numbers);
    }
  }
  out += numbers + ",\"wkb\":";
  AppendBase64String(wkb, out);
  out += ",\"srid\":null}";
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
absl::Status AppendHstore(std::string_view text, std::string& out) {
  QuotedText items(text);
  std::string json = "{";
  while (!items.AtEnd()) {
    if (json.size() > 1) json.push_back(',');
    AppendString(items.TakeItem("=").first, json);
    if (!items.Take("=>")) return NoForm(text, "a JSON object");
    json.push_back(':');
    const auto [value, quoted] = items.TakeItem(",");
    if (quoted) {
      AppendString(value, json);
    } else {
      json += "null";
    }
    if (!items.Take(", ") && !items.AtEnd()) return NoForm(text, "a JSON object");
  }
  json.push_back('}');
  AppendString(json, out);
  return absl::OkStatus();
}

absl::Status AppendElements(const DebeziumType& element, QuotedText& items, char delimiter,
                            std::string& out) {
  if (!items.Take("{")) return NoForm("", "an array");
  out.push_back('[');
  const std::string ends{delimiter, '}'};
  bool first = true;
  while (!items.Take("}")) {
    if (!first && !items.Take(std::string_view(&delimiter, 1))) return NoForm("", "an array");
    if (!first) out.push_back(',');
    first = false;
    QuotedText nested = items;
    if (nested.Take("{")) {
      PGFLOW_RETURN_IF_ERROR(AppendElements(element, items, delimiter, out));
      continue;
    }
    const auto [text, quoted] = items.TakeItem(ends);
    Value value = TextValue(text);
    if (!quoted && text == "NULL") value.kind = ValueKind::kNull;
    PGFLOW_RETURN_IF_ERROR(AppendDebeziumValue(element, value, out));
  }
  out.push_back(']');
  return absl::OkStatus();
}

absl::Status AppendArray(const DebeziumType& type, std::string_view text, std::string& out) {
  // Bounds other than from 1 come first: [2:3]={1,2}.
  if (text.starts_with('[')) text.remove_prefix(std::min(text.size(), text.find('=') + 1));
  QuotedText items(text);
  const bool box = type.element->text != nullptr && type.element->text->type == 603;
  return AppendElements(*type.element, items, box ? ';' : ',', out);
}

absl::Status AppendForm(const DebeziumType& type, std::string_view text, std::string& out) {
  switch (type.form) {
    case DebeziumForm::kJson:
      AppendJsonValue(TextValue(text), type.text, out);
      return absl::OkStatus();
    case DebeziumForm::kString:
      AppendString(text, out);
      return absl::OkStatus();
    case DebeziumForm::kBytes:
      return AppendHexAsBase64(text, out) ? absl::OkStatus() : NoForm(text, "bytes");
    case DebeziumForm::kBit:
      out += text == "1" ? "true" : "false";
      return absl::OkStatus();
    case DebeziumForm::kBits:
      AppendBits(text, out);
      return absl::OkStatus();
    case DebeziumForm::kDecimal:
    case DebeziumForm::kVariableDecimal:
      return AppendDecimal(type, text, out);
    case DebeziumForm::kDouble:
      return AppendDouble(text, out);
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

}  // namespace

absl::Status AppendDebeziumValue(const DebeziumType& type, const Value& value, std::string& out) {
  if (value.is_null() || value.is_unchanged()) {
    out += "null";
    return absl::OkStatus();
  }
  if (value.kind == ValueKind::kText) return AppendForm(type, value.view(), out);
  if (type.form == DebeziumForm::kJson) {
    AppendJsonValue(value, type.text, out);
    return absl::OkStatus();
  }
  if (type.form == DebeziumForm::kBytes) {
    AppendBase64String(value.view(), out);
    return absl::OkStatus();
  }
  std::string text;
  if (AppendValueText(value, type.text, text)) return AppendForm(type, text, out);
  text = "\\x";
  for (const char byte : value.view()) text += fmt::format("{:02x}", static_cast<uint8_t>(byte));
  AppendString(text, out);
  return absl::OkStatus();
}

bool AppendDebeziumPlaceholder(const DebeziumType& type, std::string_view placeholder,
                               std::string& out) {
  switch (type.form) {
    case DebeziumForm::kString:
    case DebeziumForm::kHstore:
      AppendString(placeholder, out);
      return true;
    case DebeziumForm::kBytes:
      AppendBase64String(placeholder, out);
      return true;
    case DebeziumForm::kArray:
      if (type.element->form != DebeziumForm::kString) return false;
      out.push_back('[');
      AppendString(placeholder, out);
      out.push_back(']');
      return true;
    default:
      return false;
  }
}

}  // namespace pgflow::sinks
