#include "sources/kafka/connect_value.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "postgres/types/epoch.h"
#include "sinks/encoding/type_text.h"
#include "sources/kafka/json_members.h"

namespace pgflow::sources {
namespace {

namespace oid = postgres::oid;
using Form = ConnectType::Form;

// 2000-01-01, where the server's dates begin.
constexpr int64_t kMicrosTo2000 = postgres::kEpochDays * 86'400'000'000;
constexpr postgres::Oid kVarbit = 1562;

struct Named {
  std::string_view name;
  Form form;
  int64_t micros;
  postgres::Oid type;
};

// Semantic types, of Debezium and of Kafka Connect itself.
constexpr Named kNamed[] = {
    {"io.debezium.time.Date", Form::kDate, 1, oid::kDate},
    {"org.apache.kafka.connect.data.Date", Form::kDate, 1, oid::kDate},
    {"io.debezium.time.Time", Form::kTime, 1000, oid::kTime},
    {"org.apache.kafka.connect.data.Time", Form::kTime, 1000, oid::kTime},
    {"io.debezium.time.MicroTime", Form::kTime, 1, oid::kTime},
    {"io.debezium.time.NanoTime", Form::kTime, -1000, oid::kTime},
    {"io.debezium.time.Timestamp", Form::kTimestamp, 1000, oid::kTimestamp},
    {"org.apache.kafka.connect.data.Timestamp", Form::kTimestamp, 1000, oid::kTimestamp},
    {"io.debezium.time.MicroTimestamp", Form::kTimestamp, 1, oid::kTimestamp},
    {"io.debezium.time.NanoTimestamp", Form::kTimestamp, -1000, oid::kTimestamp},
    {"io.debezium.time.ZonedTimestamp", Form::kZonedTimestamp, 1, oid::kTimestamptz},
    {"io.debezium.time.ZonedTime", Form::kString, 1, oid::kTimetz},
    {"io.debezium.time.MicroDuration", Form::kDuration, 1, oid::kInterval},
    {"io.debezium.time.NanoDuration", Form::kDuration, -1000, oid::kInterval},
    {"io.debezium.time.Interval", Form::kString, 1, oid::kInterval},
    {"org.apache.kafka.connect.data.Decimal", Form::kDecimal, 1, oid::kNumeric},
    {"io.debezium.data.VariableScaleDecimal", Form::kVariableDecimal, 1, oid::kNumeric},
    {"io.debezium.data.Bits", Form::kBits, 1, kVarbit},
    {"io.debezium.data.Json", Form::kString, 1, oid::kJson},
    {"io.debezium.data.Uuid", Form::kString, 1, oid::kUuid},
    {"io.debezium.data.Xml", Form::kString, 1, oid::kXml},
    {"io.debezium.data.geometry.Point", Form::kPoint, 1, oid::kPoint},
};

constexpr Named kLiterals[] = {
    {"boolean", Form::kBool, 1, oid::kBool},     {"int8", Form::kNumber, 1, oid::kInt2},
    {"int16", Form::kNumber, 1, oid::kInt2},     {"int32", Form::kNumber, 1, oid::kInt4},
    {"int64", Form::kNumber, 1, oid::kInt8},     {"float", Form::kNumber, 1, oid::kFloat4},
    {"float32", Form::kNumber, 1, oid::kFloat4}, {"float64", Form::kNumber, 1, oid::kFloat8},
    {"double", Form::kNumber, 1, oid::kFloat8},  {"string", Form::kString, 1, oid::kText},
    {"bytes", Form::kBytes, 1, oid::kBytea},
};

std::string Unquoted(std::string_view value) {
  std::string text;
  return AppendUnquoted(value, text) ? text : std::string();
}

template <typename Number>
std::optional<Number> NumberOf(std::string_view text) {
  Number number{};
  const auto result = std::from_chars(text.data(), text.data() + text.size(), number);
  if (result.ec != std::errc() || result.ptr != text.data() + text.size()) return std::nullopt;
  return number;
}

std::optional<std::string> BytesOf(std::string_view value) {
  std::string bytes;
  const std::string text = Unquoted(value);
  if (!IsJsonString(value) || !AppendFromBase64(text, bytes)) return std::nullopt;
  return bytes;
}

// A big-endian two's complement of any size, as decimal digits with a sign.
std::string DigitsOf(std::string bytes, bool& negative) {
  negative = !bytes.empty() && (static_cast<uint8_t>(bytes.front()) & 0x80) != 0;
  if (negative) {
    unsigned carry = 1;
    for (auto byte = bytes.rbegin(); byte != bytes.rend(); ++byte) {
      const unsigned sum = (static_cast<uint8_t>(*byte) ^ 0xFFU) + carry;
      *byte = static_cast<char>(sum);
      carry = sum >> 8;
    }
  }
  constexpr uint32_t kBase = 1'000'000'000;
  std::vector<uint32_t> limbs;  // The lowest first.
  for (const char byte : bytes) {
    uint64_t carry = static_cast<uint8_t>(byte);
    for (uint32_t& limb : limbs) {
      carry += uint64_t{limb} * 256;
      limb = static_cast<uint32_t>(carry % kBase);
      carry /= kBase;
    }
    if (carry > 0) limbs.push_back(static_cast<uint32_t>(carry));
  }
  std::string digits = limbs.empty() ? "0" : std::to_string(limbs.back());
  for (size_t i = limbs.size(); i-- > 1;) digits += fmt::format("{:09}", limbs[i - 1]);
  return digits;
}

void AppendDecimalText(std::string bytes, int32_t scale, std::string& out) {
  bool negative = false;
  std::string digits = DigitsOf(std::move(bytes), negative);
  if (negative) out.push_back('-');
  if (scale < 0) {
    if (digits != "0") digits.append(static_cast<size_t>(-scale), '0');
  } else if (scale > 0) {
    const auto places = static_cast<size_t>(scale);
    if (digits.size() <= places) digits.insert(0, places + 1 - digits.size(), '0');
    digits.insert(digits.size() - places, 1, '.');
  }
  out += digits;
}

// The text output of a built-in type, from its binary form.
template <typename Number>
bool AppendBinaryText(postgres::Oid type, Number number, std::string& out) {
  std::string bytes;
  base::AppendBigEndian(bytes, number);
  const sinks::TypeText* text = sinks::FindTypeText(type);
  return text != nullptr && text->append(bytes, *text, out);
}

bool AppendDateText(int64_t days, std::string& out) {
  constexpr int64_t kMax = std::numeric_limits<int32_t>::max();
  constexpr int64_t kMin = std::numeric_limits<int32_t>::min();
  if (days > kMax || days < kMin) return false;
  const bool infinite = days == kMax || days == kMin;
  return AppendBinaryText(oid::kDate,
                          static_cast<int32_t>(infinite ? days : days - postgres::kEpochDays), out);
}

bool AppendMomentText(const ConnectType& type, int64_t number, std::string& out) {
  const bool infinite = number == std::numeric_limits<int64_t>::max() ||
                        number == std::numeric_limits<int64_t>::min();
  int64_t micros = number;
  if (!infinite && type.micros < 0) {
    micros = number / -type.micros;
  } else if (!infinite && __builtin_mul_overflow(number, type.micros, &micros)) {
    return false;
  }
  switch (type.form) {
    case Form::kTime:
      return AppendBinaryText(oid::kTime, micros, out);
    case Form::kTimestamp:
      if (!infinite && __builtin_sub_overflow(micros, kMicrosTo2000, &micros)) return false;
      return AppendBinaryText(oid::kTimestamp, micros, out);
    default:
      out += fmt::format("{} microseconds", micros);
      return true;
  }
}

// ISO 8601 counts years before the first from 0 down, the server from 1 BC.
void AppendZonedText(std::string_view text, std::string& out) {
  if (text.starts_with('+')) text.remove_prefix(1);
  const size_t dash = text.find('-', 1);
  const bool before = text.starts_with('-') || text.starts_with("0000-");
  if (!before || dash == std::string_view::npos) {
    out += text;
    return;
  }
  const std::string_view digits = text.substr(0, dash);
  const int64_t year = NumberOf<int64_t>(digits).value_or(0);
  out += fmt::format("{:04}{} BC", 1 - year, text.substr(dash));
}

void AppendBitsText(const std::string& bytes, int64_t length, std::string& out) {
  const auto all = static_cast<int64_t>(bytes.size()) * 8;
  // Without a length of its own, varbit shows as the library's largest number.
  const int64_t count = length > all + 7 || length <= 0 ? all : length;
  for (int64_t i = count; i-- > 0;) {
    const auto byte = static_cast<size_t>(i / 8);
    const bool set = byte < bytes.size() && ((static_cast<uint8_t>(bytes[byte]) >> (i % 8)) & 1U);
    out.push_back(set ? '1' : '0');
  }
}

void AppendHex(std::string_view bytes, std::string& out) {
  out += "\\x";
  for (const char byte : bytes) out += fmt::format("{:02x}", static_cast<uint8_t>(byte));
}

absl::Status AppendArrayText(const ConnectType& element, std::string_view value, std::string& out) {
  JsonItems items(value);
  char separator = '{';
  while (items.Next()) {
    out.push_back(separator);
    separator = ',';
    if (items.value() == "null") {
      out += "NULL";
      continue;
    }
    if (IsJsonArray(items.value())) {
      PGFLOW_RETURN_IF_ERROR(AppendArrayText(element, items.value(), out));
      continue;
    }
    std::string text;
    PGFLOW_RETURN_IF_ERROR(AppendConnectText(element, items.value(), text));
    out.push_back('"');
    for (const char c : text) {
      if (c == '"' || c == '\\') out.push_back('\\');
      out.push_back(c);
    }
    out.push_back('"');
  }
  if (separator == '{') out.push_back('{');
  out.push_back('}');
  return items.ok() ? absl::OkStatus() : absl::DataLossError("an array that is none");
}

std::string_view MemberOf(std::string_view object, std::string_view name) {
  JsonMembers members(object);
  while (members.Next()) {
    if (members.name() == name) return members.value();
  }
  return {};
}

bool AppendVariableDecimal(std::string_view value, std::string& out) {
  const std::optional<int32_t> scale = NumberOf<int32_t>(MemberOf(value, "scale"));
  std::optional<std::string> bytes = BytesOf(MemberOf(value, "value"));
  if (!scale.has_value() || !bytes.has_value()) return false;
  AppendDecimalText(*std::move(bytes), *scale, out);
  return true;
}

bool AppendPointText(std::string_view value, std::string& out) {
  const auto number = [&](std::string_view name) {
    const std::string_view text = MemberOf(value, name);
    return IsJsonString(text) ? Unquoted(text) : std::string(text);
  };
  out += fmt::format("({},{})", number("x"), number("y"));
  return true;
}

bool AppendScalar(const ConnectType& type, std::string_view value, std::string& out) {
  switch (type.form) {
    case Form::kNumber:
      if (IsJsonString(value)) return AppendUnquoted(value, out);  // NaN and infinities.
      out += value;
      return !IsJsonObject(value) && !IsJsonArray(value);
    case Form::kBool:
      out.push_back(value.front());
      return value == "true" || value == "false";
    case Form::kString:
      return AppendUnquoted(value, out);
    case Form::kVariableDecimal:
      return AppendVariableDecimal(value, out);
    case Form::kPoint:
      return AppendPointText(value, out);
    case Form::kZonedTimestamp:
      AppendZonedText(Unquoted(value), out);
      return IsJsonString(value);
    case Form::kBytes:
    case Form::kBits:
    case Form::kDecimal: {
      std::optional<std::string> bytes = BytesOf(value);
      if (!bytes.has_value()) return false;
      if (type.form == Form::kBytes) AppendHex(*bytes, out);
      if (type.form == Form::kBits) AppendBitsText(*bytes, type.length, out);
      if (type.form == Form::kDecimal) AppendDecimalText(*std::move(bytes), type.scale, out);
      return true;
    }
    case Form::kDate:
    case Form::kTime:
    case Form::kTimestamp:
    case Form::kDuration: {
      const std::optional<int64_t> number = NumberOf<int64_t>(value);
      if (!number.has_value()) return false;
      return type.form == Form::kDate ? AppendDateText(*number, out)
                                      : AppendMomentText(type, *number, out);
    }
    case Form::kArray:
      return false;
  }
  return false;
}

}  // namespace

absl::StatusOr<ConnectType> ReadConnectType(std::string_view schema) {
  const std::string name = Unquoted(MemberOf(schema, "name"));
  const std::string literal = Unquoted(MemberOf(schema, "type"));
  const auto of = [](const Named& entry) {
    ConnectType type;
    type.form = entry.form;
    type.micros = entry.micros;
    type.type = entry.type;
    return type;
  };
  for (const Named& entry : kNamed) {
    if (entry.name != name) continue;
    ConnectType type = of(entry);
    // decimal.handling.mode and time.precision.mode change the literal, not always the name.
    const std::string_view parameters = MemberOf(schema, "parameters");
    if (!parameters.empty()) {
      type.scale = NumberOf<int32_t>(Unquoted(MemberOf(parameters, "scale"))).value_or(0);
      type.length = NumberOf<int64_t>(Unquoted(MemberOf(parameters, "length"))).value_or(0);
    }
    return type;
  }
  for (const Named& entry : kLiterals) {
    if (entry.name == literal) return of(entry);
  }
  if (literal == "array") {
    PGFLOW_ASSIGN_OR_RETURN(ConnectType element, ReadConnectType(MemberOf(schema, "items")));
    ConnectType type;
    type.form = Form::kArray;
    type.element = std::make_shared<const ConnectType>(std::move(element));
    return type;
  }
  return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                          "values of type {} {} have no text; leave the column out where the topic "
                          "is written (column.exclude.list), or have it written otherwise",
                          literal, name);
}

absl::Status AppendConnectText(const ConnectType& type, std::string_view value, std::string& out) {
  if (type.form == Form::kArray && IsJsonArray(value)) {
    return AppendArrayText(*type.element, value, out);
  }
  if (AppendScalar(type, value, out)) return absl::OkStatus();
  return base::MakeStatus(absl::StatusCode::kDataLoss, "value {} does not fit its type",
                          value.substr(0, 80));
}

}  // namespace pgflow::sources
