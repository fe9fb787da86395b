// Node: one operation of an expression. Internal to this folder.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "expressions/expression.h"
#include "sinks/encoding/type_text.h"

namespace pgflow::expressions {

enum class Operator : uint8_t {
  kLiteral,  // `text`, of `type`.
  kColumn,
  kOperation,
  kAnd,
  kOr,
  kNot,
  kEqual,
  kNotEqual,
  kLess,
  kLessOrEqual,
  kGreater,
  kGreaterOrEqual,
  kDistinct,
  kNotDistinct,
  kIsNull,
  kIsNotNull,
  kIsTrue,
  kIsNotTrue,
  kIsFalse,
  kIsNotFalse,
  kLike,
  kILike,
  kCoalesce,
  kNullIf,
  kCase,  // when, then, when, then, ..., else
  kConcat,
  kAdd,
  kSubtract,
  kMultiply,
  kNegate,
  kFunction,
  kCast,  // To `type`; of integers if `whole`.
};

enum class Function : uint8_t {
  kLower,
  kUpper,
  kLength,
  kTrim,
  kSubstring,
  kLeft,
  kRight,
  kReplace,
  kConcatAll,
  kAbs,
};

enum class Side : uint8_t { kRow, kNew, kOld };

struct Node {
  Operator op = Operator::kLiteral;
  Function function = Function::kLower;
  Side side = Side::kRow;
  Type type = Type::kNull;
  bool whole = false;
  bool identity = false;  // A column of the replica identity.
  int place = 0;          // In the text, in bytes.
  int64_t moment = 0;     // A literal's.
  size_t column = 0;
  const sinks::TypeText* column_type = nullptr;
  std::string text;  // A literal's value, a column's name.
  std::vector<Node> children;
};

// The tree of `text`, unbound. Errors name the place.
absl::StatusOr<Node> ParseNode(std::string_view text);
absl::Status BindNode(Node& node, const schemas::TableSchema& schema);
absl::StatusOr<Datum> EvaluateNode(const Node& node, const Rows& rows, Workspace& workspace);

// kInvalidArgument with the place in the text.
absl::Status ErrorAt(int place, std::string_view message);

}  // namespace pgflow::expressions
