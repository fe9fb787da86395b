#include "sinks/encoding/change_rows.h"

#include <algorithm>

#include "base/status.h"

namespace pgflow::sinks {
namespace {

absl::Status DecodeRow(const schemas::TableSchema& schema, const schemas::RowView& row,
                       RowValues& values) {
  if (row.exists() && row.column_count() != schema.columns.size()) {
    return base::MakeStatus(absl::StatusCode::kDataLoss, "table {}: row of {} columns, not {}",
                            schema.table.ToString(), row.column_count(), schema.columns.size());
  }
  row.Decode(values);
  return absl::OkStatus();
}

}  // namespace

absl::Status ChangeRows::Decode(const engine::ChangeEvent& event) {
  PGFLOW_RETURN_IF_ERROR(DecodeRow(*event.schema, event.before, before_));
  PGFLOW_RETURN_IF_ERROR(DecodeRow(*event.schema, event.after, after_));
  const bool whole = event.before_image == engine::BeforeImage::kFull;
  if (event.before.exists()) {
    for (size_t i = 0; i < after_.size(); ++i) {
      if (!after_[i].is_unchanged() || before_[i].is_unchanged()) continue;
      if (whole || event.schema->columns[i].identity) after_[i] = before_[i];
    }
  }
  change_ = {.operation = event.operation,
             .schema = event.schema,
             .before = event.before.exists() ? &before_ : nullptr,
             .after = event.after.exists() ? &after_ : nullptr,
             .before_is_whole = whole};
  return absl::OkStatus();
}

Change ChangeRows::OldKeyDeleted() const {
  Change half = change_;
  half.operation = engine::Operation::kDelete;
  half.after = nullptr;
  return half;
}

Change ChangeRows::NewKeyInserted() const {
  Change half = change_;
  half.operation = engine::Operation::kInsert;
  half.before = nullptr;
  half.before_is_whole = false;
  return half;
}

bool ChangeRows::Differs(const std::vector<size_t>& columns) const {
  if (change_.before == nullptr || change_.after == nullptr) return false;
  return std::ranges::any_of(columns, [this](size_t i) {
    // Both rows of an event are in the same format.
    return before_[i].kind != after_[i].kind || before_[i].view() != after_[i].view();
  });
}

}  // namespace pgflow::sinks
