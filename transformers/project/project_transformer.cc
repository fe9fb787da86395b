#include "transformers/project/project_transformer.h"

#include <algorithm>
#include <utility>

#include <fmt/ranges.h>

#include "base/status.h"
#include "schemas/glob.h"

namespace pgflow::transformers {

using engine::ChangeEvent;

namespace {

bool Contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

absl::Status CheckColumnsExist(const std::vector<std::string>& names,
                               const schemas::TableSchema& schema) {
  for (const std::string& name : names) {
    if (schema.FindColumn(name).has_value()) continue;
    std::vector<std::string> has;
    for (const schemas::Column& column : schema.columns) has.push_back(column.name);
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "project: table {} has no column '{}' (it has {}); limit `tables` to "
                            "those that have it",
                            schema.table.ToString(), name, fmt::join(has, ", "));
  }
  return absl::OkStatus();
}

schemas::RowView ProjectRow(const schemas::RowView& row, const std::vector<size_t>& columns,
                            std::vector<schemas::Value>& scratch, engine::Batch& batch) {
  if (!row.exists()) return row;
  row.Decode(scratch);
  std::span<schemas::Value> values = batch.NewValues(columns.size());
  for (size_t i = 0; i < columns.size(); ++i) values[i] = scratch[columns[i]];
  return schemas::RowView::Values(values);
}

}  // namespace

config::ConfigSpec<ProjectConfig> ProjectSpec() {
  config::ConfigSpec<ProjectConfig> spec;
  spec.Field("tables", &ProjectConfig::tables,
             "Patterns (* and ?) of schema.name of the tables to project; others stay as they are.")
      .Required()
      .Example("[\"public.users\"]");
  spec.Field("include", &ProjectConfig::include,
             "Columns to keep. Either this or `exclude`; each must exist in all of `tables`.")
      .Example("[id, email]");
  spec.Field("exclude", &ProjectConfig::exclude, "Columns to drop.").Example("[password_hash]");
  return spec;
}

absl::StatusOr<std::unique_ptr<engine::Transformer>> ProjectTransformer::Make(
    ProjectConfig config) {
  if (config.include.empty() == config.exclude.empty()) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "project needs either `include` or `exclude`, one of the two");
  }
  for (const std::string& pattern : config.tables) {
    if (pattern == "*" || pattern.find('.') != std::string::npos) continue;
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "tables: pattern '{}' names no schema; write 'public.{}' or '*.{}'",
                            pattern, pattern, pattern);
  }
  return std::make_unique<ProjectTransformer>(std::move(config));
}

bool ProjectTransformer::IsChosen(const std::string& table) const {
  return schemas::MatchesAnyGlob(config_.tables, table);
}

absl::StatusOr<ProjectTransformer::Plan> ProjectTransformer::Derive(
    const schemas::TableSchemaPtr& schema) const {
  const std::string name = schema->table.ToString();
  if (!IsChosen(name)) return Plan{schema, {}};
  PGFLOW_RETURN_IF_ERROR(CheckColumnsExist(config_.include, *schema));
  PGFLOW_RETURN_IF_ERROR(CheckColumnsExist(config_.exclude, *schema));
  Plan plan;
  auto derived = std::make_shared<schemas::TableSchema>(*schema);
  derived->columns.clear();
  for (size_t i = 0; i < schema->columns.size(); ++i) {
    const schemas::Column& column = schema->columns[i];
    const bool kept = config_.include.empty() ? !Contains(config_.exclude, column.name)
                                              : Contains(config_.include, column.name);
    if (kept) {
      plan.columns.push_back(i);
      derived->columns.push_back(column);
    } else if (column.identity && schema->replica_identity != schemas::ReplicaIdentity::kFull) {
      return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                              "project: column '{}' of table {} is part of its replica identity "
                              "(its key) and must be kept",
                              column.name, name);
    }
  }
  if (plan.columns.empty()) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "project: no column of table {} would be left; drop the table with "
                            "`filter` instead",
                            name);
  }
  if (plan.columns.size() == schema->columns.size()) return Plan{schema, {}};
  derived->KeepWholePrimaryKey(schema->columns);
  plan.schema = std::move(derived);
  return plan;
}

absl::StatusOr<ProjectTransformer::PlanPtr> ProjectTransformer::PlanOf(
    const schemas::TableSchemaPtr& schema) {
  return plans_.Get(schema, [this](const schemas::TableSchemaPtr& seen) { return Derive(seen); });
}

absl::StatusOr<schemas::TableSchemaPtr> ProjectTransformer::TransformSchema(
    const schemas::TableSchemaPtr& schema) {
  PGFLOW_ASSIGN_OR_RETURN(const PlanPtr plan, PlanOf(schema));
  return plan->schema;
}

absl::Status ProjectTransformer::Transform(engine::Batch& batch) {
  if (const engine::CopyRows* rows = batch.raw_rows()) {
    PGFLOW_ASSIGN_OR_RETURN(const PlanPtr plan, PlanOf(rows->schema));
    if (plan->schema == rows->schema) return absl::OkStatus();
  }
  PGFLOW_ASSIGN_OR_RETURN(std::vector<ChangeEvent> * events, batch.MutableEvents());
  std::vector<schemas::Value> scratch;
  const schemas::TableSchema* schema = nullptr;
  PlanPtr plan;
  for (ChangeEvent& event : *events) {
    if (event.operation == engine::Operation::kSchemaChange) {
      event.ddl_transformed |= IsChosen(event.schema->table.ToString());
      continue;
    }
    if (event.schema != schema) {
      schema = event.schema;
      PGFLOW_ASSIGN_OR_RETURN(plan, PlanOf(batch.OwnerOf(schema)));
      if (plan->schema.get() != schema) batch.KeepAlive(plan->schema);
    }
    if (plan->schema.get() == schema) continue;  // Not one of `tables`: it passes as it is.
    event.before = ProjectRow(event.before, plan->columns, scratch, batch);
    event.after = ProjectRow(event.after, plan->columns, scratch, batch);
    event.schema = plan->schema.get();
  }
  return absl::OkStatus();
}

std::vector<engine::Finding> ProjectTransformer::Check(
    std::span<const schemas::TableSchemaPtr> tables) const {
  return engine::UnmatchedPatterns(config_.tables, tables);
}

engine::ComponentType<engine::Transformer> ProjectType() {
  return engine::MakeComponentType<engine::Transformer, ProjectConfig>(
      "project", "Keeps some columns of a table and drops the others.", "", &ProjectSpec,
      &ProjectTransformer::Make);
}

}  // namespace pgflow::transformers
