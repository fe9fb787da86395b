#include "sinks/encoding/key_choice.h"

#include <algorithm>
#include <utility>

#include "base/status.h"

namespace pgflow::sinks {

config::ConfigSpec<KeyConfig> KeySpec() {
  config::ConfigSpec<KeyConfig> spec;
  spec.Field("tables", &KeyConfig::tables, "Patterns (* and ?) of schema.name.")
      .Required()
      .Example("[\"public.orders\"]");
  spec.Field("columns", &KeyConfig::columns, "The columns of the key.")
      .Required()
      .Example("[customer_id]");
  return spec;
}

absl::StatusOr<KeyChoice> KeyChoice::Make(const std::vector<KeyConfig>& configs) {
  KeyChoice choice;
  choice.rules_.reserve(configs.size());
  for (const KeyConfig& config : configs) {
    PGFLOW_ASSIGN_OR_RETURN(schemas::TableFilter tables,
                            schemas::TableFilter::Make(config.tables, {}));
    choice.rules_.push_back({std::move(tables), config.columns});
  }
  return choice;
}

absl::StatusOr<std::vector<size_t>> KeyChoice::ColumnsOf(const schemas::TableSchema& schema) const {
  std::vector<size_t> columns;
  const auto rule = std::ranges::find_if(
      rules_, [&schema](const Rule& each) { return each.tables.Matches(schema.table); });
  if (rule == rules_.end()) {
    for (size_t i = 0; i < schema.columns.size(); ++i) {
      if (schema.IsKey(schema.columns[i])) columns.push_back(i);
    }
    std::ranges::stable_sort(columns, {},
                             [&schema](size_t i) { return schema.columns[i].primary_key; });
    return columns;
  }
  columns.reserve(rule->columns.size());
  for (const std::string& name : rule->columns) {
    const std::optional<size_t> column = schema.FindColumn(name);
    if (!column.has_value()) {
      return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                              "table {} has no column '{}', which `keys` makes part of its key",
                              schema.table.ToString(), name);
    }
    columns.push_back(*column);
  }
  return columns;
}

}  // namespace pgflow::sinks
