// What a sink has of some tables cannot follow a change, and has to be copied again: as an error of
// a sink that copies_beside, which the runtime answers with a copy of them.
#pragma once

#include <set>
#include <string_view>

#include <absl/status/status.h>

#include "schemas/table_schema.h"

namespace pgflow::engine {

// `tables` of the source, added to the error.
absl::Status CopyAgain(absl::Status error, const std::set<schemas::TableName>& tables);
// None: it is another error.
std::set<schemas::TableName> TablesToCopyAgain(const absl::Status& error);

}  // namespace pgflow::engine
