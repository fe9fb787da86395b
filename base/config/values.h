// The types a configuration value may have, and how each is read and written.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <absl/time/time.h>
#include <fmt/format.h>

#include "base/config/node.h"

namespace pgflow::config {

// A text that must never be shown: formats as ***.
class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string value) : value_(std::move(value)) {}

  const std::string& value() const { return value_; }
  bool empty() const { return value_.empty(); }
  friend bool operator==(const Secret&, const Secret&) = default;

 private:
  std::string value_;
};

// A number of bytes: "64MiB", "1GB", "4096".
struct ByteSize {
  uint64_t bytes = 0;

  friend auto operator<=>(const ByteSize&, const ByteSize&) = default;
};

using StringMap = std::map<std::string, std::string>;

// Read `node` into `value`; false when it is something else (`value` is then unchanged).
bool ReadValue(const Node& node, bool& value);
bool ReadValue(const Node& node, int64_t& value);
bool ReadValue(const Node& node, uint64_t& value);
bool ReadValue(const Node& node, double& value);
bool ReadValue(const Node& node, std::string& value);
bool ReadValue(const Node& node, Secret& value);
bool ReadValue(const Node& node, absl::Duration& value);  // Not negative, not infinite.
bool ReadValue(const Node& node, ByteSize& value);
bool ReadValue(const Node& node, std::vector<std::string>& value);
bool ReadValue(const Node& node, StringMap& value);
bool ReadValue(const Node& node, Node& value);

// As the user would write it; also for defaults in the documentation.
std::string PrintValue(bool value);
std::string PrintValue(int64_t value);
std::string PrintValue(uint64_t value);
std::string PrintValue(double value);
std::string PrintValue(const std::string& value);
std::string PrintValue(const Secret& value);
std::string PrintValue(absl::Duration value);
std::string PrintValue(ByteSize value);
std::string PrintValue(const std::vector<std::string>& value);
std::string PrintValue(const StringMap& value);
std::string PrintValue(const Node& value);

}  // namespace pgflow::config

template <>
struct fmt::formatter<pgflow::config::Secret> : fmt::formatter<std::string_view> {
  template <typename Context>
  auto format(const pgflow::config::Secret&, Context& context) const {
    return fmt::formatter<std::string_view>::format("***", context);
  }
};

template <>
struct fmt::formatter<pgflow::config::ByteSize> : fmt::formatter<std::string> {
  template <typename Context>
  auto format(const pgflow::config::ByteSize& size, Context& context) const {
    return fmt::formatter<std::string>::format(pgflow::config::PrintValue(size), context);
  }
};
