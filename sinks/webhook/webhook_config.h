// WebhookConfig: the configuration of one endpoint, or of those that a table names.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/config/config_spec.h"
#include "http/client.h"
#include "http/connection_config.h"
#include "sinks/encoding/event_encoder.h"
#include "sinks/webhook/delivery_options.h"
#include "sinks/webhook/payload_template.h"
#include "sinks/webhook/subscription.h"

namespace pgflow::sinks {

struct WebhookBatchConfig {
  uint64_t events = 1;
  config::ByteSize bytes{1 << 20};
};

struct WebhookRetryConfig {
  absl::Duration initial = absl::Milliseconds(100);
  absl::Duration max = absl::Seconds(30);
  absl::Duration error_after = absl::Seconds(10);
  uint64_t circuit_failures = 8;
};

enum class WhenFull { kWait, kEnd };
enum class WhenRefused { kRetry, kDrop };

// Endpoints that come from a table.
struct SubscriptionsConfig {
  std::string table;
  uint64_t endpoints_max = 256;
  config::ByteSize backlog{1 << 30};
  WhenFull when_full = WhenFull::kWait;
  WhenRefused when_refused = WhenRefused::kRetry;
};

enum class PrivateAddresses { kRefuse, kAllow };

struct WebhookConfig {
  config::Secret url;
  std::optional<SubscriptionsConfig> subscriptions;
  std::vector<std::string> secrets;
  SubscriptionConfig subscribe;
  EncodingConfig encoding;
  std::optional<std::string> payload_template;
  TemplateKind template_kind = TemplateKind::kJson;
  http::Request::Compression compression = http::Request::Compression::kNone;
  WebhookBatchConfig batch;
  uint64_t requests = 16;
  WebhookRetryConfig retry;
  PrivateAddresses private_addresses = PrivateAddresses::kRefuse;
  http::ConnectionConfig connection;
};

config::ConfigSpec<WebhookConfig> WebhookSpec();

// kInvalidArgument, which shows neither the URL's path nor any secret.
absl::StatusOr<DeliveryOptions> MakeDeliveryOptions(const WebhookConfig& config);

// Nothing without one. kInvalidArgument.
absl::StatusOr<std::optional<PayloadTemplate>> MakeTemplate(const WebhookConfig& config);

http::Client::Options ClientOptions(const WebhookConfig& config);

}  // namespace pgflow::sinks
