#include "sinks/encoding/avro_format.h"

#include <algorithm>
#include <utility>

#include <absl/time/clock.h>
#include <fmt/format.h>

#include "base/bytes.h"
#include "base/status.h"
#include "sinks/encoding/avro_binary.h"
#include "sinks/encoding/avro_schema.h"
#include "sinks/encoding/debezium_value.h"

namespace pgflow::sinks {

using engine::Operation;

namespace {

// The first branch of a union is null.
void AppendNull(std::string& out) { AppendAvroLong(0, out); }
void AppendSome(int64_t value, std::string& out) {
  AppendAvroLong(1, out);
  AppendAvroLong(value, out);
}

}  // namespace

config::ConfigSpec<AvroConfig> AvroSpec() {
  config::ConfigSpec<AvroConfig> spec;
  spec.Field("envelope", &AvroConfig::envelope,
             "What a value is: Debezium's envelope with the row before and after, or the row alone "
             "(a delete is then a tombstone, and a TRUNCATE cannot be said).")
      .Choice({{"debezium", AvroEnvelope::kDebezium}, {"row", AvroEnvelope::kRow}});
  spec.Field("subject", &AvroConfig::subject,
             "What a schema's subject is called: TOPIC-key and TOPIC-value (TopicNameStrategy), by "
             "the record's name (RecordNameStrategy), or TOPIC-RECORD (TopicRecordNameStrategy). A "
             "topic with several tables needs one of the last two.")
      .Choice({{"topic", AvroSubject::kTopic},
               {"record", AvroSubject::kRecord},
               {"topic_record", AvroSubject::kTopicRecord}});
  return spec;
}

AvroFormat::AvroFormat(AvroConfig avro, DebeziumConfig debezium, std::string database,
                       SchemaIds& ids)
    : avro_(avro), debezium_(std::move(debezium)), database_(std::move(database)), ids_(ids) {}

void AvroFormat::StartBatch() {
  plans_.StartBatch();
  now_micros_ = absl::ToUnixMicros(absl::Now());
}

bool AvroFormat::HasValue(const Change& change) const {
  return avro_.envelope == AvroEnvelope::kDebezium || change.operation != Operation::kDelete;
}

absl::StatusOr<const AvroFormat::Plan*> AvroFormat::PlanOf(const schemas::TableSchema& schema) {
  return plans_.Get(schema, [this](const schemas::TableSchema& table) -> absl::StatusOr<Plan> {
    Plan plan;
    plan.fields = DebeziumFieldsOf(table, debezium_.forms(), !debezium_.unavailable_value.empty());
    return plan;
  });
}

absl::Status AvroFormat::MakeSchema(const schemas::TableSchema& table, const Plan& plan,
                                    const std::vector<size_t>& key_columns, bool key,
                                    Schema& schema) const {
  const std::string name = table.table.ToString();
  const DebeziumTable debezium{.connector = debezium_.name,
                               .name = name,
                               .fields = plan.fields,
                               .key_columns = key_columns,
                               .strict = false};
  const bool envelope = avro_.envelope == AvroEnvelope::kDebezium;
  const std::string connect = key        ? DebeziumKeySchema(debezium)
                              : envelope ? DebeziumEnvelopeSchema(debezium)
                                         : DebeziumRowSchema(debezium);
  absl::StatusOr<std::string> text = AvroSchemaOf(connect + "}");
  schema.about = "table " + name;
  if (!text.ok()) return base::Annotate(text.status(), schema.about);
  schema.text = *std::move(text);
  schema.record = AvroFullName(fmt::format("{}.{}.{}", debezium_.name, name,
                                           key        ? "Key"
                                           : envelope ? "Envelope"
                                                      : "Value"));
  return absl::OkStatus();
}

// `part` is "key" or "value".
absl::Status AvroFormat::AppendHeader(Schema& schema, std::string_view part, std::string& out) {
  auto found = schema.ids.find(topic_);
  if (found == schema.ids.end()) {
    std::string subject;
    switch (avro_.subject) {
      case AvroSubject::kTopic:
        subject = fmt::format("{}-{}", topic_, part);
        break;
      case AvroSubject::kRecord:
        subject = schema.record;
        break;
      case AvroSubject::kTopicRecord:
        subject = fmt::format("{}-{}", topic_, schema.record);
        break;
    }
    PGFLOW_ASSIGN_OR_RETURN(
        const uint32_t id,
        ids_.IdOf(subject, schema.text, fmt::format("the {} of {}", part, schema.about)));
    found = schema.ids.emplace(topic_, id).first;
  }
  out.push_back('\0');
  base::AppendBigEndian(out, found->second);
  return absl::OkStatus();
}

absl::Status AvroFormat::AppendColumn(const DebeziumField& field, const schemas::Value& value,
                                      bool optional, std::string& out) const {
  if (!value.is_unchanged()) {
    const size_t start = out.size();
    const absl::Status status =
        AppendAvroValue(field.type, value, optional, debezium_.clamps(), out);
    if (status.ok() || !optional || debezium_.unfit_values == DebeziumUnfit::kRefuse) return status;
    out.resize(start);
    AppendNull(out);
    return absl::OkStatus();
  }
  const std::string& placeholder = debezium_.unavailable_value;
  if (!placeholder.empty() && AppendAvroPlaceholder(field.type, placeholder, optional, out)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      "an UPDATE left a large value as it was, so the source did not send it, and in this type "
      "there is no placeholder for that; ALTER TABLE ... REPLICA IDENTITY FULL");
}

absl::Status AvroFormat::AppendKey(const Change& change, const std::vector<size_t>& columns,
                                   std::string& out) {
  PGFLOW_ASSIGN_OR_RETURN(const Plan* plan, PlanOf(*change.schema));
  if (plan->key.text.empty()) {
    PGFLOW_RETURN_IF_ERROR(MakeSchema(*change.schema, *plan, columns, true, plan->key));
  }
  PGFLOW_RETURN_IF_ERROR(AppendHeader(plan->key, "key", out));
  for (const size_t i : columns) {
    const DebeziumField& field = plan->fields[i];
    const absl::Status status =
        AppendColumn(field, (*change.keyed_row())[i], !field.never_null, out);
    if (!status.ok()) {
      return base::Annotate(status, fmt::format("{}, column {}", plan->key.about, field.name));
    }
  }
  return absl::OkStatus();
}

absl::Status AvroFormat::AppendKeyHeader(const Change& change, const std::vector<size_t>& columns,
                                         std::string& out) {
  PGFLOW_ASSIGN_OR_RETURN(const Plan* plan, PlanOf(*change.schema));
  return AppendDebeziumKeyHeader(plan->fields, change, columns, debezium_.clamps(), out);
}

absl::Status AvroFormat::AppendRow(const Plan& plan, const Change& change, const RowValues& values,
                                   bool identity_only, const std::vector<size_t>& key_columns,
                                   std::string& out) const {
  for (size_t i = 0; i < plan.fields.size(); ++i) {
    const DebeziumField& field = plan.fields[i];
    const bool optional =
        !field.never_null || std::ranges::find(key_columns, i) == key_columns.end();
    if (identity_only && !field.identity) {
      AppendNull(out);
      continue;
    }
    const absl::Status status = AppendColumn(field, values[i], optional, out);
    if (!status.ok()) {
      return base::Annotate(
          status, fmt::format("table {}, column {}", change.schema->table.ToString(), field.name));
    }
  }
  return absl::OkStatus();
}

void AvroFormat::AppendSource(const engine::Batch& batch, const engine::ChangeEvent& event,
                              const schemas::TableName& table, std::string& out) const {
  const engine::TransactionSpan* span =
      batch.is_snapshot() ? nullptr : &batch.transactions()[event.transaction];
  const engine::Position position = batch.PositionOf(event);
  const int64_t micros = span == nullptr ? now_micros_ : absl::ToUnixMicros(span->commit_time);
  AppendAvroBytes(PGFLOW_VERSION, out);
  AppendAvroBytes("postgresql", out);
  AppendAvroBytes(debezium_.name, out);
  AppendAvroLong(micros / 1000, out);
  // It has a default, so null comes second in this union.
  AppendAvroLong(0, out);
  AppendAvroBytes(span == nullptr ? snapshot_mark_ : "false", out);
  AppendAvroBytes(database_, out);
  AppendAvroLong(1, out);
  AppendAvroBytes(fmt::format(R"(["{}","{}"])", position.commit_lsn.value(), position.ordinal),
                  out);
  AppendSome(micros, out);
  AppendSome(micros * 1000, out);
  AppendAvroBytes(table.schema, out);
  AppendAvroBytes(table.name, out);
  const uint64_t xid = span == nullptr ? batch.snapshot_xid() : span->xid;
  if (xid == 0) {
    AppendNull(out);
  } else {
    AppendSome(static_cast<int64_t>(xid), out);
  }
  AppendSome(static_cast<int64_t>(position.commit_lsn.value()), out);
  AppendNull(out);  // xmin
  if (span == nullptr || span->origin == nullptr) {
    AppendNull(out);
    AppendNull(out);
    return;
  }
  AppendAvroLong(1, out);
  AppendAvroBytes(span->origin->name, out);
  AppendSome(static_cast<int64_t>(span->origin->lsn.value()), out);
}

absl::Status AvroFormat::AppendValue(const engine::Batch& batch, const engine::ChangeEvent& event,
                                     const Change& change, const std::vector<size_t>& key_columns,
                                     std::string& out) {
  PGFLOW_ASSIGN_OR_RETURN(const Plan* plan, PlanOf(*change.schema));
  if (plan->value.text.empty()) {
    PGFLOW_RETURN_IF_ERROR(MakeSchema(*change.schema, *plan, key_columns, false, plan->value));
  }
  PGFLOW_RETURN_IF_ERROR(AppendHeader(plan->value, "value", out));
  if (avro_.envelope == AvroEnvelope::kRow) {
    if (change.after != nullptr) {
      return AppendRow(*plan, change, *change.after, false, key_columns, out);
    }
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "{}: a {} has no row, and avro.envelope: row has no other way to say "
                            "it; take avro.envelope: debezium, or give the sink a dead letter",
                            plan->value.about, engine::OperationName(change.operation));
  }
  for (const RowValues* row : {change.before, change.after}) {
    if (row == nullptr) {
      AppendNull(out);
      continue;
    }
    AppendAvroLong(1, out);
    const bool identity_only = row == change.before && !change.before_is_whole;
    PGFLOW_RETURN_IF_ERROR(AppendRow(*plan, change, *row, identity_only, key_columns, out));
  }
  AppendSource(batch, event, change.schema->table, out);
  if (place_ == nullptr) {
    AppendNull(out);
  } else {
    AppendAvroLong(1, out);
    AppendAvroBytes(place_->id, out);
    AppendAvroLong(static_cast<int64_t>(place_->total_order), out);
    AppendAvroLong(static_cast<int64_t>(place_->collection_order), out);
  }
  AppendAvroBytes(DebeziumLetter(change.operation), out);
  AppendSome(now_micros_ / 1000, out);
  AppendSome(now_micros_, out);
  AppendSome(now_micros_ * 1000, out);
  return absl::OkStatus();
}

absl::Status AvroFormat::AppendTransactionKey(const TransactionNote& note, std::string& out) {
  if (transaction_key_.text.empty()) {
    PGFLOW_ASSIGN_OR_RETURN(transaction_key_.text, AvroSchemaOf(DebeziumTransactionKeySchema()));
    transaction_key_.record = "io.debezium.connector.common.TransactionMetadataKey";
    transaction_key_.about = "transactions";
  }
  PGFLOW_RETURN_IF_ERROR(AppendHeader(transaction_key_, "key", out));
  AppendAvroBytes(note.id, out);
  return absl::OkStatus();
}

absl::Status AvroFormat::AppendTransactionValue(const TransactionNote& note, std::string& out) {
  if (transaction_.text.empty()) {
    PGFLOW_ASSIGN_OR_RETURN(transaction_.text, AvroSchemaOf(DebeziumTransactionSchema()));
    transaction_.record = "io.debezium.connector.common.TransactionMetadataValue";
    transaction_.about = "transactions";
  }
  PGFLOW_RETURN_IF_ERROR(AppendHeader(transaction_, "value", out));
  AppendAvroBytes(note.ends ? "END" : "BEGIN", out);
  AppendAvroBytes(note.id, out);
  if (note.ends) {
    AppendSome(static_cast<int64_t>(note.event_count), out);
    AppendAvroLong(1, out);
    AppendAvroLong(static_cast<int64_t>(note.collections->size()), out);
    for (const auto& [table, count] : *note.collections) {
      AppendAvroBytes(table, out);
      AppendAvroLong(static_cast<int64_t>(count), out);
    }
    // An end without messages has no block at all.
    if (!note.collections->empty()) AppendAvroLong(0, out);
  } else {
    AppendNull(out);
    AppendNull(out);
  }
  AppendAvroLong(note.commit_time_ms, out);
  return absl::OkStatus();
}

absl::Status AvroFormat::AppendSchemaChange(const engine::Batch& batch,
                                            const engine::ChangeEvent& event, std::string& out) {
  if (message_.text.empty()) {
    PGFLOW_ASSIGN_OR_RETURN(message_.text, AvroSchemaOf(DebeziumMessageSchema() + "}"));
    message_.record = "io.debezium.connector.postgresql.MessageValue";
    message_.about = "schema changes";
  }
  PGFLOW_RETURN_IF_ERROR(AppendHeader(message_, "value", out));
  AppendSource(batch, event, {}, out);
  AppendAvroBytes(DebeziumLetter(event.operation), out);
  AppendSome(now_micros_ / 1000, out);
  AppendAvroBytes("pgflow", out);
  AppendAvroLong(1, out);
  AppendAvroBytes(event.ddl, out);
  return absl::OkStatus();
}

}  // namespace pgflow::sinks
