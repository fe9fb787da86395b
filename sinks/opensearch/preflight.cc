#include "sinks/opensearch/preflight.h"

#include <map>
#include <set>
#include <string>
#include <utility>

#include "base/percent_encoding.h"
#include "base/status.h"
#include "sinks/opensearch/index_keeper.h"
#include "sinks/opensearch/index_name.h"
#include "sinks/opensearch/index_template.h"

namespace pgflow::sinks {
namespace {

using engine::Finding;
using Severity = Finding::Severity;

Finding Problem(std::string subject, const absl::Status& error, std::string remedy = "") {
  return {Severity::kError, std::move(subject), std::string(base::Message(error)),
          std::move(remedy)};
}

absl::Status CheckHealth(Cluster& cluster, std::vector<Finding>& findings, std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(const nlohmann::json health,
                          cluster.Read("GET", "/_cluster/health", nullptr, std::move(stop)));
  const nlohmann::json& status = MemberOf(health, "status");
  const std::string text = status.is_string() ? status.get<std::string>() : "unknown";
  if (text == "red") {
    findings.push_back({Severity::kError, "cluster health", "red: some indices cannot be written",
                        "GET _cluster/allocation/explain says why"});
  } else {
    findings.push_back({Severity::kOk, "cluster health", text, ""});
  }
  return absl::OkStatus();
}

void CheckGeoColumns(const OpenSearchSinkConfig& config, const schemas::TableSchema& schema,
                     std::vector<Finding>& findings) {
  const SearchTableOptions* options = config.OptionsOf(schema.table);
  nlohmann::json chosen = nlohmann::json::object();
  if (options != nullptr && options->mapping.is_map()) chosen = ToJson(options->mapping);
  for (const schemas::Column& column : schema.columns) {
    const absl::StatusOr<std::string> geo =
        CheckGeoColumn(column, chosen.value(column.name, nlohmann::json(nullptr)));
    if (!geo.ok() || geo->empty()) continue;  // An error is the table's.
    findings.push_back({Severity::kWarning, "table " + schema.table.ToString(), *geo, ""});
  }
}

// The server's template for the table's index: that documents can be kept in what it makes, and
// its name for the finding.
absl::Status CheckTemplate(Cluster& cluster, const std::string& name, std::string& made_by,
                           std::stop_token stop) {
  const std::string index = GenerationName(name, 1);
  PGFLOW_ASSIGN_OR_RETURN(const std::string found, NameOfTemplate(cluster, index, stop));
  if (found.empty()) return absl::OkStatus();
  PGFLOW_ASSIGN_OR_RETURN(const IndexTemplate given, ReadIndexTemplate(cluster, index, stop));
  if (const std::string obstacle = ObstacleIn(given, name); !obstacle.empty()) {
    return base::MakeStatus(absl::StatusCode::kFailedPrecondition, "index template {}: {}", found,
                            obstacle);
  }
  made_by = fmt::format("; the index template {} applies where the file says nothing", found);
  return absl::OkStatus();
}

// That the ingest pipelines of the tables are there.
absl::Status CheckPipelines(const OpenSearchSinkConfig& config, Cluster& cluster,
                            std::span<const engine::TablePlan> tables,
                            std::vector<Finding>& findings, std::stop_token stop) {
  std::set<std::string> names;
  for (const engine::TablePlan& table : tables)
    names.insert(config.PipelineOf(table.schema->table));
  names.erase("");
  for (const std::string& name : names) {
    const absl::Status found =
        cluster.Call("GET", "/_ingest/pipeline/" + base::PercentEncode(name), std::string(), stop)
            .status();
    const std::string subject = "ingest pipeline " + name;
    if (found.ok()) {
      findings.push_back({Severity::kOk, subject, "is there", ""});
    } else if (absl::IsNotFound(found)) {
      findings.push_back(
          {Severity::kError, subject, "the server has none of this name",
           "create it (PUT _ingest/pipeline/" + name + "), or name another one under pipeline"});
    } else if (absl::IsPermissionDenied(found)) {
      findings.push_back(
          {Severity::kWarning, subject, "whether it is there is not for this user to know", ""});
    } else {
      return found;
    }
  }
  return absl::OkStatus();
}

const schemas::TableSchema* FindTable(std::span<const engine::TablePlan> tables,
                                      const std::string& name) {
  for (const engine::TablePlan& table : tables) {
    if (table.schema->table.ToString() == name) return table.schema.get();
  }
  return nullptr;
}

void CheckJoinTables(const OpenSearchSinkConfig& config, std::span<const engine::TablePlan> tables,
                     std::vector<Finding>& findings) {
  for (const JoinOptions& join : config.joins) {
    const std::string subject = fmt::format("join of {} in {}", join.child, join.parent);
    for (const std::string& name : {join.parent, join.child}) {
      if (tables.empty() || FindTable(tables, name) != nullptr) continue;
      findings.push_back({Severity::kError, subject, "table " + name + " does not come here",
                          "add it to the source's tables, or give joins the name that the "
                          "transformers give it"});
    }
  }
  const absl::Status status = CheckJoins(config, tables);
  if (!status.ok()) findings.push_back(Problem("joins", status));
}

}  // namespace

absl::Status CheckJoins(const OpenSearchSinkConfig& config,
                        std::span<const engine::TablePlan> tables) {
  for (const JoinOptions& join : config.joins) {
    const schemas::TableSchema* parent = FindTable(tables, join.parent);
    const schemas::TableSchema* child = FindTable(tables, join.child);
    if (parent == nullptr || child == nullptr) continue;
    PGFLOW_RETURN_IF_ERROR(CheckJoinTypes(join, *parent, *child));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Finding>> CheckSearchTarget(const OpenSearchSinkConfig& config,
                                                       Cluster& cluster,
                                                       std::span<const engine::TablePlan> tables,
                                                       std::stop_token stop) {
  std::vector<Finding> findings;
  absl::StatusOr<SearchProduct> product = cluster.ReadProduct(stop);
  if (absl::IsFailedPrecondition(product.status())) {
    findings.push_back(Problem("search server", product.status()));
    return findings;
  }
  PGFLOW_RETURN_IF_ERROR(product.status());
  findings.push_back({Severity::kOk, "search server", product->ToString(), ""});
  PGFLOW_RETURN_IF_ERROR(CheckHealth(cluster, findings, stop));
  IndexKeeper keeper(config, *product, cluster);
  std::map<std::string, schemas::TableName> owners;
  for (const engine::TablePlan& table : tables) {
    const std::string subject = "table " + table.schema->table.ToString();
    const absl::StatusOr<std::string> name = keeper.NameOf(table.schema->table);
    absl::Status status = name.status();
    if (status.ok()) status = ClaimIndexName(owners, *name, table.schema->table);
    if (status.ok()) status = keeper.Check(table);
    std::string made_by;
    if (status.ok()) status = CheckTemplate(cluster, *name, made_by, stop);
    findings.push_back(status.ok() ? Finding{Severity::kOk, subject, "index " + *name + made_by, ""}
                                   : Problem(subject, status));
    CheckGeoColumns(config, *table.schema, findings);
  }
  CheckJoinTables(config, tables, findings);
  PGFLOW_RETURN_IF_ERROR(CheckPipelines(config, cluster, tables, findings, stop));
  return findings;
}

}  // namespace pgflow::sinks
