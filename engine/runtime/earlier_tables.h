// EarlierTables: which progress each table of a snapshot session goes on with, whatever has become
// of the names since the copy was interrupted.
#pragma once

#include <map>
#include <span>

#include <absl/status/statusor.h>

#include "engine/api/checkpoint.h"
#include "engine/api/snapshot.h"

namespace pgflow::engine {

// One thread. Views of a checkpoint and of a session's tables, which must outlive it.
class EarlierTables {
 public:
  EarlierTables(const SinkCheckpoint& checkpoint, std::span<const SnapshotTable> now);

  struct Found {
    const TableProgress* progress = nullptr;  // None: the table was never begun.
    // All of it is in the stream: it was made after the table that had its name was copied, and got
    // another one.
    bool streamed = false;
  };
  // A table that was copied under another name goes on under that: the stream renames it.
  // kFailedPrecondition: the table, or the one that had its name, was renamed with a part of it
  // copied. Rows of two names cannot be brought together, and the message says what to do.
  absl::StatusOr<Found> Of(const schemas::TableSchema& table) const;

 private:
  std::map<schemas::TableName, const TableProgress*> by_name_;
  std::map<postgres::Oid, const TableProgress*> by_oid_;  // Without those of earlier versions.
  std::map<postgres::Oid, schemas::TableName> now_;
};

// The refusal of a copy that would have to write `before` anew, which is `now` at the source.
absl::Status RefuseRenamed(const schemas::TableName& before, const schemas::TableName& now);

}  // namespace pgflow::engine
