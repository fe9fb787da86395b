#include "transformers/compute/row_computation.h"

#include <algorithm>

#include "base/status.h"
#include "sinks/encoding/row_name.h"
#include "sinks/encoding/type_binary.h"

namespace pgflow::transformers {

using engine::BeforeImage;
using engine::ChangeEvent;
using expressions::Datum;
using schemas::Value;
using schemas::ValueKind;

absl::Status RowComputation::Refused(const ComputedColumn& column, const ChangeEvent& event,
                                     const Values& row, std::string_view why) const {
  return base::MakeStatus(absl::StatusCode::kInvalidArgument, "compute: {}, column '{}': {}",
                          sinks::RowName(*event.schema, row),
                          plan_.schema->columns[column.index].name, why);
}

absl::Status RowComputation::NotSent(const ComputedColumn& column, const ChangeEvent& event) const {
  std::string missing;
  for (const size_t input : column.expression.columns()) {
    if (inputs_[input].is_unchanged()) missing = event.schema->columns[input].name;
  }
  return Refused(column, event, after_,
                 fmt::format("'{}' needs the column '{}', which the source did not send, because "
                             "this update left its large (TOASTed) value as it was; set REPLICA "
                             "IDENTITY FULL on the table, or leave that column out",
                             column.expression.text(), missing));
}

bool RowComputation::AreUnchanged(const std::vector<size_t>& inputs,
                                  const ChangeEvent& event) const {
  return std::ranges::all_of(inputs, [&](size_t input) {
    if (after_[input].is_unchanged()) return true;
    if (!event.schema->columns[input].identity) return false;
    // Without an old key, the key did not change.
    return !event.before.exists() || (before_[input].kind == after_[input].kind &&
                                      before_[input].view() == after_[input].view());
  });
}

std::span<Value> RowComputation::Extended(const Values& row) {
  std::span<Value> extended = batch_.NewValues(plan_.schema->columns.size());
  std::ranges::copy(row, extended.begin());
  return extended;
}

absl::Status RowComputation::Store(const ComputedColumn& column, const Datum& datum, bool binary,
                                   Value& value) {
  value = {};
  if (datum.is_null()) return absl::OkStatus();
  const bool boolean = column.type == postgres::oid::kBool;
  const std::string_view text = boolean ? (datum.boolean ? "t" : "f") : datum.text;
  bytes_.clear();
  if (!binary) {
    bytes_ = text;
  } else if (!sinks::AppendBinaryOfText(text, column.type, bytes_)) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "the value '{}' of '{}' is none of its type", text,
                            column.expression.text());
  }
  const std::string_view stored = batch_.Store(bytes_);
  value = {stored.data(), static_cast<uint32_t>(stored.size()),
           binary ? ValueKind::kBinary : ValueKind::kText};
  return absl::OkStatus();
}

namespace {

// Whether the values of a row are binary, as far as they tell: one that is added must not be the
// only one of its form.
bool IsBinary(const engine::Batch& batch, const std::vector<Value>& row) {
  if (batch.is_snapshot()) return batch.snapshot_format() == engine::CopyFormat::kBinary;
  return std::ranges::find(row, ValueKind::kBinary, &Value::kind) != row.end();
}

}  // namespace

absl::Status RowComputation::ApplyBefore(ChangeEvent& event) {
  const bool by_key = event.before_image != BeforeImage::kFull;
  std::span<Value> row = Extended(before_);
  const bool binary = IsBinary(batch_, before_);
  expressions::Rows rows;
  rows.new_row = before_;
  rows.new_is_key = by_key;
  for (const ComputedColumn& column : plan_.columns) {
    // Of an old row that is a key, everything else is left out.
    if (by_key && !plan_.schema->columns[column.index].identity) {
      row[column.index] = {};
      continue;
    }
    workspace_.Clear();
    const absl::StatusOr<Datum> datum = column.expression.Evaluate(rows, workspace_);
    if (!datum.ok()) return Refused(column, event, before_, base::Message(datum.status()));
    if (!datum->has_value() && !datum->is_null()) {
      return Refused(column, event, before_, "the old row does not have what it is computed from");
    }
    const absl::Status stored = Store(column, *datum, binary, row[column.index]);
    if (!stored.ok()) return Refused(column, event, before_, base::Message(stored));
  }
  event.before = schemas::RowView::Values(row);
  return absl::OkStatus();
}

absl::Status RowComputation::ApplyAfter(ChangeEvent& event) {
  inputs_ = after_;
  const bool full = event.before_image == BeforeImage::kFull && event.before.exists();
  for (size_t i = 0; full && i < std::min(before_.size(), inputs_.size()); ++i) {
    if (inputs_[i].is_unchanged()) inputs_[i] = before_[i];
  }
  std::span<Value> row = Extended(after_);
  const bool binary = IsBinary(batch_, after_);
  expressions::Rows rows;
  rows.new_row = inputs_;
  for (const ComputedColumn& column : plan_.columns) {
    workspace_.Clear();
    const absl::StatusOr<Datum> datum = column.expression.Evaluate(rows, workspace_);
    if (!datum.ok()) return Refused(column, event, after_, base::Message(datum.status()));
    if (!datum->has_value() && !datum->is_null()) {
      if (!AreUnchanged(column.expression.columns(), event)) return NotSent(column, event);
      row[column.index] = {nullptr, 0, ValueKind::kUnchanged};
      continue;
    }
    const absl::Status stored = Store(column, *datum, binary, row[column.index]);
    if (!stored.ok()) return Refused(column, event, after_, base::Message(stored));
  }
  event.after = schemas::RowView::Values(row);
  return absl::OkStatus();
}

absl::Status RowComputation::Apply(ChangeEvent& event) {
  before_.clear();
  const bool had_before = event.before.exists();
  if (had_before) event.before.Decode(before_);
  if (event.after.exists()) {
    event.after.Decode(after_);
    PGFLOW_RETURN_IF_ERROR(ApplyAfter(event));
  }
  if (had_before) PGFLOW_RETURN_IF_ERROR(ApplyBefore(event));
  event.schema = plan_.schema.get();
  return absl::OkStatus();
}

}  // namespace pgflow::transformers
