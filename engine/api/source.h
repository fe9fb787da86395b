// Source: where changes come from.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include "engine/api/checkpoint.h"
#include "engine/api/preflight.h"
#include "engine/api/snapshot.h"
#include "engine/api/stream_writer.h"
#include "engine/api/telemetry.h"

namespace pgflow::engine {

struct SlotState {
  bool created = false;           // By this call: nothing was ever read from it.
  postgres::Lsn confirmed_flush;  // The server no longer has what committed before this.
  postgres::Lsn log_end{};        // How far its log reaches; invalid: it may grow by itself.
};

struct SlotHealth {
  std::string wal_status;           // pg_replication_slots.wal_status: reserved, extended, ...
  uint64_t retained_wal_bytes = 0;  // From its restart_lsn to the server's end of WAL.
  postgres::Lsn server_lsn;         // End of WAL.
  // That it writes now, when it surely is the server of Open: another one when that was promoted.
  // 0: not known.
  uint32_t timeline = 0;
  std::optional<bool> slot_active;  // Somebody reads from it; not known of every source.
  absl::Time server_time;           // By its clock; epoch: not known.
  std::string ddl;                  // How DDL is captured, for people: "all commands".
};

// What `pgflow check` learns of a source: the findings, and the chosen tables (leaves) for the
// sinks to look at.
struct SourceCheck {
  std::vector<Finding> findings;
  std::vector<schemas::TableSchemaPtr> tables;
  schemas::DatabaseDefinition definition;
};

// Which tables: globs over "schema.table", as the pipeline file has them.
struct TableSelection {
  std::vector<std::string> include;
  std::vector<std::string> exclude;
};

struct ChosenTable {
  schemas::TableName table;
  bool published = false;  // The stream carries its changes.
  bool carried = true;     // And has done so since the table was copied, or was made.
  std::string gap{};       // Why changes of it are missing: only another copy helps.
  std::string left_out{};  // Why the stream cannot carry it, and what to do; then it is not copied.
};

// What the user asked this source for; the runtime acts on it.
struct SourcePlan {
  enum class Mode { kSnapshotAndStream, kSnapshot, kStream };
  Mode mode = Mode::kSnapshotAndStream;
  int snapshot_workers = 4;
};

// One instance drives one slot. Inert until Open. All but Run and Acknowledge are called from one
// thread at a time; Run has a thread of its own; Acknowledge may come from any thread and does not
// block.
class Source {
 public:
  virtual ~Source() = default;
  // From the configuration; constant.
  virtual SourcePlan plan() const { return {}; }
  // Connects and reads who the server is.
  virtual absl::StatusOr<SourceIdentity> Open(std::stop_token stop) = 0;
  // Where its log left `timeline` for a later one, when the server was promoted. kNotFound: its log
  // was never on it.
  virtual absl::StatusOr<postgres::Lsn> TimelineEnd(uint32_t timeline, std::stop_token /*stop*/) {
    return absl::NotFoundError("no timeline " + std::to_string(timeline));
  }

  // Makes sure that publication and slot exist; creates them when `create` says so, else kNotFound.
  // kFailedPrecondition: one is there and cannot serve (invalidated, another plugin).
  virtual absl::StatusOr<SlotState> OpenSlot(bool create, std::stop_token stop) = 0;
  // Removes slot and publication. OK when there was none.
  virtual absl::Status DropSlot(std::stop_token stop) = 0;

  // The tables that Run and OpenSnapshot deal with.
  virtual TableSelection selection() const { return {}; }
  // The tables of the server that it chooses. kInvalidArgument: a bad pattern.
  virtual absl::StatusOr<std::vector<ChosenTable>> ListTables(const TableSelection& /*selection*/,
                                                              std::stop_token /*stop*/) {
    return std::vector<ChosenTable>();
  }
  // Makes the stream carry these tables and no others, from a place before the next OpenSnapshot
  // on, and deals with them from now on. While Run does not run.
  virtual absl::Status Select(const TableSelection& /*selection*/, std::stop_token /*stop*/) {
    return absl::UnimplementedError("this source cannot change its tables");
  }
  // What ListTables said last is copied, or will be: gaps count from there.
  virtual absl::Status KeepTables(std::stop_token /*stop*/) { return absl::OkStatus(); }
  // Every sink has the tables that were to join.
  virtual absl::Status SettleTables(std::stop_token /*stop*/) { return absl::OkStatus(); }
  // ListTables has something new to say since the last call. Any thread.
  virtual bool TakeNewTables() { return false; }

  // A snapshot at a consistent point of the slot's log. The first call after OpenSlot created the
  // slot gets the slot's own snapshot, others a later one.
  virtual absl::StatusOr<std::unique_ptr<SnapshotSession>> OpenSnapshot(std::stop_token stop) = 0;
  // Lets the slot's own snapshot go, if nobody has asked for it: the server removes no dead row
  // while it is kept. A later OpenSnapshot gives a later one.
  virtual void ReleaseSnapshot() {}

  // Takes the slot and writes its changes to `out` until `stop` (kCancelled) or an error.
  // kUnavailable with kSlotInUsePayload: another session has the slot. Can be run again.
  virtual absl::Status Run(StreamWriter& out, std::stop_token stop) = 0;

  // kUnavailable: the server does not say, now, that Run's session holds the slot.
  virtual absl::Status ConfirmSlot(std::stop_token /*stop*/) { return absl::OkStatus(); }

  // Everything that committed before `lsn` is durable downstream. Never goes backwards.
  virtual void Acknowledge(postgres::Lsn lsn) = 0;
  virtual bool awaited() const { return false; }  // Commits of the source wait for it. Any thread.
  virtual absl::StatusOr<SlotHealth> Health(std::stop_token stop) = 0;
  // The server's insert position now: everything committed before is below it.
  virtual absl::StatusOr<postgres::Lsn> CurrentLsn(std::stop_token stop) = 0;

  // Looks at what Run and OpenSnapshot need, after Open. An error: it could not look.
  virtual absl::StatusOr<SourceCheck> Check(std::stop_token /*stop*/) { return SourceCheck(); }

  // Counters that the source updates; the runtime owns them and sets them before Open.
  void set_telemetry(SourceTelemetry* telemetry) { telemetry_ = telemetry; }
  // The pipeline's name ([a-z0-9_]), for default names of slot and publication. Set before Open.
  void set_pipeline(std::string name) { pipeline_ = std::move(name); }
  void set_state_directory(std::string path) { state_directory_ = std::move(path); }  // So, too.

 protected:
  std::string pipeline_ = "pgflow";
  std::string state_directory_;
  SourceTelemetry* telemetry_ = nullptr;
};

inline constexpr std::string_view kSlotInUsePayload = "pgflow/slot-in-use";

}  // namespace pgflow::engine
