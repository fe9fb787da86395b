#include "sinks/postgres/planned_table.h"

#include <absl/strings/str_replace.h>
#include <fmt/format.h>

namespace pgflow::sinks {
namespace {

using schemas::ColumnDefinition;
using schemas::QuoteIdentifier;
using schemas::QuoteTable;

// The first version with virtual generated columns and keys WITHOUT OVERLAPS.
constexpr int kVersion18 = 180000;

std::string ColumnSql(const PlannedColumn& column, int server_version) {
  std::string sql = fmt::format("{} {}", QuoteIdentifier(column.name), column.type_sql);
  const ColumnDefinition* definition = column.definition;
  if (definition == nullptr) return sql;
  if (!definition->collation_sql.empty()) sql += " COLLATE " + definition->collation_sql;
  if (definition->generated != '\0') {
    sql += fmt::format(
        " GENERATED ALWAYS AS ({}) {}", definition->default_sql,
        definition->generated == 'v' && server_version >= kVersion18 ? "VIRTUAL" : "STORED");
  } else if (definition->identity != '\0') {
    sql += fmt::format(" GENERATED {} AS IDENTITY",
                       definition->identity == 'a' ? "ALWAYS" : "BY DEFAULT");
    if (!definition->sequence_sql.empty()) sql += fmt::format(" ({})", definition->sequence_sql);
  }
  if (definition->not_null) sql += " NOT NULL";
  return sql;
}

std::vector<PlannedColumn> ColumnsOf(const schemas::TableDefinition& definition) {
  std::vector<PlannedColumn> columns;
  columns.reserve(definition.columns.size());
  for (const ColumnDefinition& column : definition.columns) {
    columns.push_back({column.name, column.type_sql, &column});
  }
  return columns;
}

}  // namespace

PlannedTable::PlannedTable(const engine::TablePlan& plan)
    : name_(plan.schema->table), definition_(plan.definition) {
  const std::vector<schemas::Column>& columns = plan.schema->columns;
  if (definition_ == nullptr) {
    for (const schemas::Column& column : columns) {
      columns_.push_back({column.name, column.type_name, nullptr});
    }
    return;
  }
  is_unchanged_ = name_ == definition_->table;
  std::vector<bool> used(columns.size(), false);
  for (const ColumnDefinition& definition : definition_->columns) {
    if (definition.generated != '\0') continue;  // Never sent.
    bool found = false;
    for (size_t i = 0; i < columns.size() && !found; ++i) {
      if (used[i] || columns[i].attribute_number != definition.attribute_number) continue;
      used[i] = found = true;
      columns_.push_back({columns[i].name, definition.type_sql, &definition});
      is_unchanged_ = is_unchanged_ && columns[i].name == definition.name;
    }
    is_unchanged_ = is_unchanged_ && found;
  }
  for (size_t i = 0; i < columns.size(); ++i) {
    if (used[i]) continue;
    // A generated column that is sent after all becomes an ordinary one.
    columns_.push_back({columns[i].name, columns[i].type_name, nullptr});
    is_unchanged_ = false;
  }
  if (!is_unchanged_) return;
  // Expressions name the source's columns: they can only be kept where those are all there.
  columns_ = ColumnsOf(*definition_);
}

PlannedTable::PlannedTable(const schemas::TableDefinition& definition)
    : name_(definition.table),
      definition_(&definition),
      columns_(ColumnsOf(definition)),
      is_unchanged_(true) {}

const PlannedColumn* PlannedTable::Find(int16_t attribute_number) const {
  for (const PlannedColumn& column : columns_) {
    if (column.definition != nullptr && column.definition->attribute_number == attribute_number) {
      return &column;
    }
  }
  return nullptr;
}

std::string PlannedTable::CreateSql(int server_version) const {
  std::string sql = fmt::format("CREATE {}TABLE {}",
                                definition_ != nullptr && definition_->unlogged ? "UNLOGGED " : "",
                                QuoteTable(name_));
  if (is_partition()) {
    sql += fmt::format(" PARTITION OF {} {}", QuoteTable(*definition_->parent),
                       definition_->partition_bound_sql);
  } else {
    std::string columns;
    for (const PlannedColumn& column : columns_) {
      columns += (columns.empty() ? "" : ", ") + ColumnSql(column, server_version);
    }
    sql += fmt::format(" ({})", columns);
  }
  if (definition_ != nullptr && definition_->partitioned) {
    sql += " PARTITION BY " + definition_->partition_key_sql;
  }
  return sql;
}

std::vector<std::string> PlannedTable::Losses(int server_version) const {
  std::vector<std::string> losses;
  if (server_version >= kVersion18) return losses;
  for (const PlannedColumn& column : columns_) {
    if (column.definition == nullptr || column.definition->generated != 'v') continue;
    losses.push_back(
        fmt::format("column {}: servers before version 18 have no virtual generated columns: it "
                    "becomes a stored one",
                    column.name));
  }
  if (definition_ != nullptr && definition_->primary_key.has_value() &&
      definition_->primary_key->without_overlaps) {
    losses.push_back(
        "its primary key: servers before version 18 do not know WITHOUT OVERLAPS: it is made "
        "without it");
  }
  return losses;
}

bool PlannedTable::HasKeyAtOnce(int server_version) const {
  return server_version >= kVersion18 && is_unchanged_ && definition_->partitioned &&
         !is_partition() && definition_->primary_key.has_value() &&
         definition_->primary_key->without_overlaps;
}

std::string PlannedTable::IdentityIndexSql(int server_version) const {
  if (!is_unchanged_) return "";
  std::string sql = definition_->identity_index_sql;
  if (server_version < kVersion18) absl::StrReplaceAll({{" WITHOUT OVERLAPS)", ")"}}, &sql);
  return sql;
}

std::string PlannedTable::PrimaryKeySql(int server_version) const {
  if (definition_ == nullptr || !definition_->primary_key.has_value()) return "";
  const schemas::PrimaryKey& key = *definition_->primary_key;
  std::string columns;
  for (int16_t number : key.attribute_numbers) {
    const PlannedColumn* column = Find(number);
    if (column == nullptr) return "";
    columns += (columns.empty() ? "" : ", ") + QuoteIdentifier(column->name);
  }
  if (key.without_overlaps && server_version >= kVersion18) columns += " WITHOUT OVERLAPS";
  const bool named = is_unchanged_ && !key.name.empty();
  return fmt::format("ALTER TABLE {} ADD {}PRIMARY KEY ({}){}", QuoteTable(name_),
                     named ? fmt::format("CONSTRAINT {} ", QuoteIdentifier(key.name)) : "", columns,
                     key.deferrable ? " DEFERRABLE" : "");
}

std::optional<std::string> SequenceOf(std::string_view default_sql) {
  static constexpr std::string_view kCall = "nextval('";
  const size_t call = default_sql.find(kCall);
  if (call == std::string_view::npos) return std::nullopt;
  std::string name;
  for (size_t i = call + kCall.size(); i < default_sql.size(); ++i) {
    if (default_sql[i] != '\'') {
      name.push_back(default_sql[i]);
    } else if (i + 1 < default_sql.size() && default_sql[i + 1] == '\'') {
      name.push_back(default_sql[i++]);
    } else {
      return name;
    }
  }
  return std::nullopt;
}

}  // namespace pgflow::sinks
