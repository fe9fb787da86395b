// LeftOutTables: the tables that the target lacked when a change of them came, with
// on_missing_table: skip. They stay out until they are copied, also when somebody makes them
// meanwhile: rows would be missing in them.
//
// The list is in the target, beside the checkpoint, so that it is right after any restart.
#pragma once

#include <memory>
#include <set>
#include <span>
#include <stop_token>
#include <string>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "postgres/client/connection.h"
#include "schemas/table_schema.h"
#include "sinks/postgres/checkpoint_statements.h"

namespace pgflow::sinks {

// One thread. The connection is not in pipeline mode.
class LeftOutTables {
 public:
  explicit LeftOutTables(std::shared_ptr<const CheckpointStatements> checkpoint)
      : checkpoint_(std::move(checkpoint)) {}

  // Makes the list when there is none, and reads it.
  absl::Status Open(postgres::Connection& connection, std::stop_token stop);
  // A table that was copied since is out of it.
  absl::StatusOr<bool> Contains(postgres::Connection& connection, const schemas::TableName& table,
                                std::stop_token stop);
  absl::Status Add(postgres::Connection& connection, const schemas::TableName& table,
                   std::stop_token stop);

  // Statements that take tables out of the list; empty where there is none. All of the sink's
  // own without `tables`.
  static absl::StatusOr<std::string> RemoveSql(postgres::Connection& connection,
                                               const CheckpointStatements& checkpoint,
                                               std::span<const schemas::TableName> tables,
                                               std::stop_token stop);

 private:
  static absl::StatusOr<bool> Exists(postgres::Connection& connection,
                                     const CheckpointStatements& checkpoint, std::stop_token stop);

  const std::shared_ptr<const CheckpointStatements> checkpoint_;
  std::set<schemas::TableName> known_;
};

}  // namespace pgflow::sinks
