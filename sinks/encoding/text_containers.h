// Text output of arrays, ranges and multiranges from their binary form. Pure functions of bytes
// (see type_text.h for the contract).
#pragma once

#include <string>
#include <string_view>

#include "sinks/encoding/type_text.h"

namespace pgflow::sinks {

bool AppendArray(std::string_view bytes, const TypeText& type, std::string& out);
bool AppendRange(std::string_view bytes, const TypeText& type, std::string& out);
bool AppendMultirange(std::string_view bytes, const TypeText& type, std::string& out);

}  // namespace pgflow::sinks
