#include "sinks/kafka/sink_config.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/ranges.h>

#include "base/status.h"
#include "kafka/user_settings.h"
#include "schemas/table_filter.h"
#include "sinks/kafka/topic_name.h"

namespace pgflow::sinks {
namespace {

using Config = KafkaSinkConfig;

void AddTopicFields(config::ConfigSpec<Config>& spec) {
  spec.Field("prefix", &Config::prefix,
             "What {prefix} stands for in names of topics. Empty: the pipeline's name.");
  spec.Field("topic", &Config::topic,
             "The topic of a table's changes: text with {prefix}, {pipeline}, {sink}, {schema}, "
             "{table} and (with topic_by_column) {column}. Characters that Kafka does not allow "
             "become _.")
      .Example("\"cdc.{schema}.{table}\"");
  spec.Field("topic_by_column", &Config::topic_by_column,
             "Each row goes to the topic that this column's value names: {column} in topic.")
      .Example("aggregate_type");
  spec.Field("ddl_topic", &Config::ddl_topic,
             "The topic of schema changes: one partition, in order. Empty: they are left out.");
  spec.Field("transaction_metadata", &Config::transaction_metadata,
             "Tell where each transaction begins and ends, how many changes of which tables it "
             "holds, and each change's place in it (provide.transaction.metadata of Debezium). Of "
             "the formats debezium and avro.");
  spec.Field("transaction_topic", &Config::transaction_topic,
             "The topic of the messages BEGIN and END: one partition, in order.");
  spec.Field("message_topic", &Config::message_topic,
             "The topic of logical messages (`messages` of the source postgres).");
  spec.Field("tables", &Config::tables,
             "Only changes of these tables are sent (globs over schema.table). Empty: all.")
      .Example("[\"public.*\"]");
  spec.Field("create_topics", &Config::create_topics,
             "Create topics that do not exist, as the next four options say.");
  spec.Field("partitions", &Config::partitions,
             "Partitions of a new topic. 0: the brokers' default.")
      .Range(0, 100'000);
  spec.Field("replication_factor", &Config::replication_factor,
             "Copies of each partition of a new topic. 0: the brokers' default.")
      .Range(0, 100);
  spec.Field("retention", &Config::retention,
             "How long a new topic keeps messages. Not set: the brokers' default.")
      .Example("168h");
  spec.Field("cleanup_policy", &Config::cleanup_policy,
             "What a new topic does with old messages. compact keeps the last one of each key, and "
             "refuses what has no key: tables without one, and TRUNCATE.")
      .Choice({{"default", CleanupPolicy::kBrokerDefault},
               {"delete", CleanupPolicy::kDelete},
               {"compact", CleanupPolicy::kCompact},
               {"compact,delete", CleanupPolicy::kCompactDelete}});
}

void AddDeliveryFields(config::ConfigSpec<Config>& spec) {
  spec.Field("transactional", &Config::transactional,
             "Rows and checkpoint in one Kafka transaction: each change is there exactly once for "
             "readers with isolation.level=read_committed. false: an idempotent producer; after a "
             "restart the last changes may come again.");
  spec.Field("transaction_timeout", &Config::transaction_timeout,
             "The brokers abort a transaction that takes longer. Must hold the largest transaction "
             "of the source, and is how long readers may wait for a pgflow that died and did not "
             "come back. At most the brokers' transaction.max.timeout.ms (15m by default).")
      .Range(absl::Seconds(1), absl::Hours(24));
  spec.Field("checkpoint_topic", &Config::checkpoint_topic,
             "Where the checkpoint is kept with transactional: true: a compacted topic of one "
             "partition, for this sink alone. With {pipeline} and {sink} in its name.");
  spec.Field("compression", &Config::compression, "Of batches of messages.")
      .Choice({{"none", Compression::kNone},
               {"gzip", Compression::kGzip},
               {"snappy", Compression::kSnappy},
               {"lz4", Compression::kLz4},
               {"zstd", Compression::kZstd}});
  spec.Field("linger", &Config::linger,
             "How long a message waits for others to share its batch; within transactions 20ms at "
             "least, which a commit does not wait for.")
      .Range(absl::ZeroDuration(), absl::Minutes(1));
  spec.Field("message_bytes_max", &Config::message_bytes_max,
             "A larger message is refused before it is sent: the pipeline stops, or the dead "
             "letter takes it. New topics take messages of this size.")
      .Range(config::ByteSize{1000}, config::ByteSize{1'000'000'000});
  spec.Field("queue_bytes_max", &Config::queue_bytes_max,
             "Messages in memory that the brokers have not taken yet, for each writer.")
      .Range(config::ByteSize{base::kMiB}, config::ByteSize{2 * base::kGiB});
  spec.Field("timeout", &Config::timeout,
             "How long brokers may be silent before the attempt counts as failed and is made anew.")
      .Range(absl::Seconds(1), absl::Minutes(10));
}

// Who reads what is committed sees no message before its commit, which waits for no batch: within
// a transaction this costs no time. Without it a batch goes out with the few messages that are
// there when the one before it was sent.
absl::Duration LingerOf(const KafkaSinkConfig& config) {
  constexpr absl::Duration kTransactionLinger = absl::Milliseconds(20);
  return config.transactional ? std::max(config.linger, kTransactionLinger) : config.linger;
}

std::string_view CompressionName(Compression compression) {
  switch (compression) {
    case Compression::kNone:
      return "none";
    case Compression::kGzip:
      return "gzip";
    case Compression::kSnappy:
      return "snappy";
    case Compression::kLz4:
      return "lz4";
    case Compression::kZstd:
      return "zstd";
  }
  return "";
}

// What the sink's promise rests on, and other names of what has an option here.
constexpr std::array<std::string_view, 27> kNotForUsers = {"acks",
                                                           "request.required.acks",
                                                           "enable.idempotence",
                                                           "enable.gapless.guarantee",
                                                           "transactional.id",
                                                           "delivery.report.only.error",
                                                           "isolation.level",
                                                           "group.id",
                                                           "enable.auto.commit",
                                                           "enable.auto.offset.store",
                                                           "enable.partition.eof",
                                                           "auto.offset.reset",
                                                           "partitioner",
                                                           "metadata.broker.list",
                                                           "compression.codec",
                                                           "queue.buffering.max.ms",
                                                           "delivery.timeout.ms",
                                                           "sasl.mechanism",
                                                           "opaque",
                                                           "error_cb",
                                                           "dr_cb",
                                                           "dr_msg_cb",
                                                           "log_cb",
                                                           "log.queue",
                                                           "default_topic_conf",
                                                           "queuing.strategy",
                                                           "allow.auto.create.topics"};

// Is there, and is never asked: a mistake shows before any schema does.
class NoIds final : public SchemaIds {
 public:
  absl::StatusOr<uint32_t> IdOf(const std::string& /*subject*/, const std::string& /*schema*/,
                                std::string_view /*about*/) override {
    return absl::InternalError("no registry");
  }
};

absl::Status ValidateEncoding(const KafkaSinkConfig& config) {
  const bool avro = config.encoding.format == Encoding::kAvro;
  if (avro != config.schema_registry.has_value()) {
    return absl::InvalidArgumentError(
        avro ? "encoding.format avro needs a schema_registry with its url"
             : "schema_registry is for encoding.format avro: set that, or leave it out");
  }
  if (avro) PGFLOW_RETURN_IF_ERROR(Validate(*config.schema_registry));
  NoIds ids;
  PGFLOW_ASSIGN_OR_RETURN(
      const std::unique_ptr<EventEncoder> encoder,
      EventEncoder::Make(
          config.encoding,
          {.pipeline = "",
           .database = "",
           .placement = config.tombstones ? Placement::kByKeyWithTombstones : Placement::kByKey,
           .schema_ids = &ids,
           .has_headers = true}));
  if (config.transaction_metadata && !encoder->IsDebezium()) {
    return absl::InvalidArgumentError(
        "transaction_metadata is Debezium's: set encoding.format debezium, or avro with its "
        "envelope debezium");
  }
  return absl::OkStatus();
}

absl::Status CheckSharedTopic(std::string_view option, const std::string& text) {
  const absl::StatusOr<TopicName> name = TopicName::Parse(text);
  if (!name.ok()) return base::Annotate(name.status(), option);
  using Part = TopicName::Part;
  if (!name->has(Part::kTable) && !name->has(Part::kSchema) && !name->has(Part::kColumn)) {
    return absl::OkStatus();
  }
  return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                          "{}: one topic for all, so only {{prefix}}, {{pipeline}} and {{sink}}",
                          option);
}

std::string Milliseconds(absl::Duration duration) {
  return std::to_string(absl::ToInt64Milliseconds(duration));
}

}  // namespace

config::ConfigSpec<KafkaSinkConfig> KafkaSinkSpec() {
  config::ConfigSpec<Config> spec;
  spec.Field("brokers", &Config::brokers, "Some of the cluster's brokers: host:port.")
      .Required()
      .Example("[\"kafka-1:9092\", \"kafka-2:9092\"]");
  AddTopicFields(spec);
  spec.Section("encoding", &Config::encoding, EncodingSpec(), "What messages look like.");
  spec.Section("schema_registry", &Config::schema_registry, SchemaRegistrySpec(),
               "The registry of the schemas of the format avro: Confluent's, or one with its API.");
  spec.Field("tombstones", &Config::tombstones,
             "A delete is followed by a message with its key and no value, for compacted topics.");
  spec.Field("headers", &Config::headers,
             "Each message has the headers pgflow.position, pgflow.transaction and "
             "pgflow.operation.");
  AddDeliveryFields(spec);
  spec.Section("tls", &Config::tls, kafka::TlsSpec(), "Encrypted connections to the brokers.");
  spec.Section("sasl", &Config::sasl, kafka::SaslSpec(), "Name and password for the brokers.");
  spec.Field("librdkafka", &Config::librdkafka, "Other settings of librdkafka, by its own names.")
      .Example("{socket.keepalive.enable: \"true\"}");
  return spec;
}

absl::StatusOr<kafka::Settings> KafkaSettings(const KafkaSinkConfig& config) {
  kafka::Settings settings = {
      {"bootstrap.servers", fmt::format("{}", fmt::join(config.brokers, ","))},
      {"compression.type", std::string(CompressionName(config.compression))},
      {"linger.ms", Milliseconds(LingerOf(config))},
      {"message.max.bytes", std::to_string(config.message_bytes_max.bytes)},
      {"queue.buffering.max.kbytes", std::to_string(config.queue_bytes_max.bytes / base::kKiB)},
      {"message.timeout.ms", Milliseconds(config.timeout)},
      {"transaction.timeout.ms", Milliseconds(config.transaction_timeout)}};
  kafka::AddSecurity(config.tls, config.sasl, settings);
  PGFLOW_RETURN_IF_ERROR(kafka::AddUserSettings(config.librdkafka, kNotForUsers, "sink", settings));
  return settings;
}

absl::Status ValidateKafkaSinkConfig(const KafkaSinkConfig& config) {
  const auto invalid = [](std::string_view what) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument, "{}", what);
  };
  PGFLOW_RETURN_IF_ERROR(kafka::CheckBrokers(config.brokers));
  const absl::StatusOr<TopicName> topic = TopicName::Parse(config.topic);
  if (!topic.ok()) return base::Annotate(topic.status(), "topic");
  if (topic->has(TopicName::Part::kColumn) != !config.topic_by_column.empty()) {
    return invalid("topic_by_column and {column} in topic go together");
  }
  const absl::StatusOr<TopicName> ddl = TopicName::Parse(config.ddl_topic);
  if (!config.ddl_topic.empty() && !ddl.ok()) return base::Annotate(ddl.status(), "ddl_topic");
  if (ddl.ok() && (ddl->has(TopicName::Part::kTable) || ddl->has(TopicName::Part::kSchema) ||
                   ddl->has(TopicName::Part::kColumn))) {
    return invalid("ddl_topic: one topic for all, so only {prefix}, {pipeline} and {sink}");
  }
  PGFLOW_RETURN_IF_ERROR(CheckSharedTopic("transaction_topic", config.transaction_topic));
  PGFLOW_RETURN_IF_ERROR(CheckSharedTopic("message_topic", config.message_topic));
  const absl::StatusOr<TopicName> checkpoints = TopicName::Parse(config.checkpoint_topic);
  if (!checkpoints.ok()) return base::Annotate(checkpoints.status(), "checkpoint_topic");
  // A transaction that somebody else left open there would hide our records until it times out.
  if (!checkpoints->has(TopicName::Part::kSink) || !checkpoints->has(TopicName::Part::kPipeline)) {
    return invalid("checkpoint_topic: each sink needs one of its own, so {pipeline} and {sink}");
  }
  if (config.transactional && config.timeout > config.transaction_timeout) {
    return invalid("timeout must not be longer than transaction_timeout");
  }
  const auto filter = schemas::TableFilter::Make(config.tables, {});
  if (!filter.ok()) return base::Annotate(filter.status(), "tables");
  PGFLOW_ASSIGN_OR_RETURN(kafka::Settings settings, KafkaSettings(config));
  PGFLOW_RETURN_IF_ERROR(kafka::CheckSettings(settings));
  return ValidateEncoding(config);
}

}  // namespace pgflow::sinks
