// Expression: a condition or a value in SQL over the old and the new row of a change.
//
// The text is read by PostgreSQL's own grammar. What there is: literals; columns as `name`,
// `new.name` and `old.name`; `operation` (read, insert, update, delete, as a text); and, or, not;
// = <> < <= > >=, is [not] distinct from, is [not] null, is [not] true / false, [not] in (list),
// [not] between, [not] like / ilike; case, coalesce, nullif; + - * / % on numbers; ||; lower,
// upper (of ASCII letters), length, trim, substring, left, right, replace, concat, abs, round,
// floor, ceil; casts between texts, numbers, boolean, dates and timestamps (in UTC). Numbers are
// calculated in the server's types with its results and its errors, but are compared exactly,
// floats as they print. Everything else is refused, with its place. Texts are compared byte by byte
// (collation C).
//
// Immutable once bound; thread-safe. Three-valued logic as in SQL, and a fourth value: what the
// source did not send (an unchanged TOASTed value, a column of an old row that is not known) is
// kUnknown, and so is what depends on it.
#pragma once

#include <cstdint>
#include <memory>
#include <memory_resource>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <absl/status/statusor.h>

#include "schemas/table_schema.h"
#include "schemas/value.h"

namespace pgflow::expressions {

enum class Type : uint8_t { kNull, kBoolean, kNumber, kText, kMoment };

// What a column is, as expressions see it.
Type TypeOf(const schemas::Column& column);

struct Datum {
  enum class State : uint8_t { kValue, kNull, kUnknown, kUnknownNotNull };

  State state = State::kNull;
  bool boolean = false;
  int64_t moment = 0;     // Microseconds since 2000.
  std::string_view text;  // Of a number or a text; of a moment as it was sent.

  bool has_value() const { return state == State::kValue; }
  bool is_null() const { return state == State::kNull; }
};

// The rows of a change, decoded. An empty span is a row that does not exist: its columns are NULL.
// `name` without a side is a column of the new row, or of the old one where there is no new one.
struct Rows {
  std::span<const schemas::Value> old_row{};
  std::span<const schemas::Value> new_row{};
  // Only identity columns are known of it.
  bool old_is_key = false;
  bool new_is_key = false;
  std::string_view operation{};
};

// Memory for the texts that one evaluation makes. One thread.
class Workspace {
 public:
  Workspace() : memory_(buffer_, sizeof(buffer_)) {}
  std::string_view Store(std::string_view text);
  void Clear() { memory_.release(); }

 private:
  char buffer_[2048];
  std::pmr::monotonic_buffer_resource memory_;
};

struct Node;

class Expression {
 public:
  // The grammar and the shape; no table is needed. kInvalidArgument names the place in the text.
  static absl::StatusOr<Expression> Parse(std::string_view text);
  // Finds the columns and checks the types.
  absl::StatusOr<Expression> Bind(const schemas::TableSchema& schema) const;
  // The same, and it must be a condition.
  absl::StatusOr<Expression> BindCondition(const schemas::TableSchema& schema) const;

  // Looks at one row only: neither at the old one beside the new one, nor at the operation.
  bool is_of_one_row() const { return is_of_one_row_; }
  // The same as a value of `type`, a type's name in SQL. kInvalidArgument when that is no type
  // which casts know.
  absl::StatusOr<Expression> As(std::string_view type) const;
  Type type() const;
  // Of a bound one: the built-in type that its values have in the server; text for what has none.
  postgres::Oid sql_type() const;
  // Of a bound one: the columns it looks at, in the order of their numbers.
  const std::vector<size_t>& columns() const { return columns_; }
  const std::string& text() const { return text_; }

  // Of a bound one. kInvalidArgument: a value cannot be read, or a cast or a sum has no result.
  absl::StatusOr<Datum> Evaluate(const Rows& rows, Workspace& workspace) const;

 private:
  std::string text_;
  std::shared_ptr<const Node> root_;
  std::vector<size_t> columns_;
  bool is_of_one_row_ = true;
};

}  // namespace pgflow::expressions
