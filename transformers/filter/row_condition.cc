#include "transformers/filter/row_condition.h"

#include <algorithm>
#include <charconv>
#include <cstdint>

#include <fmt/ranges.h>

#include "base/status.h"
#include "sinks/encoding/json_encoder.h"

namespace pgflow::transformers {
namespace {

using sinks::JsonForm;

// A decimal number as +-0.d1d2d3... * 10^exponent, without zeros at either end of the digits.
struct Decimal {
  int rank = 0;  // -2: -Infinity, -1: negative, 0: zero, 1: positive, 2: Infinity, 3: NaN.
  int64_t exponent = 0;
  std::string digits;
};

std::optional<Decimal> ParseSpecial(std::string_view text) {
  Decimal decimal;
  if (text == "NaN") {
    decimal.rank = 3;
  } else if (text == "Infinity") {
    decimal.rank = 2;
  } else if (text == "-Infinity") {
    decimal.rank = -2;
  } else {
    return std::nullopt;
  }
  return decimal;
}

std::optional<Decimal> ParseDecimal(std::string_view text) {
  if (std::optional<Decimal> special = ParseSpecial(text)) return special;
  Decimal decimal;
  bool negative = false;
  if (!text.empty() && (text.front() == '-' || text.front() == '+')) {
    negative = text.front() == '-';
    text.remove_prefix(1);
  }
  const size_t e = text.find_first_of("eE");
  std::string_view mantissa = text.substr(0, e);
  if (e != std::string_view::npos) {
    std::string_view exponent = text.substr(e + 1);
    if (!exponent.empty() && exponent.front() == '+') exponent.remove_prefix(1);
    int32_t value = 0;
    const auto [end, error] =
        std::from_chars(exponent.data(), exponent.data() + exponent.size(), value);
    if (error != std::errc() || end != exponent.data() + exponent.size()) return std::nullopt;
    decimal.exponent = value;
  }
  const size_t point = mantissa.find('.');
  const std::string_view whole = mantissa.substr(0, point);
  const std::string_view fraction =
      point == std::string_view::npos ? std::string_view() : mantissa.substr(point + 1);
  decimal.digits.append(whole).append(fraction);
  if (decimal.digits.empty() ||
      decimal.digits.find_first_not_of("0123456789") != std::string::npos) {
    return std::nullopt;
  }
  decimal.exponent += static_cast<int64_t>(whole.size());
  const size_t first = std::min(decimal.digits.find_first_not_of('0'), decimal.digits.size());
  decimal.exponent -= static_cast<int64_t>(first);
  decimal.digits.erase(0, first);
  decimal.digits.erase(decimal.digits.find_last_not_of('0') + 1);
  decimal.rank = decimal.digits.empty() ? 0 : negative ? -1 : 1;
  return decimal;
}

std::string_view ComparisonSymbol(Comparison comparison) {
  switch (comparison) {
    case Comparison::kEqual:
      return "=";
    case Comparison::kNotEqual:
      return "!=";
    case Comparison::kLess:
      return "<";
    case Comparison::kLessOrEqual:
      return "<=";
    case Comparison::kGreater:
      return ">";
    case Comparison::kGreaterOrEqual:
      return ">=";
    case Comparison::kIn:
      return "in";
    case Comparison::kIsNull:
      return "is null";
    case Comparison::kIsNotNull:
      return "is not null";
  }
  return "";
}

// What the server prints for a bool; empty when `text` is none.
std::string_view BoolText(std::string_view text) {
  if (text == "true" || text == "t") return "t";
  if (text == "false" || text == "f") return "f";
  return {};
}

}  // namespace

bool IsNumber(std::string_view text) { return ParseDecimal(text).has_value(); }

int CompareNumbers(std::string_view a, std::string_view b) {
  const Decimal x = ParseDecimal(a).value_or(Decimal());
  const Decimal y = ParseDecimal(b).value_or(Decimal());
  if (x.rank != y.rank) return x.rank < y.rank ? -1 : 1;
  if (x.rank != 1 && x.rank != -1) return 0;
  int magnitude = 0;
  if (x.exponent != y.exponent) {
    magnitude = x.exponent < y.exponent ? -1 : 1;
  } else {
    magnitude = x.digits.compare(y.digits);
  }
  return x.rank < 0 ? -magnitude : magnitude;
}

absl::Status RowCondition::Validate(const ConditionConfig& config) {
  const std::string_view symbol = ComparisonSymbol(config.comparison);
  const bool one = config.value.has_value();
  const bool many = !config.values.empty();
  switch (config.comparison) {
    case Comparison::kIn:
      if (many && !one) return absl::OkStatus();
      return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                              "condition on column {}: '{}' needs `values`, a list", config.column,
                              symbol);
    case Comparison::kIsNull:
    case Comparison::kIsNotNull:
      if (!many && !one) return absl::OkStatus();
      return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                              "condition on column {}: '{}' takes no value", config.column, symbol);
    default:
      if (one && !many) return absl::OkStatus();
      return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                              "condition on column {}: '{}' needs `value`", config.column, symbol);
  }
}

absl::StatusOr<RowCondition> RowCondition::Bind(const ConditionConfig& config,
                                                const schemas::TableSchema& schema) {
  const std::optional<size_t> column = schema.FindColumn(config.column);
  if (!column.has_value()) {
    std::vector<std::string> names;
    for (const schemas::Column& each : schema.columns) names.push_back(each.name);
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "filter: table {} has no column '{}' (it has {}); limit `for_tables` "
                            "to the tables that have it",
                            schema.table.ToString(), config.column, fmt::join(names, ", "));
  }
  RowCondition condition;
  condition.column_ = *column;
  condition.column_name_ = schema.table.ToString() + "." + config.column;
  condition.comparison_ = config.comparison;
  condition.type_ = sinks::FindTypeText(schema.columns[*column]);
  condition.number_ = condition.type_ != nullptr && condition.type_->form == JsonForm::kNumber;
  condition.operands_ = config.values;
  if (config.value.has_value()) condition.operands_.push_back(*config.value);
  for (std::string& operand : condition.operands_) {
    if (condition.number_ && !IsNumber(operand)) {
      return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                              "filter: column {} is a number, '{}' is not", condition.column_name_,
                              operand);
    }
    if (condition.type_ == nullptr || condition.type_->form != JsonForm::kBool) continue;
    operand = BoolText(operand);
    if (operand.empty()) {
      return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                              "filter: column {} is a boolean; compare it with true or false",
                              condition.column_name_);
    }
  }
  return condition;
}

bool RowCondition::Compare(std::string_view text) const {
  const auto compare = [&](const std::string& operand) {
    return number_ ? CompareNumbers(text, operand) : text.compare(operand);
  };
  switch (comparison_) {
    case Comparison::kEqual:
      return compare(operands_[0]) == 0;
    case Comparison::kNotEqual:
      return compare(operands_[0]) != 0;
    case Comparison::kLess:
      return compare(operands_[0]) < 0;
    case Comparison::kLessOrEqual:
      return compare(operands_[0]) <= 0;
    case Comparison::kGreater:
      return compare(operands_[0]) > 0;
    case Comparison::kGreaterOrEqual:
      return compare(operands_[0]) >= 0;
    case Comparison::kIn:
      return std::any_of(operands_.begin(), operands_.end(),
                         [&](const std::string& operand) { return compare(operand) == 0; });
    case Comparison::kIsNull:
      return false;
    case Comparison::kIsNotNull:
      return true;
  }
  return false;
}

absl::StatusOr<Truth> RowCondition::Evaluate(const schemas::Value& value) const {
  if (value.is_unchanged()) {
    // Only a value that is there is kept out of line.
    if (comparison_ == Comparison::kIsNull) return Truth::kFalse;
    return comparison_ == Comparison::kIsNotNull ? Truth::kTrue : Truth::kUnknown;
  }
  if (value.is_null()) return comparison_ == Comparison::kIsNull ? Truth::kTrue : Truth::kFalse;
  if (comparison_ == Comparison::kIsNull) return Truth::kFalse;
  if (comparison_ == Comparison::kIsNotNull) return Truth::kTrue;
  if (value.kind == schemas::ValueKind::kText) {
    return Compare(value.view()) ? Truth::kTrue : Truth::kFalse;
  }
  std::string text;
  if (!sinks::AppendValueText(value, type_, text)) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "filter: a value of column {} came in a binary form that cannot be "
                            "compared; use another column",
                            column_name_);
  }
  return Compare(text) ? Truth::kTrue : Truth::kFalse;
}

}  // namespace pgflow::transformers
