// Expressions against a real server: each gives the text and the type that the server gives, or its
// error where the server has one. One row of a table is what they look at.
#include <gtest/gtest.h>

#include "base/status.h"
#include "engine/testing/scratch_postgres.h"
#include "expressions/expression.h"

namespace pgflow {
namespace {

using engine::ScratchPostgres;
using expressions::Expression;
namespace oid = postgres::oid;

struct ColumnCase {
  std::string name;
  postgres::Oid type;
  std::string type_name;
  std::string value;
};

const std::vector<ColumnCase>& Columns() {
  static const auto* columns = new std::vector<ColumnCase>{
      {"i2", oid::kInt2, "int2", "-7"},
      {"i4", oid::kInt4, "int4", "2147483647"},
      {"i8", oid::kInt8, "int8", "-9223372036854775808"},
      {"n", oid::kNumeric, "numeric", "1234.5670"},
      {"small", oid::kNumeric, "numeric", "-0.00000123"},
      {"zero", oid::kNumeric, "numeric", "0.00"},
      {"f4", oid::kFloat4, "float4", "0.1"},
      {"f8", oid::kFloat8, "float8", "2.5"},
      {"t", oid::kText, "text", "Käse und Brot"},
      {"c", oid::kBpchar, "char(5)", "ab   "},
      {"b", oid::kBool, "bool", "t"},
      {"d", oid::kDate, "date", "2024-02-29"},
      {"ts", oid::kTimestamp, "timestamp", "2024-02-29 23:59:59.5"},
      {"tz", oid::kTimestamptz, "timestamptz", "1999-12-31 23:00:00+00"},
      {"u", oid::kUuid, "uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"},
  };
  return *columns;
}

// The server answers in the type that the expression has here, and says which that is there.
constexpr std::string_view kExpressions[] = {
    "i2 + i2",
    "i2 * 5000::int2",
    "i2 + 1",
    "i4 - 1",
    "i4 + 1",
    "i4 * i8",
    "i8 - 1",
    "-i8",
    "i4 / 2",
    "i2 / 2",
    "i2 % 3",
    "i8 / -1",
    "i8 % -1",
    "i4 / 0",
    "i4 % 0",
    "-i2",
    "abs(i2)",
    "abs(i8)",
    "i4 + 1.50",
    "n + i4",
    "n * n",
    "n - 0.0001",
    "n / 3",
    "n / 7.000000000000000000000",
    "n / small",
    "small / n",
    "small / 3",
    "1 / n",
    "1.0 / 3",
    "10000 / 3.0",
    "9999.0 / 10000",
    "1e10 / 3",
    "1 / 1e10",
    "0.00 / 3",
    "123456789012345678901234567890 / 7.1",
    "7.1 / 123456789012345678901234567890",
    "n / zero",
    "n % 7",
    "n % -0.5",
    "-n % 7",
    "small % 1e-7",
    "123456789012345678901234567890 % 9876543210987654321.5",
    "n % zero",
    "1e3",
    "1.50e1 + 0",
    "-small",
    "abs(small)",
    "round(n)",
    "round(n, 2)",
    "round(n, -2)",
    "round(-0.5)",
    "round(0.5)",
    "round(99.995, 2)",
    "round(n, 6)",
    "round(i4)",
    "round(f8)",
    "round(3.5::float8)",
    "round(f8, 1)",
    "floor(n)",
    "ceil(n)",
    "floor(small)",
    "ceil(small)",
    "ceiling(-n)",
    "floor(f8)",
    "ceil(f8)",
    "f4 + f4",
    "f4 * 3",
    "f4 + f8",
    "f8 / 3",
    "f8 + n",
    "f8 / 0",
    "f8 * 1e308 * 1e10",
    "f8 * 1e-308 * 1e-300",
    "f4::float8",
    "f8::float4",
    "f8::int",
    "3.5::float8::int",
    "2.5::int",
    "-2.5::int",
    "n::int",
    "n::int2",
    "i4::int2",
    "i8::int4",
    "f8::numeric",
    "(f8 / 3)::numeric",
    "f4::numeric",
    "1e20::float8::numeric",
    "1e-7::float8::numeric",
    "n::float8",
    "n::float4",
    "1e40::float4",
    "'42'::int",
    "'-7'::int8",
    "'4.2'::int",
    "' x'::int",
    "'99999999999'::int4",
    "'007'::int",
    "'1e3'::numeric",
    "'.5'::numeric",
    "'1.50'::numeric",
    "'x'::numeric",
    "'1e3'::float8",
    "'NaN'::float8",
    "'NaN'::numeric",
    "'yes'::bool",
    "'off'::bool",
    "'maybe'::bool",
    "b::int",
    "i2::int::bool",
    "0::bool",
    "b::text",
    "t || ' ' || n",
    "t || i8",
    "t || null",
    "c || '|'",
    "length(c)",
    "c = 'ab'",
    "upper('abc') || lower('DEF')",
    "length(t)",
    "substr(t, 2, 3)",
    "substring(t from 7)",
    "left(t, -3)",
    "right(t, 4)",
    "replace(t, 'ä', 'ae')",
    "concat(t, null, i2)",
    "trim('  a ')",
    "coalesce(null, i2, 1.5)",
    "coalesce(i4, f8)",
    "coalesce(i2, f4)",
    "coalesce(d, ts)",
    "coalesce(d, tz)",
    "nullif(i2, -7)",
    "nullif(i2, 1.5)",
    "nullif(t, 'x')",
    "coalesce(u, u)",
    "case when b then i2 else 2.5 end",
    "case when b then i2 else f8 end",
    "case i2 when -7 then t end",
    "case when not b then 1 end",
    "case when b then 'x' else t end",
    "d::text",
    "ts::date",
    "tz::date",
    "d::timestamp",
    "d::timestamptz",
    "ts::timestamptz",
    "tz::timestamp",
    "ts::text",
    "tz::text",
    "'2024-05-06'::date",
    "'2024-05-06 07:08:09'::timestamp",
    "('2024-05-0' || '7')::date",
    "('2024-05-0' || '7')::timestamptz",
    "'0044-03-15 12:00:00 BC'::timestamp::date",
    "d = ts",
    "d < '2024-03-01'",
    "i2 between -10 and 0",
    "n > f8",
    "t like 'K%'",
    "u",
    "b and i2 < 0",
    "i2 + '1'",
    "'7'::int + '1'",
    "99999999999",
    "99999999999 + 1",
    "99999999999999999999",
};

class ExpressionConformanceTest : public testing::Test {
 protected:
  ExpressionConformanceTest() {
    schema_.table = {"public", "t"};
    std::string columns;
    std::string values;
    for (const ColumnCase& each : Columns()) {
      schemas::Column column;
      column.name = each.name;
      column.type = each.type;
      schema_.columns.push_back(column);
      row_.push_back(
          {each.value.data(), static_cast<uint32_t>(each.value.size()), schemas::ValueKind::kText});
      columns += fmt::format("{}{} {}", columns.empty() ? "" : ", ", each.name, each.type_name);
      values += fmt::format("{}'{}'", values.empty() ? "" : ", ", each.value);
    }
    create_ = fmt::format("CREATE TABLE t ({}); INSERT INTO t VALUES ({})", columns, values);
  }

  // "type|text", or "error".
  std::string Here(std::string_view text) {
    const auto parsed = Expression::Parse(text);
    const auto bound = parsed.ok() ? parsed->Bind(schema_) : parsed;
    if (!bound.ok()) return "error";
    expressions::Rows rows;
    rows.new_row = row_;
    expressions::Workspace workspace;
    const auto datum = bound->Evaluate(rows, workspace);
    if (!datum.ok()) return "error";
    const bool boolean = bound->type() == expressions::Type::kBoolean;
    const std::string_view value = boolean ? (datum->boolean ? "t" : "f") : datum->text;
    return fmt::format("{}|{}", bound->sql_type(), datum->is_null() ? "null" : value);
  }

  schemas::TableSchema schema_;
  std::vector<schemas::Value> row_;
  std::string create_;
};

TEST_F(ExpressionConformanceTest, GivesWhatTheServerGives) {
  auto server = ScratchPostgres::Make({.settings = {{"timezone", "UTC"}}});
  ASSERT_TRUE(server.ok()) << server.status();
  ASSERT_TRUE((*server)->Execute(create_).ok());
  for (const std::string_view expression : kExpressions) {
    const auto rows = (*server)->Query(fmt::format(
        "SELECT pg_typeof(v)::oid || '|' || coalesce(CASE pg_typeof(v) WHEN 'boolean'::regtype "
        "THEN left(v::text, 1) ELSE v::text END, 'null') FROM (SELECT {} AS v FROM t) AS one",
        expression));
    std::string there = rows.ok() ? rows->at(0).at(0).value_or("") : "error";
    EXPECT_EQ(Here(expression), there) << expression << " " << rows.status();
  }
}

}  // namespace
}  // namespace pgflow
