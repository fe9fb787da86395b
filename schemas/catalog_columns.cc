#include "schemas/catalog_columns.h"

#include <algorithm>
#include <utility>

#include "base/status.h"

namespace pgflow::schemas {
namespace {

using postgres::Connection;
using postgres::Oid;
using postgres::Result;

// Joins, and no questions for each row: there may be a hundred thousand of them. Of an index only
// the key counts, not the columns that it includes; and a deferrable one does not count at all
// (RelationGetIndexList).
constexpr std::string_view kColumnsQuery =
    "SELECT a.attrelid, a.attnum, a.attname, a.atttypid, a.atttypmod, "
    "format_type(a.atttypid, NULL), format_type(a.atttypid, a.atttypmod), {2}, "
    "a.attidentity, a.attgenerated, {1}, "
    "CASE WHEN a.attcollation <> t.typcollation THEN "
    "(SELECT format('%I.%I', n.nspname, k.collname) FROM pg_collation k "
    "JOIN pg_namespace n ON n.oid = k.collnamespace WHERE k.oid = a.attcollation) END, "
    "c.relreplident = 'f' OR coalesce("
    "a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1]), false), {4} "
    "FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid "
    "JOIN pg_type t ON t.oid = a.atttypid "
    "LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.atthasdef "
    "LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisvalid AND i.indimmediate "
    "AND CASE c.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident "
    "ELSE false END {3} "
    "WHERE a.attrelid = ANY ('{0}'::oid[]) AND a.attnum > 0 AND NOT a.attisdropped "
    "ORDER BY a.attrelid, a.attnum";

// From version 18 rows of before it may have no value, and heirs do without it.
constexpr std::string_view kNotNullJoin =
    "LEFT JOIN pg_constraint k ON k.conrelid = a.attrelid AND k.contype = 'n' "
    "AND k.conkey = ARRAY[a.attnum] AND a.attnotnull";

// Without a list of its own a publication carries all columns but the generated ones.
bool IsPublished(const PublishedParts& parts, Oid table, const ColumnDefinition& column) {
  const auto part = parts.find(table);
  if (part == parts.end() || part->second.columns.empty()) return column.generated == '\0';
  return std::ranges::binary_search(part->second.columns, column.attribute_number);
}

// The sequences of identity columns, and those in defaults.
constexpr std::string_view kSequencesQuery =
    "WITH of_column(relation, number, sequence) AS ("
    "SELECT d.refobjid, d.refobjsubid, d.objid FROM pg_depend d WHERE d.classid = "
    "'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype = 'i' "
    "AND d.refobjsubid > 0 AND d.refobjid = ANY ('{0}'::oid[]) "
    "UNION ALL SELECT a.adrelid, a.adnum, d.refobjid FROM pg_attrdef a JOIN pg_depend d "
    "ON d.classid = 'pg_attrdef'::regclass AND d.objid = a.oid "
    "AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> a.adrelid "
    "WHERE a.adrelid = ANY ('{0}'::oid[])) "
    "SELECT o.relation, o.number, format_type(s.seqtypid, NULL), format('INCREMENT BY %s MINVALUE "
    "%s MAXVALUE %s START WITH %s CACHE %s%s', s.seqincrement, s.seqmin, s.seqmax, s.seqstart, "
    "s.seqcache, CASE WHEN s.seqcycle THEN ' CYCLE' END) "
    "FROM of_column o JOIN pg_sequence s ON s.seqrelid = o.sequence";

// The column that a row is about, which begins with its table and its number. Null: it is not
// there.
template <typename C>
C* ColumnOf(std::vector<C>& columns, const Result& rows, int row) {
  const auto column =
      std::ranges::find(columns, static_cast<int16_t>(rows.integer(row, 1)), &C::attribute_number);
  return column == columns.end() ? nullptr : &*column;
}

TableParts& TableOf(std::map<Oid, TableParts>& tables, const Result& rows, int row) {
  return tables.at(static_cast<Oid>(rows.integer(row, 0)));
}

absl::Status ReadSequences(Connection& connection, const std::string& oids,
                           std::map<Oid, TableParts>& tables, const std::stop_token& stop) {
  PGFLOW_ASSIGN_OR_RETURN(
      const Result rows,
      connection.Execute(fmt::format(fmt::runtime(kSequencesQuery), oids), stop));
  for (int row = 0; row < rows.row_count(); ++row) {
    ColumnDefinition* column = ColumnOf(TableOf(tables, rows, row).definition.columns, rows, row);
    if (column == nullptr) continue;
    column->sequence_type = rows.text(row, 2);
    column->sequence_sql = rows.text(row, 3);
  }
  return absl::OkStatus();
}

// Only when the whole key is published: a part of it names no row.
void MarkPrimaryKey(TableParts& table) {
  if (!table.definition.primary_key.has_value()) return;
  const std::vector<int16_t>& numbers = table.definition.primary_key->attribute_numbers;
  const auto place_of = [&numbers](const Column& column) {
    const auto found = std::ranges::find(numbers, column.attribute_number);
    return static_cast<int16_t>(found == numbers.end() ? 0 : found - numbers.begin() + 1);
  };
  std::vector<Column>& columns = table.schema->columns;
  const auto marked = [&](const Column& column) { return place_of(column) > 0; };
  if (std::ranges::count_if(columns, marked) != std::ssize(numbers)) return;
  for (Column& column : columns) column.primary_key = place_of(column);
}

// The columns whose values decide what is equal in a unique index: those of its key, and those that
// its expressions and its predicate name. Which those are, the catalog tells only together with the
// included ones: all that the index depends on.
constexpr std::string_view kUniqueIndexesQuery =
    "SELECT i.indrelid, a.number, min(c.relname::text), bool_or(a.by_text OR {1}) FROM pg_index i "
    "JOIN pg_class c ON c.oid = i.indexrelid "
    "CROSS JOIN LATERAL (SELECT (i.indkey::int2[])[0:i.indnkeyatts - 1] AS numbers) key "
    "CROSS JOIN LATERAL ("
    "SELECT k.number, false AS by_text FROM unnest(key.numbers) k(number) WHERE k.number > 0 "
    "UNION SELECT d.refobjsubid, true FROM pg_depend d WHERE d.classid = 'pg_class'::regclass "
    "AND d.objid = i.indexrelid AND d.refclassid = 'pg_class'::regclass "
    "AND d.refobjid = i.indrelid AND d.refobjsubid > 0 AND d.refobjsubid <> ALL (key.numbers) "
    "AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL)) a "
    "WHERE i.indisunique AND i.indisvalid AND NOT i.indisprimary "
    "AND i.indrelid = ANY ('{0}'::oid[]) GROUP BY 1, 2";

absl::Status ReadUniqueIndexes(Connection& connection, const std::string& oids,
                               std::map<Oid, TableParts>& tables, const std::stop_token& stop) {
  PGFLOW_ASSIGN_OR_RETURN(
      const Result rows,
      connection.Execute(
          fmt::format(fmt::runtime(kUniqueIndexesQuery), oids,
                      connection.server_version() >= 150000 ? "i.indnullsnotdistinct" : "false"),
          stop));
  for (int row = 0; row < rows.row_count(); ++row) {
    Column* column = ColumnOf(TableOf(tables, rows, row).schema->columns, rows, row);
    if (column == nullptr) continue;
    column->unique_index = rows.text(row, 2);
    column->unique_nulls = rows.boolean(row, 3);
  }
  return absl::OkStatus();
}

// Of columns: a label of a whole table masks no value. Partitions have their root's where they have
// none of their own.
absl::Status ReadMaskLabels(Connection& connection, const std::string& oids,
                            std::map<Oid, TableParts>& tables, const std::stop_token& stop) {
  for (auto& [oid, table] : tables) {
    for (Column& column : table.schema->columns) column.mask_label.emplace();
  }
  PGFLOW_ASSIGN_OR_RETURN(
      const Result rows,
      connection.Execute(
          fmt::format(
              "WITH RECURSIVE labelled AS ("
              "SELECT l.objoid AS relation, a.attname, l.label, 0 AS depth "
              "FROM pg_seclabel l JOIN pg_attribute a ON a.attrelid = l.objoid "
              "AND a.attnum = l.objsubid "
              "WHERE l.classoid = 'pg_class'::regclass AND l.provider = 'anon' "
              "UNION ALL SELECT i.inhrelid, r.attname, r.label, r.depth + 1 FROM labelled r "
              "JOIN pg_inherits i ON i.inhparent = r.relation "
              "JOIN pg_class c ON c.oid = i.inhrelid AND c.relispartition) "
              "SELECT a.attrelid, a.attnum, r.label FROM labelled r "
              "JOIN pg_attribute a ON a.attrelid = r.relation AND a.attname = r.attname "
              "WHERE a.attrelid = ANY ('{}'::oid[]) AND NOT a.attisdropped "
              "ORDER BY r.depth DESC",
              oids),
          stop));
  for (int row = 0; row < rows.row_count(); ++row) {
    Column* column = ColumnOf(TableOf(tables, rows, row).schema->columns, rows, row);
    if (column != nullptr) column->mask_label = rows.text(row, 2);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ReadColumns(Connection& connection, const std::string& oids, CatalogDepth depth,
                         const PublishedParts& parts, std::map<Oid, TableParts>& tables,
                         const std::stop_token& stop) {
  // The default of a column that is not generated names no column, so that it can be read without
  // the table, whose lock would have to be waited for.
  const bool whole = depth >= CatalogDepth::kDefinitions;
  const bool names_not_null = connection.server_version() >= 180000;
  PGFLOW_ASSIGN_OR_RETURN(
      const Result rows,
      connection.Execute(
          fmt::format(
              fmt::runtime(kColumnsQuery), oids,
              whole ? "pg_get_expr(d.adbin, d.adrelid)"
                    : "CASE WHEN a.attgenerated = '' THEN pg_get_expr(d.adbin, 0) END",
              names_not_null ? "a.attnotnull AND coalesce(k.convalidated, true)" : "a.attnotnull",
              names_not_null ? kNotNullJoin : "",
              names_not_null ? "coalesce(k.connoinherit, false)" : "false"),
          stop));
  for (int row = 0; row < rows.row_count(); ++row) {
    const Oid oid = static_cast<Oid>(rows.integer(row, 0));
    TableParts& table = tables.at(oid);
    ColumnDefinition definition;
    definition.attribute_number = static_cast<int16_t>(rows.integer(row, 1));
    definition.name = rows.text(row, 2);
    definition.type_sql = rows.text(row, 6);
    const bool not_null = rows.boolean(row, 7);
    definition.not_null = not_null && !rows.boolean(row, 13);
    if (!rows.at(row, 8).empty()) definition.identity = rows.at(row, 8)[0];
    if (!rows.at(row, 9).empty()) definition.generated = rows.at(row, 9)[0];
    definition.default_sql = rows.text(row, 10);
    definition.collation_sql = rows.text(row, 11);
    if (!IsPublished(parts, oid, definition)) {
      // A generated column is never part of what an identity sends (FindHiddenIdentities, for 18).
      if (rows.boolean(row, 12) && definition.generated == '\0') {
        table.key_left_out = definition.name;
      }
    } else {
      Column column;
      column.name = definition.name;
      column.type = static_cast<Oid>(rows.integer(row, 3));
      column.type_modifier = static_cast<int32_t>(rows.integer(row, 4));
      column.attribute_number = definition.attribute_number;
      column.identity = rows.boolean(row, 12);
      column.type_name = rows.text(row, 5);
      column.not_null = not_null;
      if (definition.generated == '\0') column.default_sql = definition.default_sql;
      table.schema->columns.push_back(std::move(column));
    }
    table.definition.columns.push_back(std::move(definition));
  }
  return whole ? ReadSequences(connection, oids, tables, stop) : absl::OkStatus();
}

absl::Status ReadKeys(Connection& connection, const std::string& oids, CatalogDepth depth,
                      std::map<Oid, TableParts>& tables, const std::stop_token& stop) {
  PGFLOW_ASSIGN_OR_RETURN(
      const Result keys,
      connection.Execute(
          fmt::format(
              "SELECT k.conrelid, k.conname, k.condeferrable, a.attnum, {} FROM pg_constraint k "
              "CROSS JOIN LATERAL unnest(k.conkey) WITH ORDINALITY a(attnum, place) "
              "WHERE k.contype = 'p' AND k.conrelid = ANY ('{}'::oid[]) "
              "ORDER BY k.conrelid, a.place",
              connection.server_version() >= 180000 ? "k.conperiod" : "false", oids),
          stop));
  for (int row = 0; row < keys.row_count(); ++row) {
    TableParts& table = tables.at(static_cast<Oid>(keys.integer(row, 0)));
    std::optional<PrimaryKey>& key = table.definition.primary_key;
    if (!key.has_value()) {
      key = PrimaryKey{keys.text(row, 1), {}, keys.boolean(row, 2), keys.boolean(row, 4)};
    }
    key->attribute_numbers.push_back(static_cast<int16_t>(keys.integer(row, 3)));
  }
  for (auto& [oid, table] : tables) MarkPrimaryKey(table);
  PGFLOW_RETURN_IF_ERROR(ReadUniqueIndexes(connection, oids, tables, stop));
  PGFLOW_RETURN_IF_ERROR(ReadMaskLabels(connection, oids, tables, stop));
  if (depth < CatalogDepth::kDefinitions) return absl::OkStatus();
  PGFLOW_ASSIGN_OR_RETURN(
      const Result indexes,
      connection.Execute(
          fmt::format(
              "SELECT i.indrelid, CASE WHEN i.indisexclusion THEN (SELECT format('ALTER "
              "TABLE %s ADD CONSTRAINT %I %s', i.indrelid::regclass, k.conname, "
              "pg_get_constraintdef(k.oid)) FROM pg_constraint k WHERE k.conindid = "
              "i.indexrelid AND k.contype = 'u') ELSE pg_get_indexdef(i.indexrelid) END "
              "FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid WHERE c.relreplident = 'i' "
              "AND i.indisreplident AND i.indrelid = ANY ('{}'::oid[])",
              oids),
          stop));
  for (int row = 0; row < indexes.row_count(); ++row) {
    tables.at(static_cast<Oid>(indexes.integer(row, 0))).definition.identity_index_sql =
        indexes.text(row, 1);
  }
  return absl::OkStatus();
}

}  // namespace pgflow::schemas
