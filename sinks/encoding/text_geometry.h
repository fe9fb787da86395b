// Text output of the geometric types from their binary form. Pure functions of bytes (see
// type_text.h for the contract).
#pragma once

#include <string>
#include <string_view>

#include "sinks/encoding/type_text.h"

namespace pgflow::sinks {

bool AppendPoint(std::string_view bytes, const TypeText& type, std::string& out);
bool AppendLine(std::string_view bytes, const TypeText& type, std::string& out);
bool AppendLseg(std::string_view bytes, const TypeText& type, std::string& out);
bool AppendBox(std::string_view bytes, const TypeText& type, std::string& out);
bool AppendPath(std::string_view bytes, const TypeText& type, std::string& out);
bool AppendPolygon(std::string_view bytes, const TypeText& type, std::string& out);
bool AppendCircle(std::string_view bytes, const TypeText& type, std::string& out);

}  // namespace pgflow::sinks
