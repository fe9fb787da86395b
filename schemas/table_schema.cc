#include "schemas/table_schema.h"

#include <algorithm>

namespace pgflow::schemas {

std::string QuoteIdentifier(std::string_view name) {
  std::string quoted;
  quoted.reserve(name.size() + 2);
  quoted.push_back('"');
  for (char c : name) {
    if (c == '"') quoted.push_back('"');
    quoted.push_back(c);
  }
  quoted.push_back('"');
  return quoted;
}

std::string QuoteLiteral(std::string_view text) {
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'') quoted.push_back('\'');
    quoted.push_back(c);
  }
  quoted.push_back('\'');
  return quoted;
}

std::string QuoteTable(const TableName& table) {
  return QuoteIdentifier(table.schema) + "." + QuoteIdentifier(table.name);
}

std::optional<size_t> TableSchema::FindColumn(std::string_view name) const {
  for (size_t i = 0; i < columns.size(); ++i) {
    if (columns[i].name == name) return i;
  }
  return std::nullopt;
}

bool TableSchema::HasKey() const {
  return replica_identity != ReplicaIdentity::kFull &&
         replica_identity != ReplicaIdentity::kNothing &&
         std::ranges::any_of(columns, [](const Column& column) { return column.identity; });
}

void TableSchema::KeepWholePrimaryKey(const std::vector<Column>& all) {
  const auto marked = [](const Column& column) { return column.primary_key > 0; };
  if (std::ranges::count_if(columns, marked) == std::ranges::count_if(all, marked)) return;
  for (Column& column : columns) column.primary_key = 0;
}

bool HoldsLogicalMessages(const TableSchema& schema) {
  return schema.rows == RowKind::kLogicalMessages && schema.columns.size() >= 2 &&
         schema.columns[0].name == "prefix" && schema.columns[1].name == "content";
}

}  // namespace pgflow::schemas
