// KafkaSink: changes as messages in the topics of their tables.
//
// Transactional (the default): a Kafka transaction holds whole transactions of the source and the
// checkpoint, so that readers of what is committed see each change exactly once, in order per key,
// and a source transaction as a whole. While changes come thick and fast, several windows share one
// Kafka transaction: committing takes a broker 10 to 20 ms. A window that ends inside a transaction
// of the source leaves the Kafka transaction open, for transaction_timeout at most.
// Idempotent: Write hands over, Durable says what was acknowledged; the runtime keeps the
// checkpoint.
//
// Threads: as engine/api/sink.h says. Errors: kafka/client.h, sinks/kafka/checkpoint_store.h.
#pragma once

#include <memory>
#include <optional>
#include <stop_token>
#include <vector>

#include <absl/time/time.h>

#include "engine/api/registry.h"
#include "engine/api/sink.h"
#include "sinks/kafka/sink_config.h"
#include "sinks/kafka/snapshot_lane.h"

namespace pgflow::sinks {

class KafkaSink final : public engine::Sink {
 public:
  // kInvalidArgument: see ValidateKafkaSinkConfig.
  static absl::StatusOr<std::unique_ptr<engine::Sink>> Make(KafkaSinkConfig config);
  ~KafkaSink() override;

  absl::Status Open(const engine::SinkContext& context, std::stop_token stop) override;
  bool marks_snapshot_ends() const override;
  engine::CheckpointStore* checkpoint_store() override;
  absl::StatusOr<std::optional<engine::SinkCheckpoint>> PeekCheckpoint(
      const engine::SinkContext& context, std::stop_token stop) override;
  absl::StatusOr<std::vector<engine::Finding>> Check(const schemas::DatabaseDefinition& definition,
                                                     std::span<const engine::TablePlan> tables,
                                                     std::stop_token stop) override;
  absl::Status PrepareSnapshot(const schemas::DatabaseDefinition& definition,
                               std::span<const engine::TablePlan> tables,
                               std::span<const engine::TablePlan> resumed,
                               std::stop_token stop) override;
  absl::Status ResetTable(const engine::TablePlan& table, std::stop_token stop) override;
  absl::StatusOr<std::unique_ptr<engine::SnapshotLane>> OpenLane(std::stop_token stop) override;
  absl::StatusOr<engine::WriteResult> Write(const engine::Window& window,
                                            std::stop_token stop) override;
  absl::StatusOr<engine::StreamPoint> Durable(std::stop_token stop) override;
  absl::Status Close(std::stop_token stop) override;

 private:
  KafkaSink(KafkaSinkConfig config, kafka::Settings settings);

  bool transactional() const { return config_.transactional; }
  absl::StatusOr<std::unique_ptr<KafkaSession>> MakeSession(const engine::SinkContext& context);
  absl::Status Append(const engine::Window& window, std::stop_token stop);
  absl::Status EndWindow(const engine::Window& window, uint64_t bytes, std::stop_token stop);
  absl::Status Commit(std::stop_token stop);

  const KafkaSinkConfig config_;
  const kafka::Settings settings_;
  uint64_t batch_bytes_max_;  // Learnt; outlives sessions.

  KafkaClaim claim_;

  // Of one Open.
  std::unique_ptr<KafkaSession> session_;
  std::unique_ptr<kafka::Producer> producer_;
  std::unique_ptr<MessageWriter> writer_;
  bool in_transaction_ = false;
  bool inside_ = false;                         // The last window ended inside a transaction.
  std::optional<engine::StreamPoint> waiting_;  // Written, not committed or acknowledged.
  engine::StreamPoint durable_;
  absl::Time transaction_start_;
  uint64_t transaction_start_bytes_ = 0;
  absl::Time last_write_;
  absl::Time waiting_since_;
};

engine::ComponentType<engine::Sink> KafkaSinkType();

}  // namespace pgflow::sinks
