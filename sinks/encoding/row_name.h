// RowName: how messages name a row. Pure; thread-safe.
#pragma once

#include <span>
#include <string>

#include "schemas/table_schema.h"
#include "schemas/value.h"

namespace pgflow::sinks {

// "table public.orders, row (id) = (7)"; of a table without a key only the table. Long values are
// cut.
std::string RowName(const schemas::TableSchema& schema, std::span<const schemas::Value> row);

}  // namespace pgflow::sinks
