// pgflow validate: reads a pipeline file, without any network, and shows everything that is wrong.
#include <fmt/format.h>

#include "base/config/yaml_reader.h"
#include "cli/command.h"

namespace pgflow::cli {
namespace {

ExitCode Validate(const Invocation& invocation, const std::string& file) {
  absl::StatusOr<std::string> text = config::ReadTextFile(file);
  if (!text.ok()) return Fail(invocation.console, text.status(), ExitCode::kUsage);
  config::Problems problems(file);
  const config::Node root = config::ParseYaml(*text, file, problems);
  const auto parts = engine::BuildPipeline(root, invocation.registry, problems);
  if (!problems.empty()) {
    invocation.console.out << problems.ToString() << "\n";
    return ExitCode::kDifference;
  }
  std::string sinks;
  for (const engine::SinkNode& sink : parts->sinks) {
    sinks += (sinks.empty() ? "" : ", ") + sink.name;
  }
  invocation.console.out << fmt::format(
      "{}: valid: pipeline {}, source {}, {} transformer{}, sinks: {}\n", file, parts->name(),
      parts->source_type, parts->transformers.size(), parts->transformers.size() == 1 ? "" : "s",
      sinks);
  return ExitCode::kDone;
}

}  // namespace

void AddValidate(CommandLine& line, const Invocation& invocation) {
  auto file = std::make_shared<std::string>();
  line.Add("validate", "Check the file only, without any network",
           [&invocation, file] { return Validate(invocation, *file); })
      .Argument(kPipelineArgument, *file, kPipelineDoc);
}

}  // namespace pgflow::cli
