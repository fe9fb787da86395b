// The running process of a pipeline file, found through the file's admin port.
#pragma once

#include <string>

#include <absl/status/statusor.h>

#include "engine/api/pipeline_status.h"
#include "engine/topology/pipeline_builder.h"

namespace pgflow::cli {

inline constexpr absl::Duration kAdminTimeout = absl::Seconds(5);

struct RunningPipeline {
  std::string listen;  // Where it answers.
  engine::PipelineStatus status;
  std::string answer;  // The status as it was sent.
};

// kFailedPrecondition: the file has no `admin` section; kUnavailable: no process answers;
// kNotFound: that of another pipeline does; kInvalidArgument: what answers is not understood.
absl::StatusOr<RunningPipeline> FindRunning(const engine::PipelineParts& parts);

}  // namespace pgflow::cli
