#include "engine/api/transformer.h"

#include <algorithm>
#include <utility>

#include "base/status.h"
#include "schemas/glob.h"

namespace pgflow::engine {

std::vector<Finding> UnmatchedPatterns(std::span<const std::string> patterns,
                                       std::span<const schemas::TableSchemaPtr> tables) {
  std::vector<Finding> findings;
  for (const std::string& pattern : patterns) {
    const bool matched = std::ranges::any_of(tables, [&](const schemas::TableSchemaPtr& table) {
      return schemas::MatchesGlob(pattern, table->table.ToString());
    });
    if (matched) continue;
    findings.push_back({Finding::Severity::kWarning, fmt::format("table {}", pattern),
                        "no table that comes here has this name",
                        "mend the name, or remove the rule; in front of it, `rename` and `route` "
                        "give tables other names"});
  }
  return findings;
}

absl::StatusOr<std::vector<schemas::TableSchemaPtr>> TransformedTables(
    std::span<const std::unique_ptr<Transformer>> transformers,
    const schemas::TableSchemaPtr& schema) {
  std::vector<schemas::TableSchemaPtr> tables = {schema};
  for (const auto& transformer : transformers) {
    std::vector<schemas::TableSchemaPtr> routes;
    std::vector<schemas::TableSchemaPtr> next;
    for (size_t i = 0; i < tables.size(); ++i) {
      if (tables[i] == nullptr) {
        next.push_back(nullptr);
        continue;
      }
      PGFLOW_ASSIGN_OR_RETURN(schemas::TableSchemaPtr own, transformer->TransformSchema(tables[i]));
      PGFLOW_RETURN_IF_ERROR(transformer->AppendRoutes(tables[i], routes));
      if (i == 0 || own != nullptr) next.push_back(std::move(own));
    }
    next.insert(next.end(), routes.begin(), routes.end());
    tables = std::move(next);
  }
  return tables;
}

}  // namespace pgflow::engine
