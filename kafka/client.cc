#include "kafka/client.h"

#include <array>
#include <utility>

#include <absl/time/clock.h>

#include "base/log.h"
#include "base/status.h"

namespace pgflow::kafka {
namespace {

using absl::StatusCode;

bool IsFenced(rd_kafka_resp_err_t code) {
  return code == RD_KAFKA_RESP_ERR__FENCED || code == RD_KAFKA_RESP_ERR_PRODUCER_FENCED ||
         code == RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH;
}

struct Meaning {
  StatusCode code = StatusCode::kUnavailable;
  std::string_view remedy;
};

// Whatever is not listed is taken for something that can pass: nothing is lost by trying again.
Meaning MeaningOf(rd_kafka_resp_err_t code) {
  switch (code) {
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE:
      return {StatusCode::kInvalidArgument,
              "raise max.message.bytes of the topic (and message_bytes_max here)"};
    case RD_KAFKA_RESP_ERR_INVALID_RECORD:
      return {StatusCode::kInvalidArgument,
              "a compacted topic takes no message without a key: give the table a key, or the "
              "topic cleanup.policy=delete"};
    case RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP:
      return {StatusCode::kInvalidArgument, ""};
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
      return {StatusCode::kPermissionDenied,
              "allow this principal Write and Describe (and Create) on the topic"};
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
      return {StatusCode::kPermissionDenied, "allow this principal IdempotentWrite on the cluster"};
    case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
      return {StatusCode::kPermissionDenied,
              "allow this principal Write and Describe on the transactional ids that begin with "
              "pgflow-, or set transactional: false"};
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
      return {StatusCode::kPermissionDenied, ""};
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM:
    case RD_KAFKA_RESP_ERR_ILLEGAL_SASL_STATE:
      return {StatusCode::kUnauthenticated, "look at sasl"};
    case RD_KAFKA_RESP_ERR__SSL:
      return {StatusCode::kUnauthenticated, "look at tls"};
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
      return {StatusCode::kFailedPrecondition, "create the topic, or set create_topics: true"};
    case RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR:
      return {StatusCode::kFailedPrecondition, "set replication_factor to the brokers there are"};
    case RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT:
      return {StatusCode::kFailedPrecondition,
              "set transaction_timeout to the brokers' transaction.max.timeout.ms at most"};
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
      return {StatusCode::kFailedPrecondition,
              "the brokers no longer keep what comes next (see the topic's retention)"};
    case RD_KAFKA_RESP_ERR_POLICY_VIOLATION:
    case RD_KAFKA_RESP_ERR_INVALID_CONFIG:
    case RD_KAFKA_RESP_ERR_INVALID_PARTITIONS:
    case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION:
    case RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE:
    case RD_KAFKA_RESP_ERR__INVALID_ARG:
      return {StatusCode::kFailedPrecondition, ""};
    case RD_KAFKA_RESP_ERR__STATE:
    case RD_KAFKA_RESP_ERR__PURGE_QUEUE:
    case RD_KAFKA_RESP_ERR__PURGE_INFLIGHT:
    case RD_KAFKA_RESP_ERR__FATAL:
    case RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER:
    case RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID:
    case RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING:
    case RD_KAFKA_RESP_ERR_INVALID_TXN_STATE:
      return {StatusCode::kAborted, ""};
    default:
      return {};
  }
}

// Older ones send their nonce twice, which brokers of Kafka 4 refuse as a wrong password.
constexpr int kScramMended = 0x02060100;

std::string ScramRemedy(rd_kafka_resp_err_t code, std::string_view reason) {
  const bool refused = MeaningOf(code).code == StatusCode::kUnauthenticated;
  if (!refused || reason.find("SCRAM") == std::string_view::npos) return "";
  if (rd_kafka_version() >= kScramMended) return "";
  return fmt::format(
      " (and SCRAM with Kafka 4 needs librdkafka 2.6.1, this is {}: take PLAIN over tls)",
      rd_kafka_version_str());
}

void OnError(rd_kafka_t* handle, int code, const char* reason, void* opaque) {
  auto failed = static_cast<rd_kafka_resp_err_t>(code);
  std::array<char, 512> text{};
  if (failed == RD_KAFKA_RESP_ERR__FATAL) {
    failed = rd_kafka_fatal_error(handle, text.data(), text.size());
    reason = text.data();
  }
  static_cast<Client*>(opaque)->OnConnectionError(failed, reason);
}

void OnLog(const rd_kafka_t*, int, const char* facility, const char* text) {
  base::LogDebug("kafka: {}: {}", facility, text);
}

bool IsSecret(std::string_view setting) {
  for (const std::string_view part : {"password", "pem", "secret", "sasl", "oauth"}) {
    if (setting.find(part) != std::string_view::npos) return true;
  }
  return false;
}

absl::Status SetAll(rd_kafka_conf_t* conf, const Settings& settings) {
  std::array<char, 512> text{};
  for (const auto& [name, value] : settings) {
    const rd_kafka_conf_res_t result =
        rd_kafka_conf_set(conf, name.c_str(), value.c_str(), text.data(), text.size());
    if (result == RD_KAFKA_CONF_OK) continue;
    // The library's text may repeat the value, whole or in pieces, and any setting may be a secret.
    const std::string_view said(text.data());
    const bool repeats =
        value.size() >= 3 && said.find(value.substr(0, 3)) != std::string_view::npos;
    return base::MakeStatus(StatusCode::kInvalidArgument, "librdkafka's {}: {}", name,
                            IsSecret(name) || repeats ? "the value is refused" : said);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckSettings(const Settings& settings) {
  const Owned<rd_kafka_conf_t> conf(rd_kafka_conf_new());
  return SetAll(conf.get(), settings);
}

absl::Status ErrorStatus(rd_kafka_resp_err_t code, std::string_view what, std::string_view reason) {
  if (IsFenced(code)) {
    absl::Status fenced =
        base::MakeStatus(StatusCode::kFailedPrecondition, "{}: this producer was fenced off", what);
    base::SetPayload(fenced, kFencedPayload, "1");
    return fenced;
  }
  const Meaning meaning = MeaningOf(code);
  const std::string_view text = reason.empty() ? rd_kafka_err2str(code) : reason;
  absl::Status status =
      base::MakeStatus(meaning.code, "{}: {} ({}){}{}{}", what, text, rd_kafka_err2name(code),
                       meaning.remedy.empty() ? "" : "; ", meaning.remedy, ScramRemedy(code, text));
  if (code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE) base::SetPayload(status, kTooLargePayload, "1");
  if (code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC || code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) {
    base::SetPayload(status, kNoTopicPayload, "1");
  }
  return status;
}

absl::Status ErrorStatus(const rd_kafka_error_t& error, std::string_view what) {
  return ErrorStatus(rd_kafka_error_code(&error), what, rd_kafka_error_string(&error));
}

absl::StatusOr<std::unique_ptr<Client>> Client::Make(
    rd_kafka_type_t type, const Settings& settings,
    const std::function<void(rd_kafka_conf_t*)>& configure) {
  std::unique_ptr<Client> client(new Client());
  Owned<rd_kafka_conf_t> conf(rd_kafka_conf_new());
  PGFLOW_RETURN_IF_ERROR(SetAll(conf.get(), settings));
  rd_kafka_conf_set_opaque(conf.get(), client.get());
  rd_kafka_conf_set_error_cb(conf.get(), &OnError);
  rd_kafka_conf_set_log_cb(conf.get(), &OnLog);
  if (configure) configure(conf.get());
  std::array<char, 512> text{};
  client->handle_.reset(rd_kafka_new(type, conf.get(), text.data(), text.size()));
  if (client->handle_ == nullptr) {
    return base::MakeStatus(StatusCode::kInvalidArgument, "kafka client: {}", text.data());
  }
  static_cast<void>(conf.release());  // The handle's now.
  return client;
}

void Client::OnConnectionError(rd_kafka_resp_err_t code, std::string_view reason) {
  // "All brokers are down" says less than the error of the last one.
  if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN && !connection_error_.ok()) return;
  connection_error_ = ErrorStatus(code, "connection", reason);
}

absl::Status Client::TimedOut(std::string_view what, absl::Duration waited) const {
  return base::MakeStatus(StatusCode::kUnavailable, "{}: no answer from the brokers for {}{}{}",
                          what, absl::FormatDuration(absl::Trunc(waited, absl::Seconds(1))),
                          connection_error_.ok() ? "" : "; ", base::Message(connection_error_));
}

absl::Status Client::Persist(std::string_view what, absl::Time deadline,
                             const std::stop_token& stop,
                             const std::function<rd_kafka_error_t*(int step_ms)>& attempt) {
  const absl::Time start = absl::Now();
  connection_error_ = absl::OkStatus();
  while (true) {
    const Owned<rd_kafka_error_t> error(
        attempt(static_cast<int>(absl::ToInt64Milliseconds(kStep))));
    if (error == nullptr) return absl::OkStatus();
    Poll(absl::ZeroDuration());
    const rd_kafka_resp_err_t code = rd_kafka_error_code(error.get());
    const bool goes_on =
        rd_kafka_error_is_retriable(error.get()) != 0 || code == RD_KAFKA_RESP_ERR__TIMED_OUT;
    if (!goes_on) return ErrorStatus(*error, what);
    resumed_ = true;
    if (stop.stop_requested()) {
      return base::MakeStatus(StatusCode::kCancelled, "{}: stopped", what);
    }
    // Asking again with the same credentials would not help.
    if (connection_error_.code() == StatusCode::kUnauthenticated) {
      return base::Annotate(connection_error_, what);
    }
    if (absl::Now() >= deadline) return TimedOut(what, absl::Now() - start);
  }
}

}  // namespace pgflow::kafka
