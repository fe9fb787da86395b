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
#include "sinks/encoding/debezium_shapes.h"
#include "sinks/encoding/debezium_times.h"
#include "sinks/encoding/debezium_writer.h"
#include "sinks/encoding/decimal.h"
#include "sinks/encoding/json_value.h"
#include "sinks/encoding/parsed_times.h"

namespace pgflow::sinks {
namespace {

using schemas::Value;
using schemas::ValueKind;

constexpr int64_t kMicrosPerDay = 86'400'000'000;

Value TextValue(std::string_view text) {
  return {text.data(), static_cast<uint32_t>(text.size()), ValueKind::kText};
}

absl::Status NoForm(std::string_view text, std::string_view form) {
  return base::MakeStatus(absl::StatusCode::kInvalidArgument, "value '{}' cannot be {}",
                          text.substr(0, 80), form);
}

bool AppendUnhexed(std::string_view digits, std::string& bytes) {
  if (digits.size() % 2 != 0) return false;
  bytes.reserve(bytes.size() + digits.size() / 2);
  for (size_t i = 0; i < digits.size(); i += 2) {
    unsigned byte = 0;
    const auto result = std::from_chars(digits.data() + i, digits.data() + i + 2, byte, 16);
    if (result.ptr != digits.data() + i + 2) return false;
    bytes.push_back(static_cast<char>(byte));
  }
  return true;
}

// "\x00ff" as the server prints it.
template <typename Out>
bool AppendHex(std::string_view text, Out& out) {
  std::string bytes;
  if (!text.starts_with("\\x") || !AppendUnhexed(text.substr(2), bytes)) return false;
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

// "$1,234.50", in whatever a locale puts around the digits, or the units that a binary value has.
template <typename Out>
absl::Status AppendMoney(const DebeziumType& type, std::string_view text, Out& out) {
  std::string digits;
  bool negative = false;
  for (const char c : text) {
    negative = negative || c == '-' || c == '(';
    if (c >= '0' && c <= '9') digits.push_back(c);
  }
  if (digits.empty()) return NoForm(text, "an amount of money");
  const auto scale = static_cast<size_t>(type.scale);
  if (digits.size() <= scale) digits.insert(0, scale + 1 - digits.size(), '0');
  if (scale > 0) digits.insert(digits.size() - scale, 1, '.');
  if (negative) digits.insert(0, 1, '-');
  if (type.decimals == DebeziumDecimals::kString) {
    out.String(digits);
  } else if (type.decimals == DebeziumDecimals::kDouble) {
    AppendDouble(digits, out);
  } else {
    return AppendDecimal(type, digits, out);
  }
  return absl::OkStatus();
}

// "(1,2.5)", with its little-endian well-known binary.
template <typename Out>
absl::Status AppendPoint(std::string_view text, Out& out) {
  const size_t comma = text.find(',');
  if (text.size() < 5 || comma == std::string_view::npos) return NoForm(text, "a point");
  const std::string_view x_text = text.substr(1, comma - 1);
  const std::string_view y_text = text.substr(comma + 1, text.size() - comma - 2);
  const double x = std::strtod(std::string(x_text).c_str(), nullptr);
  const double y = std::strtod(std::string(y_text).c_str(), nullptr);
  out.Sign("{\"x\":");
  out.Double(x, x_text);
  out.Sign(",\"y\":");
  out.Double(y, y_text);
  out.Sign(",\"wkb\":");
  out.Some();
  out.Bytes(PointWkb(x, y));
  out.Sign(",\"srid\":");
  out.Null();
  out.Sign("}");
  return absl::OkStatus();
}

template <typename Out>
void AppendNumber(double number, Out& out) {
  out.Double(number, fmt::format("{}", number));
}

template <typename Out>
absl::Status AppendShape(const DebeziumType& type, std::string_view text, Out& out) {
  const std::optional<DebeziumShape> shape =
      ShapeOf(type.text == nullptr ? 0 : type.text->type, text);
  if (!shape.has_value()) return NoForm(text, "a geometry");
  out.Sign("{\"wkb\":");
  out.Bytes(shape->wkb);
  out.Sign(",\"srid\":");
  out.Null();
  out.Sign(",\"extensions\":");
  out.Some();
  const size_t start = out.BeginMap();
  out.Entry("type", shape->type, true);
  if (!shape->closed.empty()) out.Entry("closed", shape->closed, false);
  out.EndMap(start, shape->closed.empty() ? 1 : 2);
  out.Sign("}");
  return absl::OkStatus();
}

template <typename Out>
absl::Status AppendCircle(std::string_view text, Out& out) {
  const std::optional<std::vector<double>> numbers = NumbersIn(text);
  if (!numbers.has_value() || numbers->size() != 3) return NoForm(text, "a circle");
  out.Sign("{\"center\":");
  PGFLOW_RETURN_IF_ERROR(AppendPoint(fmt::format("({},{})", (*numbers)[0], (*numbers)[1]), out));
  out.Sign(",\"radius\":");
  AppendNumber((*numbers)[2], out);
  out.Sign("}");
  return absl::OkStatus();
}

template <typename Out>
absl::Status AppendLine(std::string_view text, Out& out) {
  const std::optional<std::vector<double>> numbers = NumbersIn(text);
  if (!numbers.has_value() || numbers->size() != 3) return NoForm(text, "a line");
  out.Sign("{\"a\":");
  AppendNumber((*numbers)[0], out);
  out.Sign(",\"b\":");
  AppendNumber((*numbers)[1], out);
  out.Sign(",\"c\":");
  AppendNumber((*numbers)[2], out);
  out.Sign("}");
  return absl::OkStatus();
}

// Extended well-known binary, as it is stored.
template <typename Out>
void AppendGeometry(const DebeziumType& type, std::string_view ewkb, Out& out) {
  const std::optional<int32_t> srid = SridOf(ewkb);
  out.Sign("{\"wkb\":");
  out.Bytes(ewkb);
  out.Sign(",\"srid\":");
  if (srid.has_value()) {
    out.Some();
    out.Integer(*srid);
  } else {
    out.Null();
  }
  if (type.form == DebeziumForm::kGeometry) {
    out.Sign(",\"extensions\":");
    out.Null();
  }
  out.Sign("}");
}

template <typename Out>
absl::Status AppendVector(std::string_view text, Out& out) {
  const std::optional<std::vector<double>> numbers = NumbersIn(text);
  if (!numbers.has_value()) return NoForm(text, "a vector");
  const size_t start = out.BeginArray();
  for (size_t i = 0; i < numbers->size(); ++i) {
    if (i > 0) out.Sign(",");
    AppendNumber((*numbers)[i], out);
  }
  out.EndArray(start, numbers->size());
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
      if (out.typed()) return NoForm("{{...}}", "an array of one dimension");
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
absl::Status PutText(const std::optional<std::string>& form, std::string_view text,
                     std::string_view what, Out& out) {
  if (!form.has_value()) return NoForm(text, what);
  out.String(*form);
  return absl::OkStatus();
}

template <typename Out>
absl::Status PutNumber(std::optional<int64_t> number, std::string_view text, std::string_view what,
                       Out& out) {
  if (!number.has_value()) return NoForm(text, what);
  out.Integer(*number);
  return absl::OkStatus();
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
      return PutText(IsoTime(text), text, "a time", out);
    case DebeziumForm::kTimestampWithZone:
      return PutText(IsoTimestamp(text), text, "a timestamp", out);
    case DebeziumForm::kDate:
    case DebeziumForm::kTimeMillis:
    case DebeziumForm::kTimeMicros:
    case DebeziumForm::kTimestampMillis:
    case DebeziumForm::kTimestampMicros:
      return PutNumber(MomentNumber(type.form, text, out.clamps()), text, "a moment of 64 bits",
                       out);
    case DebeziumForm::kInterval:
      return PutNumber(IntervalMicros(text, out.clamps()), text,
                       "a number of microseconds, of 64 bits", out);
    case DebeziumForm::kIntervalText:
      return PutText(IsoInterval(text), text, "a duration", out);
    case DebeziumForm::kMoney:
      return AppendMoney(type, text, out);
    case DebeziumForm::kPoint:
      return AppendPoint(text, out);
    case DebeziumForm::kShape:
      return AppendShape(type, text, out);
    case DebeziumForm::kCircle:
      return AppendCircle(text, out);
    case DebeziumForm::kLine:
      return AppendLine(text, out);
    case DebeziumForm::kGeometry:
    case DebeziumForm::kGeography: {
      std::string ewkb;
      if (!AppendUnhexed(text, ewkb)) return NoForm(text, "a geometry");
      AppendGeometry(type, ewkb, out);
      return absl::OkStatus();
    }
    case DebeziumForm::kVector:
      return AppendVector(text, out);
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
  if (type.form == DebeziumForm::kGeometry || type.form == DebeziumForm::kGeography) {
    AppendGeometry(type, value.view(), out);
    return absl::OkStatus();
  }
  if (type.form == DebeziumForm::kMoney && value.view().size() == sizeof(int64_t)) {
    const auto units = base::LoadBigEndian<int64_t>(value.view().data());
    return AppendMoney(type, std::to_string(units), out);
  }
  if (const std::optional<int64_t> number = NumberIn(type, value.view()); number.has_value()) {
    out.Integer(*number);
    return absl::OkStatus();
  }
  std::string text;
  if (AppendValueText(value, type.text, text)) return AppendForm(type, text, out);
  if (Out::kStrict && type.form != DebeziumForm::kString) return NoForm("\\x...", "read");
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

absl::Status AppendDebeziumValue(const DebeziumType& type, const Value& value, WriterLimits limits,
                                 std::string& out) {
  JsonWriter writer(out, limits);
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
                             bool clamps, std::string& out) {
  AvroWriter writer(out, clamps);
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
