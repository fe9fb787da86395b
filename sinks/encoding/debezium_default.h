// What stands in Debezium's schemas and rows for values that nobody gave. Pure, thread-safe.
#pragma once

#include <string>

#include "schemas/table_schema.h"
#include "sinks/encoding/debezium_type.h"

namespace pgflow::sinks {

// The default of a column as JSON: its constant; what a function computes counts as 0, as an empty
// text or as 1970-01-01. Empty: there is none, or that connector does not tell it.
std::string DebeziumDefault(const schemas::Column& column, const DebeziumType& type);

// What an old row that is known by its key alone has in another column that is NOT NULL and has no
// default: 0, an empty text and so on. Empty: there is nothing, so that null has to be allowed.
std::string DebeziumZero(const schemas::Column& column, const DebeziumType& type);

}  // namespace pgflow::sinks
