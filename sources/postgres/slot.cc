#include "sources/postgres/slot.h"

#include <algorithm>
#include <iterator>
#include <set>

#include <absl/time/clock.h>

#include "base/log.h"
#include "base/status.h"
#include "postgres/types/sql_state.h"
#include "sources/postgres/published_parts.h"
#include "sources/postgres/wait_report.h"

namespace pgflow::sources {
namespace {

using postgres::Connection;
using postgres::Lsn;
using postgres::Result;
using schemas::QuoteIdentifier;

Lsn LsnAt(const Result& result, int row, int column) {
  return Lsn::Parse(result.at(row, column)).value_or(Lsn());
}

std::string TableList(std::span<const schemas::TableName> tables) {
  // ONLY: children by inheritance have their own place in the list. Partitions come along anyway.
  std::vector<std::string> list;
  list.reserve(tables.size());
  for (const schemas::TableName& table : tables) {
    list.push_back("ONLY " + schemas::QuoteTable(table));
  }
  return fmt::format("{}", fmt::join(list, ", "));
}

// Where anybody has an event trigger the server keeps a copy of the whole command for each table
// that it names: with 10,000 tables in one command that is 20 GB.
constexpr size_t kTablesInCommand = 100;

// Commands that begin with `first`, and go on with `next`; nothing when there are no tables.
std::string InCommands(std::string_view first, std::string_view next,
                       std::span<const schemas::TableName> tables) {
  std::string sql;
  while (!tables.empty()) {
    const auto some = tables.first(std::min(tables.size(), kTablesInCommand));
    tables = tables.subspan(some.size());
    sql += fmt::format("{} {};", sql.empty() ? first : next, TableList(some));
  }
  return sql;
}

// Adds what to do to an error of CREATE_REPLICATION_SLOT.
absl::Status ExplainCreateFailure(const absl::Status& status, const std::string& slot) {
  const std::string state = postgres::SqlStateOf(status);
  std::string remedy;
  absl::StatusCode code = status.code();
  if (state == "53400") {
    remedy =
        "; raise max_replication_slots (and max_wal_senders) on the source, or drop a slot "
        "that nobody uses";
    code = absl::StatusCode::kFailedPrecondition;
  } else if (state == "55000" || state == "0A000") {
    remedy = "; set wal_level = logical on the source (and on its primary) and restart it";
    code = absl::StatusCode::kFailedPrecondition;
  } else if (state == "42501") {
    remedy = "; ALTER ROLE <role of the url> REPLICATION";
  } else if (state == "42710") {
    remedy = "; another session made it just now";
    code = absl::StatusCode::kUnavailable;
  }
  absl::Status explained(code, fmt::format("cannot create the replication slot {}: {}{}", slot,
                                           base::Message(status), remedy));
  if (!state.empty()) base::SetPayload(explained, postgres::kSqlStatePayload, state);
  return explained;
}

absl::Status ExplainPublicationFailure(const absl::Status& status, const std::string& publication) {
  if (status.ok()) return status;
  const std::string_view remedy =
      status.code() == absl::StatusCode::kPermissionDenied
          ? " (GRANT CREATE ON DATABASE to the role of the url and let it own the tables; or make "
            "the publication as a superuser and name it in replication.publication)"
          : "";
  return base::Annotate(status, fmt::format("publication {}{}", publication, remedy));
}

}  // namespace

absl::StatusOr<bool> IsStandby(Connection& connection, std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(const Result row,
                          connection.Execute("SELECT pg_is_in_recovery()", std::move(stop)));
  return row.boolean(0, 0);
}

absl::StatusOr<std::optional<SlotRow>> ReadSlot(Connection& connection, const std::string& slot,
                                                std::stop_token stop) {
  const int version = connection.server_version();
  PGFLOW_ASSIGN_OR_RETURN(
      const Result rows,
      connection.Execute(
          fmt::format(
              "SELECT coalesce(plugin, ''), slot_type, database, "
              "database = current_database(), temporary, wal_status, active_pid, "
              "confirmed_flush_lsn, {}, {}, {} FROM pg_replication_slots "
              "WHERE slot_name = {}",
              version >= 140000 ? "two_phase" : "false",
              version >= 160000 ? "coalesce(conflicting, false)" : "false",
              version >= 170000 ? "failover, synced AND pg_is_in_recovery()" : "false, false",
              connection.QuoteLiteral(slot)),
          stop));
  if (rows.row_count() == 0) return std::optional<SlotRow>();
  SlotRow row;
  row.wal_status = rows.text(0, 5);
  if (!rows.is_null(0, 6)) row.active_pid = static_cast<int>(rows.integer(0, 6));
  row.confirmed_flush = LsnAt(rows, 0, 7);
  row.failover = rows.boolean(0, 10);
  if (rows.at(0, 1) != "logical" || rows.at(0, 0) != "pgoutput") {
    row.obstacle = fmt::format(
        "it is a {} slot{}, not one of pgoutput; name another one in "
        "replication.slot",
        rows.at(0, 1), rows.at(0, 0).empty() ? "" : " of " + rows.text(0, 0));
  } else if (!rows.boolean(0, 3)) {
    row.obstacle = fmt::format(
        "it belongs to the database {}; name another one in "
        "replication.slot",
        rows.at(0, 2));
  } else if (row.wal_status == "lost" || rows.boolean(0, 9)) {
    row.obstacle =
        "the server has invalidated it (it was too far behind, see max_slot_wal_keep_size, or in "
        "conflict with recovery), so changes are lost; run `pgflow destroy`, empty the targets and "
        "start over with a new snapshot";
  } else if (rows.boolean(0, 11)) {
    row.obstacle =
        "this standby only keeps it for the primary; use the primary's url until it is promoted";
  } else if (rows.boolean(0, 4)) {
    row.obstacle =
        "it is a temporary slot of another session; name another one in "
        "replication.slot";
  } else if (rows.boolean(0, 8)) {
    row.obstacle = "it was created with two_phase; name another one in replication.slot";
  }
  row.usable = row.obstacle.empty();
  return std::optional<SlotRow>(std::move(row));
}

absl::StatusOr<std::optional<PublicationRow>> ReadPublication(Connection& connection,
                                                              const std::string& publication,
                                                              std::stop_token stop) {
  PublicationRow row;
  PGFLOW_ASSIGN_OR_RETURN(row.content, ReadPublicationContent(connection, publication, stop));
  if (row.content.oid == 0) return std::optional<PublicationRow>();
  row.ours = row.content.ours;
  if (row.ours && !row.content.kinds_left_out.empty()) {
    row.obstacle = fmt::format(
        "pgflow made it for all kinds of changes, and it leaves out {} now: ALTER PUBLICATION {} "
        "SET (publish = 'insert, update, delete, truncate'), or make a publication of your own for "
        "fewer kinds and name it in replication.publication",
        row.content.kinds_left_out, QuoteIdentifier(publication));
  }
  PGFLOW_ASSIGN_OR_RETURN(row.parts, ReadPublishedParts(connection, publication, stop));
  for (const CatalogRelation& relation : row.content.relations) {
    if (relation.listed) row.leaves.push_back(relation.name);
  }
  std::ranges::sort(row.leaves);
  return std::optional<PublicationRow>(std::move(row));
}

std::vector<schemas::TableName> MissingTables(const PublicationRow& publication,
                                              const schemas::Catalog& catalog) {
  std::vector<schemas::TableName> missing;
  for (const schemas::CatalogTable& table : catalog.tables) {
    if (!std::ranges::binary_search(publication.leaves, table.schema->table)) {
      missing.push_back(table.schema->table);
    }
  }
  return missing;
}

absl::StatusOr<std::vector<schemas::TableName>> StillMissing(Connection& connection,
                                                             const std::string& publication,
                                                             std::vector<schemas::TableName> tables,
                                                             std::stop_token stop) {
  if (tables.empty()) return tables;
  PGFLOW_ASSIGN_OR_RETURN(const PublicationContent now,
                          ReadPublicationContent(connection, publication, stop));
  std::set<schemas::TableName> missing;
  for (const CatalogRelation& relation : now.relations) {
    if (!relation.listed) missing.insert(relation.name);
  }
  std::erase_if(tables, [&](const auto& table) { return !missing.contains(table); });
  return tables;
}

void LeaveOutUnpublishable(const PublicationContent& publication, schemas::Catalog& catalog) {
  std::set<postgres::Oid> listed;
  for (const CatalogRelation& relation : publication.relations) {
    if (relation.listed) listed.insert(relation.oid);
  }
  for (schemas::CatalogProblem& problem : catalog.problems) {
    if (!problem.fatal || problem.unpublishable == 0) continue;
    if (listed.contains(problem.unpublishable)) {
      problem.fatal = false;
      continue;
    }
    const auto table = std::ranges::find(
        catalog.tables, problem.unpublishable,
        [](const schemas::CatalogTable& candidate) { return candidate.schema->oid; });
    if (table == catalog.tables.end()) continue;
    // A partition comes with its root, whatever we want.
    if (std::erase(catalog.published, table->schema->table) == 0) continue;
    catalog.tables.erase(table);
    problem.fatal = false;
    problem.text += "; it is left out until that is mended";
  }
}

absl::Status RefuseDdlOf(const PublicationRow& row, const std::string& publication) {
  if (row.content.kinds_left_out.empty()) return RefuseDdlOfParts(row.parts, publication);
  return base::MakeStatus(
      absl::StatusCode::kFailedPrecondition,
      "publication {} leaves out {}, which cannot be combined with replication.ddl: true (a "
      "command "
      "may replace or remove rows): set ddl: false, or let pgflow make its own publication",
      publication, row.content.kinds_left_out);
}

void LeaveOutIdentityProblems(const PublicationContent& publication, schemas::Catalog& catalog) {
  if (publication.needs_identities) return;
  std::erase_if(catalog.problems, [](const auto& problem) { return problem.of_identity; });
}

absl::Status CreatePublication(Connection& connection, const std::string& publication,
                               const schemas::Catalog& catalog, std::stop_token stop) {
  const std::string name = QuoteIdentifier(publication);
  const std::string sql = fmt::format(
      "CREATE PUBLICATION {0} WITH (publish = 'insert, update, delete, truncate', "
      "publish_via_partition_root = false); {1} COMMENT ON PUBLICATION {0} IS '{2}'",
      name,
      InCommands(fmt::format("ALTER PUBLICATION {} ADD TABLE", name),
                 fmt::format("ALTER PUBLICATION {} ADD TABLE", name), catalog.published),
      kPublicationMark);
  PGFLOW_ASSIGN_OR_RETURN(const bool standby, IsStandby(connection, stop));
  if (standby) {
    return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                            "publication {} does not exist, and {} is a standby, which cannot make "
                            "it; run this on its primary: {}",
                            publication, connection.display_name(), sql);
  }
  const auto created = connection.Execute(sql, stop);
  return ExplainPublicationFailure(created.status(), publication);
}

namespace {

// What its list names, sorted. On version 13 the capture of DDL has a table of its own there.
absl::StatusOr<std::vector<schemas::TableName>> ListedTables(Connection& connection,
                                                             const std::string& publication,
                                                             std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(
      const Result rows,
      connection.Execute(fmt::format("SELECT n.nspname, c.relname FROM pg_publication_rel r "
                                     "JOIN pg_publication p ON p.oid = r.prpubid "
                                     "JOIN pg_class c ON c.oid = r.prrelid "
                                     "JOIN pg_namespace n ON n.oid = c.relnamespace "
                                     "WHERE p.pubname = {} AND n.nspname <> 'pgflow'",
                                     connection.QuoteLiteral(publication)),
                         std::move(stop)));
  std::vector<schemas::TableName> tables;
  tables.reserve(static_cast<size_t>(rows.row_count()));
  for (int i = 0; i < rows.row_count(); ++i) tables.push_back({rows.text(i, 0), rows.text(i, 1)});
  std::ranges::sort(tables);
  return tables;
}

}  // namespace

absl::Status SetPublicationTables(Connection& connection, const std::string& publication,
                                  const PublicationRow& existing, const schemas::Catalog& catalog,
                                  std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(const std::vector<schemas::TableName> there,
                          ListedTables(connection, publication, stop));
  std::vector<schemas::TableName> wanted = catalog.published;
  std::ranges::sort(wanted);
  // Nor does it bring others in another way.
  const bool same =
      there == wanted && existing.parts.empty() && existing.leaves.size() == catalog.tables.size();
  if (same) return absl::OkStatus();
  const std::string alter = "ALTER PUBLICATION " + QuoteIdentifier(publication);
  const auto changed = connection.Execute(
      InCommands(alter + " SET TABLE", alter + " ADD TABLE", catalog.published), stop);
  return ExplainPublicationFailure(changed.status(), publication);
}

absl::Status ChangePublicationTables(Connection& connection, const std::string& publication,
                                     const schemas::Catalog& catalog,
                                     const schemas::TableFilter& filter, std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(const std::vector<schemas::TableName> there,
                          ListedTables(connection, publication, stop));
  std::vector<schemas::TableName> wanted = catalog.published;
  std::ranges::sort(wanted);
  std::vector<schemas::TableName> added;
  std::vector<schemas::TableName> dropped;
  std::ranges::set_difference(wanted, there, std::back_inserter(added));
  std::ranges::copy_if(there, std::back_inserter(dropped),
                       [&](const schemas::TableName& table) { return !filter.Matches(table); });
  const std::string alter = "ALTER PUBLICATION " + QuoteIdentifier(publication);
  const std::string sql = InCommands(alter + " ADD TABLE", alter + " ADD TABLE", added) +
                          InCommands(alter + " DROP TABLE", alter + " DROP TABLE", dropped);
  if (sql.empty()) return absl::OkStatus();
  return ExplainPublicationFailure(connection.Execute(sql, stop).status(), publication);
}

absl::StatusOr<CreatedSlot> CreateSlot(const postgres::ConnectOptions& options,
                                       const std::string& slot, SlotLife life,
                                       std::stop_token stop) {
  postgres::ConnectOptions walsender = options;
  walsender.replication = true;
  CreatedSlot created;
  PGFLOW_ASSIGN_OR_RETURN(created.session, Connection::Connect(walsender, stop));
  const int version = created.session->server_version();
  PGFLOW_ASSIGN_OR_RETURN(const bool standby, IsStandby(*created.session, stop));
  if (standby) {
    base::LogInfo(
        "slot {}: made on a standby, which waits until the primary logs its running transactions: "
        "within 15 s if it writes anything, at once with SELECT pg_log_standby_snapshot() there",
        slot);
  }
  const bool failover = life == SlotLife::kFailover && version >= 170000 && !standby;
  const absl::Time start = absl::Now();
  const WaitReport report(options, created.session->backend_pid(), fmt::format("slot {}", slot));
  const absl::StatusOr<Result> result = created.session->Execute(
      fmt::format("CREATE_REPLICATION_SLOT {}{} LOGICAL pgoutput {}", QuoteIdentifier(slot),
                  life == SlotLife::kTemporary ? " TEMPORARY" : "",
                  failover            ? "(SNAPSHOT 'export', FAILOVER true)"
                  : version >= 150000 ? "(SNAPSHOT 'export')"
                                      : "EXPORT_SNAPSHOT"),
      stop);
  if (!result.ok()) {
    // A walsender that waits for old transactions does not see that its client left, and would
    // leave the slot behind.
    if (result.status().code() == absl::StatusCode::kCancelled) {
      created.session->Cancel();
      return result.status();
    }
    return ExplainCreateFailure(result.status(), slot);
  }
  if (absl::Now() - start > absl::Seconds(5)) {
    base::LogInfo("slot {}: waited {} s for transactions that were running", slot,
                  absl::ToInt64Seconds(absl::Now() - start));
  }
  created.consistent_point = LsnAt(*result, 0, 1);
  created.snapshot = result->text(0, 2);
  if (!created.consistent_point.valid() || created.snapshot.empty()) {
    return base::MakeStatus(absl::StatusCode::kInternal,
                            "the server gave no consistent point for the slot {}", slot);
  }
  return created;
}

absl::Status DropSlotAndPublication(Connection& connection, const std::string& slot,
                                    const std::string& publication, std::stop_token stop) {
  const std::string literal = connection.QuoteLiteral(slot);
  const absl::Time deadline = absl::Now() + absl::Seconds(3);
  while (true) {
    const auto dropped = connection.Execute(
        fmt::format("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots "
                    "WHERE slot_name = {} AND database = current_database()",
                    literal),
        stop);
    if (dropped.ok()) break;
    // The walsender of a connection that was just closed needs a moment to go.
    const bool in_use = postgres::SqlStateOf(dropped.status()) == "55006";
    if (in_use && absl::Now() < deadline && !stop.stop_requested()) {
      PGFLOW_RETURN_IF_ERROR(connection.WaitReadable(absl::Now() + absl::Milliseconds(100), stop));
      continue;
    }
    return base::Annotate(dropped.status(),
                          in_use ? fmt::format("slot {} is in use; stop the pipeline first", slot)
                                 : fmt::format("drop the slot {}", slot));
  }
  PGFLOW_ASSIGN_OR_RETURN(const std::optional<PublicationRow> row,
                          ReadPublication(connection, publication, stop));
  if (!row.has_value()) return absl::OkStatus();
  PGFLOW_ASSIGN_OR_RETURN(const bool standby, IsStandby(connection, stop));
  if (standby) {
    base::LogInfo("publication {} belongs to the primary and stays", publication);
    return absl::OkStatus();
  }
  if (!row->ours) {
    base::LogInfo("publication {} was not made by pgflow and stays", publication);
    return absl::OkStatus();
  }
  const auto dropped = connection.Execute(
      fmt::format("DROP PUBLICATION IF EXISTS {}", QuoteIdentifier(publication)), stop);
  return ExplainPublicationFailure(dropped.status(), publication);
}

}  // namespace pgflow::sources
