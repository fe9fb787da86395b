#include "transformers/filter/row_decision.h"

#include <algorithm>

#include "base/status.h"

namespace pgflow::transformers {

using engine::BeforeImage;
using engine::ChangeEvent;
using engine::Operation;

absl::StatusOr<Truth> RowDecision::Evaluate(const expressions::Rows& rows) {
  workspace_.Clear();
  PGFLOW_ASSIGN_OR_RETURN(const expressions::Datum datum, test_.when->Evaluate(rows, workspace_));
  if (datum.has_value()) return datum.boolean ? Truth::kTrue : Truth::kFalse;
  return datum.is_null() ? Truth::kFalse : Truth::kUnknown;
}

absl::StatusOr<Truth> RowDecision::MatchesChange(const ChangeEvent& event) {
  expressions::Rows rows;
  rows.operation = engine::OperationName(event.operation);
  if (event.before.exists()) event.before.Decode(before_);
  if (event.after.exists()) {
    event.after.Decode(after_);
    rows.new_row = after_;
  }
  rows.old_is_key = event.before_image != BeforeImage::kFull;
  if (event.before.exists()) {
    rows.old_row = before_;
    for (size_t i = 0; i < rows.new_row.size(); ++i) {
      if (after_[i].is_unchanged() && (!rows.old_is_key || identity_[i])) after_[i] = before_[i];
    }
  } else if (event.operation == Operation::kUpdate) {
    rows.old_row = after_;  // The key did not change; nothing else of it is looked at.
  }
  return Evaluate(rows);
}

absl::StatusOr<Truth> RowDecision::Matches(const Values& values, bool key_only) {
  Truth all = Truth::kTrue;
  if (test_.when.has_value() && test_.when->is_of_one_row()) {
    expressions::Rows rows;
    rows.new_row = values;
    rows.new_is_key = key_only;
    PGFLOW_ASSIGN_OR_RETURN(all, Evaluate(rows));
    if (all == Truth::kFalse) return all;
  }
  for (const RowCondition& condition : test_.conditions) {
    if (key_only && !identity_[condition.column()]) {
      all = Truth::kUnknown;
      continue;
    }
    PGFLOW_ASSIGN_OR_RETURN(const Truth one, condition.Evaluate(values[condition.column()]));
    if (one == Truth::kFalse) return Truth::kFalse;
    if (one == Truth::kUnknown) all = Truth::kUnknown;
  }
  return all;
}

absl::Status RowDecision::Decide(const ChangeEvent& event, std::vector<ChangeEvent>& out) {
  const bool about_change = test_.when.has_value() && !test_.when->is_of_one_row();
  if (!about_change || event.operation == Operation::kTruncate) return DecideRow(event, out);
  PGFLOW_ASSIGN_OR_RETURN(const Truth truth, MatchesChange(event));
  if (truth == Truth::kFalse) return absl::OkStatus();
  const size_t begin = out.size();
  PGFLOW_RETURN_IF_ERROR(DecideRow(event, out));
  // The delete of a row that may not have passed.
  for (size_t i = begin; truth == Truth::kUnknown && i < out.size(); ++i) {
    if (out[i].operation == Operation::kDelete) out[i].catch_up = true;
  }
  return absl::OkStatus();
}

absl::Status RowDecision::DecideRow(const ChangeEvent& event, std::vector<ChangeEvent>& out) {
  switch (event.operation) {
    case Operation::kTruncate:
    case Operation::kSchemaChange:
      out.push_back(event);
      return absl::OkStatus();
    case Operation::kUpdate:
      return DecideUpdate(event, out);
    case Operation::kRead:
    case Operation::kInsert: {
      event.after.Decode(after_);
      PGFLOW_ASSIGN_OR_RETURN(const Truth truth, Matches(after_, false));
      if (truth != Truth::kFalse) out.push_back(event);
      return absl::OkStatus();
    }
    case Operation::kDelete: {
      event.before.Decode(before_);
      const bool key_only = event.before_image != BeforeImage::kFull;
      PGFLOW_ASSIGN_OR_RETURN(const Truth truth, Matches(before_, key_only));
      if (truth == Truth::kFalse) return absl::OkStatus();
      out.push_back(event);
      if (truth == Truth::kUnknown) out.back().catch_up = true;
      return absl::OkStatus();
    }
  }
  return absl::OkStatus();
}

absl::Status RowDecision::DecideUpdate(const ChangeEvent& event, std::vector<ChangeEvent>& out) {
  event.after.Decode(after_);
  const bool full = event.before_image == BeforeImage::kFull;
  if (event.before.exists()) {
    event.before.Decode(before_);
    for (size_t i = 0; i < after_.size(); ++i) {
      if (after_[i].is_unchanged() && (full || identity_[i])) after_[i] = before_[i];
    }
  } else {
    before_ = after_;  // The key did not change; nothing else of it is looked at.
  }
  PGFLOW_ASSIGN_OR_RETURN(const Truth was, Matches(before_, !full));
  PGFLOW_ASSIGN_OR_RETURN(const Truth is, Matches(after_, false));
  if (is == Truth::kFalse) {
    if (was == Truth::kFalse) return absl::OkStatus();
    out.push_back(DeleteOf(event));
    if (was == Truth::kUnknown) out.back().catch_up = true;
    return absl::OkStatus();
  }
  if (is == Truth::kUnknown) {
    out.push_back(event);
    if (MembershipIsUnchanged(event)) out.back().catch_up = true;
    return absl::OkStatus();
  }
  if (was == Truth::kTrue || HasUnchanged()) {
    out.push_back(event);
    return absl::OkStatus();
  }
  if (was == Truth::kFalse) {
    out.push_back(InsertOf(event));
    return absl::OkStatus();
  }
  AppendUpsert(event, out);
  return absl::OkStatus();
}

void RowDecision::AppendUpsert(const ChangeEvent& event, std::vector<ChangeEvent>& out) {
  if (event.before.exists()) {
    out.push_back(DeleteOf(event));
    out.back().catch_up = true;
  }
  out.push_back(InsertOf(event));
  out.back().catch_up = true;
}

ChangeEvent RowDecision::DeleteOf(const ChangeEvent& update) {
  ChangeEvent event = update;
  event.operation = Operation::kDelete;
  event.after = schemas::RowView();
  if (update.before.exists()) return event;
  std::span<schemas::Value> key = batch_.NewValues(after_.size());
  for (size_t i = 0; i < key.size(); ++i) {
    if (identity_[i]) key[i] = after_[i];
  }
  event.before = schemas::RowView::Values(key);
  event.before_image = BeforeImage::kKey;
  return event;
}

ChangeEvent RowDecision::InsertOf(const ChangeEvent& update) {
  ChangeEvent event = update;
  event.operation = Operation::kInsert;
  event.before = schemas::RowView();
  event.before_image = BeforeImage::kNone;
  std::span<schemas::Value> row = batch_.NewValues(after_.size());
  std::copy(after_.begin(), after_.end(), row.begin());
  event.after = schemas::RowView::Values(row);
  return event;
}

bool RowDecision::MembershipIsUnchanged(const ChangeEvent& event) const {
  const auto unchanged = [&](size_t column) {
    return after_[column].is_unchanged() || (identity_[column] && !event.before.exists());
  };
  const bool when = !test_.when.has_value() || !test_.when->is_of_one_row() ||
                    std::ranges::all_of(test_.when->columns(), unchanged);
  return when && std::ranges::all_of(test_.conditions, [&](const RowCondition& condition) {
           return unchanged(condition.column());
         });
}

bool RowDecision::HasUnchanged() const {
  return std::any_of(after_.begin(), after_.end(),
                     [](const schemas::Value& value) { return value.is_unchanged(); });
}

}  // namespace pgflow::transformers
