// SubscribedSink: every change as a signed POST to the endpoints that a table of the source names.
//
// The table's own changes come through the same stream, so a row counts exactly from its own place
// on. What is wanted goes into an outbox, in one transaction with the checkpoint and the
// subscriptions as they are there; from it each endpoint is served by itself (endpoint.h). So an
// endpoint that is down holds back nobody, and a change that comes again after a crash is not put
// in again, nor judged by subscriptions that are newer than it.
//
// Threads: as engine/api/sink.h says; one more for each endpoint, from Open on.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include <absl/base/thread_annotations.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "base/mutex.h"
#include "engine/api/sink.h"
#include "sinks/webhook/endpoint.h"
#include "sinks/webhook/message_maker.h"
#include "sinks/webhook/outbox.h"
#include "sinks/webhook/subscription_book.h"
#include "sinks/webhook/webhook_config.h"

namespace pgflow::sinks {

class SubscribedSink final : public engine::Sink {
 public:
  // Of a configuration with `subscriptions`. kInvalidArgument.
  static absl::StatusOr<std::unique_ptr<engine::Sink>> Make(WebhookConfig config);
  ~SubscribedSink() override;

  absl::Status Open(const engine::SinkContext& context, std::stop_token stop) override;
  engine::CheckpointStore* checkpoint_store() override { return store_.get(); }
  absl::StatusOr<std::optional<engine::SinkCheckpoint>> PeekCheckpoint(
      const engine::SinkContext& context, std::stop_token stop) override;
  absl::StatusOr<std::vector<engine::Finding>> Check(const schemas::DatabaseDefinition& definition,
                                                     std::span<const engine::TablePlan> tables,
                                                     std::stop_token stop) override;
  absl::Status ResetTable(const engine::TablePlan& table, std::stop_token stop) override;
  absl::StatusOr<std::unique_ptr<engine::SnapshotLane>> OpenLane(std::stop_token stop) override;
  // kResourceExhausted: an endpoint's backlog is full.
  absl::StatusOr<engine::WriteResult> Write(const engine::Window& window,
                                            std::stop_token stop) override;
  absl::StatusOr<engine::StreamPoint> Durable(std::stop_token /*stop*/) override {
    return written_;
  }
  std::vector<engine::EndpointStatus> endpoints() const override;
  absl::Status Close(std::stop_token stop) override;

 private:
  class Lane;

  SubscribedSink(WebhookConfig config, schemas::TableName table)
      : config_(std::move(config)), table_(std::move(table)), book_(config_) {}
  absl::Status LoadBook();
  absl::Status LimitBacklogs();
  absl::Status Take(engine::Batch& batch);
  absl::Status Put(const engine::Batch& batch, const engine::ChangeEvent& event, size_t index);
  absl::Status Commit(const engine::Window& window);
  // Ends those whose row is another one now, and those that lose what waits for them: what is put
  // in from here on is not for them.
  void EndOutdated(const std::vector<int64_t>& forgotten);
  // Starts and ends endpoints as the book says.
  void SyncEndpoints();
  engine::EndpointStatus StatusOf(const BookedSubscription& booked) const;

  const WebhookConfig config_;
  const schemas::TableName table_;
  bool delivers_ = true;  // Else it only puts in, beside the sink that delivers.
  std::unique_ptr<Outbox> outbox_;
  std::unique_ptr<engine::CheckpointStore> store_;
  std::unique_ptr<MessageMaker> maker_;
  SubscriptionBook book_;
  std::atomic<bool> reload_{true};  // A lane of the snapshot has brought rows of the table.
  bool inside_ = false;             // A transaction that goes on in the next window.
  OutboxEdit edit_;
  std::set<int64_t> added_to_;  // Since the last commit.
  engine::StreamPoint written_;

  mutable base::Mutex mutex_;
  std::map<int64_t, std::unique_ptr<Endpoint>> endpoints_ ABSL_GUARDED_BY(mutex_);
  std::map<int64_t, std::string> ended_ ABSL_GUARDED_BY(mutex_);  // Of these: why.
  // Of those that are not served.
  std::vector<engine::EndpointStatus> others_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace pgflow::sinks
