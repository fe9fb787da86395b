#include "engine/runtime/dead_letter_queue.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include <absl/strings/str_join.h>
#include <absl/strings/str_split.h>

#include "base/crypto/digest.h"
#include "base/log.h"
#include "base/status.h"
#include "engine/runtime/dead_letter_file.h"

namespace pgflow::engine {
namespace {

using Row = SqliteDatabase::Row;

constexpr char kUnknown[] = "unknown";
// The key of a letter that is about all rows of its table.
constexpr char kAllRows[] = "*";

constexpr const char* kSchema = R"(
CREATE TABLE IF NOT EXISTS queue (name TEXT NOT NULL);
INSERT INTO queue SELECT lower(hex(randomblob(8))) WHERE NOT EXISTS (SELECT 1 FROM queue);
CREATE TABLE IF NOT EXISTS letter (
  id INTEGER PRIMARY KEY AUTOINCREMENT, pipeline TEXT NOT NULL, sink TEXT NOT NULL,
  origin TEXT NOT NULL, commit_lsn INTEGER NOT NULL, ordinal INTEGER NOT NULL,
  schema_name TEXT NOT NULL, table_name TEXT NOT NULL, keys TEXT NOT NULL,
  copied_table TEXT NOT NULL, copied_range TEXT NOT NULL, line TEXT NOT NULL,
  changed_at TEXT NOT NULL DEFAULT '', attempt INTEGER NOT NULL DEFAULT 0,
  UNIQUE (pipeline, sink, origin));
CREATE TABLE IF NOT EXISTS replay_request (
  id INTEGER PRIMARY KEY AUTOINCREMENT, pipeline TEXT NOT NULL, sink TEXT NOT NULL,
  request TEXT NOT NULL, begun INTEGER NOT NULL DEFAULT 0, answer TEXT);
)";

int64_t Bits(uint64_t value) { return static_cast<int64_t>(value); }

std::string TextOf(const BlockRange& blocks, bool newer_rows) {
  return fmt::format("{}{}-{}", newer_rows ? "newer " : "", blocks.first, blocks.end);
}

std::vector<std::string> KeysOf(const ChangeEvent& event) {
  if (event.operation == Operation::kTruncate) return {kAllRows};
  return RowKeys(event);
}

}  // namespace

absl::StatusOr<std::shared_ptr<DeadLetterQueue>> DeadLetterQueue::Open(Place place) {
  PGFLOW_ASSIGN_OR_RETURN(std::unique_ptr<SqliteDatabase> database,
                          SqliteDatabase::Open(place.directory, "dead_letters.db", kSchema));
  std::shared_ptr<DeadLetterQueue> queue(
      new DeadLetterQueue(std::move(place), std::move(database)));
  base::MutexLock lock(&queue->mutex_);
  PGFLOW_RETURN_IF_ERROR(queue->database_->Query(
      "SELECT name FROM queue", {},
      [&queue](const Row& row) { queue->id_ = row.text(0) + "/" + queue->place_.pipeline; }));
  PGFLOW_RETURN_IF_ERROR(queue->Import());
  PGFLOW_RETURN_IF_ERROR(queue->Load());
  return queue;
}

absl::Status DeadLetterQueue::Load() {
  fresh_.clear();
  has_fresh_ = false;
  return database_->Query(
      "SELECT id, commit_lsn, ordinal, schema_name, table_name, keys, changed_at = '', attempt, "
      "copied_table FROM letter WHERE pipeline = ? AND sink = ?",
      {place_.pipeline, place_.sink}, [this](const Row& row) {
        mutex_.AssertHeld();
        has_letters_ = true;
        if (row.integer(7) != 0) has_attempts_ = true;
        if (!row.text(8).empty()) has_snapshot_letters_ = true;
        if (row.integer(6) == 0) return;
        NoteFresh({row.text(3), row.text(4)}, row.integer(0),
                  {{postgres::Lsn(static_cast<uint64_t>(row.integer(1))),
                    static_cast<uint64_t>(row.integer(2))},
                   absl::StrSplit(row.text(5), '\n', absl::SkipEmpty())});
      });
}

bool DeadLetterQueue::IsOurs(const std::string& line) const {
  const std::string sink = SinkOfLetter(line);
  // A lane that brings tables in writes for its sink.
  if (sink.substr(0, sink.find('+')) != place_.sink) return false;
  const std::string queue = QueueOf(line);
  return queue.empty() || queue.substr(queue.find('/') + 1) == place_.pipeline;
}

absl::Status DeadLetterQueue::Import() {
  return database_->Transaction([this]() -> absl::Status {
    mutex_.AssertHeld();
    PGFLOW_ASSIGN_OR_RETURN(const std::vector<std::string> lines, ReadLetterFile(place_.file));
    size_t taken = 0;
    std::vector<std::string> damaged;
    std::vector<std::string> rest;
    for (const std::string& line : lines) {
      std::vector<std::string> whole = SplitLetters(line, damaged);
      for (std::string& letter : whole) {
        if (!IsOurs(letter)) {
          rest.push_back(std::move(letter));
        } else if (QueueOf(letter) != id_) {
          PGFLOW_RETURN_IF_ERROR(TakeIn(letter));
          ++taken;
        }
      }
    }
    if (taken == 0 && damaged.empty()) return absl::OkStatus();
    base::LogWarning(
        "dead letter {}: {} letters that were not in the queue were taken in, {} lines could not "
        "be read (they are in {}.damaged)",
        place_.file, taken, damaged.size(), place_.file);
    PGFLOW_RETURN_IF_ERROR(AppendLetters(place_.file + ".damaged", damaged));
    PGFLOW_RETURN_IF_ERROR(database_->Query(
        "SELECT line FROM letter WHERE pipeline = ? AND sink = ? ORDER BY commit_lsn, ordinal, id",
        {place_.pipeline, place_.sink}, [&rest](const Row& row) { rest.push_back(row.text(0)); }));
    return ReplaceLetterFile(place_.file, rest);
  });
}

absl::Status DeadLetterQueue::TakeIn(const std::string& line) {
  PGFLOW_ASSIGN_OR_RETURN(DeadLetter letter, DecodeDeadLetter(line));
  PGFLOW_ASSIGN_OR_RETURN(const std::span<const ChangeEvent> events, letter.batch.Events());
  const schemas::TableName& table = events.front().schema->table;
  return database_->Query(
      "INSERT OR IGNORE INTO letter (pipeline, sink, origin, commit_lsn, ordinal, schema_name, "
      "table_name, keys, copied_table, copied_range, line, changed_at) "
      "VALUES (?, ?, ?, ?, ?, ?, ?, ?, '', '', ?, ?)",
      {place_.pipeline, place_.sink,
       // Snapshot rows of earlier versions share a position.
       fmt::format("{} {} {}", letter.position.ToString(), table.ToString(),
                   base::Hex(base::Sha256(line))),
       Bits(letter.position.commit_lsn.value()), Bits(letter.position.ordinal), table.schema,
       table.name, absl::StrJoin(KeysOf(events.front()), "\n"), WithQueue(line, id_), kUnknown});
}

absl::Status DeadLetterQueue::Insert(const Refusal& refusal, const std::optional<Range>& range,
                                     const std::string& line) {
  const Position& position = refusal.position;
  const schemas::TableName& table = refusal.event.schema->table;
  const std::vector<std::string> keys = KeysOf(refusal.event);
  std::string origin = fmt::format("{} {} {}", position.ToString(), refusal.part, table.ToString());
  std::string copied_table;
  std::string copied_range;
  if (range.has_value()) {
    copied_table = range->table.ToString();
    copied_range = TextOf(range->blocks, range->newer_rows);
    origin = "";  // A range that is read again has none of these any more.
    has_snapshot_letters_ = true;
  }
  int64_t id = 0;
  PGFLOW_RETURN_IF_ERROR(database_->Query(
      "INSERT INTO letter (pipeline, sink, origin, commit_lsn, ordinal, schema_name, table_name, "
      "keys, copied_table, copied_range, line) VALUES (?, ?, "
      "coalesce(nullif(?, ''), lower(hex(randomblob(16)))), ?, ?, ?, ?, ?, ?, ?, ?) "
      "ON CONFLICT (pipeline, sink, origin) DO UPDATE SET line = excluded.line, changed_at = '', "
      "attempt = 0 RETURNING id",
      {place_.pipeline, place_.sink, origin, Bits(position.commit_lsn.value()),
       Bits(position.ordinal), table.schema, table.name, absl::StrJoin(keys, "\n"), copied_table,
       copied_range, line},
      [&id](const Row& row) { id = row.integer(0); }));
  has_letters_ = true;
  NoteFresh(table, id, {position, keys});
  return absl::OkStatus();
}

absl::Status DeadLetterQueue::Bury(const Refusal& refusal, const std::optional<Range>& range) {
  base::MutexLock lock(&mutex_);
  const std::string line = EncodeDeadLetter(refusal, id_);
  bool reopened = false;
  const absl::Status stored = database_->Transaction([&]() -> absl::Status {
    mutex_.AssertHeld();
    PGFLOW_RETURN_IF_ERROR(Insert(refusal, range, line));
    // The sink did not take it, so it overtook nothing.
    PGFLOW_RETURN_IF_ERROR(database_->Query(
        "UPDATE letter SET changed_at = '' WHERE pipeline = ? AND sink = ? AND changed_at = ? "
        "RETURNING id",
        {place_.pipeline, place_.sink, refusal.position.ToString()},
        [&reopened](const Row&) { reopened = true; }));
    if (const absl::Status copied = AppendLetters(place_.file, {line}); !copied.ok()) {
      base::LogWarning("{}; the letter is in the queue", base::Message(copied));
    }
    return absl::OkStatus();
  });
  PGFLOW_RETURN_IF_ERROR(stored);
  return reopened ? Load() : absl::OkStatus();
}

void DeadLetterQueue::CollectOvertaken(const ChangeEvent& event, const Position& position,
                                       std::map<int64_t, std::string>& overtaken) const {
  const auto found = fresh_.find(event.schema->table);
  if (found == fresh_.end() || event.operation == Operation::kSchemaChange) return;
  const TableLetters& table = found->second;
  const bool truncates = event.operation == Operation::kTruncate;
  const std::vector<std::string> keys = truncates ? std::vector<std::string>() : RowKeys(event);
  const std::string_view spelling = keys.empty() ? std::string_view() : SpellingOf(keys.front());
  // What is spelt differently may be the same row.
  const bool one_by_one = truncates || std::ranges::any_of(table.spellings, [&](const auto& other) {
                            return other != spelling;
                          });
  if (one_by_one) {
    for (const auto& [id, letter] : table.letters) {
      const bool comparable =
          !truncates && std::ranges::all_of(letter.keys, [&](const std::string& key) {
            return SpellingOf(key) == spelling;
          });
      if (letter.position < position && !comparable) overtaken.emplace(id, position.ToString());
    }
  }
  for (const std::string& key : keys) {
    const auto [begin, end] = table.by_key.equal_range(key);
    for (auto it = begin; it != end; ++it) {
      if (table.letters.at(it->second).position < position) {
        overtaken.emplace(it->second, position.ToString());
      }
    }
  }
}

absl::Status DeadLetterQueue::Overtake(std::span<Batch> batches) {
  if (!has_fresh_.load()) return absl::OkStatus();
  base::MutexLock lock(&mutex_);
  std::map<int64_t, std::string> overtaken;
  for (Batch& batch : batches) {
    PGFLOW_ASSIGN_OR_RETURN(const std::span<const ChangeEvent> events, batch.Events());
    for (const ChangeEvent& event : events) {
      CollectOvertaken(event, batch.PositionOf(event), overtaken);
    }
  }
  if (overtaken.empty()) return absl::OkStatus();
  const absl::Status stored = database_->Transaction([&]() -> absl::Status {
    mutex_.AssertHeld();
    for (const auto& [id, at] : overtaken) {
      PGFLOW_RETURN_IF_ERROR(database_->Query(
          "UPDATE letter SET changed_at = ? WHERE id = ? AND changed_at = ''", {at, id}));
    }
    return absl::OkStatus();
  });
  PGFLOW_RETURN_IF_ERROR(stored);
  for (const auto& [id, at] : overtaken) ForgetFresh(id);
  return absl::OkStatus();
}

void DeadLetterQueue::NoteFresh(const schemas::TableName& table, int64_t id, Fresh letter) {
  ForgetFresh(id);
  TableLetters& there = fresh_[table];
  for (const std::string& key : letter.keys) {
    there.by_key.emplace(key, id);
    there.spellings.emplace(SpellingOf(key));
  }
  there.letters[id] = std::move(letter);
  has_fresh_ = true;
}

void DeadLetterQueue::ForgetFresh(int64_t id) {
  for (auto table = fresh_.begin(); table != fresh_.end(); ++table) {
    const auto letter = table->second.letters.find(id);
    if (letter == table->second.letters.end()) continue;
    for (const std::string& key : letter->second.keys) {
      const auto [begin, end] = table->second.by_key.equal_range(key);
      for (auto it = begin; it != end;) {
        it = it->second == id ? table->second.by_key.erase(it) : std::next(it);
      }
    }
    table->second.letters.erase(letter);
    if (table->second.letters.empty()) fresh_.erase(table);
    break;
  }
  has_fresh_ = !fresh_.empty();
}

absl::Status DeadLetterQueue::OvertakeAll() {
  base::MutexLock lock(&mutex_);
  PGFLOW_RETURN_IF_ERROR(database_->Query(
      "UPDATE letter SET changed_at = ? WHERE pipeline = ? AND sink = ? AND changed_at = ''",
      {kUnknown, place_.pipeline, place_.sink}));
  return Load();
}

absl::Status DeadLetterQueue::BeginCopy(const schemas::TableName& table,
                                        const schemas::TableName& table_there,
                                        std::span<const BlockRange> finished,
                                        postgres::Lsn snapshot) {
  if (!has_letters_.load()) return absl::OkStatus();
  base::MutexLock lock(&mutex_);
  std::set<std::string> kept;
  for (const BlockRange& range : finished) {
    kept.insert(TextOf(range, false));
    kept.insert(TextOf(range, true));
  }
  std::vector<int64_t> replaced;
  PGFLOW_RETURN_IF_ERROR(database_->Query(
      "SELECT id, copied_range FROM letter WHERE pipeline = ? AND sink = ? AND copied_table = ?",
      {place_.pipeline, place_.sink, table.ToString()}, [&](const Row& row) {
        if (!kept.contains(row.text(1))) replaced.push_back(row.integer(0));
      }));
  const absl::Status stored = database_->Transaction([&]() -> absl::Status {
    for (const int64_t id : replaced) {
      PGFLOW_RETURN_IF_ERROR(database_->Query("DELETE FROM letter WHERE id = ?", {id}));
    }
    // What the stream brought before the snapshot is in the rows that are read now.
    return database_->Query(
        "UPDATE letter SET changed_at = ? WHERE pipeline = ? AND sink = ? AND copied_table = '' "
        "AND schema_name = ? AND table_name = ? AND changed_at = '' AND commit_lsn < ?",
        {fmt::format("{}:0", snapshot.ToString()), place_.pipeline, place_.sink, table_there.schema,
         table_there.name, Bits(snapshot.value())});
  });
  PGFLOW_RETURN_IF_ERROR(stored);
  return Load();
}

absl::Status DeadLetterQueue::BeginRange(const Range& range) {
  if (!has_snapshot_letters_.load()) return absl::OkStatus();
  base::MutexLock lock(&mutex_);
  PGFLOW_RETURN_IF_ERROR(database_->Query(
      "DELETE FROM letter WHERE pipeline = ? AND sink = ? AND copied_table = ? AND "
      "copied_range = ?",
      {place_.pipeline, place_.sink, range.table.ToString(),
       TextOf(range.blocks, range.newer_rows)}));
  return Load();
}

absl::StatusOr<std::vector<Position>> DeadLetterQueue::Behind(postgres::Lsn commit_lsn) const {
  PGFLOW_ASSIGN_OR_RETURN(const std::vector<Entry> entries, Entries());
  std::vector<Position> positions;
  for (const Entry& entry : entries) {
    if (!entry.of_snapshot && entry.position.commit_lsn > commit_lsn) {
      positions.push_back(entry.position);
    }
  }
  return positions;
}

absl::StatusOr<std::vector<DeadLetterQueue::Entry>> DeadLetterQueue::Entries() const {
  std::vector<Entry> entries;
  PGFLOW_RETURN_IF_ERROR(database_->Query(
      "SELECT id, commit_lsn, ordinal, copied_table <> '', changed_at, attempt, keys, schema_name "
      "|| '.' || table_name FROM letter WHERE pipeline = ? AND sink = ? "
      "ORDER BY commit_lsn, ordinal, id",
      {place_.pipeline, place_.sink}, [&entries](const Row& row) {
        Entry entry;
        entry.id = row.integer(0);
        entry.position = {postgres::Lsn(static_cast<uint64_t>(row.integer(1))),
                          static_cast<uint64_t>(row.integer(2))};
        entry.of_snapshot = row.integer(3) != 0;
        entry.changed_at = row.text(4);
        entry.attempt = static_cast<uint64_t>(row.integer(5));
        for (const absl::string_view key : absl::StrSplit(row.text(6), '\n', absl::SkipEmpty())) {
          entry.keys.push_back(row.text(7) + " " + std::string(key));
        }
        entries.push_back(std::move(entry));
      }));
  return entries;
}

absl::StatusOr<std::string> DeadLetterQueue::Line(int64_t id) const {
  std::string line;
  PGFLOW_RETURN_IF_ERROR(database_->Query("SELECT line FROM letter WHERE id = ?", {id},
                                          [&line](const Row& row) { line = row.text(0); }));
  return line;
}

absl::StatusOr<std::vector<std::string>> DeadLetterQueue::Pipelines() const {
  std::vector<std::string> names;
  PGFLOW_RETURN_IF_ERROR(
      database_->Query("SELECT DISTINCT pipeline FROM letter WHERE sink = ? ORDER BY pipeline",
                       {place_.sink}, [&names](const Row& row) { names.push_back(row.text(0)); }));
  return names;
}

absl::Status DeadLetterQueue::BeginAttempts(
    const std::vector<std::pair<int64_t, uint64_t>>& id_and_attempt) {
  base::MutexLock lock(&mutex_);
  has_attempts_ = true;
  return database_->Transaction([&]() -> absl::Status {
    for (const auto& [id, attempt] : id_and_attempt) {
      PGFLOW_RETURN_IF_ERROR(
          database_->Query("UPDATE letter SET attempt = ? WHERE id = ?", {Bits(attempt), id}));
    }
    return absl::OkStatus();
  });
}

absl::Status DeadLetterQueue::SettleAttempts(uint64_t taken) {
  PGFLOW_ASSIGN_OR_RETURN(const std::vector<Entry> entries, Entries());
  std::vector<int64_t> applied;
  for (const Entry& entry : entries) {
    if (entry.attempt != 0 && entry.attempt <= taken) applied.push_back(entry.id);
  }
  PGFLOW_RETURN_IF_ERROR(Remove(applied));
  base::MutexLock lock(&mutex_);
  PGFLOW_RETURN_IF_ERROR(
      database_->Query("UPDATE letter SET attempt = 0 WHERE pipeline = ? AND sink = ?",
                       {place_.pipeline, place_.sink}));
  has_attempts_ = false;
  return absl::OkStatus();
}

absl::Status DeadLetterQueue::Remove(const std::vector<int64_t>& ids) {
  if (ids.empty()) return absl::OkStatus();
  base::MutexLock lock(&mutex_);
  const absl::Status stored = database_->Transaction([&]() -> absl::Status {
    for (const int64_t id : ids) {
      PGFLOW_RETURN_IF_ERROR(database_->Query("DELETE FROM letter WHERE id = ?", {id}));
    }
    return absl::OkStatus();
  });
  PGFLOW_RETURN_IF_ERROR(stored);
  for (const int64_t id : ids) ForgetFresh(id);
  return absl::OkStatus();
}

absl::Status DeadLetterQueue::RefusedAgain(int64_t id, const absl::Status& error) {
  PGFLOW_ASSIGN_OR_RETURN(const std::string line, Line(id));
  base::MutexLock lock(&mutex_);
  return database_->Query("UPDATE letter SET line = ?, attempt = 0 WHERE id = ?",
                          {WithError(line, error), id});
}

absl::Status DeadLetterQueue::WriteCopy() const {
  base::MutexLock lock(&mutex_);
  return database_->Transaction([this]() -> absl::Status {
    PGFLOW_ASSIGN_OR_RETURN(std::vector<std::string> lines, ReadLetterFile(place_.file));
    std::erase_if(lines,
                  [this](const std::string& line) { return IsOurs(line) && QueueOf(line) == id_; });
    PGFLOW_RETURN_IF_ERROR(database_->Query(
        "SELECT line FROM letter WHERE pipeline = ? AND sink = ? ORDER BY commit_lsn, ordinal, id",
        {place_.pipeline, place_.sink},
        [&lines](const Row& row) { lines.push_back(row.text(0)); }));
    return ReplaceLetterFile(place_.file, lines);
  });
}

}  // namespace pgflow::engine
