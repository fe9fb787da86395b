#include "sinks/webhook/payload_template.h"

#include <utility>

#include <nlohmann/json.hpp>

#include "base/status.h"
#include "sinks/encoding/json_string.h"
#include "sinks/encoding/json_value.h"
#include "sinks/encoding/text_times.h"

namespace pgflow::sinks {
namespace {

using engine::Operation;

constexpr std::string_view kOpen = "{{";
constexpr std::string_view kClose = "}}";

std::string_view Trimmed(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

// Whether a JSON text that began with `in_string` ends inside a string.
bool EndsInString(std::string_view text, bool in_string) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (in_string && text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      in_string = !in_string;
    }
  }
  return in_string;
}

bool HasRow(Operation operation) {
  return operation != Operation::kTruncate && operation != Operation::kSchemaChange;
}

}  // namespace

absl::StatusOr<PayloadTemplate::Part> PayloadTemplate::ParsePlaceholder(std::string_view text,
                                                                        bool in_string) {
  static constexpr std::pair<std::string_view, Field> kFields[] = {
      {"operation", Field::kOperation},
      {"schema", Field::kSchema},
      {"table", Field::kTable},
      {"position", Field::kPosition},
      {"xid", Field::kXid},
      {"commit_time", Field::kCommitTime},
      {"event", Field::kEvent}};
  static constexpr std::pair<std::string_view, Field> kRows[] = {
      {"after.", Field::kAfter}, {"before.", Field::kBefore}, {"row.", Field::kRow}};
  for (const auto& [name, field] : kFields) {
    if (text == name) return Part{field, "", in_string};
  }
  for (const auto& [name, field] : kRows) {
    if (!text.starts_with(name) || text.size() == name.size()) continue;
    return Part{field, std::string(text.substr(name.size())), in_string};
  }
  return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                          "template: {{{{ {} }}}} is none of after.COLUMN, before.COLUMN, "
                          "row.COLUMN, operation, schema, table, position, xid, commit_time, event",
                          text);
}

absl::StatusOr<PayloadTemplate> PayloadTemplate::Make(std::string_view text, TemplateKind kind) {
  PayloadTemplate made(kind);
  bool in_string = false;
  while (!text.empty()) {
    const size_t open = std::min(text.find(kOpen), text.size());
    const std::string_view literal = text.substr(0, open);
    if (!literal.empty()) made.parts_.push_back({Field::kLiteral, std::string(literal), false});
    in_string = EndsInString(literal, in_string);
    text.remove_prefix(open);
    if (text.empty()) break;
    const size_t close = text.find(kClose);
    if (close == std::string_view::npos) {
      return absl::InvalidArgumentError("template: a {{ without its }}");
    }
    PGFLOW_ASSIGN_OR_RETURN(
        Part part,
        ParsePlaceholder(Trimmed(text.substr(kOpen.size(), close - kOpen.size())), in_string));
    made.needs_event_ |= part.field == Field::kEvent;
    made.needs_rows_ |= part.is_column();
    made.parts_.push_back(std::move(part));
    text.remove_prefix(close + kClose.size());
  }
  if (made.parts_.empty()) return absl::InvalidArgumentError("template: it is empty");
  if (kind == TemplateKind::kJson) PGFLOW_RETURN_IF_ERROR(made.CheckJson());
  return made;
}

absl::Status PayloadTemplate::CheckJson() const {
  std::string sample;
  for (const Part& part : parts_) {
    sample += part.field == Field::kLiteral ? part.text : part.in_string ? "x" : "null";
  }
  if (nlohmann::json::accept(sample)) return absl::OkStatus();
  return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                          "template: with its placeholders filled in it is no JSON, as in: {}; "
                          "write `template_kind: text` if it is not meant to be",
                          sample);
}

absl::StatusOr<PayloadTemplate::Plan> PayloadTemplate::Derive(
    const schemas::TableSchema& schema) const {
  Plan plan(parts_.size());
  for (size_t i = 0; i < parts_.size(); ++i) {
    if (!parts_[i].is_column()) continue;
    const std::optional<size_t> index = schema.FindColumn(parts_[i].text);
    if (!index.has_value()) {
      return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                              "template: {} has no column '{}'; choose its tables with "
                              "subscribe.tables",
                              schema.table.ToString(), parts_[i].text);
    }
    const schemas::Column& column = schema.columns[*index];
    plan[i] = {*index, FindTypeText(column), column.identity};
  }
  return plan;
}

void PayloadTemplate::AppendText(const Part& part, std::string_view text, std::string& out) const {
  if (kind_ == TemplateKind::kText) {
    out += text;
    return;
  }
  std::string json;
  if (!AppendJsonString(text, json)) json = "null";  // Names and numbers are always UTF-8.
  AppendJson(part, json, out);
}

void PayloadTemplate::AppendJson(const Part& part, std::string_view json, std::string& out) const {
  const bool inside = part.in_string || kind_ == TemplateKind::kText;
  if (inside && json == "null") return;
  if (!part.in_string || kind_ == TemplateKind::kText) {
    out += json;
    return;
  }
  std::string quoted;
  if (!json.starts_with('"') && AppendJsonString(json, quoted)) json = quoted;
  out += json.substr(1, json.size() - 2);
}

void PayloadTemplate::AppendColumn(const Part& part, const ColumnPlan& column, const Change& change,
                                   std::string& out) const {
  const RowValues* row = part.field == Field::kAfter    ? change.after
                         : part.field == Field::kBefore ? change.before
                                                        : change.keyed_row();
  const bool known = row != nullptr &&
                     (row != change.before || change.before_is_whole || column.identity) &&
                     !(*row)[column.index].is_unchanged();
  if (!known) return AppendJson(part, "null", out);
  const schemas::Value& value = (*row)[column.index];
  if (kind_ == TemplateKind::kText && !value.is_null() &&
      AppendValueText(value, column.type, out)) {
    return;
  }
  std::string json;
  AppendJsonValue(value, column.type, json);
  AppendJson(part, json, out);
}

void PayloadTemplate::AppendField(const Part& part, const engine::Batch& batch,
                                  const engine::ChangeEvent& event, std::string_view encoded,
                                  std::string& out) const {
  const engine::TransactionSpan* span =
      batch.is_snapshot() ? nullptr : &batch.transactions()[event.transaction];
  switch (part.field) {
    case Field::kOperation:
      return AppendText(part, engine::OperationName(event.operation), out);
    case Field::kSchema:
      return AppendText(part, event.schema->table.schema, out);
    case Field::kTable:
      return AppendText(part, event.schema->table.name, out);
    case Field::kPosition:
      return AppendText(part, batch.PositionOf(event).ToString(), out);
    case Field::kXid:
      return AppendJson(part, span == nullptr ? "null" : std::to_string(span->xid), out);
    case Field::kCommitTime: {
      if (span == nullptr) return AppendJson(part, "null", out);
      std::string time;
      AppendRfc3339(span->commit_time, time);
      return AppendText(part, time, out);
    }
    case Field::kEvent:
      return AppendJson(part, encoded, out);
    case Field::kLiteral:
    case Field::kAfter:
    case Field::kBefore:
    case Field::kRow:
      out += part.text;
  }
}

absl::StatusOr<std::string> PayloadTemplate::Render(const engine::Batch& batch,
                                                    const engine::ChangeEvent& event,
                                                    std::string_view encoded) {
  const bool has_row = HasRow(event.operation);
  const Plan* plan = nullptr;
  if (needs_rows_ && has_row) {
    PGFLOW_ASSIGN_OR_RETURN(
        plan, plans_.Get(*event.schema, [this](const auto& schema) { return Derive(schema); }));
    PGFLOW_RETURN_IF_ERROR(rows_.Decode(event));
  }
  std::string out;
  for (size_t i = 0; i < parts_.size(); ++i) {
    const Part& part = parts_[i];
    if (!part.is_column()) {
      AppendField(part, batch, event, encoded, out);
    } else if (plan == nullptr) {
      AppendJson(part, "null", out);
    } else {
      AppendColumn(part, (*plan)[i], rows_.change(), out);
    }
  }
  return out;
}

}  // namespace pgflow::sinks
