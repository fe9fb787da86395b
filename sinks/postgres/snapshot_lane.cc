#include "sinks/postgres/snapshot_lane.h"

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "base/status.h"
#include "postgres/types/sql_state.h"
#include "postgres/wire/copy_binary.h"
#include "sinks/postgres/merge_statement.h"
#include "sinks/postgres/schema_writer.h"

namespace pgflow::sinks {
namespace {

using engine::ChangeEvent;
using engine::WriteResult;

constexpr size_t kCopyBufferBytes = 256 * base::kKiB;
constexpr std::string_view kForeignKeyViolation = "23503";
constexpr std::string_view kUniqueViolation = "23505";
constexpr std::string_view kLockNotAvailable = "55P03";
// How often the session of an earlier attempt at the range is told to end, 2 s apart.
constexpr int kRangeLocksMax = 5;
constexpr const char* kStage = "pg_temp.pgflow_stage";

}  // namespace

PostgresLane::PostgresLane(TargetSession session, const PostgresSinkConfig& config,
                           std::shared_ptr<CheckpointStatements> checkpoint,
                           std::shared_ptr<ExpectedTargets> targets,
                           std::shared_ptr<const schemas::DatabaseDefinition> definition)
    : session_(std::move(session)),
      config_(config),
      checkpoint_(std::move(checkpoint)),
      targets_(std::move(targets)),
      definition_(std::move(definition)) {}

absl::Status PostgresLane::Execute(const std::string& sql, std::stop_token stop) {
  return session_.connection->Execute(sql, std::move(stop)).status();
}

absl::Status PostgresLane::Bind(const schemas::TableSchemaPtr& schema) {
  if (bound_schema_ == schema) return absl::OkStatus();
  statements_.Clear();
  bound_schema_ = nullptr;
  PGFLOW_ASSIGN_OR_RETURN(TargetTablePtr target,
                          targets_->Find(*session_.connection, schema->table, {}));
  if (target == nullptr) return MissingTable(schema->table);
  PGFLOW_ASSIGN_OR_RETURN(binding_, BindTable(*schema, std::move(target), session_.replica_role));
  if (config_.on_narrower_column == NarrowerColumn::kRefuse) {
    PGFLOW_RETURN_IF_ERROR(RefuseNarrowerColumn(*binding_));
  }
  passes_binary_ = true;
  for (const ColumnBinding& column : binding_->columns) {
    passes_binary_ &= column.takes_binary && column.written;
  }
  bound_schema_ = schema;
  return absl::OkStatus();
}

absl::Status PostgresLane::BeginRange(const engine::TablePlan& table, engine::BlockRange range,
                                      RangeOptions options) {
  PGFLOW_RETURN_IF_ERROR(Bind(table.schema));
  source_table_ = table.source_table;
  range_ = range;
  options_ = options;
  copy_ = Copy::kNone;
  destination_ = binding_->sql_name;
  PGFLOW_RETURN_IF_ERROR(BeginAlone());
  return options.upsert ? CreateStage() : absl::OkStatus();
}

// When this returns no transaction of an earlier attempt at the range is running any more: it has
// committed or never will. Its session may not know yet that nobody listens.
absl::Status PostgresLane::BeginAlone() {
  postgres::Connection& connection = *session_.connection;
  const std::string key =
      fmt::format("hashtextextended({}, 0)",
                  connection.QuoteLiteral(fmt::format(
                      "pgflow/{}/{}/{}/{}", checkpoint_->pipeline(), checkpoint_->sink(),
                      schemas::QuoteTable(source_table_), range_.first)));
  for (int attempt = 1;; ++attempt) {
    absl::Status begun = Execute(
        fmt::format("BEGIN; SET LOCAL lock_timeout = '2s'; SELECT pg_advisory_xact_lock({}); "
                    "SET LOCAL lock_timeout = 0",
                    key),
        {});
    if (postgres::SqlStateOf(begun) != kLockNotAvailable || attempt == kRangeLocksMax) {
      return base::Annotate(begun, "begin a range of " + source_table_.ToString());
    }
    PGFLOW_RETURN_IF_ERROR(Execute("ROLLBACK", {}));
    PGFLOW_RETURN_IF_ERROR(
        Execute(fmt::format("SELECT pg_terminate_backend(l.pid) FROM pg_locks l, pg_database d, "
                            "{} k WHERE d.datname = current_database() AND l.database = d.oid AND "
                            "l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted AND "
                            "l.classid::bigint = (k >> 32) & 4294967295 AND "
                            "l.objid::bigint = k & 4294967295 AND l.pid <> pg_backend_pid()",
                            key),
                {}));
  }
}

absl::Status PostgresLane::CreateStage() {
  destination_ = kStage;
  return Execute(fmt::format("CREATE TEMP TABLE pgflow_stage ON COMMIT DROP AS SELECT {} FROM {} "
                             "WITH NO DATA",
                             WrittenColumns(*binding_), binding_->sql_name),
                 {});
}

absl::Status PostgresLane::BeginCopy(bool binary, std::stop_token stop) {
  const Copy wanted = binary ? Copy::kBinary : Copy::kText;
  if (copy_ == wanted) return absl::OkStatus();
  PGFLOW_RETURN_IF_ERROR(EndCopy(stop));
  PGFLOW_RETURN_IF_ERROR(
      session_.connection->BeginCopyIn(CopySql(*binding_, destination_, binary), stop));
  copy_ = wanted;
  return binary ? session_.connection->PutCopyData(postgres::kCopyBinaryHeader, stop)
                : absl::OkStatus();
}

absl::Status PostgresLane::EndCopy(std::stop_token stop) {
  const Copy running = std::exchange(copy_, Copy::kNone);
  if (running == Copy::kNone) return absl::OkStatus();
  if (running == Copy::kBinary) {
    PGFLOW_RETURN_IF_ERROR(session_.connection->PutCopyData(postgres::kCopyBinaryTrailer, stop));
  }
  const absl::Status status = session_.connection->EndCopyIn(stop).status();
  return base::Annotate(status, "table " + binding_->schema.table.ToString());
}

bool PostgresLane::MayPass(const absl::Status& status) const {
  return !session_.replica_role && !options_.others_done &&
         postgres::SqlStateOf(status) == kForeignKeyViolation;
}

absl::Status PostgresLane::Explain(absl::Status status) const {
  if (options_.upsert && postgres::SqlStateOf(status) == kUniqueViolation) {
    base::SetPayload(status, engine::kStartOverPayload, "1");
    return status;
  }
  if (session_.replica_role || postgres::SqlStateOf(status) != kForeignKeyViolation) return status;
  if (MayPass(status)) {
    base::SetPayload(status, engine::kNeedsOthersPayload, "1");
    return status;
  }
  absl::Status explained = base::MakeStatus(
      status.code(),
      "{}. The role may not switch foreign keys off for the copy: GRANT SET ON PARAMETER "
      "session_replication_role TO it (PostgreSQL 15 and later), or drop the foreign key and "
      "create it when the snapshot is complete",
      base::Message(status));
  base::SetPayload(explained, postgres::kSqlStatePayload, kForeignKeyViolation);
  return explained;
}

absl::StatusOr<WriteResult> PostgresLane::Write(engine::Batch& batch, std::stop_token stop) {
  WriteResult result;
  PGFLOW_RETURN_IF_ERROR(Explain(WriteBatch(batch, result, std::move(stop))));
  return result;
}

absl::Status PostgresLane::FinishRange(std::stop_token stop) {
  return Explain(CommitRange(std::move(stop)));
}

absl::Status PostgresLane::WriteBatch(engine::Batch& batch, WriteResult& result,
                                      std::stop_token stop) {
  const engine::CopyRows* raw = batch.raw_rows();
  if (raw == nullptr) return WriteByTable(batch, result, std::move(stop));
  PGFLOW_RETURN_IF_ERROR(SwitchTo(raw->schema, stop));
  const bool careful = options_.mode == Mode::kCareful;
  if (!careful && (passes_binary_ || raw->format == engine::CopyFormat::kText)) {
    return WriteRaw(*raw, stop);
  }
  PGFLOW_ASSIGN_OR_RETURN(const std::span<const ChangeEvent> events, batch.Events());
  return careful ? WriteCarefully(events, 0, events.size(), result, stop)
                 : WriteEvents(events, stop);
}

absl::Status PostgresLane::WriteByTable(engine::Batch& batch, WriteResult& result,
                                        std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(const std::span<const ChangeEvent> events, batch.Events());
  std::vector<const schemas::TableSchema*> tables;
  for (const ChangeEvent& event : events) {
    if (!tables.empty() && tables.back() == event.schema) continue;
    if (std::ranges::find(tables, event.schema) == tables.end()) tables.push_back(event.schema);
  }
  for (const schemas::TableSchema* table : tables) {
    PGFLOW_RETURN_IF_ERROR(SwitchTo(batch.OwnerOf(table), stop));
    std::vector<ChangeEvent> rows;
    std::vector<size_t> places;  // Of the rows, in the batch.
    for (size_t i = 0; i < events.size(); ++i) {
      if (events[i].schema != table) continue;
      rows.push_back(events[i]);
      places.push_back(i);
    }
    if (options_.mode != Mode::kCareful) {
      PGFLOW_RETURN_IF_ERROR(WriteEvents(rows, stop));
      continue;
    }
    const size_t before = result.rejections.size();
    PGFLOW_RETURN_IF_ERROR(WriteCarefully(rows, 0, rows.size(), result, stop));
    for (size_t i = before; i < result.rejections.size(); ++i) {
      result.rejections[i].event = places[result.rejections[i].event];
    }
  }
  return absl::OkStatus();
}

absl::Status PostgresLane::SwitchTo(const schemas::TableSchemaPtr& schema, std::stop_token stop) {
  if (bound_schema_->table == schema->table) return absl::OkStatus();
  PGFLOW_RETURN_IF_ERROR(EndCopy(stop));
  if (options_.upsert) {
    PGFLOW_RETURN_IF_ERROR(MergeStage(stop));
    PGFLOW_RETURN_IF_ERROR(Execute(fmt::format("DROP TABLE {}", kStage), stop));
  }
  PGFLOW_RETURN_IF_ERROR(Bind(schema));
  destination_ = binding_->sql_name;
  return options_.upsert ? CreateStage() : absl::OkStatus();
}

absl::Status PostgresLane::WriteRaw(const engine::CopyRows& rows, std::stop_token stop) {
  PGFLOW_RETURN_IF_ERROR(BeginCopy(rows.format == engine::CopyFormat::kBinary, stop));
  return session_.connection->PutCopyData(rows.bytes, stop);
}

absl::Status PostgresLane::WriteEvents(std::span<const ChangeEvent> events, std::stop_token stop) {
  RowFormat format = RowFormat::kAny;
  for (const ChangeEvent& event : events) {
    event.after.Decode(values_);
    if (values_.size() != binding_->columns.size()) {
      return base::MakeStatus(absl::StatusCode::kDataLoss, "table {}: a row of {} columns, not {}",
                              binding_->schema.table.ToString(), values_.size(),
                              binding_->columns.size());
    }
    const int wrong = WrongBinaryColumn(*binding_, values_);
    if (wrong >= 0) return WrongBinaryType(*binding_, static_cast<size_t>(wrong));
    format = Common(format, FormatOf(*binding_, values_));
  }
  if (format == RowFormat::kMixed) return WriteSingly(events, stop);
  const bool binary = format != RowFormat::kText;
  PGFLOW_RETURN_IF_ERROR(BeginCopy(binary, stop));
  buffer_.clear();
  for (const ChangeEvent& event : events) {
    event.after.Decode(values_);
    if (binary) {
      AppendBinaryRow(*binding_, values_, buffer_);
    } else {
      AppendTextRow(*binding_, values_, buffer_);
    }
    if (buffer_.size() < kCopyBufferBytes) continue;
    PGFLOW_RETURN_IF_ERROR(session_.connection->PutCopyData(buffer_, stop));
    buffer_.clear();
  }
  return session_.connection->PutCopyData(buffer_, stop);
}

absl::Status PostgresLane::WriteSingly(std::span<const ChangeEvent> events, std::stop_token stop) {
  if (options_.upsert) {
    return base::MakeStatus(absl::StatusCode::kUnimplemented,
                            "table {}: rows with both text and binary values cannot be resumed; "
                            "start the table over",
                            binding_->schema.table.ToString());
  }
  PGFLOW_RETURN_IF_ERROR(EndCopy(stop));
  ApplyPipeline pipeline(*session_.connection, stop);
  RowWriter writer(statements_, {});
  for (const ChangeEvent& event : events) {
    PGFLOW_RETURN_IF_ERROR(writer.Write(pipeline, *binding_, event, 0));
    if (pipeline.failure().has_value()) break;
  }
  PGFLOW_RETURN_IF_ERROR(pipeline.Drain());
  if (!pipeline.failure().has_value()) return absl::OkStatus();
  // What was queued behind the failure was skipped, statements being prepared included.
  statements_.Clear();
  return base::Annotate(pipeline.failure()->status, "table " + binding_->schema.table.ToString());
}

absl::Status PostgresLane::WritePiece(std::span<const ChangeEvent> events, std::stop_token stop) {
  PGFLOW_RETURN_IF_ERROR(WriteEvents(events, stop));
  PGFLOW_RETURN_IF_ERROR(EndCopy(stop));
  return options_.upsert ? MergeStage(stop) : absl::OkStatus();
}

absl::Status PostgresLane::WriteCarefully(std::span<const ChangeEvent> all, size_t begin,
                                          size_t end, WriteResult& result, std::stop_token stop) {
  if (begin == end) return absl::OkStatus();
  PGFLOW_RETURN_IF_ERROR(Execute("SAVEPOINT pgflow_piece", stop));
  absl::Status status = WritePiece(all.subspan(begin, end - begin), stop);
  if (status.ok()) return Execute("RELEASE SAVEPOINT pgflow_piece", stop);
  if (status.code() != absl::StatusCode::kInvalidArgument || MayPass(status)) return status;
  // Not the row's fault: an older one of the earlier attempt has its place.
  if (options_.upsert && postgres::SqlStateOf(status) == kUniqueViolation) return status;
  copy_ = Copy::kNone;
  PGFLOW_RETURN_IF_ERROR(
      Execute("ROLLBACK TO SAVEPOINT pgflow_piece; RELEASE SAVEPOINT pgflow_piece", stop));
  if (end - begin == 1) {
    result.rejections.push_back({{}, begin, status});
    return absl::OkStatus();
  }
  const size_t middle = begin + (end - begin) / 2;
  PGFLOW_RETURN_IF_ERROR(WriteCarefully(all, begin, middle, result, stop));
  return WriteCarefully(all, middle, end, result, stop);
}

absl::Status PostgresLane::MergeStage(std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(const std::string merge, MergeSql(*binding_, kStage));
  const absl::Status status =
      Execute(fmt::format("ANALYZE {0}; {1}; DELETE FROM {0}", kStage, merge), stop);
  return base::Annotate(status, "table " + binding_->schema.table.ToString());
}

absl::Status PostgresLane::CommitRange(std::stop_token stop) {
  PGFLOW_RETURN_IF_ERROR(EndCopy(stop));
  if (options_.upsert) PGFLOW_RETURN_IF_ERROR(MergeStage(stop));
  postgres::Connection& connection = *session_.connection;
  // synchronous_commit is the server's own setting here: durable when COMMIT returns.
  if (!options_.record) {
    return checkpoint_->Explain(Execute(checkpoint_->FenceSql(connection) + "; COMMIT", stop));
  }
  const absl::StatusOr<postgres::Result> entered =
      connection.Execute(checkpoint_->RangeSql(connection, source_table_, range_), stop);
  if (postgres::SqlStateOf(entered.status()) == kUniqueViolation) return Concede(stop);
  PGFLOW_RETURN_IF_ERROR(entered.status());
  if (entered->affected_rows() != 1) {
    Execute("ROLLBACK", stop).IgnoreError();
    return checkpoint_->TakenOver();
  }
  return Execute("COMMIT", stop);
}

// An earlier attempt at the range, whose answer was lost, has committed after all.
absl::Status PostgresLane::Concede(std::stop_token stop) {
  PGFLOW_RETURN_IF_ERROR(Execute("ROLLBACK", stop));
  PGFLOW_ASSIGN_OR_RETURN(
      const postgres::Result entry,
      session_.connection->Execute(
          checkpoint_->FindRangeSql(*session_.connection, source_table_, range_), stop));
  if (entry.row_count() == 1) return absl::OkStatus();
  return base::MakeStatus(absl::StatusCode::kInternal,
                          "table {}: another range from block {} on is in the ledger than the one "
                          "up to {}; `pgflow refresh --again` copies the table anew",
                          source_table_.ToString(), range_.first, range_.end);
}

absl::Status PostgresLane::FinishTable(const engine::TablePlan& table, std::stop_token stop) {
  bound_schema_ = nullptr;  // It gets an index.
  TargetChange change(*session_.connection, *checkpoint_, stop);
  SchemaWriter writer(change, *definition_, stop);
  if (config_.create_schema) {
    absl::Status status = writer.FinishTable(table);
    if (postgres::SqlStateOf(status) == kUniqueViolation) {
      base::SetPayload(status, engine::kStartOverPayload, "1");
    }
    return status;
  }
  return writer.Analyze(table.schema->table);
}

}  // namespace pgflow::sinks
