// PipelineStatus as Prometheus text. Labels are the pipeline's and the sinks' names and fixed sets
// only; tables are summed up, so that the number of series does not grow with a schema. Pure,
// thread-safe.
#pragma once

#include <string>

#include "engine/api/pipeline_status.h"

namespace pgflow::engine {

// Text exposition format 0.0.4.
std::string MetricsText(const PipelineStatus& status);

}  // namespace pgflow::engine
