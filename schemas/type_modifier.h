// What a Column's type_modifier says beside the server's own values.
#pragma once

#include <cstdint>

namespace pgflow::schemas {

// The source of the rows does not tell the modifiers of its columns' types. (-1: there is none.)
inline constexpr int32_t kModifierUnknown = -2;

}  // namespace pgflow::schemas
