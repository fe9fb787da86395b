// PipelineStatus: what a running pipeline says of itself; the runtime fills it, observers show it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <absl/time/time.h>

#include "postgres/types/lsn.h"
#include "schemas/table_schema.h"

namespace pgflow::engine {

enum class Phase { kStarting, kStandby, kSnapshot, kCatchUp, kStreaming, kStopping, kFailed };
std::string_view PhaseName(Phase phase);

struct TableStatus {
  schemas::TableName table;
  uint64_t bytes_total = 0;   // Heap size when planned.
  int64_t rows_estimate = 0;  // -1: unknown.
  uint64_t rows_done = 0;
  uint64_t bytes_done = 0;  // Of the COPY stream.
  uint32_t ranges_total = 0;
  uint32_t ranges_done = 0;
  bool complete = false;  // Keys built too.
};

// One of the places that a sink sends to by itself, each with a progress of its own.
struct EndpointStatus {
  std::string name;      // As the user knows it: the key of its row.
  std::string state;     // "delivering", "failing", "rejected", "disabled", ...
  std::string target;    // Its origin, no secrets.
  std::string error;     // Why it is in that state; empty when it is well.
  uint64_t waiting = 0;  // Events that are still to be sent.
  uint64_t waiting_bytes = 0;
  uint64_t delivered = 0;  // Since the process started.
  uint64_t dropped = 0;    // That it refused for good, as configured; since the process started.
};

struct SinkStatus {
  std::string name;
  std::string type;
  Phase phase = Phase::kStarting;
  postgres::Lsn written_lsn;       // End of the last window that the sink took.
  postgres::Lsn durable_lsn;       // Its frontier: what was acknowledged.
  absl::Time durable_commit_time;  // Commit time of the last durable transaction; epoch: none yet.
  uint64_t lag_bytes = 0;          // From durable_lsn to the source's end of WAL; see below.
  // Age of the oldest part of the source's log that is not durable, by the source's clock, received
  // or not; 0: none.
  absl::Duration lag;
  uint64_t events = 0;  // Totals since the process started.
  uint64_t bytes = 0;
  uint64_t transactions = 0;
  uint64_t windows = 0;
  uint64_t queue_bytes = 0;  // Received, not yet durable, in memory or in the spool.
  uint64_t retries = 0;
  uint64_t rejections = 0;
  uint64_t skipped = 0;       // Changes that its options let it pass over.
  absl::Duration write_time;  // Spent in Write; / windows = mean batch latency.
  // Upper bounds in seconds and counts of Write latency; the last bound is infinity.
  std::vector<uint64_t> write_latency_counts;
  std::string last_error;  // Of the last retry; empty when it is well.
  std::vector<TableStatus> tables;
  std::vector<EndpointStatus> endpoints;
};
inline constexpr double kWriteLatencyBounds[] = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                                 0.1,    0.25,  0.5,    1.0,   2.5,  5.0,   10.0};

struct PipelineStatus {
  std::string pipeline;
  Phase phase = Phase::kStarting;  // The least advanced sink's, or the pipeline's own.
  absl::Time started;
  std::string source;  // host:port/database as user.
  // The source is a log of messages: positions are offsets in it, and lag_bytes counts messages.
  bool counts_messages = false;
  std::string slot;
  std::string slot_wal_status;  // pg_replication_slots.wal_status.
  std::string ddl;              // As in SlotHealth.
  uint64_t retained_wal_bytes = 0;
  postgres::Lsn server_lsn;
  postgres::Lsn received_lsn;
  postgres::Lsn acknowledged_lsn;
  uint64_t events = 0;
  uint64_t transactions = 0;
  uint64_t bytes = 0;
  uint64_t open_transactions = 0;
  uint64_t source_reconnects = 0;
  uint64_t memory_bytes = 0;         // Of the stream log.
  uint64_t spool_bytes = 0;          // On disk.
  uint64_t spool_bytes_written = 0;  // Total.
  std::string stalled;               // What stands still, when something does.
  bool unhealthy = false;            // It has for long: somebody should look.
  std::string error;                 // Why it failed, when it did.
  std::vector<SinkStatus> sinks;
};

// Thread-safe; cheap enough to call several times a second.
using StatusFunction = std::function<PipelineStatus()>;

}  // namespace pgflow::engine
