#include "sinks/encoding/debezium_default.h"

#include <algorithm>
#include <cctype>
#include <optional>
#include <string_view>

#include "schemas/type_name.h"
#include "sinks/encoding/debezium_value.h"

namespace pgflow::sinks {
namespace {

namespace oid = postgres::oid;

postgres::Oid TypeOf(const schemas::Column& column) {
  return column.wire_type != 0 ? column.wire_type : column.type;
}

// What the catalog prints of a constant: 'it''s'::text, 7, B'101'::"bit". Nothing for NULL and for
// what has to be computed.
std::optional<std::string> ConstantIn(std::string_view sql) {
  const size_t quote = sql.find('\'');
  if (quote == std::string_view::npos) {
    if (sql.starts_with("NULL::")) return std::nullopt;
    return std::string(sql);
  }
  // B and X come before the strings of bits, E before what has backslashes.
  if (quote > 1) return std::nullopt;
  std::string text;
  for (size_t i = quote + 1; i < sql.size(); ++i) {
    if (sql[i] == '\'') {
      if (i + 1 >= sql.size() || sql[i + 1] != '\'') return text;
      ++i;
    }
    text.push_back(sql[i]);
  }
  return std::nullopt;
}

bool IsComputed(std::string_view sql) {
  if (sql.starts_with('(')) sql.remove_prefix(1);
  const size_t parenthesis = sql.find('(');
  if (parenthesis != std::string_view::npos && parenthesis > 0 && sql.find(')') > parenthesis &&
      std::ranges::all_of(sql.substr(0, parenthesis), [](unsigned char c) {
        return std::isalnum(c) != 0 || c == '_' || c == '.';
      })) {
    return true;
  }
  constexpr std::string_view kNow[] = {"CURRENT_TIMESTAMP", "CURRENT_TIME", "CURRENT_DATE",
                                       "LOCALTIME", "LOCALTIMESTAMP"};
  return std::ranges::find(kNow, sql) != std::end(kNow);
}

bool IsNumber(std::string_view text) {
  if (text.starts_with('-')) text.remove_prefix(1);
  return !text.empty() && std::isdigit(static_cast<unsigned char>(text.front())) != 0 &&
         std::ranges::all_of(text, [](unsigned char c) {
           return std::isdigit(c) != 0 || c == '.' || c == 'e' || c == 'E' || c == '+' || c == '-';
         });
}

// Of types whose defaults that connector reads. Nothing: it does not.
std::optional<std::string_view> ComputedStandIn(postgres::Oid type) {
  constexpr postgres::Oid kBit = 1560, kVarbit = 1562;
  switch (type) {
    case kBit:
      return "00";
    case kVarbit:
    case oid::kInt2:
    case oid::kInt4:
    case oid::kInt8:
      return "0";
    case oid::kBool:
      return "f";
    case oid::kText:
    case oid::kVarchar:
    case oid::kBpchar:
    case oid::kXml:
      return "";
    case oid::kNumeric:
    case oid::kFloat4:
    case oid::kFloat8:
      return "0.0";
    case oid::kJson:
    case oid::kJsonb:
      return "{}";
    case oid::kUuid:
      return "00000000-0000-0000-0000-000000000000";
    case oid::kDate:
      return "1970-01-01";
    case oid::kTime:
      return "00:00:00";
    case oid::kTimestamp:
      return "1970-01-01 00:00:00";
    case oid::kTimestamptz:
      return "1970-01-01 00:00:00+00";
    case oid::kInterval:
      return "00:00:00";
    default:
      return std::nullopt;
  }
}

std::string ValueJson(const DebeziumType& type, std::string_view text) {
  const schemas::Value value{text.data(), static_cast<uint32_t>(text.size()),
                             schemas::ValueKind::kText};
  std::string json;
  if (!AppendDebeziumValue(type, value, {.typed = true, .clamps = false}, json).ok()) json.clear();
  return json;
}

std::string NumericText(const DebeziumType& type, int32_t modifier) {
  // numeric.c, make_numeric_typmod.
  const int32_t scale = modifier < 4 ? 0 : (((modifier - 4) & 0x7FF) ^ 1024) - 1024;
  if (type.form != DebeziumForm::kString || scale <= 0) return "0";
  return "0." + std::string(static_cast<size_t>(scale), '0');
}

}  // namespace

std::string DebeziumDefault(const schemas::Column& column, const DebeziumType& type) {
  const std::string_view sql = column.default_sql;
  if (sql.empty()) return "";
  const postgres::Oid of = TypeOf(column);
  if (column.labels != nullptr) {
    const std::optional<std::string> label = ConstantIn(sql);
    const bool known = label.has_value() && type.form == DebeziumForm::kString &&
                       std::ranges::find(*column.labels, *label) != column.labels->end();
    return known ? ValueJson(type, *label) : "";
  }
  // Sent as text, and no text to that connector.
  if (schemas::BareTypeName(column.type_name) == "citext") return "";
  const std::optional<std::string_view> stand_in = ComputedStandIn(of);
  if (!stand_in.has_value() || type.form == DebeziumForm::kVariableDecimal) return "";
  if (IsComputed(sql)) return ValueJson(type, *stand_in);
  std::optional<std::string> text = ConstantIn(sql);
  if (!text.has_value()) return "";
  if (of == oid::kBool) {
    if (*text != "true" && *text != "false") return "";
    text->resize(1);
  }
  const bool number = stand_in == "0" || stand_in == "0.0";
  if (number && of != 1562 && !IsNumber(*text)) return "";
  return ValueJson(type, *text);
}

std::string DebeziumZero(const schemas::Column& column, const DebeziumType& type) {
  if (TypeOf(column) == oid::kNumeric) {
    return ValueJson(type, NumericText(type, column.type_modifier));
  }
  switch (type.form) {
    case DebeziumForm::kJson:
      if (TypeOf(column) == oid::kBool) return "false";
      return TypeOf(column) == oid::kFloat4 || TypeOf(column) == oid::kFloat8 ? "0.0" : "0";
    case DebeziumForm::kString:
    case DebeziumForm::kBytes:
    case DebeziumForm::kBits:
      return "\"\"";
    case DebeziumForm::kBit:
      return "false";
    case DebeziumForm::kDecimal:
    case DebeziumForm::kVariableDecimal:
    case DebeziumForm::kDouble:
    case DebeziumForm::kMoney:
      return ValueJson(type, "0");
    case DebeziumForm::kDate:
    case DebeziumForm::kTimeMillis:
    case DebeziumForm::kTimeMicros:
    case DebeziumForm::kTimestampMillis:
    case DebeziumForm::kTimestampMicros:
    case DebeziumForm::kInterval:
      return "0";
    case DebeziumForm::kTimeWithZone:
      return "\"00:00:00Z\"";
    case DebeziumForm::kTimestampWithZone:
      return "\"1970-01-01T00:00:00Z\"";
    case DebeziumForm::kIntervalText:
      return "\"P0Y0M0DT0H0M0S\"";
    case DebeziumForm::kPoint:
      return ValueJson(type, "(0,0)");
    case DebeziumForm::kHstore:
      return "\"{}\"";
    case DebeziumForm::kArray:
    case DebeziumForm::kVector:
      return "[]";
    case DebeziumForm::kShape:
    case DebeziumForm::kCircle:
    case DebeziumForm::kLine:
    case DebeziumForm::kGeometry:
    case DebeziumForm::kGeography:
      return "";
  }
  return "";
}

}  // namespace pgflow::sinks
