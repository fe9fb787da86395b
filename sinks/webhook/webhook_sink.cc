#include "sinks/webhook/webhook_sink.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/status.h"
#include "sinks/encoding/event_encoder.h"
#include "sinks/webhook/delivery.h"
#include "sinks/webhook/message_maker.h"
#include "sinks/webhook/subscribed_sink.h"

namespace pgflow::sinks {
namespace {

// 16 MB of positions. Of what comes after them, some is sent twice when a request fails.
constexpr size_t kAnsweredMax = 1 << 20;

}  // namespace

// From events to messages that are delivered. One thread.
class WebhookSink::Feed {
 public:
  Feed(const DeliveryOptions& options, Subscription subscription,
       std::unique_ptr<MessageMaker> maker, std::unique_ptr<http::Client> client)
      : subscription_(std::move(subscription)),
        maker_(std::move(maker)),
        delivery_(options, std::move(client)) {}

  Delivery& delivery() { return delivery_; }
  void StartBatch() {
    subscription_.StartBatch();
    maker_->StartBatch();
  }
  void StartRange(const engine::BlockRange& range) { maker_->StartRange(range); }

  absl::StatusOr<bool> Wants(const engine::ChangeEvent& event) {
    return subscription_.Wants(event);
  }

  // The event's batch must live until it is delivered.
  absl::Status Add(const engine::Batch& batch, const engine::ChangeEvent& event, size_t index,
                   const std::stop_token& stop) {
    PGFLOW_ASSIGN_OR_RETURN(WebhookMessage message, maker_->Make(batch, event, index));
    if (!MessageMaker::IsBarrier(event)) return delivery_.Add(std::move(message), stop);
    return delivery_.AddAlone(std::move(message), stop);
  }

 private:
  Subscription subscription_;
  const std::unique_ptr<MessageMaker> maker_;
  Delivery delivery_;
};

class WebhookSink::Lane final : public engine::SnapshotLane {
 public:
  explicit Lane(std::unique_ptr<Feed> feed) : feed_(std::move(feed)) {}

  absl::Status BeginRange(const engine::TablePlan&, engine::BlockRange range,
                          RangeOptions) override {
    feed_->StartRange(range);
    return absl::OkStatus();
  }

  absl::StatusOr<engine::WriteResult> Write(engine::Batch& batch, std::stop_token stop) override {
    PGFLOW_ASSIGN_OR_RETURN(const std::span<const engine::ChangeEvent> events, batch.Events());
    feed_->StartBatch();
    for (size_t i = 0; i < events.size(); ++i) {
      PGFLOW_ASSIGN_OR_RETURN(const bool wanted, feed_->Wants(events[i]));
      if (wanted) PGFLOW_RETURN_IF_ERROR(feed_->Add(batch, events[i], i, stop));
    }
    PGFLOW_RETURN_IF_ERROR(feed_->delivery().Drain(stop));
    feed_->delivery().TakeAnswered();
    engine::WriteResult result;
    for (Delivery::Refusal& refusal : feed_->delivery().TakeRefusals()) {
      result.rejections.push_back(
          {{refusal.position.commit_lsn, refusal.event}, refusal.event, std::move(refusal.error)});
    }
    return result;
  }

  absl::Status FinishRange(std::stop_token) override { return absl::OkStatus(); }
  absl::Status FinishTable(const engine::TablePlan&, std::stop_token) override {
    return absl::OkStatus();
  }

 private:
  const std::unique_ptr<Feed> feed_;
};

absl::StatusOr<std::unique_ptr<engine::Sink>> WebhookSink::Make(WebhookConfig config) {
  if (config.subscriptions.has_value()) return SubscribedSink::Make(std::move(config));
  if (config.url.empty()) {
    return absl::InvalidArgumentError(
        "'url' is missing: where events are posted to; or write 'subscriptions', for endpoints "
        "that a table names");
  }
  PGFLOW_ASSIGN_OR_RETURN(DeliveryOptions options, MakeDeliveryOptions(config));
  PGFLOW_ASSIGN_OR_RETURN(Subscription subscription, Subscription::Make(config.subscribe));
  PGFLOW_RETURN_IF_ERROR(EventEncoder::Make(config.encoding, {}).status());
  PGFLOW_RETURN_IF_ERROR(MakeTemplate(config).status());
  return std::unique_ptr<engine::Sink>(
      new WebhookSink(std::move(config), std::move(options), std::move(subscription)));
}

WebhookSink::WebhookSink(WebhookConfig config, DeliveryOptions options, Subscription subscription)
    : config_(std::move(config)),
      options_(std::move(options)),
      subscription_(std::move(subscription)) {}

WebhookSink::~WebhookSink() = default;

// Sends nothing: there is no request that an endpoint has to take without an event.
absl::Status WebhookSink::Open(const engine::SinkContext& context, std::stop_token) {
  context_ = context;
  if (feed_ != nullptr) {
    KeepAnswered();
    // The connections, and what is known of the endpoint's health, stay.
    feed_->delivery().Reset();
    return absl::OkStatus();
  }
  PGFLOW_ASSIGN_OR_RETURN(feed_, MakeFeed());
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<WebhookSink::Feed>> WebhookSink::MakeFeed() const {
  PGFLOW_ASSIGN_OR_RETURN(std::unique_ptr<MessageMaker> maker,
                          MessageMaker::Make(config_, context_));
  PGFLOW_ASSIGN_OR_RETURN(std::unique_ptr<http::Client> client,
                          http::Client::Make(ClientOptions(config_)));
  return std::make_unique<Feed>(options_, subscription_, std::move(maker), std::move(client));
}

void WebhookSink::KeepAnswered() {
  for (const engine::Position& position : feed_->delivery().TakeAnswered()) {
    if (answered_.size() >= kAnsweredMax) break;
    answered_.push_back(position);
  }
  std::ranges::sort(answered_);
  answered_sorted_ = answered_.size();
}

void WebhookSink::CheckTable(const engine::TablePlan& table,
                             std::vector<engine::Finding>& findings) const {
  using Severity = engine::Finding::Severity;
  if (table.schema == nullptr || !subscription_.WantsTable(table.schema->table)) return;
  const std::string name = "table " + table.source_table.ToString();
  if (const absl::Status fits = subscription_.CheckTable(*table.schema); !fits.ok()) {
    findings.push_back({Severity::kError, name, std::string(base::Message(fits)),
                        "change subscribe.when or subscribe.tables"});
  }
  const bool watches = !config_.subscribe.changed_columns.empty();
  if (!watches && !subscription_.compares_rows()) return;
  if (table.schema->replica_identity == schemas::ReplicaIdentity::kFull) return;
  findings.push_back(
      {Severity::kWarning, name,
       watches ? "without REPLICA IDENTITY FULL every update is sent, whichever columns it changed"
               : "without REPLICA IDENTITY FULL of the old row only the key is known: what "
                 "subscribe.when cannot judge is sent",
       fmt::format("ALTER TABLE {} REPLICA IDENTITY FULL",
                   schemas::QuoteTable(table.source_table))});
}

absl::StatusOr<std::vector<engine::Finding>> WebhookSink::Check(
    const schemas::DatabaseDefinition&, std::span<const engine::TablePlan> tables,
    std::stop_token stop) {
  using Severity = engine::Finding::Severity;
  std::vector<engine::Finding> findings;
  PGFLOW_ASSIGN_OR_RETURN(const std::unique_ptr<http::Client> client,
                          http::Client::Make(ClientOptions(config_)));
  http::Request request;
  request.method = "HEAD";
  request.url = options_.url;
  request.name = options_.shown;
  const absl::StatusOr<http::Response> response = client->Send(std::move(request), std::move(stop));
  if (response.status().code() == absl::StatusCode::kCancelled) return response.status();
  if (response.ok()) {
    findings.push_back({Severity::kOk, options_.shown,
                        fmt::format("it answers (a HEAD with {})", response->status), ""});
  } else {
    findings.push_back({Severity::kError, options_.shown,
                        std::string(base::Message(response.status())),
                        response.status().code() == absl::StatusCode::kPermissionDenied
                            ? "set private_addresses: allow, if it is meant to be there"
                            : "check 'url', connection and the network"});
  }
  for (const engine::TablePlan& table : tables) CheckTable(table, findings);
  return findings;
}

absl::StatusOr<std::unique_ptr<engine::SnapshotLane>> WebhookSink::OpenLane(std::stop_token) {
  PGFLOW_ASSIGN_OR_RETURN(std::unique_ptr<Feed> feed, MakeFeed());
  return std::make_unique<Lane>(std::move(feed));
}

absl::Status WebhookSink::Send(const engine::Window& window, const std::stop_token& stop) {
  for (engine::Batch& batch : window.batches) {
    PGFLOW_ASSIGN_OR_RETURN(const std::span<const engine::ChangeEvent> events, batch.Events());
    feed_->StartBatch();
    for (size_t i = 0; i < events.size(); ++i) {
      absl::StatusOr<bool> wanted = feed_->Wants(events[i]);
      if (!wanted.ok()) {
        absl::Status status = std::move(wanted).status();
        base::SetPayload(status, engine::kCulpritPayload, batch.PositionOf(events[i]).ToString());
        return status;
      }
      if (!*wanted) continue;
      const auto sorted_end = answered_.begin() + static_cast<ptrdiff_t>(answered_sorted_);
      if (std::binary_search(answered_.begin(), sorted_end, batch.PositionOf(events[i]))) continue;
      PGFLOW_RETURN_IF_ERROR(feed_->Add(batch, events[i], i, stop));
    }
  }
  return feed_->delivery().Drain(stop);
}

absl::StatusOr<engine::WriteResult> WebhookSink::Write(const engine::Window& window,
                                                       std::stop_token stop) {
  PGFLOW_RETURN_IF_ERROR(Send(window, stop));
  engine::WriteResult result;
  for (Delivery::Refusal& refusal : feed_->delivery().TakeRefusals()) {
    result.rejections.push_back({refusal.position, refusal.event, std::move(refusal.error)});
  }
  if (window.ends_at_commit) {
    written_ = window.end;
    feed_->delivery().TakeAnswered();
    answered_.clear();
    answered_sorted_ = 0;
    return result;
  }
  std::vector<engine::Position> answered = feed_->delivery().TakeAnswered();
  const size_t room = kAnsweredMax - std::min(kAnsweredMax, answered_.size());
  answered.resize(std::min(answered.size(), room));
  answered_.insert(answered_.end(), answered.begin(), answered.end());
  return result;
}

absl::StatusOr<engine::StreamPoint> WebhookSink::Durable(std::stop_token) { return written_; }

engine::ComponentType<engine::Sink> WebhookSinkType() {
  return engine::MakeComponentType<engine::Sink, WebhookConfig>(
      "webhook", "Posts each change, signed, to an HTTP endpoint.",
      "at least once, in order for each key; a receiver drops repetitions by Idempotency-Key",
      &WebhookSpec, &WebhookSink::Make);
}

}  // namespace pgflow::sinks
