// What is in a topic of Kafka, for tests.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace pgflow::tests {

struct TopicMessage {
  int partition = 0;
  std::optional<std::string> key;
  std::optional<std::string> value;
  std::map<std::string, std::string> headers;
};

// All that is committed, partition by partition, in order. Fails the running test when it cannot.
std::vector<TopicMessage> ReadTopic(const std::string& brokers, const std::string& topic,
                                    int partitions = 1);

}  // namespace pgflow::tests
