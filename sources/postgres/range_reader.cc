#include "sources/postgres/range_reader.h"

#include <charconv>
#include <optional>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "postgres/types/sql_state.h"
#include "sources/postgres/wait_report.h"

namespace pgflow::sources {
namespace {

using engine::CopyFormat;
using engine::RangeOutcome;

// Each but the first with another guard's snapshot.
constexpr int kImportAttemptsMax = 5;
constexpr size_t kBatchBytes = 512 * base::kKiB;
// COPY BINARY: signature, flags and the size of the header's extension; then the trailer, a count
// of -1. The server sends the header in the first row's message and the trailer in its own.
constexpr size_t kCopyHeaderBytes = 19;
constexpr std::string_view kCopySignature("PGCOPY\n\377\r\n\0", 11);
constexpr size_t kCopyTrailerBytes = 2;

// SQLSTATEs that say that the table is not what the snapshot saw.
bool MeansTableChanged(const std::string& state) {
  return state == "22012"     // Our own check of files and columns.
         || state == "42P01"  // Undefined table: renamed or dropped.
         || state == "42703"  // Undefined column.
         || state == "3F000" || state == "42809" /* Not a table any more. */;
}

struct SnapshotBounds {
  uint64_t xmin = 0;
  uint64_t xmax = 0;
};

// pg_current_snapshot(): xmin:xmax:xip,...
std::optional<SnapshotBounds> ParseSnapshot(std::string_view text) {
  SnapshotBounds bounds;
  const char* end = text.data() + text.size();
  const auto xmin = std::from_chars(text.data(), end, bounds.xmin);
  if (xmin.ec != std::errc() || xmin.ptr == end || *xmin.ptr != ':') return std::nullopt;
  const auto xmax = std::from_chars(xmin.ptr + 1, end, bounds.xmax);
  if (xmax.ec != std::errc()) return std::nullopt;
  return bounds;
}

// True for every row that a transaction at or behind the older snapshot's xmin wrote: those that it
// does not see, and some that it does, which are written again. The snapshot's own list of running
// transactions is no help, because it need not name subtransactions. Transaction ids of rows have
// 32 bits; a row's distance from this snapshot's xmax tells its epoch. Ids below 3 are frozen.
std::optional<std::string> NewerThan(std::string_view older, std::string_view current) {
  const auto from = ParseSnapshot(older);
  const auto now = ParseSnapshot(current);
  if (!from.has_value() || !now.has_value() || from->xmin > now->xmax) return std::nullopt;
  const uint64_t distance = now->xmax - from->xmin;
  constexpr uint64_t kHalf = uint64_t{1} << 31;
  if (distance >= kHalf) return "true";  // Too long ago to tell: all rows.
  return fmt::format(
      "NOT (xmin::text::bigint < 3 OR (({} - xmin::text::bigint) & 4294967295) "
      "BETWEEN {} AND {})",
      now->xmax & 0xFFFFFFFFU, distance + 1, kHalf - 1);
}

// True in SQL when the name still stands for the table that the snapshot saw, with the same files.
std::string SameStorage(const std::string& quoted_name, postgres::Oid table,
                        const TableSource& source) {
  const std::string same = fmt::format("to_regclass({})::oid = {}", quoted_name, table);
  if (!source.partitioned) {
    return fmt::format("{} AND pg_relation_filenode({}) = {}", same, table, source.filenode);
  }
  std::vector<std::string> files;
  for (const auto& [leaf, filenode] : source.leaves) {
    files.push_back(fmt::format("{}:{}", leaf, filenode));
  }
  return fmt::format(
      "{} AND (SELECT coalesce(string_agg(relid::oid || ':' || pg_relation_filenode(relid), ' ' "
      "ORDER BY relid::oid), '') FROM pg_partition_tree({}) WHERE isleaf) = '{}'",
      same, table, fmt::join(files, " "));
}

// True in SQL when each name that the COPY uses still stands for the same attribute, of the same
// type. Renames, names that change places, a column that was dropped and made again, and types that
// are exchanged without a rewrite all leave the files alone. The catalog's tables cannot be asked:
// this transaction sees them as of its snapshot. These two look through the caches, which the lock
// has made current: pg_get_object_address, and the parser where it resolves a field of a row. A
// type's modifier is not compared: where it changes without a rewrite, what was stored stays valid
// for both, and nobody wants a table copied again because a varchar became wider.
std::string SameColumns(const schemas::TableSchema& schema, const TableSource& source) {
  using schemas::QuoteLiteral;
  std::string same;
  const auto add_number = [&](const std::string& name, int16_t number) {
    same += fmt::format(
        " AND (pg_get_object_address('table column', ARRAY[{}, {}, {}], '{{}}')).objsubid = {}",
        QuoteLiteral(schema.table.schema), QuoteLiteral(schema.table.name), QuoteLiteral(name),
        number);
  };
  for (const schemas::Column& column : schema.columns) {
    add_number(column.name, column.attribute_number);
    same +=
        fmt::format(" AND pg_typeof((NULL::{}).{})::oid = {}", schemas::QuoteTable(schema.table),
                    schemas::QuoteIdentifier(column.name), column.type);
  }
  for (const auto& [number, name] : source.other_columns) add_number(name, number);
  return same;
}

absl::Status StripHeader(std::string& bytes) {
  if (bytes.size() < kCopyHeaderBytes ||
      std::string_view(bytes).substr(0, kCopySignature.size()) != kCopySignature) {
    return absl::DataLossError("the server's COPY BINARY has no valid header");
  }
  const auto extension = base::LoadBigEndian<uint32_t>(bytes.data() + kCopyHeaderBytes - 4);
  if (bytes.size() - kCopyHeaderBytes < extension) {
    return absl::DataLossError("the server's COPY BINARY has a header extension that is cut");
  }
  bytes.erase(0, kCopyHeaderBytes + extension);
  return absl::OkStatus();
}

absl::Status StripTrailer(engine::CopyRows& rows) {
  std::string& bytes = rows.bytes;
  if (bytes.size() < kCopyTrailerBytes || rows.row_count == 0 ||
      std::string_view(bytes).substr(bytes.size() - kCopyTrailerBytes) != "\377\377") {
    return absl::DataLossError("the server's COPY BINARY has no trailer: it was cut");
  }
  bytes.resize(bytes.size() - kCopyTrailerBytes);
  --rows.row_count;
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<PostgresRangeReader>> PostgresRangeReader::Open(
    PostgresSnapshotSession& session, const postgres::ConnectOptions& options,
    std::stop_token stop) {
  std::unique_ptr<PostgresRangeReader> reader(new PostgresRangeReader(session, options));
  PGFLOW_ASSIGN_OR_RETURN(reader->connection_, postgres::Connection::Connect(options, stop));
  PGFLOW_ASSIGN_OR_RETURN(reader->imported_, session.NameToImport("", std::move(stop)));
  return reader;
}

absl::StatusOr<RangeOutcome> PostgresRangeReader::Read(const engine::RangeRequest& request,
                                                       const engine::BatchConsumer& consume,
                                                       std::stop_token stop) {
  consumer_failed_ = false;
  if (connection_ == nullptr) {
    PGFLOW_ASSIGN_OR_RETURN(connection_, postgres::Connection::Connect(options_, stop));
  }
  for (int attempt = 1;; ++attempt) {
    const absl::Status status = CopyRange(request, consume, stop);
    if (status.ok()) return RangeOutcome::kDone;
    // Whoever stops in the middle of a COPY leaves a session that cannot be used again.
    if (consumer_failed_ || !connection_->healthy() ||
        status.code() == absl::StatusCode::kCancelled) {
      connection_.reset();
      return status;
    }
    PGFLOW_RETURN_IF_ERROR(connection_->Execute("ROLLBACK", stop).status());
    const std::string state = postgres::SqlStateOf(status);
    if (MeansTableChanged(state)) return RangeOutcome::kTableChanged;
    const std::string table = session_.tables()[request.table].schema->table.ToString();
    if (!IsSnapshotGone(status) || attempt == kImportAttemptsMax) {
      return base::Annotate(status, fmt::format("copy table {}", table));
    }
    PGFLOW_ASSIGN_OR_RETURN(imported_, session_.NameToImport(imported_, stop));
  }
}

// One string, so one round trip. The check divides by zero when the table is not the one that the
// snapshot saw: nothing less stops the COPY behind it. It runs under the lock, and functions that
// read the catalog through its caches see the state of now, not of the snapshot.
absl::StatusOr<std::string> PostgresRangeReader::StatementFor(
    const engine::RangeRequest& request) const {
  const engine::SnapshotTable& table = session_.tables()[request.table];
  const TableSource& source = session_.source_of(request.table);
  const std::string name = schemas::QuoteTable(table.schema->table);
  std::vector<std::string> columns;
  for (const schemas::Column& column : table.schema->columns) {
    columns.push_back(schemas::QuoteIdentifier(column.name));
  }
  std::vector<std::string> conditions;
  const engine::BlockRange range = request.range;
  if (range.first > 0) conditions.push_back(fmt::format("ctid >= '({},0)'::tid", range.first));
  if (range.end != engine::BlockRange::kOpenEnd) {
    conditions.push_back(fmt::format("ctid < '({},0)'::tid", range.end));
  }
  if (!source.row_filter.empty()) conditions.push_back("(" + source.row_filter + ")");
  if (!request.only_newer_than.empty()) {
    const auto newer = NewerThan(request.only_newer_than, session_.snapshot());
    if (!newer.has_value()) {
      return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                              "the checkpoint's snapshot {} is not older than this one, {}",
                              request.only_newer_than, session_.snapshot());
    }
    conditions.push_back(*newer);
  }
  const std::string where =
      conditions.empty() ? "" : fmt::format(" WHERE {}", fmt::join(conditions, " AND "));
  const std::string from = (source.partitioned ? "" : "ONLY ") + name;
  return fmt::format(
      "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT {}; "
      "LOCK TABLE {} IN ACCESS SHARE MODE; SELECT 1 / coalesce(({}{})::int, 0); "
      "COPY (SELECT {} FROM {}{}) TO STDOUT (FORMAT {}); COMMIT",
      connection_->QuoteLiteral(imported_), from,
      SameStorage(connection_->QuoteLiteral(name), table.schema->oid, source),
      SameColumns(*table.schema, source), fmt::join(columns, ", "), from, where,
      source.format == CopyFormat::kBinary ? "binary" : "text");
}

absl::Status PostgresRangeReader::CopyRange(const engine::RangeRequest& request,
                                            const engine::BatchConsumer& consume,
                                            const std::stop_token& stop) {
  PGFLOW_ASSIGN_OR_RETURN(const std::string statement, StatementFor(request));
  {
    const WaitReport report(options_, connection_->backend_pid(),
                            fmt::format("the copy of table {}",
                                        session_.tables()[request.table].schema->table.ToString()));
    PGFLOW_RETURN_IF_ERROR(connection_->BeginCopyOut(statement, stop));
  }
  return ReadBatches(session_.tables()[request.table], session_.source_of(request.table).format,
                     consume, stop);
}

// A batch is given out when a byte of the next one is there, so that the last one is known: it is
// the one with the trailer.
absl::Status PostgresRangeReader::ReadBatches(const engine::SnapshotTable& table, CopyFormat format,
                                              const engine::BatchConsumer& consume,
                                              const std::stop_token& stop) {
  const auto give = [&](engine::CopyRows rows) -> absl::Status {
    if (rows.row_count == 0) return absl::OkStatus();
    absl::Status taken = consume(engine::Batch(std::move(rows)));
    consumer_failed_ = !taken.ok();
    return taken;
  };
  engine::CopyRows full{.schema = table.schema, .format = format, .bytes = {}, .row_count = 0};
  engine::CopyRows filling = full;
  bool header = format == CopyFormat::kBinary;
  while (true) {
    if (filling.bytes.capacity() < kBatchBytes && full.row_count > 0) {
      filling.bytes.reserve(kBatchBytes + kBatchBytes / 8);
    }
    PGFLOW_ASSIGN_OR_RETURN(
        const bool more,
        connection_->ReadCopyRows(filling.bytes, filling.row_count, kBatchBytes, stop));
    if (header && !filling.bytes.empty()) {
      PGFLOW_RETURN_IF_ERROR(StripHeader(filling.bytes));
      header = false;
    }
    if (!more) break;
    if (full.row_count > 0) {
      PGFLOW_RETURN_IF_ERROR(give(std::move(full)));
      full = {.schema = table.schema, .format = format, .bytes = {}, .row_count = 0};
    }
    if (filling.bytes.size() >= kBatchBytes) {
      std::swap(full, filling);
    }
  }
  if (format == CopyFormat::kBinary) {
    PGFLOW_RETURN_IF_ERROR(StripTrailer(filling.row_count > 0 ? filling : full));
  }
  if (full.row_count > 0) PGFLOW_RETURN_IF_ERROR(give(std::move(full)));
  return give(std::move(filling));
}

}  // namespace pgflow::sources
