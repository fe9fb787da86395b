// Which partition a key belongs to: the choice of Java's clients, so that a topic written by both
// keeps each key in one place. Pure.
#pragma once

#include <cstdint>
#include <string_view>

namespace pgflow::kafka {

// org.apache.kafka.common.utils.Utils.murmur2.
uint32_t Murmur2(std::string_view bytes);

// `count` > 0.
inline int32_t PartitionOfKey(std::string_view key, int32_t count) {
  return static_cast<int32_t>((Murmur2(key) & 0x7fffffffU) % static_cast<uint32_t>(count));
}

}  // namespace pgflow::kafka
