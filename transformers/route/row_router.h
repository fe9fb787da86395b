// RowRouter: where single rows go. For transformers/route itself; one thread.
#pragma once

#include <string>
#include <vector>

#include <absl/status/statusor.h>

#include "engine/api/batch.h"
#include "transformers/route/route_plan.h"

namespace pgflow::transformers {

// Works on the rows of one table in one batch. "batch" and "plan" must outlive it.
class RowRouter {
 public:
  RowRouter(engine::Batch& batch, const RoutePlan& plan) : batch_(batch), plan_(plan) {}

  // Appends to `out` what becomes of `event`. kInvalidArgument names the row: where it, or its old
  // state, belongs cannot be known.
  absl::Status Append(const engine::ChangeEvent& event, std::vector<engine::ChangeEvent>& out);

 private:
  using Values = std::vector<schemas::Value>;

  // Null: it cannot be told, because the source did not send what the rules look at.
  absl::StatusOr<schemas::TableSchemaPtr> Find(const Values& row, bool key_only);
  // "is_known" false: a value that the name is made of was not sent; an empty name: one is NULL.
  absl::StatusOr<std::string> NameOf(const BoundRoute& route, const Values& row, bool key_only,
                                     bool& is_known);
  absl::Status AppendUpdate(const engine::ChangeEvent& event,
                            std::vector<engine::ChangeEvent>& out);
  absl::Status AppendTruncates(const engine::ChangeEvent& event,
                               std::vector<engine::ChangeEvent>& out);
  void Push(engine::ChangeEvent event, const schemas::TableSchemaPtr& target,
            std::vector<engine::ChangeEvent>& out);
  absl::Status Refused(const engine::ChangeEvent& event, const Values& row,
                       std::string_view why) const;
  absl::Status NotKnown(const engine::ChangeEvent& event, const Values& row) const;

  engine::Batch& batch_;
  const RoutePlan& plan_;
  Values before_;
  Values after_;
  std::string scratch_;
  expressions::Workspace workspace_;
};

}  // namespace pgflow::transformers
