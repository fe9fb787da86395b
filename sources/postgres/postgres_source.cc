#include "sources/postgres/postgres_source.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/status.h"
#include "postgres/types/ask_again.h"
#include "sources/postgres/ddl_capture.h"
#include "sources/postgres/preflight.h"
#include "sources/postgres/server_identity.h"
#include "sources/postgres/server_log.h"
#include "sources/postgres/snapshot_session.h"
#include "sources/postgres/source_watch.h"
#include "sources/postgres/stream_reader.h"
#include "sources/postgres/timeline_history.h"

namespace pgflow::sources {
namespace {

using postgres::Connection;
using postgres::Lsn;
using postgres::Result;

constexpr int kServerVersionMin = 130000;
constexpr absl::Duration kHealthTimeout = absl::Seconds(5);
constexpr int kStandbyVersionMin = 160000;  // Of logical slots there.

// Without it only the rows tell of changed columns, and not by whom they were changed.
constexpr const char* kOriginNeedsCapture =
    "replication.ddl with origin: none needs the DDL capture, or DDL that came from the other side "
    "would go back there; let a superuser run `pgflow init` once, or set ddl: false";

}  // namespace

absl::StatusOr<std::unique_ptr<engine::Source>> PostgresSource::Make(PostgresSourceConfig config) {
  PGFLOW_RETURN_IF_ERROR(ValidatePostgresSourceConfig(config));
  PGFLOW_ASSIGN_OR_RETURN(schemas::TableFilter filter,
                          schemas::TableFilter::Make(config.tables.include, config.tables.exclude));
  return std::unique_ptr<engine::Source>(new PostgresSource(std::move(config), std::move(filter)));
}

engine::SourcePlan PostgresSource::plan() const {
  return {.mode = config_.mode, .snapshot_workers = config_.snapshot.workers};
}

std::string PostgresSource::slot() const {
  if (!config_.replication.slot.empty()) return config_.replication.slot;
  return pipeline_ == "pgflow" ? pipeline_ : ("pgflow_" + pipeline_).substr(0, 63);
}

std::string PostgresSource::publication() const {
  return config_.replication.publication.empty() ? slot() : config_.replication.publication;
}

postgres::ConnectOptions PostgresSource::Options(std::string_view role) const {
  postgres::ConnectOptions options;
  options.url = config_.url.value();
  options.application_name = fmt::format("pgflow {} {}", pipeline_, role).substr(0, 63);
  // A commit of ours waits for no standby: that one may be us. To compile a query of the catalog
  // takes longer than to run it.
  options.settings = {{"synchronous_commit", "local"}, {"jit", "off"}};
  if (role == "catalog" || role == "watch") {
    // They only look at the catalog, and others wait for the stream.
    options.settings.emplace_back("lock_timeout", "5s");
    options.settings.emplace_back("statement_timeout", "30s");
  }
  return options;
}

absl::StatusOr<Connection*> PostgresSource::Control(std::stop_token stop) {
  if (control_ == nullptr || !control_->StillThere()) {
    control_.reset();
    PGFLOW_ASSIGN_OR_RETURN(control_, Connection::Connect(Options("control"), std::move(stop)));
    is_first_session_ = !identity_.has_value();
  }
  return control_.get();
}

absl::StatusOr<engine::SourceIdentity> PostgresSource::Open(std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(Connection * control, Control(stop));
  if (control->server_version() < kServerVersionMin) {
    return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                            "{} runs PostgreSQL {}; 13 or later is needed", control->display_name(),
                            control->server_version() / 10000);
  }
  PGFLOW_ASSIGN_OR_RETURN(engine::SourceIdentity identity, ReadServerIdentity(*control, stop));
  identity.slot = slot();
  // The first one: it may be another server's that answers a later look.
  if (!identity_.has_value()) identity_ = identity;
  return identity;
}

absl::StatusOr<Lsn> PostgresSource::TimelineEnd(uint32_t timeline, std::stop_token stop) {
  postgres::ConnectOptions walsender = Options("history");
  walsender.replication = true;
  PGFLOW_ASSIGN_OR_RETURN(const std::unique_ptr<Connection> connection,
                          Connection::Connect(walsender, stop));
  return ReadTimelineEnd(*connection, identity_->timeline, timeline, std::move(stop));
}

absl::StatusOr<engine::SlotState> PostgresSource::OpenSlot(bool create, std::stop_token stop) {
  created_.reset();
  has_slot_ = true;
  PGFLOW_ASSIGN_OR_RETURN(Connection * control, Control(stop));
  PGFLOW_ASSIGN_OR_RETURN(const std::optional<SlotRow> row, ReadSlot(*control, slot(), stop));
  if (row.has_value() && !row->usable) {
    return base::MakeStatus(absl::StatusCode::kFailedPrecondition, "slot {} cannot be used: {}",
                            slot(), row->obstacle);
  }
  PGFLOW_ASSIGN_OR_RETURN(const bool standby, IsStandby(*control, stop));
  if (standby && control->server_version() < kStandbyVersionMin) {
    return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                            "{} is a standby; a replication slot on one needs PostgreSQL 16: use "
                            "the primary's url",
                            control->display_name());
  }
  PGFLOW_RETURN_IF_ERROR(PreparePublication(*control, create, row.has_value(), stop));
  PGFLOW_RETURN_IF_ERROR(PrepareCapture(*control, filter_, create, row.has_value(), stop));
  if (config_.replication.ddl && !captured_ && own_changes_only()) {
    return absl::FailedPreconditionError(kOriginNeedsCapture);
  }
  PGFLOW_RETURN_IF_ERROR(Advise(*control, create && !row.has_value(), stop));
  if (row.has_value()) {
    PGFLOW_ASSIGN_OR_RETURN(const KnownLog log, LookAtLog(*control, slot(), stop));
    return engine::SlotState{.created = false,
                             .confirmed_flush = row->confirmed_flush,
                             .log_end = log.timeline == 0 ? Lsn() : log.end};
  }
  if (!create) {
    return base::MakeStatus(absl::StatusCode::kNotFound,
                            "slot {} does not exist on {}; run `pgflow init`", slot(),
                            control->display_name());
  }
  PGFLOW_ASSIGN_OR_RETURN(PublicationContent carried, ReadCarried(*control, stop));
  base::LogInfo("creating slot {}; this waits for transactions that are running now", slot());
  PGFLOW_ASSIGN_OR_RETURN(
      CreatedSlot created,
      CreateSlot(Options("slot"), slot(),
                 config_.replication.failover ? SlotLife::kFailover : SlotLife::kPermanent, stop));
  const Lsn point = created.consistent_point;
  created_ = std::move(created);
  PGFLOW_ASSIGN_OR_RETURN(KnownSourceStore * known, Known());
  PGFLOW_RETURN_IF_ERROR(known->Forget());
  PGFLOW_RETURN_IF_ERROR(known->SetTables(std::move(carried)));
  tables_are_known_ = true;
  return engine::SlotState{.created = true, .confirmed_flush = point, .log_end = {}};
}

absl::StatusOr<KnownSourceStore*> PostgresSource::Known() {
  if (known_ == nullptr) {
    PGFLOW_ASSIGN_OR_RETURN(known_, KnownSourceStore::Open(state_directory_, slot()));
  }
  return known_.get();
}

absl::Status PostgresSource::DropSlot(std::stop_token stop) {
  created_.reset();
  PGFLOW_ASSIGN_OR_RETURN(Connection * control, Control(stop));
  PGFLOW_RETURN_IF_ERROR(DropSlotAndPublication(*control, slot(), publication(), stop));
  PGFLOW_ASSIGN_OR_RETURN(KnownSourceStore * known, Known());
  PGFLOW_RETURN_IF_ERROR(known->Forget());
  PGFLOW_ASSIGN_OR_RETURN(const bool standby, IsStandby(*control, stop));
  if (standby) return absl::OkStatus();  // The capture is the primary's.
  return base::Annotate(RemoveCapture(*control, pipeline_, stop), "remove the DDL capture");
}

absl::StatusOr<std::unique_ptr<engine::SnapshotSession>> PostgresSource::ImportSnapshot(
    const CreatedSlot& created, std::stop_token stop) {
  SnapshotRequest request{.connect = Options("snapshot"),
                          .filter = filter_,
                          .publication = publication(),
                          .of_stream = has_slot_,
                          .left_out = {},
                          .range_bytes = config_.snapshot.range_size.bytes,
                          .binary = config_.binary,
                          .consistent_point = created.consistent_point,
                          .exported = created.snapshot};
  for (const LeftOutTable& table : left_out_) {
    request.left_out.insert(table.oids.begin(), table.oids.end());
  }
  PGFLOW_ASSIGN_OR_RETURN(std::unique_ptr<PostgresSnapshotSession> session, postgres::AskAgain([&] {
                            return PostgresSnapshotSession::Open(request, stop);
                          }));
  PGFLOW_RETURN_IF_ERROR(NoteJoined(*session));
  return std::unique_ptr<engine::SnapshotSession>(std::move(session));
}

absl::StatusOr<std::unique_ptr<engine::SnapshotSession>> PostgresSource::OpenSnapshot(
    std::stop_token stop) {
  if (created_.has_value()) {
    const CreatedSlot created = *std::move(created_);
    created_.reset();
    absl::StatusOr<std::unique_ptr<engine::SnapshotSession>> session =
        ImportSnapshot(created, stop);
    // Its session was lost before anybody took the snapshot over: a later one does as well.
    if (session.ok() || !IsSnapshotGone(session.status())) return session;
    base::LogWarning("the slot's own snapshot was lost; taking a later one");
  }
  PGFLOW_ASSIGN_OR_RETURN(Connection * control, Control(stop));
  const std::string name =
      fmt::format("{}_snapshot_{}", slot().substr(0, 40), control->backend_pid());
  PGFLOW_ASSIGN_OR_RETURN(const CreatedSlot temporary,
                          CreateSlot(Options("slot"), name, SlotLife::kTemporary, stop));
  return ImportSnapshot(temporary, stop);
}

absl::Status PostgresSource::Run(engine::StreamWriter& out, std::stop_token stop) {
  // What it knows of definitions is of a later place: the writer lost what was before that.
  if (out.tail().end_lsn < streamed_to_) relations_.reset();
  PGFLOW_ASSIGN_OR_RETURN(KnownSourceStore * known, Known());
  const bool copies = config_.mode == engine::SourcePlan::Mode::kSnapshotAndStream;
  if (relations_ == nullptr) {
    DdlSource ddl = DdlSource::kNone;
    if (config_.replication.ddl) ddl = captured_ ? DdlSource::kCapture : DdlSource::kRelations;
    relations_ = std::make_unique<RelationCache>(Options("catalog"), filter_, config_.binary, ddl,
                                                 copies ? known : nullptr, joined_);
  }
  SourceWatch watch({.connect = Options("watch"),
                     .slot = slot(),
                     .publication = publication(),
                     .filter = filter_,
                     .captured = captured_,
                     .finds_tables = config_.replication.ddl && !captured_,
                     .new_tables = &new_tables_,
                     .tables_are_known = &tables_are_known_,
                     .walsender_pid = &walsender_pid_,
                     .awaited = &awaited_},
                    *known);
  if (ran_ && telemetry_ != nullptr) telemetry_->reconnects.fetch_add(1);
  ran_ = true;
  StreamReader reader({.connect = Options("stream"),
                       .slot = slot(),
                       .publication = publication(),
                       .origin = config_.replication.origin,
                       .server = identity_,
                       .in_progress = takes_in_progress_,
                       .acknowledged = &acknowledged_,
                       .awaited = &awaited_,
                       .receive_timeout = config_.replication.receive_timeout,
                       .messages = config_.messages,
                       .backend_pid = &walsender_pid_,
                       .telemetry = telemetry_},
                      *relations_, watch, out);
  absl::Status status = reader.Run(std::move(stop));
  streamed_to_ = std::max(streamed_to_, out.tail().end_lsn);
  if (!reader.failed_in_progress()) return status;
  takes_in_progress_ = false;
  return base::MakeStatus(absl::StatusCode::kAborted,
                          "{}; asking for transactions only when they have ended, from here on",
                          base::Message(status));
}

absl::Status PostgresSource::ConfirmSlot(std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(Connection * control, Control(stop));
  PGFLOW_ASSIGN_OR_RETURN(const std::optional<SlotRow> row, ReadSlot(*control, slot(), stop));
  const int ours = walsender_pid_.load();
  if (ours != 0 && row.has_value() && row->active_pid == ours) return absl::OkStatus();
  const bool taken = row.has_value() && row->active_pid.has_value();
  return base::MakeStatus(
      absl::StatusCode::kUnavailable, "slot {} is not ours now: {}", slot(),
      taken ? fmt::format("pid {} of the server has it", *row->active_pid) : "nobody has it");
}

void PostgresSource::Acknowledge(Lsn lsn) {
  uint64_t before = acknowledged_.load(std::memory_order_relaxed);
  while (before < lsn.value() &&
         !acknowledged_.compare_exchange_weak(before, lsn.value(), std::memory_order_relaxed)) {
  }
  if (telemetry_ != nullptr) {
    telemetry_->acknowledged_lsn.store(std::max(before, lsn.value()), std::memory_order_relaxed);
  }
}

absl::StatusOr<engine::SlotHealth> PostgresSource::Health(std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(Connection * control, Control(stop));
  // It is one of several things that whoever asks looks after.
  control->set_answer_timeout(kHealthTimeout);
  absl::StatusOr<engine::SlotHealth> health = AskHealth(*control, stop);
  control->set_answer_timeout(absl::InfiniteDuration());
  if (!health.ok()) control_.reset();  // Perhaps in the midst of it.
  return health;
}

absl::StatusOr<engine::SlotHealth> PostgresSource::AskHealth(Connection& control,
                                                             const std::stop_token& stop) {
  PGFLOW_ASSIGN_OR_RETURN(
      const Result row,
      control.Execute(
          fmt::format("SELECT s.wal_status, greatest(pg_wal_lsn_diff(l.lsn, s.restart_lsn), 0)"
                      "::bigint, l.lsn, l.timeline, s.active, "
                      "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint FROM (SELECT CASE "
                      "WHEN pg_is_in_recovery() "
                      "THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END AS lsn, "
                      "CASE WHEN pg_is_in_recovery() THEN 0 ELSE {} END AS timeline) l "
                      "LEFT JOIN pg_replication_slots s ON s.slot_name = {}",
                      kWrittenTimelineSql, control.QuoteLiteral(slot())),
          stop));
  engine::SlotHealth health;
  health.wal_status = row.is_null(0, 0) ? "missing" : row.text(0, 0);
  if (config_.replication.ddl) {
    health.ddl = captured_
                     ? "all commands"
                     : "columns only: the role may not create event triggers; let a superuser "
                       "run `pgflow init` once";
  }
  health.retained_wal_bytes = static_cast<uint64_t>(row.integer(0, 1));
  health.server_lsn = Lsn::Parse(row.at(0, 2)).value_or(Lsn());
  if (!row.is_null(0, 4)) health.slot_active = row.boolean(0, 4);
  health.server_time = absl::FromUnixMicros(row.integer(0, 5));
  // A session does not move to another server.
  if (is_first_session_) health.timeline = static_cast<uint32_t>(row.integer(0, 3));
  return health;
}

absl::StatusOr<Lsn> PostgresSource::CurrentLsn(std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(Connection * control, Control(stop));
  const std::string query =
      "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() "
      "ELSE pg_current_wal_flush_lsn() END, NOT pg_is_in_recovery() "
      "AND pg_current_wal_insert_lsn() > pg_current_wal_flush_lsn()";
  absl::StatusOr<Result> row = control->Execute(query, stop);
  PGFLOW_RETURN_IF_ERROR(row.status());
  if (row->boolean(0, 1)) {
    // Transactions with synchronous_commit = off may be committed but not flushed, and the stream
    // gives only what is flushed, which a sleeping WAL writer may put off for seconds. The commit
    // of a message that nobody reads flushes all before it.
    row = control->Execute(
        "BEGIN; SET LOCAL synchronous_commit = local; "
        "SELECT pg_logical_emit_message(true, 'pgflow', 'flush'); COMMIT; " +
            query,
        stop);
    PGFLOW_RETURN_IF_ERROR(row.status());
  }
  return Lsn::Parse(row->at(0, 0)).value_or(Lsn());
}

absl::StatusOr<engine::SourceCheck> PostgresSource::Check(std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(Connection * control, Control(stop));
  PGFLOW_ASSIGN_OR_RETURN(KnownSourceStore * known, Known());
  PGFLOW_ASSIGN_OR_RETURN(
      engine::SourceCheck check,
      CheckSource(
          *control,
          {.filter = &filter_, .slot = slot(), .publication = publication(), .known = known->Get()},
          stop));
  if (config_.replication.ddl) {
    PGFLOW_ASSIGN_OR_RETURN(
        engine::Finding finding,
        CheckCapture(*control,
                     {.name = pipeline_, .publication = publication(), .filter = &filter_}, stop));
    PGFLOW_ASSIGN_OR_RETURN(const std::optional<PublicationRow> row,
                            ReadPublication(*control, publication(), stop));
    const absl::Status refused =
        row.has_value() ? RefuseDdlOf(*row, publication()) : absl::OkStatus();
    if (!refused.ok()) {
      finding.severity = engine::Finding::Severity::kError;
      finding.remedy = base::Message(refused);
    }
    if (own_changes_only() && finding.severity == engine::Finding::Severity::kWarning) {
      finding.severity = engine::Finding::Severity::kError;
      finding.remedy = kOriginNeedsCapture;
    }
    check.findings.push_back(std::move(finding));
  }
  return check;
}

}  // namespace pgflow::sources
