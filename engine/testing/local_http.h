// One HTTP request to a server of a test on this machine: no TLS, a connection of its own. Tests
// look with it at what a client of ours did, so it shares no code with that client.
//
// Any thread. kUnavailable: nobody listens, or no whole answer within half a minute. kInternal with
// the body: the status is not 2xx.
#pragma once

#include <string>

#include <absl/status/statusor.h>

namespace pgflow::engine {

struct LocalAnswer {
  int status = 0;
  std::string body;
};
// Whatever its status is.
absl::StatusOr<LocalAnswer> LocalExchange(int port, const std::string& method,
                                          const std::string& path, const std::string& body);

// The answer's body.
absl::StatusOr<std::string> LocalHttp(int port, const std::string& method, const std::string& path,
                                      const std::string& body = "");

}  // namespace pgflow::engine
