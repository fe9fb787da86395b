#include "expressions/expression.h"

#include <cstring>
#include <set>
#include <utility>

#include "base/status.h"
#include "expressions/node.h"

namespace pgflow::expressions {
namespace {

bool IsOfOneRow(const Node& node) {
  if (node.op == Operator::kOperation) return false;
  if (node.op == Operator::kColumn && node.side == Side::kOld) return false;
  for (const Node& child : node.children) {
    if (!IsOfOneRow(child)) return false;
  }
  return true;
}

void CollectColumns(const Node& node, std::set<size_t>& columns) {
  if (node.op == Operator::kColumn) columns.insert(node.column);
  for (const Node& child : node.children) CollectColumns(child, columns);
}

absl::Status Wrong(std::string_view text, const absl::Status& status) {
  return base::Annotate(status, fmt::format("'{}'", text));
}

}  // namespace

std::string_view Workspace::Store(std::string_view text) {
  if (text.empty()) return {"", 0};
  char* copy = static_cast<char*>(memory_.allocate(text.size(), 1));
  std::memcpy(copy, text.data(), text.size());
  return {copy, text.size()};
}

Type Expression::type() const { return root_->type; }

postgres::Oid Expression::sql_type() const {
  return root_->sql_type == 0 ? postgres::oid::kText : root_->sql_type;
}

absl::StatusOr<Expression> Expression::As(std::string_view type) const {
  absl::StatusOr<Node> cast = ParseNode(fmt::format("NULL::{}", type));
  const bool is_type =
      cast.ok() && cast->op == Operator::kCast && cast->children[0].op == Operator::kLiteral;
  if (!is_type) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "'{}' is no type here; write text, numeric, smallint, integer, bigint, "
                            "real, double precision, boolean, date, timestamp or timestamptz",
                            type);
  }
  cast->place = 0;
  cast->children[0] = *root_;
  Expression typed = *this;
  typed.root_ = std::make_shared<const Node>(*std::move(cast));
  return typed;
}

absl::StatusOr<Expression> Expression::Parse(std::string_view text) {
  absl::StatusOr<Node> node = ParseNode(text);
  if (!node.ok()) return Wrong(text, node.status());
  Expression parsed;
  parsed.text_ = text;
  parsed.is_of_one_row_ = IsOfOneRow(*node);
  parsed.root_ = std::make_shared<const Node>(*std::move(node));
  return parsed;
}

absl::StatusOr<Expression> Expression::Bind(const schemas::TableSchema& schema) const {
  Node node = *root_;
  absl::Status status = BindNode(node, schema);
  if (!status.ok()) return Wrong(text_, status);
  Expression bound = *this;
  std::set<size_t> columns;
  CollectColumns(node, columns);
  bound.columns_.assign(columns.begin(), columns.end());
  bound.root_ = std::make_shared<const Node>(std::move(node));
  return bound;
}

absl::StatusOr<Expression> Expression::BindCondition(const schemas::TableSchema& schema) const {
  PGFLOW_ASSIGN_OR_RETURN(Expression bound, Bind(schema));
  if (bound.type() == Type::kBoolean || bound.type() == Type::kNull) return bound;
  return Wrong(text_, ErrorAt(0, "it is no condition (true or false)"));
}

absl::StatusOr<Datum> Expression::Evaluate(const Rows& rows, Workspace& workspace) const {
  absl::StatusOr<Datum> datum = EvaluateNode(*root_, rows, workspace);
  if (!datum.ok()) return Wrong(text_, datum.status());
  return datum;
}

}  // namespace pgflow::expressions
