#include "sources/postgres/snapshot_session.h"

#include <algorithm>
#include <utility>

#include <absl/time/clock.h>

#include "base/log.h"
#include "base/status.h"
#include "postgres/types/sql_state.h"
#include "sources/postgres/published_parts.h"
#include "sources/postgres/range_reader.h"
#include "sources/postgres/slot.h"

namespace pgflow::sources {
namespace {

using postgres::Connection;
using postgres::Result;

constexpr size_t kGuards = 2;
constexpr absl::Duration kLookInterval = absl::Seconds(1);
constexpr uint64_t kRangeBlocksMin = 16;

absl::Status SnapshotLost() {
  absl::Status status = absl::AbortedError(
      "the snapshot is gone: all sessions that kept it were lost (did the source restart?)");
  base::SetPayload(status, engine::kSnapshotLostPayload, "1");
  return status;
}

}  // namespace

// 22023, "invalid snapshot identifier"; 42704, "snapshot ... does not exist", since version 17;
// 55000, the transaction that exported it is not there any more.
bool IsSnapshotGone(const absl::Status& status) {
  const std::string state = postgres::SqlStateOf(status);
  return state == "22023" || state == "42704" || state == "55000";
}

absl::StatusOr<std::unique_ptr<PostgresSnapshotSession>> PostgresSnapshotSession::Open(
    SnapshotRequest request, std::stop_token stop) {
  std::unique_ptr<PostgresSnapshotSession> session(new PostgresSnapshotSession(std::move(request)));
  std::vector<Guard> guards;
  for (size_t i = 0; i < kGuards; ++i) {
    PGFLOW_ASSIGN_OR_RETURN(Guard guard, session->OpenGuard(session->request_.exported, stop));
    guards.push_back(std::move(guard));
  }
  PGFLOW_RETURN_IF_ERROR(session->Plan(*guards[0].connection, stop));
  session->Publish(guards);
  PostgresSnapshotSession* self = session.get();
  session->watcher_ =
      std::jthread([self, guards = std::move(guards)](std::stop_token watcher_stop) mutable {
        self->Watch(std::move(guards), std::move(watcher_stop));
      });
  return session;
}

PostgresSnapshotSession::~PostgresSnapshotSession() = default;

absl::StatusOr<PostgresSnapshotSession::Guard> PostgresSnapshotSession::OpenGuard(
    const std::string& exported, const std::stop_token& stop) const {
  Guard guard;
  PGFLOW_ASSIGN_OR_RETURN(guard.connection, Connection::Connect(request_.connect, stop));
  const absl::StatusOr<Result> result = guard.connection->Execute(
      fmt::format("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT {}; "
                  "SELECT pg_export_snapshot()",
                  guard.connection->QuoteLiteral(exported)),
      stop);
  if (!result.ok()) return base::Annotate(result.status(), "keep the snapshot alive");
  guard.exported = result->text(0, 0);
  return guard;
}

absl::Status PostgresSnapshotSession::Plan(Connection& connection, const std::stop_token& stop) {
  PGFLOW_ASSIGN_OR_RETURN(
      const Result facts,
      connection.Execute("SELECT pg_current_snapshot(), current_setting('block_size')", stop));
  snapshot_ = facts.text(0, 0);
  const auto block_bytes = static_cast<uint64_t>(facts.integer(0, 1));
  PGFLOW_ASSIGN_OR_RETURN(const schemas::PublishedParts published,
                          ReadPublishedParts(connection, request_.publication, stop));
  PGFLOW_ASSIGN_OR_RETURN(schemas::Catalog catalog,
                          schemas::ReadCatalog(connection, request_.filter,
                                               schemas::CatalogDepth::kSizes, stop, published));
  PGFLOW_ASSIGN_OR_RETURN(const PublicationContent publication,
                          ReadPublicationContent(connection, request_.publication, stop));
  LeaveOutIdentityProblems(publication, catalog);
  if (publication.oid != 0) {
    LeaveOutUnpublishable(publication, catalog);
    if (request_.of_stream) Narrow(publication, catalog);
  }
  for (const schemas::CatalogProblem& problem : catalog.problems) {
    if (problem.fatal) {
      return base::MakeStatus(absl::StatusCode::kFailedPrecondition, "{}: {}; {}", problem.subject,
                              problem.text, problem.remedy);
    }
  }
  definition_ = std::move(catalog.definition);
  // Before version 14 a condition on ctid reads the whole table, for each range.
  const bool ranges = connection.server_version() >= 140000;
  for (const schemas::CatalogTable& table : catalog.tables) PlanTable(table, ranges, block_bytes);
  NoteFilteredColumns();
  return absl::OkStatus();
}

// What came since the tables were looked at joins later. With the stream at work nobody asks
// whether there are any.
void PostgresSnapshotSession::Narrow(const PublicationContent& publication,
                                     schemas::Catalog& catalog) const {
  std::set<postgres::Oid> carried;
  for (const CatalogRelation& relation : publication.relations) {
    if (relation.listed && !request_.left_out.contains(relation.oid)) carried.insert(relation.oid);
  }
  std::erase_if(catalog.tables, [&](const schemas::CatalogTable& table) {
    return !carried.contains(table.schema->oid);
  });
  std::erase_if(catalog.problems, [&](const schemas::CatalogProblem& problem) {
    return problem.nothing_chosen ||
           (problem.unreadable != 0 && !carried.contains(problem.unreadable));
  });
}

namespace {

// The file and a hash (FNV-1a) of what the columns are, and which rows.
uint64_t StorageOf(const schemas::CatalogTable& table) {
  uint32_t hash = 2166136261U;
  const auto add = [&hash](std::string_view text) {
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619U;
    hash = (hash ^ 0xffU) * 16777619U;
  };
  for (const schemas::Column& column : table.schema->columns) {
    add(column.name);
    add(fmt::format("{} {} {}", column.attribute_number, column.type, column.type_modifier));
  }
  if (!table.row_filter.empty()) add(table.row_filter);
  for (const auto& [oid, filenode] : table.leaves) add(fmt::format("{} {}", oid, filenode));
  return uint64_t{hash} << 32 | table.filenode;
}

}  // namespace

void PostgresSnapshotSession::PlanTable(const schemas::CatalogTable& table, bool ranges,
                                        uint64_t block_bytes) {
  const bool binary = request_.binary == BinaryMode::kOn ||
                      (request_.binary == BinaryMode::kAuto && table.binary_obstacle.empty());
  sources_.push_back({.filenode = table.filenode,
                      .partitioned = table.partitioned,
                      .leaves = table.leaves,
                      .row_filter = table.row_filter,
                      .format = binary ? engine::CopyFormat::kBinary : engine::CopyFormat::kText});
  engine::SnapshotTable plan{.schema = table.schema,
                             .has_primary_key = table.has_primary_key,
                             .storage = StorageOf(table),
                             .bytes = table.bytes,
                             .rows_estimate = table.rows_estimate,
                             .ranges = {}};
  const uint64_t blocks = std::min<uint64_t>(table.bytes / block_bytes, UINT32_MAX - 1);
  // A range is about so many bytes with what its rows keep out of line.
  const uint64_t total = table.bytes + table.toast_bytes;
  const uint64_t count =
      ranges && total > 0 ? (total + request_.range_bytes - 1) / request_.range_bytes : 1;
  const uint64_t step =
      std::max(kRangeBlocksMin, (blocks + count - 1) / std::max<uint64_t>(count, 1));
  uint64_t first = 0;
  // Blocks are those of one file: a partitioned table is one range.
  while (ranges && !table.partitioned && first + step < blocks) {
    plan.ranges.push_back({static_cast<uint32_t>(first), static_cast<uint32_t>(first + step)});
    first += step;
  }
  plan.ranges.push_back({static_cast<uint32_t>(first), engine::BlockRange::kOpenEnd});
  tables_.push_back(std::move(plan));
}

// A row filter is text with names in it, also of columns that are not published.
void PostgresSnapshotSession::NoteFilteredColumns() {
  for (size_t i = 0; i < tables_.size(); ++i) {
    if (sources_[i].row_filter.empty()) continue;
    const schemas::TableSchema& schema = *tables_[i].schema;
    const auto definition =
        std::ranges::find(definition_.tables, schema.table, &schemas::TableDefinition::table);
    if (definition == definition_.tables.end()) continue;
    for (const schemas::ColumnDefinition& column : definition->columns) {
      if (schema.FindColumn(column.name).has_value()) continue;
      sources_[i].other_columns[column.attribute_number] = column.name;
    }
  }
}

absl::StatusOr<std::unique_ptr<engine::RangeReader>> PostgresSnapshotSession::OpenReader(
    std::stop_token stop) {
  return PostgresRangeReader::Open(*this, request_.connect, std::move(stop));
}

void PostgresSnapshotSession::Publish(const std::vector<Guard>& guards) {
  base::MutexLock lock(&mutex_);
  living_.clear();
  pids_.clear();
  for (const Guard& guard : guards) {
    living_.push_back(guard.exported);
    pids_.push_back(guard.connection->backend_pid());
  }
  suspect_.clear();
  ++looks_;
}

void PostgresSnapshotSession::Watch(std::vector<Guard> guards, std::stop_token stop) {
  std::stop_callback wake(stop, [this] {
    base::MutexLock lock(&mutex_);
    ++next_;  // A change of a guarded field makes the waiting thread look at its condition again.
  });
  while (!stop.stop_requested()) {
    {
      base::MutexLock lock(&mutex_);
      const auto called = [this, &stop]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
        return stop.stop_requested() || !suspect_.empty();
      };
      mutex_.AwaitWithTimeout(base::Condition(&called), kLookInterval);
    }
    if (stop.stop_requested()) return;
    std::erase_if(guards, [&](const Guard& guard) {
      const absl::Status alive = guard.connection->Execute("SELECT 1", stop).status();
      if (!alive.ok() && !stop.stop_requested()) {
        base::LogWarning("a session that kept the snapshot was lost: {}", base::Message(alive));
      }
      return !alive.ok();
    });
    // From the living ones; with none left the snapshot is gone for good.
    while (!guards.empty() && guards.size() < kGuards) {
      absl::StatusOr<Guard> guard = OpenGuard(guards.front().exported, stop);
      if (!guard.ok()) {
        base::LogWarning("cannot replace a session that keeps the snapshot: {}",
                         base::Message(guard.status()));
        break;
      }
      guards.push_back(*std::move(guard));
    }
    if (stop.stop_requested()) return;
    Publish(guards);
    if (guards.empty()) return;
  }
}

absl::StatusOr<std::string> PostgresSnapshotSession::NameToImport(const std::string& failed,
                                                                  std::stop_token stop) {
  base::MutexLock lock(&mutex_);
  if (!failed.empty() && std::ranges::find(living_, failed) != living_.end()) {
    suspect_ = failed;
    const uint64_t seen = looks_;
    const auto looked = [this, seen]()
                            ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return looks_ > seen; };
    // In slices, because a stop does not wake this.
    while (looks_ == seen && !stop.stop_requested()) {
      mutex_.AwaitWithTimeout(base::Condition(&looked), absl::Milliseconds(50));
    }
    if (stop.stop_requested()) return absl::CancelledError("stopped");
  }
  if (living_.empty()) return SnapshotLost();
  return living_[next_++ % living_.size()];
}

std::vector<int> PostgresSnapshotSession::GuardPids() const {
  base::MutexLock lock(&mutex_);
  return pids_;
}

}  // namespace pgflow::sources
