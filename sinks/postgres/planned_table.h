// PlannedTable: the columns of a table that create_schema makes, and their SQL. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/api/sink.h"
#include "schemas/table_definition.h"

namespace pgflow::sinks {

struct PlannedColumn {
  std::string name;
  std::string type_sql;
  const schemas::ColumnDefinition* definition = nullptr;  // Null: a transformer made the column.
};

// What becomes of a source table after the transformers. Points into the plan's definition.
class PlannedTable {
 public:
  explicit PlannedTable(const engine::TablePlan& plan);
  // The table as it is at the source (a partitioned parent).
  explicit PlannedTable(const schemas::TableDefinition& definition);

  const schemas::TableName& name() const { return name_; }
  const schemas::TableDefinition* definition() const { return definition_; }
  const std::vector<PlannedColumn>& columns() const { return columns_; }
  // Same name, same columns: what refers to the source's names is right in the target too.
  bool is_unchanged() const { return is_unchanged_; }
  bool is_partition() const { return is_unchanged_ && definition_->parent.has_value(); }

  // For a target of that version.
  std::string CreateSql(int server_version) const;
  // What such a target cannot have, and what it gets instead.
  std::vector<std::string> Losses(int server_version) const;
  // "ALTER TABLE ... ADD PRIMARY KEY (...)"; empty when there is none, or a column of it is gone.
  std::string PrimaryKeySql(int server_version) const;
  // Whether the key is made with the table, before its partitions have it: they do not hand a key
  // WITHOUT OVERLAPS over to their root, as they do others.
  bool HasKeyAtOnce(int server_version) const;
  // What makes the index of its REPLICA IDENTITY USING INDEX; empty: it has none, or other columns.
  std::string IdentityIndexSql(int server_version) const;
  const PlannedColumn* Find(int16_t attribute_number) const;

 private:
  schemas::TableName name_;
  const schemas::TableDefinition* definition_ = nullptr;
  std::vector<PlannedColumn> columns_;
  bool is_unchanged_ = false;
};

// The sequence that a default takes numbers from: "public.t_id_seq" of nextval('...'::regclass).
std::optional<std::string> SequenceOf(std::string_view default_sql);

}  // namespace pgflow::sinks
