// The catalog reader: what a Postgres database says of the tables that a pipeline chose.
//
// Every function runs queries in the connection's current transaction (in a transaction with an
// imported snapshot they see the tables as of that snapshot, except for what Postgres reads through
// its caches: type names and expressions). Errors: those of the connection.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include <absl/status/statusor.h>

#include "postgres/client/connection.h"
#include "schemas/table_definition.h"
#include "schemas/table_filter.h"
#include "schemas/table_schema.h"

namespace pgflow::schemas {

// What a publication carries of a table, where that is not its rows as they are.
struct PublishedPart {
  std::vector<int16_t> columns{};  // Attribute numbers, sorted. Empty: all but generated ones.
  std::string row_filter{};        // An expression in SQL; empty: all rows.
  bool whole_tree = false;  // A partitioned table: the rows of its partitions are published as its
                            // own.
};
using PublishedParts = std::map<postgres::Oid, PublishedPart>;

// A table that holds rows: not partitioned itself, unless it is published whole.
struct CatalogTable {
  TableSchemaPtr schema{};
  bool has_primary_key = false;  // That holds at every moment: not a deferrable one.
  bool readable = true;          // The role may SELECT from it.
  bool rows_hidden = false;      // By row-level security.
  bool hides_identity = false;   // Published, it cannot be updated any more (version 18).
  bool updated = false;          // It has had UPDATE or DELETE, as the server's statistics say.
  uint64_t bytes = 0;            // Of the heap.
  uint64_t toast_bytes = 0;      // What rows keep out of line.
  int64_t rows_estimate = -1;    // -1: never analysed.
  uint32_t filenode = 0;         // pg_class.relfilenode: changes with every rewrite and TRUNCATE.
  // Why its rows cannot travel in binary form to a database with other OIDs; empty when they can.
  std::string binary_obstacle{};
  std::string row_filter{};                    // As in PublishedPart.
  bool partitioned = false;                    // It is published whole.
  std::map<postgres::Oid, uint32_t> leaves{};  // Then: relfilenode by oid.
};

struct CatalogProblem {
  bool fatal = false;  // The choice itself cannot work.
  // To publish this table would break the application that writes to it; then `fatal` is set, too.
  postgres::Oid unpublishable = 0;
  bool of_identity = false;  // It matters only where UPDATE or DELETE is published.
  // The role may not read this table, or not all of its rows; `fatal` is set, too.
  postgres::Oid unreadable = 0;
  // No table is chosen: there is none yet, or the patterns name none of them, which is fatal.
  bool nothing_chosen = false;
  std::string subject;
  std::string text;
  std::string remedy;
};

struct Catalog {
  std::vector<TableName> published;  // For a publication: partitioned roots and plain tables.
  std::vector<CatalogTable> tables;  // By name.
  DatabaseDefinition definition;
  std::vector<CatalogProblem> problems;
};

// How much to read. Each is more than the one before, and needs more of the tables.
enum class CatalogDepth {
  kColumns,  // Names, columns, keys, types: locks no table, so that nobody's lock is waited for.
  kDefinitions,  // With the expressions in them: may wait for a lock on a chosen table.
  kSizes,        // With the sizes; of a table that somebody has locked, what VACUUM saw last.
};

// What a column's type is called and how it is sent.
struct TypeFacts {
  std::string name;                                        // format_type(oid, NULL).
  postgres::Oid wire_type = 0;                             // As in Column::wire_type.
  std::shared_ptr<const std::vector<std::string>> labels;  // As in Column::labels.
  std::string binary_obstacle;  // As in CatalogTable; without the column's name.
};
using TypeFactsByOid = std::map<postgres::Oid, TypeFacts>;

// System schemas, the schema pgflow, tables of extensions, temporary, unlogged and foreign tables
// and views are never chosen. Partitions follow their root. `published` narrows the tables' columns
// to what the stream carries.
absl::StatusOr<Catalog> ReadCatalog(postgres::Connection& connection, const TableFilter& filter,
                                    CatalogDepth depth, std::stop_token stop,
                                    const PublishedParts& published = {});

// The facts of `types`, for those that exist.
absl::StatusOr<TypeFactsByOid> ReadTypeFacts(postgres::Connection& connection,
                                             std::span<const postgres::Oid> types,
                                             std::stop_token stop);

// The live columns of a relation now: attribute numbers by name. Empty when it is gone.
absl::StatusOr<std::map<std::string, int16_t>> ReadAttributeNumbers(
    postgres::Connection& connection, postgres::Oid relation, std::stop_token stop);

}  // namespace pgflow::schemas
