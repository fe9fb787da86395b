#include "sinks/kafka/topic_book.h"

#include <charconv>
#include <utility>

#include "base/log.h"
#include "base/pause.h"
#include "base/status.h"

namespace pgflow::sinks {
namespace {

// A batch of one message is this much larger than its key and value, headers and all.
constexpr uint64_t kBatchOverheadBytes = 1024;

std::string_view PolicyName(CleanupPolicy policy) {
  switch (policy) {
    case CleanupPolicy::kBrokerDefault:
      return "";
    case CleanupPolicy::kDelete:
      return "delete";
    case CleanupPolicy::kCompact:
      return "compact";
    case CleanupPolicy::kCompactDelete:
      return "compact,delete";
  }
  return "";
}

}  // namespace

TopicBook::TopicBook(const KafkaSinkConfig& config, engine::SinkContext context, TopicName topic,
                     std::optional<TopicName> ddl, std::unique_ptr<kafka::Admin> admin)
    : config_(config),
      context_(std::move(context)),
      prefix_(config.prefix.empty() ? context_.pipeline : config.prefix),
      topic_(std::move(topic)),
      ddl_(std::move(ddl)),
      admin_(std::move(admin)) {}

absl::StatusOr<std::unique_ptr<TopicBook>> TopicBook::Make(const KafkaSinkConfig& config,
                                                           const kafka::Settings& settings,
                                                           const engine::SinkContext& context) {
  PGFLOW_ASSIGN_OR_RETURN(TopicName topic, TopicName::Parse(config.topic));
  std::optional<TopicName> ddl;
  if (!config.ddl_topic.empty()) {
    PGFLOW_ASSIGN_OR_RETURN(ddl, TopicName::Parse(config.ddl_topic));
  }
  PGFLOW_ASSIGN_OR_RETURN(std::unique_ptr<kafka::Admin> admin,
                          kafka::Admin::Make({.settings = settings, .patience = config.timeout}));
  return std::unique_ptr<TopicBook>(
      new TopicBook(config, context, std::move(topic), std::move(ddl), std::move(admin)));
}

TopicName::Values TopicBook::ValuesOf(const schemas::TableName& table,
                                      std::string_view column_value) const {
  return {.prefix = prefix_,
          .pipeline = context_.pipeline,
          .sink = context_.sink,
          .schema = table.schema,
          .table = table.name,
          .column = column_value};
}

absl::StatusOr<std::string> TopicBook::NameOf(const schemas::TableName& table,
                                              std::string_view column_value) const {
  absl::StatusOr<std::string> name = topic_.Expand(ValuesOf(table, column_value));
  if (name.ok()) return name;
  return base::Annotate(name.status(), fmt::format("topic of table {}", table.ToString()));
}

absl::StatusOr<std::string> TopicBook::DdlTopic() const { return ddl_->Expand(ValuesOf({}, "")); }

absl::StatusOr<std::string> TopicBook::TransactionTopic() const {
  PGFLOW_ASSIGN_OR_RETURN(const TopicName name, TopicName::Parse(config_.transaction_topic));
  return name.Expand(ValuesOf({}, ""));
}

absl::StatusOr<std::string> TopicBook::MessageTopic() const {
  PGFLOW_ASSIGN_OR_RETURN(const TopicName name, TopicName::Parse(config_.message_topic));
  return name.Expand(ValuesOf({}, ""));
}

absl::StatusOr<std::string> TopicBook::CheckpointTopic() const {
  PGFLOW_ASSIGN_OR_RETURN(const TopicName name, TopicName::Parse(config_.checkpoint_topic));
  return name.Expand(ValuesOf({}, ""));
}

kafka::TopicSpec TopicBook::SpecOf(const std::string& topic) const {
  kafka::TopicSpec spec;
  spec.name = topic;
  spec.partitions = config_.partitions == 0 ? -1 : static_cast<int32_t>(config_.partitions);
  spec.replication_factor = config_.replication_factor == 0
                                ? int16_t{-1}
                                : static_cast<int16_t>(config_.replication_factor);
  if (config_.retention.has_value()) {
    spec.settings["retention.ms"] = std::to_string(absl::ToInt64Milliseconds(*config_.retention));
  }
  if (config_.cleanup_policy != CleanupPolicy::kBrokerDefault) {
    spec.settings["cleanup.policy"] = PolicyName(config_.cleanup_policy);
  }
  // The brokers' default holds a batch of the default size.
  if (config_.message_bytes_max > KafkaSinkConfig().message_bytes_max) {
    spec.settings["max.message.bytes"] =
        std::to_string(config_.message_bytes_max.bytes + kBatchOverheadBytes);
  }
  return spec;
}

kafka::TopicSpec TopicBook::LogSpecOf(const std::string& topic) const {
  kafka::TopicSpec spec = SpecOf(topic);
  spec.partitions = 1;
  // Each message counts.
  spec.settings["cleanup.policy"] = "delete";
  return spec;
}

absl::StatusOr<std::string> TopicBook::Resolve(const schemas::TableName& table,
                                               std::string_view column_value,
                                               std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(std::string topic, NameOf(table, column_value));
  if (topic_.has(TopicName::Part::kTable)) {
    const base::MutexLock lock(&mutex_);
    const auto [found, added] = tables_.try_emplace(topic, table);
    // A rename is no accident: the schema's part differs, or a character that Kafka has not.
    if (!added && found->second != table && column_value.empty()) {
      return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                              "tables {} and {} would both go to topic {}: choose another topic, "
                              "or two sinks",
                              found->second.ToString(), table.ToString(), topic);
    }
  }
  PGFLOW_RETURN_IF_ERROR(Ensure(SpecOf(topic), std::move(stop)).status());
  return topic;
}

absl::StatusOr<int32_t> TopicBook::Ensure(const kafka::TopicSpec& spec, std::stop_token stop) {
  const base::MutexLock lock(&mutex_);
  if (const auto known = partitions_.find(spec.name); known != partitions_.end()) {
    return known->second;
  }
  PGFLOW_ASSIGN_OR_RETURN(std::optional<int32_t> count, admin_->CountPartitions(spec.name, stop));
  if (!count.has_value() && !config_.create_topics) {
    return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                            "topic {} does not exist: create it, or set create_topics: true",
                            spec.name);
  }
  if (!count.has_value()) {
    PGFLOW_RETURN_IF_ERROR(admin_->CreateTopic(spec, stop));
    base::LogInfo("created topic {}", spec.name);
    const absl::Time deadline = absl::Now() + config_.timeout;
    // The brokers tell each other in their own time.
    while (!count.has_value() || *count == 0) {
      PGFLOW_ASSIGN_OR_RETURN(count, admin_->CountPartitions(spec.name, stop));
      if (count.has_value() && *count > 0) break;
      if (absl::Now() > deadline) {
        return base::MakeStatus(absl::StatusCode::kUnavailable,
                                "topic {} was created and does not show up", spec.name);
      }
      if (!base::Pause(absl::Milliseconds(20), stop)) return absl::CancelledError("stopped");
    }
  }
  partitions_[spec.name] = *count;
  return *count;
}

absl::StatusOr<std::optional<int32_t>> TopicBook::Count(const std::string& topic,
                                                        std::stop_token stop) {
  const base::MutexLock lock(&mutex_);
  return admin_->CountPartitions(topic, std::move(stop));
}

absl::StatusOr<uint64_t> TopicBook::BytesMax(const std::string& topic, std::stop_token stop) {
  const base::MutexLock lock(&mutex_);
  PGFLOW_ASSIGN_OR_RETURN(const auto settings, admin_->TopicSettings(topic, std::move(stop)));
  const auto found = settings.find("max.message.bytes");
  uint64_t bytes = 0;
  if (found != settings.end()) {
    const std::string& text = found->second;
    std::from_chars(text.data(), text.data() + text.size(), bytes);
  }
  if (bytes == 0) {
    return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                            "topic {} does not tell its max.message.bytes", topic);
  }
  return bytes;
}

}  // namespace pgflow::sinks
