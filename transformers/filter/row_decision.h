// RowDecision: what a filter makes of single rows. For transformers/filter itself; one thread.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include <absl/status/statusor.h>

#include "engine/api/batch.h"
#include "expressions/expression.h"
#include "transformers/filter/row_condition.h"

namespace pgflow::transformers {

// What must hold, bound to one table.
struct RowTest {
  std::vector<RowCondition> conditions;
  std::optional<expressions::Expression> when;
};

// Decides about the rows of one table. "batch" and "test" must outlive it.
class RowDecision {
 public:
  RowDecision(engine::Batch& batch, const RowTest& test, const std::vector<bool>& identity)
      : batch_(batch), test_(test), identity_(identity) {}

  // Appends to `out` what becomes of `event`: nothing, itself, or what it turns into.
  absl::Status Decide(const engine::ChangeEvent& event, std::vector<engine::ChangeEvent>& out);

 private:
  using Values = std::vector<schemas::Value>;

  // `key_only`: nothing is known of the other columns.
  absl::StatusOr<Truth> Matches(const Values& values, bool key_only);
  // What a `when` says of the change that is in before_ and after_.
  absl::StatusOr<Truth> MatchesChange(const engine::ChangeEvent& event);
  absl::StatusOr<Truth> Evaluate(const expressions::Rows& rows);
  absl::Status DecideRow(const engine::ChangeEvent& event, std::vector<engine::ChangeEvent>& out);
  absl::Status DecideUpdate(const engine::ChangeEvent& event,
                            std::vector<engine::ChangeEvent>& out);
  // The new row matches, and whether the old one did is not known.
  void AppendUpsert(const engine::ChangeEvent& event, std::vector<engine::ChangeEvent>& out);
  engine::ChangeEvent DeleteOf(const engine::ChangeEvent& update);
  engine::ChangeEvent InsertOf(const engine::ChangeEvent& update);
  // The new row does not say enough; true when its membership cannot have changed all the same.
  bool MembershipIsUnchanged(const engine::ChangeEvent& event) const;
  bool HasUnchanged() const;

  engine::Batch& batch_;
  const RowTest& test_;
  const std::vector<bool>& identity_;
  Values before_;
  Values after_;
  expressions::Workspace workspace_;
};

}  // namespace pgflow::transformers
