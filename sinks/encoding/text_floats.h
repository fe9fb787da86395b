// Text output of float4 and float8 from their binary form, as float4out and float8out print them
// with extra_float_digits = 1 (the default). Pure functions of bytes (see type_text.h).
#pragma once

#include <string>
#include <string_view>

#include "sinks/encoding/type_text.h"

namespace pgflow::sinks {

bool AppendFloat4(std::string_view bytes, const TypeText& type, std::string& out);
bool AppendFloat8(std::string_view bytes, const TypeText& type, std::string& out);

void AppendDoubleText(double value, std::string& out);

}  // namespace pgflow::sinks
