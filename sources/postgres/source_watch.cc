#include "sources/postgres/source_watch.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <memory>
#include <utility>

#include <absl/time/clock.h>
#include <fmt/ranges.h>

#include "base/log.h"
#include "base/pause.h"
#include "base/status.h"
#include "sources/postgres/server_log.h"

namespace pgflow::sources {
namespace {

using postgres::Connection;
using postgres::Lsn;

constexpr size_t kNamedTablesMax = 5;
// A look at very many tables takes longer, and comes less often.
constexpr int kRestFactor = 20;

}  // namespace

std::string ExplainGap(const std::string& publication,
                       const std::vector<schemas::TableName>& tables, const std::string& gap) {
  std::vector<std::string> names;
  std::vector<std::string> copies;
  for (const schemas::TableName& table : tables) {
    if (names.size() == kNamedTablesMax) break;
    names.push_back(table.ToString());
    copies.push_back(fmt::format("--copy {}", table.ToString()));
  }
  const bool all = tables.size() <= kNamedTablesMax;
  return fmt::format(
      "publication {}, table {}{}: {}. Its changes are not applied any further. Have the rows "
      "copied again: `pgflow refresh FILE {}`, and start pgflow, which does it then",
      publication, fmt::join(names, ", "),
      all ? "" : fmt::format(" and {} more", tables.size() - names.size()), gap,
      all ? fmt::format("{}", fmt::join(copies, " ")) : "--copy '*.*'");
}

absl::Status SourceWatch::CheckBefore(Connection& connection, Lsn reached,
                                      const std::stop_token& stop) const {
  const KnownLog known = known_.Get().log;
  PGFLOW_ASSIGN_OR_RETURN(const KnownLog now, LookAtLog(connection, options_.slot, stop));
  PGFLOW_RETURN_IF_ERROR(CheckLog(known, now, reached));
  return CheckSample(options_.connect, known, now, stop);
}

void SourceWatch::Begin() {
  thread_ = std::jthread([this](const std::stop_token& stop) { Watch(stop); });
}

absl::Status SourceWatch::finding() const {
  if (!found_.load(std::memory_order_acquire)) return absl::OkStatus();
  base::MutexLock lock(&mutex_);
  return finding_;
}

void SourceWatch::Watch(const std::stop_token& stop) {
  std::unique_ptr<Connection> connection;
  absl::Duration rest = absl::ZeroDuration();
  while (base::Pause(rest, stop)) {
    const absl::Time start = absl::Now();
    absl::Status looked;
    if (connection == nullptr || !connection->StillThere()) {
      connection.reset();
      auto opened = Connection::Connect(options_.connect, stop);
      looked = opened.status();
      if (opened.ok()) connection = *std::move(opened);
    }
    if (looked.ok()) looked = Look(*connection, stop);
    if (looked.code() == absl::StatusCode::kFailedPrecondition) {
      base::MutexLock lock(&mutex_);
      finding_ = looked;
      found_.store(true, std::memory_order_release);
      return;
    }
    // The stream itself tells of a server that is away.
    if (!looked.ok() && !stop.stop_requested()) {
      base::LogDebug("look at the source: {}", base::Message(looked));
      connection.reset();
    }
    rest =
        std::max(looks_often_ ? kTablesInterval : kInterval, (absl::Now() - start) * kRestFactor);
  }
}

absl::Status SourceWatch::Look(Connection& connection, const std::stop_token& stop) {
  PGFLOW_RETURN_IF_ERROR(LookAtWaiters(connection, stop));
  if (absl::Now() >= next_place_) {
    next_place_ = absl::Now() + kInterval;
    PGFLOW_RETURN_IF_ERROR(LookAtPlace(connection, stop));
  }
  return LookAtTables(connection, stop);
}

// Whether we are named in synchronous_standby_names. While our walsender starts the server does
// not say so of it, and nobody may wait for the next look.
absl::Status SourceWatch::LookAtWaiters(Connection& connection, const std::stop_token& stop) const {
  PGFLOW_ASSIGN_OR_RETURN(
      const postgres::Result row,
      connection.Execute(
          fmt::format("SELECT current_setting('synchronous_standby_names') <> '' AND NOT EXISTS "
                      "(SELECT FROM pg_stat_replication WHERE pid = {} AND state <> 'startup' "
                      "AND sync_state = 'async')",
                      options_.walsender_pid->load()),
          stop));
  options_.awaited->store(row.boolean(0, 0), std::memory_order_relaxed);
  return absl::OkStatus();
}

absl::Status SourceWatch::LookAtPlace(Connection& connection, const std::stop_token& stop) {
  KnownLog known = known_.Get().log;
  PGFLOW_ASSIGN_OR_RETURN(KnownLog now, LookAtLog(connection, options_.slot, stop));
  PGFLOW_RETURN_IF_ERROR(CheckLog(known, now, Lsn()));
  if (now.timeline == 0) return absl::OkStatus();
  // What the server said one look ago is on its disk by now.
  const Lsn restart = std::exchange(restart_, now.restart);
  now.restart = known.timeline == now.timeline ? std::max(known.restart, restart) : restart;
  now.sample = known.sample;
  now.sample_end = known.sample_end;
  const bool due = absl::Now() >= next_sample_ || known.timeline != now.timeline;
  if (due && (now.end != known.sample_end || known.timeline != now.timeline)) {
    next_sample_ = absl::Now() + kSampleInterval;
    now.sample = SampleLog(options_.connect, now.timeline, now.end, stop);
    now.sample_end = now.sample.empty() ? Lsn() : now.end;
  } else if (now.end == known.end && now.restart == known.restart) {
    return absl::OkStatus();
  }
  return known_.SetLog(std::move(now));
}

absl::Status SourceWatch::LookAtTables(Connection& connection, const std::stop_token& stop) {
  PGFLOW_ASSIGN_OR_RETURN(const PublicationContent now,
                          ReadPublicationContent(connection, options_.publication, stop));
  looks_often_ = options_.finds_tables || !now.ours;
  const KnownSource known = known_.Get();
  if (!options_.tables_are_known->load() || !known.knows_tables()) return absl::OkStatus();
  const TableGaps gaps = FindGaps(
      known, now, {.filter = &options_.filter, .captured = options_.captured, .ours = now.ours});
  std::map<std::string, std::vector<schemas::TableName>> by_gap;
  for (const auto& [table, gap] : gaps.of) by_gap[gap].push_back(table);
  if (!gaps.publication.empty()) {
    by_gap.clear();
    std::vector<schemas::TableName>& tables = by_gap[gaps.publication];
    for (const CatalogRelation& table : known.publication.relations) tables.push_back(table.name);
  }
  if (!by_gap.empty()) {
    const auto& [gap, tables] = *by_gap.begin();
    return absl::FailedPreconditionError(ExplainGap(options_.publication, tables, gap));
  }
  if (!gaps.warning.empty()) {
    base::LogWarning("publication {}: {}", options_.publication, gaps.warning);
  }
  PGFLOW_RETURN_IF_ERROR(NoteNewTables(connection, now, gaps, stop));
  return Keep(now, gaps);
}

// Those that the stream does not carry and could, with what decides on it.
absl::Status SourceWatch::NoteNewTables(Connection& connection, const PublicationContent& now,
                                        const TableGaps& gaps, const std::stop_token& stop) {
  std::vector<postgres::Oid> tables;
  for (const CatalogRelation* table : ChosenOf(now, options_.filter)) {
    const bool unpublished = !table->listed && options_.finds_tables &&
                             table->name.schema != "pgflow" && !known_.Find(table->oid).has_value();
    if (unpublished || gaps.fresh.contains(table->name)) tables.push_back(table->oid);
  }
  std::set<std::string> noted;
  if (!tables.empty()) {
    PGFLOW_ASSIGN_OR_RETURN(
        const postgres::Result rows,
        connection.Execute(
            fmt::format(
                "SELECT concat_ws(' ', c.oid, c.relnamespace, c.relname, c.relreplident, "
                "p.pubowner, pg_has_role(p.pubowner, 'USAGE'), p.oid IS NOT NULL AND "
                "EXISTS (SELECT FROM pg_publication_rel r WHERE r.prpubid = p.oid "
                "AND r.prrelid = c.oid), pg_has_role(c.relowner, 'USAGE'), "
                "has_table_privilege(c.oid, 'SELECT'), "
                "has_schema_privilege(c.relnamespace, 'USAGE'), row_security_active(c.oid), "
                "EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid "
                "AND (i.indisprimary OR i.indisreplident))) "
                "FROM pg_class c LEFT JOIN pg_publication p ON p.pubname = {} "
                "WHERE c.oid = ANY ('{{{}}}'::oid[])",
                connection.QuoteLiteral(options_.publication), fmt::join(tables, ",")),
            stop));
    for (int row = 0; row < rows.row_count(); ++row) noted.insert(rows.text(row, 0));
  }
  options_.new_tables->Note(std::move(noted));
  return absl::OkStatus();
}

// Tables that came, with all they hold in the stream, and what has changed without harm.
absl::Status SourceWatch::Keep(const PublicationContent& now, const TableGaps& gaps) {
  return known_.UpdateTables([&](PublicationContent& known) {
    std::map<postgres::Oid, CatalogRelation*> by_oid;
    for (CatalogRelation& table : known.relations) by_oid.emplace(table.oid, &table);
    bool changed = now.version != known.version;
    std::vector<CatalogRelation> added;
    for (const CatalogRelation* table : ChosenOf(now, options_.filter)) {
      if (!table->listed || gaps.fresh.contains(table->name)) continue;
      const auto entry = by_oid.find(table->oid);
      if (entry == by_oid.end()) {
        added.push_back(*table);
      } else if (entry->second->name != table->name || entry->second->paths != table->paths ||
                 entry->second->part != table->part) {
        const bool joining = entry->second->joining;
        *entry->second = *table;
        entry->second->joining = joining;
        changed = true;
      }
    }
    changed |= !added.empty();
    for (const CatalogRelation& table : now.relations) by_oid.erase(table.oid);
    for (auto& [oid, table] : by_oid) changed |= !std::exchange(table->gone, true);
    known.version = now.version;
    known.owner = now.owner;
    known.horizon = now.horizon;  // Written with the place in the log, if nothing else changed.
    std::ranges::move(added, std::back_inserter(known.relations));
    return changed;
  });
}

}  // namespace pgflow::sources
