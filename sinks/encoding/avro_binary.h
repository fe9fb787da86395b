// Avro's binary encoding of what no schema is needed for. Pure, thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "postgres/types/oid.h"
#include "schemas/value.h"

namespace pgflow::sinks {

// An int or a long (the same bytes), the index of a union's branch, the length of a block.
void AppendAvroLong(int64_t value, std::string& out);
void AppendAvroFloat(float value, std::string& out);
void AppendAvroDouble(double value, std::string& out);
// Bytes or a string.
void AppendAvroBytes(std::string_view bytes, std::string& out);

// A value of bool, int2, int4, int8, oid, float4 or float8 as boolean, int, long, float or double.
// False for a value that is no such thing; `out` is then unchanged.
bool AppendAvroPlain(postgres::Oid type, const schemas::Value& value, std::string& out);

}  // namespace pgflow::sinks
