#include "transformers/mask/column_mask.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "base/status.h"
#include "transformers/mask/kind_facts.h"

namespace pgflow::transformers {
namespace {

constexpr size_t kKeySizeMin = 16;

absl::Status CheckValues(const MaskRule& rule) {
  const bool open = rule.with == MaskKind::kPermute || rule.with == MaskKind::kNoise;
  if (!open && rule.min.has_value() != rule.max.has_value()) {
    return WrongRule(rule, "`min` and `max` belong together");
  }
  if (rule.with == MaskKind::kDate || rule.with == MaskKind::kTimestamp) {
    if (rule.shift.has_value() == rule.min.has_value()) {
      return WrongRule(rule, "it needs either `min` and `max`, or `shift`");
    }
  }
  if (rule.with == MaskKind::kNoise &&
      rule.ratio.has_value() + rule.absolute.has_value() + rule.shift.has_value() != 1) {
    return WrongRule(rule, "it needs one of `ratio`, `absolute` and `shift`");
  }
  if (rule.ratio.value_or(1) <= 0 || rule.absolute.value_or(1) <= 0) {
    return WrongRule(rule, "`ratio` and `absolute` must be greater than 0");
  }
  if (rule.file.has_value() && !rule.values.empty()) {
    return WrongRule(rule, "it needs either `values` or `file`, one of the two");
  }
  if (rule.length_max.has_value() && *rule.length_max < rule.length.value_or(16)) {
    return WrongRule(rule, "`length_max` is less than `length`");
  }
  if (rule.symbols.has_value()) {
    std::string sorted = *rule.symbols;
    std::ranges::sort(sorted);
    const bool twice = std::ranges::adjacent_find(sorted) != sorted.end();
    const bool ascii = std::ranges::all_of(sorted, [](char c) { return c >= ' ' && c <= '~'; });
    if (sorted.size() < 2 || twice || !ascii) {
      return WrongRule(rule, "`symbols` must be two or more printable ASCII characters, each once");
    }
  }
  if (rule.character.has_value() && CountCharacters(*rule.character) != 1) {
    return WrongRule(rule, "`character` must be one character");
  }
  if (rule.with == MaskKind::kAesSiv && !rule.key_hex.has_value()) {
    return WrongRule(rule, "aes_siv needs `key_hex`");
  }
  return absl::OkStatus();
}

}  // namespace

bool KeepsUnique(const MaskRule& rule) {
  const Uniqueness uniqueness = FactsOf(rule.with).uniqueness;
  // Beside values that stay, as `when` leaves them, only what is drawn from 80 bits is unique.
  if (rule.when.has_value() && rule.with == MaskKind::kPermute) return false;
  if (uniqueness != Uniqueness::kByLength) return uniqueness == Uniqueness::kKept;
  constexpr double kBitsMin = 80;
  if (rule.with == MaskKind::kHash) {
    return 4.0 * static_cast<double>(rule.length.value_or(64)) >= kBitsMin;
  }
  if (rule.with == MaskKind::kUserName) return 5 * rule.length.value_or(4) >= 80;
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
  PGFLOW_RETURN_IF_ERROR(CheckOptions(rule));
  PGFLOW_RETURN_IF_ERROR(CheckValues(rule));
  if (!facts.needs_key || rule.random) return absl::OkStatus();
  if (key.empty()) {
    return WrongRule(rule, fmt::format("{} needs the mask's `key`", MaskKindName(rule.with)));
  }
  if (key.value().size() < kKeySizeMin) {
    return WrongRule(rule,
                     fmt::format("the mask's `key` must have {} characters at least", kKeySizeMin));
  }
  return absl::OkStatus();
}

namespace {

// Whether a change's old row is found by the column's value.
bool NamesRows(const schemas::TableSchema& table, const schemas::Column& column) {
  if (column.primary_key > 0 || (column.identity && table.HasKey())) return true;
  if (table.replica_identity != schemas::ReplicaIdentity::kFull) return false;
  return std::ranges::none_of(table.columns, [](const auto& each) { return each.primary_key > 0; });
}

using Maker = absl::StatusOr<ColumnMaskPtr> (*)(const MaskRule& rule, std::string_view key,
                                                const ColumnType& type);

Maker MakerOf(MaskKind kind) {
  switch (kind) {
    case MaskKind::kFirstName:
    case MaskKind::kLastName:
    case MaskKind::kFullName:
    case MaskKind::kEmail:
    case MaskKind::kPhone:
    case MaskKind::kString:
    case MaskKind::kPartial:
      return &MakeTextMask;
    case MaskKind::kDate:
    case MaskKind::kTimestamp:
      return &MakeTimeMask;
    case MaskKind::kHash:
    case MaskKind::kAesSiv:
      return &MakeSecretMask;
    case MaskKind::kJson:
    case MaskKind::kHstore:
      return &MakeDocumentMask;
    case MaskKind::kAddress:
    case MaskKind::kStreet:
    case MaskKind::kCity:
    case MaskKind::kState:
    case MaskKind::kCountry:
      return &MakePlaceMask;
    case MaskKind::kCompany:
    case MaskKind::kUserName:
    case MaskKind::kPassword:
    case MaskKind::kParagraph:
      return &MakeAccountMask;
    case MaskKind::kPostcode:
    case MaskKind::kCreditCard:
    case MaskKind::kSsn:
    case MaskKind::kIban:
      return &MakeIdentifierMask;
    case MaskKind::kIp:
    case MaskKind::kMac:
    case MaskKind::kUrl:
      return &MakeNetworkMask;
    case MaskKind::kLatitude:
    case MaskKind::kLongitude:
    case MaskKind::kCoordinates:
      return &MakePositionMask;
    case MaskKind::kNoise:
      return &MakeNoiseMask;
    case MaskKind::kRegexp:
    case MaskKind::kRegexpReplace:
      return &MakePatternMask;
    default:
      return &MakeNumberMask;
  }
}

}  // namespace

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
  if (of_key && rule.when.has_value()) {
    return wrong(
        "it belongs to the table's key, and with `when` a row's key could not be told "
        "from what is sent of it; leave `when` out");
  }
  if (of_key && !KeepsUnique(rule)) {
    return wrong(
        fmt::format("it belongs to the table's key, and {} would make different rows "
                    "equal; use keep, permute, uuid, email, url, hash, aes_siv or a longer "
                    "string or user_name",
                    MaskKindName(rule.with)));
  }
  if (rule.random && NamesRows(table, column)) {
    return wrong(
        "it tells which row a change is of, and with `random` that would not be found "
        "again; leave `random` out");
  }
  if (rule.with == MaskKind::kKeep || rule.with == MaskKind::kTemplate) return ColumnMaskPtr();
  absl::StatusOr<ColumnMaskPtr> made = MakerOf(rule.with)(rule, key.value(), type);
  if (!made.ok()) return wrong(base::Message(made.status()));
  return made;
}

}  // namespace pgflow::transformers
