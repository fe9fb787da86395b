// Logical messages (pg_logical_emit_message) as rows of a table that no server has.
//
// Pure; thread-safe.
#pragma once

#include <string>

#include "postgres/wire/pgoutput.h"
#include "schemas/table_schema.h"

namespace pgflow::sources {

// pgflow.logical_message (prefix text, content bytea, transactional boolean), without a key.
schemas::TableSchemaPtr LogicalMessageSchema();

// The row of a message, as pgoutput sends rows.
std::string LogicalMessageTuple(const postgres::LogicalMessage& message);

}  // namespace pgflow::sources
