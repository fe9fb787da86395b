#include "schemas/catalog.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "base/status.h"
#include "postgres/types/ask_again.h"
#include "schemas/catalog_columns.h"
#include "schemas/catalog_objects.h"
#include "schemas/catalog_types.h"

namespace pgflow::schemas {
namespace {

using postgres::Connection;
using postgres::Oid;
using postgres::Result;

// One row of pg_class that may be chosen.
struct Relation {
  Oid oid = 0;
  TableName name;
  char kind = 'r';  // 'r', 'p', and 'f' for a foreign table that is a partition.
  char persistence = 'p';
  ReplicaIdentity identity = ReplicaIdentity::kDefault;
  uint32_t filenode = 0;
  uint64_t bytes = 0;
  uint64_t toast_bytes = 0;
  int64_t rows_estimate = -1;
  Oid parent = 0;  // Of a partition.
  bool has_primary_key = false;
  bool readable = true;
  bool rows_hidden = false;
  bool updated = false;
  std::string partition_key;
  std::string partition_bound;
  bool chosen = false;
  bool published = false;
};

using Relations = std::map<Oid, Relation>;

absl::StatusOr<Relations> ReadRelations(Connection& connection, const std::stop_token& stop) {
  PGFLOW_ASSIGN_OR_RETURN(
      const Result rows,
      connection.Execute(
          "SELECT c.oid, n.nspname, c.relname, c.relkind, c.relpersistence, c.relreplident, "
          "c.relfilenode, c.reltuples::bigint, "
          "CASE WHEN c.relispartition THEN (SELECT inhparent FROM pg_inherits i "
          "WHERE i.inhrelid = c.oid) ELSE 0 END, "
          "EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary "
          "AND i.indisvalid AND i.indimmediate), "
          // NULL: it was dropped just now.
          "has_table_privilege(c.oid, 'SELECT') IS NOT FALSE "
          "AND has_schema_privilege(n.oid, 'USAGE') IS NOT FALSE, "
          "pg_stat_get_tuples_updated(c.oid) + pg_stat_get_tuples_deleted(c.oid) > 0, "
          "row_security_active(c.oid) "
          "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
          "WHERE (c.relkind IN ('r', 'p') OR c.relkind = 'f' AND c.relispartition) "
          "AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' "
          "AND n.nspname NOT IN ('information_schema', 'pgflow') "
          "AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass "
          "AND d.objid = c.oid AND d.deptype = 'e')",
          stop));
  Relations relations;
  for (int row = 0; row < rows.row_count(); ++row) {
    Relation relation;
    relation.oid = static_cast<Oid>(rows.integer(row, 0));
    relation.name = {rows.text(row, 1), rows.text(row, 2)};
    relation.kind = rows.at(row, 3)[0];
    relation.persistence = rows.at(row, 4)[0];
    relation.identity = static_cast<ReplicaIdentity>(rows.at(row, 5)[0]);
    relation.filenode = static_cast<uint32_t>(rows.integer(row, 6));
    relation.rows_estimate = rows.integer(row, 7);
    relation.parent = static_cast<Oid>(rows.integer(row, 8));
    relation.has_primary_key = rows.boolean(row, 9);
    relation.readable = rows.boolean(row, 10);
    relation.updated = rows.boolean(row, 11);
    relation.rows_hidden = rows.boolean(row, 12);
    relations.emplace(relation.oid, std::move(relation));
  }
  return relations;
}

absl::Status ReadPartitioning(Connection& connection, const std::string& oids, Relations& relations,
                              const std::stop_token& stop) {
  PGFLOW_ASSIGN_OR_RETURN(
      const Result rows,
      connection.Execute(fmt::format("SELECT c.oid, pg_get_partkeydef(c.oid), "
                                     "pg_get_expr(c.relpartbound, c.oid) FROM pg_class c "
                                     "WHERE (c.relkind = 'p' OR c.relispartition) "
                                     "AND c.oid = ANY ('{}'::oid[])",
                                     oids),
                         stop));
  for (int row = 0; row < rows.row_count(); ++row) {
    Relation& relation = relations.at(static_cast<Oid>(rows.integer(row, 0)));
    relation.partition_key = rows.text(row, 1);
    relation.partition_bound = rows.text(row, 2);
  }
  return absl::OkStatus();
}

// pg_relation_size waits for whoever has the table, or its TOAST table, locked as a whole.
absl::Status ReadSizes(Connection& connection, const std::string& oids, Relations& relations,
                       const std::stop_token& stop) {
  PGFLOW_ASSIGN_OR_RETURN(
      const Result rows,
      connection.Execute(
          fmt::format(
              "WITH locked AS MATERIALIZED (SELECT l.relation FROM pg_locks l "
              "WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' "
              "AND l.pid IS DISTINCT FROM pg_backend_pid() AND l.database = "
              "(SELECT oid FROM pg_database WHERE datname = current_database())) "
              "SELECT c.oid, CASE WHEN c.oid IN (SELECT relation FROM locked) THEN "
              "c.relpages * current_setting('block_size')::bigint ELSE pg_relation_size(c.oid) "
              "END, "
              "CASE WHEN t.oid IS NULL THEN 0 WHEN t.oid IN (SELECT relation FROM locked) "
              "OR c.oid IN (SELECT relation FROM locked) THEN "
              "t.relpages * current_setting('block_size')::bigint ELSE pg_relation_size(t.oid) END "
              "FROM pg_class c LEFT JOIN pg_class t ON t.oid = c.reltoastrelid "
              "WHERE c.relkind = 'r' AND c.oid = ANY ('{}'::oid[])",
              oids),
          stop));
  for (int row = 0; row < rows.row_count(); ++row) {
    Relation& relation = relations.at(static_cast<Oid>(rows.integer(row, 0)));
    relation.bytes = static_cast<uint64_t>(rows.integer(row, 1));
    relation.toast_bytes = static_cast<uint64_t>(rows.integer(row, 2));
    // Before version 14, 0 stood for "never analysed" too.
    if (relation.rows_estimate == 0 && relation.bytes > 0) relation.rows_estimate = -1;
  }
  return absl::OkStatus();
}

bool RootIsChosen(const Relations& relations, const Relation& relation, const TableFilter& filter) {
  for (auto parent = relations.find(relation.parent); parent != relations.end();
       parent = relations.find(parent->second.parent)) {
    if (filter.Matches(parent->second.name)) return true;
  }
  return false;
}

// Marks what is chosen. A publication of a partitioned table takes all of its partitions, so a
// partition follows its root whatever the patterns say of its own name.
void Choose(Relations& relations, const TableFilter& filter,
            std::vector<CatalogProblem>& problems) {
  for (auto& [oid, relation] : relations) {
    const bool follows = RootIsChosen(relations, relation, filter);
    if (!follows && !filter.Matches(relation.name)) continue;
    const std::string subject = fmt::format("table {}", relation.name.ToString());
    if (follows && filter.Excludes(relation.name)) {
      problems.push_back(
          {.fatal = true,
           .subject = subject,
           .text = "it is excluded, but its partitioned table is included, and a publication "
                   "takes all partitions",
           .remedy = "exclude the partitioned table and include the wanted partitions by name"});
    }
    if (relation.kind == 'f') {
      problems.push_back({.fatal = false,
                          .subject = subject,
                          .text = "it is a foreign table: its rows are not in this server's log",
                          .remedy = "exclude its partitioned table, or copy these rows yourself"});
      continue;
    }
    if (relation.persistence == 'u') {
      problems.push_back({.fatal = false,
                          .subject = subject,
                          .text = "it is unlogged, so its changes are in no log; it is left out",
                          .remedy = fmt::format("ALTER TABLE {} SET LOGGED, or exclude it",
                                                QuoteTable(relation.name))});
      continue;
    }
    relation.chosen = true;
    relation.published = !follows;
  }
}

// Since version 18 the server refuses to UPDATE and DELETE where a column of the identity is
// generated and no publication of the table sends it; virtual ones are never sent.
absl::Status FindHiddenIdentities(Connection& connection, const std::string& oids,
                                  std::map<Oid, TableParts>& tables, const std::stop_token& stop) {
  if (connection.server_version() < 180000) return absl::OkStatus();
  PGFLOW_ASSIGN_OR_RETURN(
      const Result rows,
      connection.Execute(
          fmt::format(
              "SELECT DISTINCT c.oid FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid "
              "WHERE c.oid = ANY ('{}'::oid[]) AND a.attnum > 0 AND NOT a.attisdropped "
              "AND a.attgenerated <> '' AND (c.relreplident = 'f' OR EXISTS (SELECT FROM pg_index "
              "i WHERE i.indrelid = c.oid AND a.attnum = ANY (i.indkey) AND CASE c.relreplident "
              "WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident ELSE false END)) "
              "AND (a.attgenerated = 'v' OR NOT EXISTS (SELECT FROM pg_publication p "
              "CROSS JOIN LATERAL pg_get_publication_tables(p.pubname) t "
              "WHERE p.pubgencols = 's' AND t.relid = c.oid))",
              oids),
          stop));
  for (int row = 0; row < rows.row_count(); ++row) {
    tables.at(static_cast<Oid>(rows.integer(row, 0))).hides_identity = true;
  }
  return absl::OkStatus();
}

// How many chosen ancestors: parents are created before their partitions.
int DepthOf(const Relations& relations, const Relation& relation) {
  int depth = 0;
  for (auto parent = relations.find(relation.parent);
       parent != relations.end() && parent->second.chosen;
       parent = relations.find(parent->second.parent)) {
    ++depth;
  }
  return depth;
}

TableParts StartTable(const Relations& relations, const Relation& relation) {
  TableParts parts;
  parts.schema = std::make_shared<TableSchema>();
  parts.schema->table = relation.name;
  parts.schema->oid = relation.oid;
  parts.schema->replica_identity = relation.identity;
  parts.definition.table = relation.name;
  parts.definition.partitioned = relation.kind == 'p';
  parts.definition.identity_full = relation.identity == ReplicaIdentity::kFull;
  parts.definition.partition_key_sql = relation.partition_key;
  const auto parent = relations.find(relation.parent);
  // A partition whose root is not chosen stands alone on the target.
  if (parent != relations.end() && parent->second.chosen) {
    parts.definition.parent = parent->second.name;
    parts.definition.partition_bound_sql = relation.partition_bound;
  }
  return parts;
}

// Sets wire types; says why the table's rows cannot travel in binary form, if so.
std::string ApplyTypes(const CatalogTypes& types, TableSchema& schema) {
  std::string obstacle;
  for (Column& column : schema.columns) {
    const TypeFacts facts = types.FactsOf(column.type);
    column.wire_type = facts.wire_type;
    column.labels = facts.labels;
    if (obstacle.empty() && !facts.binary_obstacle.empty()) {
      obstacle = fmt::format("column {}: {}", column.name, facts.binary_obstacle);
    }
  }
  return obstacle;
}

// The publication leaves out a column that an UPDATE or DELETE would need.
void FindKeyProblem(const CatalogTable& table, const std::string& key_left_out,
                    std::vector<CatalogProblem>& problems) {
  if (key_left_out.empty()) return;
  const bool full = table.schema->replica_identity == ReplicaIdentity::kFull;
  problems.push_back(
      {.fatal = table.updated || !full,
       .of_identity = true,
       .subject = fmt::format("table {}", table.schema->table.ToString()),
       .text = fmt::format("the publication's column list leaves out {}, which is part of the "
                           "replica identity: UPDATE and DELETE fail on the source",
                           key_left_out),
       .remedy = "add it to the list, or give the table another REPLICA IDENTITY"});
}

void FindTableProblems(const CatalogTable& table, std::vector<CatalogProblem>& problems) {
  const std::string subject = fmt::format("table {}", table.schema->table.ToString());
  const std::string name = QuoteTable(table.schema->table);
  if (!table.readable) {
    problems.push_back({.fatal = true,
                        .unreadable = table.schema->oid,
                        .subject = subject,
                        .text = "the role may not read it",
                        .remedy = fmt::format("GRANT USAGE ON SCHEMA {} TO <role of the url>; "
                                              "GRANT SELECT ON {} TO <role of the url>",
                                              QuoteIdentifier(table.schema->table.schema), name)});
  }
  if (table.rows_hidden) {
    problems.push_back({.fatal = true,
                        .unreadable = table.schema->oid,
                        .subject = subject,
                        .text = "its row-level security hides rows from the role",
                        .remedy = "ALTER ROLE <role of the url> BYPASSRLS"});
  }
  if (table.hides_identity) {
    problems.push_back(
        {.fatal = table.updated,
         .unpublishable = table.updated ? table.schema->oid : 0,
         .of_identity = true,
         .subject = subject,
         .text = table.updated ? "its replica identity holds a generated column, and it gets "
                                 "UPDATE or DELETE, which would fail on the source once it is "
                                 "published"
                               : "its replica identity holds a generated column: once it is "
                                 "published, UPDATE and DELETE on it fail on the source",
         .remedy =
             fmt::format("give it an identity of other columns: a primary key and ALTER TABLE "
                         "{} REPLICA IDENTITY DEFAULT",
                         name)});
  }
  const bool has_identity =
      table.schema->HasKey() || table.schema->replica_identity == ReplicaIdentity::kFull;
  if (!has_identity && !table.hides_identity) {
    problems.push_back(
        // To publish a table that gets updates would break its application.
        {.fatal = table.updated,
         .unpublishable = table.updated ? table.schema->oid : 0,
         .of_identity = true,
         .subject = subject,
         .text = table.updated ? "it has no replica identity but gets UPDATE or DELETE, which "
                                 "would fail on the source once it is published"
                               : "it has no replica identity: once it is published, UPDATE and "
                                 "DELETE on it fail on the source",
         .remedy = fmt::format("give it a primary key, or ALTER TABLE {} REPLICA IDENTITY FULL, "
                               "or exclude it, unless it only ever gets INSERT",
                               name)});
  }
  if (!table.binary_obstacle.empty()) {
    problems.push_back(
        {.fatal = false,
         .subject = subject,
         .text = fmt::format("{}; it is copied and streamed as text, which is slower",
                             table.binary_obstacle),
         .remedy = ""});
  }
}

absl::StatusOr<std::vector<Oid>> ReadUsedTypes(Connection& connection, const std::string& oids,
                                               const std::stop_token& stop) {
  PGFLOW_ASSIGN_OR_RETURN(
      const Result rows,
      connection.Execute(
          fmt::format("SELECT DISTINCT atttypid FROM pg_attribute WHERE attrelid = ANY "
                      "('{}'::oid[]) AND attnum > 0 AND NOT attisdropped ORDER BY 1",
                      oids),
          stop));
  std::vector<Oid> types;
  types.reserve(static_cast<size_t>(rows.row_count()));
  for (int row = 0; row < rows.row_count(); ++row) {
    types.push_back(static_cast<Oid>(rows.integer(row, 0)));
  }
  return types;
}

// A table with rows, or one that is published whole.
void AddTable(const Relation& relation, TableParts& parts, const CatalogTypes& types,
              const PublishedParts& published, Catalog& catalog) {
  const auto part = published.find(relation.oid);
  const bool whole = part != published.end() && part->second.whole_tree;
  if (whole) {
    // The target's table need not be partitioned, or not in that way.
    parts.definition.partitioned = false;
    parts.definition.parent.reset();
  }
  catalog.definition.tables.push_back(std::move(parts.definition));
  if (relation.kind == 'p' && !whole) return;
  CatalogTable table{.has_primary_key = relation.has_primary_key,
                     .readable = relation.readable,
                     .rows_hidden = relation.rows_hidden,
                     .hides_identity = parts.hides_identity,
                     .updated = relation.updated,
                     .bytes = relation.bytes,
                     .toast_bytes = relation.toast_bytes,
                     .rows_estimate = whole ? 0 : relation.rows_estimate,
                     .filenode = relation.filenode};
  table.binary_obstacle = ApplyTypes(types, *parts.schema);
  if (part != published.end()) table.row_filter = part->second.row_filter;
  table.partitioned = whole;
  table.schema = std::move(parts.schema);
  FindKeyProblem(table, parts.key_left_out, catalog.problems);
  catalog.tables.push_back(std::move(table));
}

// The partitioned table under whose name the rows of `relation` are published, if not its own.
const Relation* WholeTreeOf(const Relations& relations, const Relation& relation,
                            const PublishedParts& published) {
  const Relation* top = nullptr;
  for (auto parent = relations.find(relation.parent); parent != relations.end();
       parent = relations.find(parent->second.parent)) {
    const auto part = published.find(parent->first);
    const bool whole = part != published.end() && part->second.whole_tree;
    if (whole && parent->second.chosen) top = &parent->second;
  }
  return top;
}

// Partitions of a table that is published whole are no tables of their own.
void FoldLeaves(const Relations& relations, const PublishedParts& published, Catalog& catalog) {
  std::set<TableName> folded;
  for (const auto& [oid, relation] : relations) {
    const Relation* tree = WholeTreeOf(relations, relation, published);
    if (tree == nullptr) continue;
    folded.insert(relation.name);
    if (relation.kind == 'p') continue;
    if (!relation.chosen) {
      catalog.problems.push_back(
          {.fatal = true,
           .subject = fmt::format("table {}", relation.name.ToString()),
           .text = fmt::format("it is a foreign or unlogged partition of {}, which is published "
                               "whole",
                               tree->name.ToString()),
           .remedy = "detach it, or set publish_via_partition_root = false"});
      continue;
    }
    CatalogTable& table = *std::ranges::find(catalog.tables, tree->oid,
                                             [](const CatalogTable& t) { return t.schema->oid; });
    table.leaves.emplace(oid, relation.filenode);
    table.updated |= relation.updated;
    table.bytes += relation.bytes;
    table.toast_bytes += relation.toast_bytes;
    const bool known = table.rows_estimate >= 0 && relation.rows_estimate >= 0;
    table.rows_estimate = known ? table.rows_estimate + relation.rows_estimate : -1;
  }
  std::erase_if(catalog.tables,
                [&](const CatalogTable& table) { return folded.contains(table.schema->table); });
  std::erase_if(catalog.definition.tables,
                [&](const TableDefinition& table) { return folded.contains(table.table); });
}

// A database without tables may get some; patterns that name none of many are misspelt.
CatalogProblem NothingChosen(const Relations& relations, const TableFilter& filter,
                             const Connection& connection) {
  const bool misspelt = !relations.empty() && filter.has_patterns();
  return {.fatal = misspelt,
          .nothing_chosen = true,
          .subject = "tables",
          .text = misspelt
                      ? fmt::format("no table of {} matches tables.include / tables.exclude ({} "
                                    "tables were looked at; patterns are schema.table, and case "
                                    "counts)",
                                    connection.display_name(), relations.size())
                      : fmt::format("{} has no table yet", connection.display_name()),
          .remedy = misspelt ? "change tables.include or tables.exclude" : ""};
}

}  // namespace

namespace {

absl::StatusOr<Catalog> ReadInTransaction(Connection& connection, const TableFilter& filter,
                                          CatalogDepth depth, const std::stop_token& stop,
                                          const PublishedParts& published) {
  Catalog catalog;
  PGFLOW_ASSIGN_OR_RETURN(Relations relations, ReadRelations(connection, stop));
  Choose(relations, filter, catalog.problems);
  std::vector<const Relation*> chosen;
  std::vector<Oid> oids;
  std::vector<TableName> names;
  for (const auto& [oid, relation] : relations) {
    names.push_back(relation.name);
    if (!relation.chosen) continue;
    chosen.push_back(&relation);
    oids.push_back(oid);
    if (relation.published) catalog.published.push_back(relation.name);
  }
  if (chosen.empty()) {
    catalog.problems.push_back(NothingChosen(relations, filter, connection));
    return catalog;
  }
  for (const std::string& pattern : filter.PatternsWithout(names)) {
    catalog.problems.push_back({.fatal = false,
                                .subject = fmt::format("tables.include '{}'", pattern),
                                .text = "no table matches it",
                                .remedy = "check the spelling; case counts"});
  }
  std::ranges::sort(catalog.published);
  const std::string oid_list = OidArray(oids);
  if (depth >= CatalogDepth::kDefinitions) {
    PGFLOW_RETURN_IF_ERROR(ReadPartitioning(connection, oid_list, relations, stop));
  }
  if (depth >= CatalogDepth::kSizes) {
    PGFLOW_RETURN_IF_ERROR(ReadSizes(connection, oid_list, relations, stop));
  }
  std::map<Oid, TableParts> parts;
  for (const Relation* relation : chosen) {
    parts.emplace(relation->oid, StartTable(relations, *relation));
  }
  PGFLOW_RETURN_IF_ERROR(ReadColumns(connection, oid_list, depth, published, parts, stop));
  PGFLOW_RETURN_IF_ERROR(ReadKeys(connection, oid_list, depth, parts, stop));
  PGFLOW_RETURN_IF_ERROR(FindHiddenIdentities(connection, oid_list, parts, stop));

  PGFLOW_ASSIGN_OR_RETURN(std::vector<Oid> type_oids, ReadUsedTypes(connection, oid_list, stop));
  std::optional<CatalogObjects> needed;
  if (depth >= CatalogDepth::kDefinitions) {
    PGFLOW_ASSIGN_OR_RETURN(needed, CatalogObjects::Read(connection, oids, stop));
    const std::vector<Oid> more = needed->Types();
    type_oids.insert(type_oids.end(), more.begin(), more.end());
  }
  PGFLOW_ASSIGN_OR_RETURN(const CatalogTypes types,
                          CatalogTypes::Read(connection, type_oids, stop));
  if (needed.has_value()) {
    std::map<Oid, TableName> chosen_names;
    for (const Relation* relation : chosen) chosen_names.emplace(relation->oid, relation->name);
    needed->Define(types, chosen_names, catalog.definition, catalog.problems);
  }

  std::ranges::sort(chosen, [&](const Relation* a, const Relation* b) {
    return std::pair(DepthOf(relations, *a), a->name) < std::pair(DepthOf(relations, *b), b->name);
  });
  for (const Relation* relation : chosen) {
    AddTable(*relation, parts.at(relation->oid), types, published, catalog);
  }
  FoldLeaves(relations, published, catalog);
  for (const CatalogTable& table : catalog.tables) FindTableProblems(table, catalog.problems);
  std::ranges::sort(catalog.tables, {},
                    [](const CatalogTable& table) { return table.schema->table; });
  return catalog;
}

}  // namespace

// A command that runs meanwhile is seen whole, or not at all: a table that is being dropped would
// seem to have no key.
absl::StatusOr<Catalog> ReadCatalog(Connection& connection, const TableFilter& filter,
                                    CatalogDepth depth, std::stop_token stop,
                                    const PublishedParts& published) {
  if (connection.in_transaction()) {
    return ReadInTransaction(connection, filter, depth, stop, published);
  }
  return postgres::AskAgain([&]() -> absl::StatusOr<Catalog> {
    PGFLOW_RETURN_IF_ERROR(
        connection.Execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", stop).status());
    absl::StatusOr<Catalog> catalog = ReadInTransaction(connection, filter, depth, stop, published);
    if (connection.healthy()) {
      PGFLOW_RETURN_IF_ERROR(connection.Execute(catalog.ok() ? "COMMIT" : "ROLLBACK").status());
    }
    return catalog;
  });
}

absl::StatusOr<std::map<std::string, int16_t>> ReadAttributeNumbers(Connection& connection,
                                                                    Oid relation,
                                                                    std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(
      const Result rows,
      connection.Execute(fmt::format("SELECT attname, attnum FROM pg_attribute WHERE attrelid = {} "
                                     "AND attnum > 0 AND NOT attisdropped",
                                     relation),
                         stop));
  std::map<std::string, int16_t> numbers;
  for (int row = 0; row < rows.row_count(); ++row) {
    numbers.emplace(rows.text(row, 0), static_cast<int16_t>(rows.integer(row, 1)));
  }
  return numbers;
}

}  // namespace pgflow::schemas
