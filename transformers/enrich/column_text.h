// What the types of columns are, as a text that can be kept. For transformers/enrich itself; pure.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "schemas/table_schema.h"

namespace pgflow::transformers {

std::string TextOfColumns(std::span<const schemas::Column> columns);
// Empty for a text that is none.
std::vector<schemas::Column> ColumnsOfText(std::string_view text);

}  // namespace pgflow::transformers
