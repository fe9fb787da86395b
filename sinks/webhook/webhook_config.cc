#include "sinks/webhook/webhook_config.h"

#include "base/status.h"
#include "http/url.h"

namespace pgflow::sinks {
namespace {

// Of which only the list of failed items and the start of an error are read.
constexpr size_t kAnswerBytesMax = 1 << 20;

config::ConfigSpec<WebhookBatchConfig> BatchSpec() {
  config::ConfigSpec<WebhookBatchConfig> spec;
  spec.Field("events", &WebhookBatchConfig::events,
             "Events in a request, at most. 1: the body is the event; more: it is always an array "
             "of events. An array takes what waits, it does not wait to be filled.")
      .Range(1, 100'000);
  spec.Field("bytes", &WebhookBatchConfig::bytes,
             "Size of a body, at most; one event may be larger. Halved when the endpoint answers "
             "413.")
      .Range(config::ByteSize{1 << 10}, config::ByteSize{64 << 20});
  return spec;
}

config::ConfigSpec<WebhookRetryConfig> RetrySpec() {
  config::ConfigSpec<WebhookRetryConfig> spec;
  spec.Field("initial", &WebhookRetryConfig::initial,
             "The pause before a request is tried again the first time; it doubles each time. "
             "Retry-After of an answer comes first.")
      .Range(absl::Milliseconds(1), absl::Hours(1));
  spec.Field("max", &WebhookRetryConfig::max, "The longest such pause.")
      .Range(absl::Milliseconds(1), absl::Hours(1));
  spec.Field("error_after", &WebhookRetryConfig::error_after,
             "A request that failed for so long is an error, which `pgflow status` shows; the "
             "pipeline goes on trying.")
      .Range(absl::Milliseconds(1), absl::Hours(1));
  spec.Field("circuit_failures", &WebhookRetryConfig::circuit_failures,
             "After so many failures in a row, one request at a time is sent until the endpoint "
             "answers again.")
      .Range(1, 10'000);
  return spec;
}

config::ConfigSpec<SubscriptionsConfig> SubscriptionsSpec() {
  config::ConfigSpec<SubscriptionsConfig> spec;
  spec.Field("table", &SubscriptionsConfig::table,
             "Its schema.name, as it comes here (behind the transformers). It has to be one of the "
             "source's tables; its own changes are sent to nobody.")
      .Required()
      .Example("public.webhook_subscriptions");
  spec.Field("endpoints_max", &SubscriptionsConfig::endpoints_max,
             "Rows that are delivered to, at most; each has a thread and connections of its own. "
             "More are reported and get nothing.")
      .Range(1, 10'000);
  spec.Field("backlog", &SubscriptionsConfig::backlog,
             "What may wait for one endpoint, in the state directory: about, and at most.")
      .Range(config::ByteSize{1 << 20}, config::ByteSize{uint64_t{1} << 40});
  spec.Field("when_full", &SubscriptionsConfig::when_full,
             "What happens then. wait: the sink waits for that endpoint, and with it all others. "
             "end: the endpoint loses what waits for it and gets nothing more until its row is "
             "changed, and pgflow says so.")
      .Choice({{"wait", WhenFull::kWait}, {"end", WhenFull::kEnd}});
  spec.Field("when_refused", &SubscriptionsConfig::when_refused,
             "What happens to an event that the endpoint answers with 4xx. retry: it comes again "
             "after retry.max, what follows of its row waits, other rows go on. drop: it is "
             "logged and counted, and does not come again.")
      .Choice({{"retry", WhenRefused::kRetry}, {"drop", WhenRefused::kDrop}});
  return spec;
}

}  // namespace

config::ConfigSpec<WebhookConfig> WebhookSpec() {
  config::ConfigSpec<WebhookConfig> spec;
  spec.Field("url", &WebhookConfig::url,
             "Where events are posted to; a must without 'subscriptions'. Messages show its host "
             "only: the rest may be a secret.")
      .Example("https://hooks.example.com/orders");
  spec.Section("subscriptions", &WebhookConfig::subscriptions, SubscriptionsSpec(),
               "In place of 'url': the endpoints are the rows of a table of the source (id, url, "
               "tables, operations, changed_columns, condition, secrets, headers, enabled; see "
               "webhook_subscriptions.md). A row counts from its own place in the stream on, and "
               "what is written here holds for all of them.");
  spec.Field("secrets", &WebhookConfig::secrets,
             "Sign every request as the Standard Webhooks specification says (whsec_ and then 24 "
             "to 64 bytes in base64). While one is being replaced, name both: both sign.")
      .Example("[\"${WEBHOOK_SECRET}\"]");
  spec.Section("subscribe", &WebhookConfig::subscribe, SubscriptionSpec(),
               "Which events are sent; all of the pipeline's when it is left out.");
  spec.Section("encoding", &WebhookConfig::encoding, EncodingSpec(),
               "How an event is written, and whose events stay in order: those of one key.");
  spec.Field("template", &WebhookConfig::payload_template,
             "A body of your own in place of the encoding, with {{ placeholders }}: after.COLUMN, "
             "before.COLUMN, row.COLUMN (after, or before of a delete), operation, schema, table, "
             "position, xid, commit_time, event (the whole of it). One that stands alone becomes a "
             "JSON value, null where there is none; one inside a string becomes escaped text.")
      .Example(
          "'{\"text\": \"Order {{ row.id }}: {{ after.status }}\", \"total\": {{ after.total }}}'");
  spec.Field("template_kind", &WebhookConfig::template_kind,
             "json; or text: values are put in as they are, and the body is text/plain.")
      .Choice({{"json", TemplateKind::kJson}, {"text", TemplateKind::kText}});
  spec.Field("compression", &WebhookConfig::compression,
             "Of the bodies. The signature is of the body before it; an endpoint has to know "
             "Content-Encoding.")
      .Choice({{"none", http::Request::Compression::kNone},
               {"gzip", http::Request::Compression::kGzip}});
  spec.Section("batch", &WebhookConfig::batch, BatchSpec(), "How many events a request has.");
  spec.Field("requests", &WebhookConfig::requests,
             "Requests on their way at a time, at most. Events of one key follow each other, "
             "others go side by side.")
      .Range(1, 1000);
  spec.Section("retry", &WebhookConfig::retry, RetrySpec(),
               "When the endpoint is down, or asks for it (408, 425, 429, 5xx).");
  spec.Field("private_addresses", &WebhookConfig::private_addresses,
             "What happens when the URL's name leads to an address of this machine or a private "
             "network. Behind a proxy, that is the proxy's business.")
      .Choice({{"refuse", PrivateAddresses::kRefuse}, {"allow", PrivateAddresses::kAllow}});
  spec.Section("connection", &WebhookConfig::connection, http::ConnectionSpec(),
               "Certificates, authentication, headers, time-outs.");
  return spec;
}

namespace {

std::string ContentType(const WebhookConfig& config) {
  if (config.payload_template.has_value()) {
    return config.template_kind == TemplateKind::kText ? "text/plain; charset=utf-8"
                                                       : "application/json";
  }
  if (config.encoding.format != Encoding::kCloudEvents) return "application/json";
  return config.batch.events > 1 ? "application/cloudevents-batch+json"
                                 : "application/cloudevents+json";
}

}  // namespace

absl::StatusOr<std::optional<PayloadTemplate>> MakeTemplate(const WebhookConfig& config) {
  if (!config.payload_template.has_value()) return std::nullopt;
  if (config.template_kind == TemplateKind::kText && config.batch.events > 1) {
    return absl::InvalidArgumentError(
        "template_kind: texts cannot be put into an array; leave batch.events at 1");
  }
  return PayloadTemplate::Make(*config.payload_template, config.template_kind);
}

absl::StatusOr<DeliveryOptions> MakeDeliveryOptions(const WebhookConfig& config) {
  const absl::StatusOr<http::Url> url = http::ParseUrl(config.url.value());
  if (!url.ok()) return base::Annotate(url.status(), "url");
  PGFLOW_RETURN_IF_ERROR(http::Validate(config.connection));
  PGFLOW_ASSIGN_OR_RETURN(Signer signer, Signer::Make(config.secrets));
  if (config.retry.max < config.retry.initial) {
    return absl::InvalidArgumentError("retry: 'max' is shorter than 'initial'");
  }
  DeliveryOptions options{.url = config.url.value(),
                          .shown = "webhook " + url->Origin(),
                          .content_type = ContentType(config),
                          .compression = config.compression,
                          .signer = std::move(signer),
                          .batched = config.batch.events > 1,
                          .batch_events_max = config.batch.events,
                          .batch_bytes_max = config.batch.bytes.bytes,
                          .requests_max = config.requests,
                          .retry_initial = config.retry.initial,
                          .retry_max = config.retry.max,
                          .give_up_after = config.retry.error_after,
                          .circuit_failures = static_cast<int>(config.retry.circuit_failures),
                          .secrets = config.secrets};
  const http::AuthConfig& auth = config.connection.auth;
  options.secrets.push_back(auth.bearer_token.value());
  options.secrets.push_back(auth.password.value());
  options.secrets.push_back(config.url.value());
  const size_t origin_size = url->Origin().size();
  if (config.url.value().size() > origin_size) {
    options.secrets.push_back(config.url.value().substr(origin_size));  // Path and query.
  }
  for (const auto& [name, value] : config.connection.headers) options.secrets.push_back(value);
  return options;
}

http::Client::Options ClientOptions(const WebhookConfig& config) {
  http::Client::Options options;
  options.connection = config.connection;
  options.addresses = config.private_addresses == PrivateAddresses::kAllow
                          ? http::AddressPolicy::kAny
                          : http::AddressPolicy::kPublicOnly;
  options.connections_max = config.requests;
  options.response_bytes_max = kAnswerBytesMax;
  return options;
}

}  // namespace pgflow::sinks
