// TableSchema: the columns of a table's rows as an event carries them, immutable and shared.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "postgres/types/oid.h"

namespace pgflow::schemas {

// A schema-qualified name, unquoted.
struct TableName {
  std::string schema;
  std::string name;

  std::string ToString() const { return schema + "." + name; }
  friend auto operator<=>(const TableName&, const TableName&) = default;
};

// `"schema"."name"`, for SQL. Quotes are doubled.
std::string QuoteIdentifier(std::string_view name);
// `'text'`, for SQL with standard_conforming_strings and for options of replication commands.
std::string QuoteLiteral(std::string_view text);
std::string QuoteTable(const TableName& table);

enum class ReplicaIdentity : char { kDefault = 'd', kIndex = 'i', kFull = 'f', kNothing = 'n' };

struct Column {
  std::string name;
  postgres::Oid type = 0;
  int32_t type_modifier = -1;
  // The number in pg_attribute; survives renames (of the source's and of a transformer's making).
  int16_t attribute_number = 0;
  // Part of the replica identity: what a before image of kind kKey holds.
  bool identity = false;
  // Its place in the primary key, from 1, where the catalog was read; 0: it is not part of it.
  int16_t primary_key = 0;
  // The name of another unique index that its values count in, where the catalog was read; empty:
  // there is none.
  std::string unique_index{};
  // In one, its NULLs count as well: they are not distinct there, or an expression or a predicate
  // looks at them.
  bool unique_nulls = false;
  // What a security label of the provider anon (postgresql_anonymizer) says of it, where the
  // catalog was read; empty: it has none.
  std::optional<std::string> mask_label{};
  // format_type(type, NULL): schema-qualified unless it is in pg_catalog. May be empty in tests.
  std::string type_name;
  // The built-in type whose binary form the values have, where that is not `type` itself: the base
  // type of a domain, text for an enum or another type sent as text, the array of either. 0:
  // `type`.
  postgres::Oid wire_type = 0;
  // What the catalog says today beside the type, where it was read; for those who describe tables
  // to others. A row in the log may be older: a NULL may come in spite of `not_null`.
  bool not_null = false;
  std::string default_sql{};
  // Of an enum, or of an array's elements: in their order.
  std::shared_ptr<const std::vector<std::string>> labels{};
};

// What the rows of a table are.
enum class RowKind : uint8_t {
  kTable,
  kLogicalMessages,  // pg_logical_emit_message: prefix, content, transactional.
  kOutbox,           // Messages of an application: key, payload, then a header a column.
};

// Thread-safe (immutable). Held by shared_ptr<const TableSchema>; a change makes a new one.
struct TableSchema {
  TableName table;
  postgres::Oid oid = 0;
  ReplicaIdentity replica_identity = ReplicaIdentity::kDefault;
  std::vector<Column> columns;
  // A captured DDL message tells of each change of the columns, before the first row that has it.
  // Without it an attribute number is what the catalog has under that name today.
  bool changes_told = false;
  // Counts the versions of this table that this process has seen; 0 is the first.
  uint64_t version = 0;
  RowKind rows = RowKind::kTable;

  std::optional<size_t> FindColumn(std::string_view name) const;
  // True when some column is marked identity and the identity is not all of the row.
  bool HasKey() const;
  // Part of a primary key names no row: unmarks it when a key column of `all` is missing here.
  void KeepWholePrimaryKey(const std::vector<Column>& all);
  // Whether the column is part of what names a row in an event: of the identity, or of the primary
  // key where the identity is all of the row.
  bool IsKey(const Column& column) const {
    return replica_identity == ReplicaIdentity::kFull ? column.primary_key > 0
                                                      : HasKey() && column.identity;
  }
};

// Whether the rows are logical messages, with a prefix and a content in front.
bool HoldsLogicalMessages(const TableSchema& schema);

using TableSchemaPtr = std::shared_ptr<const TableSchema>;

}  // namespace pgflow::schemas
