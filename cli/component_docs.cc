#include "cli/component_docs.h"

#include <fmt/format.h>

#include "base/config/writers.h"
#include "engine/topology/pipeline_file.h"

namespace pgflow::cli {
namespace {

constexpr std::string_view kGenerated =
    "<!-- Written by `pgflow describe --write-docs docs/components`; change the declarations "
    "instead. -->\n";

template <typename Component>
void Describe(const std::string& kind, const std::vector<engine::ComponentType<Component>>& types,
              std::vector<ComponentDescription>& out) {
  for (const auto& type : types) {
    out.push_back({kind, type.name, type.summary, type.promise, type.describe()});
  }
}

std::string FileName(const ComponentDescription& component) {
  return fmt::format("{}_{}.md", component.kind, component.name);
}

std::string Usage(const ComponentDescription& component) {
  if (component.kind == "source") {
    return fmt::format("```yaml\nsource:\n  {}:\n    # options\n```\n", component.name);
  }
  if (component.kind == "pipeline") return "";
  return fmt::format("```yaml\n{}s:\n  - {}:\n      # options\n```\n", component.kind,
                     component.name);
}

}  // namespace

std::string DeliverySentence(const std::string& promise) {
  if (promise.empty()) return "";
  return fmt::format("Delivery: {}{}", promise, promise.ends_with('.') ? "" : ".");
}

std::vector<ComponentDescription> DescribeAll(const engine::Registry& registry) {
  std::vector<ComponentDescription> all;
  Describe("source", registry.sources, all);
  Describe("transformer", registry.transformers, all);
  Describe("sink", registry.sinks, all);
  all.push_back({"pipeline", "file", "What stands in a pipeline file beside the components.", "",
                 engine::PipelineFileSpec().Describe()});
  all.push_back({"pipeline", "sink", "What may stand beside any sink's own key.", "",
                 engine::SinkEntrySpec(nullptr).Describe()});
  return all;
}

std::string WriteComponentMarkdown(const ComponentDescription& component) {
  std::string out = fmt::format("# {} `{}`\n{}\n{}\n", component.kind, component.name, kGenerated,
                                component.summary);
  const std::string delivery = DeliverySentence(component.promise);
  if (!delivery.empty()) out += "\n" + delivery + "\n";
  const std::string usage = Usage(component);
  if (!usage.empty()) out += "\n" + usage;
  return out + "\n" + config::WriteMarkdown(component.options);
}

std::map<std::string, std::string> WriteComponentDocs(const engine::Registry& registry) {
  std::map<std::string, std::string> files;
  std::string index = fmt::format(
      "# Components\n{}\n| kind | name | what it does | delivery |\n|---|---|---|---|\n",
      kGenerated);
  for (const ComponentDescription& component : DescribeAll(registry)) {
    files[FileName(component)] = WriteComponentMarkdown(component);
    index += fmt::format("| {} | [{}]({}) | {} | {} |\n", component.kind, component.name,
                         FileName(component), component.summary, component.promise);
  }
  files["README.md"] = index;
  return files;
}

}  // namespace pgflow::cli
