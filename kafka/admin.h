// Admin: which topics there are, how they are set, and new ones.
//
// One thread at a time; each call blocks until it is answered, `patience` has passed or a stop is
// requested. Never makes a topic by asking for it. Errors as kafka/client.h says.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include "kafka/settings.h"

namespace pgflow::kafka {

class Client;

struct TopicSpec {
  std::string name;
  int32_t partitions = 1;
  int16_t replication_factor = -1;  // -1: the brokers' default.
  std::map<std::string, std::string> settings;
};

class Admin {
 public:
  struct Options {
    Settings settings;
    absl::Duration patience = absl::Seconds(30);
  };
  static absl::StatusOr<std::unique_ptr<Admin>> Make(Options options);
  ~Admin();
  Admin(const Admin&) = delete;
  Admin& operator=(const Admin&) = delete;

  // How many brokers the cluster has.
  absl::StatusOr<int> CountBrokers(std::stop_token stop);
  // Nothing when there is no such topic (or this principal may not see it).
  absl::StatusOr<std::optional<int32_t>> CountPartitions(const std::string& topic,
                                                         std::stop_token stop);
  // The topics of these names, with their number of partitions. A name that starts with ^ is a
  // regular expression. kInvalidArgument: not a good one.
  absl::StatusOr<std::map<std::string, int32_t>> ListTopics(const std::vector<std::string>& names,
                                                            std::stop_token stop);
  // OK, too, when it exists meanwhile.
  absl::Status CreateTopic(const TopicSpec& spec, std::stop_token stop);
  // "max.message.bytes" -> "1048588", ...
  absl::StatusOr<std::map<std::string, std::string>> TopicSettings(const std::string& topic,
                                                                   std::stop_token stop);

 private:
  Admin(Options options, std::unique_ptr<Client> client);

  const Options options_;
  std::unique_ptr<Client> client_;
};

}  // namespace pgflow::kafka
