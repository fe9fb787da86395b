#include "sources/kafka/consumer_group.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include <absl/time/clock.h>

#include "base/log.h"
#include "base/status.h"
#include "kafka/admin.h"
#include "sources/kafka/partition_source.h"

namespace pgflow::sources {
namespace {

constexpr absl::Duration kCommitInterval = absl::Seconds(1);
// While partitions wait for each other.
constexpr absl::Duration kTruncateInterval = absl::Milliseconds(200);

// FNV-1a: the same in every process and version.
uint64_t HashOf(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325U;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
  return hash;
}

// A topic's name has no slash.
std::optional<kafka::TopicPartition> PartitionOf(const std::string& part) {
  const size_t slash = part.rfind('/');
  if (slash == std::string::npos) return std::nullopt;
  kafka::TopicPartition at{part.substr(0, slash), 0};
  const char* end = part.data() + part.size();
  const auto result = std::from_chars(part.data() + slash + 1, end, at.partition);
  if (result.ec != std::errc() || result.ptr != end) return std::nullopt;
  return at;
}

std::vector<std::string> NamesOf(const std::vector<kafka::TopicPartition>& partitions) {
  std::vector<std::string> names;
  names.reserve(partitions.size());
  for (const kafka::TopicPartition& at : partitions) names.push_back(ConsumerGroup::NameOf(at));
  return names;
}

// Somebody else has, or will have, the partitions that could not be committed.
bool IsPassing(const absl::Status& status) { return status.ok() || base::IsRetryable(status); }

}  // namespace

ConsumerGroup::ConsumerGroup(KafkaSourceConfig config, kafka::Settings settings)
    : config_(std::move(config)), settings_(std::move(settings)) {}

std::string ConsumerGroup::NameOf(const kafka::TopicPartition& at) {
  return fmt::format("{}/{}", at.topic, at.partition);
}

absl::StatusOr<kafka::GroupMember*> ConsumerGroup::Member() {
  if (member_ == nullptr) {
    PGFLOW_ASSIGN_OR_RETURN(member_,
                            kafka::GroupMember::Make({.settings = settings_,
                                                      .group = config_.group,
                                                      .topics = config_.topics,
                                                      .session_timeout = config_.session_timeout,
                                                      .patience = config_.timeout}));
  }
  return member_.get();
}

absl::StatusOr<engine::ShareChange> ConsumerGroup::Next(absl::Duration wait, std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(kafka::GroupMember* const member, Member());
  PGFLOW_ASSIGN_OR_RETURN(const kafka::Assignment assignment, member->Poll(wait));
  const absl::Time now = absl::Now();
  if (now >= next_commit_) {
    next_commit_ = now + kCommitInterval;
    PGFLOW_RETURN_IF_ERROR(Commit(stop));
  }
  if (now >= next_judgement_) {
    next_judgement_ = now + kTruncateInterval;
    PGFLOW_RETURN_IF_ERROR(JudgeTruncates(stop));
  }
  change_ = {NamesOf(assignment.gained), NamesOf(assignment.lost), assignment.too_late};
  return change_;
}

absl::Status ConsumerGroup::Settle(std::stop_token stop) {
  if (!change_.lost.empty() && !change_.too_late) PGFLOW_RETURN_IF_ERROR(Commit(stop));
  for (const std::string& part : change_.lost) links_.erase(part);
  change_ = {};
  return member_->Accept();
}

absl::Status ConsumerGroup::Leave(std::stop_token stop) {
  if (member_ == nullptr) return absl::OkStatus();
  const absl::Status committed = Commit(std::move(stop));
  links_.clear();
  member_.reset();
  return committed;
}

absl::Status ConsumerGroup::Commit(std::stop_token stop) {
  std::vector<kafka::GroupPlace> places;
  for (const auto& [part, link] : links_) {
    if (auto news = link->News(); news.has_value()) places.push_back(*std::move(news));
  }
  if (places.empty()) return absl::OkStatus();
  const absl::Status status = member_->Commit(places, std::move(stop));
  if (!status.ok()) {
    base::LogDebug("{}", base::Message(status));
    return IsPassing(status) ? absl::OkStatus() : status;
  }
  for (const kafka::GroupPlace& place : places) links_[NameOf(place.at)]->Committed(place);
  return absl::OkStatus();
}

absl::Status ConsumerGroup::JudgeTruncates(std::stop_token stop) {
  std::map<std::string, std::vector<PartitionLink*>> waiting;  // By topic.
  bool passed = false;
  for (const auto& [part, link] : links_) {
    if (!link->waits_at().empty()) waiting[link->at().topic].push_back(link.get());
    passed |= !link->pass_is_known();
  }
  if (passed || !waiting.empty()) PGFLOW_RETURN_IF_ERROR(Commit(stop));
  for (const auto& [topic, links] : waiting) {
    PGFLOW_ASSIGN_OR_RETURN(const int32_t count, CountPartitions(topic, stop));
    std::vector<kafka::TopicPartition> all;
    for (int32_t i = 0; i < count; ++i) all.push_back({topic, i});
    const auto places = member_->Committed(all, stop);
    if (!places.ok() && IsPassing(places.status())) continue;
    PGFLOW_RETURN_IF_ERROR(places.status());
    for (PartitionLink* link : links) {
      const std::string id = link->waits_at();
      const bool leads = link->at().partition == 0;
      const bool ready = std::ranges::all_of(*places, [&](const kafka::GroupPlace& place) {
        const TruncateNote note = TruncateNote::Parse(place.note);
        const bool counts = leads == (place.at.partition != 0);
        return !counts || note.IsPast(id) || (leads && note.at == id);
      });
      if (ready) link->LetPass();
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<int32_t> ConsumerGroup::CountPartitions(const std::string& topic,
                                                       std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(const std::unique_ptr<kafka::Admin> admin,
                          kafka::Admin::Make({.settings = settings_, .patience = config_.timeout}));
  PGFLOW_ASSIGN_OR_RETURN(const std::optional<int32_t> count,
                          admin->CountPartitions(topic, std::move(stop)));
  if (!count.has_value()) return absl::UnavailableError("topic " + topic + " is not there");
  return *count;
}

absl::StatusOr<std::unique_ptr<engine::Source>> ConsumerGroup::Open(const std::string& part) {
  const std::optional<kafka::TopicPartition> at = PartitionOf(part);
  if (!at.has_value()) return absl::InvalidArgumentError(part + " is no partition");
  PGFLOW_ASSIGN_OR_RETURN(kafka::GroupMember* const member, Member());
  if (cluster_.empty()) {
    PGFLOW_ASSIGN_OR_RETURN(cluster_, member->ClusterId({}));
  }
  PGFLOW_ASSIGN_OR_RETURN(const auto places, member->Committed({&*at, 1}, {}));
  PGFLOW_ASSIGN_OR_RETURN(const int32_t count, CountPartitions(at->topic, {}));
  auto link = std::make_shared<PartitionLink>(*at);
  link->Restore(TruncateNote::Parse(places.front().note));
  links_[part] = link;
  return std::make_unique<PartitionSource>(
      PartitionSource::Options{.config = config_,
                               .settings = settings_,
                               .identity = {.system_identifier = HashOf(cluster_),
                                            .timeline = 1,
                                            .database = at->topic,
                                            .slot = part},
                               .link = std::move(link),
                               .committed = places.front().next,
                               .only_partition = count == 1});
}

absl::StatusOr<std::vector<std::string>> ConsumerGroup::ListParts(std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(const std::unique_ptr<kafka::Admin> admin,
                          kafka::Admin::Make({.settings = settings_, .patience = config_.timeout}));
  PGFLOW_ASSIGN_OR_RETURN(const auto topics, admin->ListTopics(config_.topics, std::move(stop)));
  std::vector<std::string> parts;
  for (const auto& [topic, count] : topics) {
    for (int32_t i = 0; i < count; ++i) parts.push_back(NameOf({topic, i}));
  }
  return parts;
}

absl::Status ConsumerGroup::Forget(std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(kafka::GroupMember* const member, Member());
  return member->RemoveGroup(std::move(stop));
}

}  // namespace pgflow::sources
