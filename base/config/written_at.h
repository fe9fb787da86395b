// Where a part of the configuration was written, in messages about what it says.
#pragma once

#include <string>
#include <string_view>

#include <absl/status/status.h>
#include <fmt/format.h>

#include "base/config/node.h"
#include "base/status.h"

namespace pgflow::config {

// " (rule at pipeline.yaml:12)"; empty when the place is not known.
inline std::string WrittenAt(std::string_view what, const Place& place) {
  return place.line == 0 ? std::string() : fmt::format(" ({} at {})", what, place.ToString());
}

// The error, with that at its end; without a place as it was.
inline absl::Status AddWrittenAt(const absl::Status& status, std::string_view what,
                                 const Place& place) {
  if (place.line == 0) return status;
  return base::MakeStatus(status.code(), "{}{}", base::Message(status), WrittenAt(what, place));
}

}  // namespace pgflow::config
