// pgflow describe: the options of one component, or the documentation of all of them.
#include <fstream>

#include <fmt/format.h>

#include "base/config/writers.h"
#include "cli/command.h"
#include "cli/component_docs.h"

namespace pgflow::cli {
namespace {

struct Options {
  std::string component;
  std::string docs_directory;
  bool markdown = false;
  bool schema = false;
};

void WriteOne(const ComponentDescription& component, const Options& options, std::ostream& out) {
  if (options.markdown) {
    out << WriteComponentMarkdown(component);
  } else if (options.schema) {
    out << config::WriteJsonSchema(component.options, component.kind + " " + component.name);
  } else {
    out << fmt::format("{} {}\n  {}\n", component.kind, component.name, component.summary);
    const std::string delivery = DeliverySentence(component.promise);
    if (!delivery.empty()) out << "  " << delivery << "\n";
    out << "\n" << config::WriteText(component.options);
  }
}

ExitCode WriteDocs(const Invocation& invocation, const std::string& directory) {
  for (const auto& [name, contents] : WriteComponentDocs(invocation.registry)) {
    const std::string path = directory + "/" + name;
    std::ofstream file(path, std::ios::binary);
    if (!(file << contents) || !file.flush()) {
      return Fail(invocation.console,
                  fmt::format("cannot write {}; does the directory exist?", path));
    }
  }
  return ExitCode::kDone;
}

// A name that a source and a sink share describes both, unless it is written as sink/postgres.
ExitCode Describe(const Invocation& invocation, const Options& options) {
  if (!options.docs_directory.empty()) return WriteDocs(invocation, options.docs_directory);
  if (options.component.empty()) {
    return Fail(invocation.console, "describe what? `pgflow list` shows what there is",
                ExitCode::kUsage);
  }
  std::vector<std::string> names;
  bool found = false;
  for (const ComponentDescription& component : DescribeAll(invocation.registry)) {
    const std::string full = component.kind + "/" + component.name;
    names.push_back(component.name);
    names.push_back(full);
    if (options.component != component.name && options.component != full) continue;
    if (found) invocation.console.out << "\n";
    WriteOne(component, options, invocation.console.out);
    found = true;
  }
  if (found) return ExitCode::kDone;
  const std::string nearest = config::NearestName(options.component, names);
  const std::string hint =
      nearest.empty() ? "`pgflow list` shows what there is" : "did you mean " + nearest + "?";
  // What is no name may be a URL that stands in the wrong place.
  const bool is_name =
      options.component.find_first_not_of("abcdefghijklmnopqrstuvwxyz_") == std::string::npos;
  const std::string named =
      is_name ? fmt::format("'{}'", options.component) : std::string("of this name");
  return Fail(invocation.console, fmt::format("no component {}; {}", named, hint),
              ExitCode::kUsage);
}

}  // namespace

void AddDescribe(CommandLine& line, const Invocation& invocation) {
  auto options = std::make_shared<Options>();
  line.Add("describe", "A component and its options",
           [&invocation, options] { return Describe(invocation, *options); })
      .OptionalArgument("component", options->component,
                        "postgres, sink/postgres, pipeline/file, ...")
      .Option("--write-docs", options->docs_directory,
              "Write the documentation of all components into a directory")
      .Flag("--markdown", options->markdown, "As Markdown")
      .Flag("--schema", options->schema, "As a JSON schema");
}

}  // namespace pgflow::cli
