// From PostgreSQL's parse tree, as libpg_query gives it in JSON, to Nodes.
#include <pg_query.h>

#include <algorithm>
#include <string>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/status.h"
#include "expressions/node.h"

namespace pgflow::expressions {
namespace {

using Json = nlohmann::json;

// In front of the user's text: a whole statement is what the grammar reads.
constexpr std::string_view kSelect = "SELECT ";
constexpr size_t kTextMax = 8192;
constexpr int kDepthMax = 200;

constexpr std::pair<std::string_view, Operator> kOperators[] = {
    {"=", Operator::kEqual},        {"<>", Operator::kNotEqual}, {"<", Operator::kLess},
    {"<=", Operator::kLessOrEqual}, {">", Operator::kGreater},   {">=", Operator::kGreaterOrEqual},
    {"||", Operator::kConcat},      {"+", Operator::kAdd},       {"-", Operator::kSubtract},
    {"*", Operator::kMultiply},     {"/", Operator::kDivide},    {"%", Operator::kModulo},
};

struct FunctionFacts {
  std::string_view name;
  Function function;
  size_t least;  // Arguments.
  size_t most;
};

constexpr FunctionFacts kFunctions[] = {
    {"lower", Function::kLower, 1, 1},        {"upper", Function::kUpper, 1, 1},
    {"length", Function::kLength, 1, 1},      {"char_length", Function::kLength, 1, 1},
    {"btrim", Function::kTrim, 1, 1},         {"substring", Function::kSubstring, 2, 3},
    {"substr", Function::kSubstring, 2, 3},   {"left", Function::kLeft, 2, 2},
    {"right", Function::kRight, 2, 2},        {"replace", Function::kReplace, 3, 3},
    {"concat", Function::kConcatAll, 1, 100}, {"abs", Function::kAbs, 1, 1},
    {"round", Function::kRound, 1, 2},        {"floor", Function::kFloor, 1, 1},
    {"ceil", Function::kCeil, 1, 1},          {"ceiling", Function::kCeil, 1, 1},
};

// The place of a node in the user's text.
int PlaceOf(const Json& body) {
  return body.value("location", 0) - static_cast<int>(kSelect.size());
}

std::string NameOf(const Json& strings) {
  const Json& last = strings.back();
  return last.contains("String") ? last["String"].value("sval", "") : "";
}

class Parser {
 public:
  explicit Parser(std::string_view statement) : statement_(statement) {}

  absl::StatusOr<Node> Parse(const Json& json) {
    if (++depth_ > kDepthMax) return ErrorAt(0, "it is nested too deeply");
    absl::StatusOr<Node> node = ParseAny(json);
    --depth_;
    return node;
  }

 private:
  absl::StatusOr<Node> ParseAny(const Json& json) {
    if (!json.is_object() || json.empty()) return ErrorAt(0, "a part of it is missing");
    const auto only = json.begin();
    const std::string& kind = only.key();
    const Json& body = only.value();
    if (kind == "A_Const") return ParseConstant(body);
    if (kind == "ColumnRef") return ParseColumn(body);
    if (kind == "BoolExpr") return ParseBoolean(body);
    if (kind == "A_Expr") return ParseOperator(body);
    if (kind == "NullTest") {
      const bool is_null = body["nulltesttype"] == "IS_NULL";
      return WithChildren(is_null ? Operator::kIsNull : Operator::kIsNotNull, PlaceOf(body),
                          {&body["arg"]});
    }
    if (kind == "BooleanTest") return ParseBooleanTest(body);
    if (kind == "CoalesceExpr") return ParseList(Operator::kCoalesce, PlaceOf(body), body["args"]);
    if (kind == "CaseExpr") return ParseCase(body);
    if (kind == "FuncCall") return ParseFunction(body);
    if (kind == "TypeCast") return ParseCast(body);
    return ErrorAt(body.is_object() ? PlaceOf(body) : 0,
                   fmt::format("this cannot be used here ({})", kind));
  }

  absl::StatusOr<Node> WithChildren(Operator op, int place, std::vector<const Json*> children) {
    Node node;
    node.op = op;
    node.place = place;
    node.children.reserve(children.size());
    for (const Json* child : children) {
      PGFLOW_ASSIGN_OR_RETURN(Node parsed, Parse(*child));
      node.children.push_back(std::move(parsed));
    }
    return node;
  }

  absl::StatusOr<Node> ParseList(Operator op, int place, const Json& list) {
    std::vector<const Json*> children;
    children.reserve(list.size());
    for (const Json& child : list) children.push_back(&child);
    return WithChildren(op, place, children);
  }

  absl::StatusOr<Node> ParseConstant(const Json& body) {
    Node node;
    node.place = PlaceOf(body);
    if (body.contains("sval")) {
      node.type = Type::kText;
      node.text = body["sval"].value("sval", "");
    } else if (body.contains("fval")) {
      node.type = Type::kNumber;
      node.text = body["fval"].value("fval", "");
    } else if (body.contains("ival")) {
      // A negative one has no value in the JSON, so it is read where it is written.
      node.type = Type::kNumber;
      std::string_view rest = statement_.substr(static_cast<size_t>(body.value("location", 0)));
      if (rest.starts_with('-')) node.text = "-";
      rest.remove_prefix(std::min(rest.find_first_of("0123456789"), rest.size()));
      node.text += rest.substr(0, rest.find_first_not_of("0123456789"));
    } else if (body.contains("boolval")) {
      node.type = Type::kBoolean;
      node.text = body["boolval"].value("boolval", false) ? "t" : "f";
    } else if (!body.value("isnull", false)) {
      return ErrorAt(node.place, "this literal cannot be used here");
    }
    return node;
  }

  absl::StatusOr<Node> ParseColumn(const Json& body) {
    const Json& fields = body["fields"];
    Node node;
    node.op = Operator::kColumn;
    node.place = PlaceOf(body);
    node.text = NameOf(fields);
    const std::string side = fields.size() == 2 ? NameOf(Json::array({fields[0]})) : "";
    if (fields.size() > 2 || node.text.empty() ||
        (fields.size() == 2 && side != "new" && side != "old")) {
      return ErrorAt(node.place, "a column is written as name, new.name or old.name");
    }
    if (side == "new") node.side = Side::kNew;
    if (side == "old") node.side = Side::kOld;
    if (side.empty() && node.text == "operation") node.op = Operator::kOperation;
    return node;
  }

  absl::StatusOr<Node> ParseBoolean(const Json& body) {
    const std::string op = body["boolop"];
    return ParseList(op == "AND_EXPR"  ? Operator::kAnd
                     : op == "OR_EXPR" ? Operator::kOr
                                       : Operator::kNot,
                     PlaceOf(body), body["args"]);
  }

  absl::StatusOr<Node> ParseBooleanTest(const Json& body) {
    static constexpr std::pair<std::string_view, Operator> kTests[] = {
        {"IS_TRUE", Operator::kIsTrue},    {"IS_NOT_TRUE", Operator::kIsNotTrue},
        {"IS_FALSE", Operator::kIsFalse},  {"IS_NOT_FALSE", Operator::kIsNotFalse},
        {"IS_UNKNOWN", Operator::kIsNull}, {"IS_NOT_UNKNOWN", Operator::kIsNotNull},
    };
    const std::string test = body["booltesttype"];
    for (const auto& [name, op] : kTests) {
      if (name == test) return WithChildren(op, PlaceOf(body), {&body["arg"]});
    }
    return ErrorAt(PlaceOf(body), "this test cannot be used here");
  }

  absl::StatusOr<Node> ParseOperator(const Json& body) {
    const std::string kind = body["kind"];
    const std::string name = NameOf(body["name"]);
    const int place = PlaceOf(body);
    if (!body.contains("lexpr")) {
      if (kind == "AEXPR_OP" && name == "-") {
        return WithChildren(Operator::kNegate, place, {&body["rexpr"]});
      }
      return ErrorAt(place, fmt::format("the operator {} cannot be used here", name));
    }
    const Json& left = body["lexpr"];
    const Json& right = body["rexpr"];
    if (kind == "AEXPR_OP") {
      for (const auto& [symbol, op] : kOperators) {
        if (symbol == name) return WithChildren(op, place, {&left, &right});
      }
      return ErrorAt(place, fmt::format("the operator {} cannot be used here", name));
    }
    if (kind == "AEXPR_DISTINCT") return WithChildren(Operator::kDistinct, place, {&left, &right});
    if (kind == "AEXPR_NOT_DISTINCT") {
      return WithChildren(Operator::kNotDistinct, place, {&left, &right});
    }
    if (kind == "AEXPR_NULLIF") return WithChildren(Operator::kNullIf, place, {&left, &right});
    if (kind == "AEXPR_IN") return ParseIn(name == "<>", place, left, right);
    if (kind == "AEXPR_BETWEEN" || kind == "AEXPR_NOT_BETWEEN") {
      return ParseBetween(kind == "AEXPR_NOT_BETWEEN", place, left, right);
    }
    if (kind == "AEXPR_LIKE" || kind == "AEXPR_ILIKE") {
      PGFLOW_ASSIGN_OR_RETURN(
          Node like, WithChildren(kind == "AEXPR_LIKE" ? Operator::kLike : Operator::kILike, place,
                                  {&left, &right}));
      return name.starts_with('!') ? Negated(std::move(like)) : std::move(like);
    }
    return ErrorAt(place, fmt::format("the operator {} cannot be used here", name));
  }

  static Node Negated(Node node) {
    Node negated;
    negated.op = Operator::kNot;
    negated.place = node.place;
    negated.children.push_back(std::move(node));
    return negated;
  }

  // a = x or a = y or ...
  absl::StatusOr<Node> ParseIn(bool negated, int place, const Json& left, const Json& right) {
    if (!right.contains("List")) return ErrorAt(place, "in needs a list");
    Node any;
    any.op = Operator::kOr;
    any.place = place;
    for (const Json& item : right["List"]["items"]) {
      PGFLOW_ASSIGN_OR_RETURN(Node equal, WithChildren(Operator::kEqual, place, {&left, &item}));
      any.children.push_back(std::move(equal));
    }
    return negated ? Negated(std::move(any)) : std::move(any);
  }

  absl::StatusOr<Node> ParseBetween(bool negated, int place, const Json& left, const Json& right) {
    const Json& ends = right["List"]["items"];
    Node both;
    both.op = Operator::kAnd;
    both.place = place;
    PGFLOW_ASSIGN_OR_RETURN(Node low,
                            WithChildren(Operator::kGreaterOrEqual, place, {&left, &ends[0]}));
    PGFLOW_ASSIGN_OR_RETURN(Node high,
                            WithChildren(Operator::kLessOrEqual, place, {&left, &ends[1]}));
    both.children.push_back(std::move(low));
    both.children.push_back(std::move(high));
    return negated ? Negated(std::move(both)) : std::move(both);
  }

  absl::StatusOr<Node> ParseCase(const Json& body) {
    Node node;
    node.op = Operator::kCase;
    node.place = PlaceOf(body);
    for (const Json& item : body["args"]) {
      const Json& when = item["CaseWhen"];
      absl::StatusOr<Node> condition =
          body.contains("arg")
              ? WithChildren(Operator::kEqual, PlaceOf(when), {&body["arg"], &when["expr"]})
              : Parse(when["expr"]);
      if (!condition.ok()) return condition;
      node.children.push_back(*std::move(condition));
      PGFLOW_ASSIGN_OR_RETURN(Node result, Parse(when["result"]));
      node.children.push_back(std::move(result));
    }
    Node otherwise;
    otherwise.place = node.place;
    if (body.contains("defresult")) {
      PGFLOW_ASSIGN_OR_RETURN(otherwise, Parse(body["defresult"]));
    }
    node.children.push_back(std::move(otherwise));
    return node;
  }

  absl::StatusOr<Node> ParseFunction(const Json& body) {
    static const Json* none = new Json(Json::array());
    const Json& path = body["funcname"];
    const bool ours = path.size() == 1 || NameOf(Json::array({path[0]})) == "pg_catalog";
    const std::string name = NameOf(path);
    const Json& arguments = body.contains("args") ? body["args"] : *none;
    const bool plain = ours && !body.contains("agg_order") && !body.contains("agg_filter") &&
                       !body.contains("over") && !body.contains("agg_distinct") &&
                       !body.contains("agg_star");
    for (const FunctionFacts& facts : kFunctions) {
      if (facts.name != name || !plain) continue;
      if (arguments.size() < facts.least || arguments.size() > facts.most) {
        return ErrorAt(PlaceOf(body), fmt::format("{} takes {} to {} arguments here", name,
                                                  facts.least, facts.most));
      }
      PGFLOW_ASSIGN_OR_RETURN(Node node, ParseList(Operator::kFunction, PlaceOf(body), arguments));
      node.function = facts.function;
      return node;
    }
    return ErrorAt(PlaceOf(body), fmt::format("the function {} cannot be used here", name));
  }

  absl::StatusOr<Node> ParseCast(const Json& body) {
    namespace oid = postgres::oid;
    static constexpr std::pair<std::string_view, postgres::Oid> kTargets[] = {
        {"text", oid::kText},           {"varchar", oid::kText},
        {"numeric", oid::kNumeric},     {"int4", oid::kInt4},
        {"int8", oid::kInt8},           {"int2", oid::kInt2},
        {"float4", oid::kFloat4},       {"float8", oid::kFloat8},
        {"bool", oid::kBool},           {"date", oid::kDate},
        {"timestamp", oid::kTimestamp}, {"timestamptz", oid::kTimestamptz},
    };
    const Json& type = body["typeName"];
    const std::string name = NameOf(type["names"]);
    if (!type.contains("arrayBounds") && !type.contains("typmods")) {
      for (const auto& [target, sql_type] : kTargets) {
        if (target != name) continue;
        PGFLOW_ASSIGN_OR_RETURN(Node node,
                                WithChildren(Operator::kCast, PlaceOf(body), {&body["arg"]}));
        node.sql_type = sql_type;
        node.type = ClassOf(sql_type);
        return node;
      }
    }
    return ErrorAt(PlaceOf(body), fmt::format("a cast to {} cannot be used here", name));
  }

  std::string_view statement_;
  int depth_ = 0;
};

// The one expression of "SELECT expression" and nothing more; null when there is another thing.
const Json* OnlyTarget(const Json& tree) {
  if (!tree.contains("stmts") || tree["stmts"].size() != 1) return nullptr;
  const Json& statement = tree["stmts"][0]["stmt"];
  if (!statement.contains("SelectStmt")) return nullptr;
  const Json& select = statement["SelectStmt"];
  for (const auto& [key, value] : select.items()) {
    if (key != "targetList" && key != "limitOption" && key != "op") return nullptr;
  }
  if (!select.contains("targetList") || select["targetList"].size() != 1) return nullptr;
  const Json& target = select["targetList"][0]["ResTarget"];
  return target.size() == 2 && target.contains("val") && target.contains("location")
             ? &target["val"]
             : nullptr;
}

}  // namespace

absl::Status ErrorAt(int place, std::string_view message) {
  return base::MakeStatus(absl::StatusCode::kInvalidArgument, "at character {}: {}",
                          std::max(place, 0) + 1, message);
}

absl::StatusOr<Node> ParseNode(std::string_view text) {
  if (text.size() > kTextMax || text.find('\0') != std::string_view::npos) {
    return ErrorAt(0, "the expression is too long, or holds a zero byte");
  }
  const std::string statement = std::string(kSelect).append(text);
  PgQueryParseResult result = pg_query_parse(statement.c_str());
  absl::StatusOr<Node> node = ErrorAt(0, "it is not one expression");
  if (result.error != nullptr) {
    node = ErrorAt(result.error->cursorpos - 1 - static_cast<int>(kSelect.size()),
                   result.error->message);
  } else {
    const Json tree = Json::parse(result.parse_tree, nullptr, false);
    const Json* target = tree.is_object() ? OnlyTarget(tree) : nullptr;
    if (target != nullptr) node = Parser(statement).Parse(*target);
  }
  pg_query_free_parse_result(result);
  return node;
}

}  // namespace pgflow::expressions
