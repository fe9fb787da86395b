#include "sinks/encoding/debezium_format.h"

#include <utility>

#include <absl/time/clock.h>
#include <fmt/format.h>

#include "base/status.h"
#include "sinks/encoding/debezium_value.h"
#include "sinks/encoding/integer_text.h"
#include "sinks/encoding/json_value.h"

namespace pgflow::sinks {

using engine::Operation;

namespace {

std::string Json(std::string_view text) {
  std::string json;
  AppendJsonName(text, json);
  return json;
}

}  // namespace

std::string_view DebeziumLetter(Operation operation) {
  switch (operation) {
    case Operation::kRead:
      return "r";
    case Operation::kInsert:
      return "c";
    case Operation::kUpdate:
      return "u";
    case Operation::kDelete:
      return "d";
    case Operation::kTruncate:
      return "t";
    case Operation::kSchemaChange:
      return "m";
  }
  return "";
}

absl::Status AppendDebeziumKeyHeader(std::span<const DebeziumField> fields, const Change& change,
                                     const std::vector<size_t>& columns, bool clamps,
                                     std::string& out) {
  char separator = '{';
  for (const size_t i : columns) {
    out.push_back(separator);
    separator = ',';
    out += fields[i].name_json;
    const DebeziumType& type = fields[i].type;
    const schemas::Value& value = (*change.keyed_row())[i];
    if (type.form == DebeziumForm::kDecimal && AppendValueText(value, type.text, out)) continue;
    PGFLOW_RETURN_IF_ERROR(
        AppendDebeziumValue(type, value, {.typed = true, .clamps = clamps}, out));
  }
  out.push_back('}');
  return absl::OkStatus();
}

config::ConfigSpec<DebeziumConfig> DebeziumSpec() {
  config::ConfigSpec<DebeziumConfig> spec;
  spec.Field("name", &DebeziumConfig::name,
             "The connector's name in `source` and in schemas (its topic.prefix); the pipeline's "
             "when it is empty.")
      .Example("shop");
  spec.Field("schemas", &DebeziumConfig::schemas,
             "Whether each message carries its schema, as with schemas.enable of the JSON "
             "converter.");
  spec.Field("decimals", &DebeziumConfig::decimals,
             "How numeric is written (decimal.handling.mode). `precise` cannot hold NaN and "
             "infinities; `double` rounds.")
      .Choice({{"precise", DebeziumDecimals::kPrecise},
               {"string", DebeziumDecimals::kString},
               {"double", DebeziumDecimals::kDouble}});
  spec.Field("intervals", &DebeziumConfig::intervals,
             "How interval is written (interval.handling.mode): numeric: microseconds, in which a "
             "month has 30.4375 days. string: P1Y2M3DT4H5M6.7S.")
      .Choice({{"numeric", DebeziumIntervals::kNumeric}, {"string", DebeziumIntervals::kString}});
  spec.Field(
          "unfit_values", &DebeziumConfig::unfit_values,
          "What becomes of a value that its form cannot hold. refuse: the row stops the pipeline "
          "or goes to the dead letter. replace: NaN in a precise decimal, and with schemas an "
          "array of several dimensions, become null; a timestamp or an interval beyond 64 bits "
          "becomes the nearest one.")
      .Choice({{"refuse", DebeziumUnfit::kRefuse}, {"replace", DebeziumUnfit::kReplace}});
  spec.Field("money_digits", &DebeziumConfig::money_digits,
             "The digits behind the point of money (money.fraction.digits): what the source's "
             "lc_monetary has.")
      .Range(0, 10);
  spec.Field("skipped_operations", &DebeziumConfig::skipped_operations,
             "Which changes are left out (skipped.operations): c, u, d and t; [none] sends all.")
      .Example("[none]");
  spec.Field("unavailable_value", &DebeziumConfig::unavailable_value,
             "What stands for a TOASTed value that an update did not touch, in columns that can "
             "hold it; in others, and when it is empty, the field is left out.");
  return spec;
}

DebeziumFormat::DebeziumFormat(DebeziumConfig config, const std::string& database)
    : config_(std::move(config)), database_json_(Json(database)) {
  source_start_ = fmt::format(R"("source":{{"version":"{}","connector":"postgresql","name":{},)",
                              PGFLOW_VERSION, Json(config_.name));
}

void DebeziumFormat::SetSnapshotMark(std::string_view mark) {
  if (mark == snapshot_mark_) return;
  snapshot_mark_ = mark;
  source_lsn_.reset();
}

void DebeziumFormat::StartBatch() {
  plans_.StartBatch();
  now_micros_ = absl::ToUnixMicros(absl::Now());
  end_ = fmt::format(R"(","ts_ms":{},"ts_us":{},"ts_ns":{}000}})", now_micros_ / 1000, now_micros_,
                     now_micros_);
  source_lsn_.reset();
}

absl::StatusOr<const DebeziumFormat::Plan*> DebeziumFormat::PlanOf(
    const schemas::TableSchema& schema) {
  return plans_.Get(schema, [this](const schemas::TableSchema& table) { return Derive(table); });
}

absl::StatusOr<DebeziumFormat::Plan> DebeziumFormat::Derive(
    const schemas::TableSchema& schema) const {
  Plan plan;
  plan.source_json =
      fmt::format(R"("schema":{},"table":{},)", Json(schema.table.schema), Json(schema.table.name));
  plan.columns = DebeziumFieldsOf(schema, config_.forms(), !config_.unavailable_value.empty());
  plan.logical_messages = schemas::HoldsLogicalMessages(schema);
  return plan;
}

const DebeziumFormat::SchemaTexts& DebeziumFormat::TextsOf(
    const schemas::TableSchema& schema, const Plan& plan,
    const std::vector<size_t>& key_columns) const {
  if (plan.texts.has_value() && plan.texts->key_columns == key_columns) return *plan.texts;
  const std::string name = schema.table.ToString();
  const DebeziumTable table{.connector = config_.name,
                            .name = name,
                            .fields = plan.columns,
                            .key_columns = key_columns,
                            .strict = true};
  SchemaTexts& texts = plan.texts.emplace();
  texts.key_columns = key_columns;
  if (plan.logical_messages) {
    texts.key = "{\"schema\":" + DebeziumLogicalKeySchema() + ",\"payload\":";
    texts.value = "{\"schema\":" + DebeziumLogicalSchema() + ",\"payload\":";
    return texts;
  }
  texts.key = "{\"schema\":" + DebeziumKeySchema(table) + "},\"payload\":";
  texts.value = "{\"schema\":" + DebeziumEnvelopeSchema(table) + "},\"payload\":";
  return texts;
}

absl::Status DebeziumFormat::AppendKey(const Change& change, const std::vector<size_t>& columns,
                                       std::string& out) {
  PGFLOW_ASSIGN_OR_RETURN(const Plan* plan, PlanOf(*change.schema));
  if (config_.schemas) out += TextsOf(*change.schema, *plan, columns).key;
  char separator = '{';
  for (const size_t i : columns) {
    out.push_back(separator);
    separator = ',';
    out += plan->columns[i].name_json;
    PGFLOW_RETURN_IF_ERROR(
        AppendDebeziumValue(plan->columns[i].type, (*change.keyed_row())[i],
                            {.typed = config_.schemas, .clamps = config_.clamps()}, out));
  }
  out.push_back('}');
  if (config_.schemas) out.push_back('}');
  return absl::OkStatus();
}

absl::Status DebeziumFormat::AppendKeyHeader(const Change& change,
                                             const std::vector<size_t>& columns, std::string& out) {
  PGFLOW_ASSIGN_OR_RETURN(const Plan* plan, PlanOf(*change.schema));
  return AppendDebeziumKeyHeader(plan->columns, change, columns, config_.clamps(), out);
}

// kAborted: the column is optional from now on, and the schema has to say so.
absl::Status DebeziumFormat::AppendColumn(const Plan& plan, const Change& change, size_t i,
                                          const schemas::Value& value, std::string& out) const {
  DebeziumField& column = plan.columns[i];
  const size_t before = out.size();
  absl::Status status = AppendDebeziumValue(
      column.type, value, {.typed = config_.schemas, .clamps = config_.clamps()}, out);
  const bool replaced = !status.ok() && config_.unfit_values == DebeziumUnfit::kReplace;
  if (replaced) {
    out.resize(before);
    out += "null";
    status = absl::OkStatus();
  }
  if (!status.ok()) {
    return base::Annotate(
        status, fmt::format("table {}, column {}", change.schema->table.ToString(), column.name));
  }
  if ((replaced || value.is_null()) && column.required && config_.schemas) {
    column.required = false;
    plan.texts.reset();
    return absl::AbortedError("the schema was wrong");
  }
  return absl::OkStatus();
}

absl::Status DebeziumFormat::AppendRow(const Plan& plan, const Change& change,
                                       const RowValues* values, bool identity_only,
                                       std::string& out) const {
  if (values == nullptr) {
    out += "null";
    return absl::OkStatus();
  }
  const size_t start = out.size();
  out.push_back('{');
  for (size_t i = 0; i < plan.columns.size(); ++i) {
    const DebeziumField& column = plan.columns[i];
    const schemas::Value& value = (*values)[i];
    const size_t before = out.size();
    if (before > start + 1) out.push_back(',');
    out += column.name_json;
    if (value.is_unchanged()) {
      const bool stands = !config_.unavailable_value.empty() &&
                          AppendDebeziumPlaceholder(column.type, config_.unavailable_value, out);
      if (!stands && column.required && config_.schemas) {
        return base::MakeStatus(
            absl::StatusCode::kInvalidArgument,
            "table {}, column {}: an UPDATE left a large value as it was, so the source did not "
            "send it, and in this type there is no placeholder for that; ALTER TABLE {} REPLICA "
            "IDENTITY FULL",
            change.schema->table.ToString(), column.name,
            schemas::QuoteTable(change.schema->table));
      }
      if (!stands) out.resize(before);
    } else if (identity_only && !column.identity) {
      out += column.absent_json;
    } else {
      PGFLOW_RETURN_IF_ERROR(AppendColumn(plan, change, i, value, out));
    }
  }
  out.push_back('}');
  return absl::OkStatus();
}

void DebeziumFormat::MakeSourceTexts(const engine::Batch& batch, uint64_t lsn,
                                     const engine::TransactionSpan* span) {
  const int64_t micros = span == nullptr ? now_micros_ : absl::ToUnixMicros(span->commit_time);
  const uint64_t xid = span == nullptr ? batch.snapshot_xid() : span->xid;
  source_lsn_ = lsn;
  source_xid_ = span == nullptr ? 0 : span->xid;
  source_head_ =
      fmt::format(R"({}"ts_ms":{},"snapshot":"{}","db":{},"sequence":"[\"{}\",\")", source_start_,
                  micros / 1000, span == nullptr ? snapshot_mark_ : "false", database_json_, lsn);
  source_middle_ = fmt::format(R"(\"]","ts_us":{},"ts_ns":{}000,)", micros, micros);
  source_tail_ = fmt::format(R"("txId":{},"lsn":{},"xmin":null,)",
                             xid == 0 ? "null" : std::to_string(xid), lsn);
  const engine::TransactionOrigin* origin = span == nullptr ? nullptr : span->origin.get();
  if (origin == nullptr) {
    source_tail_ += R"("origin":null,"origin_lsn":null},"transaction":)";
  } else {
    source_tail_ += fmt::format(R"("origin":{},"origin_lsn":{}}},"transaction":)",
                                Json(origin->name), origin->lsn.value());
  }
}

void DebeziumFormat::AppendSource(const engine::Batch& batch, const engine::ChangeEvent& event,
                                  std::string_view table_json, std::string& out) {
  const engine::TransactionSpan* span =
      batch.is_snapshot() ? nullptr : &batch.transactions()[event.transaction];
  const engine::Position position = batch.PositionOf(event);
  const uint64_t lsn = position.commit_lsn.value();
  if (source_lsn_ != lsn || source_xid_ != (span == nullptr ? 0 : span->xid)) {
    MakeSourceTexts(batch, lsn, span);
  }
  out += source_head_;
  AppendDigits(position.ordinal, out);
  out += source_middle_;
  out += table_json;
  out += source_tail_;
  if (place_ == nullptr) {
    out += "null,";
    return;
  }
  out += fmt::format(R"({{"id":"{}","total_order":{},"data_collection_order":{}}},)", place_->id,
                     place_->total_order, place_->collection_order);
}

void DebeziumFormat::AppendEnd(std::string_view operation, std::string& out) const {
  out += R"("op":")";
  out += operation;
  out += end_;
}

absl::Status DebeziumFormat::AppendEnvelope(const engine::Batch& batch,
                                            const engine::ChangeEvent& event, const Plan& plan,
                                            const Change& change,
                                            const std::vector<size_t>& key_columns,
                                            std::string& out) {
  if (config_.schemas) out += TextsOf(*change.schema, plan, key_columns).value;
  if (plan.logical_messages) {
    PGFLOW_RETURN_IF_ERROR(AppendMessage(batch, event, plan, *change.after, out));
  } else {
    out += "{\"before\":";
    PGFLOW_RETURN_IF_ERROR(AppendRow(plan, change, change.before, !change.before_is_whole, out));
    out += ",\"after\":";
    PGFLOW_RETURN_IF_ERROR(AppendRow(plan, change, change.after, false, out));
    out.push_back(',');
    AppendSource(batch, event, plan.source_json, out);
    AppendEnd(DebeziumLetter(change.operation), out);
  }
  if (config_.schemas) out.push_back('}');
  return absl::OkStatus();
}

absl::Status DebeziumFormat::AppendValue(const engine::Batch& batch,
                                         const engine::ChangeEvent& event, const Change& change,
                                         const std::vector<size_t>& key_columns, std::string& out) {
  PGFLOW_ASSIGN_OR_RETURN(const Plan* plan, PlanOf(*change.schema));
  const size_t start = out.size();
  while (true) {
    absl::Status status = AppendEnvelope(batch, event, *plan, change, key_columns, out);
    // Once for each column at most.
    if (status.code() != absl::StatusCode::kAborted) return status;
    out.resize(start);
  }
}

absl::Status DebeziumFormat::AppendMessage(const engine::Batch& batch,
                                           const engine::ChangeEvent& event, const Plan& plan,
                                           const RowValues& row, std::string& out) {
  out += fmt::format(R"({{"op":"m","ts_ms":{},)", now_micros_ / 1000);
  AppendSource(batch, event, R"("schema":"","table":"",)", out);
  out += R"("message":{"prefix":)";
  PGFLOW_RETURN_IF_ERROR(AppendDebeziumValue(plan.columns[0].type, row[0], {}, out));
  out += R"(,"content":)";
  PGFLOW_RETURN_IF_ERROR(AppendDebeziumValue(plan.columns[1].type, row[1], {}, out));
  out += "}}";
  return absl::OkStatus();
}

absl::Status DebeziumFormat::AppendTransactionKey(const TransactionNote& note, std::string& out) {
  if (config_.schemas) out += "{\"schema\":" + DebeziumTransactionKeySchema() + ",\"payload\":";
  out += fmt::format(R"({{"id":"{}"}})", note.id);
  if (config_.schemas) out.push_back('}');
  return absl::OkStatus();
}

absl::Status DebeziumFormat::AppendTransactionValue(const TransactionNote& note, std::string& out) {
  if (config_.schemas) out += "{\"schema\":" + DebeziumTransactionSchema() + ",\"payload\":";
  out += fmt::format(R"({{"status":"{}","id":"{}",)", note.ends ? "END" : "BEGIN", note.id);
  if (note.ends) {
    out += fmt::format(R"("event_count":{},"data_collections":[)", note.event_count);
    for (const auto& [table, count] : *note.collections) {
      if (!out.ends_with('[')) out.push_back(',');
      out += fmt::format(R"({{"data_collection":{},"event_count":{}}})", Json(table), count);
    }
    out.push_back(']');
  } else {
    out += R"("event_count":null,"data_collections":null)";
  }
  out += fmt::format(R"(,"ts_ms":{}}})", note.commit_time_ms);
  if (config_.schemas) out.push_back('}');
  return absl::OkStatus();
}

absl::Status DebeziumFormat::AppendSchemaChange(const engine::Batch& batch,
                                                const engine::ChangeEvent& event,
                                                std::string& out) {
  out.push_back('{');
  AppendSource(batch, event, R"("schema":"","table":"",)", out);
  out += R"("message":{"prefix":"pgflow","content":)";
  out += event.ddl;
  out += "},";
  AppendEnd(DebeziumLetter(event.operation), out);
  return absl::OkStatus();
}

}  // namespace pgflow::sinks
