#include "base/config/values.h"

#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <string_view>

namespace pgflow::config {
namespace {

template <typename T>
bool ReadNumber(const Node& node, T& value) {
  if (!node.is_scalar()) return false;
  std::string_view text = node.text();
  if (text.starts_with('+')) text.remove_prefix(1);
  T parsed{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), parsed);
  if (error != std::errc() || end != text.data() + text.size()) return false;
  value = parsed;
  return true;
}

struct Unit {
  std::string_view name;
  uint64_t bytes;
};
// Largest first, binary before decimal: how PrintValue prefers them.
constexpr std::array<Unit, 10> kUnits = {{{"TiB", 1ULL << 40},
                                          {"GiB", 1ULL << 30},
                                          {"MiB", 1ULL << 20},
                                          {"KiB", 1ULL << 10},
                                          {"TB", 1000000000000},
                                          {"GB", 1000000000},
                                          {"MB", 1000000},
                                          {"kB", 1000},
                                          {"KB", 1000},
                                          {"B", 1}}};

template <typename Range, typename Print>
std::string Join(const Range& range, Print print) {
  std::string text;
  for (const auto& item : range) {
    if (!text.empty()) text += ", ";
    text += print(item);
  }
  return text;
}

}  // namespace

bool ReadValue(const Node& node, bool& value) {
  if (!node.is_scalar()) return false;
  const std::string& text = node.text();
  if (text == "true" || text == "yes" || text == "on") {
    value = true;
  } else if (text == "false" || text == "no" || text == "off") {
    value = false;
  } else {
    return false;
  }
  return true;
}

bool ReadValue(const Node& node, int64_t& value) { return ReadNumber(node, value); }
bool ReadValue(const Node& node, uint64_t& value) { return ReadNumber(node, value); }

bool ReadValue(const Node& node, double& value) {
  double parsed = 0;
  if (!ReadNumber(node, parsed) || !std::isfinite(parsed)) return false;
  value = parsed;
  return true;
}

bool ReadValue(const Node& node, std::string& value) {
  if (!node.is_scalar()) return false;
  value = node.text();
  return true;
}

bool ReadValue(const Node& node, Secret& value) {
  if (!node.is_scalar()) return false;
  value = Secret(node.text());
  return true;
}

bool ReadValue(const Node& node, absl::Duration& value) {
  absl::Duration parsed;
  if (!node.is_scalar() || !absl::ParseDuration(node.text(), &parsed)) return false;
  if (parsed < absl::ZeroDuration() || parsed == absl::InfiniteDuration()) return false;
  value = parsed;
  return true;
}

bool ReadValue(const Node& node, ByteSize& value) {
  if (!node.is_scalar()) return false;
  const std::string_view text = node.text();
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return false;
  std::string_view unit = text.substr(static_cast<size_t>(end - text.data()));
  while (unit.starts_with(' ')) unit.remove_prefix(1);
  uint64_t factor = unit.empty() ? 1 : 0;
  for (const Unit& known : kUnits) {
    if (known.name == unit) factor = known.bytes;
  }
  if (factor == 0 || number > std::numeric_limits<uint64_t>::max() / factor) return false;
  value = {number * factor};
  return true;
}

bool ReadValue(const Node& node, std::vector<std::string>& value) {
  if (!node.is_list()) return false;
  std::vector<std::string> parsed;
  for (const Node& item : node.items()) {
    if (!item.is_scalar()) return false;
    parsed.push_back(item.text());
  }
  value = std::move(parsed);
  return true;
}

bool ReadValue(const Node& node, StringMap& value) {
  if (!node.is_map()) return false;
  StringMap parsed;
  for (const auto& [key, item] : node.entries()) {
    if (!item.is_scalar()) return false;
    parsed[key.text()] = item.text();
  }
  value = std::move(parsed);
  return true;
}

bool ReadValue(const Node& node, Node& value) {
  value = node;
  return true;
}

std::string PrintValue(bool value) { return value ? "true" : "false"; }
std::string PrintValue(int64_t value) { return fmt::format("{}", value); }
std::string PrintValue(uint64_t value) { return fmt::format("{}", value); }
std::string PrintValue(double value) { return fmt::format("{}", value); }
std::string PrintValue(const std::string& value) { return value; }
std::string PrintValue(const Secret& value) { return value.empty() ? "" : "***"; }
std::string PrintValue(absl::Duration value) { return absl::FormatDuration(value); }

std::string PrintValue(ByteSize value) {
  for (const Unit& unit : kUnits) {
    if (value.bytes != 0 && unit.bytes != 1 && value.bytes % unit.bytes == 0) {
      return fmt::format("{}{}", value.bytes / unit.bytes, unit.name);
    }
  }
  return fmt::format("{}", value.bytes);
}

std::string PrintValue(const std::vector<std::string>& value) {
  return "[" + Join(value, [](const std::string& item) { return fmt::format("\"{}\"", item); }) +
         "]";
}

std::string PrintValue(const StringMap& value) {
  return "{" +
         Join(value,
              [](const auto& item) { return fmt::format("{}: \"{}\"", item.first, item.second); }) +
         "}";
}

std::string PrintValue(const Node&) { return ""; }

}  // namespace pgflow::config
