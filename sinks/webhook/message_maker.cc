#include "sinks/webhook/message_maker.h"

#include <span>
#include <string_view>
#include <utility>

#include "base/check.h"
#include "base/status.h"
#include "engine/api/part_name.h"

namespace pgflow::sinks {

absl::StatusOr<std::unique_ptr<MessageMaker>> MessageMaker::Make(
    const WebhookConfig& config, const engine::SinkContext& context) {
  PGFLOW_ASSIGN_OR_RETURN(KeyChoice keys, KeyChoice::Make(config.encoding.keys));
  PGFLOW_ASSIGN_OR_RETURN(std::unique_ptr<EventEncoder> encoder,
                          EventEncoder::Make(config.encoding, {.pipeline = context.pipeline,
                                                               .database = context.database,
                                                               .placement = Placement::kInOrder}));
  PGFLOW_ASSIGN_OR_RETURN(std::optional<PayloadTemplate> payload, MakeTemplate(config));
  const std::string_view part = engine::PartOf(context.pipeline);
  std::string id_start = part.empty() ? "" : fmt::format("{}/", part);
  return std::unique_ptr<MessageMaker>(new MessageMaker(std::move(id_start), std::move(keys),
                                                        std::move(encoder), std::move(payload)));
}

void MessageMaker::StartBatch() {
  if (payload_.has_value()) payload_->StartBatch();
  encoder_->StartBatch();
  order_.StartBatch();
}

absl::StatusOr<WebhookMessage> MessageMaker::Make(const engine::Batch& batch,
                                                  const engine::ChangeEvent& event, size_t index) {
  WebhookMessage message;
  message.position = batch.PositionOf(event);
  message.event = index;
  message.table = &event.schema->table;
  PGFLOW_ASSIGN_OR_RETURN(message.body, BodyOf(batch, event));
  if (batch.is_snapshot()) {
    PGFLOW_ASSIGN_OR_RETURN(message.id, order_.SnapshotRowId(message.position, event));
  } else {
    message.id = id_start_ + message.position.ToString();
  }
  if (IsBarrier(event)) return message;
  PGFLOW_ASSIGN_OR_RETURN(const EventKeys keys, order_.KeysOf(event));
  message.key = keys.key;
  message.old_key = keys.old_key;
  return message;
}

absl::StatusOr<std::string> MessageMaker::BodyOf(const engine::Batch& batch,
                                                 const engine::ChangeEvent& event) {
  std::string_view whole;
  if (!payload_.has_value() || payload_->needs_event()) {
    PGFLOW_ASSIGN_OR_RETURN(const std::span<const EncodedMessage> encoded,
                            encoder_->Encode(batch, event));
    PGFLOW_CHECK(encoded.size() == 1, "an event in order is one message");
    whole = encoded.front().value;
  }
  if (!payload_.has_value()) return std::string(whole);
  return payload_->Render(batch, event, whole);
}

}  // namespace pgflow::sinks
