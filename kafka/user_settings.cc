#include "kafka/user_settings.h"

#include <algorithm>

#include "base/status.h"

namespace pgflow::kafka {

absl::Status CheckBrokers(const std::vector<std::string>& brokers) {
  for (const std::string& broker : brokers) {
    if (!broker.empty() && broker.find(',') == std::string::npos) continue;
    return absl::InvalidArgumentError("brokers: each is host:port");
  }
  return absl::OkStatus();
}

absl::Status AddUserSettings(const std::map<std::string, std::string>& wanted,
                             std::span<const std::string_view> fixed, std::string_view whose,
                             Settings& settings) {
  for (const auto& [name, value] : wanted) {
    if (std::ranges::find(fixed, name) != fixed.end()) {
      return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                              "librdkafka: {} is what the {}'s promise rests on, or has an option "
                              "of its own here: it cannot be set",
                              name, whose);
    }
    if (!settings.try_emplace(name, value).second) {
      return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                              "librdkafka: {} has an option of its own here: use that", name);
    }
  }
  settings.try_emplace("reconnect.backoff.max.ms", "1000");
  settings.try_emplace("socket.keepalive.enable", "true");
  return absl::OkStatus();
}

}  // namespace pgflow::kafka
