// Masks that move a value a little, and those that write a place on earth.
#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "base/bytes.h"
#include "base/status.h"
#include "sinks/encoding/type_binary.h"
#include "transformers/mask/column_mask.h"

namespace pgflow::transformers {
namespace {

using schemas::Value;
using schemas::ValueKind;

// Holds every int8 exactly.
using Real = long double;

// The whole numbers of [-1, 1), by 2^-62.
Real Part(HashBits bits) {
  return static_cast<Real>(static_cast<int64_t>(bits.low) >> 1U) /
         static_cast<Real>(int64_t{1} << 62U);
}

class NoiseMask final : public ColumnMask {
 public:
  struct Amount {
    Real size = 0;
    bool is_ratio = false;
    Real least = -std::numeric_limits<Real>::infinity();
    Real most = std::numeric_limits<Real>::infinity();
  };

  NoiseMask(const Drawing& drawing, const ColumnType& type, const Amount& amount)
      : drawing_(drawing), type_(type), amount_(amount) {}

  MaskOutcome Append(const Value& value, MaskScratch& scratch, std::string& out) const override {
    std::string_view canonical;
    if (!ReadCanonical(value, type_, scratch.canonical, canonical)) {
      scratch.refusal = "the value cannot be read";
      return MaskOutcome::kRefused;
    }
    const Real part = Part(drawing_.Of(canonical, scratch));
    switch (type_.value_class) {
      case ValueClass::kInteger:
        return MoveInteger(value, part, out);
      case ValueClass::kFloat:
        return MoveFloat(value.kind, canonical, part, scratch.work, out);
      default:
        return MoveNumeric(value, part, scratch, out);
    }
  }

 private:
  Real Moved(Real number, Real part) const {
    const Real size = amount_.is_ratio ? std::fabs(number) * amount_.size : amount_.size;
    return std::clamp(number + part * size, amount_.least, amount_.most);
  }

  MaskOutcome MoveInteger(const Value& value, Real part, std::string& out) const {
    int64_t number = 0;
    ReadInteger(value, type_, number);  // It has been read before.
    const int64_t most = type_.wire == postgres::oid::kInt2   ? INT16_MAX
                         : type_.wire == postgres::oid::kInt4 ? INT32_MAX
                                                              : INT64_MAX;
    const Real moved = std::round(Moved(static_cast<Real>(number), part));
    const Real least = std::max(-static_cast<Real>(most) - 1, std::ceil(amount_.least));
    const Real greatest = std::min(static_cast<Real>(most), std::floor(amount_.most));
    AppendInteger(static_cast<int64_t>(std::clamp(moved, least, greatest)), value.kind, type_, out);
    return MaskOutcome::kWritten;
  }

  MaskOutcome MoveFloat(ValueKind kind, std::string_view canonical, Real part, std::string& work,
                        std::string& out) const {
    double number = 0;
    std::copy_n(canonical.data(), sizeof(number), reinterpret_cast<char*>(&number));
    if (!std::isfinite(number)) return MaskOutcome::kKept;
    const bool narrow = type_.wire == postgres::oid::kFloat4;
    const double limit = narrow ? static_cast<double>(std::numeric_limits<float>::max())
                                : std::numeric_limits<double>::max();
    const auto moved = static_cast<double>(
        std::clamp<Real>(Moved(static_cast<Real>(number), part), -limit, limit));
    work.clear();
    if (narrow) {
      base::AppendBigEndian(work, std::bit_cast<uint32_t>(static_cast<float>(moved)));
    } else {
      base::AppendBigEndian(work, std::bit_cast<uint64_t>(moved));
    }
    AppendInForm(work, kind, type_, out);
    return MaskOutcome::kWritten;
  }

  // Keeps the digits behind the point that the value has.
  MaskOutcome MoveNumeric(const Value& value, Real part, MaskScratch& scratch,
                          std::string& out) const {
    std::string& text = scratch.work;
    text.clear();
    if (value.kind == ValueKind::kText) {
      text.append(value.view());
    } else {
      type_.text->append(value.view(), *type_.text, text);  // It has been read before.
    }
    Real number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size()) {
      scratch.refusal = "the value has more digits than noise can be added to";
      return MaskOutcome::kRefused;
    }
    if (!std::isfinite(number)) return MaskOutcome::kKept;
    const size_t point = text.find('.');
    const size_t scale = point == std::string::npos ? 0 : text.size() - point - 1;
    text.clear();
    fmt::format_to(std::back_inserter(text), "{:.{}f}", Moved(number, part), scale);
    KeepWithin(text, scale);
    if (value.kind == ValueKind::kText) {
      out.append(text);
    } else {
      sinks::AppendNumericBinary(text, out);
    }
    return MaskOutcome::kWritten;
  }

  // What is beyond the column's numeric(p,s) becomes the last number in it.
  void KeepWithin(std::string& text, size_t scale) const {
    const size_t sign = text.starts_with('-') ? 1 : 0;
    const size_t whole = std::min(text.find('.'), text.size()) - sign;
    const size_t room = WholeDigits(type_);
    if (whole <= room || (room == 0 && text[sign] == '0')) {
      const bool zero = text.find_first_not_of("-0.") == std::string::npos;
      if (zero && sign == 1) text.erase(0, 1);
      return;
    }
    text.resize(sign);
    text.append(std::max<size_t>(room, 1), room == 0 ? '0' : '9');
    if (scale > 0) text.append(".").append(scale, '9');
  }

  Drawing drawing_;
  ColumnType type_;
  Amount amount_;
};

// Latitude, longitude or both.
class PositionMask final : public ColumnMask {
 public:
  PositionMask(const Drawing& drawing, const ColumnType& type, MaskKind kind, int precision)
      : drawing_(drawing), type_(type), kind_(kind), precision_(precision) {
    for (int i = 0; i < precision; ++i) unit_ *= 10;
  }

  MaskOutcome Append(const Value& value, MaskScratch& scratch, std::string& out) const override {
    std::string_view canonical;
    if (!ReadCanonical(value, type_, scratch.canonical, canonical)) {
      scratch.refusal = "the value cannot be read";
      return MaskOutcome::kRefused;
    }
    BitStream bits(drawing_.Of(canonical, scratch));
    std::string& text = scratch.work;
    text.clear();
    if (kind_ != MaskKind::kLongitude) AppendDecimal(Within(90, bits), precision_, text);
    if (type_.value_class == ValueClass::kPoint) {
      AppendPoint(text, bits, value.kind, out);
      return MaskOutcome::kWritten;
    }
    if (kind_ == MaskKind::kCoordinates) text.append(", ");
    if (kind_ != MaskKind::kLatitude) AppendDecimal(Within(180, bits), precision_, text);
    if (value.kind == ValueKind::kText || type_.value_class == ValueClass::kText) {
      out.append(text);
    } else {
      sinks::AppendBinaryOfText(text, type_.wire, out);
    }
    return MaskOutcome::kWritten;
  }

 private:
  int64_t Within(int64_t degrees, BitStream& bits) const {
    const int64_t most = degrees * unit_;
    return static_cast<int64_t>(bits.Below(2 * static_cast<uint64_t>(most) + 1)) - most;
  }

  void AppendPoint(std::string& latitude, BitStream& bits, ValueKind kind, std::string& out) const {
    std::string longitude;
    std::string point;
    AppendDecimal(Within(180, bits), precision_, longitude);
    for (const std::string* each : {&longitude, &latitude}) {
      double number = 0;
      std::from_chars(each->data(), each->data() + each->size(), number);
      base::AppendBigEndian(point, std::bit_cast<uint64_t>(number));
    }
    AppendInForm(point, kind, type_, out);
  }

  Drawing drawing_;
  ColumnType type_;
  MaskKind kind_;
  int precision_;
  int64_t unit_ = 1;
};

bool ReadReal(const std::optional<std::string>& text, Real& number) {
  if (!text.has_value()) return true;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
  return error == std::errc() && end == text->data() + text->size() && std::isfinite(number);
}

}  // namespace

absl::StatusOr<ColumnMaskPtr> MakeNoiseMask(const MaskRule& rule, std::string_view key,
                                            const ColumnType& type) {
  const bool of_time =
      type.value_class == ValueClass::kDate || type.value_class == ValueClass::kTimestamp;
  if (rule.shift.has_value() != of_time) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument, "noise: {} take {}",
                            of_time ? "dates and timestamps" : "numbers",
                            of_time ? "`shift`" : "`ratio` or `absolute`");
  }
  if (of_time) return MakeTimeMask(rule, key, type);
  NoiseMask::Amount amount;
  amount.is_ratio = rule.ratio.has_value();
  amount.size = static_cast<Real>(rule.ratio.value_or(rule.absolute.value_or(0)));
  if (!ReadReal(rule.min, amount.least) || !ReadReal(rule.max, amount.most) ||
      (type.value_class == ValueClass::kInteger ? std::ceil(amount.least) > std::floor(amount.most)
                                                : amount.least > amount.most)) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "`min` {} and `max` {} are no range of such numbers",
                            rule.min.value_or("-"), rule.max.value_or("-"));
  }
  return std::make_unique<NoiseMask>(Drawing(rule, key, "noise"), type, amount);
}

absl::StatusOr<ColumnMaskPtr> MakePositionMask(const MaskRule& rule, std::string_view key,
                                               const ColumnType& type) {
  const auto precision = static_cast<int>(rule.precision.value_or(6));
  const size_t needed = rule.with == MaskKind::kLatitude ? 2 : 3;
  if (WholeDigits(type) < needed) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "{}: degrees have {} digits before the point, the type holds {}",
                            MaskKindName(rule.with), needed, WholeDigits(type));
  }
  if (type.value_class == ValueClass::kText) {
    const size_t one = 1 + needed + 1 + static_cast<size_t>(precision);
    const size_t room = rule.with == MaskKind::kCoordinates ? 2 * one + 1 : one;
    if (type.characters_max != 0 && type.characters_max < room) {
      return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                              "{}: a value needs {} characters, the column has {}",
                              MaskKindName(rule.with), room, type.characters_max);
    }
  }
  return std::make_unique<PositionMask>(Drawing(rule, key, MaskKindName(rule.with)), type,
                                        rule.with, precision);
}

}  // namespace pgflow::transformers
