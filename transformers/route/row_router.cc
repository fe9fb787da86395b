#include "transformers/route/row_router.h"

#include <algorithm>

#include "base/status.h"
#include "sinks/encoding/json_value.h"
#include "sinks/encoding/row_name.h"

namespace pgflow::transformers {

using engine::BeforeImage;
using engine::ChangeEvent;
using engine::Operation;
using schemas::TableSchemaPtr;
using schemas::Value;

absl::Status RowRouter::Refused(const ChangeEvent& event, const Values& row,
                                std::string_view why) const {
  return base::MakeStatus(absl::StatusCode::kInvalidArgument, "route: {}: {}",
                          sinks::RowName(*event.schema, row), why);
}

absl::Status RowRouter::NotKnown(const ChangeEvent& event, const Values& row) const {
  return Refused(event, row,
                 fmt::format("which table the {} belongs to cannot be known, because the source "
                             "did not send the columns that the rules look at; set REPLICA "
                             "IDENTITY FULL on the table, or route by columns of its key",
                             event.operation == Operation::kDelete ? "deleted row" : "old row"));
}

absl::StatusOr<std::string> RowRouter::NameOf(const BoundRoute& route, const Values& row,
                                              bool key_only, bool& is_known) {
  std::string name = route.pieces.front();
  for (size_t i = 0; i < route.columns.size(); ++i) {
    const schemas::Column& column = plan_.schema->columns[route.columns[i]];
    const Value& value = row[route.columns[i]];
    is_known = !value.is_unchanged() && (!key_only || column.identity);
    if (!is_known || value.is_null()) return std::string();
    scratch_.clear();
    if (!sinks::AppendValueText(value, sinks::FindTypeText(column), scratch_)) {
      return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                              "a value of column '{}' came in a binary form that cannot be read",
                              column.name);
    }
    // A dot in a value would choose the schema.
    if (scratch_.empty() || scratch_.find('.') != std::string::npos) {
      return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                              "the value '{}' of column '{}' cannot be part of a table's name",
                              scratch_, column.name);
    }
    name += scratch_;
    name += route.pieces[2 * i + 2];
  }
  return name;
}

absl::StatusOr<TableSchemaPtr> RowRouter::Find(const Values& row, bool key_only) {
  for (const BoundRoute& route : plan_.routes) {
    if (route.when.has_value()) {
      workspace_.Clear();
      expressions::Rows rows;
      rows.new_row = row;
      rows.new_is_key = key_only;
      PGFLOW_ASSIGN_OR_RETURN(const expressions::Datum datum,
                              route.when->Evaluate(rows, workspace_));
      if (!datum.has_value() && !datum.is_null()) return TableSchemaPtr();
      if (datum.is_null() || !datum.boolean) continue;
    }
    if (route.target != nullptr) return route.target;
    bool is_known = true;
    PGFLOW_ASSIGN_OR_RETURN(const std::string name, NameOf(route, row, key_only, is_known));
    if (!is_known) return TableSchemaPtr();
    if (!name.empty()) return plan_.targets->Get(name);
  }
  return plan_.schema;
}

void RowRouter::Push(ChangeEvent event, const TableSchemaPtr& target,
                     std::vector<ChangeEvent>& out) {
  if (target.get() != event.schema) batch_.KeepAlive(target);
  event.schema = target.get();
  out.push_back(event);
}

absl::Status RowRouter::AppendUpdate(const ChangeEvent& event, std::vector<ChangeEvent>& out) {
  event.after.Decode(after_);
  const bool full = event.before.exists() && event.before_image == BeforeImage::kFull;
  if (event.before.exists()) {
    event.before.Decode(before_);
    for (size_t i = 0; i < after_.size(); ++i) {
      const bool known = full || event.schema->columns[i].identity;
      if (after_[i].is_unchanged() && known) after_[i] = before_[i];
    }
  } else {
    before_ = after_;  // The key did not change; nothing else of it is looked at.
  }
  const absl::StatusOr<TableSchemaPtr> was = Find(before_, !full);
  if (!was.ok()) return Refused(event, before_, base::Message(was.status()));
  const absl::StatusOr<TableSchemaPtr> is = Find(after_, false);
  if (!is.ok()) return Refused(event, after_, base::Message(is.status()));
  if (*was == nullptr || *is == nullptr) return NotKnown(event, after_);
  if (*was == *is) {
    Push(event, *is, out);
    return absl::OkStatus();
  }
  const auto unchanged = [](const Value& value) { return value.is_unchanged(); };
  if (std::ranges::any_of(after_, unchanged)) {
    return Refused(event, after_,
                   "the update moves the row to another table and leaves out a large (TOASTed) "
                   "value; set REPLICA IDENTITY FULL on the table");
  }
  ChangeEvent gone = event;
  gone.operation = Operation::kDelete;
  gone.after = schemas::RowView();
  if (!event.before.exists()) {
    std::span<Value> key = batch_.NewValues(after_.size());
    for (size_t i = 0; i < key.size(); ++i) {
      if (event.schema->columns[i].identity) key[i] = after_[i];
    }
    gone.before = schemas::RowView::Values(key);
    gone.before_image = BeforeImage::kKey;
  }
  Push(gone, *was, out);
  ChangeEvent come = event;
  come.operation = Operation::kInsert;
  come.before = schemas::RowView();
  come.before_image = BeforeImage::kNone;
  std::span<Value> row = batch_.NewValues(after_.size());
  std::ranges::copy(after_, row.begin());
  come.after = schemas::RowView::Values(row);
  Push(come, *is, out);
  return absl::OkStatus();
}

absl::Status RowRouter::AppendTruncates(const ChangeEvent& event, std::vector<ChangeEvent>& out) {
  if (plan_.has_dynamic_target()) {
    return base::MakeStatus(
        absl::StatusCode::kInvalidArgument,
        "route: TRUNCATE of table {} cannot be passed on: which tables its rows went to depends on "
        "their values. Empty those by hand and drop the operation with a filter in front of the "
        "route (operations: [read, insert, update, delete])",
        event.schema->table.ToString());
  }
  const std::vector<TableSchemaPtr> tables = plan_.KnownTables();
  for (size_t i = 0; i < tables.size(); ++i) {
    ChangeEvent each = event;
    each.truncate_more = event.truncate_more || i + 1 < tables.size();
    Push(each, tables[i], out);
  }
  return absl::OkStatus();
}

absl::Status RowRouter::Append(const ChangeEvent& event, std::vector<ChangeEvent>& out) {
  switch (event.operation) {
    case Operation::kTruncate:
      return AppendTruncates(event, out);
    case Operation::kUpdate:
      return AppendUpdate(event, out);
    case Operation::kSchemaChange:
      out.push_back(event);
      return absl::OkStatus();
    case Operation::kRead:
    case Operation::kInsert:
    case Operation::kDelete:
      break;
  }
  const bool deleted = event.operation == Operation::kDelete;
  (deleted ? event.before : event.after).Decode(after_);
  const absl::StatusOr<TableSchemaPtr> target =
      Find(after_, deleted && event.before_image != BeforeImage::kFull);
  if (!target.ok()) return Refused(event, after_, base::Message(target.status()));
  if (*target == nullptr) return NotKnown(event, after_);
  Push(event, *target, out);
  return absl::OkStatus();
}

}  // namespace pgflow::transformers
