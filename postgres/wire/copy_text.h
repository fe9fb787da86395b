// COPY's text format: fields behind tabs, rows behind newlines, backslash escapes, \N for NULL.
//
// Written from "Text Format" of COPY's page in the PostgreSQL manual. Pure functions of bytes; the
// encoding is UTF-8, in which no byte of a longer character looks like one of the escaped ones.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace pgflow::postgres {

inline constexpr std::string_view kCopyTextNull = "\\N";

// Appends one field, escaped. Neither the tab nor the newline behind it.
void AppendCopyText(std::string& to, std::string_view field);

// Appends one field's value. The field is not \N and has no raw tab or newline. False: it ends in
// a lone backslash, or has one in front of what the server never escapes; `to` is then garbage.
[[nodiscard]] bool UnescapeCopyText(std::string& to, std::string_view field);

// Takes the next field off a line without its newline: the field as it is, or nothing when there is
// none left. `line` becomes nothing behind the last one (an empty line is one empty field).
std::optional<std::string_view> NextCopyField(std::optional<std::string_view>& line);

}  // namespace pgflow::postgres
