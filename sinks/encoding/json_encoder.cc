#include "sinks/encoding/json_encoder.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/status.h"
#include "sinks/encoding/json_string.h"
#include "sinks/encoding/text_times.h"

namespace pgflow::sinks {
namespace {

// Old plans are dropped all at once beyond this: with DDL there is a new schema now and then.
constexpr size_t kPlansMax = 4096;

void AppendMarker(std::string_view bytes, std::string& out) {
  out.append("{\"binary\":\"");
  AppendBase64(bytes, out);
  out.append("\"}");
}

void AppendNumber(uint64_t value, std::string& out) {
  std::array<char, 24> buffer;
  const auto result = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  out.append(buffer.data(), result.ptr);
}

// What the server prints for a finite number is a JSON number too; NaN and Infinity are not.
bool IsFiniteNumber(std::string_view text) {
  if (!text.empty() && text.front() == '-') text.remove_prefix(1);
  return !text.empty() && text.front() >= '0' && text.front() <= '9' &&
         text.find_first_not_of("0123456789.eE+-") == std::string_view::npos;
}

void AppendStringOrMarker(std::string_view text, std::string_view bytes, std::string& out) {
  if (!AppendJsonString(text, out)) AppendMarker(bytes, out);
}

// `text` is the type's text output, `bytes` what it was made from.
void AppendTextInForm(JsonForm form, std::string_view text, std::string_view bytes,
                      std::string& out) {
  switch (form) {
    case JsonForm::kNumber:
      if (IsFiniteNumber(text)) {
        out.append(text);
        return;
      }
      break;
    case JsonForm::kBool:
      if (text == "t" || text == "f") {
        out.append(text == "t" ? "true" : "false");
        return;
      }
      break;
    case JsonForm::kJson:
      if (!AppendInlineJson(text, out)) AppendMarker(bytes, out);
      return;
    case JsonForm::kPlainString:
    case JsonForm::kString:
      break;
  }
  AppendStringOrMarker(text, bytes, out);
}

// Numbers and plain strings are decoded in place; they need no escapes.
bool AppendBinaryInPlace(std::string_view bytes, const TypeText& type, std::string& out) {
  const size_t start = out.size();
  if (type.form == JsonForm::kPlainString) {
    out.push_back('"');
    if (type.append(bytes, type, out)) {
      out.push_back('"');
      return true;
    }
  } else if (type.append(bytes, type, out)) {
    const char first = out.size() > start ? out[start] : '\0';
    const char digit = first == '-' ? out[start + 1] : first;
    if (digit >= '0' && digit <= '9') return true;
    out.insert(start, 1, '"');
    out.push_back('"');
    return true;
  }
  out.resize(start);
  return false;
}

void AppendBinary(std::string_view bytes, const TypeText& type, std::string& out) {
  if (type.form == JsonForm::kNumber || type.form == JsonForm::kPlainString) {
    if (!AppendBinaryInPlace(bytes, type, out)) AppendMarker(bytes, out);
    return;
  }
  std::string text;
  if (!type.append(bytes, type, text)) {
    AppendMarker(bytes, out);
    return;
  }
  AppendTextInForm(type.form, text, bytes, out);
}

bool SameColumns(const schemas::TableSchema& a, const schemas::TableSchema& b) {
  return a.table == b.table && a.replica_identity == b.replica_identity &&
         std::equal(a.columns.begin(), a.columns.end(), b.columns.begin(), b.columns.end(),
                    [](const schemas::Column& x, const schemas::Column& y) {
                      return x.name == y.name && x.type == y.type && x.wire_type == y.wire_type &&
                             x.identity == y.identity;
                    });
}

}  // namespace

void AppendJsonValue(const schemas::Value& value, const TypeText* type, std::string& out) {
  switch (value.kind) {
    case schemas::ValueKind::kNull:
    case schemas::ValueKind::kUnchanged:
      out.append("null");
      return;
    case schemas::ValueKind::kText:
      AppendTextInForm(type == nullptr ? JsonForm::kString : type->form, value.view(), value.view(),
                       out);
      return;
    case schemas::ValueKind::kBinary:
      if (type == nullptr) {
        AppendMarker(value.view(), out);
      } else {
        AppendBinary(value.view(), *type, out);
      }
      return;
  }
}

bool AppendValueText(const schemas::Value& value, const TypeText* type, std::string& out) {
  if (value.kind == schemas::ValueKind::kText) out.append(value.view());
  if (value.kind != schemas::ValueKind::kBinary) return true;
  const size_t start = out.size();
  if (type != nullptr && type->append(value.view(), *type, out)) return true;
  out.resize(start);
  return false;
}

const JsonEncoder::Plan& JsonEncoder::PlanOf(const schemas::TableSchema& schema) {
  const auto found = plans_.find(&schema);
  if (found != plans_.end()) {
    Plan& plan = found->second;
    if (plan.checked_in_batch == batch_) return plan;
    if (SameColumns(plan.schema, schema)) {
      plan.checked_in_batch = batch_;
      return plan;
    }
    plans_.erase(found);
  }
  if (plans_.size() >= kPlansMax) plans_.clear();
  Plan& plan = plans_[&schema];
  plan.schema = schema;
  plan.checked_in_batch = batch_;
  plan.has_key = schema.HasKey();
  const auto append_name = [](std::string_view name, std::string& to) {
    AppendStringOrMarker(name, name, to);
  };
  plan.names_json = "\"schema\":";
  append_name(schema.table.schema, plan.names_json);
  plan.names_json += ",\"table\":";
  append_name(schema.table.name, plan.names_json);
  for (const schemas::Column& column : schema.columns) {
    ColumnPlan& column_plan = plan.columns.emplace_back();
    append_name(column.name, column_plan.name_json);
    column_plan.name_json.push_back(':');
    column_plan.type = FindTypeText(column);
    column_plan.identity = column.identity;
  }
  return plan;
}

absl::Status JsonEncoder::Decode(const Plan& plan, const schemas::RowView& row,
                                 Values& values) const {
  if (row.exists() && row.column_count() != plan.columns.size()) {
    return base::MakeStatus(absl::StatusCode::kDataLoss, "table {}: row of {} columns, not {}",
                            plan.schema.table.ToString(), row.column_count(), plan.columns.size());
  }
  row.Decode(values);
  return absl::OkStatus();
}

void JsonEncoder::AppendColumns(const Plan& plan, const Values& values, bool identity_only,
                                std::string& out) {
  char separator = '{';
  for (size_t i = 0; i < values.size(); ++i) {
    const ColumnPlan& column = plan.columns[i];
    if (values[i].is_unchanged() || (identity_only && !column.identity)) continue;
    out.push_back(separator);
    out.append(column.name_json);
    AppendJsonValue(values[i], column.type, out);
    separator = ',';
  }
  if (separator == '{') out.push_back('{');
  out.push_back('}');
}

void JsonEncoder::AppendTransaction(const engine::Batch& batch, const engine::ChangeEvent& event,
                                    std::string& out) {
  out.append("{\"position\":\"");
  if (batch.is_snapshot()) {
    out.append(batch.PositionOf(event).commit_lsn.ToString());
    out.append(":0\",\"transaction\":null,\"operation\":\"");
    return;
  }
  const engine::TransactionSpan& span = batch.transactions()[event.transaction];
  if (transaction_json_.empty() || span.commit_lsn != transaction_.commit_lsn ||
      span.xid != transaction_.xid || span.commit_time != transaction_.commit_time) {
    transaction_ = span;
    transaction_json_ = "\"transaction\":{\"xid\":";
    AppendNumber(span.xid, transaction_json_);
    transaction_json_ +=
        ",\"commit_lsn\":\"" + span.commit_lsn.ToString() + "\",\"commit_time\":\"";
    AppendRfc3339(span.commit_time, transaction_json_);
    transaction_json_ += "\",\"ordinal\":";
  }
  out.append(span.commit_lsn.ToString());
  out.push_back(':');
  AppendNumber(event.ordinal, out);
  out.append("\",");
  out.append(transaction_json_);
  AppendNumber(event.ordinal, out);
  out.append("},\"operation\":\"");
}

void JsonEncoder::AppendImages(const Plan& plan, const engine::ChangeEvent& event,
                               std::string& out) {
  const bool before_exists = event.before.exists();
  const bool after_exists = event.after.exists();
  const bool full = event.before_image == engine::BeforeImage::kFull;
  if (before_exists && after_exists) {
    // An unchanged value is the old one, which a before image may hold.
    for (size_t i = 0; i < after_.size(); ++i) {
      if (!after_[i].is_unchanged() || before_[i].is_unchanged()) continue;
      if (full || plan.columns[i].identity) after_[i] = before_[i];
    }
  }
  out.append(",\"key\":");
  if (plan.has_key) {
    AppendColumns(plan, after_exists ? after_ : before_, true, out);
  } else {
    out.append("null");
  }
  out.append(",\"before\":");
  if (before_exists) {
    AppendColumns(plan, before_, !full, out);
  } else {
    out.append("null");
  }
  out.append(",\"after\":");
  if (after_exists) {
    AppendColumns(plan, after_, false, out);
  } else {
    out.append("null");
  }
  if (event.operation != engine::Operation::kUpdate) return;
  out.append(",\"unchanged\":[");
  bool first = true;
  for (size_t i = 0; i < after_.size(); ++i) {
    if (!after_[i].is_unchanged()) continue;
    if (!first) out.push_back(',');
    first = false;
    const std::string& name = plan.columns[i].name_json;
    out.append(name, 0, name.size() - 1);
  }
  out.push_back(']');
}

absl::Status JsonEncoder::AppendEvent(const engine::Batch& batch, const engine::ChangeEvent& event,
                                      std::string& out) {
  if (event.operation == engine::Operation::kSchemaChange) {
    AppendTransaction(batch, event, out);
    out.append(engine::OperationName(event.operation));
    out.append("\",\"schema_change\":");
    out.append(event.ddl);  // JSON without line breaks, as the source's jsonb writes it.
    out.push_back('}');
    return absl::OkStatus();
  }
  const Plan& plan = PlanOf(*event.schema);
  PGFLOW_RETURN_IF_ERROR(Decode(plan, event.before, before_));
  PGFLOW_RETURN_IF_ERROR(Decode(plan, event.after, after_));
  AppendTransaction(batch, event, out);
  out.append(engine::OperationName(event.operation));
  out.append("\",");
  out.append(plan.names_json);
  if (event.operation == engine::Operation::kTruncate) {
    out.append(event.truncate_cascade ? ",\"cascade\":true" : ",\"cascade\":false");
    out.append(event.truncate_restart_identity ? ",\"restart_identity\":true}"
                                               : ",\"restart_identity\":false}");
    return absl::OkStatus();
  }
  AppendImages(plan, event, out);
  out.push_back('}');
  return absl::OkStatus();
}

absl::Status JsonEncoder::AppendRow(const schemas::TableSchema& schema, const schemas::RowView& row,
                                    std::string& out) {
  const Plan& plan = PlanOf(schema);
  PGFLOW_RETURN_IF_ERROR(Decode(plan, row, after_));
  AppendColumns(plan, after_, false, out);
  return absl::OkStatus();
}

}  // namespace pgflow::sinks
