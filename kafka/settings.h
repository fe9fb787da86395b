// Settings: properties of librdkafka by their names, and what errors of every client here carry.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include <absl/status/status.h>

namespace pgflow::kafka {

// "bootstrap.servers" -> "one:9092,two:9092". Values may be passwords: never printed.
using Settings = std::map<std::string, std::string>;

// Pure: kInvalidArgument names a property that librdkafka does not know, or whose value it refuses.
absl::Status CheckSettings(const Settings& settings);

// On a status: this producer was fenced off, by a newer one of its transactional.id or by the
// broker, whose time limit its transaction exceeded.
inline constexpr std::string_view kFencedPayload = "pgflow/kafka-fenced";
// On kInvalidArgument: the broker's limit refused a message, or the batch that it was in.
inline constexpr std::string_view kTooLargePayload = "pgflow/kafka-too-large";
// On kFailedPrecondition: the topic is not there.
inline constexpr std::string_view kNoTopicPayload = "pgflow/kafka-no-topic";

}  // namespace pgflow::kafka
