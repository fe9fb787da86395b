#include "transformers/mask/column_mask.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "base/status.h"
#include "transformers/mask/template_mask.h"

namespace pgflow::transformers {
namespace {

constexpr size_t kKeySizeMin = 16;

constexpr unsigned Bit(ValueClass value_class) { return static_cast<unsigned>(value_class); }

constexpr unsigned kAnyClass = ~0U;
constexpr unsigned kTextClass = Bit(ValueClass::kText);
constexpr unsigned kTimes = Bit(ValueClass::kDate) | Bit(ValueClass::kTimestamp);
constexpr unsigned kNumbers =
    Bit(ValueClass::kInteger) | Bit(ValueClass::kFloat) | Bit(ValueClass::kNumeric);
constexpr unsigned kWritable = kTextClass | kTimes | kNumbers | Bit(ValueClass::kUuid) |
                               Bit(ValueClass::kBoolean) | Bit(ValueClass::kBytes) |
                               Bit(ValueClass::kJson);

// The options of a rule beside table, column and with.
enum Option : unsigned {
  kValue = 1U << 0U,
  kValues = 1U << 1U,
  kRange = 1U << 2U,
  kPrecision = 1U << 3U,
  kShift = 1U << 4U,
  kLength = 1U << 5U,
  kLengthMax = 1U << 6U,
  kSymbols = 1U << 7U,
  kPrefix = 1U << 8U,
  kShown = 1U << 9U,
  kDomain = 1U << 10U,
  kEdits = 1U << 11U,
  kCipher = 1U << 12U,
};

enum class Uniqueness : uint8_t { kLost, kKept, kByLength };

struct KindFacts {
  MaskKind kind;
  unsigned classes;   // That it can write.
  unsigned options;   // That it takes,
  unsigned required;  // and that it needs.
  bool needs_key;
  Uniqueness uniqueness;
};

constexpr KindFacts kKinds[] = {
    {MaskKind::kKeep, kAnyClass, 0, 0, false, Uniqueness::kKept},
    {MaskKind::kNull, kAnyClass, 0, 0, false, Uniqueness::kLost},
    {MaskKind::kConstant, kWritable, kValue, kValue, false, Uniqueness::kLost},
    {MaskKind::kFirstName, kTextClass, 0, 0, true, Uniqueness::kLost},
    {MaskKind::kLastName, kTextClass, 0, 0, true, Uniqueness::kLost},
    {MaskKind::kFullName, kTextClass, 0, 0, true, Uniqueness::kLost},
    {MaskKind::kEmail, kTextClass, kDomain, 0, true, Uniqueness::kKept},
    {MaskKind::kPhone, kTextClass, kPrefix | kLength, 0, true, Uniqueness::kLost},
    {MaskKind::kUuid, kTextClass | Bit(ValueClass::kUuid), 0, 0, true, Uniqueness::kKept},
    {MaskKind::kInteger, kNumbers & ~Bit(ValueClass::kFloat), kRange, kRange, true,
     Uniqueness::kLost},
    {MaskKind::kPermute, Bit(ValueClass::kInteger), kRange, 0, true, Uniqueness::kKept},
    {MaskKind::kFloat, kNumbers & ~Bit(ValueClass::kInteger), kRange | kPrecision, kRange, true,
     Uniqueness::kLost},
    {MaskKind::kBoolean, Bit(ValueClass::kBoolean), 0, 0, true, Uniqueness::kLost},
    {MaskKind::kDate, kTimes, kRange | kShift, 0, true, Uniqueness::kLost},
    {MaskKind::kTimestamp, kTimes, kRange | kShift, 0, true, Uniqueness::kLost},
    {MaskKind::kString, kTextClass, kLength | kLengthMax | kSymbols, 0, true,
     Uniqueness::kByLength},
    {MaskKind::kChoice, kWritable & ~Bit(ValueClass::kJson), kValues, kValues, true,
     Uniqueness::kLost},
    {MaskKind::kPartial, kTextClass, kShown, 0, false, Uniqueness::kLost},
    {MaskKind::kHash, kTextClass, kLength, 0, true, Uniqueness::kByLength},
    {MaskKind::kTemplate, kTextClass, kValue, kValue, false, Uniqueness::kLost},
    {MaskKind::kJson, Bit(ValueClass::kJson), kEdits, kEdits, false, Uniqueness::kLost},
    {MaskKind::kHstore, Bit(ValueClass::kHstore), kEdits, kEdits, false, Uniqueness::kLost},
    {MaskKind::kAesSiv, kTextClass | Bit(ValueClass::kBytes), kCipher, kCipher, false,
     Uniqueness::kKept},
};

const KindFacts& FactsOf(MaskKind kind) { return kKinds[static_cast<size_t>(kind)]; }

struct OptionFacts {
  Option option;
  std::string_view names;
  bool written;
};

std::vector<OptionFacts> OptionsOf(const MaskRule& rule) {
  return {
      {kValue, "value", rule.value.has_value()},
      {kValues, "values", !rule.values.empty()},
      {kRange, "min and max", rule.min.has_value() || rule.max.has_value()},
      {kPrecision, "precision", rule.precision.has_value()},
      {kShift, "shift", rule.shift.has_value()},
      {kLength, "length", rule.length.has_value()},
      {kLengthMax, "length_max", rule.length_max.has_value()},
      {kSymbols, "symbols", rule.symbols.has_value()},
      {kPrefix, "prefix", rule.prefix.has_value()},
      {kShown, "keep_first, keep_last and character",
       rule.keep_first.has_value() || rule.keep_last.has_value() || rule.character.has_value()},
      {kDomain, "domain, preserve_domain and excluded_domains",
       rule.domain.has_value() || rule.preserve_domain.has_value() ||
           !rule.excluded_domains.empty()},
      {kEdits, "set and remove", !rule.set.empty() || !rule.remove.empty()},
      {kCipher, "key_hex", rule.key_hex.has_value() || rule.associated_data.has_value()},
  };
}

absl::Status Wrong(const MaskRule& rule, std::string_view why) {
  return base::MakeStatus(absl::StatusCode::kInvalidArgument, "mask of {}, column {}: {}",
                          rule.table, rule.column, why);
}

absl::Status CheckValues(const MaskRule& rule) {
  if (rule.with != MaskKind::kPermute && rule.min.has_value() != rule.max.has_value()) {
    return Wrong(rule, "`min` and `max` belong together");
  }
  if (rule.with == MaskKind::kDate || rule.with == MaskKind::kTimestamp) {
    if (rule.shift.has_value() == rule.min.has_value()) {
      return Wrong(rule, "it needs either `min` and `max`, or `shift`");
    }
  }
  if (rule.length_max.has_value() && *rule.length_max < rule.length.value_or(16)) {
    return Wrong(rule, "`length_max` is less than `length`");
  }
  if (rule.symbols.has_value()) {
    std::string sorted = *rule.symbols;
    std::ranges::sort(sorted);
    const bool twice = std::ranges::adjacent_find(sorted) != sorted.end();
    const bool ascii = std::ranges::all_of(sorted, [](char c) { return c >= ' ' && c <= '~'; });
    if (sorted.size() < 2 || twice || !ascii) {
      return Wrong(rule, "`symbols` must be two or more printable ASCII characters, each once");
    }
  }
  if (rule.character.has_value() && CountCharacters(*rule.character) != 1) {
    return Wrong(rule, "`character` must be one character");
  }
  if (rule.with == MaskKind::kAesSiv && !rule.key_hex.has_value()) {
    return Wrong(rule, "aes_siv needs `key_hex`");
  }
  return absl::OkStatus();
}

}  // namespace

bool KeepsUnique(const MaskRule& rule) {
  const Uniqueness uniqueness = FactsOf(rule.with).uniqueness;
  if (uniqueness != Uniqueness::kByLength) return uniqueness == Uniqueness::kKept;
  constexpr double kBitsMin = 80;
  if (rule.with == MaskKind::kHash)
    return 4.0 * static_cast<double>(rule.length.value_or(64)) >= kBitsMin;
  const double symbols =
      rule.symbols.has_value() ? static_cast<double>(rule.symbols->size()) : 36.0;
  return std::log2(symbols) * static_cast<double>(rule.length.value_or(16)) >= kBitsMin;
}

absl::Status CheckMaskRule(const MaskRule& rule, const config::Secret& key) {
  if (rule.table.empty() || rule.column.empty() || rule.with == MaskKind::kUnset) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "a rule needs `table`, `column` and `with`");
  }
  if (rule.table != "*" && rule.table.find('.') == std::string::npos) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "table: pattern '{}' names no schema; write 'public.{}' or '*.{}'",
                            rule.table, rule.table, rule.table);
  }
  const KindFacts& facts = FactsOf(rule.with);
  const std::string name = MaskKindName(rule.with);
  for (const OptionFacts& option : OptionsOf(rule)) {
    if (option.written && (facts.options & option.option) == 0) {
      return Wrong(rule, fmt::format("{} does not take {}", name, option.names));
    }
    if (!option.written && (facts.required & option.option) != 0) {
      return Wrong(rule, fmt::format("{} needs {}", name, option.names));
    }
  }
  PGFLOW_RETURN_IF_ERROR(CheckValues(rule));
  if (!facts.needs_key) return absl::OkStatus();
  if (key.empty()) return Wrong(rule, fmt::format("{} needs the mask's `key`", name));
  if (key.value().size() < kKeySizeMin) {
    return Wrong(rule,
                 fmt::format("the mask's `key` must have {} characters at least", kKeySizeMin));
  }
  return absl::OkStatus();
}

absl::StatusOr<ColumnMaskPtr> MakeColumnMask(const MaskRule& rule, const config::Secret& key,
                                             const schemas::TableSchema& table,
                                             const schemas::Column& column) {
  const ColumnType type = ColumnTypeOf(column);
  const std::string type_name =
      column.type_name.empty() ? fmt::format("{}", column.type) : column.type_name;
  const auto wrong = [&](std::string_view why) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "mask: table {}, column '{}' of type {}: {}", table.table.ToString(),
                            column.name, type_name, why);
  };
  if ((FactsOf(rule.with).classes & static_cast<unsigned>(type.value_class)) == 0) {
    return wrong(fmt::format("{} gives no values of this type", MaskKindName(rule.with)));
  }
  const bool of_key = (column.identity && table.HasKey()) || column.primary_key > 0;
  if (of_key && !KeepsUnique(rule)) {
    return wrong(
        fmt::format("it belongs to the table's key, and {} would make different rows "
                    "equal; use keep, permute, uuid, email, hash, aes_siv or a longer "
                    "string",
                    MaskKindName(rule.with)));
  }
  absl::StatusOr<ColumnMaskPtr> made = ColumnMaskPtr();
  switch (rule.with) {
    case MaskKind::kKeep:
    case MaskKind::kTemplate:
      return made;
    case MaskKind::kFirstName:
    case MaskKind::kLastName:
    case MaskKind::kFullName:
    case MaskKind::kEmail:
    case MaskKind::kPhone:
    case MaskKind::kString:
    case MaskKind::kPartial:
      made = MakeTextMask(rule, key.value(), type);
      break;
    case MaskKind::kDate:
    case MaskKind::kTimestamp:
      made = MakeTimeMask(rule, key.value(), type);
      break;
    case MaskKind::kHash:
    case MaskKind::kAesSiv:
      made = MakeSecretMask(rule, key.value(), type);
      break;
    case MaskKind::kJson:
    case MaskKind::kHstore:
      made = MakeDocumentMask(rule, type);
      break;
    default:
      made = MakeNumberMask(rule, key.value(), type);
      break;
  }
  if (!made.ok()) return wrong(base::Message(made.status()));
  return made;
}

}  // namespace pgflow::transformers
