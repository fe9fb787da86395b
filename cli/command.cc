#include "cli/command.h"

#include <fmt/format.h>

#include "base/status.h"
#include "postgres/client/connection_url.h"

namespace pgflow::cli {

std::optional<engine::PipelineParts> LoadPipeline(const Invocation& invocation,
                                                  const PipelineInput& input) {
  config::Problems problems(input.name());
  const std::optional<config::Node> root = input.Read(problems);
  std::optional<engine::PipelineParts> parts;
  if (root.has_value()) parts = engine::BuildPipeline(*root, invocation.registry, problems);
  if (problems.empty()) {
    const config::Node source = root->Find("source").Find(parts->source_type);
    const std::string url = source.Find("url").text();
    if (!url.empty()) parts->options.source_name = postgres::ShownUrl(url);
    return parts;
  }
  std::ostream& error = invocation.console.error;
  error << problems.ToString() << "\n";
  error << fmt::format("pgflow: {} problem{} in {}; nothing was started\n", problems.size(),
                       problems.size() == 1 ? "" : "s", input.name());
  return std::nullopt;
}

std::unique_ptr<engine::Pipeline> MakePipeline(engine::PipelineParts parts) {
  return std::make_unique<engine::Pipeline>(std::move(parts.options), std::move(parts.source),
                                            std::move(parts.transformers), std::move(parts.sinks));
}

ExitCode Fail(const Console& console, std::string_view message, ExitCode code) {
  console.error << "pgflow: " << message << "\n";
  return code;
}

ExitCode Fail(const Console& console, const absl::Status& status, ExitCode code) {
  return Fail(console, base::Message(status), code);
}

}  // namespace pgflow::cli
