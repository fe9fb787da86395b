// Moments and durations in the forms of Debezium's events, from the server's text output (see
// parsed_times.h). Pure, thread-safe. Nothing for text that is none, or that the form has no room
// for.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "sinks/encoding/debezium_type.h"

namespace pgflow::sinks {

// "2026-01-31T09:05:00.250000Z"; infinities as they are.
std::optional<std::string> IsoTimestamp(std::string_view text);
// "09:05:00.25Z", of a time with its zone.
std::optional<std::string> IsoTime(std::string_view text);
// "P1Y2M3DT4H5M6.7S"
std::optional<std::string> IsoInterval(std::string_view text);
// With months of 30.4375 days. `clamps`: out of range is the nearest number that there is.
std::optional<int64_t> IntervalMicros(std::string_view text, bool clamps);
// Of kDate, kTime* and kTimestamp* without a zone: days, milliseconds or microseconds. An infinite
// date is the largest or smallest int32, an infinite timestamp the largest or smallest int64.
std::optional<int64_t> MomentNumber(DebeziumForm form, std::string_view text, bool clamps);

}  // namespace pgflow::sinks
