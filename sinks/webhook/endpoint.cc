#include "sinks/webhook/endpoint.h"

#include <algorithm>
#include <utility>

#include <absl/time/clock.h>

#include "base/log.h"
#include "base/pause.h"
#include "base/status.h"
#include "http/client.h"

namespace pgflow::sinks {
namespace {

constexpr size_t kEventsMax = 4096;
constexpr uint64_t kBytesMax = 8 << 20;
// More than this is not looked past: then the refused ones come first again.
constexpr size_t kParkedMax = 10'000;
// Another lane may have put something in without a word.
constexpr absl::Duration kLook = absl::Milliseconds(500);

}  // namespace

void ShowBacklog(Outbox& outbox, int64_t subscription, engine::EndpointStatus& status) {
  const absl::StatusOr<Backlog> backlog = outbox.BacklogOf(subscription);
  if (!backlog.ok()) return;
  status.waiting = backlog->events;
  status.waiting_bytes = backlog->bytes;
}

absl::StatusOr<std::unique_ptr<Endpoint>> Endpoint::Make(const StoredSubscription& subscription,
                                                         const WebhookConfig& config,
                                                         WhenRefused when_refused, Outbox& outbox) {
  PGFLOW_ASSIGN_OR_RETURN(DeliveryOptions options, MakeDeliveryOptions(config));
  options.shown = fmt::format("endpoint {} ({})", subscription.key, options.shown);
  PGFLOW_ASSIGN_OR_RETURN(std::unique_ptr<http::Client> client,
                          http::Client::Make(ClientOptions(config)));
  std::unique_ptr<Endpoint> endpoint(
      new Endpoint(subscription, std::move(options), when_refused, outbox));
  endpoint->delivery_ = std::make_unique<Delivery>(endpoint->options_, std::move(client));
  return endpoint;
}

Endpoint::Endpoint(const StoredSubscription& subscription, DeliveryOptions options,
                   WhenRefused when_refused, Outbox& outbox)
    : id_(subscription.id),
      key_(subscription.key),
      row_(subscription.row),
      options_(std::move(options)),
      when_refused_(when_refused),
      outbox_(outbox) {
  status_.name = key_;
  status_.state = "delivering";
  status_.target = options_.shown;
}

Endpoint::~Endpoint() {
  thread_.request_stop();
  base::MutexLock lock(&mutex_);
  changed_.SignalAll();
}

void Endpoint::Start() {
  thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
}

void Endpoint::Wake() {
  base::MutexLock lock(&mutex_);
  woken_ = true;
  changed_.SignalAll();
}

void Endpoint::Finish(absl::Time until) {
  {
    base::MutexLock lock(&mutex_);
    finish_at_ = until;
    changed_.SignalAll();
  }
  std::jthread timer([this, until](const std::stop_token& stop) {
    if (base::Pause(until - absl::Now(), stop)) thread_.request_stop();
  });
  if (thread_.joinable()) thread_.join();
}

engine::EndpointStatus Endpoint::status() const {
  base::MutexLock lock(&mutex_);
  engine::EndpointStatus status = status_;
  ShowBacklog(outbox_, id_, status);
  return status;
}

void Endpoint::Run(const std::stop_token& stop) {
  absl::Duration pause = options_.retry_initial;
  while (!stop.stop_requested()) {
    {
      base::MutexLock lock(&mutex_);
      woken_ = false;
    }
    const absl::StatusOr<bool> delivered = DeliverSome(stop);
    if (stop.stop_requested()) return;
    Note(delivered.status());
    if (delivered.ok() && *delivered) {
      pause = options_.retry_initial;
      continue;
    }
    base::MutexLock lock(&mutex_);
    if (finish_at_ != absl::InfiniteFuture()) return;
    if (delivered.ok()) {
      if (!woken_) changed_.WaitWithTimeout(&mutex_, kLook);
      continue;
    }
    // New events are no reason to try earlier.
    const absl::Time until = absl::Now() + pause;
    pause = std::min(pause * 2, options_.retry_max);
    while (!stop.stop_requested() && finish_at_ == absl::InfiniteFuture() && absl::Now() < until) {
      changed_.WaitWithTimeout(&mutex_, until - absl::Now());
    }
  }
}

void Endpoint::Note(const absl::Status& status) {
  base::MutexLock lock(&mutex_);
  const bool refused = status.ok() && unpark_at_ != absl::InfiniteFuture();
  if (refused) return;  // Its error stays.
  const std::string error = status.ok() ? "" : std::string(base::Message(status));
  if (!error.empty() && status_.error.empty()) {
    base::LogWarning("subscription {}: {}; it is tried again", key_, error);
  }
  if (error.empty() && !status_.error.empty()) {
    base::LogInfo("subscription {}: it takes events again", key_);
  }
  status_.error = error;
  status_.state = error.empty() ? "delivering" : "failing";
}

absl::StatusOr<bool> Endpoint::DeliverSome(const std::stop_token& stop) {
  if (absl::Now() >= unpark_at_ || parked_.size() >= kParkedMax) {
    if (parked_.size() >= kParkedMax) base::Pause(options_.retry_max, stop);
    parked_.clear();
    parked_keys_.clear();
    all_parked_ = false;
    unpark_at_ = absl::InfiniteFuture();
  }
  if (all_parked_) return false;
  PGFLOW_ASSIGN_OR_RETURN(std::vector<OutboxMessage> read,
                          outbox_.Read(id_, kEventsMax + parked_.size(), kBytesMax));
  const std::vector<OutboxMessage> messages = TakeReady(std::move(read));
  if (messages.empty()) return false;
  const absl::Status sent = Send(messages, stop);
  const absl::Status settled = Settle(messages);
  if (!sent.ok()) delivery_->Reset();
  PGFLOW_RETURN_IF_ERROR(settled);
  // A refusal was dealt with; what it held back comes next.
  if (!sent.ok() && sent.code() != absl::StatusCode::kInvalidArgument) return sent;
  return true;
}

std::vector<OutboxMessage> Endpoint::TakeReady(std::vector<OutboxMessage> messages) {
  std::vector<OutboxMessage> ready;
  for (OutboxMessage& each : messages) {
    if (parked_.contains(each.sequence)) continue;
    const bool waits = all_parked_ || (each.barrier && !parked_.empty()) ||
                       parked_keys_.contains(each.message.key) ||
                       parked_keys_.contains(each.message.old_key);
    if (waits) {
      Park(each);
      continue;
    }
    ready.push_back(std::move(each));
  }
  return ready;
}

void Endpoint::Park(const OutboxMessage& each) {
  parked_.insert(each.sequence);
  parked_keys_.insert({each.message.key, each.message.old_key});
  all_parked_ = all_parked_ || each.barrier;
  if (unpark_at_ == absl::InfiniteFuture()) unpark_at_ = absl::Now() + options_.retry_max;
}

absl::Status Endpoint::Send(const std::vector<OutboxMessage>& messages,
                            const std::stop_token& stop) {
  for (size_t i = 0; i < messages.size(); ++i) {
    WebhookMessage message = messages[i].message;
    message.event = i;
    message.table = &messages[i].table;
    PGFLOW_RETURN_IF_ERROR(messages[i].barrier ? delivery_->AddAlone(std::move(message), stop)
                                               : delivery_->Add(std::move(message), stop));
  }
  return delivery_->Drain(stop);
}

absl::Status Endpoint::Settle(const std::vector<OutboxMessage>& messages) {
  std::vector<engine::Position> answered = delivery_->TakeAnswered();
  std::ranges::sort(answered);
  std::vector<int64_t> done;
  for (const OutboxMessage& each : messages) {
    if (std::ranges::binary_search(answered, each.message.position)) done.push_back(each.sequence);
  }
  const size_t delivered = done.size();
  std::string error;
  for (const Delivery::Refusal& refusal : delivery_->TakeRefusals()) {
    const OutboxMessage& each = messages[refusal.event];
    error = base::Message(refusal.error);
    if (when_refused_ == WhenRefused::kRetry) {
      Park(each);
      continue;
    }
    base::LogError("subscription {}: {}; it is dropped, as configured", key_, error);
    done.push_back(each.sequence);
  }
  // Together, so that nobody sees an event neither waiting nor delivered.
  base::MutexLock lock(&mutex_);
  if (!done.empty()) PGFLOW_RETURN_IF_ERROR(outbox_.Done(id_, done));
  status_.delivered += delivered;
  status_.dropped += done.size() - delivered;
  if (!error.empty() && when_refused_ == WhenRefused::kRetry) {
    if (status_.error.empty()) base::LogWarning("subscription {}: {}", key_, error);
    status_.error = error;
    status_.state = "refusing";
  }
  return absl::OkStatus();
}

}  // namespace pgflow::sinks
