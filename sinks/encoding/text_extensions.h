// Text output of well-known extensions' types from their binary form: hstore, ltree, PostGIS,
// pgvector. Pure functions of bytes (see type_text.h for the contract).
#pragma once

#include <string_view>

#include "sinks/encoding/type_text.h"

namespace pgflow::sinks {

// By the type's name without its schema; null for others.
const TypeText* FindExtensionType(std::string_view name);

}  // namespace pgflow::sinks
