#include "transformers/filter/row_condition.h"

#include <algorithm>

#include <fmt/ranges.h>

#include "base/status.h"
#include "expressions/decimal.h"
#include "sinks/encoding/json_value.h"

namespace pgflow::transformers {
namespace {

using expressions::CompareNumbers;
using expressions::IsNumber;
using sinks::JsonForm;

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
