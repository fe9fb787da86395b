// Sink: where changes go. A sink holds protocol only; retry, back-off, bisecting and the dead
// letter belong to the runtime.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "base/status.h"
#include "engine/api/batch.h"
#include "engine/api/checkpoint.h"
#include "engine/api/pipeline_status.h"
#include "engine/api/preflight.h"
#include "schemas/table_definition.h"

namespace pgflow::engine {

// One row that the sink cannot take, and why.
struct Rejection {
  Position position;  // Of a stream event; {snapshot LSN, row number} for a snapshot row.
  size_t event = 0;   // Index in the batch's events.
  absl::Status error;
};

// A status of Sink::Write may name the one event that is at fault: Position::ToString().
inline constexpr std::string_view kCulpritPayload = "pgflow/culprit";
// On an error of a snapshot range: its rows refer to rows that are not there (a foreign key). It is
// tried again when others were copied, at last with RangeOptions::others_done.
inline constexpr std::string_view kNeedsOthersPayload = "pgflow/needs-others";
// On an error of a table that was resumed: what an earlier attempt wrote is in the way of what is
// there now. The table is started over at a later snapshot.
inline constexpr std::string_view kStartOverPayload = "pgflow/start-over";

// Returns when this process has the source's slot at that moment; it may wait for it. An error: it
// will not get it, or was stopped.
using ConfirmSlot = std::function<absl::Status(std::stop_token stop)>;

struct SinkContext {
  std::string pipeline;
  std::string sink;      // Unique in the pipeline.
  std::string database;  // The source's; empty where nobody asked the source.
  // Of the pipeline, for a sink that has to remember something; it may not be there yet.
  std::string state_directory = ".pgflow";
  // For a sink that can be another process's: asked between looking whose it is and taking it.
  // Null: nobody else can run the pipeline now.
  ConfirmSlot confirm_slot{};
  // Tables of the source that this one fills beside what another sink of the same configuration
  // has, and goes on writing. Only for a sink that copies_beside.
  std::set<schemas::TableName> copies{};
};

// One table of a snapshot, as this sink is to see it.
struct TablePlan {
  schemas::TableName source_table;
  schemas::TableSchemaPtr schema;  // After the transformers.
  // By attribute number; null when the source has no catalog (then tables cannot be created).
  const schemas::TableDefinition* definition = nullptr;
};

// Waiting stream changes, handed over at once.
struct Window {
  std::span<Batch> batches;
  // False: the last transaction goes on in the next window, and the sink makes nothing visible yet.
  bool ends_at_commit = true;
  // Where the sink stands after this window; meaningless unless ends_at_commit. A window without
  // events only moves the checkpoint.
  StreamPoint end;
  // Somebody waits until it is durable: what would come by itself in a while is worth asking for.
  bool awaited = false;
};

// What a sink has to say about going on with the copy of tables at a later snapshot. The names are
// those of the sink's tables.
struct ResumeLimits {
  std::set<schemas::TableName> start_over;
  // Only what one snapshot saw may stand in these: when one of them has to be read at a later one,
  // all have to be.
  std::vector<std::set<schemas::TableName>> at_one_snapshot;
};

struct WriteResult {
  std::vector<Rejection> rejections;
  uint64_t skipped = 0;  // Changes that the sink's own options let it pass over.
};

// One worker's way into the sink during the snapshot, with a connection of its own. One thread.
// After an error the lane is abandoned (destroyed) and a new one opened.
class SnapshotLane {
 public:
  enum class Mode {
    kFast,     // An error means that some row of the range was refused.
    kCareful,  // Refused rows come back as rejections, the others are written.
  };

  struct RangeOptions {
    bool upsert = false;  // Rows may exist already: the table was resumed.
    bool record = true;   // False: the ledger has this range already, these are its newer rows.
    Mode mode = Mode::kFast;
    // False: rows that are still to come may be what these refer to; see kNeedsOthersPayload.
    bool others_done = false;
    // For a sink that marks_snapshot_ends. "Last" is told of a range that begins when all others
    // (of the table, of all tables) are durable.
    bool first = false;  // Of all.
    bool last = false;   // Of all.
    bool first_of_table = false;
    bool last_of_table = false;
  };

  virtual ~SnapshotLane() = default;
  // From here on no earlier attempt at the same range can commit any more, where the sink keeps its
  // own checkpoint: what the ledger says is final.
  virtual absl::Status BeginRange(const TablePlan& table, BlockRange range,
                                  RangeOptions options) = 0;
  // A row may have another table than the range's: a transformer routed it there.
  virtual absl::StatusOr<WriteResult> Write(Batch& batch, std::stop_token stop) = 0;
  // The range's rows are durable when this returns, with the ledger entry (CheckpointStore::
  // FinishRange) in the same transaction where the sink keeps its own checkpoint.
  virtual absl::Status FinishRange(std::stop_token stop) = 0;
  // All ranges of the table are in: builds keys and the like. The runtime calls
  // CheckpointStore::FinishTable afterwards.
  virtual absl::Status FinishTable(const TablePlan& table, std::stop_token stop) = 0;
};

// Inert until Open. Open, the table calls, Write and Durable are called by one thread at a time.
class Sink {
 public:
  virtual ~Sink() = default;

  // Connects, or connects again after an error: what was not durable is rolled back and forgotten.
  // The first call takes the sink from whoever had it. A later one never does: when another process
  // has taken it meanwhile, that is kFailedPrecondition with kTakenOverPayload.
  virtual absl::Status Open(const SinkContext& context, std::stop_token stop) = 0;

  // Whether it tells where a snapshot and each of its tables begin and end: see RangeOptions. The
  // last range of each table then waits for the others.
  virtual bool marks_snapshot_ends() const { return false; }

  // The sink's own store, kept with the data; null when the runtime has to keep it. Owned by the
  // sink, valid from Open on.
  virtual CheckpointStore* checkpoint_store() { return nullptr; }

  // The checkpoint that the sink keeps itself, read without taking the sink over: a running
  // pipeline is not disturbed. Called instead of Open. Nothing when it never began, or the runtime
  // keeps it.
  virtual absl::StatusOr<std::optional<SinkCheckpoint>> PeekCheckpoint(
      const SinkContext& /*context*/, std::stop_token /*stop*/) {
    return std::nullopt;
  }

  // Connects and looks at what this sink needs to take those tables, and changes nothing. Called
  // instead of Open. An error: it could not look. Both are empty when the source could not be read.
  virtual absl::StatusOr<std::vector<Finding>> Check(
      const schemas::DatabaseDefinition& /*definition*/, std::span<const TablePlan> /*tables*/,
      std::stop_token /*stop*/) {
    return std::vector<Finding>();
  }

  // Before a snapshot: creates what is configured to be created, checks that each table can take
  // its rows and is empty. `resumed` tables hold rows of an earlier attempt and stay as they are.
  virtual absl::Status PrepareSnapshot(const schemas::DatabaseDefinition& /*definition*/,
                                       std::span<const TablePlan> /*tables*/,
                                       std::span<const TablePlan> /*resumed*/,
                                       std::stop_token /*stop*/) {
    return absl::OkStatus();
  }
  // Which of those tables, whose copy an earlier attempt began, cannot go on as they are. Called
  // before ResetTables.
  virtual absl::StatusOr<ResumeLimits> LimitResuming(std::span<const TablePlan> /*tables*/,
                                                     std::stop_token /*stop*/) {
    return ResumeLimits();
  }
  // Removes all rows of a table that an abandoned attempt wrote (its definition may have changed).
  virtual absl::Status ResetTable(const TablePlan& /*table*/, std::stop_token /*stop*/) {
    return absl::OkStatus();
  }
  // Of several, at once where they refer to each other.
  virtual absl::Status ResetTables(const schemas::DatabaseDefinition& /*definition*/,
                                   std::span<const TablePlan> tables, std::stop_token stop) {
    for (const TablePlan& table : tables) PGFLOW_RETURN_IF_ERROR(ResetTable(table, stop));
    return absl::OkStatus();
  }
  virtual absl::StatusOr<std::unique_ptr<SnapshotLane>> OpenLane(std::stop_token stop) = 0;

  // OK: every event was taken, save the rejected ones; durable once Durable() has reached
  // `window.end`. Error: assume nothing; the runtime calls Open and sends again from the
  // checkpoint.
  virtual absl::StatusOr<WriteResult> Write(const Window& window, std::stop_token stop) = 0;

  // The newest window end that survives a crash of the sink. Cheap; called after each Write and
  // every 100 ms or so while it lags.
  virtual absl::StatusOr<StreamPoint> Durable(std::stop_token stop) = 0;

  // Whether a table that is copied again is filled beside what the sink has of it, so that whoever
  // reads it never sees a part. The table's changes go on coming here meanwhile, as far as what is
  // there can take them; another sink of the same configuration fills the copy. An error may then
  // ask for one: CopyAgain.
  virtual bool copies_beside() const { return false; }
  // The copies of these are complete: what TakeCopies takes for theirs is in the checkpoint a
  // moment later, from this LSN on.
  virtual absl::Status FinishCopies(const std::map<schemas::TableName, postgres::Lsn>& /*tables*/,
                                    std::stop_token /*stop*/) {
    return absl::OkStatus();
  }
  // What the checkpoint says now, before anything is written by it. Of those that are held again
  // another sink makes a copy; a copy that is complete as the checkpoint says takes its place; any
  // other is left over, and removed.
  virtual absl::Status TakeCopies(std::span<const TableProgress> /*tables*/,
                                  std::stop_token /*stop*/) {
    return absl::OkStatus();
  }
  // Tables of the source whose rows it has in a form that its configuration does not ask for any
  // more, with the reason. Asked once, behind TakeCopies.
  virtual absl::StatusOr<std::map<schemas::TableName, std::string>> FindOutdated(
      std::stop_token /*stop*/) {
    return std::map<schemas::TableName, std::string>();
  }

  // Of a sink that brings changes to several places by itself. Thread-safe.
  virtual std::vector<EndpointStatus> endpoints() const { return {}; }

  // After the last Write of a clean shutdown.
  virtual absl::Status Close(std::stop_token /*stop*/) { return absl::OkStatus(); }
};

}  // namespace pgflow::engine
