#include "kafka/admin.h"

#include <regex.h>

#include <array>
#include <functional>
#include <utility>

#include <absl/time/clock.h>

#include "base/status.h"
#include "kafka/client.h"

namespace pgflow::kafka {
namespace {

int Milliseconds(absl::Duration duration) {
  return static_cast<int>(absl::ToInt64Milliseconds(duration));
}

// The broker's answer to a request that `send` puts on a queue.
absl::StatusOr<Owned<rd_kafka_event_t>> Ask(
    Client& client, rd_kafka_admin_op_t operation, std::string_view what, absl::Duration patience,
    const std::stop_token& stop,
    const std::function<void(rd_kafka_AdminOptions_t*, rd_kafka_queue_t*)>& send) {
  const Owned<rd_kafka_queue_t> queue(rd_kafka_queue_new(client.handle()));
  const Owned<rd_kafka_AdminOptions_t> options(
      rd_kafka_AdminOptions_new(client.handle(), operation));
  std::array<char, 256> text{};
  rd_kafka_AdminOptions_set_request_timeout(options.get(), Milliseconds(patience), text.data(),
                                            text.size());
  send(options.get(), queue.get());
  const absl::Time deadline = absl::Now() + patience;
  while (true) {
    Owned<rd_kafka_event_t> event(rd_kafka_queue_poll(queue.get(), Milliseconds(kStep)));
    client.Poll(absl::ZeroDuration());
    if (event != nullptr) {
      const rd_kafka_resp_err_t code = rd_kafka_event_error(event.get());
      if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return ErrorStatus(code, what, rd_kafka_event_error_string(event.get()));
      }
      return event;
    }
    if (stop.stop_requested()) {
      return base::MakeStatus(absl::StatusCode::kCancelled, "{}: stopped", what);
    }
    if (client.connection_error().code() == absl::StatusCode::kUnauthenticated) {
      return base::Annotate(client.connection_error(), what);
    }
    if (absl::Now() >= deadline) return client.TimedOut(what, patience);
  }
}

absl::StatusOr<Owned<const rd_kafka_metadata_t>> Metadata(Client& client, rd_kafka_topic_t* topic,
                                                          std::string_view what,
                                                          absl::Duration patience,
                                                          const std::stop_token& stop) {
  const rd_kafka_metadata_t* metadata = nullptr;
  PGFLOW_RETURN_IF_ERROR(
      client.Persist(what, absl::Now() + patience, stop, [&](int step_ms) -> rd_kafka_error_t* {
        const rd_kafka_resp_err_t code =
            rd_kafka_metadata(client.handle(), 0, topic, &metadata, step_ms);
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return nullptr;
        const bool silent = code == RD_KAFKA_RESP_ERR__TRANSPORT;
        return rd_kafka_error_new(silent ? RD_KAFKA_RESP_ERR__TIMED_OUT : code, "%s",
                                  rd_kafka_err2str(code));
      }));
  return Owned<const rd_kafka_metadata_t>(metadata);
}

// As the library reads patterns: POSIX extended ones.
absl::StatusOr<bool> MatchesTopic(const std::string& name, const char* topic) {
  if (!name.starts_with('^')) return name == topic;
  regex_t pattern;
  if (regcomp(&pattern, name.c_str(), REG_EXTENDED | REG_NOSUB) != 0) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "topics: '{}' is no regular expression", name);
  }
  const bool matches = regexec(&pattern, topic, 0, nullptr, 0) == 0;
  regfree(&pattern);
  return matches;
}

}  // namespace

Admin::Admin(Options options, std::unique_ptr<Client> client)
    : options_(std::move(options)), client_(std::move(client)) {}
Admin::~Admin() = default;

absl::StatusOr<std::unique_ptr<Admin>> Admin::Make(Options options) {
  // A consumer's handle: a producer's asks brokers to create what they do not have.
  PGFLOW_ASSIGN_OR_RETURN(
      std::unique_ptr<Client> client,
      Client::Make(RD_KAFKA_CONSUMER, options.settings, std::function<void(rd_kafka_conf_t*)>()));
  return std::unique_ptr<Admin>(new Admin(std::move(options), std::move(client)));
}

absl::StatusOr<int> Admin::CountBrokers(std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(const Owned<const rd_kafka_metadata_t> metadata,
                          Metadata(*client_, nullptr, "brokers", options_.patience, stop));
  return metadata->broker_cnt;
}

absl::StatusOr<std::optional<int32_t>> Admin::CountPartitions(const std::string& topic,
                                                              std::stop_token stop) {
  const std::string what = fmt::format("topic {}", topic);
  const Owned<rd_kafka_topic_t> handle(
      rd_kafka_topic_new(client_->handle(), topic.c_str(), nullptr));
  if (handle == nullptr) return ErrorStatus(rd_kafka_last_error(), what, "");
  PGFLOW_ASSIGN_OR_RETURN(const Owned<const rd_kafka_metadata_t> metadata,
                          Metadata(*client_, handle.get(), what, options_.patience, stop));
  if (metadata->topic_cnt != 1) return std::optional<int32_t>();
  const rd_kafka_metadata_topic_t& found = metadata->topics[0];
  switch (found.err) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
    case RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE:
      return std::optional<int32_t>(found.partition_cnt);
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
      return std::optional<int32_t>();
    default:
      return ErrorStatus(found.err, what, "");
  }
}

absl::StatusOr<std::map<std::string, int32_t>> Admin::ListTopics(
    const std::vector<std::string>& names, std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(const Owned<const rd_kafka_metadata_t> metadata,
                          Metadata(*client_, nullptr, "topics", options_.patience, stop));
  std::map<std::string, int32_t> topics;
  for (int i = 0; i < metadata->topic_cnt; ++i) {
    const rd_kafka_metadata_topic_t& topic = metadata->topics[i];
    if (topic.err != RD_KAFKA_RESP_ERR_NO_ERROR) continue;  // Not ours to read.
    for (const std::string& name : names) {
      PGFLOW_ASSIGN_OR_RETURN(const bool matches, MatchesTopic(name, topic.topic));
      if (matches) topics[topic.topic] = topic.partition_cnt;
    }
  }
  return topics;
}

absl::Status Admin::CreateTopic(const TopicSpec& spec, std::stop_token stop) {
  const std::string what = fmt::format("create topic {}", spec.name);
  std::array<char, 256> text{};
  const Owned<rd_kafka_NewTopic_t> topic(rd_kafka_NewTopic_new(
      spec.name.c_str(), spec.partitions, spec.replication_factor, text.data(), text.size()));
  if (topic == nullptr) {
    return base::MakeStatus(absl::StatusCode::kFailedPrecondition, "{}: {}", what, text.data());
  }
  for (const auto& [name, value] : spec.settings) {
    rd_kafka_NewTopic_set_config(topic.get(), name.c_str(), value.c_str());
  }
  PGFLOW_ASSIGN_OR_RETURN(const Owned<rd_kafka_event_t> answer,
                          Ask(*client_, RD_KAFKA_ADMIN_OP_CREATETOPICS, what, options_.patience,
                              stop, [&](rd_kafka_AdminOptions_t* options, rd_kafka_queue_t* queue) {
                                std::array<rd_kafka_NewTopic_t*, 1> topics = {topic.get()};
                                rd_kafka_CreateTopics(client_->handle(), topics.data(),
                                                      topics.size(), options, queue);
                              }));
  size_t count = 0;
  const rd_kafka_topic_result_t** results =
      rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(answer.get()), &count);
  for (size_t i = 0; i < count; ++i) {
    const rd_kafka_resp_err_t code = rd_kafka_topic_result_error(results[i]);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR || code == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) {
      continue;
    }
    const char* reason = rd_kafka_topic_result_error_string(results[i]);
    return ErrorStatus(code, what, reason == nullptr ? "" : reason);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::map<std::string, std::string>> Admin::TopicSettings(const std::string& topic,
                                                                        std::stop_token stop) {
  const std::string what = fmt::format("settings of topic {}", topic);
  const Owned<rd_kafka_ConfigResource_t> resource(
      rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic.c_str()));
  PGFLOW_ASSIGN_OR_RETURN(
      const Owned<rd_kafka_event_t> answer,
      Ask(*client_, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, what, options_.patience, stop,
          [&](rd_kafka_AdminOptions_t* options, rd_kafka_queue_t* queue) {
            std::array<rd_kafka_ConfigResource_t*, 1> resources = {resource.get()};
            rd_kafka_DescribeConfigs(client_->handle(), resources.data(), resources.size(), options,
                                     queue);
          }));
  size_t count = 0;
  const rd_kafka_ConfigResource_t** results = rd_kafka_DescribeConfigs_result_resources(
      rd_kafka_event_DescribeConfigs_result(answer.get()), &count);
  std::map<std::string, std::string> settings;
  for (size_t i = 0; i < count; ++i) {
    const rd_kafka_resp_err_t code = rd_kafka_ConfigResource_error(results[i]);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return ErrorStatus(code, what, "");
    size_t entries = 0;
    const rd_kafka_ConfigEntry_t** configs = rd_kafka_ConfigResource_configs(results[i], &entries);
    for (size_t j = 0; j < entries; ++j) {
      const char* value = rd_kafka_ConfigEntry_value(configs[j]);
      settings[rd_kafka_ConfigEntry_name(configs[j])] = value == nullptr ? "" : value;
    }
  }
  return settings;
}

}  // namespace pgflow::kafka
