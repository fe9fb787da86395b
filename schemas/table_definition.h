// TableDefinition, ObjectDefinition: what a target needs to create a table like the source's.
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
  bool not_null = false;      // Of all rows, and of heirs.
  std::string default_sql;  // pg_get_expr; empty: none. Also the expression of a generated column.
  char identity = '\0';     // 'a' ALWAYS, 'd' BY DEFAULT, '\0' none (pg_attribute.attidentity).
  char generated = '\0';    // 's' STORED, 'v' VIRTUAL, '\0' none.
  // Of the sequence of an identity column, or of the one that its default takes numbers from: its
  // type, and "INCREMENT BY 2 MINVALUE ...". Empty: there is none.
  std::string sequence_type{};
  std::string sequence_sql{};
};

// What tables refer to and Postgres does not bring: a type, function, collation, extension, or the
// table of a row type.
struct ObjectDefinition {
  std::string kind;        // "type", "function", ...
  TableName name;          // Without schema for an extension.
  std::string exists_sql;  // A query that says whether it is there.
  std::string create_sql;  // Complete, schema-qualified.
  // Why it could do more than it should where it runs as whoever writes to the tables; empty: it
  // belongs to a superuser, or is no program.
  std::string risk{};

  // "function shop.twice".
  std::string Subject() const {
    return kind + " " + (name.schema.empty() ? name.name : name.ToString());
  }
};

struct PrimaryKey {
  std::string name;
  std::vector<int16_t> attribute_numbers;  // In the order of the index.
  bool deferrable = false;
  bool without_overlaps = false;  // Of its last column (18).
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
  // For REPLICA IDENTITY USING INDEX: what makes the unique index, or its constraint WITHOUT
  // OVERLAPS; else empty.
  std::string identity_index_sql;
};

// What can only be created when some chosen table is there, because it uses its row type: an
// object, or another chosen table.
struct LateDefinition {
  std::optional<ObjectDefinition> object{};
  TableName table{};  // Otherwise.
};

// Everything that the chosen tables need.
struct DatabaseDefinition {
  std::vector<ObjectDefinition> objects;  // In the order of creation, before all tables.
  std::vector<TableDefinition> tables;    // Parents before partitions.
  std::vector<LateDefinition> late;       // In the order of creation, behind all other tables.
};

}  // namespace pgflow::schemas
