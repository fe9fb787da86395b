// MessageMaker: what an endpoint is sent of an event: its body, its name, and what it must not
// overtake.
//
// One thread. Errors: kDataLoss when a row does not fit its schema; kFailedPrecondition when a
// template names a column that the table lacks; those of the encoding.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include <absl/status/statusor.h>

#include "engine/api/batch.h"
#include "engine/api/sink.h"
#include "sinks/encoding/event_encoder.h"
#include "sinks/webhook/delivery.h"
#include "sinks/webhook/event_order.h"
#include "sinks/webhook/payload_template.h"
#include "sinks/webhook/webhook_config.h"

namespace pgflow::sinks {

class MessageMaker {
 public:
  // kInvalidArgument: a mistake in the configuration.
  static absl::StatusOr<std::unique_ptr<MessageMaker>> Make(const WebhookConfig& config,
                                                            const engine::SinkContext& context);

  // Before the first event of each batch.
  void StartBatch();
  void StartRange(const engine::BlockRange& range) { order_.StartRange(range); }

  // `index`: of the event, for refusals. The message points into the event's schema. That of a
  // barrier has no key.
  absl::StatusOr<WebhookMessage> Make(const engine::Batch& batch, const engine::ChangeEvent& event,
                                      size_t index);

  // It waits for everything before it, and everything behind it waits for it.
  static bool IsBarrier(const engine::ChangeEvent& event) {
    return event.operation == engine::Operation::kTruncate ||
           event.operation == engine::Operation::kSchemaChange;
  }

 private:
  MessageMaker(std::string id_start, KeyChoice keys, std::unique_ptr<EventEncoder> encoder,
               std::optional<PayloadTemplate> payload)
      : id_start_(std::move(id_start)),
        payload_(std::move(payload)),
        encoder_(std::move(encoder)),
        order_(std::move(keys)) {}
  absl::StatusOr<std::string> BodyOf(const engine::Batch& batch, const engine::ChangeEvent& event);

  const std::string id_start_;  // Where positions of several logs come to one receiver.
  std::optional<PayloadTemplate> payload_;
  const std::unique_ptr<EventEncoder> encoder_;
  EventOrder order_;
};

}  // namespace pgflow::sinks
