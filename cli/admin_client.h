// FetchAdmin: one HTTP GET from the admin port of a running pipeline.
#pragma once

#include <string>

#include <absl/status/statusor.h>
#include <absl/time/time.h>

namespace pgflow::cli {

// The body of `path` at `listen` ("host:port"). kUnavailable: nobody answers there, or not in time;
// kInternal: the answer is not a 200.
absl::StatusOr<std::string> FetchAdmin(const std::string& listen, const std::string& path,
                                       absl::Duration timeout);

}  // namespace pgflow::cli
