// The options of the `kafka` source, and the settings of librdkafka that follow from them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include "base/bytes.h"
#include "base/config/config_spec.h"
#include "kafka/security.h"
#include "kafka/settings.h"
#include "sources/kafka/message_decoder.h"

namespace pgflow::sources {

enum class StartAt { kEarliest, kLatest };

struct KafkaSourceConfig {
  std::vector<std::string> brokers;
  std::vector<std::string> topics;
  std::string group;  // Empty: pgflow_<pipeline>.
  MessageFormat format = MessageFormat::kJson;
  std::string unavailable_value = "__debezium_unavailable_value";
  StartAt start = StartAt::kEarliest;
  std::optional<bool> repeats;  // Not set: what the format needs.
  absl::Duration session_timeout = absl::Seconds(10);
  absl::Duration timeout = absl::Seconds(30);
  config::ByteSize queue_bytes_max{4 * base::kMiB};
  std::optional<kafka::TlsConfig> tls;
  std::optional<kafka::SaslConfig> sasl;
  config::StringMap librdkafka;
};

config::ConfigSpec<KafkaSourceConfig> KafkaSourceSpec();

// What a single field cannot know; no network. kInvalidArgument names the option.
absl::Status ValidateKafkaSourceConfig(const KafkaSourceConfig& config);

// kInvalidArgument: `librdkafka` sets what is not its.
absl::StatusOr<kafka::Settings> KafkaSourceSettings(const KafkaSourceConfig& config);

}  // namespace pgflow::sources
