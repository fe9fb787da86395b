// Checkpoints: what one sink has made durable of one slot, and who keeps that knowledge.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "engine/api/position.h"
#include "schemas/table_schema.h"

namespace pgflow::engine {

// Which log a position belongs to. LSNs of two identities cannot be compared.
struct SourceIdentity {
  uint64_t system_identifier = 0;
  uint32_t timeline = 0;
  std::string database;
  std::string slot;

  friend bool operator==(const SourceIdentity&, const SourceIdentity&) = default;
};

// Blocks [first, end) of one table.
struct BlockRange {
  static constexpr uint32_t kOpenEnd = UINT32_MAX;  // "and all behind it"

  uint32_t first = 0;
  uint32_t end = kOpenEnd;

  friend auto operator<=>(const BlockRange&, const BlockRange&) = default;
};

// How far the snapshot of one table has come in one sink. `table` is the source's name of it.
struct TableProgress {
  schemas::TableName table;
  // The consistent point its finished ranges were read at: changes that committed before it are in
  // the rows, so the stream's changes of this table are applied from here on.
  postgres::Lsn snapshot_lsn;
  // What was copied, and what the snapshot saw, as the one who copies puts it: for resuming inside
  // the table.
  std::string snapshot;
  std::vector<BlockRange> finished;
  bool complete = false;
  // Set when the table was resumed at a later snapshot: until here, changes are replayed over rows
  // that may already hold them (ChangeEvent::catch_up).
  postgres::Lsn catch_up_until;

  // A table that joins a running stream: until another lane has brought it in, its changes are left
  // out. `again`: the sink has rows of it, which the copy replaces.
  static TableProgress Held(schemas::TableName table, bool again) {
    return {std::move(table), postgres::Lsn(UINT64_MAX), again ? "again" : "", {}, false, {}};
  }
  bool held() const { return snapshot_lsn == postgres::Lsn(UINT64_MAX); }
  bool held_again() const { return held() && snapshot == "again"; }
};

struct SinkCheckpoint {
  SourceIdentity identity;
  StreamPoint stream;  // Before the first change: the slot's consistent point.
  bool snapshot_complete = false;
  // The earliest consistent point that rows of the complete snapshot were read at; 0/0 without one.
  // What a transaction that committed before it did to tables that have no progress here is over:
  // they were gone, or had another name, by then.
  postgres::Lsn snapshot_lsn;
  std::vector<TableProgress> tables;
};

// Keeps the checkpoint of one sink. Every call is durable when it returns. One thread at a time.
// Errors: kUnavailable and friends when the store cannot be reached; kFailedPrecondition when
// another process has taken the sink over (fencing).
class CheckpointStore {
 public:
  virtual ~CheckpointStore() = default;

  // Nothing when this sink never began.
  virtual absl::StatusOr<std::optional<SinkCheckpoint>> Load() = 0;
  // Replaces whatever there was.
  virtual absl::Status Begin(const SourceIdentity& identity, StreamPoint start) = 0;
  // Starts (or starts over) tables, each named once: their finished ranges are forgotten unless
  // `tables` names them. After an error some may have been started.
  virtual absl::Status BeginTables(std::span<const TableProgress> tables) = 0;
  absl::Status BeginTable(const TableProgress& table) { return BeginTables({&table, 1}); }
  virtual absl::Status FinishRange(const schemas::TableName& table, BlockRange range) = 0;
  virtual absl::Status FinishTables(std::span<const schemas::TableName> tables) = 0;
  absl::Status FinishTable(const schemas::TableName& table) { return FinishTables({&table, 1}); }
  // `lsn`: SinkCheckpoint::snapshot_lsn.
  virtual absl::Status FinishSnapshot(postgres::Lsn lsn) = 0;
  virtual absl::Status AdvanceStream(StreamPoint point) = 0;
  // The source was promoted: what the checkpoint says is of its new timeline's log, too.
  virtual absl::Status FollowTimeline(uint32_t timeline) = 0;
  // Removes everything about this sink.
  virtual absl::Status Forget() = 0;
};

}  // namespace pgflow::engine
