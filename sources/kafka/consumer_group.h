// ConsumerGroup: the partitions that this process has of a group's topics.
//
// Owns the place in the group and the links to the sources that it made. Thread rule and errors:
// engine/api/source_group.h, kafka/group_member.h.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include <absl/time/time.h>

#include "engine/api/source_group.h"
#include "kafka/group_member.h"
#include "sources/kafka/partition_link.h"
#include "sources/kafka/source_config.h"

namespace pgflow::sources {

class ConsumerGroup final : public engine::SourceGroup {
 public:
  // `config` is valid and names its group.
  ConsumerGroup(KafkaSourceConfig config, kafka::Settings settings);

  absl::StatusOr<engine::ShareChange> Next(absl::Duration wait, std::stop_token stop) override;
  absl::Status Settle(std::stop_token stop) override;
  absl::Status Leave(std::stop_token stop) override;
  absl::StatusOr<std::unique_ptr<engine::Source>> Open(const std::string& part) override;
  absl::StatusOr<std::vector<std::string>> ListParts(std::stop_token stop) override;
  absl::Status Forget(std::stop_token stop) override;

  static std::string NameOf(const kafka::TopicPartition& at);

 private:
  absl::StatusOr<kafka::GroupMember*> Member();
  absl::Status Commit(std::stop_token stop);
  // Lets those partitions pass a truncate for which everybody is ready.
  absl::Status JudgeTruncates(std::stop_token stop);
  absl::StatusOr<int32_t> CountPartitions(const std::string& topic, std::stop_token stop);

  const KafkaSourceConfig config_;
  const kafka::Settings settings_;
  std::unique_ptr<kafka::GroupMember> member_;
  std::string cluster_;
  std::map<std::string, std::shared_ptr<PartitionLink>> links_;  // Of our share.
  engine::ShareChange change_;                                   // Not settled yet.
  absl::Time next_commit_;
  absl::Time next_judgement_;
};

}  // namespace pgflow::sources
