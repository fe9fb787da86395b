#include "transformers/mask/kind_facts.h"

#include <array>

#include <fmt/format.h>

#include "base/status.h"
#include "transformers/mask/column_type.h"

namespace pgflow::transformers {
namespace {

constexpr unsigned Bit(ValueClass value_class) { return static_cast<unsigned>(value_class); }

constexpr unsigned kAnyClass = ~0U;
constexpr unsigned kTextClass = Bit(ValueClass::kText);
constexpr unsigned kTimes = Bit(ValueClass::kDate) | Bit(ValueClass::kTimestamp);
constexpr unsigned kReals = Bit(ValueClass::kFloat) | Bit(ValueClass::kNumeric);
constexpr unsigned kNumbers = Bit(ValueClass::kInteger) | kReals;
constexpr unsigned kDigits = kTextClass | Bit(ValueClass::kInteger) | Bit(ValueClass::kNumeric);
constexpr unsigned kNetwork = Bit(ValueClass::kNetwork);
constexpr unsigned kMac = Bit(ValueClass::kMac);
constexpr unsigned kPoint = Bit(ValueClass::kPoint);
// Values that a person can write; of kOther those that constant_forms.h knows.
constexpr unsigned kWritable = kTextClass | kTimes | kNumbers | Bit(ValueClass::kUuid) |
                               Bit(ValueClass::kBoolean) | Bit(ValueClass::kBytes) |
                               Bit(ValueClass::kJson) | kNetwork | kMac | kPoint |
                               Bit(ValueClass::kOther);

// The options of a rule beside table, column, with, when and allow_duplicates.
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
  kKeepDomain = 1U << 11U,
  kEdits = 1U << 12U,
  kCipher = 1U << 13U,
  kLocale = 1U << 14U,
  kRandom = 1U << 15U,
  kSentences = 1U << 16U,
  kSubnet = 1U << 17U,
  kAmount = 1U << 18U,
  kPattern = 1U << 19U,
  kReplacement = 1U << 20U,
};

constexpr unsigned kWords = kLocale | kRandom;

constexpr auto kLost = Uniqueness::kLost;
constexpr auto kKept = Uniqueness::kKept;
constexpr auto kByLength = Uniqueness::kByLength;

constexpr std::array kKinds = {
    KindFacts{MaskKind::kKeep, kAnyClass, 0, 0, false, kKept},
    KindFacts{MaskKind::kNull, kAnyClass, 0, 0, false, kLost},
    KindFacts{MaskKind::kConstant, kWritable, kValue, kValue, false, kLost},
    KindFacts{MaskKind::kFirstName, kTextClass, kWords, 0, true, kLost},
    KindFacts{MaskKind::kLastName, kTextClass, kWords, 0, true, kLost},
    KindFacts{MaskKind::kFullName, kTextClass, kWords, 0, true, kLost},
    KindFacts{MaskKind::kEmail, kTextClass, kDomain | kKeepDomain | kRandom, 0, true, kKept},
    KindFacts{MaskKind::kPhone, kTextClass, kPrefix | kLength | kRandom, 0, true, kLost},
    KindFacts{MaskKind::kUuid, kTextClass | Bit(ValueClass::kUuid), kRandom, 0, true, kKept},
    KindFacts{MaskKind::kInteger, kNumbers & ~Bit(ValueClass::kFloat), kRange | kRandom, kRange,
              true, kLost},
    KindFacts{MaskKind::kPermute, Bit(ValueClass::kInteger), kRange, 0, true, kKept},
    KindFacts{MaskKind::kFloat, kReals, kRange | kPrecision | kRandom, kRange, true, kLost},
    KindFacts{MaskKind::kBoolean, Bit(ValueClass::kBoolean), kRandom, 0, true, kLost},
    KindFacts{MaskKind::kDate, kTimes, kRange | kShift | kRandom, 0, true, kLost},
    KindFacts{MaskKind::kTimestamp, kTimes, kRange | kShift | kRandom, 0, true, kLost},
    KindFacts{MaskKind::kString, kTextClass, kLength | kLengthMax | kSymbols | kRandom, 0, true,
              kByLength},
    KindFacts{MaskKind::kChoice, kWritable & ~Bit(ValueClass::kJson), kValues | kRandom, kValues,
              true, kLost},
    KindFacts{MaskKind::kPartial, kTextClass, kShown, 0, false, kLost},
    KindFacts{MaskKind::kHash, kTextClass, kLength, 0, true, kByLength},
    KindFacts{MaskKind::kTemplate, kTextClass, kValue, kValue, false, kLost},
    KindFacts{MaskKind::kJson, Bit(ValueClass::kJson), kEdits, kEdits, false, kLost},
    KindFacts{MaskKind::kHstore, Bit(ValueClass::kHstore), kEdits, kEdits, false, kLost},
    KindFacts{MaskKind::kAesSiv, kTextClass | Bit(ValueClass::kBytes), kCipher, kCipher, false,
              kKept},
    KindFacts{MaskKind::kAddress, kTextClass, kWords, 0, true, kLost},
    KindFacts{MaskKind::kStreet, kTextClass, kWords, 0, true, kLost},
    KindFacts{MaskKind::kCity, kTextClass, kWords, 0, true, kLost},
    KindFacts{MaskKind::kPostcode, kDigits, kWords, 0, true, kLost},
    KindFacts{MaskKind::kState, kTextClass, kWords, 0, true, kLost},
    KindFacts{MaskKind::kCountry, kTextClass, kWords, 0, true, kLost},
    KindFacts{MaskKind::kCompany, kTextClass, kWords, 0, true, kLost},
    KindFacts{MaskKind::kUserName, kTextClass, kWords | kLength, 0, true, kByLength},
    KindFacts{MaskKind::kPassword, kTextClass, kLength | kRandom, 0, true, kLost},
    KindFacts{MaskKind::kParagraph, kTextClass, kSentences | kRandom, 0, true, kLost},
    KindFacts{MaskKind::kCreditCard, kDigits, kPrefix | kRandom, 0, true, kLost},
    KindFacts{MaskKind::kSsn, kDigits, kRandom, 0, true, kLost},
    KindFacts{MaskKind::kIban, kTextClass, kPrefix | kWords, 0, true, kLost},
    KindFacts{MaskKind::kIp, kTextClass | kNetwork, kSubnet | kRandom, 0, true, kLost},
    KindFacts{MaskKind::kMac, kTextClass | kMac, kRandom, 0, true, kLost},
    KindFacts{MaskKind::kUrl, kTextClass, kDomain | kRandom, 0, true, kKept},
    KindFacts{MaskKind::kLatitude, kTextClass | kReals, kPrecision | kRandom, 0, true, kLost},
    KindFacts{MaskKind::kLongitude, kTextClass | kReals, kPrecision | kRandom, 0, true, kLost},
    KindFacts{MaskKind::kCoordinates, kTextClass | kPoint, kPrecision | kRandom, 0, true, kLost},
    KindFacts{MaskKind::kNoise, kNumbers | kTimes, kAmount | kShift | kRange | kRandom, 0, true,
              kLost},
    KindFacts{MaskKind::kRegexp, kTextClass, kPattern | kRandom, kPattern, true, kLost},
    KindFacts{MaskKind::kRegexpReplace, kTextClass, kPattern | kReplacement,
              kPattern | kReplacement, false, kLost},
};

constexpr bool InOrder() {
  for (size_t i = 0; i < kKinds.size(); ++i) {
    if (kKinds[i].kind != static_cast<MaskKind>(i)) return false;
  }
  return kKinds.size() == static_cast<size_t>(MaskKind::kUnset);
}
static_assert(InOrder(), "a kind is missing in the table, or not in its place");

struct OptionFacts {
  Option option;
  std::string_view names;
  bool written;
};

auto OptionsOf(const MaskRule& rule) {
  return std::array{
      OptionFacts{kValue, "value", rule.value.has_value()},
      OptionFacts{kValues, "values or file", !rule.values.empty() || rule.file.has_value()},
      OptionFacts{kRange, "min and max", rule.min.has_value() || rule.max.has_value()},
      OptionFacts{kPrecision, "precision", rule.precision.has_value()},
      OptionFacts{kShift, "shift", rule.shift.has_value()},
      OptionFacts{kLength, "length", rule.length.has_value()},
      OptionFacts{kLengthMax, "length_max", rule.length_max.has_value()},
      OptionFacts{kSymbols, "symbols", rule.symbols.has_value()},
      OptionFacts{kPrefix, "prefix", rule.prefix.has_value()},
      OptionFacts{
          kShown, "keep_first, keep_last and character",
          rule.keep_first.has_value() || rule.keep_last.has_value() || rule.character.has_value()},
      OptionFacts{kDomain, "domain", rule.domain.has_value()},
      OptionFacts{kKeepDomain, "preserve_domain and excluded_domains",
                  rule.preserve_domain.has_value() || !rule.excluded_domains.empty()},
      OptionFacts{kEdits, "set and remove", !rule.set.empty() || !rule.remove.empty()},
      OptionFacts{kCipher, "key_hex", rule.key_hex.has_value() || rule.associated_data.has_value()},
      OptionFacts{kLocale, "locale", rule.locale.has_value()},
      OptionFacts{kRandom, "random", rule.random},
      OptionFacts{kSentences, "sentences", rule.sentences.has_value()},
      OptionFacts{kSubnet, "subnet", rule.subnet.has_value()},
      OptionFacts{kAmount, "ratio and absolute",
                  rule.ratio.has_value() || rule.absolute.has_value()},
      OptionFacts{kPattern, "pattern", rule.pattern.has_value()},
      OptionFacts{kReplacement, "replacement", rule.replacement.has_value()},
  };
}

}  // namespace

const KindFacts& FactsOf(MaskKind kind) { return kKinds[static_cast<size_t>(kind)]; }

bool TakesLocale(MaskKind kind) { return (FactsOf(kind).options & kLocale) != 0; }

absl::Status WrongRule(const MaskRule& rule, std::string_view why) {
  return base::MakeStatus(absl::StatusCode::kInvalidArgument, "mask of {}, column {}: {}",
                          rule.table, rule.column, why);
}

absl::Status CheckOptions(const MaskRule& rule) {
  const KindFacts& facts = FactsOf(rule.with);
  const std::string name = MaskKindName(rule.with);
  for (const OptionFacts& option : OptionsOf(rule)) {
    if (option.written && (facts.options & option.option) == 0) {
      return WrongRule(rule, fmt::format("{} does not take {}", name, option.names));
    }
    if (!option.written && (facts.required & option.option) != 0) {
      return WrongRule(rule, fmt::format("{} needs {}", name, option.names));
    }
  }
  return absl::OkStatus();
}

}  // namespace pgflow::transformers
