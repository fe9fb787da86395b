#include "kafka/user_settings.h"

#include <algorithm>
#include <cctype>

#include "base/status.h"

namespace pgflow::kafka {

absl::Status CheckBrokers(const std::vector<std::string>& brokers) {
  for (const std::string& broker : brokers) {
    // The library names brokers in its messages: a user with a password must not pass for one.
    const auto fits = [](unsigned char c) {
      return std::isalnum(c) != 0 || c >= 0x80 ||
             std::string_view(".-_:[]").find(static_cast<char>(c)) != std::string_view::npos;
    };
    const size_t colon = broker.rfind(':');
    const bool has_port =
        colon != std::string::npos && broker.find(']', colon) == std::string::npos;
    const std::string_view port =
        has_port ? std::string_view(broker).substr(colon + 1) : std::string_view("9092");
    const bool good =
        !broker.empty() && std::ranges::all_of(broker, fits) && !port.empty() &&
        std::ranges::all_of(port, [](unsigned char c) { return std::isdigit(c) != 0; });
    if (good) continue;
    return absl::InvalidArgumentError(
        "brokers: each is host:port; user and password belong to sasl, TLS to tls");
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
