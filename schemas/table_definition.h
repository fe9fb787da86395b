// TableDefinition, TypeDefinition: what a target needs to create a table like the source's.
// Read from the source's catalog; plain values.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "schemas/table_schema.h"

namespace pgflow::schemas {

struct ColumnDefinition {
  int16_t attribute_number = 0;
  std::string name;
  std::string type_sql;       // format_type(type, typmod), schema-qualified where it is needed.
  std::string collation_sql;  // Empty: the type's own.
  bool not_null = false;
  std::string default_sql;  // pg_get_expr; empty: none. Also the expression of a generated column.
  char identity = '\0';     // 'a' ALWAYS, 'd' BY DEFAULT, '\0' none (pg_attribute.attidentity).
  char generated = '\0';    // 's' STORED, 'v' VIRTUAL, '\0' none.
};

// A type that tables use and that does not come with Postgres.
struct TypeDefinition {
  TableName name;
  std::string create_sql;  // CREATE TYPE / CREATE DOMAIN ..., complete, schema-qualified.
};

struct PrimaryKey {
  std::string name;
  std::vector<int16_t> attribute_numbers;  // In the order of the index.
  bool deferrable = false;
};

struct TableDefinition {
  TableName table;
  bool partitioned = false;         // relkind 'p': holds no rows itself.
  std::string partition_key_sql;    // pg_get_partkeydef, when partitioned.
  std::optional<TableName> parent;  // When it is a partition.
  std::string partition_bound_sql;  // pg_get_expr(relpartbound), when it is a partition.
  bool unlogged = false;
  bool identity_full = false;             // REPLICA IDENTITY FULL.
  std::vector<ColumnDefinition> columns;  // Every live column, generated ones too.
  std::optional<PrimaryKey> primary_key;
  // For REPLICA IDENTITY USING INDEX: the unique index's definition (pg_get_indexdef), else empty.
  std::string identity_index_sql;
};

// Everything that the chosen tables need, in the order of creation.
struct DatabaseDefinition {
  std::vector<TypeDefinition> types;
  std::vector<TableDefinition> tables;  // Parents before partitions.
};

}  // namespace pgflow::schemas
