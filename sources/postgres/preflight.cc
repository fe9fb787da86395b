#include "sources/postgres/preflight.h"

#include <utility>

#include "base/status.h"
#include "schemas/catalog.h"
#include "sources/postgres/left_out.h"
#include "sources/postgres/slot.h"

namespace pgflow::sources {
namespace {

using engine::Finding;
using engine::SourceCheck;
using postgres::Connection;
using postgres::Result;
using Severity = Finding::Severity;

void Add(SourceCheck& check, Severity severity, std::string subject, std::string problem,
         std::string remedy = "") {
  check.findings.push_back({severity, std::move(subject), std::move(problem), std::move(remedy)});
}

void CheckStandby(int version, bool feedback, SourceCheck& check) {
  if (version < 160000) {
    Add(check, Severity::kError, "standby", "the server is one: slots there need version 16",
        "use the primary");
    return;
  }
  Add(check, Severity::kOk, "standby", "the publication has to be made on the primary");
  Add(check, feedback ? Severity::kOk : Severity::kWarning, "hot_standby_feedback",
      feedback ? "on" : "off: the primary's VACUUM may cancel the snapshot and invalidate the slot",
      feedback ? "" : "set it to on, and let the standby use a physical slot (primary_slot_name)");
}

void CheckServer(const Connection& connection, const Result& row, SourceCheck& check) {
  const int version = connection.server_version();
  Add(check, Severity::kOk, "server version", fmt::format("PostgreSQL {}", version / 10000));
  if (version < 140000) {
    Add(check, Severity::kWarning, "server version",
        "before version 14 large tables are copied by one worker each, large transactions arrive "
        "only when they commit, and the stream is text",
        "upgrade to 14 or later when speed matters");
  }
  const bool logical = row.at(0, 0) == "logical";
  Add(check, logical ? Severity::kOk : Severity::kError, "wal_level", row.text(0, 0),
      logical ? "" : "ALTER SYSTEM SET wal_level = logical; then restart the server");
  const std::string encoding = row.text(0, 1);
  Add(check, encoding == "UTF8" ? Severity::kOk : Severity::kWarning, "encoding", encoding,
      encoding == "UTF8" ? ""
      : encoding == "SQL_ASCII"
          ? "the server converts nothing: text that is not UTF-8 stops the pipeline; look for it "
            "before the first run"
          : "the server converts text to UTF-8; use targets with encoding UTF8");
  if (row.boolean(0, 10)) {
    CheckStandby(version, row.at(0, 13) == "on", check);
  }
  const std::string keep = row.text(0, 11);
  const bool unlimited = keep == "-1";
  Add(check, unlimited ? Severity::kOk : Severity::kWarning, "max_slot_wal_keep_size",
      unlimited ? "unlimited" : keep + " MB",
      unlimited ? ""
                : "a pipeline that is further behind than this loses its slot; leave room for the "
                  "longest outage of a sink");
}

void CheckLimits(const Result& row, bool slot_exists, SourceCheck& check) {
  const int64_t slots_free = row.integer(0, 2) - row.integer(0, 3);
  const int64_t slots_needed = slot_exists ? 0 : 1;
  Add(check, slots_free >= slots_needed ? Severity::kOk : Severity::kError, "max_replication_slots",
      fmt::format("{} of {} in use", row.integer(0, 3), row.integer(0, 2)),
      slots_free >= slots_needed ? "" : "drop a slot that nobody uses, or raise it and restart");
  const int64_t senders_free = row.integer(0, 4) - row.integer(0, 5);
  const bool enough = senders_free >= 2;
  Add(check,
      enough              ? Severity::kOk
      : senders_free >= 1 ? Severity::kWarning
                          : Severity::kError,
      "max_wal_senders", fmt::format("{} of {} in use", row.integer(0, 5), row.integer(0, 4)),
      enough ? "" : "raise it and restart; the stream needs one and the snapshot another");
}

void CheckRole(const Result& row, bool publication_exists, SourceCheck& check) {
  const std::string role = fmt::format("role {}", row.at(0, 6));
  const bool may_replicate = row.boolean(0, 7) || row.boolean(0, 8);
  Add(check, may_replicate ? Severity::kOk : Severity::kError, role,
      may_replicate ? "may replicate" : "may not replicate",
      may_replicate
          ? ""
          : fmt::format("ALTER ROLE {} REPLICATION", schemas::QuoteIdentifier(row.at(0, 6))));
  const bool standby = row.boolean(0, 10);
  if (!publication_exists && !standby && !row.boolean(0, 8) && !row.boolean(0, 9)) {
    Add(check, Severity::kError, role, "may not create a publication in this database",
        fmt::format("GRANT CREATE ON DATABASE {} TO {}, and let it own the chosen tables; or make "
                    "the publication as a superuser",
                    schemas::QuoteIdentifier(row.at(0, 12)),
                    schemas::QuoteIdentifier(row.at(0, 6))));
  }
}

void CheckSlot(const std::optional<SlotRow>& row, const std::string& slot, SourceCheck& check) {
  const std::string subject = fmt::format("slot {}", slot);
  if (!row.has_value()) {
    Add(check, Severity::kOk, subject, "does not exist; the first run makes it");
  } else if (!row->usable) {
    Add(check, Severity::kError, subject, "cannot be used", row->obstacle);
  } else if (row->wal_status == "unreserved") {
    Add(check, Severity::kWarning, subject, "is about to be invalidated: it is too far behind",
        "run the pipeline now, or raise max_slot_wal_keep_size");
  } else {
    Add(check, Severity::kOk, subject,
        row->active_pid.has_value() ? fmt::format("exists, used by pid {}", *row->active_pid)
                                    : "exists");
    if (row->failover) Add(check, Severity::kOk, subject, "is a failover slot");
  }
}

enum class Place { kPrimary, kStandby };

// What is left out while everything else goes on.
absl::Status CheckReach(Connection& connection, const CheckedSource& source,
                        const PublicationRow& row, bool standby, schemas::Catalog& catalog,
                        SourceCheck& check, const std::stop_token& stop) {
  LeaveOutUnpublishable(row.content, catalog);
  PGFLOW_ASSIGN_OR_RETURN(const std::vector<LeftOutTable> left_out,
                          LeaveOut(connection,
                                   {.publication = source.publication,
                                    .content = &row.content,
                                    .known = &source.known,
                                    .standby = standby},
                                   catalog, stop));
  for (const LeftOutTable& table : left_out) {
    Add(check, Severity::kWarning, fmt::format("table {}", table.table.ToString()),
        table.why + "; it is left out", table.remedy);
  }
  return absl::OkStatus();
}

void CheckPublication(const std::optional<PublicationRow>& row, const std::string& publication,
                      Place place, bool slot_exists, const schemas::Catalog& catalog,
                      SourceCheck& check) {
  const std::string subject = fmt::format("publication {}", publication);
  if (!row.has_value()) {
    if (slot_exists) {
      Add(check, Severity::kError, subject, "does not exist, but the slot does",
          "run `pgflow destroy` and start over");
    } else if (place == Place::kStandby) {
      Add(check, Severity::kError, subject, "does not exist",
          "make it on the primary: `pgflow run` here prints the statement");
    } else {
      Add(check, Severity::kOk, subject, "does not exist; the first run makes it");
    }
    return;
  }
  if (!row->obstacle.empty()) {
    Add(check, Severity::kError, subject, "cannot be used", row->obstacle);
    return;
  }
  if (!row->content.kinds_left_out.empty()) {
    Add(check, Severity::kWarning, subject,
        fmt::format("leaves out {}: the target keeps what those would change",
                    row->content.kinds_left_out),
        "an INSERT whose key the target still has, and an UPDATE or DELETE whose row it never got, "
        "stop the pipeline, unless the sink's on_conflict and on_missing_row say otherwise");
  }
  const std::vector<schemas::TableName> missing = MissingTables(*row, catalog);
  const bool may_add = row->ours && place == Place::kPrimary;
  if (missing.empty() || (may_add && !slot_exists)) {
    Add(check, Severity::kOk, subject, "exists");
    return;
  }
  for (const schemas::TableName& table : missing) {
    if (may_add) {
      Add(check, Severity::kOk, fmt::format("table {}", table.ToString()),
          "joins the stream when the pipeline runs");
      continue;
    }
    Add(check, Severity::kError, fmt::format("table {}", table.ToString()),
        fmt::format("publication {} lacks it", publication),
        fmt::format("exclude it, or ALTER PUBLICATION {} ADD TABLE {} before the first run",
                    schemas::QuoteIdentifier(publication), schemas::QuoteTable(table)));
  }
}

void CheckTables(const schemas::Catalog& catalog, bool began, SourceCheck& check) {
  Add(check, Severity::kOk, "tables", fmt::format("{} chosen", catalog.tables.size()));
  for (const schemas::CatalogProblem& problem : catalog.problems) {
    if (problem.nothing_chosen && (began || !problem.fatal)) {
      Add(check, Severity::kOk, problem.subject, problem.text);
      continue;
    }
    Add(check, problem.fatal ? Severity::kError : Severity::kWarning, problem.subject, problem.text,
        problem.remedy);
  }
  for (const schemas::CatalogTable& table : catalog.tables) check.tables.push_back(table.schema);
  check.definition = catalog.definition;
}

}  // namespace

absl::StatusOr<SourceCheck> CheckSource(Connection& connection, const CheckedSource& source,
                                        std::stop_token stop) {
  const auto& [filter, slot, publication, known] = source;
  PGFLOW_ASSIGN_OR_RETURN(
      const Result row,
      connection.Execute(
          "SELECT current_setting('wal_level'), "
          "(SELECT pg_encoding_to_char(encoding) FROM pg_database "
          "WHERE datname = current_database()), "
          "current_setting('max_replication_slots'), (SELECT count(*) FROM pg_replication_slots), "
          "current_setting('max_wal_senders'), (SELECT count(*) FROM pg_stat_replication), "
          "current_user, (SELECT rolreplication FROM pg_roles WHERE rolname = current_user) "
          "OR pg_has_role(current_user, (SELECT oid FROM pg_roles WHERE rolname = "
          "'rds_replication'), 'MEMBER') IS TRUE, "
          "(SELECT rolsuper FROM pg_roles WHERE rolname = current_user), "
          "has_database_privilege(current_database(), 'CREATE'), pg_is_in_recovery(), "
          "(SELECT setting FROM pg_settings WHERE name = 'max_slot_wal_keep_size'), "
          "current_database(), current_setting('hot_standby_feedback')",
          stop));
  SourceCheck check;
  CheckServer(connection, row, check);
  PGFLOW_ASSIGN_OR_RETURN(const std::optional<SlotRow> slot_row, ReadSlot(connection, slot, stop));
  PGFLOW_ASSIGN_OR_RETURN(const std::optional<PublicationRow> publication_row,
                          ReadPublication(connection, publication, stop));
  CheckLimits(row, slot_row.has_value(), check);
  CheckRole(row, publication_row.has_value(), check);
  CheckSlot(slot_row, slot, check);
  PGFLOW_ASSIGN_OR_RETURN(
      schemas::Catalog catalog,
      schemas::ReadCatalog(
          connection, *filter, schemas::CatalogDepth::kDefinitions, stop,
          publication_row.has_value() ? publication_row->parts : schemas::PublishedParts()));
  const bool standby = row.boolean(0, 10);
  const bool began = slot_row.has_value();
  if (publication_row.has_value() && (began || publication_row->awaits_tables())) {
    PGFLOW_RETURN_IF_ERROR(
        CheckReach(connection, source, *publication_row, standby, catalog, check, stop));
  }
  if (publication_row.has_value()) LeaveOutIdentityProblems(publication_row->content, catalog);
  CheckTables(catalog, began, check);
  CheckPublication(publication_row, publication, standby ? Place::kStandby : Place::kPrimary, began,
                   catalog, check);
  return check;
}

}  // namespace pgflow::sources
