// RowWriter: changes written one statement each, in the order they come.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include <absl/status/status.h>

#include "engine/api/change_event.h"
#include "sinks/postgres/apply_pipeline.h"
#include "sinks/postgres/decoded_change.h"
#include "sinks/postgres/sink_config.h"
#include "sinks/postgres/statement_cache.h"

namespace pgflow::sinks {

// What a foreign key of the target may have done to the row of a change before it came.
struct Cascaded {
  bool deletes = false;
  bool moves = false;  // Set columns of it.

  friend bool operator==(const Cascaded&, const Cascaded&) = default;
};

// What a row does whose place in the target is not as the source had it.
struct RowTolerance {
  MissingRow missing = MissingRow::kError;
  KeyConflict conflict = KeyConflict::kStop;
};

// One thread. Only queues; the owner drains the pipeline. An error: the change itself is at fault
// (its binary type, its missing key), nothing of it was sent.
class RowWriter {
 public:
  RowWriter(StatementCache& statements, RowTolerance tolerance)
      : statements_(statements), tolerance_(tolerance) {}

  // INSERT, UPDATE or DELETE. `tag` names the change in failures.
  absl::Status Write(ApplyPipeline& pipeline, const TableBinding& binding,
                     const engine::ChangeEvent& event, uint32_t tag, Cascaded cascaded = {});

 private:
  absl::Status Send(ApplyPipeline& pipeline, const TableBinding& binding, RowShape shape,
                    Expectation expectation);
  absl::Status WriteInsert(ApplyPipeline& pipeline, const TableBinding& binding,
                           Expectation expectation);
  absl::Status WriteUpdate(ApplyPipeline& pipeline, const TableBinding& binding, bool catch_up,
                           Expectation expectation);
  absl::Status SendUpdate(ApplyPipeline& pipeline, const TableBinding& binding, bool catch_up,
                          Expectation expectation);
  absl::Status SendKeyChange(ApplyPipeline& pipeline, const TableBinding& binding,
                             Expectation expectation);
  absl::StatusOr<postgres::Parameter> ParameterOf(const TableBinding& binding, RowParameter which);

  StatementCache& statements_;
  const RowTolerance tolerance_;
  bool moved_ = false;  // The row at hand may have been.
  DecodedChange change_;
  std::string signature_;
  std::vector<postgres::Parameter> parameters_;
  std::deque<std::string> texts_;  // Values in text form, with the zero that libpq wants.
  size_t texts_used_ = 0;
};

}  // namespace pgflow::sinks
