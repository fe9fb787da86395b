// SnapshotPlan: which tables a snapshot round copies, and how each goes on from its ledger.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "engine/api/sink.h"
#include "engine/api/snapshot.h"
#include "engine/api/transformer.h"

namespace pgflow::engine {

struct PlannedTable {
  enum class Start {
    kFresh,     // Nothing of it was ever written.
    kReset,     // An earlier attempt wrote rows that cannot be continued: remove them.
    kResume,    // Finished ranges stay; the rest comes from this, later snapshot as upserts.
    kComplete,  // Nothing to do.
  };

  Start start = Start::kFresh;
  uint32_t source = 0;  // Index in the session's tables.
  uint64_t bytes = 0;   // Of its rows.
  TablePlan plan;
  std::vector<TablePlan> routes;         // Other tables that rows of it go to.
  std::set<schemas::TableName> targets;  // All of those, also where another's plan has the route.
  TableProgress progress;                // What the ledger holds once this round has begun.
  std::vector<BlockRange> ranges;        // To be copied.
  std::string older_snapshot;            // kResume: of the finished ranges.
};

struct SnapshotPlan {
  std::vector<PlannedTable> tables;  // Largest first.
  // The session's; the tables' plans point into it, and need it for longer than the session lasts.
  std::shared_ptr<const schemas::DatabaseDefinition> definition;
};

using TablePredicate = std::function<bool(const schemas::TableName&)>;

// Pure but for the transformers' schema caches. Only tables that are `wanted`; `changed` ones are
// started over in any case, and with a table that is started over all that have rows in a target
// table of it, because that is emptied. kFailedPrecondition: EarlierTables.
absl::StatusOr<SnapshotPlan> PlanSnapshot(
    const SnapshotSession& session, const SinkCheckpoint& checkpoint, const TablePredicate& wanted,
    std::set<schemas::TableName> changed,
    std::span<const std::unique_ptr<Transformer>> transformers);

// What `finished` leaves of a table, cut into pieces of about `blocks_per_range`.
std::vector<BlockRange> UnfinishedRanges(std::vector<BlockRange> finished,
                                         uint32_t blocks_per_range);

}  // namespace pgflow::engine
