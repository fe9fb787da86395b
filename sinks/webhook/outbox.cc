#include "sinks/webhook/outbox.h"

#include <functional>
#include <span>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/status.h"

namespace pgflow::sinks {
namespace {

using engine::SqliteDatabase;
using Row = SqliteDatabase::Row;

// `part` of an event: 0 when its transaction is complete, else who has written it so far.
constexpr const char* kSchema = R"(
CREATE TABLE IF NOT EXISTS subscription (
  id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL, row TEXT NOT NULL,
  error TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS event (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT, commit_lsn INTEGER NOT NULL,
  ordinal INTEGER NOT NULL, name TEXT NOT NULL, schema_name TEXT NOT NULL,
  table_name TEXT NOT NULL, key INTEGER NOT NULL, old_key INTEGER NOT NULL,
  barrier INTEGER NOT NULL, part INTEGER NOT NULL, body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS event_part ON event (part) WHERE part <> 0;
CREATE TABLE IF NOT EXISTS owed (
  subscription INTEGER NOT NULL, sequence INTEGER NOT NULL,
  PRIMARY KEY (subscription, sequence)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS owed_sequence ON owed (sequence);
CREATE TABLE IF NOT EXISTS backlog (
  subscription INTEGER PRIMARY KEY, events INTEGER NOT NULL, bytes INTEGER NOT NULL);
)";

// A file of a version that did not count. Bytes, not letters, as everywhere else.
constexpr const char* kCountOnce = R"(
INSERT INTO backlog
SELECT subscription, count(*), sum(length(CAST(body AS BLOB)))
FROM owed JOIN event ON event.sequence = owed.sequence
WHERE part = 0 AND NOT EXISTS (SELECT 1 FROM backlog) GROUP BY subscription)";

constexpr const char* kCountPart = R"(
INSERT INTO backlog
SELECT subscription, count(*), sum(length(CAST(body AS BLOB)))
FROM event JOIN owed ON owed.sequence = event.sequence
WHERE part = ? GROUP BY subscription
ON CONFLICT (subscription) DO UPDATE
SET events = events + excluded.events, bytes = bytes + excluded.bytes)";

// ?1: the subscription; ?2: sequences, as JSON has an array. Those it is not owed do not count.
constexpr const char* kCountDone = R"(
UPDATE backlog SET (events, bytes) =
 (SELECT backlog.events - count(*),
    backlog.bytes - coalesce(sum(length(CAST(body AS BLOB))), 0)
  FROM owed JOIN event ON event.sequence = owed.sequence
  WHERE owed.subscription = ?1 AND owed.sequence IN (SELECT value FROM json_each(?2)))
WHERE subscription = ?1)";

int64_t Signed(uint64_t number) { return static_cast<int64_t>(number); }
uint64_t Unsigned(int64_t number) { return static_cast<uint64_t>(number); }

}  // namespace

// Every call under the outbox's lock, so that none falls into a transaction of somebody else.
class Outbox::Store final : public engine::CheckpointStore {
 public:
  Store(Outbox& outbox, const std::string& pipeline, const std::string& sink)
      : outbox_(outbox), store_(*outbox.database_, pipeline, sink) {}

  absl::StatusOr<std::optional<engine::SinkCheckpoint>> Load() override {
    base::MutexLock lock(&outbox_.mutex_);
    return store_.Load();
  }
  absl::Status Begin(const engine::SourceIdentity& identity, engine::StreamPoint start) override {
    return Together([&]() ABSL_NO_THREAD_SAFETY_ANALYSIS -> absl::Status {
      PGFLOW_RETURN_IF_ERROR(outbox_.Clear());
      return store_.Begin(identity, start);
    });
  }
  absl::Status BeginTables(std::span<const engine::TableProgress> tables) override {
    return Together([&] { return store_.BeginTables(tables); });
  }
  absl::Status FinishRange(const schemas::TableName& table, engine::BlockRange range) override {
    return Together([&] { return store_.FinishRange(table, range); });
  }
  absl::Status FinishTables(std::span<const schemas::TableName> tables) override {
    return Together([&] { return store_.FinishTables(tables); });
  }
  absl::Status FinishSnapshot(postgres::Lsn lsn) override {
    return Together([&] { return store_.FinishSnapshot(lsn); });
  }
  absl::Status AdvanceStream(engine::StreamPoint point) override {
    return Together([&] { return store_.AdvanceStream(point); });
  }
  absl::Status FollowTimeline(uint32_t timeline) override {
    return Together([&] { return store_.FollowTimeline(timeline); });
  }
  absl::Status Forget() override {
    absl::Status gone = Together([&]() ABSL_NO_THREAD_SAFETY_ANALYSIS -> absl::Status {
      PGFLOW_RETURN_IF_ERROR(outbox_.Clear());
      return store_.Forget();
    });
    // With another part, the sink's own lane goes on with the file.
    if (!gone.ok() || outbox_.part_ != 1) return gone;
    // What is deleted stays in free pages of the file, secrets too.
    base::MutexLock lock(&outbox_.mutex_);
    return outbox_.database_->Query("VACUUM", {});
  }
  // Inside a transaction of the outbox.
  engine::SqliteCheckpointStore& inner() { return store_; }

 private:
  absl::Status Together(const std::function<absl::Status()>& work) {
    base::MutexLock lock(&outbox_.mutex_);
    return outbox_.database_->Transaction(work);
  }

  Outbox& outbox_;
  engine::SqliteCheckpointStore store_;
};

absl::StatusOr<std::unique_ptr<Outbox>> Outbox::Open(const std::string& directory,
                                                     const std::string& file, int part) {
  PGFLOW_ASSIGN_OR_RETURN(std::unique_ptr<SqliteDatabase> database,
                          SqliteDatabase::Open(directory, file, kSchema));
  PGFLOW_RETURN_IF_ERROR(database->Query(kCountOnce, {}));
  return std::unique_ptr<Outbox>(new Outbox(std::move(database), part));
}

std::unique_ptr<engine::CheckpointStore> Outbox::MakeStore(const std::string& pipeline,
                                                           const std::string& sink) {
  return std::make_unique<Store>(*this, pipeline, sink);
}

absl::Status Outbox::DropParts() {
  base::MutexLock lock(&mutex_);
  return database_->Transaction([this]() -> absl::Status {
    PGFLOW_RETURN_IF_ERROR(database_->Query(
        "DELETE FROM owed WHERE sequence IN (SELECT sequence FROM event WHERE part = ?)",
        {int64_t{part_}}));
    return database_->Query("DELETE FROM event WHERE part = ?", {int64_t{part_}});
  });
}

absl::StatusOr<std::vector<StoredSubscription>> Outbox::Subscriptions() {
  base::MutexLock lock(&mutex_);
  std::vector<StoredSubscription> subscriptions;
  PGFLOW_RETURN_IF_ERROR(database_->Query(
      "SELECT id, key, row, error FROM subscription ORDER BY id", {},
      [&subscriptions](const Row& row) {
        subscriptions.push_back({row.integer(0), row.text(1), row.text(2), row.text(3)});
      }));
  return subscriptions;
}

absl::StatusOr<int64_t> Outbox::NextSubscription() {
  base::MutexLock lock(&mutex_);
  int64_t next = 1;
  PGFLOW_RETURN_IF_ERROR(
      database_->Query("SELECT seq + 1 FROM sqlite_sequence WHERE name = 'subscription'", {},
                       [&next](const Row& row) { next = row.integer(0); }));
  return next;
}

absl::StatusOr<bool> Outbox::ChangedByOthers() {
  base::MutexLock lock(&mutex_);
  int64_t version = 0;
  PGFLOW_RETURN_IF_ERROR(database_->Query(
      "PRAGMA data_version", {}, [&version](const Row& row) { version = row.integer(0); }));
  return std::exchange(others_version_, version) != version;
}

absl::Status Outbox::Clear() {
  if (part_ != 1) return absl::OkStatus();
  for (const char* sql : {"DELETE FROM owed", "DELETE FROM event", "DELETE FROM subscription",
                          "DELETE FROM backlog"}) {
    PGFLOW_RETURN_IF_ERROR(database_->Query(sql, {}));
  }
  return absl::OkStatus();
}

absl::Status Outbox::Insert(const OutboxMessage& each, int64_t sequence) {
  const WebhookMessage& message = each.message;
  PGFLOW_RETURN_IF_ERROR(database_->Query(
      "INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      {sequence, Signed(message.position.commit_lsn.value()), Signed(message.position.ordinal),
       message.id, each.table.schema, each.table.name, Signed(message.key), Signed(message.old_key),
       int64_t{each.barrier}, int64_t{part_}, message.body}));
  for (const int64_t subscription : each.owed_to) {
    PGFLOW_RETURN_IF_ERROR(
        database_->Query("INSERT INTO owed VALUES (?, ?)", {subscription, sequence}));
  }
  return absl::OkStatus();
}

absl::Status Outbox::Remove(int64_t subscription) {
  PGFLOW_RETURN_IF_ERROR(
      database_->Query("DELETE FROM event WHERE sequence IN (SELECT sequence FROM owed WHERE "
                       "subscription = ?1) AND NOT EXISTS (SELECT 1 FROM owed WHERE "
                       "owed.sequence = event.sequence AND owed.subscription <> ?1)",
                       {subscription}));
  PGFLOW_RETURN_IF_ERROR(
      database_->Query("DELETE FROM owed WHERE subscription = ?", {subscription}));
  return database_->Query("DELETE FROM backlog WHERE subscription = ?", {subscription});
}

absl::Status Outbox::CompleteParts() {
  PGFLOW_RETURN_IF_ERROR(database_->Query(kCountPart, {int64_t{part_}}));
  return database_->Query("UPDATE event SET part = 0 WHERE part = ?", {int64_t{part_}});
}

absl::Status Outbox::Upsert(const StoredSubscription& each) {
  if (each.id != 0) {
    return database_->Query("INSERT OR REPLACE INTO subscription VALUES (?, ?, ?, ?)",
                            {each.id, each.key, each.row, each.error});
  }
  return database_->Query(
      "INSERT OR REPLACE INTO subscription VALUES "
      "((SELECT id FROM subscription WHERE key = ?1), ?1, ?2, ?3)",
      {each.key, each.row, each.error});
}

absl::Status Outbox::Apply(const OutboxEdit& edit) {
  for (const StoredSubscription& each : edit.upserts) {
    PGFLOW_RETURN_IF_ERROR(Upsert(each));
  }
  if (!edit.messages.empty()) PGFLOW_RETURN_IF_ERROR(InsertAll(edit.messages));
  for (const int64_t id : edit.forgotten) PGFLOW_RETURN_IF_ERROR(Remove(id));
  // Last: what they were owed goes with them.
  for (const int64_t id : edit.removals) {
    PGFLOW_RETURN_IF_ERROR(Remove(id));
    PGFLOW_RETURN_IF_ERROR(database_->Query("DELETE FROM subscription WHERE id = ?", {id}));
  }
  return absl::OkStatus();
}

absl::Status Outbox::InsertAll(const std::vector<OutboxMessage>& messages) {
  int64_t sequence = 0;
  PGFLOW_RETURN_IF_ERROR(
      database_->Query("SELECT seq FROM sqlite_sequence WHERE name = 'event'", {},
                       [&sequence](const Row& row) { sequence = row.integer(0); }));
  for (const OutboxMessage& message : messages) {
    PGFLOW_RETURN_IF_ERROR(Insert(message, ++sequence));
  }
  return absl::OkStatus();
}

absl::Status Outbox::Commit(const OutboxEdit& edit, std::optional<engine::StreamPoint> end,
                            engine::CheckpointStore& store) {
  base::MutexLock lock(&mutex_);
  auto& inner = static_cast<Store&>(store).inner();
  return database_->Transaction([&]() ABSL_NO_THREAD_SAFETY_ANALYSIS -> absl::Status {
    PGFLOW_RETURN_IF_ERROR(Apply(edit));
    if (!end.has_value()) return absl::OkStatus();
    PGFLOW_RETURN_IF_ERROR(CompleteParts());
    return inner.AdvanceStream(*end);
  });
}

absl::Status Outbox::CommitRange(const OutboxEdit& edit, const std::optional<LedgerEntry>& entry,
                                 engine::CheckpointStore& store) {
  base::MutexLock lock(&mutex_);
  auto& inner = static_cast<Store&>(store).inner();
  return database_->Transaction([&]() ABSL_NO_THREAD_SAFETY_ANALYSIS -> absl::Status {
    PGFLOW_RETURN_IF_ERROR(Apply(edit));
    if (!entry.has_value()) return absl::OkStatus();
    return inner.FinishRange(entry->table, entry->range);
  });
}

absl::StatusOr<std::vector<OutboxMessage>> Outbox::Read(int64_t subscription, size_t events_max,
                                                        uint64_t bytes_max) {
  base::MutexLock lock(&mutex_);
  std::vector<OutboxMessage> messages;
  uint64_t bytes = 0;
  PGFLOW_RETURN_IF_ERROR(database_->Query(
      "SELECT event.sequence, commit_lsn, ordinal, name, schema_name, table_name, key, old_key, "
      "barrier, body FROM owed JOIN event ON event.sequence = owed.sequence "
      "WHERE owed.subscription = ? AND part = 0 ORDER BY owed.sequence LIMIT ?",
      {subscription, Signed(events_max)}, [&](const Row& row) {
        if (bytes > bytes_max) return;
        OutboxMessage each;
        each.sequence = row.integer(0);
        each.message.position = {postgres::Lsn(Unsigned(row.integer(1))), Unsigned(row.integer(2))};
        each.message.id = row.text(3);
        each.table = {row.text(4), row.text(5)};
        each.message.key = Unsigned(row.integer(6));
        each.message.old_key = Unsigned(row.integer(7));
        each.barrier = row.integer(8) != 0;
        each.message.body = row.text(9);
        bytes += each.message.body.size();
        messages.push_back(std::move(each));
      }));
  return messages;
}

absl::StatusOr<Backlog> Outbox::BacklogOf(int64_t subscription) {
  base::MutexLock lock(&mutex_);
  Backlog backlog;
  PGFLOW_RETURN_IF_ERROR(
      database_->Query("SELECT events, bytes FROM backlog WHERE subscription = ?", {subscription},
                       [&backlog](const Row& row) {
                         backlog = {Unsigned(row.integer(0)), Unsigned(row.integer(1))};
                       }));
  return backlog;
}

absl::StatusOr<std::vector<int64_t>> Outbox::FullFrom(uint64_t bytes) {
  base::MutexLock lock(&mutex_);
  std::vector<int64_t> full;
  PGFLOW_RETURN_IF_ERROR(database_->Query(
      "SELECT subscription FROM backlog WHERE bytes >= ? ORDER BY subscription", {Signed(bytes)},
      [&full](const Row& row) { full.push_back(row.integer(0)); }));
  return full;
}

absl::Status Outbox::Done(int64_t subscription, const std::vector<int64_t>& sequences) {
  const std::string listed = fmt::format("[{}]", fmt::join(sequences, ","));
  base::MutexLock lock(&mutex_);
  return database_->Transaction([&]() -> absl::Status {
    PGFLOW_RETURN_IF_ERROR(database_->Query(kCountDone, {subscription, listed}));
    PGFLOW_RETURN_IF_ERROR(
        database_->Query("DELETE FROM owed WHERE subscription = ? AND sequence IN "
                         "(SELECT value FROM json_each(?))",
                         {subscription, listed}));
    return database_->Query(
        "DELETE FROM event WHERE sequence IN (SELECT value FROM json_each(?1)) AND NOT EXISTS "
        "(SELECT 1 FROM owed WHERE owed.sequence = event.sequence)",
        {listed});
  });
}

}  // namespace pgflow::sinks
