#include "transformers/script/script_runner.h"

#include <algorithm>
#include <lua.hpp>
#include <optional>

#include "base/status.h"
#include "sinks/encoding/json_value.h"
#include "sinks/encoding/row_name.h"
#include "sinks/encoding/type_binary.h"

namespace pgflow::transformers {

using engine::BeforeImage;
using engine::ChangeEvent;
using schemas::Value;
using schemas::ValueKind;

namespace {

struct TransformCall {
  const ShownEvent& shown;
  std::vector<ReturnedEvent>& returned;
};

int CallTransform(lua_State* lua) {
  const auto* call = static_cast<const TransformCall*>(lua_touserdata(lua, 1));
  PushTransform(lua);
  PushEvent(lua, call->shown);
  lua_call(lua, 1, 1);
  ReadReturned(lua, call->shown, call->returned);
  return 0;
}

// A value that is put in has the form of those beside it.
bool IsBinary(const engine::Batch& batch, const std::vector<Value>& row) {
  if (batch.is_snapshot()) return batch.snapshot_format() == engine::CopyFormat::kBinary;
  return std::ranges::find(row, ValueKind::kBinary, &Value::kind) != row.end();
}

}  // namespace

void ScriptRunner::Show(engine::Batch& batch, const ChangeEvent& event,
                        const schemas::RowView& view, ShownRow& row) {
  row.exists = view.exists();
  row.values.clear();
  if (row.exists) view.Decode(row.values);
  row.texts.assign(row.values.size(), {});
  for (size_t i = 0; i < row.values.size() && i < event.schema->columns.size(); ++i) {
    const Value& value = row.values[i];
    if (value.kind == ValueKind::kText) row.texts[i] = {value.bytes, value.size};
    if (value.kind != ValueKind::kBinary) continue;
    scratch_.clear();
    const sinks::TypeText* type = sinks::FindTypeText(event.schema->columns[i]);
    if (sinks::AppendValueText(value, type, scratch_)) row.texts[i] = batch.Store(scratch_);
  }
}

absl::StatusOr<schemas::RowView> ScriptRunner::Store(engine::Batch& batch,
                                                     const schemas::TableSchema& schema,
                                                     const ReturnedRow& returned,
                                                     const ShownRow& shown) {
  const bool binary = IsBinary(batch, shown.exists ? shown.values : after_.values);
  std::span<Value> row = batch.NewValues(schema.columns.size());
  for (size_t i = 0; i < row.size(); ++i) {
    const ReturnedValue& value = returned.values[i];
    if (value.kind == ReturnedValue::Kind::kKept) row[i] = shown.values[i];
    if (value.kind == ReturnedValue::Kind::kUnchanged) row[i].kind = ValueKind::kUnchanged;
    if (value.kind != ReturnedValue::Kind::kText) continue;
    const schemas::Column& column = schema.columns[i];
    const postgres::Oid type = column.wire_type != 0 ? column.wire_type : column.type;
    const bool known = sinks::KnowsBinaryOfText(type);
    scratch_.clear();
    if (known && !sinks::AppendBinaryOfText(value.text, type, scratch_)) {
      return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                              "'{}' is no value of column '{}' ({})", value.text, column.name,
                              column.type_name);
    }
    const bool as_binary = binary && known;
    const std::string_view stored = batch.Store(as_binary ? scratch_ : value.text);
    row[i] = {stored.data(), static_cast<uint32_t>(stored.size()),
              as_binary ? ValueKind::kBinary : ValueKind::kText};
  }
  return schemas::RowView::Values(row);
}

absl::Status ScriptRunner::Append(engine::Batch& batch, const ChangeEvent& event,
                                  const ReturnedEvent& returned, std::vector<ChangeEvent>& out) {
  ChangeEvent made = event;
  made.operation = returned.operation;
  made.before = schemas::RowView();
  made.after = schemas::RowView();
  if (returned.before.exists) {
    PGFLOW_ASSIGN_OR_RETURN(made.before, Store(batch, *event.schema, returned.before, before_));
    if (!event.before.exists()) {
      const bool full = event.schema->replica_identity == schemas::ReplicaIdentity::kFull;
      made.before_image = full ? BeforeImage::kFull : BeforeImage::kKey;
    }
  } else {
    made.before_image = BeforeImage::kNone;
  }
  if (returned.after.exists) {
    PGFLOW_ASSIGN_OR_RETURN(made.after, Store(batch, *event.schema, returned.after, after_));
  }
  out.push_back(made);
  return absl::OkStatus();
}

absl::Status ScriptRunner::Run(engine::Batch& batch, const ScriptPlan& plan,
                               const ChangeEvent& event, std::vector<ChangeEvent>& out) {
  Show(batch, event, event.before, before_);
  Show(batch, event, event.after, after_);
  const ShownEvent shown{plan, *event.schema, event.operation, before_, after_};
  returned_.clear();
  TransformCall call{shown, returned_};
  absl::Status status = sandbox_->Call(&CallTransform, &call);
  for (size_t i = 0; status.ok() && i < returned_.size(); ++i) {
    status = Append(batch, event, returned_[i], out);
  }
  if (status.ok()) return status;
  const std::string name =
      sinks::RowName(*event.schema, after_.exists ? after_.values : before_.values);
  return base::Annotate(status, "script: " + name);
}

}  // namespace pgflow::transformers
