#include "transformers/outbox/outbox_transformer.h"

#include <algorithm>
#include <cctype>
#include <optional>
#include <string>
#include <utility>

#include "base/log.h"
#include "base/status.h"
#include "sinks/encoding/json_value.h"
#include "sinks/encoding/row_name.h"
#include "sinks/encoding/type_text.h"
#include "transformers/outbox/json_object.h"

namespace pgflow::transformers {

using engine::ChangeEvent;
using engine::Operation;
using schemas::Value;
using schemas::ValueKind;

namespace {

config::ConfigSpec<OutboxField> OutboxFieldSpec() {
  config::ConfigSpec<OutboxField> spec;
  spec.Field("field", &OutboxField::field, "A column of the table, or a member of the message.")
      .Required()
      .Example("type");
  spec.Field("placement", &OutboxField::placement,
             "header: a header of the message. envelope: the value is an object with the payload "
             "under `payload` and this beside it.")
      .Choice({{"header", OutboxPlacement::kHeader}, {"envelope", OutboxPlacement::kEnvelope}});
  spec.Field("as", &OutboxField::as, "What it is called there; empty: by its own name.")
      .Example("eventType");
  return spec;
}

absl::Status Invalid(std::string_view what) {
  return base::MakeStatus(absl::StatusCode::kInvalidArgument, "outbox: {}", what);
}

Value StoredText(engine::Batch& batch, std::string_view text) {
  const std::string_view stored = batch.Store(text);
  return {stored.data(), static_cast<uint32_t>(stored.size()), ValueKind::kText};
}

ChangeEvent MessageOf(const ChangeEvent& event, const schemas::TableSchemaPtr& topic,
                      std::span<const Value> values) {
  ChangeEvent message = event;
  message.schema = topic.get();
  message.before = schemas::RowView();
  message.before_image = engine::BeforeImage::kNone;
  message.after = schemas::RowView::Values(values);
  return message;
}

bool IsBlank(std::string_view text) {
  return std::ranges::all_of(text, [](unsigned char c) { return std::isspace(c) != 0; });
}

absl::StatusOr<std::string> TextOf(const schemas::Column& column, const Value& value) {
  std::string text;
  if (sinks::AppendValueText(value, sinks::FindTypeText(column), text)) return text;
  return base::MakeStatus(absl::StatusCode::kInvalidArgument, "column '{}' cannot be read as text",
                          column.name);
}

}  // namespace

config::ConfigSpec<OutboxConfig> OutboxSpec() {
  config::ConfigSpec<OutboxConfig> spec;
  spec.Field("table", &OutboxConfig::table,
             "The table that messages are inserted into: schema.name. Either this or "
             "message_prefix.")
      .Example("public.outbox");
  spec.Field("message_prefix", &OutboxConfig::message_prefix,
             "Logical messages with this prefix (pg_logical_emit_message; `messages` of the source "
             "has to let them in) are the messages: JSON objects whose members are the fields.")
      .Example("outbox");
  spec.Field("topic", &OutboxConfig::topic,
             "The topic of a message: {routed_by_value} is the value of `route_by`.");
  spec.Field("route_by", &OutboxConfig::route_by, "The field that chooses the topic.");
  spec.Field("event_id", &OutboxConfig::event_id,
             "The field that tells messages apart; it is the header `id`.");
  spec.Field("event_key", &OutboxConfig::event_key, "The field that is the message's key.");
  spec.Field("event_payload", &OutboxConfig::event_payload,
             "The field that is the message's value, as it is.");
  spec.Section("additional", &OutboxConfig::additional, OutboxFieldSpec(),
               "Other fields that go with the message.");
  spec.Field("additional_missing", &OutboxConfig::additional_missing,
             "What a table or message without one of those does.")
      .Choice({{"error", OutboxMissing::kError}, {"ignore", OutboxMissing::kIgnore}});
  spec.Field("tombstone_on_empty_payload", &OutboxConfig::tombstone_on_empty_payload,
             "A message whose payload is empty has no value, so that a compacted topic forgets its "
             "key.");
  spec.Field("on_update", &OutboxConfig::on_update,
             "An outbox is written once. warn: an update is left out with a line in the log. "
             "fatal: it stops the pipeline, or goes to the dead letter.")
      .Choice({{"warn", OutboxUpdate::kWarn}, {"fatal", OutboxUpdate::kFatal}});
  return spec;
}

absl::StatusOr<std::unique_ptr<engine::Transformer>> OutboxTransformer::Make(OutboxConfig config) {
  if (config.table.empty() == config.message_prefix.empty()) {
    return Invalid("it needs either `table` or `message_prefix`");
  }
  if (!config.table.empty() && config.table.find('.') == std::string::npos) {
    return Invalid(fmt::format("table '{0}' names no schema; write 'public.{0}'", config.table));
  }
  const size_t at = config.topic.find('{');
  const bool good = at == std::string::npos
                        ? !config.topic.empty()
                        : config.topic.substr(at).starts_with("{routed_by_value}") &&
                              config.topic.find('{', at + 1) == std::string::npos;
  if (!good) {
    return Invalid(fmt::format("topic '{}': a name in which {{routed_by_value}} may stand once",
                               config.topic));
  }
  return std::make_unique<OutboxTransformer>(std::move(config));
}

absl::StatusOr<OutboxTransformer::PlanPtr> OutboxTransformer::PlanOf(
    const schemas::TableSchemaPtr& schema) {
  return plans_.Get(schema, [this](const schemas::TableSchemaPtr& seen) {
    return DeriveOutboxPlan(config_, seen);
  });
}

absl::StatusOr<schemas::TableSchemaPtr> OutboxTransformer::TransformSchema(
    const schemas::TableSchemaPtr& schema) {
  PGFLOW_ASSIGN_OR_RETURN(const PlanPtr plan, PlanOf(schema));
  return plan->topics == nullptr ? schema : plan->topics->schema();
}

absl::Status OutboxTransformer::Transform(engine::Batch& batch) {
  if (const engine::CopyRows* rows = batch.raw_rows()) {
    PGFLOW_ASSIGN_OR_RETURN(const PlanPtr plan, PlanOf(rows->schema));
    if (plan->topics == nullptr) return absl::OkStatus();
  }
  PGFLOW_ASSIGN_OR_RETURN(std::vector<ChangeEvent>* const events, batch.MutableEvents());
  std::vector<ChangeEvent> sent;
  sent.reserve(events->size());
  const schemas::TableSchema* schema = nullptr;
  PlanPtr plan;
  for (const ChangeEvent& event : *events) {
    if (event.operation == Operation::kSchemaChange) {
      sent.push_back(event);
      sent.back().ddl_transformed |= event.schema->table.ToString() == config_.table;
      continue;
    }
    if (event.schema != schema) {
      schema = event.schema;
      PGFLOW_ASSIGN_OR_RETURN(plan, PlanOf(batch.OwnerOf(schema)));
    }
    if (plan->topics == nullptr) {
      sent.push_back(event);
      continue;
    }
    absl::Status status = Append(batch, *plan, event, sent);
    if (status.ok()) continue;
    if (!batch.is_snapshot()) {
      base::SetPayload(status, engine::kCulpritPayload, batch.PositionOf(event).ToString());
    }
    return status;
  }
  *events = std::move(sent);
  return absl::OkStatus();
}

absl::Status OutboxTransformer::Append(engine::Batch& batch, const OutboxPlan& plan,
                                       const ChangeEvent& event,
                                       std::vector<ChangeEvent>& out) const {
  Values row;
  if (event.operation == Operation::kUpdate) {
    event.after.Decode(row);
    const std::string name = sinks::RowName(*event.schema, row);
    if (config_.on_update == OutboxUpdate::kFatal) {
      return Invalid(
          fmt::format("{}: an UPDATE of the outbox, whose rows are messages that were "
                      "sent (on_update: warn leaves it out)",
                      name));
    }
    base::LogWarning(
        "outbox: {}: an UPDATE is left out, because its rows are messages that were "
        "sent",
        name);
    return absl::OkStatus();
  }
  // A message that was sent may be deleted.
  if (event.operation != Operation::kInsert && event.operation != Operation::kRead) {
    return absl::OkStatus();
  }
  event.after.Decode(row);
  absl::StatusOr<ChangeEvent> message;
  if (plan.source == OutboxPlan::Source::kTable) {
    message = FromRow(batch, plan, event, row);
  } else {
    if (row[0].view() != config_.message_prefix) {
      out.push_back(event);
      return absl::OkStatus();
    }
    message = FromMessage(batch, plan, event, row[1].view());
  }
  if (!message.ok()) {
    return base::MakeStatus(message.status().code(), "outbox: {}: {}",
                            sinks::RowName(*event.schema, row), base::Message(message.status()));
  }
  out.push_back(*message);
  return absl::OkStatus();
}

absl::StatusOr<std::string> OutboxTransformer::Envelope(const OutboxPlan& plan,
                                                        const schemas::TableSchema& schema,
                                                        const Values& row) const {
  std::string json = "{\"payload\":";
  const auto append = [&](size_t column) {
    if (row[column].is_null()) {
      json += "null";
    } else {
      sinks::AppendJsonValue(row[column], sinks::FindTypeText(schema.columns[column]), json);
    }
  };
  append(plan.payload);
  for (const auto& [name, column] : plan.envelope) {
    json.push_back(',');
    sinks::AppendJsonName(name, json);
    json.push_back(':');
    append(column);
  }
  json.push_back('}');
  return json;
}

absl::StatusOr<ChangeEvent> OutboxTransformer::FromRow(engine::Batch& batch, const OutboxPlan& plan,
                                                       const ChangeEvent& event,
                                                       const Values& row) const {
  if (row[plan.route_by].is_null()) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "column '{}', which names its topic, is NULL", config_.route_by);
  }
  PGFLOW_ASSIGN_OR_RETURN(const std::string value,
                          TextOf(event.schema->columns[plan.route_by], row[plan.route_by]));
  PGFLOW_ASSIGN_OR_RETURN(const schemas::TableSchemaPtr topic, plan.topics->Get(value));
  const std::span<Value> values = batch.NewValues(2 + plan.headers.size());
  values[0] = row[plan.key];
  values[1] = row[plan.payload];
  bool empty = values[1].is_null();
  if (!empty && config_.tombstone_on_empty_payload) {
    PGFLOW_ASSIGN_OR_RETURN(const std::string payload,
                            TextOf(event.schema->columns[plan.payload], values[1]));
    empty = IsBlank(payload);
  }
  if (empty && config_.tombstone_on_empty_payload) {
    values[1] = Value();
  } else if (!plan.envelope.empty()) {
    PGFLOW_ASSIGN_OR_RETURN(const std::string json, Envelope(plan, *event.schema, row));
    values[1] = StoredText(batch, json);
  }
  for (size_t i = 0; i < plan.headers.size(); ++i) values[2 + i] = row[plan.headers[i]];
  batch.KeepAlive(topic);
  return MessageOf(event, topic, values);
}

absl::StatusOr<ChangeEvent> OutboxTransformer::FromMessage(engine::Batch& batch,
                                                           const OutboxPlan& plan,
                                                           const ChangeEvent& event,
                                                           std::string_view content) const {
  const std::optional<std::vector<JsonMember>> members = JsonMembersOf(content);
  if (!members.has_value()) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "the message's content is no JSON object");
  }
  const auto find = [&](const std::string& name) -> const JsonMember* {
    const auto found = std::ranges::find(*members, name, &JsonMember::name);
    return found == members->end() ? nullptr : &*found;
  };
  for (const std::string& name :
       {config_.route_by, config_.event_id, config_.event_key, config_.event_payload}) {
    if (find(name) != nullptr) continue;
    return base::MakeStatus(absl::StatusCode::kInvalidArgument, "the message has no member '{}'",
                            name);
  }
  PGFLOW_ASSIGN_OR_RETURN(const schemas::TableSchemaPtr topic,
                          plan.topics->Get(find(config_.route_by)->Text()));
  const std::span<Value> values = batch.NewValues(topic->columns.size());
  const auto set = [&](size_t at, const JsonMember& member) {
    if (!member.is_null()) values[at] = StoredText(batch, member.Text());
  };
  set(0, *find(config_.event_key));
  const JsonMember& payload = *find(config_.event_payload);
  std::string envelope = fmt::format("{{\"payload\":{}", payload.json);
  set(2, *find(config_.event_id));
  size_t at = 3;
  for (const OutboxField& field : config_.additional) {
    const JsonMember* member = find(field.field);
    if (member == nullptr && config_.additional_missing == OutboxMissing::kError) {
      return base::MakeStatus(absl::StatusCode::kInvalidArgument, "the message has no member '{}'",
                              field.field);
    }
    if (field.placement == OutboxPlacement::kHeader) {
      if (member != nullptr) set(at, *member);
      ++at;
    } else if (member != nullptr) {
      envelope.push_back(',');
      sinks::AppendJsonName(field.name(), envelope);
      envelope += fmt::format(":{}", member->json);
    }
  }
  envelope.push_back('}');
  const bool empty = payload.is_null() || IsBlank(payload.Text());
  if (!empty || !config_.tombstone_on_empty_payload) {
    if (config_.has_envelope()) {
      values[1] = StoredText(batch, envelope);
    } else {
      set(1, payload);
    }
  }
  batch.KeepAlive(topic);
  return MessageOf(event, topic, values);
}

std::vector<engine::Finding> OutboxTransformer::Check(
    std::span<const schemas::TableSchemaPtr> tables) const {
  if (config_.table.empty()) return {};
  return engine::UnmatchedPatterns(std::span(&config_.table, 1), tables);
}

engine::ComponentType<engine::Transformer> OutboxType() {
  return engine::MakeComponentType<engine::Transformer, OutboxConfig>(
      "outbox", "Sends the messages of an outbox to the topics that they name.", "", &OutboxSpec,
      &OutboxTransformer::Make);
}

}  // namespace pgflow::transformers
