#include "sinks/opensearch/cluster.h"

#include <algorithm>
#include <charconv>
#include <tuple>
#include <utility>

#include <absl/time/clock.h>

#include "base/pause.h"
#include "base/status.h"
#include "sinks/opensearch/bulk_answer.h"
#include "sinks/opensearch/index_meta.h"
#include "sinks/opensearch/json_scanner.h"

namespace pgflow::sinks {
namespace {

using nlohmann::json;

constexpr size_t kAnswerBytesMax = 256 * base::kMiB;
constexpr size_t kShownBytesMax = 500;
constexpr absl::Duration kTaskPoll = absl::Milliseconds(100);

absl::StatusCode CodeOf(int status) {
  switch (status) {
    case 401:
      return absl::StatusCode::kUnauthenticated;
    case 403:
      return absl::StatusCode::kPermissionDenied;
    case 404:
      return absl::StatusCode::kNotFound;
    case 408:
    case 429:
      return absl::StatusCode::kUnavailable;
    default:
      return status >= 500 ? absl::StatusCode::kUnavailable : absl::StatusCode::kFailedPrecondition;
  }
}

std::string_view RemedyOf(int status) {
  if (status == 401) return "; check connection.auth or api_key";
  if (status == 403) return "; the user needs to create, manage, read and write its indices";
  return "";
}

std::pair<int, int> ParseVersion(std::string_view text) {
  int major = 0;
  int minor = 0;
  const char* end = text.data() + text.size();
  const char* dot = std::from_chars(text.data(), end, major).ptr;
  if (dot < end) std::from_chars(dot + 1, end, minor);
  return {major, minor};
}

}  // namespace

absl::StatusOr<std::unique_ptr<Cluster>> Cluster::Make(const OpenSearchSinkConfig& config,
                                                       std::string owner) {
  PGFLOW_ASSIGN_OR_RETURN(std::unique_ptr<http::Client> client,
                          http::Client::Make({.connection = config.connection,
                                              .addresses = http::AddressPolicy::kAny,
                                              .connections_max = config.connections + 1,
                                              .response_bytes_max = kAnswerBytesMax}));
  return std::unique_ptr<Cluster>(new Cluster(config, std::move(client), std::move(owner)));
}

Cluster::Cluster(const OpenSearchSinkConfig& config, std::unique_ptr<http::Client> client,
                 std::string owner)
    : client_(std::move(client)),
      url_(config.url.ends_with('/') ? config.url.substr(0, config.url.size() - 1) : config.url),
      owner_(std::move(owner)) {
  if (!config.api_key.empty()) authorization_ = "ApiKey " + config.api_key.value();
}

http::Request Cluster::MakeRequest(const std::string& method, const std::string& path,
                                   std::string body) const {
  http::Request request;
  request.method = method;
  request.url = url_ + path;
  request.headers = {
      {"Content-Type",
       path.find("_bulk") == std::string::npos ? "application/json" : "application/x-ndjson"},
      {"X-Opaque-Id", owner_}};
  if (!authorization_.empty()) request.headers.emplace_back("Authorization", authorization_);
  request.body = std::move(body);
  request.name = fmt::format("{} {}{}", method, url_, path.substr(0, path.find('?')));
  return request;
}

absl::Status Cluster::ToStatus(const http::Response& response, std::string_view request) {
  if (response.is_success()) return absl::OkStatus();
  std::string reason = ErrorReason(FindJsonMember(response.body, "error"));
  if (reason.empty()) reason = response.body.substr(0, kShownBytesMax);
  return base::MakeStatus(CodeOf(response.status), "{}: status {}{}{}{}", request, response.status,
                          reason.empty() ? "" : ": ", reason, RemedyOf(response.status));
}

absl::StatusOr<std::string> Cluster::Call(const std::string& method, const std::string& path,
                                          std::string body, std::stop_token stop) {
  http::Request request = MakeRequest(method, path, std::move(body));
  const std::string name = request.name;
  PGFLOW_ASSIGN_OR_RETURN(http::Response response,
                          client_->Send(std::move(request), std::move(stop)));
  PGFLOW_RETURN_IF_ERROR(ToStatus(response, name));
  if (response.body_cut) {
    return base::MakeStatus(absl::StatusCode::kFailedPrecondition, "{}: the answer is too long",
                            name);
  }
  // A change of the cluster's state that not every node has taken in time may still be lost.
  if (response.body.size() < kShownBytesMax &&
      FindJsonMember(response.body, "acknowledged") == "false") {
    return base::MakeStatus(absl::StatusCode::kUnavailable, "{}: the cluster did not confirm it",
                            name);
  }
  return std::move(response.body);
}

absl::StatusOr<json> Cluster::Read(const std::string& method, const std::string& path,
                                   const json& body, std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(
      const std::string answer,
      Call(method, path, body.is_null() ? std::string() : body.dump(), std::move(stop)));
  json parsed = json::parse(answer, nullptr, false);
  if (parsed.is_object() || parsed.is_array()) return parsed;
  return base::MakeStatus(absl::StatusCode::kUnavailable, "{} {}{}: the answer is no JSON: {}",
                          method, url_, path, answer.substr(0, kShownBytesMax));
}

absl::StatusOr<SearchProduct> Cluster::ReadProduct(std::stop_token stop) {
  PGFLOW_ASSIGN_OR_RETURN(const json root, Read("GET", "/", nullptr, stop));
  const json& version = MemberOf(root, "version");
  const json& number = MemberOf(version, "number");
  SearchProduct product;
  if (number.is_string()) {
    std::tie(product.major, product.minor) = ParseVersion(number.get<std::string>());
  } else {
    product.major = 0;
  }
  product.elasticsearch = MemberOf(version, "distribution").is_null();
  const bool too_old = product.elasticsearch
                           ? product.major < 7 || (product.major == 7 && product.minor < 10)
                           : product.major < 1;
  if (too_old) {
    return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                            "{} is {}: this sink needs OpenSearch 1 or later, or Elasticsearch "
                            "7.10 or later",
                            url_, product.major == 0 ? "no search server" : product.ToString());
  }
  if (product.elasticsearch) {
    product.elastic_types = product.major > 7 || MemberOf(version, "build_flavor") == "default";
    return product;
  }
  // Without the right to see plugins vectors are stored and not searchable.
  const auto plugins = Call("GET", "/_cat/plugins?h=component", std::string(), std::move(stop));
  product.knn_vectors = plugins.ok() && plugins->find("opensearch-knn") != std::string::npos;
  return product;
}

// Those that are under way now; later ones are of somebody who has the sink, too.
absl::StatusOr<std::set<std::string>> Cluster::OwnRequests(std::stop_token stop) {
  std::set<std::string> own;
  const absl::StatusOr<json> answer =
      Read("GET", "/_tasks?actions=indices%3Aadmin%2F%2A%2Cindices%3Adata%2Fwrite%2F%2A", nullptr,
           std::move(stop));
  // Who may not look at tasks goes without.
  if (absl::IsPermissionDenied(answer.status())) return own;
  PGFLOW_RETURN_IF_ERROR(answer.status());
  for (const json& node : MemberOf(*answer, "nodes")) {
    const json& tasks = MemberOf(node, "tasks");
    if (!tasks.is_object()) continue;
    for (const auto& [id, task] : tasks.items()) {
      if (MemberOf(MemberOf(task, "headers"), "X-Opaque-Id") == owner_) own.insert(id);
    }
  }
  return own;
}

absl::Status Cluster::AwaitOwnRequests(std::stop_token stop) {
  const absl::Time deadline = absl::Now() + absl::Minutes(1);
  PGFLOW_ASSIGN_OR_RETURN(const std::set<std::string> earlier, OwnRequests(stop));
  std::set<std::string> now = earlier;
  while (std::ranges::any_of(earlier, [&](const std::string& id) { return now.contains(id); })) {
    if (absl::Now() > deadline) {
      return base::MakeStatus(absl::StatusCode::kUnavailable,
                              "{}: bulk requests of an earlier attempt do not end", url_);
    }
    if (!base::Pause(kTaskPoll, stop)) return absl::CancelledError("stopped");
    PGFLOW_ASSIGN_OR_RETURN(now, OwnRequests(stop));
  }
  return absl::OkStatus();
}

}  // namespace pgflow::sinks
