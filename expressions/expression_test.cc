#include "expressions/expression.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/status.h"
#include "expressions/decimal.h"

namespace pgflow::expressions {
namespace {

using ::testing::HasSubstr;
namespace oid = postgres::oid;

// id int4 key, total numeric, status text, paid bool, at timestamptz
schemas::TableSchema Orders() {
  schemas::TableSchema table;
  table.table = {"public", "orders"};
  const auto add = [&table](const char* name, postgres::Oid type, bool key) {
    schemas::Column column;
    column.name = name;
    column.type = type;
    column.identity = key;
    table.columns.push_back(std::move(column));
  };
  add("id", oid::kInt4, true);
  add("total", oid::kNumeric, false);
  add("status", oid::kText, false);
  add("paid", oid::kBool, false);
  add("at", oid::kTimestamptz, false);
  return table;
}

using Row = std::vector<const char*>;  // Null: NULL; "?": not sent.

class ExpressionTest : public testing::Test {
 protected:
  static std::vector<schemas::Value> Values(const Row& row) {
    std::vector<schemas::Value> values;
    for (const char* text : row) {
      schemas::Value value;
      if (text != nullptr) {
        value = {text, static_cast<uint32_t>(strlen(text)), schemas::ValueKind::kText};
        if (std::string_view(text) == "?") value.kind = schemas::ValueKind::kUnchanged;
      }
      values.push_back(value);
    }
    return values;
  }

  // The value's text; t, f, null, unknown; or the error.
  std::string Evaluate(std::string_view text) {
    const auto parsed = Expression::Parse(text);
    if (!parsed.ok()) return std::string(base::Message(parsed.status()));
    const auto bound = parsed->Bind(Orders());
    if (!bound.ok()) return std::string(base::Message(bound.status()));
    const std::vector<schemas::Value> old_row = Values(old_);
    const std::vector<schemas::Value> new_row = Values(new_);
    Rows rows;
    rows.old_row = old_row;
    rows.new_row = new_row;
    rows.old_is_key = old_is_key_;
    rows.operation = "update";
    Workspace workspace;
    const auto datum = bound->Evaluate(rows, workspace);
    if (!datum.ok()) return std::string(base::Message(datum.status()));
    if (datum->is_null()) return "null";
    if (!datum->has_value()) return "unknown";
    if (bound->type() == Type::kBoolean) return datum->boolean ? "t" : "f";
    return std::string(datum->text);
  }

  Row old_ = {"7", "100.50", "new", "f", "2026-01-31 12:00:00+00"};
  Row new_ = {"7", "120", "paid", "t", "2026-01-31 12:00:00.5+00"};
  bool old_is_key_ = false;
};

TEST_F(ExpressionTest, ComparesOldAndNew) {
  EXPECT_EQ(Evaluate("new.total > 100 and old.status is distinct from new.status and operation in "
                     "('insert', 'update')"),
            "t");
  EXPECT_EQ(Evaluate("old.total < total"), "t");
  EXPECT_EQ(Evaluate("total between 120.0 and 1e3"), "t");
  EXPECT_EQ(Evaluate("total not between -1 and 119.999"), "t");
  EXPECT_EQ(Evaluate("id = -7 or id = '7'"), "t");
  EXPECT_EQ(Evaluate("status not in ('a', 'b')"), "t");
  EXPECT_EQ(Evaluate("old.at < new.at and at > '2026-01-31' and at < '2026-01-31 13:00:00+01'"),
            "f");
  EXPECT_EQ(Evaluate("at > '2026-01-31'::date"), "t");
  EXPECT_EQ(Evaluate("paid and not old.paid and paid is true and old.paid is not true"), "t");
  EXPECT_EQ(Evaluate("status like 'p%d' and status not like '_p%' and status ilike 'PAI_'"), "t");
}

TEST_F(ExpressionTest, HasThreeValues) {
  new_ = {"7", nullptr, nullptr, nullptr, nullptr};
  EXPECT_EQ(Evaluate("total > 1"), "null");
  EXPECT_EQ(Evaluate("total > 1 and id = 8"), "f");
  EXPECT_EQ(Evaluate("total > 1 or id = 7"), "t");
  EXPECT_EQ(Evaluate("not (total > 1)"), "null");
  EXPECT_EQ(Evaluate("total in (1, null)"), "null");
  EXPECT_EQ(Evaluate("id in (7, null)"), "t");
  EXPECT_EQ(Evaluate("id not in (8, null)"), "null");
  EXPECT_EQ(Evaluate("total is null and status is not distinct from null"), "t");
  EXPECT_EQ(Evaluate("paid is not true and paid is not false and paid is unknown"), "t");
  EXPECT_EQ(Evaluate("coalesce(total, old.total) = 100.5"), "t");
  EXPECT_EQ(Evaluate("concat('a', status, 'b') || status"), "null");
}

TEST_F(ExpressionTest, KnowsWhatIsNotKnown) {
  new_[2] = "?";
  EXPECT_EQ(Evaluate("status = 'x'"), "unknown");
  EXPECT_EQ(Evaluate("not status = 'x'"), "unknown");
  EXPECT_EQ(Evaluate("status is null"), "f");
  EXPECT_EQ(Evaluate("status is not null"), "t");
  EXPECT_EQ(Evaluate("status is distinct from null"), "t");
  EXPECT_EQ(Evaluate("status = 'x' and id = 8"), "f");
  EXPECT_EQ(Evaluate("status = 'x' or id = 7"), "t");
  EXPECT_EQ(Evaluate("(status = 'x' and null) is true"), "unknown");
  old_is_key_ = true;
  EXPECT_EQ(Evaluate("old.total = 1"), "unknown");
  EXPECT_EQ(Evaluate("old.total is null"), "unknown");
  EXPECT_EQ(Evaluate("old.id = 7"), "t");
  old_ = {};
  EXPECT_EQ(Evaluate("old.total is null"), "t");
}

TEST_F(ExpressionTest, CalculatesExactly) {
  EXPECT_EQ(Evaluate("total * 1.10 - 0.005"), "131.995");
  EXPECT_EQ(Evaluate("0.1 + 0.2"), "0.3");
  EXPECT_EQ(Evaluate("99999999999999999999 + 1"), "100000000000000000000");
  EXPECT_EQ(Evaluate("-id - -3"), "-4");
  EXPECT_EQ(Evaluate("5 - 5.00"), "0.00");
  EXPECT_EQ(Evaluate("12 * -12.5"), "-150.0");
  EXPECT_EQ(Evaluate("abs(-1.5)"), "1.5");
  EXPECT_EQ(Calculate(Arithmetic::kAdd, "1", "NaN"), std::nullopt);
}

TEST_F(ExpressionTest, CalculatesInTheTypesOfTheServer) {
  const auto type = [](std::string_view text) {
    return Expression::Parse(text)->Bind(Orders())->sql_type();
  };
  EXPECT_EQ(Evaluate("id / 2"), "3");
  EXPECT_EQ(type("id / 2"), oid::kInt4);
  EXPECT_EQ(Evaluate("-id % 4"), "-3");
  EXPECT_EQ(Evaluate("total / id"), "17.1428571428571429");
  EXPECT_EQ(type("total / id"), oid::kNumeric);
  EXPECT_EQ(Evaluate("0.1::float8 + 0.2"), "0.30000000000000004");
  EXPECT_EQ(type("id + 1::float4"), oid::kFloat8);
  EXPECT_EQ(type("coalesce(id, 1.5)"), oid::kNumeric);
  EXPECT_EQ(type("case when paid then status end"), oid::kText);
  EXPECT_EQ(type("at"), oid::kTimestamptz);
  EXPECT_EQ(Evaluate("at::date"), "2026-01-31");
  EXPECT_EQ(Evaluate("at::date::timestamp"), "2026-01-31 00:00:00");
  EXPECT_EQ(Evaluate("'2026-02-03'::timestamptz"), "2026-02-03 00:00:00+00");
  EXPECT_THAT(Evaluate("status::date"), HasSubstr("'paid' cannot be read as such"));
  EXPECT_EQ(Evaluate("round(total / 7, 2) || ' ' || 2.5::int || ' ' || paid::int"), "17.14 3 1");
  EXPECT_EQ(Expression::Parse("id")->As("numeric")->Bind(Orders())->sql_type(), oid::kNumeric);
  EXPECT_THAT(Expression::Parse("id")->As("int + 1").status().ToString(), HasSubstr("is no type"));
}

TEST_F(ExpressionTest, WorksOnTexts) {
  EXPECT_EQ(Evaluate("upper(status) || '-' || id"), "PAID-7");
  EXPECT_EQ(Evaluate("lower('ÄB')"), "Äb");
  EXPECT_EQ(Evaluate("length('käse')"), "4");
  EXPECT_EQ(Evaluate("substring('käse' from 2 for 2)"), "äs");
  EXPECT_EQ(Evaluate("substring('abc', 0, 2)"), "a");
  EXPECT_EQ(Evaluate("left('käse', 2) || right('käse', 2) || left('abc', -1) || right('abc', -2)"),
            "käseabc");
  EXPECT_EQ(Evaluate("trim('  a b ') || replace('aXbX', 'X', '')"), "a bab");
  EXPECT_EQ(Evaluate("case when total > 100 then 'big' when total > 10 then 'some' end"), "big");
  EXPECT_EQ(Evaluate("case status when 'new' then 1 else 2 end"), "2");
  EXPECT_EQ(Evaluate("nullif(status, 'paid')"), "null");
  EXPECT_EQ(Evaluate("paid::text || ('12'::int + 1)::text"), "true13");
  EXPECT_EQ(Evaluate("'%a\\%b_' like '\\%a\\\\\\%b\\_'"), "t");
}

TEST_F(ExpressionTest, NamesThePlaceOfWhatIsWrong) {
  EXPECT_THAT(Evaluate("total >"), HasSubstr("at character 8: syntax error at end of input"));
  EXPECT_THAT(Evaluate("total > 1 limit 3"), HasSubstr("not one expression"));
  EXPECT_THAT(Evaluate("1; select 2"), HasSubstr("not one expression"));
  EXPECT_THAT(Evaluate("1, 2"), HasSubstr("not one expression"));
  EXPECT_THAT(Evaluate("id = 1 and totl > 1"),
              HasSubstr("at character 12: table public.orders has no column 'totl' (it has id"));
  EXPECT_THAT(Evaluate("status > 5"), HasSubstr("character 1: this is a text, not a number"));
  EXPECT_THAT(Evaluate("total > 'x'"), HasSubstr("'x' is not a number"));
  EXPECT_THAT(Evaluate("at > 'soon'"), HasSubstr("'soon' is not a date or timestamp"));
  EXPECT_THAT(Evaluate("status ~ 'x'"), HasSubstr("the operator ~ cannot be used here"));
  EXPECT_THAT(Evaluate("total ^ 3"), HasSubstr("the operator ^ cannot be used here"));
  EXPECT_THAT(Evaluate("total / (id - 7)"), HasSubstr("at character 7: division by zero"));
  EXPECT_THAT(Evaluate("id * 999999999"), HasSubstr("at character 4: integer out of range"));
  EXPECT_THAT(Evaluate("1 || 2"), HasSubstr("one side of || must be a text"));
  EXPECT_THAT(Evaluate("now() > at"), HasSubstr("at character 1: the function now cannot"));
  EXPECT_THAT(Evaluate("id in (select 1)"), HasSubstr("cannot be used here (SubLink)"));
  EXPECT_THAT(Evaluate("other.id = 1"), HasSubstr("name, new.name or old.name"));
  EXPECT_THAT(Evaluate("id"), "7");
  EXPECT_THAT(Evaluate("'1.5'::int"), HasSubstr("'1.5' is no integer"));
  EXPECT_THAT(base::Message(Expression::Parse("id")->BindCondition(Orders()).status()),
              HasSubstr("no condition"));
  std::string deep = "id = 1";
  for (int i = 0; i < 300; ++i) deep = "not (" + deep + ")";
  EXPECT_THAT(Evaluate(deep), HasSubstr("nested too deeply"));
}

TEST_F(ExpressionTest, TellsConditionsOfOneRowFromOthers) {
  EXPECT_TRUE(Expression::Parse("new.total > id")->is_of_one_row());
  EXPECT_FALSE(Expression::Parse("new.total > old.total")->is_of_one_row());
  EXPECT_FALSE(Expression::Parse("id > 1 and operation = 'insert'")->is_of_one_row());
}

}  // namespace
}  // namespace pgflow::expressions
