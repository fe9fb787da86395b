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
  kDivide,
  kModulo,
  kNegate,
  kFunction,
  kCast,  // To `sql_type`.
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
  kRound,
  kFloor,
  kCeil,
};

enum class Side : uint8_t { kRow, kNew, kOld };

struct Node {
  Operator op = Operator::kLiteral;
  Function function = Function::kLower;
  Side side = Side::kRow;
  Type type = Type::kNull;
  postgres::Oid sql_type = 0;  // The server's type; 0: a literal's that meets none.
  bool identity = false;       // A column of the replica identity.
  int place = 0;               // In the text, in bytes.
  int64_t moment = 0;          // A literal's.
  size_t column = 0;
  const sinks::TypeText* column_type = nullptr;
  std::string text;  // A literal's value, a column's name.
  std::vector<Node> children;
};

// The class that the values of a built-in type belong to.
Type ClassOf(postgres::Oid type);
// The text of a date or timestamp in the form of its type.
std::string MomentText(postgres::Oid type, int64_t moment);

// The tree of `text`, unbound. Errors name the place.
absl::StatusOr<Node> ParseNode(std::string_view text);
absl::Status BindNode(Node& node, const schemas::TableSchema& schema);
absl::StatusOr<Datum> EvaluateNode(const Node& node, const Rows& rows, Workspace& workspace);

// kInvalidArgument with the place in the text.
absl::Status ErrorAt(int place, std::string_view message);

}  // namespace pgflow::expressions
