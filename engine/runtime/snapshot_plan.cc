#include "engine/runtime/snapshot_plan.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/status.h"
#include "engine/runtime/earlier_tables.h"
#include "engine/runtime/table_ledger.h"

namespace pgflow::engine {
namespace {

const schemas::TableDefinition* FindDefinition(const schemas::DatabaseDefinition& definition,
                                               const schemas::TableName& name) {
  const auto found = std::ranges::find(definition.tables, name, &schemas::TableDefinition::table);
  return found == definition.tables.end() ? nullptr : &*found;
}

uint32_t BlocksPerRange(const SnapshotTable& table) {
  uint32_t blocks = 1;
  for (const BlockRange& range : table.ranges) {
    if (range.end != BlockRange::kOpenEnd) blocks = std::max(blocks, range.end - range.first);
  }
  return table.ranges.size() < 2 ? BlockRange::kOpenEnd : blocks;
}

// A table is resumed by writing rows of a later snapshot over its own, by primary key, and by
// applying the stream's changes from the earlier one on, leniently. Both have to mean the same row
// by a key: where changes name rows by something else than the primary key (an index of the table's
// own, or nothing that is unique), one of them may come upon a row that is newer than itself.
bool NamesRowsByPrimaryKey(const schemas::TableSchema& schema) {
  using schemas::ReplicaIdentity;
  if (std::ranges::none_of(schema.columns,
                           [](const schemas::Column& column) { return column.primary_key > 0; })) {
    return false;
  }
  // All of the old row: the key's part of it names the row. Nothing: only new rows come.
  if (schema.replica_identity == ReplicaIdentity::kFull ||
      schema.replica_identity == ReplicaIdentity::kNothing) {
    return true;
  }
  return std::ranges::all_of(schema.columns, [](const schemas::Column& column) {
    return column.identity == (column.primary_key > 0);
  });
}

bool CanResume(const SnapshotTable& table, const PlannedTable& planned) {
  if (!table.has_primary_key || !NamesRowsByPrimaryKey(*planned.plan.schema)) return false;
  return std::ranges::all_of(
      planned.routes, [](const TablePlan& route) { return NamesRowsByPrimaryKey(*route.schema); });
}

void PlanTable(const SnapshotSession& session, const SnapshotTable& table,
               const TableProgress* earlier, bool changed, PlannedTable& planned) {
  if (earlier != nullptr && earlier->complete && !changed) {
    planned.start = PlannedTable::Start::kComplete;
    planned.progress = *earlier;
    return;
  }
  const TableLedger ledger{table.schema->oid, table.storage, session.snapshot()};
  planned.progress = {
      table.schema->table, session.consistent_point(), ledger.ToText(), {}, false, {}};
  planned.ranges = table.ranges;
  if (earlier == nullptr) return;
  planned.start = PlannedTable::Start::kReset;
  const std::optional<TableLedger> before = TableLedger::Parse(earlier->snapshot);
  if (changed || earlier->finished.empty() || !CanResume(table, planned) || !before.has_value() ||
      before->storage != table.storage) {
    return;
  }
  planned.start = PlannedTable::Start::kResume;
  planned.older_snapshot = before->snapshot;
  planned.progress = *earlier;
  planned.progress.catch_up_until = session.consistent_point();
  planned.ranges = UnfinishedRanges(earlier->finished, BlocksPerRange(table));
}

// A table that several have rows for is prepared and finished once.
void DropSharedRoutes(SnapshotPlan& plan) {
  std::set<schemas::TableName> known;
  for (const PlannedTable& table : plan.tables) known.insert(table.plan.schema->table);
  for (PlannedTable& table : plan.tables) {
    std::erase_if(table.routes, [&](const TablePlan& route) {
      return !known.insert(route.schema->table).second;
    });
  }
}

}  // namespace

std::vector<BlockRange> UnfinishedRanges(std::vector<BlockRange> finished,
                                         uint32_t blocks_per_range) {
  std::ranges::sort(finished);
  std::vector<BlockRange> rest;
  uint32_t at = 0;
  const auto add = [&](uint32_t end) {
    while (at < end) {
      const uint32_t piece_end =
          end - at > blocks_per_range && end != BlockRange::kOpenEnd ? at + blocks_per_range : end;
      rest.push_back({at, piece_end});
      at = piece_end;
    }
  };
  for (const BlockRange& range : finished) {
    if (range.first > at) add(range.first);
    at = std::max(at, range.end);
  }
  if (at != BlockRange::kOpenEnd) add(BlockRange::kOpenEnd);
  return rest;
}

namespace {

// A table that was copied and renamed since has its rows under the name that it had.
schemas::TableSchemaPtr UnderEarlierName(const schemas::TableSchemaPtr& schema,
                                         const TableProgress* progress) {
  if (progress == nullptr || progress->table == schema->table) return schema;
  auto renamed = std::make_shared<schemas::TableSchema>(*schema);
  renamed->table = progress->table;
  return renamed;
}

absl::StatusOr<SnapshotPlan> PlanTables(
    const SnapshotSession& session, const std::shared_ptr<const schemas::DatabaseDefinition>& all,
    const SinkCheckpoint& checkpoint, const TablePredicate& wanted,
    const std::set<schemas::TableName>& changed,
    std::span<const std::unique_ptr<Transformer>> transformers) {
  SnapshotPlan plan{.tables = {}, .definition = all};
  const std::span<const SnapshotTable> tables = session.tables();
  const EarlierTables earlier(checkpoint, tables);
  std::vector<uint32_t> order(tables.size());
  for (uint32_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::stable_sort(
      order, [&](uint32_t a, uint32_t b) { return tables[a].bytes > tables[b].bytes; });
  for (uint32_t index : order) {
    const SnapshotTable& table = tables[index];
    PGFLOW_ASSIGN_OR_RETURN(const EarlierTables::Found found, earlier.Of(*table.schema));
    if (found.streamed) continue;
    const schemas::TableSchemaPtr source = UnderEarlierName(table.schema, found.progress);
    const schemas::TableName& name = source->table;
    if (!wanted(name)) continue;
    if (name != table.schema->table && changed.contains(name)) {
      return RefuseRenamed(name, table.schema->table);
    }
    PGFLOW_ASSIGN_OR_RETURN(std::vector<schemas::TableSchemaPtr> schemas,
                            TransformedTables(transformers, source));
    std::erase(schemas, nullptr);
    if (schemas.empty()) continue;  // A transformer drops every row of it.
    PlannedTable planned;
    planned.source = index;
    planned.bytes = table.bytes;
    for (const schemas::TableSchemaPtr& schema : schemas) planned.targets.insert(schema->table);
    const schemas::TableDefinition* definition = FindDefinition(*all, table.schema->table);
    planned.plan = {name, schemas.front(), definition};
    for (size_t i = 1; i < schemas.size(); ++i) {
      planned.routes.push_back({name, std::move(schemas[i]), definition});
    }
    PlanTable(session, table, found.progress, changed.contains(name), planned);
    plan.tables.push_back(std::move(planned));
  }
  return plan;
}

// Adds those that lose rows when what `plan` starts over is emptied; false: there are none.
bool AddSharers(const SnapshotPlan& plan, std::set<schemas::TableName>& changed) {
  std::set<schemas::TableName> emptied;
  for (const PlannedTable& table : plan.tables) {
    if (table.start != PlannedTable::Start::kReset) continue;
    emptied.insert(table.targets.begin(), table.targets.end());
  }
  bool added = false;
  for (const PlannedTable& table : plan.tables) {
    if (table.start == PlannedTable::Start::kReset || table.start == PlannedTable::Start::kFresh) {
      continue;
    }
    if (std::ranges::none_of(table.targets,
                             [&](const auto& target) { return emptied.contains(target); })) {
      continue;
    }
    added |= changed.insert(table.plan.source_table).second;
  }
  return added;
}

}  // namespace

absl::StatusOr<SnapshotPlan> PlanSnapshot(
    const SnapshotSession& session, const SinkCheckpoint& checkpoint, const TablePredicate& wanted,
    std::set<schemas::TableName> changed,
    std::span<const std::unique_ptr<Transformer>> transformers) {
  const auto definition = std::make_shared<const schemas::DatabaseDefinition>(session.definition());
  while (true) {
    PGFLOW_ASSIGN_OR_RETURN(SnapshotPlan plan, PlanTables(session, definition, checkpoint, wanted,
                                                          changed, transformers));
    if (AddSharers(plan, changed)) continue;
    DropSharedRoutes(plan);
    return plan;
  }
}

}  // namespace pgflow::engine
