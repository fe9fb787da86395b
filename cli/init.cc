// pgflow init: creates slot and publication; changes are kept from then on.
#include <fmt/format.h>

#include "cli/command.h"
#include "cli/interrupt.h"

namespace pgflow::cli {
namespace {

ExitCode Init(const Invocation& invocation, const std::string& file) {
  auto parts = LoadPipeline(invocation, file);
  if (!parts.has_value()) return ExitCode::kUsage;
  const Interrupt interrupt;
  const std::string name = parts->name();
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
  auto file = std::make_shared<std::string>();
  line.Add("init", "Create slot and publication on the source",
           [&invocation, file] { return Init(invocation, *file); })
      .Argument(kPipelineArgument, *file, kPipelineDoc);
}

}  // namespace pgflow::cli
