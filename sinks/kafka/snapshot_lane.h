// KafkaLane: one worker's producer during the snapshot. A range is a Kafka transaction: its rows,
// and its entry in the checkpoint topic.
//
// One thread. What it refers to must outlive it, the sink's Open included.
#pragma once

#include <atomic>
#include <memory>
#include <stop_token>
#include <string>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "engine/api/sink.h"
#include "kafka/producer.h"
#include "sinks/kafka/checkpoint_store.h"
#include "sinks/kafka/message_writer.h"
#include "sinks/kafka/schema_registry.h"

namespace pgflow::sinks {

// What the lanes of a sink share with it.
struct KafkaSession {
  kafka::Settings settings;
  engine::SinkContext context;
  std::unique_ptr<TopicBook> topics;
  std::unique_ptr<SchemaRegistry> registry;     // Null: the encoding needs none.
  std::unique_ptr<KafkaCheckpointStore> store;  // Null without transactions.
  std::atomic<uint64_t> batch_bytes_max{1'000'000};

  // Messages go out in batches of this size; a topic may have asked for smaller ones.
  kafka::Settings ProducerSettings() const;
  // What became of a producer, in words that help; also remembers what it learnt.
  absl::Status Explain(const absl::Status& status, MessageWriter& writer, std::stop_token stop);
};

class KafkaLane final : public engine::SnapshotLane {
 public:
  static absl::StatusOr<std::unique_ptr<engine::SnapshotLane>> Open(const KafkaSinkConfig& config,
                                                                    KafkaSession& session,
                                                                    std::stop_token stop);

  absl::Status BeginRange(const engine::TablePlan& table, engine::BlockRange range,
                          RangeOptions options) override;
  absl::StatusOr<engine::WriteResult> Write(engine::Batch& batch, std::stop_token stop) override;
  absl::Status FinishRange(std::stop_token stop) override;
  absl::Status FinishTable(const engine::TablePlan& table, std::stop_token stop) override;

 private:
  KafkaLane(KafkaSession& session, std::unique_ptr<kafka::Producer> producer,
            std::unique_ptr<MessageWriter> writer);

  KafkaSession& session_;
  std::unique_ptr<kafka::Producer> producer_;
  std::unique_ptr<MessageWriter> writer_;
  schemas::TableName table_;
  engine::BlockRange range_;
  RangeOptions options_;
};

}  // namespace pgflow::sinks
