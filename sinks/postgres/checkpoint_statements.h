// CheckpointStatements: what the sink's sessions write into their own transactions, so that what a
// replaced pgflow sends comes to nothing (docs/adr/0005-epoch-fencing-in-the-checkpoint-row.md).
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <span>
#include <string>

#include <absl/status/status.h>
#include <absl/time/time.h>

#include "engine/api/checkpoint.h"
#include "postgres/client/connection.h"

namespace pgflow::sinks {

// One of a sink, shared by its sessions. Thread-safe. Texts are kept for Parameter.
class CheckpointStatements {
 public:
  CheckpointStatements(std::string schema, std::string pipeline, std::string sink);

  // Moves the stream's checkpoint; fails with NOT NULL on `epoch` when another pgflow took over,
  // touches no row when there is no checkpoint. Parameters: see Advance.
  const std::string& advance_sql() const { return advance_sql_; }
  std::span<const postgres::Oid> advance_types() const { return kAdvanceTypes; }
  struct Advance {
    std::array<std::string, 6> texts;
    std::array<postgres::Parameter, 6> parameters;
  };
  void Fill(engine::StreamPoint point, absl::Time commit_time, Advance& out) const;

  // Enters a finished range; touches no row when another pgflow took over. A second entry of the
  // same range waits for the first one's transaction and fails once that has committed.
  std::string RangeSql(const postgres::Connection& connection, const schemas::TableName& table,
                       engine::BlockRange range) const;
  // Gives a row when the ledger has that very range.
  std::string FindRangeSql(const postgres::Connection& connection, const schemas::TableName& table,
                           engine::BlockRange range) const;
  // Fails unless the sink is still ours, and keeps it so until the transaction ends.
  std::string FenceSql(const postgres::Connection& connection) const {
    return Check(connection, true);
  }
  // The same for the moment, without a lock: for the start of a transaction that may take long.
  std::string LookSql(const postgres::Connection& connection) const {
    return Check(connection, false);
  }
  // "pipeline = '..' AND sink = '..'"
  std::string Mine(const postgres::Connection& connection) const;

  const std::string& schema() const { return schema_; }
  const std::string& pipeline() const { return pipeline_; }
  const std::string& sink() const { return sink_; }
  // The replication origin of what the stream applies.
  std::string Origin() const { return "pgflow_" + pipeline_ + "_" + sink_; }
  // 0: the sink was not taken.
  int64_t epoch() const { return epoch_.load(); }
  void set_epoch(int64_t epoch) { epoch_.store(epoch); }

  // "another pgflow has taken over" instead of the server's words, when `status` is that.
  absl::Status Explain(const absl::Status& status) const;
  absl::Status TakenOver() const;

 private:
  static const std::array<postgres::Oid, 6> kAdvanceTypes;
  std::string Check(const postgres::Connection& connection, bool lock) const;

  std::string schema_;  // Quoted.
  std::string pipeline_;
  std::string sink_;
  std::string advance_sql_;
  std::atomic<int64_t> epoch_{0};
};

}  // namespace pgflow::sinks
