#include "sources/postgres/known_source.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/status.h"

namespace pgflow::sources {
namespace {

using Json = nlohmann::json;
using postgres::Lsn;

constexpr const char* kFile = "source.db";
constexpr const char* kSchema =
    "CREATE TABLE IF NOT EXISTS known_source (slot TEXT PRIMARY KEY, known TEXT NOT NULL)";

Json ToJson(const KnownSource& known) {
  Json tables = Json::array();
  for (const CatalogRelation& table : known.publication.relations) {
    tables.push_back({table.oid, table.name.schema, table.name.name, table.paths, table.part,
                      table.gone, table.joining});
  }
  return {{"publication", known.publication.oid},
          {"version", known.publication.version},
          {"owner", known.publication.owner},
          {"horizon", known.publication.horizon},
          {"tables", std::move(tables)},
          {"timeline", known.log.timeline},
          {"end", known.log.end.value()},
          {"restart", known.log.restart.value()},
          {"sample_end", known.log.sample_end.value()},
          {"sample", known.log.sample}};
}

KnownSource FromJson(const Json& json) {
  KnownSource known;
  json.at("publication").get_to(known.publication.oid);
  json.at("version").get_to(known.publication.version);
  json.at("owner").get_to(known.publication.owner);
  known.publication.horizon = json.value("horizon", uint64_t{0});
  for (const Json& entry : json.at("tables")) {
    CatalogRelation table;
    entry.at(0).get_to(table.oid);
    entry.at(1).get_to(table.name.schema);
    entry.at(2).get_to(table.name.name);
    entry.at(3).get_to(table.paths);
    entry.at(4).get_to(table.part);
    table.gone = entry.size() > 5 && entry.at(5).get<bool>();
    table.joining = entry.size() > 6 && entry.at(6).get<bool>();
    table.listed = true;
    known.publication.relations.push_back(std::move(table));
  }
  json.at("timeline").get_to(known.log.timeline);
  known.log.end = Lsn(json.at("end").get<uint64_t>());
  known.log.restart = Lsn(json.at("restart").get<uint64_t>());
  known.log.sample_end = Lsn(json.at("sample_end").get<uint64_t>());
  json.at("sample").get_to(known.log.sample);
  return known;
}

// The capture moves a partition that leaves its root into the publication by itself, and the other
// way round, in one transaction: only what was in it directly, and still is, can be compared.
std::set<std::string> PathsToCompare(const CatalogRelation& relation, bool captured) {
  std::set<std::string> paths = relation.paths;
  if (captured) std::erase_if(paths, [](const auto& path) { return path.find('i') != path.npos; });
  return paths;
}

bool HaveCommon(const std::set<std::string>& a, const std::set<std::string>& b) {
  return std::ranges::any_of(a, [&](const std::string& path) { return b.contains(path); });
}

// Of a table that the stream carried.
std::string GapOf(const CatalogRelation& before, const CatalogRelation& now, bool captured) {
  if (now.paths.empty()) return "it was taken out of the publication";
  // Nobody drops a table and makes it again with the same oid.
  if (before.gone) return "it was unlogged for a while: what changed then is not in the stream";
  const std::set<std::string> there = PathsToCompare(before, captured);
  const std::set<std::string> here = PathsToCompare(now, captured);
  if (captured && (there.empty() || here.empty())) return "";
  if (HaveCommon(there, here)) return "";
  // ALTER PUBLICATION with another filter or list makes the row anew, without a gap.
  if (before.part != now.part) return "";
  return "it was taken out of the publication and put back: what changed in between is not in the "
         "stream";
}

std::string GapOfPublication(const PublicationContent& known, const PublicationContent& now,
                             std::string& warning) {
  if (now.oid == 0) return "it was dropped";
  if (now.oid != known.oid) {
    return "it was dropped and made again: what changed in between is not in the stream";
  }
  if (now.version == known.version) return "";
  if (now.owner != known.owner) {
    warning =
        "the publication has another owner; if its options were changed as well, for a while, "
        "changes of that time are missing";
    return "";
  }
  return "its options were changed: for a time it may have left out kinds of changes";
}

}  // namespace

std::vector<const CatalogRelation*> ChosenOf(const PublicationContent& content,
                                             const schemas::TableFilter& filter) {
  // A partition follows its root: its path begins with one of the root's.
  std::set<std::string> roots;
  for (const CatalogRelation& relation : content.relations) {
    if (!relation.partitioned || !filter.Matches(relation.name)) continue;
    roots.insert(relation.paths.begin(), relation.paths.end());
  }
  const auto follows = [&](const std::string& path) {
    for (size_t end = path.find('i'); end != std::string::npos; end = path.find('i', end + 1)) {
      if (roots.contains(path.substr(0, end))) return true;
    }
    return false;
  };
  std::vector<const CatalogRelation*> chosen;
  for (const CatalogRelation& relation : content.relations) {
    if (!relation.listed && (relation.partitioned || !relation.paths.empty())) continue;
    if (!filter.Matches(relation.name) && !std::ranges::any_of(relation.paths, follows)) continue;
    chosen.push_back(&relation);
  }
  return chosen;
}

TableGaps FindGaps(const KnownSource& known, const PublicationContent& now, const GapRules& rules) {
  TableGaps gaps;
  if (!known.knows_tables()) return gaps;
  gaps.publication = GapOfPublication(known.publication, now, gaps.warning);
  std::map<postgres::Oid, const CatalogRelation*> by_oid;
  std::set<schemas::TableName> names;
  for (const CatalogRelation& table : known.publication.relations) {
    by_oid.emplace(table.oid, &table);
    names.insert(table.name);
  }
  for (const CatalogRelation* relation : ChosenOf(now, *rules.filter)) {
    const CatalogRelation& table = *relation;
    if (const auto same = by_oid.find(table.oid); same != by_oid.end()) {
      const std::string gap = GapOf(*same->second, table, rules.captured);
      const bool renamed =
          (same->second->joining || rules.renamed_unheard) && same->second->name != table.name;
      if (!gap.empty()) {
        gaps.of[table.name] = gap;
      } else if (renamed && !rules.captured && table.listed) {
        gaps.fresh.insert(table.name);  // It did not join under this name.
      }
    } else if (!rules.captured && names.contains(table.name)) {
      gaps.of[table.name] =
          "another table has its name now: without replication.ddl a table that is dropped and "
          "made again is not followed, and the target has the rows of the old one";
    } else if (table.listed && !(rules.captured && rules.ours)) {
      // An unlogged table is not published, and was there when somebody looked.
      const bool was_unlogged = table.made != 0 && table.made < known.publication.horizon;
      if (!table.since_creation || was_unlogged) gaps.fresh.insert(table.name);
    }
  }
  return gaps;
}

absl::StatusOr<std::unique_ptr<KnownSourceStore>> KnownSourceStore::Open(
    const std::string& directory, const std::string& slot) {
  std::unique_ptr<KnownSourceStore> store(new KnownSourceStore());
  store->slot_ = slot;
  if (directory.empty()) return store;
  PGFLOW_ASSIGN_OR_RETURN(store->database_,
                          engine::SqliteDatabase::Open(directory, kFile, kSchema));
  Json json;
  PGFLOW_RETURN_IF_ERROR(store->database_->Query(
      "SELECT known FROM known_source WHERE slot = ?", {slot}, [&](const auto& row) {
        json = Json::parse(row.text(0), nullptr, /*allow_exceptions=*/false);
      }));
  base::MutexLock lock(&store->mutex_);
  if (json.is_object()) store->known_ = FromJson(json);
  return store;
}

KnownSource KnownSourceStore::Get() const {
  base::MutexLock lock(&mutex_);
  return known_;
}

bool KnownSourceStore::knows_tables() const {
  base::MutexLock lock(&mutex_);
  return known_.knows_tables();
}

uint64_t KnownSourceStore::horizon() const {
  base::MutexLock lock(&mutex_);
  return known_.publication.horizon;
}

std::optional<CatalogRelation> KnownSourceStore::Find(postgres::Oid table) const {
  base::MutexLock lock(&mutex_);
  const auto& tables = known_.publication.relations;
  const auto found = std::ranges::find(tables, table, &CatalogRelation::oid);
  return found == tables.end() ? std::nullopt : std::optional(*found);
}

absl::Status KnownSourceStore::SetTables(PublicationContent publication) {
  base::MutexLock lock(&mutex_);
  known_.publication = std::move(publication);
  return Save();
}

absl::Status KnownSourceStore::UpdateTables(
    const std::function<bool(PublicationContent& known)>& change) {
  base::MutexLock lock(&mutex_);
  return change(known_.publication) ? Save() : absl::OkStatus();
}

absl::Status KnownSourceStore::SetLog(KnownLog log) {
  base::MutexLock lock(&mutex_);
  known_.log = std::move(log);
  return Save();
}

absl::Status KnownSourceStore::Forget() {
  base::MutexLock lock(&mutex_);
  known_ = {};
  if (database_ == nullptr) return absl::OkStatus();
  return database_->Query("DELETE FROM known_source WHERE slot = ?", {slot_});
}

absl::Status KnownSourceStore::Save() {
  if (database_ == nullptr) return absl::OkStatus();
  return database_->Query(
      "INSERT INTO known_source VALUES (?, ?) ON CONFLICT (slot) DO UPDATE SET known = "
      "excluded.known",
      {slot_, ToJson(known_).dump(-1, ' ', true, Json::error_handler_t::replace)});
}

}  // namespace pgflow::sources
