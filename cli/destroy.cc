// pgflow destroy: removes slot, publication and checkpoints; rows that were copied stay.
#include <fmt/format.h>

#include "cli/command.h"
#include "cli/group.h"
#include "cli/interrupt.h"

namespace pgflow::cli {
namespace {

ExitCode DestroyGroup(const Invocation& invocation, const PipelineInput& input,
                      const engine::PipelineParts& parts,
                      std::unique_ptr<engine::SourceGroup> group, const Interrupt& interrupt) {
  const auto runner = MakeGroupRunner(invocation, input, parts, std::move(group));
  if (!runner.ok()) return Fail(invocation.console, runner.status());
  const absl::Status destroyed = (*runner)->Destroy(interrupt.drain());
  if (!destroyed.ok()) return Fail(invocation.console, destroyed);
  invocation.console.out << fmt::format(
      "pipeline {}: the group and its checkpoints are removed; topics and copied rows stay\n",
      parts.name());
  return ExitCode::kDone;
}

ExitCode Destroy(const Invocation& invocation, const PipelineInput& input) {
  auto parts = LoadPipeline(invocation, input);
  if (!parts.has_value()) return ExitCode::kUsage;
  const Interrupt interrupt;
  const std::string name = parts->name();
  if (auto group = engine::GroupOf(*parts->source); group != nullptr) {
    return DestroyGroup(invocation, input, *parts, std::move(group), interrupt);
  }
  // A slot that cannot be dropped is in use: then the checkpoints of the running pipeline stay. A
  // source that cannot be reached at all is no reason to keep them.
  if (parts->source->Open(interrupt.drain()).ok()) {
    const absl::Status dropped = parts->source->DropSlot(interrupt.drain());
    if (!dropped.ok()) return Fail(invocation.console, dropped);
  }
  const auto pipeline = MakePipeline(*std::move(parts));
  const absl::Status destroyed = pipeline->Destroy(interrupt.drain());
  if (!destroyed.ok()) return Fail(invocation.console, destroyed);
  invocation.console.out << fmt::format(
      "pipeline {}: slot, publication and checkpoints are removed; copied rows stay\n", name);
  return ExitCode::kDone;
}

}  // namespace

void AddDestroy(CommandLine& line, const Invocation& invocation) {
  auto input = std::make_shared<PipelineInput>(invocation.registry);
  input->AddTo(line.Add("destroy", "Remove slot, publication and checkpoints, not the rows",
                        [&invocation, input] { return Destroy(invocation, *input); }));
}

}  // namespace pgflow::cli
