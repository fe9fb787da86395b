// Where the server's dates and timestamps begin to count: 2000-01-01.
#pragma once

#include <cstdint>

namespace pgflow::postgres {

// From 1970-01-01.
inline constexpr int64_t kEpochDays = 10'957;

}  // namespace pgflow::postgres
