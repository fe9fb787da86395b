// Column values as JSON and as text. Pure, thread-safe.
//
// Values lose nothing: int2/4/8, oid, float4/8 and numeric are JSON numbers digit for digit (a
// reader that puts numbers into doubles rounds beyond 2^53), NaN and infinities strings; bool is
// true or false; json and jsonb are inline; bytea is "\\x.." in hex; everything else is a string
// with the type's text output (zone UTC, ISO dates). A binary value of a type that is not known
// here, and text that is not UTF-8, become {"binary":"<base64>"}.
#pragma once

#include <string>
#include <string_view>

#include "schemas/value.h"
#include "sinks/encoding/type_text.h"

namespace pgflow::sinks {

// Appends one value as JSON; `unchanged` values as null. `type` may be null (see above).
void AppendJsonValue(const schemas::Value& value, const TypeText* type, std::string& out);

// Appends the text output of a value. False for a binary one that cannot be read; `out` is then
// unchanged. NULL and unchanged append nothing.
bool AppendValueText(const schemas::Value& value, const TypeText* type, std::string& out);

// Appends the name of a table or column as a JSON string.
void AppendJsonName(std::string_view name, std::string& out);

}  // namespace pgflow::sinks
