// RowComputation: the computed columns of single rows. For transformers/compute itself; one thread.
#pragma once

#include <span>
#include <string>
#include <vector>

#include <absl/status/status.h>

#include "engine/api/batch.h"
#include "transformers/compute/compute_plan.h"

namespace pgflow::transformers {

// Works on the rows of one table in one batch. "batch" and "plan" must outlive it.
class RowComputation {
 public:
  RowComputation(engine::Batch& batch, const ComputePlan& plan) : batch_(batch), plan_(plan) {}

  // Gives `event` rows of the new schema, and the schema. kInvalidArgument names table, row and
  // column: an expression has no value, or needs one that the source did not send.
  absl::Status Apply(engine::ChangeEvent& event);

 private:
  using Values = std::vector<schemas::Value>;

  absl::Status ApplyBefore(engine::ChangeEvent& event);
  absl::Status ApplyAfter(engine::ChangeEvent& event);
  // A copy of `row` with room for the new columns.
  std::span<schemas::Value> Extended(const Values& row);
  absl::Status Store(const ComputedColumn& column, const expressions::Datum& datum, bool binary,
                     schemas::Value& value);
  // The values have not changed with this update, whatever they are.
  bool AreUnchanged(const std::vector<size_t>& inputs, const engine::ChangeEvent& event) const;
  absl::Status NotSent(const ComputedColumn& column, const engine::ChangeEvent& event) const;
  absl::Status Refused(const ComputedColumn& column, const engine::ChangeEvent& event,
                       const Values& row, std::string_view why) const;

  engine::Batch& batch_;
  const ComputePlan& plan_;
  Values before_;
  Values after_;
  Values inputs_;  // after_, and what the old row knows of what it leaves out.
  std::string bytes_;
  expressions::Workspace workspace_;
};

}  // namespace pgflow::transformers
