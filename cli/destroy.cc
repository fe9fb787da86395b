// pgflow destroy: removes slot, publication and checkpoints; rows that were copied stay.
#include <fmt/format.h>

#include "cli/command.h"
#include "cli/interrupt.h"

namespace pgflow::cli {
namespace {

ExitCode Destroy(const Invocation& invocation, const std::string& file) {
  auto parts = LoadPipeline(invocation, file);
  if (!parts.has_value()) return ExitCode::kUsage;
  const Interrupt interrupt;
  const std::string name = parts->name();
  const auto pipeline = MakePipeline(*std::move(parts));
  const absl::Status destroyed = pipeline->Destroy(interrupt.drain());
  if (!destroyed.ok()) return Fail(invocation.console, destroyed);
  invocation.console.out << fmt::format(
      "pipeline {}: slot, publication and checkpoints are removed; copied rows stay\n", name);
  return ExitCode::kDone;
}

}  // namespace

void AddDestroy(CommandLine& line, const Invocation& invocation) {
  auto file = std::make_shared<std::string>();
  line.Add("destroy", "Remove slot, publication and checkpoints, not the rows",
           [&invocation, file] { return Destroy(invocation, *file); })
      .Argument(kPipelineArgument, *file, kPipelineDoc);
}

}  // namespace pgflow::cli
