// BulkWriter: the net effect of a table's changes, written with few statements.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <absl/status/statusor.h>

#include "engine/api/change_event.h"
#include "sinks/postgres/apply_pipeline.h"
#include "sinks/postgres/array_columns.h"
#include "sinks/postgres/copy_rows.h"
#include "sinks/postgres/net_effect.h"
#include "sinks/postgres/row_array.h"
#include "sinks/postgres/row_writer.h"
#include "sinks/postgres/statement_cache.h"

namespace pgflow::sinks {

// One thread; as long as one session. False from the calls: these values cannot be written in bulk.
class BulkWriter {
 public:
  // Up to this many rows an INSERT in the pipeline is faster: a COPY has to be waited for twice.
  static constexpr size_t kFewInserts = 500;

  BulkWriter(postgres::Connection& connection, StatementCache& statements, MissingRow missing)
      : connection_(connection), statements_(statements), missing_(missing) {}

  // Queues deletes, updates, and few inserts or such that no COPY takes. `to_copy`: the inserts are
  // left for CopyInserts. `cascaded`: of the deletes, in which each key comes once.
  absl::StatusOr<bool> QueueChanges(ApplyPipeline& pipeline, const NetEffect& net,
                                    Cascaded cascaded, bool& to_copy);
  // COPYs what is to be inserted. Outside of pipeline mode, after the queued changes succeeded.
  // An error with a SQLSTATE is the server's refusal.
  absl::Status CopyInserts(const NetEffect& net, std::stop_token stop);

  // Queues the rows of a few INSERT events.
  absl::StatusOr<bool> QueueEvents(ApplyPipeline& pipeline, const TableBinding& binding,
                                   std::span<const engine::ChangeEvent* const> events);
  // COPYs the rows of INSERT events.
  absl::StatusOr<bool> CopyEvents(const TableBinding& binding,
                                  std::span<const engine::ChangeEvent* const> events,
                                  std::stop_token stop);

 private:
  using Rows = std::vector<const NetEffect::Row*>;
  enum class Found : uint8_t { kAll, kAtMostAll, kNone };  // Of the rows that a statement names.

  absl::StatusOr<bool> QueueDeletes(ApplyPipeline& pipeline, const TableBinding& binding,
                                    const Rows& rows, Found found);
  // What came and went must not have been there before: an INSERT would have said so.
  absl::StatusOr<bool> QueueAbsent(ApplyPipeline& pipeline, const TableBinding& binding,
                                   const Rows& rows);
  absl::StatusOr<bool> QueueUpdates(ApplyPipeline& pipeline, const TableBinding& binding,
                                    const Rows& rows);
  // The same with one array of whole rows, for columns that no array can have as elements.
  absl::StatusOr<bool> QueueUpdatesByRow(ApplyPipeline& pipeline, const TableBinding& binding,
                                         const std::vector<uint32_t>& columns, const Rows& rows);
  absl::StatusOr<bool> QueueInserts(ApplyPipeline& pipeline, const TableBinding& binding,
                                    const Rows& rows);
  // `sql` once for every slice of the rows that is not too large.
  template <typename Parameters>
  absl::Status QueueSlices(ApplyPipeline& pipeline, const TableBinding& binding,
                           const std::string& sql, Parameters& parameters, const Rows& rows,
                           Found found = Found::kAll);
  absl::Status CheckTypes(const TableBinding& binding, const Rows& rows);
  template <typename ValuesAt>
  absl::Status Copy(const TableBinding& binding, RowFormat format, size_t count,
                    const ValuesAt& values_at, std::stop_token stop);

  postgres::Connection& connection_;
  StatementCache& statements_;
  const MissingRow missing_;
  ArrayColumns arrays_;
  RowArray row_array_;
  std::string buffer_;
  std::vector<schemas::Value> values_;
};

}  // namespace pgflow::sinks
