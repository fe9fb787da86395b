// What an expression's Nodes are for a row.
#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "base/status.h"
#include "expressions/decimal.h"
#include "expressions/node.h"
#include "expressions/text_functions.h"
#include "sinks/encoding/json_value.h"
#include "sinks/encoding/type_binary.h"

namespace pgflow::expressions {
namespace {

using State = Datum::State;

Datum Null() { return {}; }
Datum Unknown() { return {.state = State::kUnknown, .boolean = false, .moment = 0, .text = {}}; }
Datum Boolean(bool value) {
  return {.state = State::kValue, .boolean = value, .moment = 0, .text = {}};
}
Datum Text(std::string_view text) {
  return {.state = State::kValue, .boolean = false, .moment = 0, .text = text};
}

bool IsUnknown(const Datum& datum) { return !datum.has_value() && !datum.is_null(); }

// One evaluation.
class Evaluator {
 public:
  Evaluator(const Rows& rows, Workspace& workspace) : rows_(rows), workspace_(workspace) {}

  absl::StatusOr<Datum> Evaluate(const Node& node) {
    switch (node.op) {
      case Operator::kLiteral:
        return Literal(node);
      case Operator::kColumn:
        return Column(node);
      case Operator::kOperation:
        return Text(rows_.operation);
      case Operator::kAnd:
        return Logic(node, false);
      case Operator::kOr:
        return Logic(node, true);
      case Operator::kIsNull:
      case Operator::kIsNotNull:
      case Operator::kIsTrue:
      case Operator::kIsNotTrue:
      case Operator::kIsFalse:
      case Operator::kIsNotFalse:
        return Test(node);
      case Operator::kDistinct:
      case Operator::kNotDistinct:
        return Distinct(node);
      case Operator::kCoalesce:
        return Coalesce(node);
      case Operator::kNullIf:
        return NullIf(node);
      case Operator::kCase:
        return Case(node);
      default:
        break;
    }
    if (node.op == Operator::kFunction && node.function == Function::kConcatAll) {
      return ConcatAll(node);
    }
    return Strict(node);
  }

 private:
  static Datum Literal(const Node& node) {
    if (node.type == Type::kNull) return Null();
    Datum datum = Text(node.text);
    datum.boolean = node.text == "t";
    datum.moment = node.moment;
    return datum;
  }

  absl::StatusOr<Datum> Column(const Node& node) {
    const bool old = node.side == Side::kOld || (node.side == Side::kRow && rows_.new_row.empty());
    const std::span<const schemas::Value> row = old ? rows_.old_row : rows_.new_row;
    if (row.empty()) return Null();
    if ((old ? rows_.old_is_key : rows_.new_is_key) && !node.identity) return Unknown();
    if (node.column >= row.size()) return ErrorAt(node.place, "the row has too few columns");
    const schemas::Value& value = row[node.column];
    if (value.is_null()) return Null();
    if (value.is_unchanged()) {
      Datum datum = Unknown();
      datum.state = State::kUnknownNotNull;  // Only a value that is there is kept out of line.
      return datum;
    }
    Datum datum = Text(value.view());
    if (value.kind == schemas::ValueKind::kBinary) {
      scratch_.clear();
      if (!sinks::AppendValueText(value, node.column_type, scratch_)) {
        return ErrorAt(node.place, fmt::format("a value of column '{}' came in a binary form that "
                                               "cannot be read; use another column",
                                               node.text));
      }
      datum.text = workspace_.Store(scratch_);
    }
    datum.boolean = datum.text == "t";
    if (node.type != Type::kMoment) return datum;
    const std::optional<int64_t> moment = sinks::ParseTimestamp(datum.text);
    if (!moment.has_value()) {
      return ErrorAt(node.place, fmt::format("'{}' is no date that can be compared", datum.text));
    }
    datum.moment = *moment;
    return datum;
  }

  // and, or: `decisive` is the value that decides alone.
  absl::StatusOr<Datum> Logic(const Node& node, bool decisive) {
    Datum result = Boolean(!decisive);
    for (const Node& child : node.children) {
      PGFLOW_ASSIGN_OR_RETURN(const Datum datum, Evaluate(child));
      if (datum.has_value() && datum.boolean == decisive) return datum;
      if (IsUnknown(datum)) {
        result = Unknown();
      } else if (datum.is_null() && result.has_value()) {
        result = Null();
      }
    }
    return result;
  }

  absl::StatusOr<Datum> Test(const Node& node) {
    PGFLOW_ASSIGN_OR_RETURN(const Datum datum, Evaluate(node.children[0]));
    const bool about_null = node.op == Operator::kIsNull || node.op == Operator::kIsNotNull;
    const bool not_null = datum.has_value() || datum.state == State::kUnknownNotNull;
    if (about_null && not_null) return Boolean(node.op == Operator::kIsNotNull);
    if (IsUnknown(datum)) return Unknown();
    if (about_null) return Boolean(node.op == Operator::kIsNull);
    const bool is_true = datum.has_value() && datum.boolean;
    const bool is_false = datum.has_value() && !datum.boolean;
    switch (node.op) {
      case Operator::kIsTrue:
        return Boolean(is_true);
      case Operator::kIsNotTrue:
        return Boolean(!is_true);
      case Operator::kIsFalse:
        return Boolean(is_false);
      default:
        return Boolean(!is_false);
    }
  }

  static int Compare(Type type, const Datum& a, const Datum& b) {
    switch (type) {
      case Type::kNumber:
        return CompareNumbers(a.text, b.text);
      case Type::kBoolean:
        return static_cast<int>(a.boolean) - static_cast<int>(b.boolean);
      case Type::kMoment:
        return a.moment < b.moment ? -1 : a.moment > b.moment ? 1 : 0;
      default:
        return a.text.compare(b.text);
    }
  }
  static Type ComparedType(const Node& node) {
    const Type left = node.children[0].type;
    return left == Type::kNull ? node.children[1].type : left;
  }

  absl::StatusOr<Datum> Distinct(const Node& node) {
    PGFLOW_ASSIGN_OR_RETURN(const Datum a, Evaluate(node.children[0]));
    PGFLOW_ASSIGN_OR_RETURN(const Datum b, Evaluate(node.children[1]));
    const bool wanted = node.op == Operator::kDistinct;
    const auto is_not_null = [](const Datum& datum) {
      return datum.has_value() || datum.state == State::kUnknownNotNull;
    };
    if ((a.is_null() && is_not_null(b)) || (b.is_null() && is_not_null(a))) return Boolean(wanted);
    if (IsUnknown(a) || IsUnknown(b)) return Unknown();
    if (a.is_null()) return Boolean(!wanted);
    return Boolean((Compare(ComparedType(node), a, b) != 0) == wanted);
  }

  absl::StatusOr<Datum> Coalesce(const Node& node) {
    for (const Node& child : node.children) {
      PGFLOW_ASSIGN_OR_RETURN(const Datum datum, Evaluate(child));
      if (!datum.is_null()) return datum;
    }
    return Null();
  }

  absl::StatusOr<Datum> NullIf(const Node& node) {
    PGFLOW_ASSIGN_OR_RETURN(const Datum a, Evaluate(node.children[0]));
    PGFLOW_ASSIGN_OR_RETURN(const Datum b, Evaluate(node.children[1]));
    if (IsUnknown(a) || (a.has_value() && IsUnknown(b))) return Unknown();
    if (a.is_null() || b.is_null()) return a;
    return Compare(ComparedType(node), a, b) == 0 ? Null() : a;
  }

  absl::StatusOr<Datum> Case(const Node& node) {
    for (size_t i = 0; i + 1 < node.children.size(); i += 2) {
      PGFLOW_ASSIGN_OR_RETURN(const Datum condition, Evaluate(node.children[i]));
      if (IsUnknown(condition)) return Unknown();
      if (condition.has_value() && condition.boolean) return Evaluate(node.children[i + 1]);
    }
    return Evaluate(node.children.back());
  }

  // concat() leaves NULLs out.
  absl::StatusOr<Datum> ConcatAll(const Node& node) {
    std::string joined;
    for (const Node& child : node.children) {
      PGFLOW_ASSIGN_OR_RETURN(const Datum datum, Evaluate(child));
      if (IsUnknown(datum)) return Unknown();
      if (datum.has_value()) joined.append(datum.text);
    }
    return Text(workspace_.Store(joined));
  }

  // Everything that is NULL when an argument is.
  absl::StatusOr<Datum> Strict(const Node& node) {
    Datum arguments[3];
    State state = State::kValue;
    for (size_t i = 0; i < node.children.size() && i < std::size(arguments); ++i) {
      PGFLOW_ASSIGN_OR_RETURN(arguments[i], Evaluate(node.children[i]));
      if (arguments[i].is_null()) return Null();
      if (!arguments[i].has_value()) state = State::kUnknown;
    }
    if (state != State::kValue) return Unknown();
    const Datum& a = arguments[0];
    const Datum& b = arguments[1];
    switch (node.op) {
      case Operator::kNot:
        return Boolean(!a.boolean);
      case Operator::kLike:
      case Operator::kILike:
        return Like(node, a.text, b.text);
      case Operator::kConcat:
        return Text(workspace_.Store(std::string(a.text).append(b.text)));
      case Operator::kAdd:
        return Sum(node, Arithmetic::kAdd, a.text, b.text);
      case Operator::kSubtract:
        return Sum(node, Arithmetic::kSubtract, a.text, b.text);
      case Operator::kMultiply:
        return Sum(node, Arithmetic::kMultiply, a.text, b.text);
      case Operator::kNegate:
        return Text(workspace_.Store(Negate(a.text)));
      case Operator::kCast:
        return Cast(node, a);
      case Operator::kFunction:
        return Call(node, arguments);
      default:
        return Boolean(Holds(node.op, Compare(ComparedType(node), a, b)));
    }
  }

  static bool Holds(Operator op, int order) {
    switch (op) {
      case Operator::kEqual:
        return order == 0;
      case Operator::kNotEqual:
        return order != 0;
      case Operator::kLess:
        return order < 0;
      case Operator::kLessOrEqual:
        return order <= 0;
      case Operator::kGreater:
        return order > 0;
      default:
        return order >= 0;
    }
  }

  absl::StatusOr<Datum> Like(const Node& node, std::string_view text, std::string_view pattern) {
    if (pattern.ends_with('\\') && !pattern.ends_with("\\\\")) {
      return ErrorAt(node.place, "the pattern ends with an escape");
    }
    if (node.op == Operator::kLike) return Boolean(MatchesLike(text, pattern));
    return Boolean(MatchesLike(LowerAscii(text), LowerAscii(pattern)));
  }

  absl::StatusOr<Datum> Sum(const Node& node, Arithmetic arithmetic, std::string_view a,
                            std::string_view b) {
    const std::optional<std::string> result = Calculate(arithmetic, a, b);
    if (result.has_value()) return Text(workspace_.Store(*result));
    return ErrorAt(node.place, fmt::format("{} and {} have no exact result", a, b));
  }

  absl::StatusOr<Datum> Cast(const Node& node, const Datum& from) {
    const Type had = node.children[0].type;
    const auto wrong = [&] {
      return ErrorAt(node.place, fmt::format("'{}' cannot be cast without loss", from.text));
    };
    if (node.type == Type::kText && had == Type::kBoolean) {
      return Text(from.boolean ? "true" : "false");
    }
    if (node.type == Type::kNumber) {
      if (!IsNumber(from.text)) return wrong();
      if (!node.whole) return from;
      const size_t point = from.text.find('.');
      if (from.text.find_first_of("eEN") != std::string_view::npos) return wrong();
      if (point == std::string_view::npos) return from;
      if (from.text.find_first_not_of('0', point + 1) != std::string_view::npos) return wrong();
      return Text(from.text.substr(0, point));
    }
    if (node.type == Type::kBoolean && had == Type::kText) {
      const bool yes = from.text == "t" || from.text == "true";
      if (!yes && from.text != "f" && from.text != "false") return wrong();
      return Boolean(yes);
    }
    return from;
  }

  absl::StatusOr<Datum> Call(const Node& node, std::span<const Datum> arguments) {
    const std::string_view text = arguments[0].text;
    int64_t numbers[3] = {0, 0, 0};
    for (size_t i = 1; i < node.children.size(); ++i) {
      if (node.children[i].type != Type::kNumber) continue;
      const std::string_view number = arguments[i].text;
      const auto [end, error] =
          std::from_chars(number.data(), number.data() + number.size(), numbers[i]);
      if (error != std::errc() || end != number.data() + number.size() ||
          std::abs(numbers[i]) > INT32_MAX) {
        return ErrorAt(node.place, fmt::format("{} is no position in a text", number));
      }
    }
    const bool bounded = node.children.size() > 2;
    switch (node.function) {
      case Function::kLower:
        return Text(workspace_.Store(LowerAscii(text)));
      case Function::kUpper:
        return Text(workspace_.Store(UpperAscii(text)));
      case Function::kLength:
        return Text(workspace_.Store(std::to_string(LengthOf(text))));
      case Function::kTrim:
        return Text(TrimBlanks(text));
      case Function::kSubstring:
        if (bounded && numbers[2] < 0) return ErrorAt(node.place, "a negative length");
        return Text(Substring(text, numbers[1], bounded ? numbers[2] : INT32_MAX));
      case Function::kLeft:
        return Text(LeftOf(text, numbers[1]));
      case Function::kRight:
        return Text(RightOf(text, numbers[1]));
      case Function::kReplace:
        return Text(workspace_.Store(ReplaceAll(text, arguments[1].text, arguments[2].text)));
      case Function::kAbs:
        return Text(text.starts_with('-') ? text.substr(1) : text);
      case Function::kConcatAll:
        break;
    }
    return Null();
  }

  const Rows& rows_;
  Workspace& workspace_;
  std::string scratch_;
};

}  // namespace

absl::StatusOr<Datum> EvaluateNode(const Node& node, const Rows& rows, Workspace& workspace) {
  return Evaluator(rows, workspace).Evaluate(node);
}

}  // namespace pgflow::expressions
