// The other way round from TypeText: a type's binary wire form out of its text output.
//
// Pure functions of bytes; thread-safe. They read what the server writes (ISO dates, zone as an
// offset) and what a person writes for such a value, and nothing more.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "postgres/types/oid.h"

namespace pgflow::sinks {

// Bool, integers, floats, numeric, texts, json, jsonb, bytea, uuid, date, timestamp, timestamptz.
bool KnowsBinaryOfText(postgres::Oid type);
// False (`out` is then unchanged) for a type that is not known here and for a text that is no value
// of it.
bool AppendBinaryOfText(std::string_view text, postgres::Oid type, std::string& out);

// Days since 2000-01-01, as in a date's binary form; the ends of int32 are the infinities.
std::optional<int32_t> ParseDate(std::string_view text);
// Microseconds since 2000-01-01 00:00 (UTC when the text has an offset); the ends of int64 are the
// infinities. The time of day may be left out.
std::optional<int64_t> ParseTimestamp(std::string_view text);
// The 16 bytes; with or without hyphens.
std::optional<std::string> ParseUuid(std::string_view text);
// A decimal number in any length, NaN or an infinity.
bool AppendNumericBinary(std::string_view text, std::string& out);

}  // namespace pgflow::sinks
