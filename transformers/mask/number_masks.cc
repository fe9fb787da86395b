// Masks that write numbers, booleans, UUIDs and values of the user's choice.
#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "base/bytes.h"
#include "base/status.h"
#include "sinks/encoding/type_binary.h"
#include "transformers/mask/column_mask.h"
#include "transformers/mask/constant_forms.h"

namespace pgflow::transformers {
namespace {

using schemas::Value;
using schemas::ValueKind;

constexpr std::string_view kMalformed = "the value cannot be read";

class ConstantMask final : public ColumnMask {
 public:
  explicit ConstantMask(BothForms forms) : forms_(std::move(forms)) {}
  MaskOutcome Append(const Value& value, MaskScratch&, std::string& out) const override {
    out.append(forms_.in(value.kind));
    return MaskOutcome::kWritten;
  }

 private:
  BothForms forms_;
};

class NullMask final : public ColumnMask {
 public:
  MaskOutcome Append(const Value&, MaskScratch&, std::string&) const override {
    return MaskOutcome::kNull;
  }
};

// Kinds that draw bits from the value's hash.
class DrawnMask : public ColumnMask {
 public:
  DrawnMask(const Drawing& drawing, const ColumnType& type) : type_(type), drawing_(drawing) {}

  MaskOutcome Append(const Value& value, MaskScratch& scratch, std::string& out) const final {
    std::string_view canonical;
    if (!ReadCanonical(value, type_, scratch.canonical, canonical)) {
      scratch.refusal = kMalformed;
      return MaskOutcome::kRefused;
    }
    Draw(drawing_.Of(canonical, scratch), value.kind, scratch, out);
    return MaskOutcome::kWritten;
  }

 protected:
  virtual void Draw(HashBits bits, ValueKind kind, MaskScratch& scratch,
                    std::string& out) const = 0;
  ColumnType type_;

 private:
  Drawing drawing_;
};

class ChoiceMask final : public DrawnMask {
 public:
  ChoiceMask(const Drawing& drawing, const ColumnType& type, std::vector<BothForms> choices)
      : DrawnMask(drawing, type), choices_(std::move(choices)) {}

 private:
  void Draw(HashBits seed, ValueKind kind, MaskScratch&, std::string& out) const override {
    out.append(choices_[BitStream(seed).Below(choices_.size())].in(kind));
  }
  std::vector<BothForms> choices_;
};

class BooleanMask final : public DrawnMask {
 public:
  using DrawnMask::DrawnMask;

  void Draw(HashBits bits, ValueKind kind, MaskScratch&, std::string& out) const override {
    const bool yes = (bits.low & 1U) != 0;
    out.push_back(kind == ValueKind::kText ? (yes ? 't' : 'f') : (yes ? '\1' : '\0'));
  }
};

// A number with `precision` digits behind the point, drawn from a range of such numbers.
class NumberMask final : public DrawnMask {
 public:
  NumberMask(const Drawing& drawing, const ColumnType& type, int64_t least, int64_t most,
             int precision)
      : DrawnMask(drawing, type), least_(least), most_(most), precision_(precision) {}

 private:
  void Draw(HashBits seed, ValueKind kind, MaskScratch& scratch, std::string& out) const override {
    const uint64_t count = static_cast<uint64_t>(most_) - static_cast<uint64_t>(least_) + 1;
    const auto number =
        static_cast<int64_t>(static_cast<uint64_t>(least_) + BitStream(seed).Below(count));
    if (type_.value_class == ValueClass::kInteger) {
      AppendInteger(number, kind, type_, out);
      return;
    }
    scratch.work.clear();
    AppendDecimal(number, precision_, scratch.work);
    if (kind == ValueKind::kText) {
      out.append(scratch.work);
    } else {
      sinks::AppendBinaryOfText(scratch.work, type_.wire, out);
    }
  }

  int64_t least_;
  int64_t most_;
  int precision_;
};

class UuidMask final : public DrawnMask {
 public:
  using DrawnMask::DrawnMask;

  // Version 4: 122 bits of the hash.
  void Draw(HashBits bits, ValueKind kind, MaskScratch&, std::string& out) const override {
    std::array<char, 16> bytes;
    base::StoreBigEndian(bytes.data(), bits.low);
    base::StoreBigEndian(bytes.data() + 8, bits.high);
    bytes[6] = static_cast<char>((static_cast<unsigned char>(bytes[6]) & 0x0FU) | 0x40U);
    bytes[8] = static_cast<char>((static_cast<unsigned char>(bytes[8]) & 0x3FU) | 0x80U);
    if (type_.value_class == ValueClass::kUuid && kind == ValueKind::kBinary) {
      out.append(bytes.data(), bytes.size());
      return;
    }
    static constexpr std::string_view kHex = "0123456789abcdef";
    for (size_t i = 0; i < bytes.size(); ++i) {
      if (i == 4 || i == 6 || i == 8 || i == 10) out.push_back('-');
      const auto byte = static_cast<unsigned char>(bytes[i]);
      out.push_back(kHex[byte >> 4U]);
      out.push_back(kHex[byte & 15U]);
    }
  }
};

// A permutation of least .. most: a Feistel network over the next power of two, walked until the
// result is in the range again.
class PermuteMask final : public ColumnMask {
 public:
  PermuteMask(KeyedHash hash, const ColumnType& type, int64_t least, int64_t most)
      : hash_(hash),
        type_(type),
        least_(least),
        span_(static_cast<uint64_t>(most) - static_cast<uint64_t>(least)) {
    const int bits = std::max(2, 64 - std::countl_zero(span_));
    right_bits_ = static_cast<unsigned>(bits / 2);
    left_bits_ = static_cast<unsigned>(bits) - right_bits_;
  }

  MaskOutcome Append(const Value& value, MaskScratch& scratch, std::string& out) const override {
    int64_t number = 0;
    if (!ReadInteger(value, type_, number)) {
      scratch.refusal = kMalformed;
      return MaskOutcome::kRefused;
    }
    uint64_t at = static_cast<uint64_t>(number) - static_cast<uint64_t>(least_);
    if (number < least_ || at > span_) {
      scratch.refusal =
          "the value is outside of `min` to `max`; make that range wider, in every "
          "rule whose values must join";
      return MaskOutcome::kRefused;
    }
    do {
      at = Permute(at);
    } while (at > span_);
    AppendInteger(static_cast<int64_t>(static_cast<uint64_t>(least_) + at), value.kind, type_, out);
    return MaskOutcome::kWritten;
  }

 private:
  static constexpr uint64_t kRounds = 8;

  static uint64_t MaskOf(unsigned bits) { return (uint64_t{1} << bits) - 1; }

  uint64_t Permute(uint64_t number) const {
    uint64_t left = number >> right_bits_;
    uint64_t right = number & MaskOf(right_bits_);
    for (uint64_t round = 0; round < kRounds; round += 2) {
      left ^= hash_.HashNumber(right, round) & MaskOf(left_bits_);
      right ^= hash_.HashNumber(left, round + 1) & MaskOf(right_bits_);
    }
    return left << right_bits_ | right;
  }

  KeyedHash hash_;
  ColumnType type_;
  int64_t least_;
  uint64_t span_;  // most - least
  unsigned left_bits_;
  unsigned right_bits_;
};

struct IntegerRange {
  int64_t least = 0;
  int64_t most = 0;
};

int64_t MostOf(const ColumnType& type) {
  if (type.wire == postgres::oid::kInt2) return std::numeric_limits<int16_t>::max();
  if (type.wire == postgres::oid::kInt4) return std::numeric_limits<int32_t>::max();
  return std::numeric_limits<int64_t>::max();
}

// The range of integers that `min` and `max` are, in units of 10^-precision.
absl::StatusOr<IntegerRange> RangeOf(const MaskRule& rule, const ColumnType& type, int precision) {
  const auto read = [&](const std::string& text, int64_t& number) {
    if (precision == 0) {
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
      return error == std::errc() && end == text.data() + text.size();
    }
    double real = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), real);
    const double scaled = real * std::pow(10.0, precision);
    if (error != std::errc() || end != text.data() + text.size() || !(std::abs(scaled) < 9e15)) {
      return false;
    }
    number = std::llround(scaled);
    return true;
  };
  IntegerRange range{0, std::numeric_limits<int32_t>::max()};
  if ((rule.min.has_value() && !read(*rule.min, range.least)) ||
      (rule.max.has_value() && !read(*rule.max, range.most)) || range.most < range.least) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "`min` {} and `max` {} are no range of such numbers",
                            rule.min.value_or("0"), rule.max.value_or("2147483647"));
  }
  const int64_t most = MostOf(type);
  if (type.value_class == ValueClass::kInteger && (range.most > most || range.least < -most - 1)) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "{} to {} does not fit its type; write `min` and `max` within it",
                            range.least, range.most);
  }
  return range;
}

absl::StatusOr<ColumnMaskPtr> MakeChoice(const MaskRule& rule, const Drawing& drawing,
                                         const ColumnType& type) {
  std::vector<BothForms> choices;
  choices.reserve(rule.values.size());
  for (const std::string& text : rule.values) {
    PGFLOW_ASSIGN_OR_RETURN(BothForms forms, FormsOf(text, type));
    choices.push_back(std::move(forms));
  }
  return std::make_unique<ChoiceMask>(drawing, type, std::move(choices));
}

}  // namespace

absl::StatusOr<ColumnMaskPtr> MakeNumberMask(const MaskRule& rule, std::string_view key,
                                             const ColumnType& type) {
  const std::string purpose = MaskKindName(rule.with);
  const Drawing drawing(rule, key, purpose);
  switch (rule.with) {
    case MaskKind::kNull:
      return std::make_unique<NullMask>();
    case MaskKind::kConstant: {
      PGFLOW_ASSIGN_OR_RETURN(BothForms forms, FormsOf(*rule.value, type));
      return std::make_unique<ConstantMask>(std::move(forms));
    }
    case MaskKind::kChoice:
      return MakeChoice(rule, drawing, type);
    case MaskKind::kBoolean:
      return std::make_unique<BooleanMask>(drawing, type);
    case MaskKind::kUuid:
      return std::make_unique<UuidMask>(drawing, type);
    default:
      break;
  }
  const int precision =
      rule.with == MaskKind::kFloat ? static_cast<int>(rule.precision.value_or(2)) : 0;
  PGFLOW_ASSIGN_OR_RETURN(const IntegerRange range, RangeOf(rule, type, precision));
  if (rule.with == MaskKind::kPermute) {
    return std::make_unique<PermuteMask>(KeyedHash::Derive(key, purpose), type, range.least,
                                         range.most);
  }
  return std::make_unique<NumberMask>(drawing, type, range.least, range.most, precision);
}

}  // namespace pgflow::transformers
