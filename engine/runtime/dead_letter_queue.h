// DeadLetterQueue: the changes that one sink refused, until they are replayed.
//
// Kept in the state directory (dead_letters.db); a letter is on disk when Bury returns, before the
// checkpoint passes it. The dead letter file that the pipeline file names is a copy for people,
// written along; lines in it that the queue has not written (of an earlier version, of a state
// directory that is gone) are taken in when the queue is opened.
//
// The queue knows which letters have been overtaken: every change that the sink takes is compared
// with the keys of the open letters, and the first later change of such a row is noted, on disk
// before the sink has it. Replaying such a letter would bring an old row back.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include <absl/base/thread_annotations.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "base/mutex.h"
#include "engine/api/checkpoint.h"
#include "engine/runtime/dead_letter.h"
#include "engine/state/sqlite_database.h"

namespace pgflow::engine {

// Thread-safe. Of the processes that have it open, one writes: the one that has the source's slot.
class DeadLetterQueue {
 public:
  struct Place {
    std::string directory;  // Of the state.
    std::string pipeline;
    std::string sink;
    std::string file;  // The copy.
  };
  // What a row of a snapshot was read with: letters of a range that is read again are replaced.
  struct Range {
    schemas::TableName table;
    BlockRange blocks;
    bool newer_rows = false;
  };
  // One letter, without its line.
  struct Entry {
    int64_t id = 0;
    Position position;
    bool of_snapshot = false;
    // Where its row changed later; "unknown" for one whose later changes nobody noted; empty: it is
    // still the newest.
    std::string changed_at;
    uint64_t attempt = 0;  // Of a replay that has not ended; 0: none.
    std::vector<std::string> keys;
  };

  // kFailedPrecondition, naming the path, when it cannot be opened, or the file cannot be read.
  static absl::StatusOr<std::shared_ptr<DeadLetterQueue>> Open(Place place);

  // On disk when it returns. A letter that was refused before is replaced.
  absl::Status Bury(const Refusal& refusal, const std::optional<Range>& range);
  // Before the sink takes these: notes which letters they overtake.
  absl::Status Overtake(std::span<Batch> batches);
  // The rows of a table are copied: what was buried of them is not needed, save of `finished`
  // ranges; older changes of `table_there` (its name in the sink) are overtaken.
  absl::Status BeginCopy(const schemas::TableName& table, const schemas::TableName& table_there,
                         std::span<const BlockRange> finished, postgres::Lsn snapshot);
  absl::Status BeginRange(const Range& range);
  // Nobody noted what happened until now: the sink begins anew.
  absl::Status OvertakeAll();
  // Stream changes behind `commit_lsn` that are in the queue, and so are not to be delivered.
  absl::StatusOr<std::vector<Position>> Behind(postgres::Lsn commit_lsn) const;

  // In the order in which they are to be replayed.
  absl::StatusOr<std::vector<Entry>> Entries() const;
  absl::StatusOr<std::string> Line(int64_t id) const;
  // All pipelines that have letters of a sink of this name here: one that is shared by processes
  // has a name for each part.
  absl::StatusOr<std::vector<std::string>> Pipelines() const;

  // The attempts of a replay, numbered upwards: on disk before the sink gets them.
  absl::Status BeginAttempts(const std::vector<std::pair<int64_t, uint64_t>>& id_and_attempt);
  // After an interrupted replay: attempts up to `taken` are in the sink, the others are not.
  absl::Status SettleAttempts(uint64_t taken);
  bool has_attempts() const { return has_attempts_.load(); }
  // They are in the sink, or not wanted.
  absl::Status Remove(const std::vector<int64_t>& ids);
  absl::Status RefusedAgain(int64_t id, const absl::Status& error);

  // The file says what the queue has.
  absl::Status WriteCopy() const;

  const Place& place() const { return place_; }
  const SqliteDatabase& database() const { return *database_; }

 private:
  // A letter that nothing has overtaken.
  struct Fresh {
    Position position;
    std::vector<std::string> keys;
  };
  struct TableLetters {
    std::map<int64_t, Fresh> letters;
    std::multimap<std::string, int64_t, std::less<>> by_key;
    std::set<std::string, std::less<>> spellings;  // Of the keys.
  };

  DeadLetterQueue(Place place, std::unique_ptr<SqliteDatabase> database)
      : place_(std::move(place)), database_(std::move(database)) {}

  absl::Status Load() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Import() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status TakeIn(const std::string& line) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void NoteFresh(const schemas::TableName& table, int64_t id, Fresh letter)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ForgetFresh(int64_t id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Insert(const Refusal& refusal, const std::optional<Range>& range,
                      const std::string& line) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether a line of the file is for this queue to keep.
  bool IsOurs(const std::string& line) const;
  void CollectOvertaken(const ChangeEvent& event, const Position& position,
                        std::map<int64_t, std::string>& overtaken) const
      ABSL_SHARED_LOCKS_REQUIRED(mutex_);

  const Place place_;
  const std::unique_ptr<SqliteDatabase> database_;
  std::string id_;  // Of this queue, as its lines in the copy have it.
  std::atomic<bool> has_letters_{false};
  std::atomic<bool> has_fresh_{false};
  std::atomic<bool> has_snapshot_letters_{false};
  std::atomic<bool> has_attempts_{false};
  mutable base::Mutex mutex_;
  std::map<schemas::TableName, TableLetters> fresh_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace pgflow::engine
