// pgflow validate: reads a pipeline file, without any network, and shows everything that is wrong.
#include <fmt/format.h>

#include "cli/command.h"

namespace pgflow::cli {
namespace {

ExitCode Validate(const Invocation& invocation, const PipelineInput& input) {
  config::Problems problems(input.name());
  const std::optional<config::Node> root = input.Read(problems);
  if (!root.has_value()) return Fail(invocation.console, problems.ToString(), ExitCode::kUsage);
  const auto parts = engine::BuildPipeline(*root, invocation.registry, problems);
  if (!problems.empty()) {
    invocation.console.out << problems.ToString() << "\n";
    return ExitCode::kDifference;
  }
  std::string sinks;
  for (const engine::SinkNode& sink : parts->sinks) {
    sinks += (sinks.empty() ? "" : ", ") + sink.name;
  }
  invocation.console.out << fmt::format(
      "{}: valid: pipeline {}, source {}, {} transformer{}, sinks: {}\n", input.name(),
      parts->name(), parts->source_type, parts->transformers.size(),
      parts->transformers.size() == 1 ? "" : "s", sinks);
  return ExitCode::kDone;
}

}  // namespace

void AddValidate(CommandLine& line, const Invocation& invocation) {
  auto input = std::make_shared<PipelineInput>(invocation.registry);
  input->AddTo(line.Add("validate", "Check the file only, without any network",
                        [&invocation, input] { return Validate(invocation, *input); }));
}

}  // namespace pgflow::cli
