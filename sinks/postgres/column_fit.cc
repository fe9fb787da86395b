#include "sinks/postgres/column_fit.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

#include <fmt/format.h>

#include "schemas/type_modifier.h"

namespace pgflow::sinks {
namespace {

namespace oid = postgres::oid;
using postgres::Oid;
constexpr Oid kBit = 1560;
constexpr Oid kVarbit = 1562;

struct Scalar {
  Oid type;
  Oid array;
  std::string_view name;
};

// The types that a modifier narrows, and those that such are converted from.
constexpr std::array kScalars = std::to_array<Scalar>({
    {oid::kNumeric, 1231, "numeric"},
    {oid::kFloat4, 1021, "real"},
    {oid::kFloat8, 1022, "double precision"},
    {oid::kInt4, 1007, "integer"},
    {oid::kInt8, 1016, "bigint"},
    {oid::kDate, 1182, "date"},
    {oid::kTime, 1183, "time"},
    {oid::kTimetz, 1270, "time with time zone"},
    {oid::kTimestamp, 1115, "timestamp"},
    {oid::kTimestamptz, 1185, "timestamp with time zone"},
    {oid::kInterval, 1187, "interval"},
    {oid::kText, 1009, "text"},
    {oid::kVarchar, 1015, "character varying"},
    {oid::kBpchar, 1014, "character"},
    {kBit, 1561, "bit"},
    {kVarbit, 1563, "bit varying"},
});

// A scalar, or the elements of an array: a modifier is that of each element.
const Scalar* Find(Oid type) {
  const auto* found = std::ranges::find_if(kScalars, [type](const Scalar& scalar) {
    return type == scalar.type || type == scalar.array;
  });
  return found == kScalars.end() ? nullptr : found;
}

bool IsIn(Oid type, std::initializer_list<Oid> types) {
  return std::ranges::find(types, type) != types.end();
}

// numerictypmodin of numeric.c; the scale has 11 bits with a sign.
struct NumericModifier {
  explicit NumericModifier(int32_t modifier)
      : precision(((modifier - 4) >> 16) & 0xffff),
        scale((((modifier - 4) & 0x7ff) ^ 1024) - 1024) {}
  int precision;
  int scale;
};

// INTERVAL_TYPMOD of timestamp.h.
struct IntervalModifier {
  static constexpr int kAllFields = 0x7fff;
  static constexpr int kDecimalsMax = 6;

  explicit IntervalModifier(int32_t modifier) {
    if (modifier < 0) return;
    fields = (modifier >> 16) & 0x7fff;
    if ((modifier & 0xffff) != 0xffff) decimals = modifier & 0xffff;
  }
  int fields = kAllFields;
  int decimals = kDecimalsMax;
};

int DecimalsOf(Oid type, int32_t modifier) {
  if (type == oid::kInterval) return IntervalModifier(modifier).decimals;
  return modifier < 0 ? 6 : modifier;
}

// Letters or bits; nothing: as many as there are.
std::optional<int32_t> LengthOf(Oid type, int32_t modifier) {
  if (type == kBit) return modifier < 1 ? 1 : modifier;
  if (type == kVarbit) return modifier < 1 ? std::nullopt : std::optional(modifier);
  return modifier < 4 ? std::nullopt : std::optional(modifier - 4);
}

std::string NameOf(const Scalar& scalar, int32_t modifier) {
  std::string name(scalar.name);
  if (modifier < 0) return name;
  if (scalar.type == oid::kNumeric) {
    const NumericModifier numeric(modifier);
    return fmt::format("{}({},{})", name, numeric.precision, numeric.scale);
  }
  if (scalar.type == oid::kInterval) {
    const IntervalModifier interval(modifier);
    if (interval.fields != IntervalModifier::kAllFields) return name + " of some fields";
    return fmt::format("{}({})", name, interval.decimals);
  }
  const std::optional<int32_t> length = LengthOf(scalar.type, modifier);
  if (IsIn(scalar.type, {oid::kVarchar, oid::kBpchar, kBit, kVarbit})) {
    return length.has_value() ? fmt::format("{}({})", name, *length) : name;
  }
  return fmt::format("{}({})", name, modifier);
}

// Conversions to another type that lose something without an error, in text form: binary values of
// another type are refused.
bool ConvertsWithLoss(Oid from, Oid to) {
  switch (to) {
    case oid::kFloat4:
      return IsIn(from, {oid::kFloat8, oid::kNumeric, oid::kInt4, oid::kInt8});
    case oid::kFloat8:
      return IsIn(from, {oid::kNumeric, oid::kInt8});
    case oid::kDate:
      return IsIn(from, {oid::kTimestamp, oid::kTimestamptz});
    case oid::kTime:
      return IsIn(from, {oid::kTimetz, oid::kTimestamp, oid::kTimestamptz});
    case oid::kTimestamp:
      return from == oid::kTimestamptz;
    default:
      return false;
  }
}

ColumnFit::Kind FitOfNumeric(Oid from, int32_t source, int32_t target) {
  if (target < 4) return ColumnFit::Kind::kFits;
  const NumericModifier to(target);
  if (IsIn(from, {oid::kFloat4, oid::kFloat8})) return ColumnFit::Kind::kAlters;
  if (from != oid::kNumeric) {
    return to.scale < 0 ? ColumnFit::Kind::kAlters : ColumnFit::Kind::kFits;
  }
  if (source < 4) return ColumnFit::Kind::kAlters;
  const NumericModifier of(source);
  if (of.scale > to.scale) return ColumnFit::Kind::kAlters;
  return of.precision - of.scale > to.precision - to.scale ? ColumnFit::Kind::kRefuses
                                                           : ColumnFit::Kind::kFits;
}

ColumnFit::Kind FitOfTime(Oid from, int32_t source, Oid to, int32_t target) {
  if (!IsIn(from, {oid::kTime, oid::kTimetz, oid::kTimestamp, oid::kTimestamptz, oid::kInterval})) {
    return ColumnFit::Kind::kFits;
  }
  if (DecimalsOf(from, source) > DecimalsOf(to, target)) return ColumnFit::Kind::kAlters;
  if (to != oid::kInterval) return ColumnFit::Kind::kFits;
  const int fields = IntervalModifier(target).fields;
  return fields != IntervalModifier::kAllFields && fields != IntervalModifier(source).fields
             ? ColumnFit::Kind::kAlters
             : ColumnFit::Kind::kFits;
}

ColumnFit::Kind FitOfLength(Oid from, int32_t source, Oid to, int32_t target) {
  const std::optional<int32_t> here = LengthOf(from, source);
  const std::optional<int32_t> there = LengthOf(to, target);
  if (!there.has_value()) return ColumnFit::Kind::kFits;
  if (to == kBit && from == kBit) {
    return *here == *there ? ColumnFit::Kind::kFits : ColumnFit::Kind::kRefuses;
  }
  return here.has_value() && *here <= *there ? ColumnFit::Kind::kFits : ColumnFit::Kind::kRefuses;
}

ColumnFit::Kind KindOf(Oid from, int32_t source, Oid to, int32_t target) {
  if (ConvertsWithLoss(from, to)) return ColumnFit::Kind::kAlters;
  if (source == schemas::kModifierUnknown) return ColumnFit::Kind::kFits;
  switch (to) {
    case oid::kNumeric:
      return FitOfNumeric(from, source, target);
    case oid::kTime:
    case oid::kTimetz:
    case oid::kTimestamp:
    case oid::kTimestamptz:
    case oid::kInterval:
      return FitOfTime(from, source, to, target);
    case oid::kVarchar:
    case oid::kBpchar:
      return IsIn(from, {oid::kText, oid::kVarchar, oid::kBpchar})
                 ? FitOfLength(from, source, to, target)
                 : ColumnFit::Kind::kFits;
    case kBit:
    case kVarbit:
      return IsIn(from, {kBit, kVarbit}) ? FitOfLength(from, source, to, target)
                                         : ColumnFit::Kind::kFits;
    default:
      return ColumnFit::Kind::kFits;
  }
}

}  // namespace

ColumnFit FitOf(const schemas::Column& source, const TargetColumn& target) {
  const Scalar* from = Find(source.wire_type != 0 ? source.wire_type : source.type);
  const Scalar* to = Find(target.base_type);
  if (from == nullptr || to == nullptr) return {};
  // The modifier of a domain at the source is not in its columns.
  const int32_t modifier =
      source.type < postgres::kFirstUserOid ? source.type_modifier : schemas::kModifierUnknown;
  ColumnFit fit;
  fit.kind = KindOf(from->type, modifier, to->type, target.base_modifier);
  if (fit.kind == ColumnFit::Kind::kFits) return fit;
  fit.problem =
      fmt::format("is {} at the source and {} in the target, which {}", NameOf(*from, modifier),
                  NameOf(*to, target.base_modifier),
                  fit.kind == ColumnFit::Kind::kAlters ? "rounds or cuts values without an error"
                                                       : "refuses values that do not fit");
  return fit;
}

bool RoundsToModifier(const TargetColumn& target) {
  return target.base_modifier >= 0 && target.base_element_type == 0 &&
         IsIn(target.base_type, {oid::kNumeric, oid::kTime, oid::kTimetz, oid::kTimestamp,
                                 oid::kTimestamptz, oid::kInterval});
}

}  // namespace pgflow::sinks
