#include "sinks/postgres/column_fit.h"

#include <gtest/gtest.h>

#include "schemas/type_modifier.h"

namespace pgflow::sinks {
namespace {

namespace oid = postgres::oid;
using Kind = ColumnFit::Kind;

constexpr postgres::Oid kBit = 1560;
constexpr postgres::Oid kVarbit = 1562;
constexpr postgres::Oid kNumericArray = 1231;

int32_t Numeric(int precision, int scale) { return ((precision << 16) | (scale & 0x7ff)) + 4; }
int32_t Letters(int count) { return count + 4; }
int32_t Interval(int fields, int decimals) { return (fields << 16) | decimals; }
constexpr int kDayToSecond = (1 << 3) | (1 << 10) | (1 << 11) | (1 << 12);

ColumnFit Fit(postgres::Oid from, int32_t source, postgres::Oid to, int32_t target) {
  schemas::Column column;
  column.type = from;
  column.type_modifier = source;
  TargetColumn there;
  there.type = there.base_type = to;
  there.base_modifier = target;
  return FitOf(column, there);
}

struct Case {
  postgres::Oid from;
  int32_t source;
  postgres::Oid to;
  int32_t target;
  Kind kind;
};

TEST(ColumnFitTest, TellsWhatIsLostWithoutAnError) {
  const Case cases[] = {
      {oid::kNumeric, Numeric(10, 2), oid::kNumeric, Numeric(10, 2), Kind::kFits},
      {oid::kNumeric, Numeric(10, 2), oid::kNumeric, -1, Kind::kFits},
      {oid::kNumeric, Numeric(10, 2), oid::kNumeric, Numeric(12, 4), Kind::kFits},
      {oid::kNumeric, Numeric(10, 4), oid::kNumeric, Numeric(12, 2), Kind::kAlters},
      {oid::kNumeric, -1, oid::kNumeric, Numeric(10, 2), Kind::kAlters},
      {oid::kNumeric, Numeric(10, 2), oid::kNumeric, Numeric(8, 2), Kind::kRefuses},
      {oid::kNumeric, Numeric(4, -2), oid::kNumeric, Numeric(4, -3), Kind::kAlters},
      {oid::kFloat8, -1, oid::kNumeric, Numeric(10, 2), Kind::kAlters},
      {oid::kInt4, -1, oid::kNumeric, Numeric(10, 2), Kind::kFits},
      {kNumericArray, -1, kNumericArray, Numeric(10, 2), Kind::kAlters},
      {oid::kTimestamp, -1, oid::kTimestamp, 3, Kind::kAlters},
      {oid::kTimestamp, 6, oid::kTimestamp, -1, Kind::kFits},
      {oid::kTimestamp, 0, oid::kTimestamptz, 3, Kind::kFits},
      {oid::kTimestamptz, 3, oid::kTimestamptz, 0, Kind::kAlters},
      {oid::kTime, -1, oid::kTime, 0, Kind::kAlters},
      {oid::kTimetz, 2, oid::kTimetz, 2, Kind::kFits},
      {oid::kTimestamptz, -1, oid::kTimestamp, -1, Kind::kAlters},
      {oid::kTimestamp, -1, oid::kDate, -1, Kind::kAlters},
      {oid::kInterval, -1, oid::kInterval, Interval(0x7fff, 3), Kind::kAlters},
      {oid::kInterval, -1, oid::kInterval, Interval(kDayToSecond, 0xffff), Kind::kAlters},
      {oid::kInterval, Interval(kDayToSecond, 0xffff), oid::kInterval, -1, Kind::kFits},
      {oid::kFloat8, -1, oid::kFloat4, -1, Kind::kAlters},
      {oid::kNumeric, -1, oid::kFloat8, -1, Kind::kAlters},
      {oid::kVarchar, Letters(10), oid::kVarchar, Letters(10), Kind::kFits},
      {oid::kVarchar, Letters(11), oid::kVarchar, Letters(10), Kind::kRefuses},
      {oid::kText, -1, oid::kVarchar, Letters(10), Kind::kRefuses},
      {oid::kVarchar, Letters(10), oid::kText, -1, Kind::kFits},
      {oid::kBpchar, Letters(5), oid::kBpchar, Letters(3), Kind::kRefuses},
      {kBit, 3, kBit, 5, Kind::kRefuses},
      {kBit, 3, kVarbit, 5, Kind::kFits},
      {kVarbit, -1, kVarbit, 5, Kind::kRefuses},
      {oid::kInt4, -1, oid::kInt8, -1, Kind::kFits},
  };
  for (const Case& each : cases) {
    const ColumnFit fit = Fit(each.from, each.source, each.to, each.target);
    EXPECT_EQ(fit.kind, each.kind) << each.from << "(" << each.source << ") -> " << each.to << "("
                                   << each.target << ") " << fit.problem;
    EXPECT_EQ(fit.problem.empty(), fit.kind == Kind::kFits);
  }
}

TEST(ColumnFitTest, SaysNothingOfWhatItDoesNotKnow) {
  EXPECT_EQ(Fit(oid::kNumeric, schemas::kModifierUnknown, oid::kNumeric, Numeric(10, 2)).kind,
            Kind::kFits);
  // A domain of the source, whose modifier is its own.
  schemas::Column column;
  column.type = postgres::kFirstUserOid;
  column.wire_type = oid::kNumeric;
  TargetColumn there;
  there.base_type = oid::kNumeric;
  there.base_modifier = Numeric(10, 2);
  EXPECT_EQ(FitOf(column, there).kind, Kind::kFits);
}

TEST(ColumnFitTest, NamesBothTypes) {
  EXPECT_EQ(Fit(oid::kNumeric, Numeric(10, 4), oid::kNumeric, Numeric(12, 2)).problem,
            "is numeric(10,4) at the source and numeric(12,2) in the target, which rounds or cuts "
            "values without an error");
  EXPECT_EQ(Fit(oid::kText, -1, oid::kVarchar, Letters(10)).problem,
            "is text at the source and character varying(10) in the target, which refuses values "
            "that do not fit");
}

}  // namespace
}  // namespace pgflow::sinks
