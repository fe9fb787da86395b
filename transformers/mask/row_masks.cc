#include "transformers/mask/row_masks.h"

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "base/status.h"

namespace pgflow::transformers {

using engine::ChangeEvent;
using schemas::TableSchema;
using schemas::Value;
using schemas::ValueKind;

namespace {

absl::Status Refused(const TableSchema& schema, size_t column, std::string_view why) {
  return base::MakeStatus(absl::StatusCode::kInvalidArgument, "mask: table {}, column '{}': {}",
                          schema.table.ToString(), schema.columns[column].name, why);
}

}  // namespace

absl::Status RowMasker::MaskCopyRows(const RowMasks& masks) {
  const engine::CopyRows& rows = *batch_.raw_rows();
  const TableSchema& schema = *rows.schema;
  std::string out;
  out.reserve(rows.bytes.size() + rows.bytes.size() / 4);
  std::string_view rest = rows.bytes;
  const auto malformed = [&schema] {
    return base::MakeStatus(absl::StatusCode::kDataLoss, "table {}: malformed COPY row",
                            schema.table.ToString());
  };
  while (!rest.empty()) {
    const std::optional<size_t> size = schemas::RowView::ValidateCopyBinary(rest);
    if (!size.has_value()) return malformed();
    base::ByteReader row(rest.substr(0, *size));
    rest.remove_prefix(*size);
    const auto count = row.Read<int16_t>();
    if (static_cast<size_t>(count) != masks.masks.size()) return malformed();
    base::AppendBigEndian(out, count);
    for (const ColumnMaskPtr& mask : masks.masks) {
      const auto field = row.Read<int32_t>();
      const size_t at = out.size();
      base::AppendBigEndian(out, field);
      if (field < 0) continue;
      const std::string_view bytes = row.ReadBytes(static_cast<uint32_t>(field));
      MaskOutcome outcome = MaskOutcome::kKept;
      if (mask != nullptr) {
        const Value value{bytes.data(), static_cast<uint32_t>(bytes.size()), ValueKind::kBinary};
        outcome = mask->Append(value, scratch_, out);
      }
      if (outcome == MaskOutcome::kKept) {
        out.append(bytes);
      } else if (outcome == MaskOutcome::kWritten) {
        base::StoreBigEndian(out.data() + at,
                             static_cast<int32_t>(out.size() - at - sizeof(int32_t)));
      } else if (outcome == MaskOutcome::kNull) {
        base::StoreBigEndian(out.data() + at, int32_t{-1});
      } else {
        return Refused(schema, static_cast<size_t>(&mask - masks.masks.data()), scratch_.refusal);
      }
    }
  }
  batch_.ReplaceRawRows(std::move(out));
  return absl::OkStatus();
}

absl::Status RowMasker::MaskValue(const ColumnMask& mask, const TableSchema& schema, size_t column,
                                  Value& value) {
  if (value.is_null() || value.is_unchanged()) return absl::OkStatus();
  bytes_.clear();
  const MaskOutcome outcome = mask.Append(value, scratch_, bytes_);
  if (outcome == MaskOutcome::kRefused) return Refused(schema, column, scratch_.refusal);
  if (outcome == MaskOutcome::kNull) value = Value{};
  if (outcome != MaskOutcome::kWritten) return absl::OkStatus();
  const std::string_view stored = batch_.Store(bytes_);
  value = {stored.data(), static_cast<uint32_t>(stored.size()), value.kind};
  return absl::OkStatus();
}

absl::Status RowMasker::MaskValues(const RowMasks& masks, const TableSchema& schema, Row& row) {
  for (size_t i = 0; i < row.size() && i < masks.masks.size(); ++i) {
    if (masks.masks[i] == nullptr) continue;
    PGFLOW_RETURN_IF_ERROR(MaskValue(*masks.masks[i], schema, i, row[i]));
  }
  return absl::OkStatus();
}

absl::StatusOr<size_t> RowMasker::ChoiceOf(const RowMasks::Column& column,
                                           std::span<const Value> row) {
  for (size_t i = 0; i < column.alternatives.size(); ++i) {
    const RowMasks::Alternative& each = column.alternatives[i];
    if (!each.when.has_value()) return i;
    workspace_.Clear();
    expressions::Rows rows;
    rows.new_row = row;
    const absl::StatusOr<expressions::Datum> datum = each.when->Evaluate(rows, workspace_);
    if (!datum.ok()) return base::Annotate(datum.status(), "mask: when");
    // What cannot be told is masked: nothing may be shown by mistake.
    const bool holds = datum->has_value() ? datum->boolean : !datum->is_null();
    if (holds) return i;
  }
  return column.alternatives.size();
}

// Whether the target has of a value that was not sent what this row's choice makes of it.
absl::StatusOr<bool> RowMasker::StaysUnchanged(const RowMasks::Column& column, size_t choice,
                                               const ChangeEvent& event, const Row& old) {
  if (!old.empty()) {
    PGFLOW_ASSIGN_OR_RETURN(const size_t before, ChoiceOf(column, old));
    return before == choice;
  }
  if (column.by_identity && !event.before.exists()) return true;
  return Refused(*event.schema, column.column,
                 "it holds a large value that did not change and was not sent, and whether its "
                 "rule's `when` held for the row before is not known; set REPLICA IDENTITY FULL "
                 "for the table");
}

absl::Status RowMasker::MaskByRow(const RowMasks& masks, const ChangeEvent& event, const Row& known,
                                  const Row& old, Row& row) {
  for (const RowMasks::Column& column : masks.by_row) {
    Value& value = row[column.column];
    if (value.is_null()) continue;
    PGFLOW_ASSIGN_OR_RETURN(const size_t choice, ChoiceOf(column, known));
    if (value.is_unchanged()) {
      PGFLOW_ASSIGN_OR_RETURN(const bool stays, StaysUnchanged(column, choice, event, old));
      if (!stays) value = old[column.column];
    }
    if (choice == column.alternatives.size()) continue;
    const RowMasks::Alternative& chosen = column.alternatives[choice];
    if (chosen.made.has_value()) chosen_.emplace_back(column.column, &*chosen.made);
    if (chosen.mask == nullptr) continue;
    PGFLOW_RETURN_IF_ERROR(MaskValue(*chosen.mask, *event.schema, column.column, value));
  }
  return absl::OkStatus();
}

absl::Status RowMasker::ApplyTemplates(const TableSchema& schema, Row& row) {
  for (const auto& [column, mask] : chosen_) {
    bytes_.clear();
    const MaskOutcome outcome = mask->Append(row, scratch_, bytes_);
    if (outcome == MaskOutcome::kRefused) return Refused(schema, column, scratch_.refusal);
    if (outcome != MaskOutcome::kWritten) continue;
    const std::string_view stored = batch_.Store(bytes_);
    const ValueKind kind =
        row[column].kind == ValueKind::kBinary ? ValueKind::kBinary : ValueKind::kText;
    row[column] = {stored.data(), static_cast<uint32_t>(stored.size()), kind};
  }
  return absl::OkStatus();
}

schemas::RowView RowMasker::Store(const Row& row) {
  std::span<Value> stored = batch_.NewValues(row.size());
  std::ranges::copy(row, stored.begin());
  return schemas::RowView::Values(stored);
}

absl::Status RowMasker::MaskBefore(const RowMasks& masks, ChangeEvent& event) {
  const TableSchema& schema = *event.schema;
  const bool full = event.before_image == engine::BeforeImage::kFull;
  event.before.Decode(before_);
  if (full && !masks.by_row.empty()) old_ = before_;
  PGFLOW_RETURN_IF_ERROR(MaskValues(masks, schema, before_));
  if (full && !masks.by_field()) {  // Of a key alone, nothing is to be made or chosen.
    chosen_.clear();
    for (const auto& [column, mask] : masks.templates) chosen_.emplace_back(column, &mask);
    PGFLOW_RETURN_IF_ERROR(MaskByRow(masks, event, old_, old_, before_));
    PGFLOW_RETURN_IF_ERROR(ApplyTemplates(schema, before_));
  }
  event.before = Store(before_);
  return absl::OkStatus();
}

absl::Status RowMasker::MaskAfter(const RowMasks& masks, ChangeEvent& event) {
  const TableSchema& schema = *event.schema;
  event.after.Decode(after_);
  if (!masks.by_row.empty()) {
    // With the old row at hand, nothing is unknown: what did not change is there.
    known_ = after_;
    for (size_t i = 0; i < known_.size() && i < old_.size(); ++i) {
      if (known_[i].is_unchanged()) known_[i] = old_[i];
    }
  }
  PGFLOW_RETURN_IF_ERROR(MaskValues(masks, schema, after_));
  if (!masks.by_field()) {
    chosen_.clear();
    for (const auto& [column, mask] : masks.templates) chosen_.emplace_back(column, &mask);
    PGFLOW_RETURN_IF_ERROR(MaskByRow(masks, event, known_, old_, after_));
  }
  if (!chosen_.empty()) {
    Row row = after_;
    const bool full = event.before_image == engine::BeforeImage::kFull;
    for (size_t i = 0; full && i < row.size() && i < before_.size(); ++i) {
      if (row[i].is_unchanged() && !masks.made[i]) row[i] = before_[i];
    }
    PGFLOW_RETURN_IF_ERROR(ApplyTemplates(schema, row));
    for (const auto& [column, mask] : chosen_) after_[column] = row[column];
  }
  event.after = Store(after_);
  return absl::OkStatus();
}

absl::Status RowMasker::MaskEvent(const RowMasks& masks, ChangeEvent& event) {
  before_.clear();
  old_.clear();
  chosen_.clear();
  if (event.before.exists()) PGFLOW_RETURN_IF_ERROR(MaskBefore(masks, event));
  if (!event.after.exists()) return absl::OkStatus();
  chosen_.clear();
  return MaskAfter(masks, event);
}

}  // namespace pgflow::transformers
