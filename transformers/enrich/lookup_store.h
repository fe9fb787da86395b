// LookupStore: the rows of a table that is looked up, as they were at each place of the stream.
//
// A row has a version for each change of it, kept in a file of the state directory as long as a
// change that may still come needs it; what was asked for lately is in memory, within a bound. A
// version is durable when Write returns, so before the sink has what was made with it: whoever
// comes again, comes to the same rows. Versions are written by whoever sees the change first; they
// are the same from all.
//
// Thread-safe. Errors: kFailedPrecondition, naming the file.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include <absl/base/thread_annotations.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "base/mutex.h"
#include "engine/api/position.h"
#include "engine/state/sqlite_database.h"
#include "schemas/value.h"

namespace pgflow::transformers {

// The values that are looked up, in the order of the configuration.
struct LookupRow {
  struct Field {
    schemas::ValueKind kind = schemas::ValueKind::kNull;
    std::string bytes;
  };
  std::vector<Field> fields;
};
using LookupRowPtr = std::shared_ptr<const LookupRow>;

class LookupStore {
 public:
  // `directory` empty: in memory only, without a bound. `fingerprint`: what the versions were made
  // for; a file of another one is emptied.
  static absl::StatusOr<std::unique_ptr<LookupStore>> Open(const std::string& directory,
                                                           const std::string& file,
                                                           const std::string& fingerprint,
                                                           uint64_t memory_bytes_max);

  // Where the first snapshot that it learnt stands; nothing before.
  std::optional<postgres::Lsn> learned() const;
  // What was written of the table's columns.
  std::string description() const;
  absl::Status Describe(const std::string& description);

  // The row at that place, changes there included; null: there was none. Of a place before the
  // first snapshot: the first one known.
  absl::StatusOr<LookupRowPtr> Find(const std::string& key, engine::Position at);

  // Inside Write.
  class Writer {
   public:
    absl::StatusOr<LookupRowPtr> Find(const std::string& key, engine::Position at);
    // Null: the row ends there.
    absl::Status Put(const std::string& key, engine::Position at, LookupRowPtr row);
    // Every row ends there.
    absl::Status Clear(engine::Position at);

   private:
    friend class LookupStore;
    explicit Writer(LookupStore& store) : store_(store) {}
    LookupStore& store_;
  };
  // All that `work` puts, or nothing.
  absl::Status Write(const std::function<absl::Status(Writer&)>& work);
  // The same for the rows of a snapshot: what `work` does not put is not there at that place.
  absl::Status Learn(postgres::Lsn point, const std::function<absl::Status(Writer&)>& work);
  // The place of a snapshot's rows: behind everything that commits before its point, and before
  // everything else.
  static engine::Position PlaceOf(postgres::Lsn snapshot);

  // Nobody asks for a place before it any more.
  void Settle(postgres::Lsn lsn) { settled_ = lsn.value(); }

 private:
  struct Version {
    engine::Position at;
    LookupRowPtr row;
  };
  struct Entry {
    std::vector<Version> versions;  // By position.
    uint64_t bytes = 0;
    std::list<std::string>::iterator place;  // In recent_.
  };

  LookupStore(std::unique_ptr<engine::SqliteDatabase> database, uint64_t memory_bytes_max)
      : database_(std::move(database)), memory_bytes_max_(memory_bytes_max) {}
  absl::Status LoadMeta(const std::string& fingerprint);
  absl::Status SetMeta(const std::string& name, const std::string& value)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Together(const std::function<absl::Status()>& work)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<Entry*> Load(const std::string& key) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<LookupRowPtr> FindLocked(const std::string& key, engine::Position at)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status PutLocked(const std::string& key, engine::Position at, LookupRowPtr row)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status EndOthers(engine::Position at, bool only_unseen)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Shrink() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status DropSettled() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::unique_ptr<engine::SqliteDatabase> database_;  // Null: in memory only.
  const uint64_t memory_bytes_max_;
  std::atomic<uint64_t> settled_{0};
  mutable base::Mutex mutex_;
  std::unordered_map<std::string, Entry> entries_ ABSL_GUARDED_BY(mutex_);
  std::list<std::string> recent_ ABSL_GUARDED_BY(mutex_);  // The last asked for first.
  uint64_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  std::unordered_set<std::string> changed_ ABSL_GUARDED_BY(mutex_);  // Have old versions.
  bool learning_ ABSL_GUARDED_BY(mutex_) = false;
  std::unordered_set<std::string> seen_ ABSL_GUARDED_BY(mutex_);  // In memory only: while learning.
  std::optional<postgres::Lsn> learned_ ABSL_GUARDED_BY(mutex_);
  std::string description_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace pgflow::transformers
