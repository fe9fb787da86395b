#include "transformers/rename/rename_transformer.h"

#include <set>
#include <utility>

#include "base/status.h"

namespace pgflow::transformers {

config::ConfigSpec<RenameConfig> RenameSpec() {
  config::ConfigSpec<RenameConfig> spec;
  spec.Field("tables", &RenameConfig::tables,
             "Old schema.name to new name; the new one stays in its schema unless it names another "
             "(schema.name).")
      .Example("{public.users: customers, public.log: archive.log}");
  spec.Field("schemas", &RenameConfig::schemas,
             "Old schema to new schema, for tables that `tables` does not name.")
      .Example("{public: shop}");
  spec.Field("columns", &RenameConfig::columns,
             "Old schema.table.column (names as the source has them) to the new column name.")
      .Example("{public.users.mail: email}");
  return spec;
}

absl::StatusOr<std::unique_ptr<engine::Transformer>> RenameTransformer::Make(RenameConfig config) {
  if (config.tables.empty() && config.schemas.empty() && config.columns.empty()) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "rename needs `tables`, `schemas` or `columns`");
  }
  for (const auto& [from, to] : config.tables) {
    if (from.find('.') == std::string::npos) {
      return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                              "tables: '{}' names no schema; write 'public.{}'", from, from);
    }
    if (to.empty() || to.front() == '.' || to.back() == '.') {
      return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                              "tables: the new name of '{}' is incomplete", from);
    }
  }
  for (const auto& [from, to] : config.schemas) {
    if (to.empty()) {
      return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                              "schemas: the new name of '{}' is empty", from);
    }
  }
  for (const auto& [from, to] : config.columns) {
    const size_t dot = from.find('.');
    if (dot == std::string::npos || from.find('.', dot + 1) == std::string::npos || to.empty()) {
      return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                              "columns: '{}: {}' must be written as schema.table.column: new_name",
                              from, to);
    }
  }
  return std::make_unique<RenameTransformer>(std::move(config));
}

schemas::TableName RenameTransformer::NewName(const schemas::TableName& name) const {
  const auto schema = config_.schemas.find(name.schema);
  const auto table = config_.tables.find(name.ToString());
  if (table == config_.tables.end()) {
    return {schema == config_.schemas.end() ? name.schema : schema->second, name.name};
  }
  const std::string& to = table->second;
  const size_t dot = to.find('.');
  if (dot == std::string::npos) return {name.schema, to};
  return {to.substr(0, dot), to.substr(dot + 1)};
}

// The table, one of its columns, or its schema.
bool RenameTransformer::Renames(const schemas::TableName& name) const {
  if (NewName(name) != name) return true;
  const std::string prefix = name.ToString() + ".";
  const auto column = config_.columns.lower_bound(prefix);
  return column != config_.columns.end() && column->first.starts_with(prefix);
}

absl::StatusOr<schemas::TableSchemaPtr> RenameTransformer::Derive(
    const schemas::TableSchemaPtr& schema) const {
  auto renamed = std::make_shared<schemas::TableSchema>(*schema);
  renamed->table = NewName(schema->table);
  const std::string prefix = schema->table.ToString() + ".";
  bool changed = renamed->table != schema->table;
  for (auto each = config_.columns.lower_bound(prefix);
       each != config_.columns.end() && each->first.compare(0, prefix.size(), prefix) == 0;
       ++each) {
    const std::string column = each->first.substr(prefix.size());
    const std::optional<size_t> index = schema->FindColumn(column);
    if (!index.has_value()) {
      return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                              "rename: table {} has no column '{}'", schema->table.ToString(),
                              column);
    }
    renamed->columns[*index].name = each->second;
    changed = true;
  }
  if (!changed) return schema;
  std::set<std::string_view> names;
  for (const schemas::Column& column : renamed->columns) {
    if (names.insert(column.name).second) continue;
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "rename: two columns of table {} would have the name '{}'",
                            schema->table.ToString(), column.name);
  }
  return schemas::TableSchemaPtr(std::move(renamed));
}

absl::StatusOr<schemas::TableSchemaPtr> RenameTransformer::TransformSchema(
    const schemas::TableSchemaPtr& schema) {
  PGFLOW_ASSIGN_OR_RETURN(
      const auto renamed,
      renamed_.Get(schema, [this](const schemas::TableSchemaPtr& seen) { return Derive(seen); }));
  return *renamed;
}

absl::Status RenameTransformer::Transform(engine::Batch& batch) {
  if (const engine::CopyRows* rows = batch.raw_rows()) {
    PGFLOW_ASSIGN_OR_RETURN(schemas::TableSchemaPtr renamed, TransformSchema(rows->schema));
    if (renamed != rows->schema) batch.ReplaceRawSchema(std::move(renamed));
    return absl::OkStatus();
  }
  PGFLOW_ASSIGN_OR_RETURN(std::vector<engine::ChangeEvent> * events, batch.MutableEvents());
  const schemas::TableSchema* from = nullptr;
  const schemas::TableSchema* to = nullptr;
  for (engine::ChangeEvent& event : *events) {
    if (event.operation == engine::Operation::kSchemaChange) {
      event.ddl_transformed |= Renames(event.schema->table);
      continue;
    }
    if (event.schema != from) {
      from = event.schema;
      PGFLOW_ASSIGN_OR_RETURN(schemas::TableSchemaPtr renamed,
                              TransformSchema(batch.OwnerOf(from)));
      to = renamed.get();
      if (to != from) batch.KeepAlive(std::move(renamed));
    }
    event.schema = to;
  }
  return absl::OkStatus();
}

engine::ComponentType<engine::Transformer> RenameType() {
  return engine::MakeComponentType<engine::Transformer, RenameConfig>(
      "rename", "Gives tables, schemas and columns other names.", "", &RenameSpec,
      &RenameTransformer::Make);
}

}  // namespace pgflow::transformers
