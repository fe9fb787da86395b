// pgflow init: creates slot and publication; changes are kept from then on.
#include <fmt/format.h>

#include "cli/command.h"
#include "cli/group.h"
#include "cli/interrupt.h"

namespace pgflow::cli {
namespace {

ExitCode Init(const Invocation& invocation, const PipelineInput& input) {
  auto parts = LoadPipeline(invocation, input);
  if (!parts.has_value()) return ExitCode::kUsage;
  const Interrupt interrupt;
  const std::string name = parts->name();
  if (engine::GroupOf(*parts->source) != nullptr) {
    return RefuseGroup(
        invocation, *parts,
        "keeps its messages whether we read them or not: there is nothing to create");
  }
  const auto pipeline = MakePipeline(*std::move(parts));
  const absl::Status initialized = pipeline->Initialize(interrupt.drain());
  if (!initialized.ok()) return Fail(invocation.console, initialized);
  invocation.console.out << fmt::format(
      "pipeline {}: publication and slot exist; the source keeps every change for it from now on\n",
      name);
  return ExitCode::kDone;
}

}  // namespace

void AddInit(CommandLine& line, const Invocation& invocation) {
  auto input = std::make_shared<PipelineInput>(invocation.registry, /*sink_needed=*/false);
  input->AddTo(line.Add("init", "Create slot and publication on the source",
                        [&invocation, input] { return Init(invocation, *input); }));
}

}  // namespace pgflow::cli
