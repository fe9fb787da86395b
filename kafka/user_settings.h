// What components with options for a client share beside security.h: brokers, and librdkafka's own
// settings. Pure functions.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <absl/status/status.h>

#include "kafka/settings.h"

namespace pgflow::kafka {

// kInvalidArgument: an entry that is no single host:port.
absl::Status CheckBrokers(const std::vector<std::string>& brokers);

// Adds what the user wrote under `librdkafka`, and our own choice of what is left open.
// kInvalidArgument: a name in `fixed`, which the promise of `whose` ("sink") rests on, or one that
// `settings` has already.
absl::Status AddUserSettings(const std::map<std::string, std::string>& wanted,
                             std::span<const std::string_view> fixed, std::string_view whose,
                             Settings& settings);

}  // namespace pgflow::kafka
