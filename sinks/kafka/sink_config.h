// The options of the `kafka` sink, and the settings of librdkafka that follow from them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include "base/bytes.h"
#include "base/config/config_spec.h"
#include "kafka/security.h"
#include "kafka/settings.h"
#include "sinks/encoding/event_encoder.h"
#include "sinks/kafka/schema_registry.h"

namespace pgflow::sinks {

enum class CleanupPolicy { kBrokerDefault, kDelete, kCompact, kCompactDelete };
enum class Compression { kNone, kGzip, kSnappy, kLz4, kZstd };

struct KafkaSinkConfig {
  std::vector<std::string> brokers;
  std::string prefix;
  std::string topic = "{prefix}.{schema}.{table}";
  std::string topic_by_column;
  std::string ddl_topic = "{prefix}.schema_changes";
  std::vector<std::string> tables;
  bool transaction_metadata = false;
  std::string transaction_topic = "{prefix}.transaction";
  std::string message_topic = "{prefix}.message";
  EncodingConfig encoding;
  std::optional<SchemaRegistryConfig> schema_registry;
  bool tombstones = true;
  bool headers = true;
  bool transactional = true;
  absl::Duration transaction_timeout = absl::Minutes(5);
  std::string checkpoint_topic = "pgflow_checkpoints.{pipeline}.{sink}";
  bool create_topics = true;
  uint64_t partitions = 0;
  uint64_t replication_factor = 0;
  std::optional<absl::Duration> retention;
  CleanupPolicy cleanup_policy = CleanupPolicy::kBrokerDefault;
  Compression compression = Compression::kLz4;
  absl::Duration linger = absl::ZeroDuration();
  config::ByteSize message_bytes_max{1'000'000};
  config::ByteSize queue_bytes_max{64 * base::kMiB};
  absl::Duration timeout = absl::Seconds(30);
  std::optional<kafka::TlsConfig> tls;
  std::optional<kafka::SaslConfig> sasl;
  config::StringMap librdkafka;
};

config::ConfigSpec<KafkaSinkConfig> KafkaSinkSpec();

// What a single field cannot know; no network. kInvalidArgument names the option.
absl::Status ValidateKafkaSinkConfig(const KafkaSinkConfig& config);

// The settings of every client of the sink. kInvalidArgument: `librdkafka` sets what is not its.
absl::StatusOr<kafka::Settings> KafkaSettings(const KafkaSinkConfig& config);

}  // namespace pgflow::sinks
