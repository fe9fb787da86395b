// ApplySession: the connection that writes the stream, with what it knows of the target's tables.
#pragma once

#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include <absl/container/flat_hash_map.h>
#include <absl/status/statusor.h>

#include "schemas/table_schema.h"
#include "sinks/postgres/left_out_tables.h"
#include "sinks/postgres/sink_config.h"
#include "sinks/postgres/statement_cache.h"
#include "sinks/postgres/table_binding.h"
#include "sinks/postgres/target_session.h"

namespace pgflow::sinks {

// One thread; thrown away after an error, so that nothing it remembers can be stale.
class ApplySession {
 public:
  ApplySession(TargetSession session, const PostgresSinkConfig& config,
               std::shared_ptr<const CheckpointStatements> checkpoint);

  postgres::Connection& connection() { return *session_.connection; }
  bool replica_role() const { return session_.replica_role; }
  const WalLayout& wal() const { return session_.wal; }
  StatementCache& statements() { return statements_; }
  bool refuses_narrower_columns() const { return narrower_ == NarrowerColumn::kRefuse; }

  // With on_missing_table: skip. None of the calls is for pipeline mode.
  absl::Status ReadLeftOut(std::stop_token stop);
  // Whether changes of the table are left out: because of this one, when the target lacks it.
  absl::StatusOr<bool> LeavesOut(const schemas::TableName& table, std::stop_token stop);
  // Reads the target's catalog at the first use.
  absl::StatusOr<TableBindingPtr> Bind(const schemas::TableSchema& schema, std::stop_token stop);
  // Deallocates everything that was prepared: after a failure it is not known what was.
  absl::Status ForgetStatements(std::stop_token stop);
  // The same, and what it knew of the tables: their definitions have changed.
  absl::Status ForgetTables(std::stop_token stop);

 private:
  TargetSession session_;
  const NarrowerColumn narrower_;
  StatementCache statements_;
  // By the name of the target's table, the newest last: a table has several versions, and a
  // transformer may give several tables one name.
  absl::flat_hash_map<std::string, std::vector<TableBindingPtr>> bindings_;
  uint64_t last_layout_ = 0;
  std::optional<LeftOutTables> left_out_;
};

}  // namespace pgflow::sinks
