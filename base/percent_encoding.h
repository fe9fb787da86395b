// Percent-encoding of URLs (RFC 3986, section 2.1).
#pragma once

#include <string>
#include <string_view>

namespace pgflow::base {

// Letters, digits, `-`, `_`, `.` and what is in `also_plain` stay; every other byte becomes %XX.
std::string PercentEncode(std::string_view text, std::string_view also_plain = "");

}  // namespace pgflow::base
