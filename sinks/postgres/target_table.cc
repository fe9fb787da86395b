#include "sinks/postgres/target_table.h"

#include <array>
#include <utility>

#include "base/status.h"

namespace pgflow::sinks {
namespace {

using postgres::Parameter;

constexpr const char* kTableSql =
    "SELECT c.oid, c.relkind,"
    " EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid AND t.tgenabled IN "
    "('O','A')),"
    " EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid AND t.tgenabled IN "
    "('R','A')),"
    " c.reltype, COALESCE((SELECT t.typarray FROM pg_catalog.pg_type t WHERE t.oid = c.reltype), 0)"
    " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p', 'f', 'v')";

constexpr const char* kColumnsSql =
    "WITH RECURSIVE base(attnum, type) AS ("
    "  SELECT a.attnum, a.atttypid FROM pg_catalog.pg_attribute a"
    "   WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped"
    "  UNION ALL"
    "  SELECT b.attnum, t.typbasetype FROM base b JOIN pg_catalog.pg_type t ON t.oid = b.type"
    "   WHERE t.typtype = 'd')"
    " SELECT a.attname, a.atttypid, pg_catalog.format_type(a.atttypid, a.atttypmod),"
    " pg_catalog.format_type(a.atttypid, NULL), t.oid, pg_catalog.format_type(t.oid, NULL),"
    " t.typtype, t.typarray, CASE WHEN t.typcategory = 'A' THEN t.typelem ELSE 0 END,"
    " a.atttypmod, a.attnotnull, a.atthasdef, a.attgenerated <> '', a.attidentity = 'a',"
    " COALESCE(co.collisdeterministic, true),"
    " (SELECT pg_catalog.format('OPERATOR(%I.%s)', n.nspname, o.oprname)"
    "  FROM pg_catalog.pg_opclass k"
    "  JOIN pg_catalog.pg_am m ON m.oid = k.opcmethod AND m.amname = 'btree'"
    "  JOIN pg_catalog.pg_amop e ON e.amopfamily = k.opcfamily AND e.amopstrategy = 3"
    "   AND e.amoplefttype = t.oid AND e.amoprighttype = t.oid"
    "  JOIN pg_catalog.pg_operator o ON o.oid = e.amopopr"
    "  JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace"
    "  WHERE k.opcdefault AND k.opcintype = t.oid AND n.nspname <> 'pg_catalog')"
    " FROM pg_catalog.pg_attribute a JOIN base b ON b.attnum = a.attnum"
    " JOIN pg_catalog.pg_type t ON t.oid = b.type AND t.typtype <> 'd'"
    " LEFT JOIN pg_catalog.pg_collation co ON co.oid = a.attcollation"
    " WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum";

constexpr const char* kIndexesSql =
    "SELECT i.indexrelid, i.indisprimary, a.attname FROM pg_catalog.pg_index i"
    " CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY k(attnum, n)"
    " JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum"
    " WHERE i.indrelid = $1::oid AND i.indisunique AND i.indisvalid AND i.indimmediate"
    " AND i.indpred IS NULL AND i.indexprs IS NULL AND k.n <= i.indnkeyatts"
    " ORDER BY i.indisprimary DESC, i.indexrelid, k.n";

TargetColumn ReadColumn(const postgres::Result& rows, int row) {
  TargetColumn column;
  column.name = rows.text(row, 0);
  column.type = static_cast<postgres::Oid>(rows.integer(row, 1));
  column.type_sql = rows.text(row, 2);
  column.type_name = rows.text(row, 3);
  column.base_type = static_cast<postgres::Oid>(rows.integer(row, 4));
  column.base_type_name = rows.text(row, 5);
  column.base_kind = rows.at(row, 6).front();
  column.base_array_type = static_cast<postgres::Oid>(rows.integer(row, 7));
  column.base_element_type = static_cast<postgres::Oid>(rows.integer(row, 8));
  column.type_modifier = static_cast<int32_t>(rows.integer(row, 9));
  column.not_null = rows.boolean(row, 10);
  column.has_default = rows.boolean(row, 11);
  column.generated = rows.boolean(row, 12);
  column.identity_always = rows.boolean(row, 13);
  column.deterministic = rows.boolean(row, 14);
  if (!rows.is_null(row, 15)) column.equals_operator = rows.text(row, 15);
  return column;
}

void ReadIndexes(const postgres::Result& rows, TargetTable& table) {
  std::string_view current;
  for (int row = 0; row < rows.row_count(); ++row) {
    if (rows.at(row, 0) != current) {
      current = rows.at(row, 0);
      table.unique_indexes.push_back({{}, rows.boolean(row, 1)});
    }
    table.unique_indexes.back().columns.push_back(rows.text(row, 2));
  }
}

}  // namespace

const TargetColumn* TargetTable::FindColumn(std::string_view column) const {
  for (const TargetColumn& candidate : columns) {
    if (candidate.name == column) return &candidate;
  }
  return nullptr;
}

absl::StatusOr<TargetTablePtr> LoadTargetTable(postgres::Connection& connection,
                                               const schemas::TableName& name,
                                               std::stop_token stop) {
  const std::array by_name = {Parameter::Text(name.schema), Parameter::Text(name.name)};
  PGFLOW_ASSIGN_OR_RETURN(const postgres::Result found,
                          connection.ExecuteParams(kTableSql, by_name, stop));
  if (found.row_count() == 0) return TargetTablePtr();
  auto table = std::make_shared<TargetTable>();
  table->oid = static_cast<postgres::Oid>(found.integer(0, 0));
  table->name = name;
  table->kind = found.at(0, 1).front();
  table->fires_as_origin = found.boolean(0, 2);
  table->fires_as_replica = found.boolean(0, 3);
  table->row_type = static_cast<postgres::Oid>(found.integer(0, 4));
  table->row_array_type = static_cast<postgres::Oid>(found.integer(0, 5));

  const std::string oid = std::to_string(table->oid);
  const std::array by_oid = {Parameter::Text(oid)};
  PGFLOW_ASSIGN_OR_RETURN(const postgres::Result columns,
                          connection.ExecuteParams(kColumnsSql, by_oid, stop));
  for (int row = 0; row < columns.row_count(); ++row) {
    table->columns.push_back(ReadColumn(columns, row));
  }
  PGFLOW_ASSIGN_OR_RETURN(const postgres::Result indexes,
                          connection.ExecuteParams(kIndexesSql, by_oid, stop));
  ReadIndexes(indexes, *table);
  return TargetTablePtr(std::move(table));
}

}  // namespace pgflow::sinks
