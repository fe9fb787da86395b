#include "engine/runtime/snapshot_plan.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base/status.h"

namespace pgflow::engine {
namespace {

// The ledger's text: storage and snapshot, so that a rewritten table is not taken for the old one.
std::string LedgerText(const SnapshotTable& table, const std::string& snapshot) {
  return fmt::format("{}@{}", table.storage, snapshot);
}

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

void PlanTable(const SnapshotSession& session, const SnapshotTable& table,
               const TableProgress* earlier, bool changed, PlannedTable& planned) {
  if (earlier != nullptr && earlier->complete && !changed) {
    planned.start = PlannedTable::Start::kComplete;
    planned.progress = *earlier;
    return;
  }
  planned.progress = {table.schema->table,
                      session.consistent_point(),
                      LedgerText(table, session.snapshot()),
                      {},
                      false,
                      {}};
  planned.ranges = table.ranges;
  if (earlier == nullptr) return;
  planned.start = PlannedTable::Start::kReset;
  const size_t at = earlier->snapshot.find('@');
  if (changed || earlier->finished.empty() || !table.has_primary_key || at == std::string::npos ||
      earlier->snapshot.substr(0, at) != std::to_string(table.storage)) {
    return;
  }
  planned.start = PlannedTable::Start::kResume;
  planned.older_snapshot = earlier->snapshot.substr(at + 1);
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

absl::StatusOr<SnapshotPlan> PlanSnapshot(
    const SnapshotSession& session, const SinkCheckpoint& checkpoint, const TablePredicate& wanted,
    const std::set<schemas::TableName>& changed,
    std::span<const std::unique_ptr<Transformer>> transformers) {
  std::map<schemas::TableName, const TableProgress*> progress;
  for (const TableProgress& table : checkpoint.tables) progress[table.table] = &table;
  SnapshotPlan plan;
  const std::span<const SnapshotTable> tables = session.tables();
  std::vector<uint32_t> order(tables.size());
  for (uint32_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::stable_sort(
      order, [&](uint32_t a, uint32_t b) { return tables[a].bytes > tables[b].bytes; });
  for (uint32_t index : order) {
    const SnapshotTable& table = tables[index];
    if (!wanted(table.schema->table)) continue;
    PGFLOW_ASSIGN_OR_RETURN(std::vector<schemas::TableSchemaPtr> schemas,
                            TransformedTables(transformers, table.schema));
    std::erase(schemas, nullptr);
    if (schemas.empty()) continue;  // A transformer drops every row of it.
    PlannedTable planned;
    planned.source = index;
    const schemas::TableName& name = table.schema->table;
    const schemas::TableDefinition* definition = FindDefinition(session.definition(), name);
    planned.plan = {name, schemas.front(), definition};
    for (size_t i = 1; i < schemas.size(); ++i) {
      planned.routes.push_back({name, std::move(schemas[i]), definition});
    }
    const auto earlier = progress.find(name);
    PlanTable(session, table, earlier == progress.end() ? nullptr : earlier->second,
              changed.contains(name), planned);
    plan.tables.push_back(std::move(planned));
  }
  DropSharedRoutes(plan);
  return plan;
}

}  // namespace pgflow::engine
