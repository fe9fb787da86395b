// Text output of dates and times from their binary form, in ISO style, zone UTC, IntervalStyle
// postgres. Pure functions of bytes (see type_text.h for the contract).
#pragma once

#include <string>
#include <string_view>

#include <absl/time/time.h>

#include "sinks/encoding/type_text.h"

namespace pgflow::sinks {

bool AppendDate(std::string_view bytes, const TypeText& type, std::string& out);
bool AppendTime(std::string_view bytes, const TypeText& type, std::string& out);
bool AppendTimetz(std::string_view bytes, const TypeText& type, std::string& out);
bool AppendTimestamp(std::string_view bytes, const TypeText& type, std::string& out);
bool AppendTimestamptz(std::string_view bytes, const TypeText& type, std::string& out);
bool AppendInterval(std::string_view bytes, const TypeText& type, std::string& out);

// 2026-01-31T12:34:56.123456Z
void AppendRfc3339(absl::Time time, std::string& out);

}  // namespace pgflow::sinks
