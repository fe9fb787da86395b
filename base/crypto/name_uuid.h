// UUIDs made of names. Thread-safe.
#pragma once

#include <string>
#include <string_view>

namespace pgflow::base {

// Version 3 (MD5) of the bytes without a name space, as Java's UUID.nameUUIDFromBytes has it. Tells
// names apart, and keeps no secret.
std::string NameUuid(std::string_view name);

}  // namespace pgflow::base
