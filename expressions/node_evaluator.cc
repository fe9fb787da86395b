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
#include "expressions/typed_numbers.h"
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
    // The blanks of char(n) count in no comparison and go in every cast to text.
    if (node.column_type != nullptr && node.column_type->type == postgres::oid::kBpchar) {
      datum.text = datum.text.substr(0, datum.text.find_last_not_of(' ') + 1);
    }
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
      if (!datum.is_null()) return Widened(datum, child, node);
    }
    return Null();
  }

  absl::StatusOr<Datum> NullIf(const Node& node) {
    PGFLOW_ASSIGN_OR_RETURN(const Datum a, Evaluate(node.children[0]));
    PGFLOW_ASSIGN_OR_RETURN(const Datum b, Evaluate(node.children[1]));
    if (IsUnknown(a) || (a.has_value() && IsUnknown(b))) return Unknown();
    if (a.is_null()) return a;
    if (b.has_value() && Compare(ComparedType(node), a, b) == 0) return Null();
    return Widened(a, node.children[0], node);
  }

  absl::StatusOr<Datum> Case(const Node& node) {
    for (size_t i = 0; i + 1 < node.children.size(); i += 2) {
      PGFLOW_ASSIGN_OR_RETURN(const Datum condition, Evaluate(node.children[i]));
      if (IsUnknown(condition)) return Unknown();
      if (!condition.has_value() || !condition.boolean) continue;
      PGFLOW_ASSIGN_OR_RETURN(const Datum result, Evaluate(node.children[i + 1]));
      return Widened(result, node.children[i + 1], node);
    }
    PGFLOW_ASSIGN_OR_RETURN(const Datum result, Evaluate(node.children.back()));
    return Widened(result, node.children.back(), node);
  }

  // A value of `from` among values of the type of `to`: it prints otherwise as a float or
  // timestamp.
  absl::StatusOr<Datum> Widened(Datum datum, const Node& from, const Node& to) {
    if (!datum.has_value() || from.sql_type == to.sql_type) return datum;
    if (to.type == Type::kMoment) {
      datum.text = workspace_.Store(MomentText(to.sql_type, datum.moment));
    } else if (to.type == Type::kNumber && IsFloat(to.sql_type)) {
      return Number(from, CastNumber(datum.text, from.sql_type, to.sql_type));
    }
    return datum;
  }

  absl::StatusOr<Datum> Number(const Node& node, const absl::StatusOr<std::string>& number) {
    if (!number.ok()) return ErrorAt(node.place, base::Message(number.status()));
    return Text(workspace_.Store(*number));
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
        return Calculate(node, Arithmetic::kAdd, a.text, b.text);
      case Operator::kSubtract:
        return Calculate(node, Arithmetic::kSubtract, a.text, b.text);
      case Operator::kMultiply:
        return Calculate(node, Arithmetic::kMultiply, a.text, b.text);
      case Operator::kDivide:
        return Calculate(node, Arithmetic::kDivide, a.text, b.text);
      case Operator::kModulo:
        return Calculate(node, Arithmetic::kModulo, a.text, b.text);
      case Operator::kNegate:
        return Opposite(node, a.text);
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

  absl::StatusOr<Datum> Calculate(const Node& node, Arithmetic arithmetic, std::string_view a,
                                  std::string_view b) {
    const auto operand = [&](size_t index, std::string_view text) -> absl::StatusOr<std::string> {
      const Node& child = node.children[index];
      if (child.sql_type != postgres::oid::kFloat4) return std::string(text);
      return CastNumber(text, child.sql_type, node.sql_type);
    };
    PGFLOW_ASSIGN_OR_RETURN(const std::string left, operand(0, a));
    PGFLOW_ASSIGN_OR_RETURN(const std::string right, operand(1, b));
    return Number(node, CalculateAs(node.sql_type, arithmetic, left, right));
  }

  absl::StatusOr<Datum> Opposite(const Node& node, std::string_view number) {
    if (!IsInteger(node.sql_type)) return Text(workspace_.Store(Negate(number)));
    return Number(node, CalculateAs(node.sql_type, Arithmetic::kSubtract, "0", number));
  }

  absl::StatusOr<Datum> Cast(const Node& node, const Datum& from) {
    const Node& child = node.children[0];
    switch (node.type) {
      case Type::kNumber:
        if (child.type == Type::kBoolean) return Text(from.boolean ? "1" : "0");
        return Number(node, CastNumber(from.text, child.type == Type::kText ? 0 : child.sql_type,
                                       node.sql_type));
      case Type::kBoolean:
        if (child.type == Type::kNumber) return Boolean(from.text != "0");
        return child.type == Type::kText ? CastToBoolean(node, from) : from;
      case Type::kMoment:
        return CastToMoment(node, child, from);
      default:
        return child.type == Type::kBoolean ? Text(from.boolean ? "true" : "false") : from;
    }
  }

  static absl::StatusOr<Datum> CastToBoolean(const Node& node, const Datum& from) {
    static constexpr std::string_view kTrue[] = {"t", "true", "y", "yes", "on", "1"};
    static constexpr std::string_view kFalse[] = {"f", "false", "n", "no", "off", "0"};
    const std::string word = LowerAscii(from.text);
    if (std::ranges::find(kTrue, word) != std::end(kTrue)) return Boolean(true);
    if (std::ranges::find(kFalse, word) != std::end(kFalse)) return Boolean(false);
    return ErrorAt(node.place, fmt::format("'{}' is no boolean", from.text));
  }

  // Days and times of day are those of UTC.
  absl::StatusOr<Datum> CastToMoment(const Node& node, const Node& child, const Datum& from) {
    Datum datum = from;
    if (child.type == Type::kText) {
      // A time without a zone would lose the one that is written.
      const bool zone = from.text.find_first_of("+-Zz", 10) != std::string_view::npos;
      const std::optional<int64_t> moment = sinks::ParseTimestamp(from.text);
      if (!moment.has_value() || (zone && node.sql_type != postgres::oid::kTimestamptz)) {
        return ErrorAt(node.place, fmt::format("'{}' cannot be read as such", from.text));
      }
      datum.moment = *moment;
    } else if (child.sql_type == node.sql_type) {
      return datum;
    }
    datum.text = workspace_.Store(MomentText(node.sql_type, datum.moment));
    if (datum.text.empty())
      return ErrorAt(node.place, fmt::format("'{}' is out of range", from.text));
    if (node.sql_type == postgres::oid::kDate) {
      datum.moment = sinks::ParseTimestamp(datum.text).value_or(datum.moment);
    }
    return datum;
  }

  // round, floor and ceil, by numbers[1] digits.
  absl::StatusOr<Datum> RoundTo(const Node& node, std::string_view number, int64_t digits) {
    PGFLOW_ASSIGN_OR_RETURN(
        const Datum of, Number(node, CastNumber(number, node.children[0].sql_type, node.sql_type)));
    const Rounding rounding = node.function == Function::kRound   ? Rounding::kNearest
                              : node.function == Function::kFloor ? Rounding::kDown
                                                                  : Rounding::kUp;
    return Number(node, RoundAs(node.sql_type, of.text, static_cast<int>(digits), rounding));
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
        return text.starts_with('-') ? Opposite(node, text) : Text(text);
      case Function::kRound:
      case Function::kFloor:
      case Function::kCeil:
        return RoundTo(node, text, numbers[1]);
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
