// One HTTP GET from the admin port of a running pipeline.
#pragma once

#include <functional>
#include <stop_token>
#include <string>
#include <string_view>

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>

namespace pgflow::cli {

// The body of `path` at `listen` ("host:port"). kUnavailable: nobody answers there, or not in time;
// kInternal: the answer is not a 200.
absl::StatusOr<std::string> FetchAdmin(const std::string& listen, const std::string& path,
                                       absl::Duration timeout);

// An answer without end, handed over piece by piece. OK: the server ended it, `consume` said false,
// or `stop`. The same errors as above; of kInternal, the message is what the server says.
absl::Status StreamAdmin(const std::string& listen, const std::string& path,
                         absl::Duration answer_timeout,
                         const std::function<bool(std::string_view piece)>& consume,
                         const std::stop_token& stop);

}  // namespace pgflow::cli
