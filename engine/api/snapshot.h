// SnapshotSession, RangeReader: a consistent view of the source's tables, read in parallel.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "engine/api/batch.h"
#include "engine/api/checkpoint.h"
#include "schemas/table_definition.h"

namespace pgflow::engine {

// A table that holds rows (a leaf), as the snapshot sees it.
struct SnapshotTable {
  schemas::TableSchemaPtr schema;  // The published columns; the same as the stream's events carry.
  bool has_primary_key = false;    // That holds at every moment: not a deferrable one.
  uint64_t storage = 0;            // Changes when the table is rewritten or gets other columns.
  uint64_t bytes = 0;              // Of the heap, for planning and progress.
  int64_t rows_estimate = 0;       // -1: never analysed.
  std::vector<BlockRange>
      ranges;  // Cover the whole table; the first starts at 0, the last is open.
};

enum class RangeOutcome {
  kDone,
  // TRUNCATEd, rewritten or dropped since the snapshot, so that its rows are not all there; or its
  // columns are not those any more that the snapshot saw.
  kTableChanged,
};

struct RangeRequest {
  uint32_t table = 0;  // Index in SnapshotSession::tables().
  BlockRange range;
  // When set (pg_current_snapshot() text): only rows whose xmin that older snapshot does not see.
  std::string only_newer_than;
};

// Takes over one batch; an error stops the range.
using BatchConsumer = std::function<absl::Status(Batch batch)>;

// Reads ranges over its own connection. One thread. Owned by a worker; must not outlive the
// session.
class RangeReader {
 public:
  virtual ~RangeReader() = default;
  // Gives the rows of one range in batches. Reading is one short transaction that holds ACCESS
  // SHARE on the table. kUnavailable: the connection or the snapshot was lost; a new reader of the
  // same session may go on. kAborted with kSnapshotLost: the snapshot itself is gone.
  virtual absl::StatusOr<RangeOutcome> Read(const RangeRequest& request,
                                            const BatchConsumer& consume, std::stop_token stop) = 0;
};

inline constexpr std::string_view kSnapshotLostPayload = "pgflow/snapshot-lost";

// One snapshot of the source at one LSN, kept alive until this object goes. Thread-safe.
class SnapshotSession {
 public:
  virtual ~SnapshotSession() = default;
  // The LSN at which a stream continues exactly where this snapshot ends.
  virtual postgres::Lsn consistent_point() const = 0;
  // pg_current_snapshot() of it.
  virtual const std::string& snapshot() const = 0;
  virtual std::span<const SnapshotTable> tables() const = 0;
  // What it takes to create those tables elsewhere.
  virtual const schemas::DatabaseDefinition& definition() const = 0;
  virtual absl::StatusOr<std::unique_ptr<RangeReader>> OpenReader(std::stop_token stop) = 0;
};

}  // namespace pgflow::engine
