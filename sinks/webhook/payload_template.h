// PayloadTemplate: a body of the user's own, with {{ placeholders }} for parts of the event.
//
//   {"text": "Order {{ row.id }} is {{ after.status }}", "total": {{ after.total }}}
//
// after.COLUMN, before.COLUMN, row.COLUMN (after, or before of a delete), operation, schema, table,
// position, xid, commit_time, and event: the whole of it, as `encoding` writes it. In JSON a
// placeholder that stands alone becomes a JSON value (null where there is none), and one inside a
// string becomes text that is escaped; in a text template values are put in as they are.
//
// One thread. Errors of Render: kDataLoss when a row does not fit its schema; kFailedPrecondition
// when the table lacks a column.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <absl/status/statusor.h>

#include "engine/api/batch.h"
#include "sinks/encoding/change_rows.h"
#include "sinks/encoding/schema_plans.h"
#include "sinks/encoding/type_text.h"

namespace pgflow::sinks {

enum class TemplateKind { kJson, kText };

class PayloadTemplate {
 public:
  // kInvalidArgument: a placeholder that is none, or a result that would be no JSON.
  static absl::StatusOr<PayloadTemplate> Make(std::string_view text, TemplateKind kind);

  bool needs_event() const { return needs_event_; }
  // Before the first event of each batch.
  void StartBatch() { plans_.StartBatch(); }
  // `encoded` is the whole event as JSON; only looked at when it is needed.
  absl::StatusOr<std::string> Render(const engine::Batch& batch, const engine::ChangeEvent& event,
                                     std::string_view encoded);

 private:
  enum class Field {
    kLiteral,
    kAfter,
    kBefore,
    kRow,
    kOperation,
    kSchema,
    kTable,
    kPosition,
    kXid,
    kCommitTime,
    kEvent,
  };
  struct Part {
    Field field = Field::kLiteral;
    std::string text;  // The literal; or the column's name.
    bool in_string = false;

    bool is_column() const {
      return field == Field::kAfter || field == Field::kBefore || field == Field::kRow;
    }
  };
  // Of one table; by the index of the part.
  struct ColumnPlan {
    size_t index = 0;
    const TypeText* type = nullptr;
    bool identity = false;
  };
  using Plan = std::vector<ColumnPlan>;

  explicit PayloadTemplate(TemplateKind kind) : kind_(kind) {}
  static absl::StatusOr<Part> ParsePlaceholder(std::string_view text, bool in_string);
  absl::Status CheckJson() const;
  absl::StatusOr<Plan> Derive(const schemas::TableSchema& schema) const;
  void AppendColumn(const Part& part, const ColumnPlan& column, const Change& change,
                    std::string& out) const;
  // A value that is JSON already.
  void AppendJson(const Part& part, std::string_view json, std::string& out) const;
  void AppendText(const Part& part, std::string_view text, std::string& out) const;
  void AppendField(const Part& part, const engine::Batch& batch, const engine::ChangeEvent& event,
                   std::string_view encoded, std::string& out) const;

  TemplateKind kind_;
  std::vector<Part> parts_;
  bool needs_event_ = false;
  bool needs_rows_ = false;
  SchemaPlans<Plan> plans_;
  ChangeRows rows_;
};

}  // namespace pgflow::sinks
