// What a receiver's answer means for the messages of one request. Pure functions.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include "http/message.h"

namespace pgflow::sinks {

enum class Verdict {
  kTaken,          // 2xx; some items may have failed: FailedItems.
  kTryAgain,       // 408, 425, 429, 5xx: it may pass.
  kTooLarge,       // 413
  kRefused,        // Any other 4xx: this content will not be taken.
  kMisconfigured,  // 401, 403, 404, 410, a redirect, ...: no content will.
};
Verdict VerdictOf(int status);

// What Retry-After asks for, in seconds or as a date; nothing when it is missing or none.
std::optional<absl::Duration> RetryAfter(const http::Response& response, absl::Time now);

struct FailedItem {
  size_t index = 0;  // In the request.
  std::string error;
  bool retry = false;  // Else it is refused for good.
};

// The list of a 2xx answer in JSON, {"failed": [{"index": 2, "error": "...", "retry": true}, ...]},
// where an item may be named by "id" (its Idempotency-Key) as well; in order, each once. Empty
// when there is none. kUnavailable when the list cannot be read: what failed is then not known.
absl::StatusOr<std::vector<FailedItem>> FailedItems(const http::Response& response,
                                                    std::span<const std::string> ids);

// The start of a body as a message may show it: in one line, printable.
std::string Excerpt(std::string_view body);

}  // namespace pgflow::sinks
