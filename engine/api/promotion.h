// Another server of the same cluster answers: a standby was promoted in its place.
#pragma once

#include <string_view>

#include <absl/status/status.h>

#include "engine/api/checkpoint.h"

namespace pgflow::engine {

// On the status of a source whose server was replaced so: what runs has to begin anew, which goes
// on if the new one lacks nothing.
inline constexpr std::string_view kPromotedPayload = "pgflow/promoted";

// What to make of a server at `place` that is not `expected`: final, with kPromotedPayload where
// that is right.
absl::Status AnotherServer(const SourceIdentity& found, const SourceIdentity& expected,
                           std::string_view place);

}  // namespace pgflow::engine
