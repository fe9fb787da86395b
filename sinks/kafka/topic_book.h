// TopicBook: the topics that the sink writes to; makes those that are missing.
//
// Thread-safe; shared by the stream and the lanes. Waits for brokers while others wait for it: a
// topic is looked up once. Errors: those of kafka::Admin; kFailedPrecondition when a topic is
// missing and may not be created, or two tables would share a topic by accident.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include <absl/base/thread_annotations.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "base/mutex.h"
#include "engine/api/sink.h"
#include "kafka/admin.h"
#include "schemas/table_schema.h"
#include "sinks/kafka/sink_config.h"
#include "sinks/kafka/topic_name.h"

namespace pgflow::sinks {

class TopicBook {
 public:
  // `config` must be valid and outlive this.
  static absl::StatusOr<std::unique_ptr<TopicBook>> Make(const KafkaSinkConfig& config,
                                                         const kafka::Settings& settings,
                                                         const engine::SinkContext& context);

  // The topic of a table's changes (with topic_by_column: of rows with that value there).
  absl::StatusOr<std::string> NameOf(const schemas::TableName& table,
                                     std::string_view column_value = "") const;
  absl::StatusOr<std::string> DdlTopic() const;
  absl::StatusOr<std::string> TransactionTopic() const;
  absl::StatusOr<std::string> MessageTopic() const;
  absl::StatusOr<std::string> CheckpointTopic() const;
  // A new topic as the configuration has it.
  kafka::TopicSpec SpecOf(const std::string& topic) const;
  // Of one partition and without compaction: schema changes, transactions.
  kafka::TopicSpec LogSpecOf(const std::string& topic) const;

  // The topic of a table, which exists when this returns.
  absl::StatusOr<std::string> Resolve(const schemas::TableName& table,
                                      std::string_view column_value, std::stop_token stop);
  // The number of partitions of a topic that exists when this returns.
  absl::StatusOr<int32_t> Ensure(const kafka::TopicSpec& spec, std::stop_token stop);
  // Nothing: there is no such topic.
  absl::StatusOr<std::optional<int32_t>> Count(const std::string& topic, std::stop_token stop);
  // The largest batch that the topic takes.
  absl::StatusOr<uint64_t> BytesMax(const std::string& topic, std::stop_token stop);

 private:
  TopicBook(const KafkaSinkConfig& config, engine::SinkContext context, TopicName topic,
            std::optional<TopicName> ddl, std::unique_ptr<kafka::Admin> admin);
  TopicName::Values ValuesOf(const schemas::TableName& table, std::string_view column_value) const;

  const KafkaSinkConfig& config_;
  const engine::SinkContext context_;
  const std::string prefix_;
  const TopicName topic_;
  const std::optional<TopicName> ddl_;
  base::Mutex mutex_;
  const std::unique_ptr<kafka::Admin> admin_;
  std::map<std::string, int32_t> partitions_ ABSL_GUARDED_BY(mutex_);  // Of those that exist.
  std::map<std::string, schemas::TableName> tables_ ABSL_GUARDED_BY(mutex_);  // By their topic.
};

}  // namespace pgflow::sinks
