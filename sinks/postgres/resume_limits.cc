#include "sinks/postgres/resume_limits.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "sinks/postgres/planned_table.h"

namespace pgflow::sinks {
namespace {

using engine::TablePlan;
using schemas::TableName;

// One row for each column of a unique index (or of an exclusion constraint); tables without one
// have a row, too.
constexpr const char* kIndexesSql =
    "SELECT n.nspname, c.relname, i.indexrelid, a.attname, i.indisprimary, i.indisvalid AND"
    " i.indimmediate AND i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL"
    " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " LEFT JOIN pg_catalog.pg_index i ON i.indrelid = c.oid AND (i.indisunique OR"
    " i.indisexclusion)"
    " LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum ="
    " ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])"
    " WHERE c.relkind IN ('r', 'p', 'f') AND n.nspname !~ '^pg_'"
    " ORDER BY n.nspname, c.relname, i.indexrelid";

// A partition belongs to its root: keys of either are keys of both.
constexpr const char* kReferencesSql =
    "SELECT na.nspname, a.relname, nb.nspname, b.relname FROM ("
    "SELECT conrelid AS one, confrelid AS other FROM pg_catalog.pg_constraint WHERE contype = 'f'"
    " UNION SELECT inhrelid, inhparent FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class p"
    " ON p.oid = i.inhrelid AND p.relispartition) pairs"
    " JOIN pg_catalog.pg_class a ON a.oid = one JOIN pg_catalog.pg_class b ON b.oid = other"
    " JOIN pg_catalog.pg_namespace na ON na.oid = a.relnamespace"
    " JOIN pg_catalog.pg_namespace nb ON nb.oid = b.relnamespace"
    " WHERE a.relkind IN ('r', 'p') AND EXISTS (SELECT FROM pg_catalog.pg_constraint WHERE"
    " contype = 'f')";

struct UniqueIndex {
  bool primary = false;
  bool names_rows = false;  // At every moment, all of them, by plain columns.
  std::set<std::string> columns;
};
using UniqueIndexes = std::map<TableName, std::map<int64_t, UniqueIndex>>;

absl::StatusOr<UniqueIndexes> ReadUniqueIndexes(postgres::Connection& connection,
                                                const std::stop_token& stop) {
  PGFLOW_ASSIGN_OR_RETURN(const postgres::Result rows, connection.Execute(kIndexesSql, stop));
  UniqueIndexes tables;
  for (int row = 0; row < rows.row_count(); ++row) {
    auto& indexes = tables[{rows.text(row, 0), rows.text(row, 1)}];
    if (rows.is_null(row, 2)) continue;
    UniqueIndex& index = indexes[rows.integer(row, 2)];
    index.primary = rows.boolean(row, 4);
    index.names_rows = rows.boolean(row, 5);
    if (!rows.is_null(row, 3)) index.columns.insert(rows.text(row, 3));
  }
  return tables;
}

bool CanGoOn(const TablePlan& plan, const UniqueIndexes& tables, bool creates_keys) {
  const auto found = tables.find(plan.schema->table);
  if (found == tables.end()) return false;  // Somebody dropped it: it is made again.
  std::set<std::string> key;
  for (const schemas::Column& column : plan.schema->columns) {
    if (column.primary_key > 0) key.insert(column.name);
  }
  const auto& indexes = found->second;
  if (indexes.empty()) return creates_keys && !PlannedTable(plan).PrimaryKeySql(0).empty();
  if (indexes.size() > 1) return false;
  const UniqueIndex& index = indexes.begin()->second;
  // By all of the old row: then the changes' row is looked up by the target's primary key.
  const bool full = plan.schema->replica_identity == schemas::ReplicaIdentity::kFull;
  return index.names_rows && index.columns == key && (index.primary || !full);
}

// The tables that are connected by the pairs, each group with all of its members.
std::vector<std::set<TableName>> GroupsOf(const postgres::Result& pairs) {
  std::map<TableName, size_t> group_of;
  std::vector<std::set<TableName>> groups;
  const auto index_of = [&](const TableName& table) {
    const auto [at, added] = group_of.try_emplace(table, groups.size());
    if (added) groups.push_back({table});
    return at->second;
  };
  for (int row = 0; row < pairs.row_count(); ++row) {
    size_t large = index_of({pairs.text(row, 0), pairs.text(row, 1)});
    size_t small = index_of({pairs.text(row, 2), pairs.text(row, 3)});
    if (large == small) continue;
    if (groups[large].size() < groups[small].size()) std::swap(large, small);
    for (const TableName& table : groups[small]) group_of[table] = large;
    groups[large].merge(groups[small]);
    groups[small].clear();
  }
  std::erase_if(groups, [](const std::set<TableName>& group) { return group.empty(); });
  return groups;
}

}  // namespace

absl::StatusOr<engine::ResumeLimits> FindResumeLimits(postgres::Connection& connection,
                                                      bool replica_role,
                                                      const PostgresSinkConfig& config,
                                                      std::span<const TablePlan> tables,
                                                      std::stop_token stop) {
  engine::ResumeLimits limits;
  PGFLOW_ASSIGN_OR_RETURN(const UniqueIndexes indexes, ReadUniqueIndexes(connection, stop));
  for (const TablePlan& plan : tables) {
    if (!CanGoOn(plan, indexes, config.create_schema)) {
      limits.start_over.insert(plan.schema->table);
    }
  }
  if (replica_role) return limits;
  PGFLOW_ASSIGN_OR_RETURN(limits.at_one_snapshot, ReadReferences(connection, stop));
  return limits;
}

absl::StatusOr<std::vector<std::set<TableName>>> ReadReferences(postgres::Connection& connection,
                                                                const std::stop_token& stop) {
  PGFLOW_ASSIGN_OR_RETURN(const postgres::Result pairs, connection.Execute(kReferencesSql, stop));
  return GroupsOf(pairs);
}

}  // namespace pgflow::sinks
