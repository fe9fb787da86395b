#include "sinks/encoding/json_format.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/status.h"
#include "sinks/encoding/integer_text.h"
#include "sinks/encoding/json_value.h"
#include "sinks/encoding/text_times.h"

namespace pgflow::sinks {

using engine::Operation;

namespace {

std::string_view IdentityName(schemas::ReplicaIdentity identity) {
  switch (identity) {
    case schemas::ReplicaIdentity::kDefault:
      return "default";
    case schemas::ReplicaIdentity::kIndex:
      return "index";
    case schemas::ReplicaIdentity::kFull:
      return "full";
    case schemas::ReplicaIdentity::kNothing:
      return "nothing";
  }
  return "";
}

void AppendRelation(const schemas::TableSchema& table, std::string& out) {
  out += fmt::format(",\"relation\":{{\"identity\":\"{}\",\"columns\":[",
                     IdentityName(table.replica_identity));
  for (size_t i = 0; i < table.columns.size(); ++i) {
    const schemas::Column& column = table.columns[i];
    out += i == 0 ? "{\"name\":" : ",{\"name\":";
    AppendJsonName(column.name, out);
    out += ",\"type\":";
    AppendJsonName(column.type_name, out);
    out += fmt::format(",\"oid\":{}", column.type);
    if (column.wire_type != 0) out += fmt::format(",\"wire\":{}", column.wire_type);
    if (column.type_modifier != -1) out += fmt::format(",\"modifier\":{}", column.type_modifier);
    if (column.identity) out += ",\"identity\":true";
    if (column.primary_key > 0) out += fmt::format(",\"primary_key\":{}", column.primary_key);
    out.push_back('}');
  }
  out += "]}";
}

// A JSON value as a string: between null and NULL, or a word and a text, the type alone decides.
void AppendAsString(const schemas::Value& value, const TypeText* type, std::string& out) {
  std::string text;
  if (value.is_null() || !AppendValueText(value, type, text)) {
    AppendJsonValue(value, type, out);
    return;
  }
  AppendJsonName(text, out);
}

}  // namespace

absl::StatusOr<const JsonFormat::Plan*> JsonFormat::PlanOf(const schemas::TableSchema& schema) {
  return plans_.Get(schema, [this](const schemas::TableSchema& table) -> absl::StatusOr<Plan> {
    Plan plan;
    plan.names_json = "\"schema\":";
    AppendJsonName(table.table.schema, plan.names_json);
    plan.names_json += ",\"table\":";
    AppendJsonName(table.table.name, plan.names_json);
    const bool relations = relations_ == Relations::kWrite;
    if (relations) AppendRelation(table, plan.names_json);
    for (const schemas::Column& column : table.columns) {
      ColumnPlan& column_plan = plan.columns.emplace_back();
      AppendJsonName(column.name, column_plan.name_json);
      column_plan.name_json.push_back(':');
      column_plan.type = FindTypeText(column);
      column_plan.identity = column.identity;
      column_plan.as_string =
          relations && column_plan.type != nullptr && column_plan.type->form == JsonForm::kJson;
    }
    return plan;
  });
}

void JsonFormat::AppendColumns(const Plan& plan, const RowValues& values, bool identity_only,
                               std::string& out) {
  char separator = '{';
  for (size_t i = 0; i < values.size(); ++i) {
    const ColumnPlan& column = plan.columns[i];
    if (values[i].is_unchanged() || (identity_only && !column.identity)) continue;
    out.push_back(separator);
    out.append(column.name_json);
    if (column.as_string) {
      AppendAsString(values[i], column.type, out);
    } else {
      AppendJsonValue(values[i], column.type, out);
    }
    separator = ',';
  }
  if (separator == '{') out.push_back('{');
  out.push_back('}');
}

void JsonFormat::AppendKeyColumns(const Plan& plan, const RowValues& values,
                                  const std::vector<size_t>& columns, std::string& out) {
  char separator = '{';
  for (const size_t i : columns) {
    out.push_back(separator);
    out.append(plan.columns[i].name_json);
    AppendJsonValue(values[i], plan.columns[i].type, out);
    separator = ',';
  }
  out.push_back('}');
}

void JsonFormat::AppendStart(const engine::Batch& batch, const engine::ChangeEvent& event,
                             Operation operation, std::string& out) {
  out.append("{\"position\":\"");
  if (batch.is_snapshot()) {
    out.append(batch.PositionOf(event).commit_lsn.ToString());
    out.append(":0\",\"transaction\":null,\"operation\":\"");
  } else {
    const engine::TransactionSpan& span = batch.transactions()[event.transaction];
    if (transaction_json_.empty() || span.commit_lsn != transaction_.commit_lsn ||
        span.xid != transaction_.xid || span.commit_time != transaction_.commit_time) {
      transaction_ = span;
      transaction_json_ = "\"transaction\":{\"xid\":";
      AppendDigits(span.xid, transaction_json_);
      transaction_json_ +=
          ",\"commit_lsn\":\"" + span.commit_lsn.ToString() + "\",\"commit_time\":\"";
      AppendRfc3339(span.commit_time, transaction_json_);
      transaction_json_ += "\",\"ordinal\":";
    }
    out.append(span.commit_lsn.ToString());
    out.push_back(':');
    AppendDigits(event.ordinal, out);
    out.append("\",");
    out.append(transaction_json_);
    AppendDigits(event.ordinal, out);
    out.append("},\"operation\":\"");
  }
  out.append(engine::OperationName(operation));
  out.append("\",");
}

void JsonFormat::AppendRows(const Plan& plan, const Change& change, std::string& out) {
  out.append(",\"before\":");
  if (change.before != nullptr) {
    AppendColumns(plan, *change.before, !change.before_is_whole, out);
  } else {
    out.append("null");
  }
  out.append(",\"after\":");
  if (change.after != nullptr) {
    AppendColumns(plan, *change.after, false, out);
  } else {
    out.append("null");
  }
}

void JsonFormat::AppendUnchanged(const Plan& plan, const RowValues& values, std::string& out) {
  out.append(",\"unchanged\":[");
  bool first = true;
  for (size_t i = 0; i < values.size(); ++i) {
    if (!values[i].is_unchanged()) continue;
    if (!first) out.push_back(',');
    first = false;
    const std::string& name = plan.columns[i].name_json;
    out.append(name, 0, name.size() - 1);
  }
  out.push_back(']');
}

absl::Status JsonFormat::AppendKey(const Change& change, const std::vector<size_t>& columns,
                                   std::string& out) {
  PGFLOW_ASSIGN_OR_RETURN(const Plan* plan, PlanOf(*change.schema));
  AppendKeyColumns(*plan, *change.keyed_row(), columns, out);
  return absl::OkStatus();
}

absl::Status JsonFormat::AppendValue(const engine::Batch& batch, const engine::ChangeEvent& event,
                                     const Change& change, const std::vector<size_t>& key_columns,
                                     std::string& out) {
  PGFLOW_ASSIGN_OR_RETURN(const Plan* plan, PlanOf(*change.schema));
  AppendStart(batch, event, change.operation, out);
  out.append(plan->names_json);
  if (event.operation == Operation::kTruncate) {
    out.append(event.truncate_cascade ? ",\"cascade\":true" : ",\"cascade\":false");
    out.append(event.truncate_restart_identity ? ",\"restart_identity\":true}"
                                               : ",\"restart_identity\":false}");
    return absl::OkStatus();
  }
  out.append(",\"key\":");
  if (key_columns.empty()) {
    out.append("null");
  } else {
    AppendKeyColumns(*plan, *change.keyed_row(), key_columns, out);
  }
  AppendRows(*plan, change, out);
  if (event.operation == Operation::kUpdate && change.after != nullptr) {
    AppendUnchanged(*plan, *change.after, out);
  }
  if (change.operation != event.operation) out.append(",\"key_changed\":true");
  if (event.catch_up) out.append(",\"catch_up\":true");
  out.push_back('}');
  return absl::OkStatus();
}

absl::Status JsonFormat::AppendSchemaChange(const engine::Batch& batch,
                                            const engine::ChangeEvent& event, std::string& out) {
  AppendStart(batch, event, event.operation, out);
  out.append("\"schema_change\":");
  out.append(event.ddl);  // JSON without line breaks, as the source's jsonb writes it.
  out.push_back('}');
  return absl::OkStatus();
}

}  // namespace pgflow::sinks
