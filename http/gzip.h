// Gzip: the body of a request, compressed; for this room only.
#pragma once

#include <string>
#include <string_view>

#include <absl/status/statusor.h>

namespace pgflow::http {

// kResourceExhausted without memory.
absl::StatusOr<std::string> Gzip(std::string_view bytes);

}  // namespace pgflow::http
