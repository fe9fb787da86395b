#include "sinks/postgres/target_cascades.h"

#include <array>

#include <fmt/ranges.h>

#include "base/status.h"
#include "sinks/postgres/tables_query.h"

namespace pgflow::sinks {
namespace {

using postgres::Oid;
using postgres::Parameter;

constexpr const char* kMovedColumnsSql =
    "SELECT DISTINCT k.conrelid, a.attname,"
    " k.confdeltype IN ('n','d') OR k.confupdtype IN ('c','n','d')"
    " FROM pg_catalog.pg_constraint k"
    " JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)"
    " WHERE k.conrelid {0} AND k.contype = 'f'"
    " AND (k.confdeltype IN ('c','n','d') OR k.confupdtype IN ('c','n','d'))"
    " ORDER BY k.conrelid, a.attname";

// The tables from which such keys lead to each of ours, with true where all on the way are ON
// DELETE CASCADE. A key from or to a partitioned table is declared at its root; the triggers that
// act are on the referenced side.
constexpr const char* kReachSql =
    "WITH RECURSIVE reach(ours, relid, deletes, is_start) AS ("
    "  SELECT ours, ours, true, true FROM unnest($1::oid[]) ours"
    "  UNION"
    "  SELECT r.ours, p.relid, r.deletes AND k.confdeltype = 'c', false FROM reach r"
    "   CROSS JOIN LATERAL (SELECT r.relid UNION"
    "    SELECT a.relid::oid FROM pg_catalog.pg_partition_ancestors(r.relid) a) c(relid)"
    "   JOIN pg_catalog.pg_constraint k ON k.conrelid = c.relid AND k.contype = 'f'"
    "    AND (k.confdeltype IN ('c','n','d') OR k.confupdtype IN ('c','n','d'))"
    "   CROSS JOIN LATERAL (SELECT k.confrelid UNION"
    "    SELECT t.relid::oid FROM pg_catalog.pg_partition_tree(k.confrelid) t) p(relid)"
    "   WHERE EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgconstraint = k.oid"
    "    AND t.tgrelid = k.confrelid AND t.tgenabled IN ('A',"
    "    CASE pg_catalog.current_setting('session_replication_role') WHEN 'replica' THEN 'R'"
    "    ELSE 'O' END)))"
    " SELECT ours, relid, bool_or(deletes) FROM reach WHERE NOT is_start"
    " GROUP BY ours, relid ORDER BY ours, relid";

}  // namespace

absl::StatusOr<CascadesByTable> LoadCascades(postgres::Connection& connection,
                                             std::span<const Oid> tables, std::stop_token stop) {
  CascadesByTable cascades;
  PGFLOW_ASSIGN_OR_RETURN(const postgres::Result columns,
                          QueryTables(connection, kMovedColumnsSql, tables, stop));
  std::vector<Oid> reached;
  for (int row = 0; row < columns.row_count(); ++row) {
    const Oid table = static_cast<Oid>(columns.integer(row, 0));
    if (reached.empty() || reached.back() != table) reached.push_back(table);
    if (columns.boolean(row, 2)) cascades[table].moved_columns.push_back(columns.text(row, 1));
  }
  if (reached.empty()) return cascades;
  const std::string some = fmt::format("{{{}}}", fmt::join(reached, ","));
  PGFLOW_ASSIGN_OR_RETURN(
      const postgres::Result parents,
      connection.ExecuteParams(kReachSql, std::array{Parameter::Text(some)}, stop));
  for (int row = 0; row < parents.row_count(); ++row) {
    TargetCascades& ours = cascades[static_cast<Oid>(parents.integer(row, 0))];
    const Oid parent = static_cast<Oid>(parents.integer(row, 1));
    ours.moved_with.push_back(parent);
    if (parents.boolean(row, 2)) ours.deleted_with.push_back(parent);
  }
  return cascades;
}

}  // namespace pgflow::sinks
