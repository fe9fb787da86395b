#include "cli/group.h"

#include <utility>

#include <fmt/format.h>

namespace pgflow::cli {

absl::StatusOr<std::unique_ptr<engine::GroupRunner>> MakeGroupRunner(
    const Invocation& invocation, const PipelineInput& input, const engine::PipelineParts& parts,
    std::unique_ptr<engine::SourceGroup> group) {
  config::Problems problems(input.name());
  std::optional<config::Node> root = input.Read(problems);
  if (!root.has_value()) return absl::FailedPreconditionError("the pipeline cannot be read again");
  return engine::BuildGroup(parts, std::move(group),
                            [root = *std::move(root), &registry = invocation.registry] {
                              config::Problems none("");  // They would have shown already.
                              return engine::BuildPipeline(root, registry, none);
                            });
}

ExitCode RefuseGroup(const Invocation& invocation, const engine::PipelineParts& parts,
                     std::string_view why) {
  return Fail(invocation.console, fmt::format("the source {} {}", parts.source_type, why),
              ExitCode::kUsage);
}

}  // namespace pgflow::cli
