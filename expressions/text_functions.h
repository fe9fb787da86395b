// SQL's functions of texts, by characters of UTF-8. Pure; thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace pgflow::expressions {

// Letters other than A-Z and a-z stay: what is done to them depends on a database's locale.
std::string LowerAscii(std::string_view text);
std::string UpperAscii(std::string_view text);
int64_t LengthOf(std::string_view text);
std::string_view TrimBlanks(std::string_view text);
// From the character `start` (the first is 1; what is before it counts, too).
std::string_view Substring(std::string_view text, int64_t start, int64_t length);
// The first or last `count` characters; all but that many at the other end when it is negative.
std::string_view LeftOf(std::string_view text, int64_t count);
std::string_view RightOf(std::string_view text, int64_t count);
std::string ReplaceAll(std::string_view text, std::string_view from, std::string_view to);
// % is any text, _ one character, \ takes the next one literally.
bool MatchesLike(std::string_view text, std::string_view pattern);

}  // namespace pgflow::expressions
