// KafkaCheckpointStore: the checkpoint of a transactional sink, in a compacted topic, and who may
// write it (docs/adr/0009-checkpoints-in-a-kafka-topic.md).
//
// Thread-safe. Errors as engine::CheckpointStore says; kFailedPrecondition when another pgflow has
// taken the sink over.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include <absl/base/thread_annotations.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include "base/mutex.h"
#include "engine/api/checkpoint.h"
#include "engine/api/sink.h"
#include "kafka/consumer.h"
#include "kafka/producer.h"
#include "sinks/kafka/checkpoint_records.h"
#include "sinks/kafka/topic_book.h"

namespace pgflow::sinks {

// Sends a checkpoint's record as part of the producer's transaction.
absl::Status SendRecord(kafka::Producer& producer, const std::string& topic,
                        const CheckpointRecord& record, std::stop_token stop);

// What one sink instance knows of itself as the owner; outlives its sessions.
struct KafkaClaim {
  bool held = false;  // The sink was ours once.
  // Owners' names that may be ours: the last one, and what was signed since without an answer.
  std::vector<std::string> names;

  bool IsOurs(const std::string& owner) const;
};

class KafkaCheckpointStore final : public engine::CheckpointStore {
 public:
  struct Options {
    kafka::Settings settings;
    absl::Duration patience;
    std::string topic;
    std::string pipeline;
    std::string sink;
  };
  explicit KafkaCheckpointStore(Options options);

  // Whether Open may be tried, before anybody is fenced off: at the first time once `confirm_slot`
  // (may be null) says who we are, later while the sink is still ours. kFailedPrecondition: it is
  // another's.
  absl::Status Look(TopicBook& topics, KafkaClaim& claim, const engine::ConfirmSlot& confirm_slot,
                    std::stop_token stop);
  // After Look. Takes the sink, from anybody at the first time, later from ourselves only: from
  // here on neither the predecessor's store nor its lanes can write. Its stream's producer must
  // have been fenced off already.
  absl::Status Open(KafkaClaim& claim, const engine::ConfirmSlot& confirm_slot,
                    std::stop_token stop);
  // Instead of Open: reads, and takes nothing over.
  absl::StatusOr<std::optional<engine::SinkCheckpoint>> Peek(TopicBook& topics,
                                                             std::stop_token stop);

  // A producer for a snapshot lane, which whoever takes the sink over will fence off.
  absl::StatusOr<std::unique_ptr<kafka::Producer>> OpenLane(const kafka::Settings& settings,
                                                            std::stop_token stop);

  // "another pgflow has taken over" or "the brokers' time limit was exceeded" instead of `status`,
  // when it says that a producer was fenced off.
  absl::Status Explain(const absl::Status& status, std::stop_token stop);

  const CheckpointKeys& keys() const { return keys_; }
  const std::string& topic() const { return options_.topic; }
  // pgflow-PIPELINE-SINK, the transactional id of the stream's producer.
  std::string TransactionalId() const;

  absl::StatusOr<std::optional<engine::SinkCheckpoint>> Load() override;
  absl::Status Begin(const engine::SourceIdentity& identity, engine::StreamPoint start) override;
  absl::Status BeginTables(std::span<const engine::TableProgress> tables) override;
  absl::Status FinishRange(const schemas::TableName& table, engine::BlockRange range) override;
  absl::Status FinishTables(std::span<const schemas::TableName> tables) override;
  absl::Status FinishSnapshot(postgres::Lsn lsn) override;
  absl::Status AdvanceStream(engine::StreamPoint point) override;
  absl::Status FollowTimeline(uint32_t timeline) override;
  absl::Status Forget() override;

 private:
  using Records = std::vector<CheckpointRecord>;

  absl::StatusOr<std::unique_ptr<kafka::Producer>> MakeProducer(const kafka::Settings& settings,
                                                                const std::string& id,
                                                                std::stop_token stop) const;
  std::string LaneId(const std::string& owner, uint32_t lane) const;
  absl::Status StartReading() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // False: an open transaction hides what comes behind it.
  absl::StatusOr<bool> ReadOn(std::stop_token stop) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Everything that was committed when it was called.
  absl::Status ReadAll(std::stop_token stop) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status FenceLanes(std::stop_token stop) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // One transaction.
  absl::Status Write(const Records& records) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status WriteOnce(const Records& records) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Recover() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status TakenOver() const;
  // Changes the record of the sink, which must exist.
  absl::Status ChangeSink(void (*change)(engine::SinkCheckpoint&, uint64_t), uint64_t value);

  const Options options_;
  const CheckpointKeys keys_;
  mutable base::Mutex mutex_;
  std::stop_token stop_ ABSL_GUARDED_BY(mutex_);
  std::optional<CheckpointRecords> records_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<kafka::Consumer> reader_ ABSL_GUARDED_BY(mutex_);
  int64_t next_offset_ ABSL_GUARDED_BY(mutex_) = 0;
  bool reader_at_end_ ABSL_GUARDED_BY(mutex_) = false;
  CheckpointOwner owner_ ABSL_GUARDED_BY(mutex_);  // Ourselves.
  uint32_t next_lane_ ABSL_GUARDED_BY(mutex_) = 0;
  std::unique_ptr<kafka::Producer> producer_ ABSL_GUARDED_BY(mutex_);  // Null after an error.
};

}  // namespace pgflow::sinks
