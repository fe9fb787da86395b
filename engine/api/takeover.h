// What a status says when another process has taken a sink over, which its checkpoint shows.
#pragma once

#include <string_view>

namespace pgflow::engine {

inline constexpr std::string_view kTakenOverPayload = "pgflow/taken-over";

}  // namespace pgflow::engine
