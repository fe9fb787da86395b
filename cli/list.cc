// pgflow list: the components there are.
#include <fmt/format.h>

#include "base/config/writers.h"
#include "cli/command.h"
#include "cli/component_docs.h"

namespace pgflow::cli {
namespace {

struct Row {
  std::string kind;
  std::string name;
  std::string summary;
  std::string promise;
};

template <typename Component>
void AddRows(const std::string& kind, const std::vector<engine::ComponentType<Component>>& types,
             std::vector<Row>& rows) {
  for (const auto& type : types) rows.push_back({kind, type.name, type.summary, type.promise});
}

std::vector<Row> Rows(const engine::Registry& registry) {
  std::vector<Row> rows;
  AddRows("source", registry.sources, rows);
  AddRows("transformer", registry.transformers, rows);
  AddRows("sink", registry.sinks, rows);
  return rows;
}

ExitCode List(const Invocation& invocation, bool json) {
  std::ostream& out = invocation.console.out;
  bool first = true;
  if (json) out << "[";
  for (const Row& row : Rows(invocation.registry)) {
    if (json) {
      out << (first ? "\n" : ",\n")
          << fmt::format(R"(  {{"kind": {}, "name": {}, "summary": {}, "promise": {}}})",
                         config::QuoteJson(row.kind), config::QuoteJson(row.name),
                         config::QuoteJson(row.summary), config::QuoteJson(row.promise));
    } else {
      out << fmt::format("{:<12} {:<12} {}", row.kind, row.name, row.summary);
      const std::string delivery = DeliverySentence(row.promise);
      out << (delivery.empty() ? "" : " ") << delivery << "\n";
    }
    first = false;
  }
  if (json) out << "\n]\n";
  return ExitCode::kDone;
}

}  // namespace

void AddList(CommandLine& line, const Invocation& invocation) {
  auto json = std::make_shared<bool>(false);
  line.Add("list", "Sources, transformers and sinks there are",
           [&invocation, json] { return List(invocation, *json); })
      .Flag("--json", *json, "As JSON");
}

}  // namespace pgflow::cli
