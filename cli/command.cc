#include "cli/command.h"

#include <fmt/format.h>

#include "base/config/yaml_reader.h"
#include "base/status.h"
#include "postgres/client/connection.h"

namespace pgflow::cli {

std::optional<engine::PipelineParts> LoadPipeline(const Invocation& invocation,
                                                  const std::string& file) {
  std::ostream& error = invocation.console.error;
  absl::StatusOr<std::string> text = config::ReadTextFile(file);
  if (!text.ok()) {
    error << "pgflow: " << base::Message(text.status()) << "\n";
    return std::nullopt;
  }
  config::Problems problems(file);
  const config::Node root = config::ParseYaml(*text, file, problems);
  std::optional<engine::PipelineParts> parts =
      engine::BuildPipeline(root, invocation.registry, problems);
  if (problems.empty()) {
    const config::Node source = root.Find("source").Find(parts->source_type);
    const std::string url = source.Find("url").text();
    if (!url.empty()) parts->options.source_name = postgres::RedactUrl(url);
    return parts;
  }
  error << problems.ToString() << "\n";
  error << fmt::format("pgflow: {} problem{} in {}; nothing was started\n", problems.size(),
                       problems.size() == 1 ? "" : "s", file);
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
