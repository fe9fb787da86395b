#include "sinks/postgres/target_table.h"

#include <array>
#include <utility>

#include <fmt/ranges.h>

#include "base/status.h"
#include "sinks/postgres/tables_query.h"

namespace pgflow::sinks {
namespace {

using postgres::Parameter;

// {}: a list of ('schema', 'name').
constexpr const char* kTablesSql =
    "SELECT c.oid, n.nspname, c.relname, c.relkind,"
    " EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid AND t.tgenabled IN "
    "('O','A')),"
    " EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid AND t.tgenabled IN "
    "('R','A')),"
    " c.reltype, COALESCE((SELECT t.typarray FROM pg_catalog.pg_type t WHERE t.oid = c.reltype), "
    "0),"
    " EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal"
    "  AND t.tgenabled IN ('O','A')) OR EXISTS (SELECT FROM pg_catalog.pg_rewrite r"
    "  WHERE r.ev_class = c.oid AND r.ev_type <> '1' AND r.ev_enabled IN ('O','A')),"
    " EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal"
    "  AND t.tgenabled IN ('R','A')) OR EXISTS (SELECT FROM pg_catalog.pg_rewrite r"
    "  WHERE r.ev_class = c.oid AND r.ev_type <> '1' AND r.ev_enabled IN ('R','A'))"
    " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " JOIN (VALUES {}) wanted(schema, name) ON n.nspname = wanted.schema"
    " AND c.relname = wanted.name WHERE c.relkind IN ('r', 'p', 'f', 'v')";

constexpr const char* kColumnsSql =
    "WITH RECURSIVE base(relation, attnum, type, modifier) AS ("
    "  SELECT a.attrelid, a.attnum, a.atttypid, a.atttypmod FROM pg_catalog.pg_attribute a"
    "   WHERE a.attrelid {0} AND a.attnum > 0 AND NOT a.attisdropped"
    "  UNION ALL"
    "  SELECT b.relation, b.attnum, t.typbasetype,"
    "   CASE b.modifier WHEN -1 THEN t.typtypmod ELSE b.modifier END FROM base b"
    "   JOIN pg_catalog.pg_type t ON t.oid = b.type WHERE t.typtype = 'd')"
    " SELECT a.attrelid, a.attname, a.atttypid, pg_catalog.format_type(a.atttypid, a.atttypmod),"
    " pg_catalog.format_type(a.atttypid, NULL), t.oid, pg_catalog.format_type(t.oid, NULL),"
    " t.typtype, t.typarray, CASE WHEN t.typcategory = 'A' THEN t.typelem ELSE 0 END,"
    " a.atttypmod, a.attnotnull, a.atthasdef OR a.attidentity <> '', a.attgenerated <> '', "
    "a.attidentity = 'a',"
    " COALESCE(co.collisdeterministic, true),"
    " (SELECT pg_catalog.format('OPERATOR(%I.%s)', n.nspname, o.oprname)"
    "  FROM pg_catalog.pg_opclass k"
    "  JOIN pg_catalog.pg_am m ON m.oid = k.opcmethod AND m.amname = 'btree'"
    "  JOIN pg_catalog.pg_amop e ON e.amopfamily = k.opcfamily AND e.amopstrategy = 3"
    "   AND e.amoplefttype = t.oid AND e.amoprighttype = t.oid"
    "  JOIN pg_catalog.pg_operator o ON o.oid = e.amopopr"
    "  JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace"
    "  WHERE k.opcdefault AND k.opcintype = t.oid AND n.nspname <> 'pg_catalog'),"
    " b.modifier"
    " FROM pg_catalog.pg_attribute a JOIN base b ON b.relation = a.attrelid AND b.attnum = a.attnum"
    " JOIN pg_catalog.pg_type t ON t.oid = b.type AND t.typtype <> 'd'"
    " LEFT JOIN pg_catalog.pg_collation co ON co.oid = a.attcollation"
    " WHERE a.attrelid {0} AND a.attnum > 0 AND NOT a.attisdropped"
    " ORDER BY a.attrelid, a.attnum";

constexpr const char* kIndexesSql =
    "SELECT i.indrelid, i.indexrelid, i.indisprimary, a.attname FROM pg_catalog.pg_index i"
    " CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY k(attnum, n)"
    " JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum"
    " WHERE i.indrelid {0} AND i.indisunique AND i.indisvalid AND i.indimmediate"
    " AND i.indpred IS NULL AND i.indexprs IS NULL AND k.n <= i.indnkeyatts"
    " ORDER BY i.indrelid, i.indisprimary DESC, i.indexrelid, k.n";

TargetColumn ReadColumn(const postgres::Result& rows, int row) {
  TargetColumn column;
  column.name = rows.text(row, 1);
  column.type = static_cast<postgres::Oid>(rows.integer(row, 2));
  column.type_sql = rows.text(row, 3);
  column.type_name = rows.text(row, 4);
  column.base_type = static_cast<postgres::Oid>(rows.integer(row, 5));
  column.base_type_name = rows.text(row, 6);
  column.base_kind = rows.at(row, 7).front();
  column.base_array_type = static_cast<postgres::Oid>(rows.integer(row, 8));
  column.base_element_type = static_cast<postgres::Oid>(rows.integer(row, 9));
  column.type_modifier = static_cast<int32_t>(rows.integer(row, 10));
  column.not_null = rows.boolean(row, 11);
  column.has_default = rows.boolean(row, 12);
  column.generated = rows.boolean(row, 13);
  column.identity_always = rows.boolean(row, 14);
  column.deterministic = rows.boolean(row, 15);
  if (!rows.is_null(row, 16)) column.equals_operator = rows.text(row, 16);
  column.base_modifier = static_cast<int32_t>(rows.integer(row, 17));
  return column;
}

absl::StatusOr<postgres::Result> FindTables(postgres::Connection& connection,
                                            std::span<const schemas::TableName> names,
                                            std::stop_token stop) {
  if (names.size() == 1) {
    return connection.ExecuteKept(
        fmt::format(fmt::runtime(kTablesSql), "($1::text, $2::text)"),
        std::array{Parameter::Text(names.front().schema), Parameter::Text(names.front().name)},
        std::move(stop));
  }
  std::vector<std::string> wanted;
  wanted.reserve(names.size());
  for (const schemas::TableName& name : names) {
    wanted.push_back(fmt::format("({}, {})", connection.QuoteLiteral(name.schema),
                                 connection.QuoteLiteral(name.name)));
  }
  return connection.Execute(fmt::format(fmt::runtime(kTablesSql), fmt::join(wanted, ", ")),
                            std::move(stop));
}

using TablesByOid = std::map<postgres::Oid, std::shared_ptr<TargetTable>>;

void ReadIndexes(const postgres::Result& rows, const TablesByOid& tables) {
  std::string_view current;
  for (int row = 0; row < rows.row_count(); ++row) {
    TargetTable& table = *tables.at(static_cast<postgres::Oid>(rows.integer(row, 0)));
    if (rows.at(row, 1) != current) {
      current = rows.at(row, 1);
      table.unique_indexes.push_back({{}, rows.boolean(row, 2)});
    }
    table.unique_indexes.back().columns.push_back(rows.text(row, 3));
  }
}

}  // namespace

std::string TargetColumn::Compared(std::string sql) const {
  if (type == base_type || base_kind == 'b') return sql;
  return std::move(sql) + "::" + base_type_name;
}

const TargetColumn* TargetTable::FindColumn(std::string_view column) const {
  for (const TargetColumn& candidate : columns) {
    if (candidate.name == column) return &candidate;
  }
  return nullptr;
}

absl::StatusOr<TargetTables> LoadTargetTables(postgres::Connection& connection,
                                              std::span<const schemas::TableName> names,
                                              std::stop_token stop) {
  TargetTables tables;
  if (names.empty()) return tables;
  PGFLOW_ASSIGN_OR_RETURN(const postgres::Result found, FindTables(connection, names, stop));
  TablesByOid by_oid;
  std::vector<postgres::Oid> oids;
  for (int row = 0; row < found.row_count(); ++row) {
    auto table = std::make_shared<TargetTable>();
    table->oid = static_cast<postgres::Oid>(found.integer(row, 0));
    table->name = {found.text(row, 1), found.text(row, 2)};
    table->kind = found.at(row, 3).front();
    table->fires_as_origin = found.boolean(row, 4);
    table->fires_as_replica = found.boolean(row, 5);
    table->row_type = static_cast<postgres::Oid>(found.integer(row, 6));
    table->row_array_type = static_cast<postgres::Oid>(found.integer(row, 7));
    table->watched_as_origin = found.boolean(row, 8);
    table->watched_as_replica = found.boolean(row, 9);
    oids.push_back(table->oid);
    tables.emplace(table->name, table);
    by_oid.emplace(table->oid, std::move(table));
  }
  if (oids.empty()) return tables;
  PGFLOW_ASSIGN_OR_RETURN(const postgres::Result columns,
                          QueryTables(connection, kColumnsSql, oids, stop));
  for (int row = 0; row < columns.row_count(); ++row) {
    by_oid.at(static_cast<postgres::Oid>(columns.integer(row, 0)))
        ->columns.push_back(ReadColumn(columns, row));
  }
  PGFLOW_ASSIGN_OR_RETURN(const postgres::Result indexes,
                          QueryTables(connection, kIndexesSql, oids, stop));
  ReadIndexes(indexes, by_oid);
  PGFLOW_ASSIGN_OR_RETURN(CascadesByTable cascades, LoadCascades(connection, oids, stop));
  for (auto& [oid, found_cascades] : cascades) {
    by_oid.at(oid)->cascades = std::move(found_cascades);
  }
  return tables;
}

absl::StatusOr<TargetTablePtr> LoadTargetTable(postgres::Connection& connection,
                                               const schemas::TableName& name,
                                               std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(const TargetTables tables,
                          LoadTargetTables(connection, {&name, 1}, std::move(stop)));
  const auto table = tables.find(name);
  return table == tables.end() ? nullptr : table->second;
}

}  // namespace pgflow::sinks
