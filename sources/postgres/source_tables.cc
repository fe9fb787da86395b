// PostgresSource's tables: which ones the publication and the DDL capture have, and the change of
// them under a running stream.
#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include <fmt/ranges.h>

#include "base/log.h"
#include "base/status.h"
#include "sources/postgres/ddl_capture.h"
#include "sources/postgres/postgres_source.h"
#include "sources/postgres/slot.h"

namespace pgflow::sources {
namespace {

using postgres::Connection;

absl::Status MissingFromPublication(const std::string& publication,
                                    const std::vector<schemas::TableName>& missing, bool standby) {
  std::vector<std::string> names;
  names.reserve(missing.size());
  for (const schemas::TableName& table : missing) names.push_back(schemas::QuoteTable(table));
  return base::MakeStatus(
      absl::StatusCode::kFailedPrecondition,
      "publication {} lacks {} chosen table(s): {}. {}: exclude them, or ALTER PUBLICATION {} ADD "
      "TABLE ...; their rows are copied then",
      publication, missing.size(), fmt::join(names, ", "),
      standby ? "A standby cannot change it"
              : "It was not made by pgflow, which leaves it as it is",
      schemas::QuoteIdentifier(publication));
}

}  // namespace

absl::StatusOr<schemas::Catalog> PostgresSource::ReadTables(
    Connection& connection, const schemas::TableFilter& filter,
    const std::optional<PublicationRow>& published, bool began, std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(
      schemas::Catalog catalog,
      schemas::ReadCatalog(connection, filter, schemas::CatalogDepth::kColumns, std::move(stop),
                           published.has_value() ? published->parts : schemas::PublishedParts()));
  if (published.has_value()) LeaveOutIdentityProblems(published->content, catalog);
  if (began && published.has_value()) LeaveOutUnpublishable(published->content, catalog);
  for (const schemas::CatalogProblem& problem : catalog.problems) {
    if (problem.fatal) {
      return base::MakeStatus(absl::StatusCode::kFailedPrecondition, "{}: {}; {}", problem.subject,
                              problem.text, problem.remedy);
    }
    base::LogWarning("{}: {}{}{}", problem.subject, problem.text,
                     problem.remedy.empty() ? "" : "; ", problem.remedy);
  }
  return catalog;
}

absl::Status PostgresSource::PreparePublication(Connection& connection, bool create,
                                                bool slot_exists, std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(const std::optional<PublicationRow> existing,
                          ReadPublication(connection, publication(), stop));
  absl::StatusOr<schemas::Catalog> catalog =
      ReadTables(connection, filter_, existing, slot_exists, stop);
  PGFLOW_RETURN_IF_ERROR(catalog.status());
  if (!existing.has_value()) {
    if (create && !slot_exists) return CreatePublication(connection, publication(), *catalog, stop);
    // The slot would fail at the first change before the publication was made.
    return base::MakeStatus(
        create ? absl::StatusCode::kFailedPrecondition : absl::StatusCode::kNotFound,
        "publication {} does not exist{}", publication(),
        slot_exists ? ", but the slot does: somebody dropped it, and changes "
                      "may be lost; run `pgflow destroy` and start over"
                    : "; run `pgflow init`");
  }
  if (!existing->obstacle.empty()) {
    return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                            "publication {} cannot be used: {}", publication(), existing->obstacle);
  }
  if (config_.replication.ddl) {
    PGFLOW_RETURN_IF_ERROR(RefuseDdlOf(*existing, publication()));
  }
  if (!existing->content.kinds_left_out.empty()) {
    base::LogInfo("publication {} leaves out {}: the target keeps what those would change",
                  publication(), existing->content.kinds_left_out);
  }
  PGFLOW_ASSIGN_OR_RETURN(
      const std::vector<schemas::TableName> missing,
      StillMissing(connection, publication(), MissingTables(*existing, *catalog), stop));
  // With a slot, rows may have been copied already: tables that are new are copied first, while
  // sinks leave their changes out (ListTables, Select).
  PGFLOW_ASSIGN_OR_RETURN(const bool standby, IsStandby(connection, stop));
  if (existing->ours && !slot_exists && create && !standby) {
    return SetPublicationTables(connection, publication(), *existing, *catalog, stop);
  }
  if (missing.empty() || (existing->ours && !standby)) return absl::OkStatus();
  return MissingFromPublication(publication(), missing, standby);
}

absl::StatusOr<std::vector<engine::ChosenTable>> PostgresSource::ListTables(
    const engine::TableSelection& selection, std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(const schemas::TableFilter filter,
                          schemas::TableFilter::Make(selection.include, selection.exclude));
  PGFLOW_ASSIGN_OR_RETURN(Connection * control, Control(stop));
  PGFLOW_ASSIGN_OR_RETURN(const std::optional<PublicationRow> row,
                          ReadPublication(*control, publication(), stop));
  if (!row.has_value()) {
    return base::MakeStatus(absl::StatusCode::kNotFound, "publication {} does not exist",
                            publication());
  }
  PGFLOW_ASSIGN_OR_RETURN(const schemas::Catalog catalog,
                          ReadTables(*control, filter, row, /*began=*/true, stop));
  PGFLOW_ASSIGN_OR_RETURN(
      const std::vector<schemas::TableName> missing,
      StillMissing(*control, publication(), MissingTables(*row, catalog), stop));
  PGFLOW_ASSIGN_OR_RETURN(const bool standby, IsStandby(*control, stop));
  if (!missing.empty() && (!row->ours || standby)) {
    return MissingFromPublication(publication(), missing, standby);
  }
  PGFLOW_ASSIGN_OR_RETURN(KnownSourceStore * known, Known());
  const TableGaps gaps = FindGaps(known->Get(), row->content,
                                  {.filter = &filter, .captured = captured_, .ours = row->ours});
  if (!gaps.warning.empty()) base::LogWarning("publication {}: {}", publication(), gaps.warning);
  listed_ = row->content;
  unpublished_.clear();
  std::vector<engine::ChosenTable> tables;
  for (const schemas::CatalogTable& table : catalog.tables) {
    const schemas::TableName& name = table.schema->table;
    const bool is_published = std::ranges::find(missing, name) == missing.end();
    if (!is_published) unpublished_.push_back(table.schema->oid);
    const auto gap = gaps.of.find(name);
    tables.push_back({.table = name,
                      .published = is_published,
                      .carried = is_published && !gaps.fresh.contains(name),
                      .gap = gap == gaps.of.end() ? gaps.publication : gap->second});
  }
  return tables;
}

absl::StatusOr<PublicationContent> PostgresSource::ReadCarried(Connection& connection,
                                                               const std::stop_token& stop) const {
  PGFLOW_ASSIGN_OR_RETURN(PublicationContent content,
                          ReadPublicationContent(connection, publication(), stop));
  std::vector<CatalogRelation> carried;
  for (const CatalogRelation* table : ChosenOf(content, filter_)) {
    if (table->listed) carried.push_back(*table);
  }
  content.relations = std::move(carried);
  return content;
}

absl::Status PostgresSource::KeepTables(std::stop_token stop) {
  if (!listed_.has_value()) return absl::OkStatus();
  PublicationContent keep = *std::exchange(listed_, std::nullopt);
  PGFLOW_ASSIGN_OR_RETURN(Connection * control, Control(stop));
  PGFLOW_ASSIGN_OR_RETURN(PublicationContent now, ReadCarried(*control, stop));
  std::map<postgres::Oid, CatalogRelation> seen;
  for (CatalogRelation& table : keep.relations) {
    if (table.listed) seen.emplace(table.oid, std::move(table));
  }
  keep.relations.clear();
  std::set<schemas::TableName> names;
  for (CatalogRelation& table : now.relations) {
    // As it was when its copy, if any, was decided on: what happens from then on is a gap.
    const auto entry = seen.find(table.oid);
    const bool added = std::ranges::find(unpublished_, table.oid) != unpublished_.end();
    if (entry == seen.end() && !added && !table.since_creation && !captured_) continue;
    names.insert(table.name);
    keep.relations.push_back(entry == seen.end() ? std::move(table) : entry->second);
  }
  // A table that is gone may be made again.
  PGFLOW_ASSIGN_OR_RETURN(KnownSourceStore * known, Known());
  for (CatalogRelation& table : known->Get().publication.relations) {
    if (names.contains(table.name) || !filter_.Matches(table.name)) continue;
    if (seen.contains(table.oid)) continue;
    keep.relations.push_back(std::move(table));
  }
  PGFLOW_RETURN_IF_ERROR(known->SetTables(std::move(keep)));
  tables_are_known_ = true;
  return absl::OkStatus();
}

absl::Status PostgresSource::Select(const engine::TableSelection& selection, std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(schemas::TableFilter filter,
                          schemas::TableFilter::Make(selection.include, selection.exclude));
  PGFLOW_ASSIGN_OR_RETURN(Connection * control, Control(stop));
  PGFLOW_ASSIGN_OR_RETURN(const std::optional<PublicationRow> row,
                          ReadPublication(*control, publication(), stop));
  if (row.has_value() && row->ours) {
    PGFLOW_ASSIGN_OR_RETURN(schemas::Catalog catalog,
                            ReadTables(*control, filter, row, /*began=*/true, stop));
    // One that was made since ListTables is nobody's to copy yet: it joins with the next refresh.
    for (const schemas::CatalogTable& table : catalog.tables) {
      if (std::ranges::find(unpublished_, table.schema->oid) != unpublished_.end()) continue;
      std::erase(catalog.published, table.schema->table);
    }
    PGFLOW_RETURN_IF_ERROR(ChangePublicationTables(*control, publication(), catalog, filter, stop));
  }
  PGFLOW_RETURN_IF_ERROR(
      PrepareCapture(*control, filter, /*create=*/true, /*slot_exists=*/true, stop));
  config_.tables = {selection.include, selection.exclude};
  filter_ = std::move(filter);
  relations_.reset();
  return absl::OkStatus();
}

absl::Status PostgresSource::PrepareCapture(Connection& connection,
                                            const schemas::TableFilter& filter, bool create,
                                            bool slot_exists, const std::stop_token& stop) {
  if (!config_.replication.ddl) return absl::OkStatus();
  const CapturedPipeline pipeline{
      .name = pipeline_, .publication = publication(), .filter = &filter};
  PGFLOW_ASSIGN_OR_RETURN(const CaptureState state, ReadCaptureState(connection, pipeline, stop));
  captured_ = state != CaptureState::kMissing;
  if (state == CaptureState::kCurrent || !create) return absl::OkStatus();
  PGFLOW_ASSIGN_OR_RETURN(const bool standby, IsStandby(connection, stop));
  if (standby) {
    return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                            "{} is a standby, which cannot make the DDL capture for pipeline {}; "
                            "read from its primary, or set replication.ddl: false",
                            connection.display_name(), pipeline_);
  }
  PGFLOW_ASSIGN_OR_RETURN(const bool may_make, MayMakeCapture(connection, stop));
  if (!may_make) {
    PGFLOW_RETURN_IF_ERROR(CaptureObstacle(state));
    base::LogWarning(
        "no privilege to create event triggers on {}: only columns that are added, dropped, "
        "renamed or retyped are replicated, when the first row with them comes. Let a superuser "
        "run `pgflow init` once for all DDL",
        connection.display_name());
    return absl::OkStatus();
  }
  captured_ = true;
  if (state == CaptureState::kOtherSelection) {
    PGFLOW_RETURN_IF_ERROR(base::Annotate(UpdateCapture(connection, pipeline, stop),
                                          "tell the DDL capture the selected tables"));
    return SettleCapture(connection, stop);
  }
  const absl::StatusOr<bool> alone = InstallCapture(connection, pipeline, stop);
  PGFLOW_RETURN_IF_ERROR(base::Annotate(alone.status(), "install the DDL capture"));
  // A table that a transaction of before made would be in no publication.
  if (!*alone) PGFLOW_RETURN_IF_ERROR(SettleCapture(connection, stop));
  if (slot_exists) {
    if (state != CaptureState::kOtherVersion) {
      base::LogWarning("the DDL capture was not there; what was changed before now is not known");
    }
    return absl::OkStatus();
  }
  // One that was made while the publication was there and the capture was not.
  PGFLOW_ASSIGN_OR_RETURN(const bool missing, MissesChosenTables(connection, pipeline, stop));
  if (!missing) return absl::OkStatus();
  PGFLOW_RETURN_IF_ERROR(PreparePublication(connection, true, false, stop));
  return UpdateCapture(connection, pipeline, stop);
}

}  // namespace pgflow::sources
