#include "engine/state/sqlite_checkpoint_store.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"

namespace pgflow::engine {
namespace {

using Row = SqliteDatabase::Row;
using Bound = SqliteDatabase::Bound;

// A statement takes 32,766 values, of which each of these has seven at most.
constexpr size_t kTablesAtOnce = 1000;

postgres::Lsn LsnAt(const Row& row, int column) {
  return postgres::Lsn::Parse(row.text(column)).value_or(postgres::Lsn());
}

// Places for `count` rows of values.
std::string Rows(size_t count, std::string_view row) {
  std::string rows;
  for (size_t i = 0; i < count; ++i) rows.append(i == 0 ? "" : ", ").append(row);
  return rows;
}

}  // namespace

absl::StatusOr<std::optional<SinkCheckpoint>> SqliteCheckpointStore::Load() {
  std::optional<SinkCheckpoint> checkpoint;
  PGFLOW_RETURN_IF_ERROR(database_.Query(

      "SELECT system_identifier, timeline, database, slot, commit_lsn, end_lsn, snapshot_complete, "
      "snapshot_lsn "
      "FROM checkpoint WHERE sink = ?",
      {key_}, [&](const Row& row) {
        checkpoint.emplace();
        checkpoint->identity = {std::strtoull(row.text(0).c_str(), nullptr, 10),
                                static_cast<uint32_t>(row.integer(1)), row.text(2), row.text(3)};
        checkpoint->stream = {LsnAt(row, 4), LsnAt(row, 5)};
        checkpoint->snapshot_complete = row.integer(6) != 0;
        checkpoint->snapshot_lsn = LsnAt(row, 7);
      }));
  if (checkpoint.has_value()) PGFLOW_RETURN_IF_ERROR(LoadTables(*checkpoint));
  return checkpoint;
}

absl::Status SqliteCheckpointStore::LoadTables(SinkCheckpoint& checkpoint) {
  PGFLOW_RETURN_IF_ERROR(database_.Query(
      "SELECT schema_name, table_name, snapshot_lsn, snapshot, catch_up_until, complete "
      "FROM table_progress WHERE sink = ?",
      {key_}, [&](const Row& row) {
        TableProgress table;
        table.table = {row.text(0), row.text(1)};
        table.snapshot_lsn = LsnAt(row, 2);
        table.snapshot = row.text(3);
        table.catch_up_until = LsnAt(row, 4);
        table.complete = row.integer(5) != 0;
        checkpoint.tables.push_back(std::move(table));
      }));
  std::map<schemas::TableName, TableProgress*> places;
  for (TableProgress& table : checkpoint.tables) places.emplace(table.table, &table);
  return database_.Query(
      "SELECT schema_name, table_name, first_block, end_block FROM finished_range WHERE sink = ? "
      "ORDER BY first_block",
      {key_}, [&](const Row& row) {
        const auto place = places.find({row.text(0), row.text(1)});
        if (place == places.end()) return;
        place->second->finished.push_back(
            {static_cast<uint32_t>(row.integer(2)), static_cast<uint32_t>(row.integer(3))});
      });
}

absl::Status SqliteCheckpointStore::Begin(const SourceIdentity& identity, StreamPoint start) {
  PGFLOW_RETURN_IF_ERROR(Forget());
  return database_.Query(
      "INSERT INTO checkpoint (sink, system_identifier, timeline, database, slot, commit_lsn, "
      "end_lsn) VALUES (?, ?, ?, ?, ?, ?, ?)",
      {key_, std::to_string(identity.system_identifier), static_cast<int64_t>(identity.timeline),
       identity.database, identity.slot, start.commit_lsn.ToString(), start.end_lsn.ToString()});
}

absl::Status SqliteCheckpointStore::BeginTables(std::span<const TableProgress> tables) {
  for (std::span<const TableProgress> rest = tables; !rest.empty();) {
    const auto some = rest.first(std::min(rest.size(), kTablesAtOnce));
    rest = rest.subspan(some.size());
    PGFLOW_RETURN_IF_ERROR(BeginSome(some));
  }
  return absl::OkStatus();
}

absl::Status SqliteCheckpointStore::BeginSome(std::span<const TableProgress> tables) {
  std::vector<Bound> names = {key_};
  std::vector<Bound> rows;
  for (const TableProgress& table : tables) {
    names.insert(names.end(), {table.table.schema, table.table.name});
    rows.insert(rows.end(),
                {key_, table.table.schema, table.table.name, table.snapshot_lsn.ToString(),
                 table.snapshot, table.catch_up_until.ToString(), int64_t{table.complete}});
  }
  PGFLOW_RETURN_IF_ERROR(
      database_.Query(("DELETE FROM finished_range WHERE sink = ? AND (schema_name, table_name) "
                       "IN (VALUES " +
                       Rows(tables.size(), "(?, ?)") + ")")
                          .c_str(),
                      names));
  PGFLOW_RETURN_IF_ERROR(database_.Query(("INSERT OR REPLACE INTO table_progress VALUES " +
                                          Rows(tables.size(), "(?, ?, ?, ?, ?, ?, ?)"))
                                             .c_str(),
                                         rows));
  for (const TableProgress& table : tables) {
    for (const BlockRange& range : table.finished) {
      PGFLOW_RETURN_IF_ERROR(FinishRange(table.table, range));
    }
  }
  return absl::OkStatus();
}

absl::Status SqliteCheckpointStore::FinishRange(const schemas::TableName& table, BlockRange range) {
  return database_.Query("INSERT OR REPLACE INTO finished_range VALUES (?, ?, ?, ?, ?)",
                         {key_, table.schema, table.name, static_cast<int64_t>(range.first),
                          static_cast<int64_t>(range.end)});
}

absl::Status SqliteCheckpointStore::FinishTables(std::span<const schemas::TableName> tables) {
  for (std::span<const schemas::TableName> rest = tables; !rest.empty();) {
    const auto some = rest.first(std::min(rest.size(), kTablesAtOnce));
    rest = rest.subspan(some.size());
    std::vector<Bound> names = {key_};
    for (const schemas::TableName& table : some) {
      names.insert(names.end(), {table.schema, table.name});
    }
    PGFLOW_RETURN_IF_ERROR(
        database_.Query(("UPDATE table_progress SET complete = 1 WHERE sink = ? AND (schema_name, "
                         "table_name) IN (VALUES " +
                         Rows(some.size(), "(?, ?)") + ")")
                            .c_str(),
                        names));
  }
  return absl::OkStatus();
}

absl::Status SqliteCheckpointStore::FinishSnapshot(postgres::Lsn lsn) {
  return database_.Query(
      "UPDATE checkpoint SET snapshot_complete = 1, snapshot_lsn = ? WHERE sink = ?",
      {lsn.ToString(), key_});
}

absl::Status SqliteCheckpointStore::AdvanceStream(StreamPoint point) {
  return database_.Query("UPDATE checkpoint SET commit_lsn = ?, end_lsn = ? WHERE sink = ?",
                         {point.commit_lsn.ToString(), point.end_lsn.ToString(), key_});
}

absl::Status SqliteCheckpointStore::FollowTimeline(uint32_t timeline) {
  return database_.Query("UPDATE checkpoint SET timeline = ? WHERE sink = ?",
                         {int64_t{timeline}, key_});
}

absl::Status SqliteCheckpointStore::Forget() {
  for (const char* sql :
       {"DELETE FROM finished_range WHERE sink = ?", "DELETE FROM table_progress WHERE sink = ?",
        "DELETE FROM checkpoint WHERE sink = ?"}) {
    PGFLOW_RETURN_IF_ERROR(database_.Query(sql, {key_}));
  }
  return absl::OkStatus();
}

}  // namespace pgflow::engine
