#include "transformers/rename/rename_transformer.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/status.h"
#include "schemas/glob.h"

namespace pgflow::transformers {
namespace {

bool IsPattern(std::string_view name) {
  return name.find_first_of("*?[") != std::string_view::npos;
}

// "schema.table" of "schema.table.column".
std::string TableOf(const std::string& column) {
  return column.substr(0, column.find('.', column.find('.') + 1));
}

// What stands for the * of `pattern` in `name`; nothing when it does not match.
std::optional<std::string> StarOf(std::string_view pattern, std::string_view name) {
  const size_t star = pattern.find('*');
  if (star == std::string_view::npos) return std::nullopt;
  const std::string_view front = pattern.substr(0, star);
  const std::string_view back = pattern.substr(star + 1);
  if (name.size() < front.size() + back.size() || !name.starts_with(front) ||
      !name.ends_with(back)) {
    return std::nullopt;
  }
  return std::string(name.substr(front.size(), name.size() - front.size() - back.size()));
}

}  // namespace

config::ConfigSpec<RenameConfig> RenameSpec() {
  config::ConfigSpec<RenameConfig> spec;
  spec.Field("tables", &RenameConfig::tables,
             "Old schema.name to new name; the new one stays in its schema unless it names another "
             "(schema.name). The old one may hold one *, and what it stands for is the * of the "
             "new one; a table's whole name goes before such a pattern.")
      .Example("{public.users: customers, \"public.log_*\": \"archive.*\"}");
  spec.Field("schemas", &RenameConfig::schemas,
             "Old schema to new schema, for tables that `tables` does not name.")
      .Example("{public: shop}");
  spec.Field("columns", &RenameConfig::columns,
             "Old schema.table.column (names as they come here) to the new column name. Schema and "
             "table may be patterns (* and ?); of their tables those are left alone that have no "
             "such column.")
      .Example("{public.users.mail: email, \"public.*.ts\": created_at}");
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
    const bool stars = std::ranges::count(from, '*') > 1 || from.find('?') != std::string::npos ||
                       std::ranges::count(to, '*') > std::ranges::count(from, '*');
    if (stars) {
      return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                              "tables: '{}: {}': the old name may hold one *, and the new one too "
                              "if the old one does",
                              from, to);
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
  const std::string whole = name.ToString();
  const auto table = config_.tables.find(whole);
  std::string to = table == config_.tables.end() ? "" : table->second;
  for (auto each = config_.tables.begin(); to.empty() && each != config_.tables.end(); ++each) {
    const std::optional<std::string> star = StarOf(each->first, whole);
    if (!star.has_value()) continue;
    to = each->second;
    if (const size_t at = to.find('*'); at != std::string::npos) to.replace(at, 1, *star);
  }
  if (to.empty()) {
    return {schema == config_.schemas.end() ? name.schema : schema->second, name.name};
  }
  const size_t dot = to.find('.');
  if (dot == std::string::npos) return {name.schema, to};
  return {to.substr(0, dot), to.substr(dot + 1)};
}

// The table, one of its columns, or its schema.
bool RenameTransformer::Renames(const schemas::TableName& name) const {
  if (NewName(name) != name) return true;
  const std::string whole = name.ToString();
  return std::ranges::any_of(config_.columns, [&](const auto& column) {
    return schemas::MatchesGlob(TableOf(column.first), whole);
  });
}

absl::StatusOr<schemas::TableSchemaPtr> RenameTransformer::Derive(
    const schemas::TableSchemaPtr& schema) const {
  auto renamed = std::make_shared<schemas::TableSchema>(*schema);
  renamed->table = NewName(schema->table);
  const std::string name = schema->table.ToString();
  bool changed = renamed->table != schema->table;
  for (const bool patterns : {true, false}) {  // A whole name has the last word.
    for (const auto& [from, to] : config_.columns) {
      const std::string table = TableOf(from);
      if (IsPattern(table) != patterns || !schemas::MatchesGlob(table, name)) continue;
      const std::string column = from.substr(table.size() + 1);
      const std::optional<size_t> index = schema->FindColumn(column);
      if (!index.has_value() && patterns) continue;
      if (!index.has_value()) {
        return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                                "rename: table {} has no column '{}'", name, column);
      }
      renamed->columns[*index].name = to;
      changed = true;
    }
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

std::vector<engine::Finding> RenameTransformer::Check(
    std::span<const schemas::TableSchemaPtr> tables) const {
  std::vector<std::string> patterns;
  for (const auto& [table, to] : config_.tables) patterns.push_back(table);
  for (const auto& [schema, to] : config_.schemas) patterns.push_back(schema + ".*");
  for (const auto& [column, to] : config_.columns) {
    patterns.push_back(TableOf(column));
  }
  return engine::UnmatchedPatterns(patterns, tables);
}

engine::ComponentType<engine::Transformer> RenameType() {
  return engine::MakeComponentType<engine::Transformer, RenameConfig>(
      "rename", "Gives tables, schemas and columns other names.", "", &RenameSpec,
      &RenameTransformer::Make);
}

}  // namespace pgflow::transformers
