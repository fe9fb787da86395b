// DeliveryOptions: what an endpoint is sent, how fast, and what may be shown of it.
//
// A plain value; immutable once a Delivery uses it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <absl/time/time.h>

#include "http/message.h"
#include "sinks/webhook/signature.h"

namespace pgflow::sinks {

struct DeliveryOptions {
  std::string url;
  std::string shown;  // What messages call the endpoint: its origin.
  std::string content_type;
  http::Request::Compression compression = http::Request::Compression::kNone;
  Signer signer;
  // One event a request, as it is; else always an array.
  bool batched = false;
  size_t batch_events_max = 1;
  uint64_t batch_bytes_max = 1 << 20;
  size_t requests_max = 16;
  absl::Duration retry_initial = absl::Milliseconds(100);
  absl::Duration retry_max = absl::Seconds(30);
  // A request that failed for so long goes back to the caller as an error.
  absl::Duration give_up_after = absl::Seconds(10);
  int circuit_failures = 8;
  // Texts that an answer must not bring into a message.
  std::vector<std::string> secrets;
};

// `text` with every secret replaced.
std::string Redacted(std::string text, const std::vector<std::string>& secrets);

}  // namespace pgflow::sinks
