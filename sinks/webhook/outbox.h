// Outbox: what a sink owes the endpoints of its subscriptions' table, in a file of the state
// directory, with the subscriptions and the sink's checkpoint.
//
// All three move in one transaction, so a change is put in once, for the subscriptions that counted
// at its place in the stream, whatever happens to the process. The body of a change is kept once,
// however many endpoints wait for it, and goes when the last one has it.
//
// What waits for each subscription is counted in the file, by whatever changes it: lanes and
// endpoints, each with a count of its own, would not agree.
//
// Thread-safe. Errors: kFailedPrecondition, naming the file.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <absl/base/thread_annotations.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "base/mutex.h"
#include "engine/api/checkpoint.h"
#include "engine/state/sqlite_checkpoint_store.h"
#include "engine/state/sqlite_database.h"
#include "schemas/table_schema.h"
#include "sinks/webhook/delivery.h"

namespace pgflow::sinks {

struct StoredSubscription {
  int64_t id = 0;     // Never used again.
  std::string key;    // Of its row.
  std::string row;    // JSON; see subscription_row.h.
  std::string error;  // Why it gets nothing until its row changes; empty: it gets all.
};

// One change, for those who are owed it.
struct OutboxMessage {
  int64_t sequence = 0;  // Given by the outbox: the order of the stream.
  WebhookMessage message;
  schemas::TableName table;
  bool barrier = false;
  std::vector<int64_t> owed_to;  // Only to put in.
};

struct Backlog {
  uint64_t events = 0;
  uint64_t bytes = 0;
};

// What one window changes.
struct OutboxEdit {
  std::vector<OutboxMessage> messages;
  std::vector<StoredSubscription> upserts;  // By id; 0: of that key, new or not.
  std::vector<int64_t> forgotten;           // They stay, and lose all that they are owed.
  std::vector<int64_t> removals;            // With all that they are owed.
};

class Outbox {
 public:
  // `part`: 1 for the sink's own lane, 2 for the one that brings tables in beside it.
  static absl::StatusOr<std::unique_ptr<Outbox>> Open(const std::string& directory,
                                                      const std::string& file, int part);
  static std::string FileOf(const std::string& pipeline, const std::string& sink) {
    return "webhook-" + pipeline + "-" + sink + ".db";
  }

  // The checkpoint of `sink` in here. One that begins anew forgets subscriptions and messages, save
  // that of part 2.
  std::unique_ptr<engine::CheckpointStore> MakeStore(const std::string& pipeline,
                                                     const std::string& sink);

  // Forgets the parts of a transaction that did not end.
  absl::Status DropParts();
  absl::StatusOr<std::vector<StoredSubscription>> Subscriptions();
  // Ids for new subscriptions start there.
  absl::StatusOr<int64_t> NextSubscription();
  // Whether another part wrote since the last call.
  absl::StatusOr<bool> ChangedByOthers();

  // All of it durably, or nothing. `store` is advanced to `end` when the window ends at a commit;
  // else the messages stay unseen until one does.
  absl::Status Commit(const OutboxEdit& edit, std::optional<engine::StreamPoint> end,
                      engine::CheckpointStore& store);
  // The rows of a range of the snapshot, with its entry in the ledger of `store`.
  struct LedgerEntry {
    schemas::TableName table;
    engine::BlockRange range;
  };
  absl::Status CommitRange(const OutboxEdit& edit, const std::optional<LedgerEntry>& entry,
                           engine::CheckpointStore& store);

  // The first ones that `subscription` is owed, in order.
  absl::StatusOr<std::vector<OutboxMessage>> Read(int64_t subscription, size_t events_max,
                                                  uint64_t bytes_max);
  // What waits for it, of complete transactions. A look, whatever waits.
  absl::StatusOr<Backlog> BacklogOf(int64_t subscription);
  // The subscriptions for which at least that much waits.
  absl::StatusOr<std::vector<int64_t>> FullFrom(uint64_t bytes);
  // It has them.
  absl::Status Done(int64_t subscription, const std::vector<int64_t>& sequences);

 private:
  class Store;

  Outbox(std::unique_ptr<engine::SqliteDatabase> database, int part)
      : database_(std::move(database)), part_(part) {}
  absl::Status Apply(const OutboxEdit& edit) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status InsertAll(const std::vector<OutboxMessage>& messages)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Insert(const OutboxMessage& message, int64_t sequence)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Upsert(const StoredSubscription& subscription) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Remove(int64_t subscription) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // What this part has put in counts from here.
  absl::Status CompleteParts() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Clear() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::unique_ptr<engine::SqliteDatabase> database_;
  const int part_;
  base::Mutex mutex_;  // Held for a whole transaction of the file.
  int64_t others_version_ ABSL_GUARDED_BY(mutex_) = -1;
};

}  // namespace pgflow::sinks
