// Columns and types of an expression's Nodes.
#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/bytes.h"
#include "base/status.h"
#include "expressions/decimal.h"
#include "expressions/node.h"
#include "expressions/typed_numbers.h"
#include "sinks/encoding/text_times.h"
#include "sinks/encoding/type_binary.h"

namespace pgflow::expressions {
namespace {

namespace oid = postgres::oid;
using postgres::Oid;

std::string_view TypeName(Type type) {
  switch (type) {
    case Type::kNull:
      return "null";
    case Type::kBoolean:
      return "a boolean";
    case Type::kNumber:
      return "a number";
    case Type::kText:
      return "a text";
    case Type::kMoment:
      return "a date or timestamp";
  }
  return "";
}

bool IsTextLiteral(const Node& node) {
  return node.op == Operator::kLiteral && node.type == Type::kText;
}

// A quoted literal takes the type of what it meets, as in SQL; `sql_type` is that, where it is
// known.
absl::Status Coerce(Node& node, Type type, Oid sql_type = 0) {
  if (node.type == type || node.type == Type::kNull) return absl::OkStatus();
  if (!IsTextLiteral(node)) {
    return ErrorAt(node.place,
                   fmt::format("this is {}, not {}", TypeName(node.type), TypeName(type)));
  }
  bool good = false;
  if (type == Type::kNumber) {
    good = IsNumber(node.text);
  } else if (type == Type::kBoolean) {
    good = node.text == "t" || node.text == "true" || node.text == "f" || node.text == "false";
    node.text.resize(std::min<size_t>(1, node.text.size()));
  } else if (type == Type::kMoment) {
    const std::optional<int64_t> moment = sinks::ParseTimestamp(node.text);
    good = moment.has_value();
    node.moment = moment.value_or(0);
    if (good && sql_type != 0) node.text = MomentText(sql_type, node.moment);
  }
  if (!good) return ErrorAt(node.place, fmt::format("'{}' is not {}", node.text, TypeName(type)));
  node.type = type;
  node.sql_type = type == Type::kBoolean ? oid::kBool : sql_type;
  return absl::OkStatus();
}

// The server's type that values of both have together, of one class. Texts of different types are
// a text.
Oid CommonType(Type type, Oid a, Oid b) {
  if (a == 0 || b == 0 || a == b) return a == 0 ? b : a;
  if (type == Type::kNumber) return CommonNumberType(a, b);
  if (type == Type::kText) return oid::kText;
  return std::max(a, b);  // date, timestamp, timestamptz: the order of their numbers.
}

// The type that all of `nodes` have, literals aside; they become of it.
absl::Status Unite(const std::vector<Node*>& nodes, Type& type, Oid& sql_type) {
  type = Type::kNull;
  for (const Node* node : nodes) {
    if (node->type != Type::kNull && (type == Type::kNull || !IsTextLiteral(*node))) {
      type = node->type;
    }
    if (type != Type::kNull && type != Type::kText) break;
  }
  sql_type = 0;
  for (const Node* node : nodes) {
    if (node->type == type) sql_type = CommonType(type, sql_type, node->sql_type);
  }
  for (Node* node : nodes) PGFLOW_RETURN_IF_ERROR(Coerce(*node, type, sql_type));
  // A literal among uuids or documents is a text only: nobody has checked it.
  const bool literal = std::ranges::any_of(nodes, [](const Node* n) { return IsTextLiteral(*n); });
  if (type == Type::kText && literal) sql_type = oid::kText;
  return absl::OkStatus();
}

absl::Status CoerceAll(Node& node, Type type) {
  for (Node& child : node.children) PGFLOW_RETURN_IF_ERROR(Coerce(child, type));
  return absl::OkStatus();
}

// A quoted one has none yet.
Oid LiteralType(Node& node) {
  if (node.type == Type::kBoolean) return oid::kBool;
  if (node.type != Type::kNumber) return 0;
  for (const Oid type : {oid::kInt4, oid::kInt8}) {
    if (CastNumber(node.text, 0, type).ok()) return type;
  }
  node.text = PlainDecimal(node.text).value_or(node.text);
  return oid::kNumeric;
}

// What || and concat() join: the text of anything but a boolean, which SQL writes in two ways.
absl::Status CheckJoined(const Node& node) {
  const bool any_text = std::ranges::any_of(
      node.children, [](const Node& n) { return n.type == Type::kText || n.type == Type::kNull; });
  if (node.op == Operator::kConcat && !any_text) {
    return ErrorAt(node.place, "one side of || must be a text; cast it");
  }
  for (const Node& child : node.children) {
    if (child.type == Type::kBoolean) return ErrorAt(child.place, "cast the boolean to text first");
  }
  return absl::OkStatus();
}

// abs keeps the type; the others are there for numeric and double precision.
absl::Status BindNumeric(Node& node) {
  PGFLOW_RETURN_IF_ERROR(CoerceAll(node, Type::kNumber));
  const Oid type = node.children[0].sql_type;
  node.type = Type::kNumber;
  node.sql_type = type == 0 ? oid::kFloat8 : type;
  if (node.function == Function::kAbs) return absl::OkStatus();
  if (node.children.size() == 1) {
    node.sql_type = type == oid::kNumeric ? oid::kNumeric : oid::kFloat8;
    return absl::OkStatus();
  }
  node.sql_type = oid::kNumeric;
  if (!IsFloat(type)) return absl::OkStatus();
  return ErrorAt(node.place, "round to digits is for numeric; cast the number to it");
}

absl::Status BindFunction(Node& node) {
  const auto coerce = [&node](size_t child, Type type) {
    return child < node.children.size() ? Coerce(node.children[child], type) : absl::OkStatus();
  };
  node.type = Type::kText;
  node.sql_type = oid::kText;
  switch (node.function) {
    case Function::kConcatAll:
      return CheckJoined(node);
    case Function::kAbs:
    case Function::kRound:
    case Function::kFloor:
    case Function::kCeil:
      return BindNumeric(node);
    case Function::kLength:
      node.type = Type::kNumber;
      node.sql_type = oid::kInt4;
      return coerce(0, Type::kText);
    case Function::kSubstring:
    case Function::kLeft:
    case Function::kRight:
      PGFLOW_RETURN_IF_ERROR(coerce(0, Type::kText));
      PGFLOW_RETURN_IF_ERROR(coerce(1, Type::kNumber));
      return coerce(2, Type::kNumber);
    case Function::kLower:
    case Function::kUpper:
    case Function::kTrim:
    case Function::kReplace:
      return CoerceAll(node, Type::kText);
  }
  return absl::OkStatus();
}

absl::Status BindCase(Node& node) {
  std::vector<Node*> results;
  for (size_t i = 0; i < node.children.size(); ++i) {
    const bool is_condition = i % 2 == 0 && i + 1 < node.children.size();
    if (is_condition) {
      PGFLOW_RETURN_IF_ERROR(Coerce(node.children[i], Type::kBoolean));
    } else {
      results.push_back(&node.children[i]);
    }
  }
  return Unite(results, node.type, node.sql_type);
}

absl::Status BindCast(Node& node) {
  Node& from = node.children[0];
  if (from.type == Type::kNull || from.type == node.type) return absl::OkStatus();
  if (node.type == Type::kMoment && IsTextLiteral(from)) {
    return Coerce(from, Type::kMoment, node.sql_type);
  }
  if (node.type == Type::kText || from.type == Type::kText) return absl::OkStatus();
  // Only integer is cast to boolean and back.
  if (node.type == Type::kBoolean && from.sql_type == oid::kInt4) return absl::OkStatus();
  if (node.sql_type == oid::kInt4 && from.type == Type::kBoolean) return absl::OkStatus();
  return ErrorAt(node.place, fmt::format("{} cannot be cast to {} here", TypeName(from.type),
                                         TypeName(node.type)));
}

absl::Status BindColumn(Node& node, const schemas::TableSchema& schema) {
  const std::optional<size_t> column = schema.FindColumn(node.text);
  if (!column.has_value()) {
    std::vector<std::string> names;
    names.reserve(schema.columns.size());
    for (const schemas::Column& each : schema.columns) names.push_back(each.name);
    return ErrorAt(node.place,
                   fmt::format("table {} has no column '{}' (it has {})", schema.table.ToString(),
                               node.text, fmt::join(names, ", ")));
  }
  const schemas::Column& found = schema.columns[*column];
  node.column = *column;
  node.column_type = sinks::FindTypeText(found);
  node.identity = found.identity;
  node.type = TypeOf(found);
  const Oid wire = found.wire_type != 0 ? found.wire_type : found.type;
  const bool known =
      sinks::KnowsBinaryOfText(wire) && wire != oid::kBpchar && wire != oid::kVarchar;
  node.sql_type = known ? wire : node.type == Type::kNumber ? oid::kNumeric : oid::kText;
  return absl::OkStatus();
}

absl::Status BindArithmetic(Node& node) {
  node.type = Type::kNumber;
  for (const Node& child : node.children) {
    if (child.type == Type::kNumber) {
      node.sql_type = ArithmeticType(node.sql_type, child.sql_type);
    }
  }
  for (Node& child : node.children) {
    PGFLOW_RETURN_IF_ERROR(Coerce(child, Type::kNumber, node.sql_type));
  }
  if (node.op != Operator::kModulo || !IsFloat(node.sql_type)) return absl::OkStatus();
  return ErrorAt(node.place, "% is not for floating-point numbers; cast them to numeric");
}

// The value that = compares: as it is where there is an = for both types.
absl::Status BindNullIf(Node& node, const std::vector<Node*>& children) {
  PGFLOW_RETURN_IF_ERROR(Unite(children, node.type, node.sql_type));
  const Oid left = children[0]->sql_type;
  const Oid right = children[1]->sql_type;
  const bool comparable = (IsInteger(left) && IsInteger(right)) ||
                          (IsFloat(left) && IsFloat(right)) || node.type == Type::kMoment;
  if (comparable && left != 0) node.sql_type = left;
  return absl::OkStatus();
}

absl::Status BindOperator(Node& node) {
  std::vector<Node*> children;
  children.reserve(node.children.size());
  for (Node& child : node.children) children.push_back(&child);
  Type compared = Type::kNull;
  Oid compared_type = 0;
  node.type = Type::kBoolean;
  node.sql_type = oid::kBool;
  switch (node.op) {
    case Operator::kAnd:
    case Operator::kOr:
    case Operator::kNot:
    case Operator::kIsTrue:
    case Operator::kIsNotTrue:
    case Operator::kIsFalse:
    case Operator::kIsNotFalse:
      return CoerceAll(node, Type::kBoolean);
    case Operator::kIsNull:
    case Operator::kIsNotNull:
      return absl::OkStatus();
    case Operator::kLike:
    case Operator::kILike:
      return CoerceAll(node, Type::kText);
    case Operator::kNullIf:
      return BindNullIf(node, children);
    case Operator::kCoalesce:
      return Unite(children, node.type, node.sql_type);
    case Operator::kConcat:
      node.type = Type::kText;
      node.sql_type = oid::kText;
      return CheckJoined(node);
    case Operator::kAdd:
    case Operator::kSubtract:
    case Operator::kMultiply:
    case Operator::kDivide:
    case Operator::kModulo:
    case Operator::kNegate:
      node.sql_type = 0;
      return BindArithmetic(node);
    default:
      return Unite(children, compared, compared_type);  // A comparison.
  }
}

}  // namespace

Type ClassOf(Oid type) {
  schemas::Column column;
  column.type = type;
  return TypeOf(column);
}

std::string MomentText(Oid type, int64_t moment) {
  constexpr int64_t kDay = int64_t{24} * 3600 * 1'000'000;
  constexpr int64_t kLast = std::numeric_limits<int64_t>::max();
  std::string bytes;
  std::string text;
  if (type != oid::kDate) {
    base::AppendBigEndian(bytes, moment);
    const bool written = type == oid::kTimestamp ? sinks::AppendTimestamp(bytes, {}, text)
                                                 : sinks::AppendTimestamptz(bytes, {}, text);
    return written ? text : "";
  }
  const int64_t days = moment == kLast        ? std::numeric_limits<int32_t>::max()
                       : moment == -kLast - 1 ? std::numeric_limits<int32_t>::min()
                       : moment >= 0          ? moment / kDay
                                              : -((-moment + kDay - 1) / kDay);
  base::AppendBigEndian(bytes, static_cast<int32_t>(days));
  return sinks::AppendDate(bytes, {}, text) ? text : "";
}

Type TypeOf(const schemas::Column& column) {
  const sinks::TypeText* type = sinks::FindTypeText(column);
  if (type == nullptr) return Type::kText;
  if (type->form == sinks::JsonForm::kNumber) return Type::kNumber;
  if (type->form == sinks::JsonForm::kBool) return Type::kBoolean;
  const bool moment =
      type->type == oid::kDate || type->type == oid::kTimestamp || type->type == oid::kTimestamptz;
  return moment ? Type::kMoment : Type::kText;
}

absl::Status BindNode(Node& node, const schemas::TableSchema& schema) {
  for (Node& child : node.children) PGFLOW_RETURN_IF_ERROR(BindNode(child, schema));
  switch (node.op) {
    case Operator::kLiteral:
      node.sql_type = LiteralType(node);
      return absl::OkStatus();
    case Operator::kColumn:
      return BindColumn(node, schema);
    case Operator::kOperation:
      node.type = Type::kText;
      node.sql_type = oid::kText;
      return absl::OkStatus();
    case Operator::kCase:
      return BindCase(node);
    case Operator::kFunction:
      return BindFunction(node);
    case Operator::kCast:
      return BindCast(node);
    default:
      return BindOperator(node);
  }
}

}  // namespace pgflow::expressions
