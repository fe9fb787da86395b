// pgflow check: looks at the real servers before anything runs, and changes nothing.
#include <span>
#include <utility>

#include <fmt/format.h>

#include "base/config/writers.h"
#include "base/status.h"
#include "cli/command.h"
#include "cli/interrupt.h"

namespace pgflow::cli {
namespace {

using engine::Finding;

struct PlacedFinding {
  std::string place;  // "source postgres", "sink main".
  Finding finding;
};

std::string_view SeverityName(Finding::Severity severity) {
  switch (severity) {
    case Finding::Severity::kOk:
      return "ok";
    case Finding::Severity::kWarning:
      return "warning";
    case Finding::Severity::kError:
      return "error";
  }
  return "";
}

class Checker {
 public:
  Checker(const engine::PipelineParts& parts, std::stop_token stop)
      : parts_(parts), stop_(std::move(stop)) {}

  const std::vector<PlacedFinding>& Check() {
    engine::SourceCheck source = CheckSource();
    const std::vector<engine::TablePlan> tables = PlanTables(source);
    for (const engine::SinkNode& sink : parts_.sinks) {
      const std::string place = "sink " + sink.name;
      auto findings = sink.sink->Check(source.definition, tables, stop_);
      if (findings.ok()) {
        Add(place, std::move(*findings));
      } else {
        AddError(place, "connection", findings.status());
      }
    }
    return findings_;
  }

 private:
  engine::SourceCheck CheckSource() {
    const std::string place = "source " + parts_.source_type;
    const auto identity = parts_.source->Open(stop_);
    if (!identity.ok()) {
      AddError(place, "connection", identity.status());
      return {};
    }
    auto check = parts_.source->Check(stop_);
    if (!check.ok()) {
      AddError(place, "check", check.status());
      return {};
    }
    Add(place, std::move(check->findings));
    return *std::move(check);
  }

  // The tables as the sinks will see them, behind the transformers.
  std::vector<engine::TablePlan> PlanTables(const engine::SourceCheck& source) {
    std::vector<engine::TablePlan> plans;
    for (const schemas::TableSchemaPtr& table : source.tables) {
      engine::TablePlan plan{table->table, table, nullptr};
      for (const schemas::TableDefinition& definition : source.definition.tables) {
        if (definition.table == table->table) plan.definition = &definition;
      }
      plans.push_back(std::move(plan));
    }
    for (size_t i = 0; i < parts_.transformers.size(); ++i) plans = Transformed(plans, i);
    return plans;
  }

  // What the transformer makes of the tables; those that it cannot take are reported.
  std::vector<engine::TablePlan> Transformed(const std::vector<engine::TablePlan>& plans,
                                             size_t index) {
    const std::string place = "transformer " + parts_.transformer_places[index];
    const auto transformer = std::span(parts_.transformers).subspan(index, 1);
    std::vector<schemas::TableSchemaPtr> tables;
    tables.reserve(plans.size());
    for (const engine::TablePlan& plan : plans) tables.push_back(plan.schema);
    for (const schemas::TableSchemaPtr& table : tables) transformer.front()->Introduce(table);
    if (!tables.empty()) Add(place, transformer.front()->Check(tables));
    std::vector<engine::TablePlan> next;
    for (const engine::TablePlan& plan : plans) {
      const auto transformed = engine::TransformedTables(transformer, plan.schema);
      if (!transformed.ok()) {
        AddError(place, "table " + plan.schema->table.ToString(), transformed.status());
        continue;
      }
      for (const schemas::TableSchemaPtr& schema : *transformed) {
        if (schema == nullptr) continue;  // Dropped by it.
        next.push_back({plan.source_table, schema, plan.definition});
      }
    }
    return next;
  }

  void Add(const std::string& place, std::vector<Finding> findings) {
    for (Finding& finding : findings) findings_.push_back({place, std::move(finding)});
  }
  void AddError(const std::string& place, std::string subject, const absl::Status& status) {
    findings_.push_back(
        {place,
         {Finding::Severity::kError, std::move(subject), std::string(base::Message(status)), ""}});
  }

  const engine::PipelineParts& parts_;
  std::stop_token stop_;
  std::vector<PlacedFinding> findings_;
};

void PrintText(const std::vector<PlacedFinding>& findings, std::ostream& out) {
  for (const PlacedFinding& placed : findings) {
    const Finding& finding = placed.finding;
    out << fmt::format("{:<8} {}: {}: {}\n", SeverityName(finding.severity), placed.place,
                       finding.subject, finding.problem);
    if (!finding.remedy.empty()) out << fmt::format("         -> {}\n", finding.remedy);
  }
}

void PrintJson(const std::vector<PlacedFinding>& findings, std::ostream& out) {
  out << "[";
  bool first = true;
  for (const PlacedFinding& placed : findings) {
    const Finding& finding = placed.finding;
    out << (first ? "\n" : ",\n")
        << fmt::format(
               R"(  {{"severity": "{}", "place": {}, "subject": {}, "problem": {}, "remedy": {}}})",
               SeverityName(finding.severity), config::QuoteJson(placed.place),
               config::QuoteJson(finding.subject), config::QuoteJson(finding.problem),
               config::QuoteJson(finding.remedy));
    first = false;
  }
  out << "\n]\n";
}

ExitCode Check(const Invocation& invocation, const PipelineInput& input, bool json) {
  const auto parts = LoadPipeline(invocation, input);
  if (!parts.has_value()) return ExitCode::kUsage;
  const Interrupt interrupt;
  Checker checker(*parts, interrupt.drain());
  const std::vector<PlacedFinding>& findings = checker.Check();
  size_t errors = 0;
  size_t warnings = 0;
  for (const PlacedFinding& placed : findings) {
    errors += placed.finding.severity == Finding::Severity::kError ? 1 : 0;
    warnings += placed.finding.severity == Finding::Severity::kWarning ? 1 : 0;
  }
  if (json) {
    PrintJson(findings, invocation.console.out);
  } else {
    PrintText(findings, invocation.console.out);
    invocation.console.out << fmt::format("{} errors, {} warnings\n", errors, warnings);
  }
  return errors == 0 ? ExitCode::kDone : ExitCode::kDifference;
}

}  // namespace

void AddCheck(CommandLine& line, const Invocation& invocation) {
  auto input = std::make_shared<PipelineInput>(invocation.registry);
  auto json = std::make_shared<bool>(false);
  input->AddTo(line.Add("check", "Look at the real servers; change nothing",
                        [&invocation, input, json] { return Check(invocation, *input, *json); })
                   .Flag("--json", *json, "As JSON"));
}

}  // namespace pgflow::cli
