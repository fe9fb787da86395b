// The status of a pipeline for people, as `pgflow status` prints it. Pure, thread-safe.
#pragma once

#include <string>

#include <absl/time/time.h>

#include "engine/api/pipeline_status.h"

namespace pgflow::engine {

std::string StatusToText(const PipelineStatus& status, absl::Time now);

}  // namespace pgflow::engine
