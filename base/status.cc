#include "base/status.h"

#include <absl/strings/cord.h>
#include <absl/strings/string_view.h>

namespace pgflow::base {

absl::Status Annotate(const absl::Status& status, std::string_view context) {
  if (status.ok()) return status;
  absl::Status annotated(status.code(), fmt::format("{}: {}", context, Message(status)));
  status.ForEachPayload([&](absl::string_view type, const absl::Cord& payload) {
    annotated.SetPayload(type, payload);
  });
  return annotated;
}

bool IsRetryable(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kResourceExhausted:
      return true;
    default:
      return false;
  }
}

void SetPayload(absl::Status& status, std::string_view type, std::string_view payload) {
  status.SetPayload(absl::string_view(type.data(), type.size()),
                    absl::Cord(absl::string_view(payload.data(), payload.size())));
}

std::string Payload(const absl::Status& status, std::string_view type) {
  const auto payload = status.GetPayload(absl::string_view(type.data(), type.size()));
  return payload.has_value() ? std::string(*payload) : std::string();
}

}  // namespace pgflow::base
