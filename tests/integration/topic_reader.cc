#include "tests/integration/topic_reader.h"

#include <absl/time/clock.h>
#include <gtest/gtest.h>

#include "kafka/consumer.h"
#include "tests/integration/pgflow_process.h"

namespace pgflow::tests {

std::vector<TopicMessage> ReadTopic(const std::string& brokers, const std::string& topic,
                                    int partitions) {
  std::vector<TopicMessage> messages;
  auto consumer =
      kafka::Consumer::Make({{"bootstrap.servers", brokers}}, kafka::Isolation::kReadCommitted);
  std::vector<kafka::PartitionOffset> all;
  all.reserve(static_cast<size_t>(partitions));
  for (int32_t i = 0; i < partitions; ++i) all.push_back({.partition = i, .offset = 0});
  if (!consumer.ok() || !(*consumer)->Assign(topic, all).ok()) {
    ADD_FAILURE() << "cannot read topic " << topic;
    return messages;
  }
  int ended = 0;
  const absl::Time deadline = absl::Now() + kPatience;
  while (ended < partitions) {
    const auto polled = (*consumer)->Poll(absl::Milliseconds(100));
    if (!polled.ok() || absl::Now() > deadline) {
      ADD_FAILURE() << "topic " << topic << ": " << polled.status();
      break;
    }
    if (polled->kind == kafka::Polled::Kind::kEnd) ++ended;
    if (polled->kind != kafka::Polled::Kind::kRecord) continue;
    const kafka::Record& record = polled->record;
    TopicMessage& message = messages.emplace_back();
    message.partition = record.partition;
    if (record.has_key) message.key = record.key;
    if (record.has_value) message.value = record.value;
    for (const auto& [name, value] : record.headers) message.headers.emplace(name, value);
  }
  return messages;
}

}  // namespace pgflow::tests
