#include "sinks/postgres/checkpoint_store.h"

#include <algorithm>
#include <map>
#include <random>
#include <utility>

#include "base/log.h"
#include "base/status.h"
#include "postgres/types/sql_state.h"
#include "sinks/postgres/left_out_tables.h"
#include "sinks/postgres/target_session.h"

namespace pgflow::sinks {
namespace {

using engine::BlockRange;
using engine::SinkCheckpoint;
using engine::StreamPoint;
using engine::TableProgress;
using postgres::Lsn;

Lsn ToLsn(std::string_view text) { return Lsn::Parse(text).value_or(Lsn()); }

// fillfactor: the row is updated by every window, and must find room for that on its page.
// A row without a slot says that somebody has the sink, and has not begun.
constexpr const char* kTablesSql =
    "CREATE TABLE IF NOT EXISTS {0}.checkpoint ("
    " pipeline text NOT NULL, sink text NOT NULL, system_identifier numeric(20) NOT NULL,"
    " timeline bigint NOT NULL, database text NOT NULL, slot text NOT NULL,"
    " commit_lsn pg_lsn NOT NULL, end_lsn pg_lsn NOT NULL, commit_time timestamptz,"
    " snapshot_complete boolean NOT NULL DEFAULT false, epoch bigint NOT NULL,"
    " updated_at timestamptz NOT NULL DEFAULT now(), snapshot_lsn pg_lsn NOT NULL DEFAULT '0/0',"
    " PRIMARY KEY (pipeline, sink)) WITH (fillfactor = 10);"
    "CREATE TABLE IF NOT EXISTS {0}.table_progress ("
    " pipeline text NOT NULL, sink text NOT NULL, schema_name text NOT NULL,"
    " table_name text NOT NULL, snapshot_lsn pg_lsn NOT NULL, snapshot text NOT NULL,"
    " complete boolean NOT NULL DEFAULT false, catch_up_until pg_lsn NOT NULL,"
    " PRIMARY KEY (pipeline, sink, schema_name, table_name));"
    "CREATE TABLE IF NOT EXISTS {0}.finished_range ("
    " pipeline text NOT NULL, sink text NOT NULL, schema_name text NOT NULL,"
    " table_name text NOT NULL, first_block bigint NOT NULL, end_block bigint NOT NULL,"
    " PRIMARY KEY (pipeline, sink, schema_name, table_name, first_block))";

// How long a transaction that is committing just now may take, and how often a session that does
// not end is told to.
constexpr const char* kLockPatience = "SET LOCAL lock_timeout = '2s'";
constexpr int kTakesMax = 5;

// Epochs are compared for being equal only. Nobody draws one that was used before, so that who
// wrote one and got no answer can see later whether it was written.
int64_t NewEpoch() {
  std::random_device random;
  const uint64_t bits = (uint64_t{random()} << 32) | random();
  return static_cast<int64_t>((bits >> 2) | 1);
}

}  // namespace

PostgresCheckpointStore::PostgresCheckpointStore(std::string url,
                                                 std::shared_ptr<CheckpointStatements> statements)
    : url_(std::move(url)), statements_(std::move(statements)) {}

absl::Status PostgresCheckpointStore::Connect(std::string_view role) {
  if (connection_ != nullptr && connection_->StillThere()) return absl::OkStatus();
  connection_.reset();
  PGFLOW_ASSIGN_OR_RETURN(
      TargetSession session,
      OpenTargetSession(url_, SessionJob::kCheckpoint,
                        SessionName(statements_->pipeline(), statements_->sink(), role), "",
                        stop_));
  connection_ = std::move(session.connection);
  return absl::OkStatus();
}

absl::StatusOr<postgres::Result> PostgresCheckpointStore::Run(const std::string& sql) {
  auto result = connection_->Execute(sql, stop_);
  if (!result.ok()) {
    // What state the session is in is not worth knowing.
    connection_.reset();
    return base::Annotate(statements_->Explain(result.status()), "checkpoint in the target");
  }
  return result;
}

// Whoever reads the epoch, then sees that the slot is its own, and then changes that very epoch has
// had the slot in between: nobody who lost it can take the sink from who has it now.
absl::Status PostgresCheckpointStore::Open(const engine::ConfirmSlot& confirm_slot,
                                           std::stop_token stop) {
  const base::MutexLock lock(&mutex_);
  stop_ = std::move(stop);
  PGFLOW_RETURN_IF_ERROR(Connect());
  PGFLOW_RETURN_IF_ERROR(CreateTables());
  while (true) {
    PGFLOW_ASSIGN_OR_RETURN(const std::optional<int64_t> found, ReadEpoch());
    const bool ours = found.has_value() && std::ranges::find(epochs_, *found) != epochs_.end();
    held_ = held_ || ours;
    if (held_ && !ours) return statements_->TakenOver();
    if (!ours && confirm_slot != nullptr) {
      PGFLOW_RETURN_IF_ERROR(confirm_slot(stop_));
      PGFLOW_RETURN_IF_ERROR(Connect());  // That may have taken long.
    }
    const int64_t epoch = NewEpoch();
    epochs_.push_back(epoch);
    PGFLOW_ASSIGN_OR_RETURN(const bool taken, Take(found, epoch));
    if (!taken) continue;
    held_ = true;
    epochs_ = {epoch};
    statements_->set_epoch(epoch);
    EndOtherSessions();
    return absl::OkStatus();
  }
}

absl::StatusOr<std::optional<int64_t>> PostgresCheckpointStore::ReadEpoch() {
  PGFLOW_ASSIGN_OR_RETURN(
      const postgres::Result row,
      Run(fmt::format("SELECT epoch FROM {}.checkpoint WHERE {}", statements_->schema(), Mine())));
  if (row.row_count() == 0) return std::optional<int64_t>();
  return row.integer(0, 0);
}

// Waits for a transaction of the pgflow that we replace, or of our own lost session, if one is
// committing right now; it holds the row. One that does not end is of a process that hangs.
absl::StatusOr<bool> PostgresCheckpointStore::Take(std::optional<int64_t> from, int64_t epoch) {
  for (int attempt = 1;; ++attempt) {
    absl::StatusOr<bool> taken = TakeOnce(from, epoch);
    const bool locked = postgres::SqlStateOf(taken.status()) == "55P03";
    if (!locked || attempt == kTakesMax) return taken;
    PGFLOW_RETURN_IF_ERROR(Connect());
    EndOtherSessions();
  }
}

absl::StatusOr<bool> PostgresCheckpointStore::TakeOnce(std::optional<int64_t> from, int64_t epoch) {
  std::string sql;
  if (from.has_value()) {
    sql = fmt::format("UPDATE {}.checkpoint SET epoch = {} WHERE {} AND epoch = {}",
                      statements_->schema(), epoch, Mine(), *from);
  } else {
    sql = fmt::format(
        "INSERT INTO {}.checkpoint (pipeline, sink, system_identifier, timeline, database, slot,"
        " commit_lsn, end_lsn, epoch) VALUES ({}, {}, 0, 0, '', '', '0/0', '0/0', {})"
        " ON CONFLICT (pipeline, sink) DO NOTHING",
        statements_->schema(), Literal(statements_->pipeline()), Literal(statements_->sink()),
        epoch);
  }
  PGFLOW_ASSIGN_OR_RETURN(const postgres::Result taken,
                          Run(fmt::format("{}; {}", kLockPatience, sql)));
  return taken.affected_rows() == 1;
}

// Of a process that hangs, or lost by a network: the epoch keeps them from committing, and their
// locks would keep us from working.
void PostgresCheckpointStore::EndOtherSessions() {
  const absl::Status ended =
      EndSinkSessions(*connection_, statements_->pipeline(), statements_->sink(), stop_);
  if (ended.ok()) return;
  base::LogDebug("cannot end other sessions of sink {}: {}", statements_->sink(),
                 base::Message(ended));
}

// Those that the tables of an older version lack.
absl::Status PostgresCheckpointStore::AddColumns() {
  const std::string table = statements_->schema() + ".checkpoint";
  PGFLOW_ASSIGN_OR_RETURN(
      const postgres::Result has,
      Run(fmt::format("SELECT count(*) > 0 FROM pg_attribute WHERE attrelid = {}::regclass AND "
                      "attname = 'snapshot_lsn'",
                      Literal(table))));
  if (has.boolean(0, 0)) return absl::OkStatus();
  const std::string sql = fmt::format(
      "ALTER TABLE {} ADD COLUMN IF NOT EXISTS snapshot_lsn pg_lsn NOT NULL DEFAULT '0/0'", table);
  return base::Annotate(Run(sql).status(), "the table was made by an older version; " + sql);
}

absl::Status PostgresCheckpointStore::CreateTables() {
  const std::string& schema = statements_->schema();
  // CREATE ... IF NOT EXISTS asks for the privilege to create even when there is nothing to do.
  PGFLOW_ASSIGN_OR_RETURN(const bool there, TablesExist());
  if (there) return AddColumns();
  PGFLOW_ASSIGN_OR_RETURN(
      const postgres::Result exists,
      Run(fmt::format("SELECT to_regnamespace({}) IS NOT NULL", Literal(schema))));
  // The lock: two pipelines that start together must not both create.
  std::string sql = "BEGIN; SELECT pg_advisory_xact_lock(7308325410);";
  if (!exists.boolean(0, 0)) sql += fmt::format("CREATE SCHEMA IF NOT EXISTS {};", schema);
  sql += fmt::format(fmt::runtime(kTablesSql), schema) + "; COMMIT";
  return Run(sql).status();
}

std::string PostgresCheckpointStore::OfTables(std::span<const schemas::TableName> tables) const {
  std::string names;
  for (const schemas::TableName& table : tables) {
    names += fmt::format("{}({}, {})", names.empty() ? "" : ", ", Literal(table.schema),
                         Literal(table.name));
  }
  return fmt::format("{} AND (schema_name, table_name) IN (VALUES {})", Mine(), names);
}

absl::Status PostgresCheckpointStore::Change(const std::vector<std::string>& sql) {
  std::string all = "BEGIN;" + statements_->FenceSql(*connection_) + ";";
  for (const std::string& statement : sql) all += statement + ";";
  return Run(all + "COMMIT").status();
}

absl::StatusOr<std::optional<SinkCheckpoint>> PostgresCheckpointStore::Peek(std::stop_token stop) {
  {
    const base::MutexLock lock(&mutex_);
    stop_ = std::move(stop);
    PGFLOW_RETURN_IF_ERROR(Connect("peek"));
    PGFLOW_ASSIGN_OR_RETURN(const bool exists, TablesExist());
    if (!exists) return std::optional<SinkCheckpoint>();
  }
  return Load();
}

absl::StatusOr<bool> PostgresCheckpointStore::TablesExist() {
  PGFLOW_ASSIGN_OR_RETURN(const postgres::Result found,
                          Run(fmt::format("SELECT to_regclass({}) IS NOT NULL",
                                          Literal(statements_->schema() + ".finished_range"))));
  return found.boolean(0, 0);
}

absl::StatusOr<std::optional<SinkCheckpoint>> PostgresCheckpointStore::Load() {
  const base::MutexLock lock(&mutex_);
  PGFLOW_RETURN_IF_ERROR(Connect());
  PGFLOW_ASSIGN_OR_RETURN(
      const postgres::Result row,
      Run(fmt::format("SELECT system_identifier, timeline, database, slot, commit_lsn, end_lsn,"
                      " snapshot_complete, epoch, to_jsonb(c) ->> 'snapshot_lsn'"
                      " FROM {}.checkpoint c WHERE {}",
                      statements_->schema(), Mine())));
  const int64_t epoch = row.row_count() == 0 ? 0 : row.integer(0, 7);
  if (statements_->epoch() != 0 && epoch != statements_->epoch()) return statements_->TakenOver();
  if (row.row_count() == 0 || row.at(0, 3).empty()) return std::optional<SinkCheckpoint>();
  SinkCheckpoint checkpoint;
  const std::string identifier = row.text(0, 0);
  checkpoint.identity.system_identifier = std::strtoull(identifier.c_str(), nullptr, 10);
  checkpoint.identity.timeline = static_cast<uint32_t>(row.integer(0, 1));
  checkpoint.identity.database = row.text(0, 2);
  checkpoint.identity.slot = row.text(0, 3);
  checkpoint.stream = {ToLsn(row.at(0, 4)), ToLsn(row.at(0, 5))};
  checkpoint.snapshot_complete = row.boolean(0, 6);
  checkpoint.snapshot_lsn = ToLsn(row.at(0, 8));  // Null in a table that an older version made.
  PGFLOW_RETURN_IF_ERROR(LoadTables(checkpoint));
  return std::optional<SinkCheckpoint>(std::move(checkpoint));
}

// Not joined by the server: it has no statistics of tables that were filled a moment ago, and
// compares each row of one with each of the other.
absl::Status PostgresCheckpointStore::LoadTables(SinkCheckpoint& checkpoint) {
  PGFLOW_ASSIGN_OR_RETURN(
      const postgres::Result tables,
      Run(fmt::format("SELECT schema_name, table_name, snapshot_lsn, snapshot, complete,"
                      " catch_up_until FROM {}.table_progress WHERE {}"
                      " ORDER BY schema_name, table_name",
                      statements_->schema(), Mine())));
  std::map<schemas::TableName, size_t> places;
  for (int row = 0; row < tables.row_count(); ++row) {
    TableProgress progress;
    progress.table = {tables.text(row, 0), tables.text(row, 1)};
    progress.snapshot_lsn = ToLsn(tables.at(row, 2));
    progress.snapshot = tables.text(row, 3);
    progress.complete = tables.boolean(row, 4);
    progress.catch_up_until = ToLsn(tables.at(row, 5));
    places.emplace(progress.table, checkpoint.tables.size());
    checkpoint.tables.push_back(std::move(progress));
  }
  PGFLOW_ASSIGN_OR_RETURN(const postgres::Result ranges,
                          Run(fmt::format("SELECT schema_name, table_name, first_block, end_block"
                                          " FROM {}.finished_range WHERE {} ORDER BY first_block",
                                          statements_->schema(), Mine())));
  for (int row = 0; row < ranges.row_count(); ++row) {
    const auto place = places.find({ranges.text(row, 0), ranges.text(row, 1)});
    if (place == places.end()) continue;  // Of a table that has left.
    checkpoint.tables[place->second].finished.push_back(
        {static_cast<uint32_t>(ranges.integer(row, 2)),
         static_cast<uint32_t>(ranges.integer(row, 3))});
  }
  return absl::OkStatus();
}

absl::Status PostgresCheckpointStore::Begin(const engine::SourceIdentity& identity,
                                            StreamPoint start) {
  const base::MutexLock lock(&mutex_);
  PGFLOW_RETURN_IF_ERROR(Connect());
  const std::string& schema = statements_->schema();
  return Change(
      {fmt::format("DELETE FROM {}.finished_range WHERE {}", schema, Mine()),
       fmt::format("DELETE FROM {}.table_progress WHERE {}", schema, Mine()),
       fmt::format("UPDATE {}.checkpoint SET system_identifier = {}, timeline = {}, database = {},"
                   " slot = {}, commit_lsn = '{}', end_lsn = '{}', commit_time = NULL,"
                   " snapshot_complete = false, snapshot_lsn = '0/0', updated_at = now() WHERE {}",
                   schema, identity.system_identifier, identity.timeline,
                   Literal(identity.database), Literal(identity.slot), start.commit_lsn,
                   start.end_lsn, Mine())});
}

absl::Status PostgresCheckpointStore::BeginTables(std::span<const TableProgress> tables) {
  if (tables.empty()) return absl::OkStatus();
  const base::MutexLock lock(&mutex_);
  PGFLOW_RETURN_IF_ERROR(Connect());
  const std::string& schema = statements_->schema();
  std::vector<schemas::TableName> names;
  std::string rows;
  std::vector<std::string> ranges;
  for (const TableProgress& table : tables) {
    names.push_back(table.table);
    rows += fmt::format("{}({}, {}, {}, {}, '{}', {}, {}, '{}')", rows.empty() ? "" : ", ",
                        Literal(statements_->pipeline()), Literal(statements_->sink()),
                        Literal(table.table.schema), Literal(table.table.name), table.snapshot_lsn,
                        Literal(table.snapshot), table.complete, table.catch_up_until);
    for (const BlockRange& range : table.finished) {
      ranges.push_back(statements_->RangeSql(*connection_, table.table, range));
    }
  }
  std::vector<std::string> sql = {
      // The server has no statistics of what was filled a moment ago, and would compare each row of
      // one with each of the other.
      "SET LOCAL enable_nestloop = off",
      fmt::format("DELETE FROM {}.finished_range WHERE {}", schema, OfTables(names)),
      fmt::format("INSERT INTO {}.table_progress (pipeline, sink, schema_name, table_name,"
                  " snapshot_lsn, snapshot, complete, catch_up_until) VALUES {}"
                  " ON CONFLICT (pipeline, sink, schema_name, table_name) DO UPDATE SET"
                  " snapshot_lsn = EXCLUDED.snapshot_lsn, snapshot = EXCLUDED.snapshot,"
                  " complete = EXCLUDED.complete, catch_up_until = EXCLUDED.catch_up_until",
                  schema, rows)};
  sql.insert(sql.end(), ranges.begin(), ranges.end());
  return Change(sql);
}

absl::Status PostgresCheckpointStore::FinishRange(const schemas::TableName& table,
                                                  BlockRange range) {
  const base::MutexLock lock(&mutex_);
  PGFLOW_RETURN_IF_ERROR(Connect());
  return Change({statements_->RangeSql(*connection_, table, range) + " ON CONFLICT DO NOTHING"});
}

absl::Status PostgresCheckpointStore::FinishTables(std::span<const schemas::TableName> tables) {
  if (tables.empty()) return absl::OkStatus();
  const base::MutexLock lock(&mutex_);
  PGFLOW_RETURN_IF_ERROR(Connect());
  // One by one, by the key. A join would read the marks of all tables each time, at best.
  std::vector<std::string> sql;
  for (const schemas::TableName& table : tables) {
    sql.push_back(
        fmt::format("UPDATE {}.table_progress SET complete = true WHERE {} AND schema_name = {} AND"
                    " table_name = {}",
                    statements_->schema(), Mine(), Literal(table.schema), Literal(table.name)));
  }
  return Change(sql);
}

absl::Status PostgresCheckpointStore::FinishSnapshot(Lsn lsn) {
  const base::MutexLock lock(&mutex_);
  PGFLOW_RETURN_IF_ERROR(Connect());
  return Change(
      {fmt::format("UPDATE {}.checkpoint SET snapshot_complete = true, snapshot_lsn = '{}',"
                   " updated_at = now() WHERE {}",
                   statements_->schema(), lsn, Mine())});
}

absl::Status PostgresCheckpointStore::AdvanceStream(StreamPoint point) {
  const base::MutexLock lock(&mutex_);
  PGFLOW_RETURN_IF_ERROR(Connect());
  return Change({fmt::format("UPDATE {}.checkpoint SET commit_lsn = '{}', end_lsn = '{}' WHERE {}",
                             statements_->schema(), point.commit_lsn, point.end_lsn, Mine())});
}

absl::Status PostgresCheckpointStore::FollowTimeline(uint32_t timeline) {
  const base::MutexLock lock(&mutex_);
  PGFLOW_RETURN_IF_ERROR(Connect());
  return Change({fmt::format("UPDATE {}.checkpoint SET timeline = {} WHERE {}",
                             statements_->schema(), timeline, Mine())});
}

absl::Status PostgresCheckpointStore::Forget() {
  const base::MutexLock lock(&mutex_);
  if (before_forget_) before_forget_();
  PGFLOW_RETURN_IF_ERROR(Connect());
  const std::string& schema = statements_->schema();
  PGFLOW_ASSIGN_OR_RETURN(const std::string left_out,
                          LeftOutTables::RemoveSql(*connection_, *statements_, {}, stop_));
  PGFLOW_RETURN_IF_ERROR(
      Change({fmt::format("DELETE FROM {}.finished_range WHERE {}", schema, Mine()),
              fmt::format("DELETE FROM {}.table_progress WHERE {}", schema, Mine()), left_out,
              fmt::format("DELETE FROM {}.checkpoint WHERE {}", schema, Mine())}));
  statements_->set_epoch(0);
  held_ = false;
  return DropOrigins(*connection_, statements_->Origin(), stop_);
}

}  // namespace pgflow::sinks
