// KafkaSource: what pgflow's Kafka sink wrote, read back by any number of processes.
//
// The processes of one consumer group share the partitions; each partition is a log of its own
// (partition_source.h), so that a sink keeps its place in it with the rows, and whoever takes a
// partition over fences the one before. See engine::Source for the thread rule.
#pragma once

#include <memory>
#include <stop_token>

#include "engine/api/registry.h"
#include "engine/api/source.h"
#include "engine/api/source_group.h"
#include "sources/kafka/source_config.h"

namespace pgflow::sources {

class KafkaSource final : public engine::Source, public engine::SharedSource {
 public:
  // kInvalidArgument names the option.
  static absl::StatusOr<std::unique_ptr<engine::Source>> Make(KafkaSourceConfig config);

  engine::SourcePlan plan() const override;
  std::unique_ptr<engine::SourceGroup> MakeGroup() override;
  absl::StatusOr<engine::SourceIdentity> Open(std::stop_token stop) override;
  absl::StatusOr<engine::SlotState> OpenSlot(bool create, std::stop_token stop) override;
  absl::Status DropSlot(std::stop_token stop) override;
  absl::StatusOr<std::unique_ptr<engine::SnapshotSession>> OpenSnapshot(
      std::stop_token stop) override;
  absl::Status Run(engine::StreamWriter& out, std::stop_token stop) override;
  void Acknowledge(postgres::Lsn lsn) override;
  absl::StatusOr<engine::SlotHealth> Health(std::stop_token stop) override;
  absl::StatusOr<postgres::Lsn> CurrentLsn(std::stop_token stop) override;
  absl::StatusOr<engine::SourceCheck> Check(std::stop_token stop) override;

 private:
  KafkaSource(KafkaSourceConfig config, kafka::Settings settings)
      : config_(std::move(config)), settings_(std::move(settings)) {}

  // With the group's name.
  KafkaSourceConfig Config() const;

  const KafkaSourceConfig config_;
  const kafka::Settings settings_;
};

engine::ComponentType<engine::Source> KafkaSourceType();

}  // namespace pgflow::sources
