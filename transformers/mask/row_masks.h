// RowMasks: what becomes of the rows of one table. RowMasker: makes it so, for one batch.
//
// RowMasks is immutable and thread-safe once it is built; a RowMasker belongs to one thread, and
// its batch must outlive it. Errors: kInvalidArgument when a value cannot be masked; kDataLoss when
// rows of COPY are malformed.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "engine/api/batch.h"
#include "expressions/expression.h"
#include "transformers/mask/column_mask.h"
#include "transformers/mask/template_mask.h"

namespace pgflow::transformers {

struct RowMasks {
  // One rule of a column; without a mask and a template the value stays.
  struct Alternative {
    std::optional<expressions::Expression> when;
    ColumnMaskPtr mask;
    std::optional<TemplateMask> made;
  };
  // A column of which the row says what becomes of it: the first alternative that holds, or that
  // cannot be told not to.
  struct Column {
    size_t column = 0;
    std::vector<Alternative> alternatives;
    bool by_identity = false;  // All conditions look at the replica identity only.
  };
  struct Template {
    size_t column = 0;
    TemplateMask mask;
  };

  std::vector<ColumnMaskPtr> masks;  // By column; null: it stays, or is one of the following.
  std::vector<Template> templates;
  std::vector<Column> by_row;
  std::vector<bool> made;  // By column: some template makes it.
  bool touched = false;

  // Each value of a row can be masked without looking at the others.
  bool by_field() const { return templates.empty() && by_row.empty(); }
};

class RowMasker {
 public:
  explicit RowMasker(engine::Batch& batch) : batch_(batch) {}

  // Writes the batch's rows of COPY anew, field by field.
  absl::Status MaskCopyRows(const RowMasks& masks);
  absl::Status MaskEvent(const RowMasks& masks, engine::ChangeEvent& event);

 private:
  using Row = std::vector<schemas::Value>;
  using Templates = std::vector<std::pair<size_t, const TemplateMask*>>;

  absl::Status MaskValues(const RowMasks& masks, const schemas::TableSchema& schema, Row& row);
  absl::Status MaskValue(const ColumnMask& mask, const schemas::TableSchema& schema, size_t column,
                         schemas::Value& value);
  // The alternative that counts in a row; their number when none does.
  absl::StatusOr<size_t> ChoiceOf(const RowMasks::Column& column,
                                  std::span<const schemas::Value> row);
  // `known` is the row as the source has it, `old` the one before (empty when it is not known).
  absl::Status MaskByRow(const RowMasks& masks, const engine::ChangeEvent& event, const Row& known,
                         const Row& old, Row& row);
  absl::StatusOr<bool> StaysUnchanged(const RowMasks::Column& column, size_t choice,
                                      const engine::ChangeEvent& event, const Row& old);
  absl::Status ApplyTemplates(const schemas::TableSchema& schema, Row& row);
  absl::Status MaskBefore(const RowMasks& masks, engine::ChangeEvent& event);
  absl::Status MaskAfter(const RowMasks& masks, engine::ChangeEvent& event);
  schemas::RowView Store(const Row& row);

  engine::Batch& batch_;
  MaskScratch scratch_;
  expressions::Workspace workspace_;
  std::string bytes_;
  Templates chosen_;  // Of the row at hand.
  Row before_;
  Row after_;
  Row old_;    // The row before, as the source had it.
  Row known_;  // The new one.
};

}  // namespace pgflow::transformers
