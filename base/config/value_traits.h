// What ConfigSpec asks of a member's type. Used through config_spec.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include <absl/time/time.h>

#include "base/config/spec_description.h"
#include "base/config/values.h"

namespace pgflow::config {

template <typename M>
struct Optional : std::false_type {
  using Value = M;
};
template <typename T>
struct Optional<std::optional<T>> : std::true_type {
  using Value = T;
};

template <typename T>
inline constexpr bool kIsInteger = std::is_integral_v<T> && !std::is_same_v<T, bool>;

template <typename T>
constexpr ValueType ValueTypeOf() {
  if constexpr (std::is_same_v<T, bool>) {
    return ValueType::kBoolean;
  } else if constexpr (std::is_integral_v<T>) {
    return ValueType::kInteger;
  } else if constexpr (std::is_floating_point_v<T>) {
    return ValueType::kNumber;
  } else if constexpr (std::is_enum_v<T>) {
    return ValueType::kChoice;
  } else if constexpr (std::is_same_v<T, std::string>) {
    return ValueType::kString;
  } else if constexpr (std::is_same_v<T, Secret>) {
    return ValueType::kSecret;
  } else if constexpr (std::is_same_v<T, absl::Duration>) {
    return ValueType::kDuration;
  } else if constexpr (std::is_same_v<T, ByteSize>) {
    return ValueType::kByteSize;
  } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
    return ValueType::kStringList;
  } else if constexpr (std::is_same_v<T, StringMap>) {
    return ValueType::kStringMap;
  } else {
    static_assert(std::is_same_v<T, Node>, "This member type is not a configuration value.");
    return ValueType::kAny;
  }
}

template <typename T>
std::string Print(const T& value) {
  if constexpr (kIsInteger<T> && std::is_signed_v<T>) {
    return PrintValue(static_cast<int64_t>(value));
  } else if constexpr (kIsInteger<T>) {
    return PrintValue(static_cast<uint64_t>(value));
  } else {
    return PrintValue(value);
  }
}

}  // namespace pgflow::config
