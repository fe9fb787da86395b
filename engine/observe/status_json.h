// PipelineStatus as JSON and back: what /status says and `pgflow status` reads. Pure, thread-safe.
#pragma once

#include <string>
#include <string_view>

#include <absl/status/statusor.h>

#include "engine/api/pipeline_status.h"

namespace pgflow::engine {

// One object, indented. LSNs and times are strings, durations seconds; unknown times are null.
std::string StatusToJson(const PipelineStatus& status);

// kInvalidArgument when it is no such object. Fields that are missing (another version wrote it)
// keep their defaults.
absl::StatusOr<PipelineStatus> StatusFromJson(std::string_view json);

}  // namespace pgflow::engine
