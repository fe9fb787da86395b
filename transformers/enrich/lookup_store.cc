#include "transformers/enrich/lookup_store.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/status.h"

namespace pgflow::transformers {
namespace {

using engine::Position;
using engine::SqliteDatabase;

// Rows with old versions, after which these are looked through.
constexpr size_t kChangedMax = 2'000;
constexpr uint64_t kOrdinalMax = uint64_t{1} << 62;

constexpr const char* kSchema = R"(
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS version (
  key TEXT NOT NULL, commit_lsn INTEGER NOT NULL, ordinal INTEGER NOT NULL,
  present INTEGER NOT NULL, row TEXT NOT NULL,
  PRIMARY KEY (key, commit_lsn, ordinal)) WITHOUT ROWID;
CREATE TEMP TABLE seen (key TEXT PRIMARY KEY) WITHOUT ROWID;
)";

int64_t Signed(uint64_t number) { return static_cast<int64_t>(number); }

std::string Encode(const LookupRow& row) {
  std::string bytes;
  for (const LookupRow::Field& field : row.fields) {
    bytes.push_back(static_cast<char>(field.kind));
    const auto size = static_cast<uint32_t>(field.bytes.size());
    bytes.append(reinterpret_cast<const char*>(&size), sizeof size);
    bytes += field.bytes;
  }
  return bytes;
}

LookupRowPtr Decode(std::string_view bytes) {
  auto row = std::make_shared<LookupRow>();
  uint32_t size = 0;
  constexpr size_t kHead = 1 + sizeof size;
  while (bytes.size() >= kHead) {
    std::memcpy(&size, bytes.data() + 1, sizeof size);
    if (bytes.size() - kHead < size) break;
    row->fields.push_back(
        {static_cast<schemas::ValueKind>(bytes[0]), std::string(bytes.substr(kHead, size))});
    bytes.remove_prefix(kHead + size);
  }
  return row;
}

uint64_t SizeOf(const LookupRowPtr& row) {
  constexpr uint64_t kOverhead = 96;
  uint64_t bytes = kOverhead;
  if (row == nullptr) return bytes;
  for (const LookupRow::Field& field : row->fields) bytes += field.bytes.size() + kOverhead / 2;
  return bytes;
}

}  // namespace

Position LookupStore::PlaceOf(postgres::Lsn snapshot) {
  return {postgres::Lsn(std::max<uint64_t>(snapshot.value(), 1) - 1), kOrdinalMax};
}

absl::StatusOr<std::unique_ptr<LookupStore>> LookupStore::Open(const std::string& directory,
                                                               const std::string& file,
                                                               const std::string& fingerprint,
                                                               uint64_t memory_bytes_max) {
  std::unique_ptr<SqliteDatabase> database;
  if (!directory.empty()) {
    PGFLOW_ASSIGN_OR_RETURN(database, SqliteDatabase::Open(directory, file, kSchema));
  }
  std::unique_ptr<LookupStore> store(new LookupStore(std::move(database), memory_bytes_max));
  PGFLOW_RETURN_IF_ERROR(store->LoadMeta(fingerprint));
  return store;
}

absl::Status LookupStore::LoadMeta(const std::string& fingerprint) {
  if (database_ == nullptr) return absl::OkStatus();
  base::MutexLock lock(&mutex_);
  std::unordered_map<std::string, std::string> meta;
  PGFLOW_RETURN_IF_ERROR(database_->Query(
      "SELECT name, value FROM meta", {},
      [&meta](const SqliteDatabase::Row& row) { meta[row.text(0)] = row.text(1); }));
  if (meta["fingerprint"] != fingerprint) {
    return Together([&]() ABSL_NO_THREAD_SAFETY_ANALYSIS -> absl::Status {
      PGFLOW_RETURN_IF_ERROR(database_->Query("DELETE FROM version", {}));
      PGFLOW_RETURN_IF_ERROR(database_->Query("DELETE FROM meta", {}));
      return SetMeta("fingerprint", fingerprint);
    });
  }
  if (meta.contains("learned")) {
    learned_ = postgres::Lsn::Parse(meta["learned"]).value_or(postgres::Lsn());
  }
  description_ = meta["description"];
  return absl::OkStatus();
}

absl::Status LookupStore::SetMeta(const std::string& name, const std::string& value) {
  if (database_ == nullptr) return absl::OkStatus();
  return database_->Query("INSERT OR REPLACE INTO meta VALUES (?, ?)", {name, value});
}

std::optional<postgres::Lsn> LookupStore::learned() const {
  base::MutexLock lock(&mutex_);
  return learned_;
}

std::string LookupStore::description() const {
  base::MutexLock lock(&mutex_);
  return description_;
}

absl::Status LookupStore::Describe(const std::string& description) {
  base::MutexLock lock(&mutex_);
  description_ = description;
  return SetMeta("description", description);
}

absl::Status LookupStore::Together(const std::function<absl::Status()>& work) {
  absl::Status status = database_ == nullptr ? work() : database_->Transaction(work);
  if (status.ok()) return status;
  // What memory has of it was not written.
  if (database_ != nullptr) {
    entries_.clear();
    recent_.clear();
    bytes_ = 0;
  }
  return status;
}

absl::StatusOr<LookupStore::Entry*> LookupStore::Load(const std::string& key) {
  const auto found = entries_.find(key);
  if (found != entries_.end()) {
    recent_.splice(recent_.begin(), recent_, found->second.place);
    return &found->second;
  }
  Entry entry;
  if (database_ != nullptr) {
    PGFLOW_RETURN_IF_ERROR(database_->Query(
        "SELECT commit_lsn, ordinal, present, row FROM version WHERE key = ? "
        "ORDER BY commit_lsn, ordinal",
        {key}, [&entry](const SqliteDatabase::Row& row) {
          const Position at{postgres::Lsn(static_cast<uint64_t>(row.integer(0))),
                            static_cast<uint64_t>(row.integer(1))};
          entry.versions.push_back({at, row.integer(2) == 0 ? nullptr : Decode(row.text(3))});
          entry.bytes += SizeOf(entry.versions.back().row);
        }));
  }
  entry.bytes += 2 * key.size();
  recent_.push_front(key);
  entry.place = recent_.begin();
  bytes_ += entry.bytes;
  Shrink();
  return &entries_.emplace(key, std::move(entry)).first->second;
}

void LookupStore::Shrink() {
  if (database_ == nullptr) return;
  // The first one is in use.
  while (bytes_ > memory_bytes_max_ && recent_.size() > 1) {
    const auto oldest = entries_.find(recent_.back());
    if (oldest != entries_.end()) {
      bytes_ -= oldest->second.bytes;
      entries_.erase(oldest);
    }
    recent_.pop_back();
  }
}

absl::StatusOr<LookupRowPtr> LookupStore::FindLocked(const std::string& key, Position at) {
  PGFLOW_ASSIGN_OR_RETURN(const Entry* entry, Load(key));
  const auto& versions = entry->versions;
  const auto after = std::ranges::upper_bound(versions, at, {}, &Version::at);
  if (after != versions.begin()) return std::prev(after)->row;
  // It began to be known later than this.
  const bool unknown = learned_.has_value() && at < PlaceOf(*learned_) && !versions.empty() &&
                       versions.front().at == PlaceOf(*learned_);
  return unknown ? versions.front().row : nullptr;
}

absl::StatusOr<LookupRowPtr> LookupStore::Find(const std::string& key, Position at) {
  base::MutexLock lock(&mutex_);
  return FindLocked(key, at);
}

absl::Status LookupStore::PutLocked(const std::string& key, Position at, LookupRowPtr row) {
  if (database_ != nullptr) {
    PGFLOW_RETURN_IF_ERROR(
        database_->Query("INSERT OR REPLACE INTO version VALUES (?, ?, ?, ?, ?)",
                         {key, Signed(at.commit_lsn.value()), Signed(at.ordinal),
                          int64_t{row != nullptr}, row == nullptr ? std::string() : Encode(*row)}));
  }
  if (learning_) {
    if (database_ == nullptr) {
      seen_.insert(key);
    } else {
      PGFLOW_RETURN_IF_ERROR(database_->Query("INSERT OR IGNORE INTO seen VALUES (?)", {key}));
    }
  }
  const auto found = entries_.find(key);
  // A snapshot's rows would only push each other out of memory.
  if (found == entries_.end() && learning_ && database_ != nullptr) return absl::OkStatus();
  if (!learning_) changed_.insert(key);
  PGFLOW_ASSIGN_OR_RETURN(Entry * entry, Load(key));
  if (found == entries_.end() && database_ != nullptr) return absl::OkStatus();  // Read with it.
  const auto place = std::ranges::lower_bound(entry->versions, at, {}, &Version::at);
  if (place != entry->versions.end() && place->at == at) {
    place->row = std::move(row);
    return absl::OkStatus();
  }
  const uint64_t bytes = SizeOf(row);
  entry->versions.insert(place, {at, std::move(row)});
  entry->bytes += bytes;
  bytes_ += bytes;
  return absl::OkStatus();
}

absl::Status LookupStore::EndOthers(Position at, bool only_unseen) {
  if (database_ != nullptr) {
    entries_.clear();
    recent_.clear();
    bytes_ = 0;
    const char* sql =
        only_unseen ? "INSERT OR IGNORE INTO version SELECT DISTINCT key, ?1, ?2, 0, '' FROM "
                      "version WHERE key NOT IN (SELECT key FROM seen) AND "
                      "(commit_lsn, ordinal) < (?1, ?2)"
                    : "INSERT OR REPLACE INTO version SELECT DISTINCT key, ?1, ?2, 0, '' FROM "
                      "version WHERE (commit_lsn, ordinal) < (?1, ?2)";
    return database_->Query(sql, {Signed(at.commit_lsn.value()), Signed(at.ordinal)});
  }
  std::vector<std::string> keys;
  for (const auto& [key, entry] : entries_) {
    if (!only_unseen || !seen_.contains(key)) keys.push_back(key);
  }
  for (const std::string& key : keys) PGFLOW_RETURN_IF_ERROR(PutLocked(key, at, nullptr));
  return absl::OkStatus();
}

absl::StatusOr<LookupRowPtr> LookupStore::Writer::Find(const std::string& key,
                                                       Position at) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  return store_.FindLocked(key, at);
}

absl::Status LookupStore::Writer::Put(const std::string& key, Position at,
                                      LookupRowPtr row) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  return store_.PutLocked(key, at, std::move(row));
}

absl::Status LookupStore::Writer::Clear(Position at) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  return store_.EndOthers(at, false);
}

absl::Status LookupStore::Write(const std::function<absl::Status(Writer&)>& work) {
  base::MutexLock lock(&mutex_);
  Writer writer(*this);
  return Together([&]() ABSL_NO_THREAD_SAFETY_ANALYSIS -> absl::Status {
    if (changed_.size() >= kChangedMax) PGFLOW_RETURN_IF_ERROR(DropSettled());
    return work(writer);
  });
}

absl::Status LookupStore::Learn(postgres::Lsn point,
                                const std::function<absl::Status(Writer&)>& work) {
  base::MutexLock lock(&mutex_);
  Writer writer(*this);
  learning_ = true;
  absl::Status status = Together([&]() ABSL_NO_THREAD_SAFETY_ANALYSIS -> absl::Status {
    if (database_ != nullptr) PGFLOW_RETURN_IF_ERROR(database_->Query("DELETE FROM seen", {}));
    PGFLOW_RETURN_IF_ERROR(work(writer));
    PGFLOW_RETURN_IF_ERROR(EndOthers(PlaceOf(point), true));
    if (learned_.has_value()) return absl::OkStatus();
    return SetMeta("learned", point.ToString());
  });
  learning_ = false;
  seen_.clear();
  if (status.ok() && !learned_.has_value()) learned_ = point;
  return status;
}

// Of each row the version that counts at the settled place is kept, and all behind it.
absl::Status LookupStore::DropSettled() {
  const uint64_t settled = settled_.load();
  if (settled == 0 || database_ == nullptr) return absl::OkStatus();
  for (const std::string& key : changed_) {
    PGFLOW_RETURN_IF_ERROR(database_->Query(
        "DELETE FROM version WHERE key = ?1 AND (commit_lsn, ordinal) < (SELECT commit_lsn, "
        "ordinal FROM version WHERE key = ?1 AND commit_lsn < ?2 "
        "ORDER BY commit_lsn DESC, ordinal DESC LIMIT 1)",
        {key, Signed(settled)}));
    const auto entry = entries_.find(key);
    if (entry == entries_.end()) continue;
    bytes_ -= entry->second.bytes;
    recent_.erase(entry->second.place);
    entries_.erase(entry);
  }
  changed_.clear();
  return absl::OkStatus();
}

}  // namespace pgflow::transformers
