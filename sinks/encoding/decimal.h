// Decimals as a whole number and a scale, the form that Kafka Connect knows. Pure, thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pgflow::sinks {

// The digits behind the point of a number as the server prints it; nothing for NaN and infinities.
std::optional<int32_t> ScaleOf(std::string_view number);

// number * 10^scale as a big-endian two's complement of as few bytes as it takes. False when that
// is no whole number, or `number` is none; `out` is then unchanged.
bool AppendUnscaled(std::string_view number, int32_t scale, std::string& out);

}  // namespace pgflow::sinks
