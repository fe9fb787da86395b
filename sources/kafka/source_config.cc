#include "sources/kafka/source_config.h"

#include <array>
#include <string_view>

#include <fmt/ranges.h>

#include "base/status.h"
#include "kafka/user_settings.h"

namespace pgflow::sources {
namespace {

using Config = KafkaSourceConfig;

// What the source's promise rests on, and other names of what has an option here.
constexpr std::array<std::string_view, 14> kNotForUsers = {"isolation.level",
                                                           "group.id",
                                                           "enable.auto.commit",
                                                           "enable.auto.offset.store",
                                                           "enable.partition.eof",
                                                           "auto.offset.reset",
                                                           "partition.assignment.strategy",
                                                           "session.timeout.ms",
                                                           "metadata.broker.list",
                                                           "sasl.mechanism",
                                                           "opaque",
                                                           "error_cb",
                                                           "rebalance_cb",
                                                           "log_cb"};

}  // namespace

config::ConfigSpec<KafkaSourceConfig> KafkaSourceSpec() {
  config::ConfigSpec<Config> spec;
  spec.Field("brokers", &Config::brokers, "Some of the cluster's brokers: host:port.")
      .Required()
      .Example("[\"kafka-1:9092\", \"kafka-2:9092\"]");
  spec.Field("topics", &Config::topics,
             "The topics to read. One that starts with ^ is a regular expression; topics that come "
             "to match it later join.")
      .Required()
      .Example("[\"^shop\\\\.public\\\\..*\"]");
  spec.Field("group", &Config::group,
             "The consumer group: processes in it share the partitions. Empty: pgflow_ and the "
             "pipeline's name, so every `pgflow run` of this file joins it.");
  spec.Field("format", &Config::format,
             "How the messages are written. json: by pgflow's sink `kafka` with the encoding "
             "{format: json, relations: true}. debezium: by Debezium's connector for PostgreSQL, "
             "with the JSON converter and schemas in keys and values (or by pgflow: {format: "
             "debezium, debezium: {schemas: true}}).")
      .Choice({{"json", MessageFormat::kJson}, {"debezium", MessageFormat::kDebezium}});
  spec.Field("unavailable_value", &Config::unavailable_value,
             "Of the format debezium: what stands for a large value that an update did not touch "
             "(unavailable.value.placeholder). Nothing in the target is overwritten with it.");
  spec.Field("start", &Config::start,
             "Where to begin in a partition that the group has not read yet.")
      .Choice({{"earliest", StartAt::kEarliest}, {"latest", StartAt::kLatest}});
  spec.Field("repeats", &Config::repeats,
             "The topics may hold a change more than once: an insert of a row that is there "
             "replaces it, an update or delete of a row that is not there does nothing. For topics "
             "written without transactions, and on by itself for Debezium's, which repeats after "
             "a crash. Slower; off, such a row is an error.");
  spec.Field("session_timeout", &Config::session_timeout,
             "A process that was not heard of for so long has lost its partitions to the others.")
      .Range(absl::Seconds(6), absl::Minutes(30));
  spec.Field("timeout", &Config::timeout,
             "How long brokers may be silent before the attempt counts as failed and is made anew.")
      .Range(absl::Seconds(1), absl::Minutes(10));
  spec.Field("queue_bytes_max", &Config::queue_bytes_max,
             "Messages in memory that were fetched ahead, for each partition.")
      .Range(config::ByteSize{base::kMiB}, config::ByteSize{2 * base::kGiB});
  spec.Section("tls", &Config::tls, kafka::TlsSpec(), "Encrypted connections to the brokers.");
  spec.Section("sasl", &Config::sasl, kafka::SaslSpec(), "Name and password for the brokers.");
  spec.Field("librdkafka", &Config::librdkafka, "Other settings of librdkafka, by its own names.")
      .Example("{client.rack: \"eu-west-1a\"}");
  return spec;
}

absl::StatusOr<kafka::Settings> KafkaSourceSettings(const KafkaSourceConfig& config) {
  kafka::Settings settings = {
      {"bootstrap.servers", fmt::format("{}", fmt::join(config.brokers, ","))},
      {"queued.max.messages.kbytes", std::to_string(config.queue_bytes_max.bytes / base::kKiB)}};
  kafka::AddSecurity(config.tls, config.sasl, settings);
  PGFLOW_RETURN_IF_ERROR(
      kafka::AddUserSettings(config.librdkafka, kNotForUsers, "source", settings));
  return settings;
}

absl::Status ValidateKafkaSourceConfig(const KafkaSourceConfig& config) {
  PGFLOW_RETURN_IF_ERROR(kafka::CheckBrokers(config.brokers));
  for (const std::string& topic : config.topics) {
    if (topic.empty()) return absl::InvalidArgumentError("topics: an empty name");
  }
  if (config.brokers.empty() || config.topics.empty()) {
    return absl::InvalidArgumentError("brokers and topics need one entry at least");
  }
  PGFLOW_ASSIGN_OR_RETURN(const kafka::Settings settings, KafkaSourceSettings(config));
  return kafka::CheckSettings(settings);
}

}  // namespace pgflow::sources
