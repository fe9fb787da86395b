// Rules out of the security labels that postgresql_anonymizer's users write.
//
// Pure functions; thread-safe.
#pragma once

#include <optional>
#include <string_view>

#include <absl/status/statusor.h>

#include "transformers/mask/mask_config.h"

namespace pgflow::transformers {

// `MASKED WITH FUNCTION anon.fake_city()`, `MASKED WITH VALUE NULL`, `NOT MASKED`, as a rule
// without table and column. kUnimplemented: it masks by a function that has no kind here, or with
// arguments that the kind does not take; the message has the label in it.
absl::StatusOr<MaskRule> RuleOfLabel(std::string_view label);

}  // namespace pgflow::transformers
