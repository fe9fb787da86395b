#include "cli/running_pipeline.h"

#include "base/status.h"
#include "cli/admin_client.h"
#include "engine/observe/status_json.h"

namespace pgflow::cli {

absl::StatusOr<RunningPipeline> FindRunning(const engine::PipelineParts& parts) {
  if (!parts.admin_listen.has_value()) {
    return absl::FailedPreconditionError(
        "the file has no `admin` section to ask the running pipeline through; write `admin: {}` "
        "into it and start the pipeline anew");
  }
  RunningPipeline running{.listen = *parts.admin_listen, .status = {}, .answer = {}};
  const auto answer = FetchAdmin(running.listen, "/status", kAdminTimeout);
  if (!answer.ok()) {
    return base::MakeStatus(absl::StatusCode::kUnavailable, "{}", base::Message(answer.status()));
  }
  running.answer = *answer;
  auto status = engine::StatusFromJson(*answer);
  if (!status.ok()) return base::Annotate(status.status(), "answer of " + running.listen);
  running.status = *std::move(status);
  if (running.status.pipeline != parts.name()) {
    return base::MakeStatus(absl::StatusCode::kNotFound,
                            "pipeline {} answers at {}; give each pipeline its own admin.listen",
                            running.status.pipeline, running.listen);
  }
  return running;
}

}  // namespace pgflow::cli
