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
#include "postgres/types/sql_state.h"
#include "sources/postgres/ddl_capture.h"
#include "sources/postgres/postgres_source.h"
#include "sources/postgres/role_advice.h"
#include "sources/postgres/slot.h"

namespace pgflow::sources {
namespace {

using postgres::Connection;

constexpr size_t kNamedMax = 10;
constexpr int kSelectAttempts = 3;
constexpr int kLooksAtTables = 10;

bool NamesWhatIsGone(const absl::Status& status) {
  const std::string state = postgres::SqlStateOf(status);
  return state == "42P01" || state == "3F000";
}

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
  left_out_.clear();
  PGFLOW_ASSIGN_OR_RETURN(
      schemas::Catalog catalog,
      schemas::ReadCatalog(connection, filter, schemas::CatalogDepth::kColumns, stop,
                           published.has_value() ? published->parts : schemas::PublishedParts()));
  if (published.has_value()) LeaveOutIdentityProblems(published->content, catalog);
  if (published.has_value() && (began || published->awaits_tables())) {
    LeaveOutUnpublishable(published->content, catalog);
    PGFLOW_RETURN_IF_ERROR(LeaveOutOfReach(connection, *published, catalog, stop));
  }
  for (const schemas::CatalogProblem& problem : catalog.problems) {
    if (problem.nothing_chosen && (!problem.fatal || began)) {
      if (!warned_.insert(problem.text).second) continue;
      base::LogInfo("{}; those that come {}", problem.text,
                    config_.replication.ddl ? "join by themselves"
                                            : "join at the next start or with `pgflow refresh`, "
                                              "and with --handle-ddl=true (replication.ddl) by "
                                              "themselves");
      continue;
    }
    if (problem.fatal) {
      return base::MakeStatus(absl::StatusCode::kFailedPrecondition, "{}: {}; {}", problem.subject,
                              problem.text, problem.remedy);
    }
    Warn(fmt::format("{}: {}{}{}", problem.subject, problem.text,
                     problem.remedy.empty() ? "" : "; ", problem.remedy));
  }
  return catalog;
}

absl::Status PostgresSource::Advise(Connection& connection, bool is_first_start,
                                    const std::stop_token& stop) {
  const bool ddl = config_.replication.ddl;
  if (captured_ || !(ddl || is_first_start) || std::exchange(advised_, true)) {
    return absl::OkStatus();
  }
  PGFLOW_ASSIGN_OR_RETURN(const PublicationContent content,
                          ReadPublicationContent(connection, publication(), stop));
  if (!content.ours && !ddl) return absl::OkStatus();
  PGFLOW_ASSIGN_OR_RETURN(
      const std::vector<std::string> lines,
      AdviseRole(connection,
                 {.pipeline = pipeline_, .publication = publication(), .config = &config_}, stop));
  for (const std::string& line : lines) base::LogInfo("{}", line);
  return absl::OkStatus();
}

void PostgresSource::Warn(const std::string& text) {
  if (warned_.insert(text).second) base::LogWarning("{}", text);
}

absl::Status PostgresSource::LeaveOutOfReach(Connection& connection,
                                             const PublicationRow& published,
                                             schemas::Catalog& catalog,
                                             const std::stop_token& stop) {
  PGFLOW_ASSIGN_OR_RETURN(KnownSourceStore * known, Known());
  const KnownSource of_stream = known->Get();
  Reach reach{.publication = publication(), .content = &published.content, .known = &of_stream};
  PGFLOW_ASSIGN_OR_RETURN(reach.standby, IsStandby(connection, stop));
  PGFLOW_ASSIGN_OR_RETURN(left_out_, LeaveOut(connection, reach, catalog, stop));
  size_t named = 0;
  for (const LeftOutTable& table : left_out_) {
    if (named == kNamedMax) {
      Warn(fmt::format("{} more tables are left out likewise: `pgflow check` names them",
                       left_out_.size() - named));
      break;
    }
    ++named;
    Warn(fmt::format("table {} is left out: {}; {}", table.table.ToString(), table.why,
                     table.remedy));
  }
  return absl::OkStatus();
}

absl::Status PostgresSource::PreparePublication(Connection& connection, bool create,
                                                bool slot_exists, std::stop_token stop) {
  absl::Status status = TryToPreparePublication(connection, create, slot_exists, stop);
  // A table that was dropped since the catalog was read: the next look does not find it.
  for (int look = 1; NamesWhatIsGone(status) && look < kLooksAtTables; ++look) {
    status = TryToPreparePublication(connection, create, slot_exists, stop);
  }
  return status;
}

absl::Status PostgresSource::TryToPreparePublication(Connection& connection, bool create,
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
  if (missing.empty() || slot_exists || (existing->ours && !standby)) return absl::OkStatus();
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
  PGFLOW_ASSIGN_OR_RETURN(KnownSourceStore * known, Known());
  const TableGaps gaps =
      FindGaps(known->Get(), row->content,
               {.filter = &filter,
                .captured = captured_,
                .ours = row->ours,
                .renamed_unheard = config_.replication.ddl && !tables_are_known_.load()});
  if (!gaps.warning.empty()) base::LogWarning("publication {}: {}", publication(), gaps.warning);
  listed_ = row->content;
  coming_.clear();
  std::vector<engine::ChosenTable> tables;
  for (const schemas::CatalogTable& table : catalog.tables) {
    const schemas::TableName& name = table.schema->table;
    const bool is_published = std::ranges::find(missing, name) == missing.end();
    const bool is_carried = is_published && !gaps.fresh.contains(name);
    if (!is_carried) {
      coming_.emplace(table.schema->oid, name);
      joined_.Put(table.schema);
    }
    const auto gap = gaps.of.find(name);
    tables.push_back({.table = name,
                      .published = is_published,
                      .carried = is_carried,
                      .gap = gap == gaps.of.end() ? gaps.publication : gap->second});
  }
  for (const LeftOutTable& table : left_out_) {
    tables.push_back({.table = table.table,
                      .carried = false,
                      .left_out = fmt::format("{}; {}", table.why, table.remedy)});
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
  PGFLOW_ASSIGN_OR_RETURN(KnownSourceStore * known, Known());
  const bool copies = config_.mode == engine::SourcePlan::Mode::kSnapshotAndStream;
  std::set<postgres::Oid> left_out;
  for (const LeftOutTable& table : left_out_) left_out.insert(table.oids.begin(), table.oids.end());
  KnownSource known_before = known->Get();
  std::map<postgres::Oid, schemas::TableName> joining;
  for (const CatalogRelation& table : known_before.publication.relations) {
    if (table.joining) joining.emplace(table.oid, table.name);
  }
  std::set<schemas::TableName> names;
  for (CatalogRelation& table : now.relations) {
    // As it was when its copy, if any, was decided on: what happens from then on is a gap.
    const auto entry = seen.find(table.oid);
    const auto coming = coming_.find(table.oid);
    const bool added = coming != coming_.end() && coming->second == table.name;
    if (entry == seen.end() && !added && !table.since_creation && !captured_) continue;
    if (left_out.contains(table.oid)) continue;
    CatalogRelation kept = entry == seen.end() ? std::move(table) : entry->second;
    const auto before = joining.find(kept.oid);
    kept.joining = copies && !captured_ && (coming != coming_.end() || before != joining.end());
    if (kept.joining && coming == coming_.end()) kept.name = before->second;
    names.insert(kept.name);
    keep.relations.push_back(std::move(kept));
  }
  // A table that is gone may be made again.
  for (CatalogRelation& table : known_before.publication.relations) {
    if (names.contains(table.name) || !filter_.Matches(table.name)) continue;
    if (seen.contains(table.oid)) continue;
    keep.relations.push_back(std::move(table));
  }
  PGFLOW_RETURN_IF_ERROR(known->SetTables(std::move(keep)));
  tables_are_known_ = true;
  return absl::OkStatus();
}

absl::Status PostgresSource::NoteJoined(const engine::SnapshotSession& session) {
  PGFLOW_ASSIGN_OR_RETURN(KnownSourceStore * known, Known());
  std::map<postgres::Oid, schemas::TableName> joining;
  for (const CatalogRelation& table : known->Get().publication.relations) {
    if (table.joining) joining.emplace(table.oid, table.name);
  }
  std::set<postgres::Oid> renamed;
  for (const engine::SnapshotTable& table : session.tables()) {
    const auto name = joining.find(table.schema->oid);
    if (name == joining.end()) continue;
    if (name->second == table.schema->table) {
      joined_.Put(table.schema);
    } else {
      renamed.insert(table.schema->oid);
    }
  }
  if (renamed.empty()) return absl::OkStatus();
  // Whoever copies from this snapshot gets nothing of them: they join once more.
  return known->UpdateTables([&](PublicationContent& content) {
    for (CatalogRelation& table : content.relations) {
      if (renamed.contains(table.oid)) table.name = schemas::TableName();
    }
    return true;
  });
}

absl::Status PostgresSource::SettleTables(std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(KnownSourceStore * known, Known());
  const auto is_joining = [](const CatalogRelation& table) { return table.joining; };
  if (std::ranges::none_of(known->Get().publication.relations, is_joining)) {
    return absl::OkStatus();
  }
  PGFLOW_ASSIGN_OR_RETURN(Connection * control, Control(stop));
  PGFLOW_ASSIGN_OR_RETURN(const PublicationContent now, ReadCarried(*control, stop));
  std::map<postgres::Oid, schemas::TableName> names;
  for (const CatalogRelation& table : now.relations) names.emplace(table.oid, table.name);
  return known->UpdateTables([&](PublicationContent& content) {
    for (CatalogRelation& table : content.relations) {
      // By another name it joins once more.
      const auto name = names.find(table.oid);
      table.joining &= name != names.end() && name->second != table.name;
    }
    return true;
  });
}

absl::Status PostgresSource::Select(const engine::TableSelection& selection, std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(schemas::TableFilter filter,
                          schemas::TableFilter::Make(selection.include, selection.exclude));
  PGFLOW_ASSIGN_OR_RETURN(Connection * control, Control(stop));
  for (int attempt = 1;; ++attempt) {
    const absl::Status published = Publish(*control, filter, stop);
    if (published.ok()) break;
    // A table was dropped, or is another one's, since it was looked at.
    const std::string state = postgres::SqlStateOf(published);
    const bool changed = state == "42P01" || state == "42501" || state == "3F000";
    if (!changed || attempt == kSelectAttempts) return published;
  }
  const bool was_captured = captured_;
  PGFLOW_RETURN_IF_ERROR(
      PrepareCapture(*control, filter, /*create=*/true, /*slot_exists=*/true, stop));
  const bool same = config_.tables.include == selection.include &&
                    config_.tables.exclude == selection.exclude && was_captured == captured_;
  config_.tables = {selection.include, selection.exclude};
  filter_ = std::move(filter);
  // What it knows of other tables is what their next change is compared with.
  if (!same) relations_.reset();
  return absl::OkStatus();
}

absl::Status PostgresSource::Publish(Connection& connection, const schemas::TableFilter& filter,
                                     const std::stop_token& stop) {
  PGFLOW_ASSIGN_OR_RETURN(const std::optional<PublicationRow> row,
                          ReadPublication(connection, publication(), stop));
  if (!row.has_value() || !row->ours) return absl::OkStatus();
  PGFLOW_ASSIGN_OR_RETURN(schemas::Catalog catalog,
                          ReadTables(connection, filter, row, /*began=*/true, stop));
  // One that was made, or got its name, since ListTables is nobody's to copy yet.
  for (const schemas::CatalogTable& table : catalog.tables) {
    const auto coming = coming_.find(table.schema->oid);
    if (coming != coming_.end() && coming->second == table.schema->table) continue;
    std::erase(catalog.published, table.schema->table);
  }
  return ChangePublicationTables(connection, publication(), catalog, filter, stop);
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
    return CaptureObstacle(state);
  }
  captured_ = true;
  if (state == CaptureState::kOtherSelection) {
    PGFLOW_RETURN_IF_ERROR(base::Annotate(UpdateCapture(connection, pipeline, stop),
                                          "tell the DDL capture the selected tables"));
    return SettleCapture(connection, stop);
  }
  const postgres::ConnectOptions second_session = Options("control");
  const absl::StatusOr<bool> alone =
      InstallCapture(connection, pipeline, slot_exists ? nullptr : &second_session, stop);
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
