// Endpoint: delivers what the outbox owes to one subscription, on a thread of its own.
//
// Whatever its receiver does concerns nobody else: errors are tried again for ever, with a pause
// that grows, and shown by status(). Owned by the sink; the outbox must outlive it. The thread
// starts with Start and ends with the object; what was on its way then comes again.
//
// Thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>
#include <unordered_set>
#include <vector>

#include <absl/base/thread_annotations.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include "base/mutex.h"
#include "engine/api/pipeline_status.h"
#include "sinks/webhook/delivery.h"
#include "sinks/webhook/outbox.h"
#include "sinks/webhook/webhook_config.h"

namespace pgflow::sinks {

// Fills in what waits for that subscription.
void ShowBacklog(Outbox& outbox, int64_t subscription, engine::EndpointStatus& status);

class Endpoint {
 public:
  // `config`: of this endpoint alone. kInvalidArgument: it cannot be one.
  static absl::StatusOr<std::unique_ptr<Endpoint>> Make(const StoredSubscription& subscription,
                                                        const WebhookConfig& config,
                                                        WhenRefused when_refused, Outbox& outbox);
  ~Endpoint();

  void Start();
  // There is more in the outbox.
  void Wake();
  // Ends when nothing waits any more, its receiver fails, or that time has come.
  void Finish(absl::Time until);

  const std::string& row() const { return row_; }
  engine::EndpointStatus status() const;

 private:
  Endpoint(const StoredSubscription& subscription, DeliveryOptions options,
           WhenRefused when_refused, Outbox& outbox);

  void Run(const std::stop_token& stop);
  // True when there was something to deliver and it went well.
  absl::StatusOr<bool> DeliverSome(const std::stop_token& stop);
  // Leaves out what has to wait behind a refused event.
  std::vector<OutboxMessage> TakeReady(std::vector<OutboxMessage> messages);
  absl::Status Send(const std::vector<OutboxMessage>& messages, const std::stop_token& stop);
  // What became of them.
  absl::Status Settle(const std::vector<OutboxMessage>& messages);
  void Park(const OutboxMessage& message);
  void Note(const absl::Status& status);

  const int64_t id_;
  const std::string key_;
  const std::string row_;
  const DeliveryOptions options_;
  const WhenRefused when_refused_;
  Outbox& outbox_;

  // Of the thread. What waits behind a refused event until unpark_at_: by sequence, and the keys.
  std::unique_ptr<Delivery> delivery_;
  std::unordered_set<int64_t> parked_;
  std::unordered_set<uint64_t> parked_keys_;
  bool all_parked_ = false;
  absl::Time unpark_at_ = absl::InfiniteFuture();

  mutable base::Mutex mutex_;
  base::CondVar changed_;
  bool woken_ ABSL_GUARDED_BY(mutex_) = true;
  absl::Time finish_at_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteFuture();
  engine::EndpointStatus status_ ABSL_GUARDED_BY(mutex_);  // Without what waits.
  // Last: it uses the others.
  std::jthread thread_;
};

}  // namespace pgflow::sinks
