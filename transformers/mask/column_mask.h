// ColumnMask: what becomes of the values of one column.
//
// Immutable; thread-safe. What it needs to work with is in the caller's MaskScratch. Equal values
// give equal ones: always, in every table and however they were sent (save for a rule that says
// random).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <absl/status/statusor.h>

#include "schemas/table_schema.h"
#include "schemas/value.h"
#include "transformers/mask/column_type.h"
#include "transformers/mask/keyed_hash.h"
#include "transformers/mask/mask_config.h"
#include "transformers/mask/regular_expression.h"

namespace pgflow::transformers {

enum class MaskOutcome : uint8_t {
  kKept,  // The value stays; nothing was appended.
  kNull,
  kWritten,
  kRefused,  // MaskScratch::refusal says why.
};

// One thread; reused from value to value.
struct MaskScratch {
  std::string canonical;
  std::string work;
  std::string_view refusal;
  Randomness randomness;
  RegularExpression::Scratch expression;
};

// Where a kind's bits come from: the value, under a key, or nowhere.
class Drawing {
 public:
  Drawing(const MaskRule& rule, std::string_view key, std::string_view purpose)
      : hash_(KeyedHash::Derive(key, purpose)), random_(rule.random) {}

  HashBits Of(std::string_view canonical, MaskScratch& scratch) const {
    return random_ ? scratch.randomness.Next() : hash_.Hash(canonical);
  }

 private:
  KeyedHash hash_;
  bool random_;
};

class ColumnMask {
 public:
  ColumnMask() = default;
  ColumnMask(const ColumnMask&) = delete;
  ColumnMask& operator=(const ColumnMask&) = delete;
  virtual ~ColumnMask() = default;

  // Appends what `value` becomes, in the form (text or binary) that `value` has; it is neither NULL
  // nor unchanged.
  virtual MaskOutcome Append(const schemas::Value& value, MaskScratch& scratch,
                             std::string& out) const = 0;
};

using ColumnMaskPtr = std::unique_ptr<const ColumnMask>;

// What the configuration alone shows to be wrong: an option that the kind does not take, a missing
// one, a malformed one.
absl::Status CheckMaskRule(const MaskRule& rule, const config::Secret& key);

// Whether different values stay different: certainly, or with a chance beyond 80 bits.
bool KeepsUnique(const MaskRule& rule);

// Null for kKeep and kTemplate. kInvalidArgument: the kind cannot give values of the column's type,
// or values of a key that stay unique.
absl::StatusOr<ColumnMaskPtr> MakeColumnMask(const MaskRule& rule, const config::Secret& key,
                                             const schemas::TableSchema& table,
                                             const schemas::Column& column);

// The makers of single kinds, which MakeColumnMask has checked type and options for.
absl::StatusOr<ColumnMaskPtr> MakeTextMask(const MaskRule& rule, std::string_view key,
                                           const ColumnType& type);
absl::StatusOr<ColumnMaskPtr> MakeNumberMask(const MaskRule& rule, std::string_view key,
                                             const ColumnType& type);
absl::StatusOr<ColumnMaskPtr> MakeTimeMask(const MaskRule& rule, std::string_view key,
                                           const ColumnType& type);
absl::StatusOr<ColumnMaskPtr> MakeSecretMask(const MaskRule& rule, std::string_view key,
                                             const ColumnType& type);
absl::StatusOr<ColumnMaskPtr> MakePlaceMask(const MaskRule& rule, std::string_view key,
                                            const ColumnType& type);
absl::StatusOr<ColumnMaskPtr> MakeAccountMask(const MaskRule& rule, std::string_view key,
                                              const ColumnType& type);
absl::StatusOr<ColumnMaskPtr> MakeIdentifierMask(const MaskRule& rule, std::string_view key,
                                                 const ColumnType& type);
absl::StatusOr<ColumnMaskPtr> MakeNetworkMask(const MaskRule& rule, std::string_view key,
                                              const ColumnType& type);
absl::StatusOr<ColumnMaskPtr> MakePositionMask(const MaskRule& rule, std::string_view key,
                                               const ColumnType& type);
absl::StatusOr<ColumnMaskPtr> MakeNoiseMask(const MaskRule& rule, std::string_view key,
                                            const ColumnType& type);
absl::StatusOr<ColumnMaskPtr> MakePatternMask(const MaskRule& rule, std::string_view key,
                                              const ColumnType& type);
absl::StatusOr<ColumnMaskPtr> MakeDocumentMask(const MaskRule& rule, std::string_view key,
                                               const ColumnType& type);

}  // namespace pgflow::transformers
