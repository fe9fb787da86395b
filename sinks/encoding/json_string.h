// JSON strings, UTF-8 and base64, appended to a buffer. Pure, thread-safe.
#pragma once

#include <string>
#include <string_view>

namespace pgflow::sinks {

// Appends `text` quoted and escaped. False when it is not valid UTF-8 (`out` is then unchanged).
bool AppendJsonString(std::string_view text, std::string& out);

// Appends a JSON text as it is, but on one line: line ends (white space, for raw ones cannot be
// inside a string) become blanks. False when it is not valid UTF-8 (`out` is then unchanged).
bool AppendInlineJson(std::string_view json, std::string& out);

bool IsValidUtf8(std::string_view text);

// RFC 4648, with padding.
void AppendBase64(std::string_view bytes, std::string& out);

}  // namespace pgflow::sinks
