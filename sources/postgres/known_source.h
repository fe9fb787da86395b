// KnownSource: what the source looked like when nothing was missing from the stream, and what has
// happened to it since. A publication that loses a table, or a kind of change, and gets it back
// writes nothing to the stream; its catalog rows are others afterwards.
//
// Pure, but for KnownSourceStore. What is kept is durable, so that a change during a stop is found.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <absl/base/thread_annotations.h>
#include <absl/status/status.h>

#include "base/mutex.h"
#include "engine/state/sqlite_database.h"
#include "postgres/types/lsn.h"
#include "schemas/table_filter.h"
#include "sources/postgres/published_tables.h"

namespace pgflow::sources {

// A place in the server's log, and what is written there.
struct KnownLog {
  uint32_t timeline = 0;     // 0: nothing is known.
  postgres::Lsn end;         // It reached as far.
  postgres::Lsn restart;     // The slot's restart_lsn, which the server keeps on disk.
  postgres::Lsn sample_end;  // `sample` is of the bytes that end here; invalid: none.
  std::string sample;
};

struct KnownSource {
  // Of the publication; nothing is known when its oid is 0. Tables: those that the stream carries.
  PublicationContent publication;
  KnownLog log;

  bool knows_tables() const { return publication.oid != 0; }
};

struct TableGaps {
  std::string publication;                       // What happened to it as a whole; or nothing.
  std::map<schemas::TableName, std::string> of;  // What happened to these tables.
  // They may hold rows that the sinks do not get from the stream.
  std::set<schemas::TableName> fresh;
  std::string warning;
};

struct GapRules {
  const schemas::TableFilter* filter = nullptr;  // Chooses the tables that count.
  bool captured = false;  // The capture tells of tables that are made, dropped, attached, detached.
  bool ours = false;      // pgflow made the publication.
  // Nobody ran who could have told the sinks of a table's new name.
  bool renamed_unheard = false;
};

// What the stream lacks since `known`. Nothing when nothing is known.
TableGaps FindGaps(const KnownSource& known, const PublicationContent& now, const GapRules& rules);
// Those that hold rows, published or not.
std::vector<const CatalogRelation*> ChosenOf(const PublicationContent& content,
                                             const schemas::TableFilter& filter);

// Thread-safe. Without a directory it keeps nothing beyond its own life.
class KnownSourceStore {
 public:
  // kFailedPrecondition: the file cannot be used.
  static absl::StatusOr<std::unique_ptr<KnownSourceStore>> Open(const std::string& directory,
                                                                const std::string& slot);
  KnownSource Get() const;
  bool knows_tables() const;
  std::optional<CatalogRelation> Find(postgres::Oid table) const;
  // What transactions before this one made has been seen.
  uint64_t horizon() const;
  absl::Status SetTables(PublicationContent publication);
  // The same, of what `change` makes of what is known; false: nothing is changed.
  absl::Status UpdateTables(const std::function<bool(PublicationContent& known)>& change);
  absl::Status SetLog(KnownLog log);
  absl::Status Forget();

 private:
  KnownSourceStore() = default;
  absl::Status Save() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  std::string slot_;
  std::unique_ptr<engine::SqliteDatabase> database_;
  mutable base::Mutex mutex_;
  KnownSource known_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace pgflow::sources
