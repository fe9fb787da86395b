// RowCondition: one condition on a column, as the user writes it and bound to a table.
//
// Immutable once bound; thread-safe. Numbers are compared exactly as decimals, bool by its value,
// everything else byte by byte as text (which orders ISO dates of four-digit years rightly).
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <absl/status/statusor.h>

#include "base/config/node.h"
#include "schemas/table_schema.h"
#include "schemas/value.h"
#include "sinks/encoding/type_text.h"

namespace pgflow::transformers {

enum class Comparison {
  kEqual,
  kNotEqual,
  kLess,
  kLessOrEqual,
  kGreater,
  kGreaterOrEqual,
  kIn,
  kIsNull,
  kIsNotNull,
};

struct ConditionConfig {
  std::string column;
  Comparison comparison = Comparison::kEqual;
  std::optional<std::string> value;
  std::vector<std::string> values;  // For kIn.
  config::Place place{};            // In the file.
};

enum class Truth { kFalse, kTrue, kUnknown };

class RowCondition {
 public:
  // What the configuration alone shows to be wrong.
  static absl::Status Validate(const ConditionConfig& config);
  // kInvalidArgument when the table has no such column, or it cannot be compared with the value.
  static absl::StatusOr<RowCondition> Bind(const ConditionConfig& config,
                                           const schemas::TableSchema& schema);

  size_t column() const { return column_; }
  // Of this condition's column in a row. A comparison with NULL is not true; an unchanged TOASTed
  // value is unknown. kInvalidArgument: the value's binary form cannot be read.
  absl::StatusOr<Truth> Evaluate(const schemas::Value& value) const;

 private:
  bool Compare(std::string_view text) const;

  size_t column_ = 0;
  std::string column_name_;
  Comparison comparison_ = Comparison::kEqual;
  const sinks::TypeText* type_ = nullptr;
  bool number_ = false;
  std::vector<std::string> operands_;
};

}  // namespace pgflow::transformers
