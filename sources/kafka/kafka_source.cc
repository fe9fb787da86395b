#include "sources/kafka/kafka_source.h"

#include <utility>

#include <fmt/ranges.h>

#include "base/status.h"
#include "kafka/admin.h"
#include "sources/kafka/consumer_group.h"

namespace pgflow::sources {
namespace {

using engine::Finding;

absl::Status OfPartitions() {
  return absl::UnimplementedError("the source kafka has a log for each partition, and none itself");
}

}  // namespace

absl::StatusOr<std::unique_ptr<engine::Source>> KafkaSource::Make(KafkaSourceConfig config) {
  PGFLOW_RETURN_IF_ERROR(ValidateKafkaSourceConfig(config));
  PGFLOW_ASSIGN_OR_RETURN(kafka::Settings settings, KafkaSourceSettings(config));
  return std::unique_ptr<engine::Source>(new KafkaSource(std::move(config), std::move(settings)));
}

KafkaSourceConfig KafkaSource::Config() const {
  KafkaSourceConfig config = config_;
  if (config.group.empty()) config.group = "pgflow_" + pipeline_;
  return config;
}

engine::SourcePlan KafkaSource::plan() const { return {engine::SourcePlan::Mode::kStream, 1}; }

std::unique_ptr<engine::SourceGroup> KafkaSource::MakeGroup() {
  kafka::Settings settings = settings_;
  settings.try_emplace("client.id", "pgflow-" + pipeline_);
  return std::make_unique<ConsumerGroup>(Config(), std::move(settings));
}

absl::StatusOr<engine::SourceIdentity> KafkaSource::Open(std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(const std::unique_ptr<kafka::Admin> admin,
                          kafka::Admin::Make({.settings = settings_, .patience = config_.timeout}));
  PGFLOW_RETURN_IF_ERROR(admin->CountBrokers(std::move(stop)).status());
  return engine::SourceIdentity{.system_identifier = 0,
                                .timeline = 1,
                                .database = fmt::format("{}", fmt::join(config_.topics, ",")),
                                .slot = Config().group};
}

absl::StatusOr<engine::SlotState> KafkaSource::OpenSlot(bool /*create*/, std::stop_token /*stop*/) {
  return OfPartitions();
}
absl::Status KafkaSource::DropSlot(std::stop_token stop) { return MakeGroup()->Forget(stop); }
absl::StatusOr<std::unique_ptr<engine::SnapshotSession>> KafkaSource::OpenSnapshot(
    std::stop_token /*stop*/) {
  return OfPartitions();
}
absl::Status KafkaSource::Run(engine::StreamWriter& /*out*/, std::stop_token /*stop*/) {
  return OfPartitions();
}
void KafkaSource::Acknowledge(postgres::Lsn /*lsn*/) {}
absl::StatusOr<engine::SlotHealth> KafkaSource::Health(std::stop_token /*stop*/) {
  return engine::SlotHealth();
}
absl::StatusOr<postgres::Lsn> KafkaSource::CurrentLsn(std::stop_token /*stop*/) {
  return OfPartitions();
}

absl::StatusOr<engine::SourceCheck> KafkaSource::Check(std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(const std::unique_ptr<kafka::Admin> admin,
                          kafka::Admin::Make({.settings = settings_, .patience = config_.timeout}));
  PGFLOW_ASSIGN_OR_RETURN(const auto topics, admin->ListTopics(config_.topics, std::move(stop)));
  engine::SourceCheck check;
  for (const auto& [topic, partitions] : topics) {
    check.findings.push_back({Finding::Severity::kOk, "topic " + topic,
                              fmt::format("{} partitions to share", partitions), ""});
  }
  if (topics.empty()) {
    check.findings.push_back({Finding::Severity::kError, "topics",
                              "there is none of these names that we may read",
                              "start the pipeline that writes them, or grant READ on them"});
  }
  return check;
}

engine::ComponentType<engine::Source> KafkaSourceType() {
  return engine::MakeComponentType<engine::Source, KafkaSourceConfig>(
      "kafka", "What the sink `kafka` wrote, shared by any number of processes of one group.", "",
      &KafkaSourceSpec, &KafkaSource::Make);
}

}  // namespace pgflow::sources
