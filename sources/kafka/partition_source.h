// PartitionSource: one partition of a topic as a log of its own.
//
// LSNs are offsets: the message at offset N is a transaction of its own that commits at N + 1 (0
// means nothing) and ends at N + 2, so reading goes on at "LSN - 1". What one transaction of the
// first source wrote to several partitions is several here. Only what was committed in Kafka is
// read.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "engine/api/source.h"
#include "kafka/consumer.h"
#include "sources/kafka/message_decoder.h"
#include "sources/kafka/partition_link.h"
#include "sources/kafka/source_config.h"

namespace pgflow::sources {

class PartitionSource final : public engine::Source {
 public:
  struct Options {
    KafkaSourceConfig config;
    kafka::Settings settings;
    engine::SourceIdentity identity;
    std::shared_ptr<PartitionLink> link;
    std::optional<int64_t> committed;  // Where the group stands; none: it never read the partition.
    bool only_partition = true;        // Of its topic.
  };
  explicit PartitionSource(Options options);

  engine::SourcePlan plan() const override;
  absl::StatusOr<engine::SourceIdentity> Open(std::stop_token stop) override;
  absl::StatusOr<engine::SlotState> OpenSlot(bool create, std::stop_token stop) override;
  absl::Status DropSlot(std::stop_token stop) override;
  absl::StatusOr<std::unique_ptr<engine::SnapshotSession>> OpenSnapshot(
      std::stop_token stop) override;
  absl::Status Run(engine::StreamWriter& out, std::stop_token stop) override;
  void Acknowledge(postgres::Lsn lsn) override;
  absl::StatusOr<engine::SlotHealth> Health(std::stop_token stop) override;
  absl::StatusOr<postgres::Lsn> CurrentLsn(std::stop_token stop) override;

 private:
  absl::StatusOr<kafka::Consumer::Bounds> AskBounds(std::stop_token stop);
  const std::string& topic() const { return options_.link->at().topic; }
  int32_t partition() const { return options_.link->at().partition; }

  const Options options_;
  std::unique_ptr<kafka::Consumer> control_;  // For questions; none of Run's.
  std::optional<int64_t> start_;  // Where the first OpenSlot said; constant from then on.
  std::atomic<int64_t> end_{0};
};

}  // namespace pgflow::sources
