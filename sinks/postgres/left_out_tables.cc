#include "sinks/postgres/left_out_tables.h"

#include <utility>

#include <fmt/format.h>

#include "base/status.h"

namespace pgflow::sinks {
namespace {

using postgres::Connection;
using schemas::TableName;

std::string Row(const Connection& connection, const TableName& table) {
  return fmt::format("({}, {})", connection.QuoteLiteral(table.schema),
                     connection.QuoteLiteral(table.name));
}

}  // namespace

absl::StatusOr<bool> LeftOutTables::Exists(Connection& connection,
                                           const CheckpointStatements& checkpoint,
                                           std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(
      const postgres::Result there,
      connection.Execute(fmt::format("SELECT to_regclass({}) IS NOT NULL",
                                     connection.QuoteLiteral(checkpoint.schema() + ".left_out")),
                         std::move(stop)));
  return there.boolean(0, 0);
}

absl::Status LeftOutTables::Open(Connection& connection, std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(const bool exists, Exists(connection, *checkpoint_, stop));
  if (!exists) {
    PGFLOW_RETURN_IF_ERROR(base::Annotate(
        connection
            .Execute(fmt::format("CREATE TABLE IF NOT EXISTS {}.left_out (pipeline text NOT NULL,"
                                 " sink text NOT NULL, schema_name text NOT NULL, table_name text"
                                 " NOT NULL, since timestamptz NOT NULL DEFAULT now(), PRIMARY KEY"
                                 " (pipeline, sink, schema_name, table_name))",
                                 checkpoint_->schema()),
                     stop)
            .status(),
        "the list of tables that on_missing_table leaves out"));
  }
  PGFLOW_ASSIGN_OR_RETURN(
      const postgres::Result rows,
      connection.Execute(fmt::format("SELECT schema_name, table_name FROM {}.left_out WHERE {}",
                                     checkpoint_->schema(), checkpoint_->Mine(connection)),
                         stop));
  known_.clear();
  for (int row = 0; row < rows.row_count(); ++row) {
    known_.insert({rows.text(row, 0), rows.text(row, 1)});
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> LeftOutTables::Contains(Connection& connection, const TableName& table,
                                             std::stop_token stop) {
  if (!known_.contains(table)) return false;
  PGFLOW_ASSIGN_OR_RETURN(
      const postgres::Result row,
      connection.Execute(
          fmt::format("SELECT FROM {}.left_out WHERE {} AND (schema_name, table_name) = {}",
                      checkpoint_->schema(), checkpoint_->Mine(connection), Row(connection, table)),
          std::move(stop)));
  if (row.row_count() == 0) known_.erase(table);
  return row.row_count() > 0;
}

// With the epoch: who was replaced leaves nothing out.
absl::Status LeftOutTables::Add(Connection& connection, const TableName& table,
                                std::stop_token stop) {
  PGFLOW_RETURN_IF_ERROR(
      connection
          .Execute(fmt::format("INSERT INTO {0}.left_out (pipeline, sink, schema_name, table_name)"
                               " SELECT pipeline, sink, {1}, {2} FROM {0}.checkpoint WHERE {3} AND"
                               " epoch = {4} ON CONFLICT DO NOTHING",
                               checkpoint_->schema(), connection.QuoteLiteral(table.schema),
                               connection.QuoteLiteral(table.name), checkpoint_->Mine(connection),
                               checkpoint_->epoch()),
                   std::move(stop))
          .status());
  known_.insert(table);
  return absl::OkStatus();
}

absl::StatusOr<std::string> LeftOutTables::RemoveSql(Connection& connection,
                                                     const CheckpointStatements& checkpoint,
                                                     std::span<const TableName> tables,
                                                     std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(const bool exists, Exists(connection, checkpoint, std::move(stop)));
  if (!exists) return std::string();
  if (tables.empty()) {
    return fmt::format("DELETE FROM {}.left_out WHERE {}", checkpoint.schema(),
                       checkpoint.Mine(connection));
  }
  std::string rows;
  for (const TableName& table : tables) rows += (rows.empty() ? "" : ", ") + Row(connection, table);
  // A lane that brings tables into a running stream has a name of its own.
  return fmt::format(
      "DELETE FROM {}.left_out WHERE pipeline = {} AND (schema_name, table_name) IN (VALUES {})",
      checkpoint.schema(), connection.QuoteLiteral(checkpoint.pipeline()), rows);
}

}  // namespace pgflow::sinks
