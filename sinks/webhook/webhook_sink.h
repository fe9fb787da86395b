// WebhookSink: every event as a signed POST to one endpoint, alone or in arrays.
//
// At least once: after an error or a restart what was not answered comes again, with the same
// Idempotency-Key (a stream event's position), by which a receiver drops it. Events of one key keep
// their order; a truncate or schema change waits for everything before it, and everything behind it
// waits for it. What a receiver may answer is in sinks/webhook/answer.h; what follows from it in
// sinks/webhook/delivery.h. The checkpoint is the runtime's.
//
// Threads: as engine/api/sink.h says; each lane has its own connections. Errors: those of Delivery.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/api/registry.h"
#include "engine/api/sink.h"
#include "sinks/webhook/webhook_config.h"

namespace pgflow::sinks {

class WebhookSink final : public engine::Sink {
 public:
  static absl::StatusOr<std::unique_ptr<engine::Sink>> Make(WebhookConfig config);
  ~WebhookSink() override;

  absl::Status Open(const engine::SinkContext& context, std::stop_token stop) override;
  absl::StatusOr<std::vector<engine::Finding>> Check(const schemas::DatabaseDefinition& definition,
                                                     std::span<const engine::TablePlan> tables,
                                                     std::stop_token stop) override;
  // Lanes must not outlive the sink, nor be used across an Open.
  absl::StatusOr<std::unique_ptr<engine::SnapshotLane>> OpenLane(std::stop_token stop) override;
  absl::StatusOr<engine::WriteResult> Write(const engine::Window& window,
                                            std::stop_token stop) override;
  absl::StatusOr<engine::StreamPoint> Durable(std::stop_token stop) override;

 private:
  class Feed;
  class Lane;

  WebhookSink(WebhookConfig config, DeliveryOptions options, Subscription subscription);
  absl::StatusOr<std::unique_ptr<Feed>> MakeFeed() const;
  void CheckTable(const engine::TablePlan& table, std::vector<engine::Finding>& findings) const;
  absl::Status Send(const engine::Window& window, const std::stop_token& stop);
  void KeepAnswered();

  const WebhookConfig config_;
  const DeliveryOptions options_;
  const Subscription subscription_;
  engine::SinkContext context_;
  std::unique_ptr<Feed> feed_;
  engine::StreamPoint written_;
  // Events behind the last checkpoint that the endpoint has taken, in order: when they come again
  // because a later one failed, they are not sent again. As long as this process lives.
  std::vector<engine::Position> answered_;
  size_t answered_sorted_ = 0;  // Of them.
};

engine::ComponentType<engine::Sink> WebhookSinkType();

}  // namespace pgflow::sinks
