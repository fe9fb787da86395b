// KindFacts: what each kind of mask can write, which options it takes, and whether different values
// stay different under it.
//
// Constants; thread-safe.
#pragma once

#include <cstdint>
#include <string_view>

#include <absl/status/status.h>

#include "transformers/mask/mask_config.h"

namespace pgflow::transformers {

enum class Uniqueness : uint8_t { kLost, kKept, kByLength };

struct KindFacts {
  MaskKind kind;
  unsigned classes;   // Of values (ValueClass) that it can write.
  unsigned options;   // That it takes,
  unsigned required;  // and that it needs.
  bool needs_key;
  Uniqueness uniqueness;
};

const KindFacts& FactsOf(MaskKind kind);
bool TakesLocale(MaskKind kind);

// Which of the rule's options its kind does not take, or needs.
absl::Status CheckOptions(const MaskRule& rule);

absl::Status WrongRule(const MaskRule& rule, std::string_view why);

}  // namespace pgflow::transformers
