// MaskConfig: what the YAML of a mask says. A value; checked by MakeColumnMask and MaskTransformer.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <absl/time/time.h>

#include "base/config/config_spec.h"

namespace pgflow::transformers {

enum class MaskKind : uint8_t {
  kKeep,
  kNull,
  kConstant,
  kFirstName,
  kLastName,
  kFullName,
  kEmail,
  kPhone,
  kUuid,
  kInteger,
  kPermute,
  kFloat,
  kBoolean,
  kDate,
  kTimestamp,
  kString,
  kChoice,
  kPartial,
  kHash,
  kTemplate,
  kJson,
  kHstore,
  kAesSiv,
  kAddress,
  kStreet,
  kCity,
  kPostcode,
  kState,
  kCountry,
  kCompany,
  kUserName,
  kPassword,
  kParagraph,
  kCreditCard,
  kSsn,
  kIban,
  kIp,
  kMac,
  kUrl,
  kLatitude,
  kLongitude,
  kCoordinates,
  kNoise,
  kRegexp,
  kRegexpReplace,
  kUnset,  // Not written, which is an error.
};

// Whose names, places and numbers: English (as in the United States), German, Spanish.
enum class Locale : uint8_t { kEnglish, kGerman, kSpanish };

struct MaskRule {
  std::string table;
  std::string column;
  MaskKind with = MaskKind::kUnset;
  std::optional<std::string> value;
  std::vector<std::string> values;
  std::optional<std::string> min;
  std::optional<std::string> max;
  std::optional<int64_t> precision;
  std::optional<absl::Duration> shift;
  std::optional<int64_t> length;
  std::optional<int64_t> length_max;
  std::optional<std::string> symbols;
  std::optional<std::string> prefix;
  std::optional<int64_t> keep_first;
  std::optional<int64_t> keep_last;
  std::optional<std::string> character;
  std::optional<std::string> domain;
  std::optional<bool> preserve_domain;
  std::vector<std::string> excluded_domains;
  config::StringMap set;
  std::vector<std::string> remove;
  std::optional<config::Secret> key_hex;
  std::optional<std::string> associated_data;
  std::optional<Locale> locale;
  bool random = false;
  std::optional<std::string> when;
  std::optional<std::string> file;
  std::optional<int64_t> sentences;
  std::optional<std::string> subnet;
  std::optional<double> ratio;
  std::optional<double> absolute;
  std::optional<std::string> pattern;
  std::optional<std::string> replacement;
  bool allow_duplicates = false;
  config::Place place{};  // In the file; of a single rule not known.
};

// One rule may be written straight under `mask`, or many under `rules`.
struct MaskConfig : MaskRule {
  config::Secret key;
  bool strict = false;
  bool security_labels = false;
  std::vector<MaskRule> rules;
};

config::ConfigSpec<MaskConfig> MaskSpec();

// The names of the kinds in YAML, in the order of MaskKind, and what each does.
const std::vector<std::pair<std::string, MaskKind>>& MaskKindNames();
std::string MaskKindsDoc();

// "first_name", as in YAML.
std::string MaskKindName(MaskKind kind);

}  // namespace pgflow::transformers
