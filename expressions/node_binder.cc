// Columns and types of an expression's Nodes.
#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/status.h"
#include "expressions/decimal.h"
#include "expressions/node.h"
#include "sinks/encoding/type_binary.h"

namespace pgflow::expressions {
namespace {

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

// A quoted literal takes the type of what it meets, as in SQL.
absl::Status Coerce(Node& node, Type type) {
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
  }
  if (!good) return ErrorAt(node.place, fmt::format("'{}' is not {}", node.text, TypeName(type)));
  node.type = type;
  return absl::OkStatus();
}

// The type that all of `nodes` have, literals aside; they become of it.
absl::StatusOr<Type> Unite(std::vector<Node*> nodes) {
  Type type = Type::kNull;
  for (const Node* node : nodes) {
    if (node->type != Type::kNull && (type == Type::kNull || !IsTextLiteral(*node))) {
      type = node->type;
    }
    if (type != Type::kNull && type != Type::kText) break;
  }
  for (Node* node : nodes) PGFLOW_RETURN_IF_ERROR(Coerce(*node, type));
  return type;
}

absl::Status CoerceAll(Node& node, Type type) {
  for (Node& child : node.children) PGFLOW_RETURN_IF_ERROR(Coerce(child, type));
  return absl::OkStatus();
}

// What || and concat() join: the text of anything but a boolean, which SQL writes in two ways.
absl::Status CheckJoined(const Node& node) {
  for (const Node& child : node.children) {
    if (child.type == Type::kBoolean) return ErrorAt(child.place, "cast the boolean to text first");
  }
  return absl::OkStatus();
}

absl::Status BindFunction(Node& node) {
  const auto coerce = [&node](size_t child, Type type) {
    return child < node.children.size() ? Coerce(node.children[child], type) : absl::OkStatus();
  };
  node.type = Type::kText;
  switch (node.function) {
    case Function::kConcatAll:
      return CheckJoined(node);
    case Function::kAbs:
      node.type = Type::kNumber;
      return coerce(0, Type::kNumber);
    case Function::kLength:
      node.type = Type::kNumber;
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
  PGFLOW_ASSIGN_OR_RETURN(node.type, Unite(std::move(results)));
  return absl::OkStatus();
}

absl::Status BindCast(Node& node) {
  const Node& from = node.children[0];
  if (from.type == Type::kNull || from.type == node.type) return absl::OkStatus();
  if (node.type == Type::kMoment) return Coerce(node.children[0], Type::kMoment);
  const bool known = node.type == Type::kText || from.type == Type::kText;
  if (known && from.type != Type::kMoment) return absl::OkStatus();
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
  return absl::OkStatus();
}

absl::Status BindOperator(Node& node) {
  std::vector<Node*> children;
  children.reserve(node.children.size());
  for (Node& child : node.children) children.push_back(&child);
  switch (node.op) {
    case Operator::kAnd:
    case Operator::kOr:
    case Operator::kNot:
    case Operator::kIsTrue:
    case Operator::kIsNotTrue:
    case Operator::kIsFalse:
    case Operator::kIsNotFalse:
      node.type = Type::kBoolean;
      return CoerceAll(node, Type::kBoolean);
    case Operator::kIsNull:
    case Operator::kIsNotNull:
      node.type = Type::kBoolean;
      return absl::OkStatus();
    case Operator::kLike:
    case Operator::kILike:
      node.type = Type::kBoolean;
      return CoerceAll(node, Type::kText);
    case Operator::kCoalesce:
    case Operator::kNullIf: {
      PGFLOW_ASSIGN_OR_RETURN(node.type, Unite(std::move(children)));
      return absl::OkStatus();
    }
    case Operator::kConcat:
      node.type = Type::kText;
      return CheckJoined(node);
    case Operator::kAdd:
    case Operator::kSubtract:
    case Operator::kMultiply:
    case Operator::kNegate:
      node.type = Type::kNumber;
      return CoerceAll(node, Type::kNumber);
    default:
      node.type = Type::kBoolean;  // A comparison.
      return Unite(std::move(children)).status();
  }
}

}  // namespace

Type TypeOf(const schemas::Column& column) {
  namespace oid = postgres::oid;
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
      return absl::OkStatus();
    case Operator::kColumn:
      return BindColumn(node, schema);
    case Operator::kOperation:
      node.type = Type::kText;
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
