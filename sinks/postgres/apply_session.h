// ApplySession: the connection that writes the stream, with what it knows of the target's tables.
#pragma once

#include <memory>
#include <stop_token>
#include <string>

#include <absl/container/flat_hash_map.h>
#include <absl/status/statusor.h>

#include "schemas/table_schema.h"
#include "sinks/postgres/statement_cache.h"
#include "sinks/postgres/table_binding.h"
#include "sinks/postgres/target_session.h"

namespace pgflow::sinks {

// One thread; thrown away after an error, so that nothing it remembers can be stale.
class ApplySession {
 public:
  explicit ApplySession(TargetSession session) : session_(std::move(session)) {}

  postgres::Connection& connection() { return *session_.connection; }
  bool replica_role() const { return session_.replica_role; }
  const WalLayout& wal() const { return session_.wal; }
  StatementCache& statements() { return statements_; }

  // Reads the target's catalog at the first use. Valid until ForgetStatements. Not in pipeline
  // mode.
  absl::StatusOr<const TableBinding*> Bind(const schemas::TableSchema& schema,
                                           std::stop_token stop);
  // Deallocates everything that was prepared: after a failure it is not known what was.
  absl::Status ForgetStatements(std::stop_token stop);
  // The same, and what it knew of the tables: their definitions have changed.
  absl::Status ForgetTables(std::stop_token stop);

 private:
  TargetSession session_;
  StatementCache statements_;
  // By name. A binding that another version of the schema replaced is kept: statements name it.
  absl::flat_hash_map<std::string, std::unique_ptr<TableBinding>> bindings_;
  std::vector<std::unique_ptr<TableBinding>> replaced_;
};

}  // namespace pgflow::sinks
