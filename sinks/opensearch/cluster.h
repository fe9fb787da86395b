// Cluster: requests to an OpenSearch or Elasticsearch, with answers as statuses.
//
// Owned by a sink or one of its lanes; one thread.
//
// Errors: those of http::Client, and by the answer's status kUnauthenticated (401),
// kPermissionDenied (403), kNotFound (404), kUnavailable (408, 429, 5xx), kFailedPrecondition for
// all others, with the server's reason.
#pragma once

#include <memory>
#include <set>
#include <stop_token>
#include <string>
#include <string_view>

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <nlohmann/json.hpp>

#include "http/client.h"
#include "sinks/opensearch/field_mapping.h"
#include "sinks/opensearch/sink_config.h"

namespace pgflow::sinks {

class Cluster {
 public:
  // `owner` is shown in the server's tasks ("pgflow/shop/search"). `config` must outlive this.
  static absl::StatusOr<std::unique_ptr<Cluster>> Make(const OpenSearchSinkConfig& config,
                                                       std::string owner);

  // Reads what the server is. kFailedPrecondition: it is no server that this sink knows.
  absl::StatusOr<SearchProduct> ReadProduct(std::stop_token stop);
  // Returns when the bulk requests that `owner` sent earlier are done: what is still under way must
  // not come behind what is sent next. kUnavailable: they do not end.
  absl::Status AwaitOwnRequests(std::stop_token stop);

  // The body of an answer 2xx; `path` begins with a slash, a query in it is encoded and sorted, as
  // AWS signs it.
  absl::StatusOr<std::string> Call(const std::string& method, const std::string& path,
                                   std::string body, std::stop_token stop);
  absl::StatusOr<std::string> Call(const std::string& method, const std::string& path,
                                   const nlohmann::json& body, std::stop_token stop) {
    return Call(method, path, body.dump(), std::move(stop));
  }
  // The answer as JSON.
  absl::StatusOr<nlohmann::json> Read(const std::string& method, const std::string& path,
                                      const nlohmann::json& body, std::stop_token stop);

  // For requests of a caller's own.
  http::Client& client() { return *client_; }
  http::Request MakeRequest(const std::string& method, const std::string& path,
                            std::string body) const;
  static absl::Status ToStatus(const http::Response& response, std::string_view request);

 private:
  Cluster(const OpenSearchSinkConfig& config, std::unique_ptr<http::Client> client,
          std::string owner);
  absl::StatusOr<std::set<std::string>> OwnRequests(std::stop_token stop);

  const std::unique_ptr<http::Client> client_;
  const std::string url_;
  const std::string owner_;
  std::string authorization_;
};

}  // namespace pgflow::sinks
