#include "sinks/kafka/schema_registry.h"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/log.h"
#include "base/pause.h"
#include "base/percent_encoding.h"
#include "base/status.h"
#include "http/url.h"

namespace pgflow::sinks {
namespace {

using absl::StatusCode;
using Json = nlohmann::json;

constexpr int kAttempts = 5;
constexpr absl::Duration kFirstPause = absl::Milliseconds(100);
constexpr size_t kAnswerBytesMax = 4 * base::kMiB;
constexpr const char* kMediaType = "application/vnd.schemaregistry.v1+json";
constexpr int kUnauthorized = 401, kForbidden = 403, kNotFound = 404, kConflict = 409,
              kTooManyRequests = 429, kServerErrors = 500;

// A member of an answer, as text; empty when it is not there.
std::string Member(const http::Response& response, const char* name) {
  const Json answer = Json::parse(response.body, nullptr, false);
  if (!answer.is_object() || !answer.contains(name)) return "";
  return answer[name].is_string() ? answer[name].get<std::string>() : answer[name].dump();
}

bool MayPass(const absl::StatusOr<http::Response>& answer) {
  if (!answer.ok()) return base::IsRetryable(answer.status());
  return answer->status >= kServerErrors || answer->status == kTooManyRequests;
}

}  // namespace

config::ConfigSpec<SchemaRegistryConfig> SchemaRegistrySpec() {
  config::ConfigSpec<SchemaRegistryConfig> spec;
  spec.Field("url", &SchemaRegistryConfig::url,
             "Where the registry's API is, as Confluent's clients want it (schema.registry.url).")
      .Required()
      .Example("http://registry:8081");
  spec.Field("register", &SchemaRegistryConfig::register_schemas,
             "Register schemas that are not there (auto.register.schemas). false: somebody else "
             "does, and a schema that is missing stops the pipeline.");
  spec.Section("connection", &SchemaRegistryConfig::connection, http::ConnectionSpec(),
               "How the registry is reached.");
  return spec;
}

absl::Status Validate(const SchemaRegistryConfig& config) {
  const absl::StatusOr<http::Url> url = http::ParseUrl(config.url);
  if (!url.ok()) return base::Annotate(url.status(), "schema_registry.url");
  return base::Annotate(http::Validate(config.connection), "schema_registry");
}

SchemaRegistry::SchemaRegistry(SchemaRegistryConfig config, std::string base,
                               std::unique_ptr<http::Client> client)
    : config_(std::move(config)), base_(std::move(base)), client_(std::move(client)) {}

absl::StatusOr<std::unique_ptr<SchemaRegistry>> SchemaRegistry::Make(SchemaRegistryConfig config) {
  PGFLOW_RETURN_IF_ERROR(Validate(config));
  PGFLOW_ASSIGN_OR_RETURN(std::unique_ptr<http::Client> client,
                          http::Client::Make({.connection = config.connection,
                                              .addresses = http::AddressPolicy::kAny,
                                              .connections_max = 1,
                                              .response_bytes_max = kAnswerBytesMax}));
  std::string base = config.url;
  while (base.ends_with('/')) base.pop_back();
  return std::unique_ptr<SchemaRegistry>(
      new SchemaRegistry(std::move(config), std::move(base), std::move(client)));
}

absl::StatusOr<uint32_t> SchemaRegistry::IdOf(const std::string& subject, const std::string& schema,
                                              std::string_view about, const std::stop_token& stop) {
  const base::MutexLock lock(&mutex_);
  const auto found = ids_.find({subject, schema});
  if (found != ids_.end()) return found->second;
  PGFLOW_ASSIGN_OR_RETURN(const uint32_t id, Ask(subject, schema, about, stop));
  ids_.emplace(std::pair(subject, schema), id);
  return id;
}

absl::StatusOr<std::string> SchemaRegistry::Compatibility(const std::stop_token& stop) {
  const base::MutexLock lock(&mutex_);
  PGFLOW_ASSIGN_OR_RETURN(const http::Response response, Send("GET", "/config", "", stop));
  if (!response.is_success()) return Refusal(response, "", "its configuration", stop);
  return Member(response, "compatibilityLevel");
}

absl::StatusOr<http::Response> SchemaRegistry::Send(const std::string& method,
                                                    const std::string& path,
                                                    const std::string& body,
                                                    const std::stop_token& stop) {
  http::Request request;
  request.method = method;
  request.url = base_ + path;
  request.name = "schema registry";
  request.headers = {{"Accept", kMediaType}};
  if (!body.empty()) request.headers.emplace_back("Content-Type", kMediaType);
  request.body = body;
  absl::Duration pause = kFirstPause;
  for (int attempt = 1;; ++attempt, pause *= 2) {
    absl::StatusOr<http::Response> answer = client_->Send(request, stop);
    if (!MayPass(answer)) return answer;
    if (attempt == kAttempts) {
      if (!answer.ok()) return answer;
      return base::MakeStatus(StatusCode::kUnavailable, "schema registry {}: answers {}: {}", base_,
                              answer->status, answer->body.substr(0, 200));
    }
    if (!base::Pause(pause, stop)) return absl::CancelledError("stopped");
  }
}

absl::StatusOr<uint32_t> SchemaRegistry::Ask(const std::string& subject, const std::string& schema,
                                             std::string_view about, const std::stop_token& stop) {
  const std::string path = "/subjects/" + base::PercentEncode(subject);
  const std::string body = Json({{"schema", schema}, {"schemaType", "AVRO"}}).dump();
  PGFLOW_ASSIGN_OR_RETURN(
      const http::Response response,
      Send("POST", config_.register_schemas ? path + "/versions" : path, body, stop));
  if (!response.is_success()) return Refusal(response, subject, about, stop);
  const Json answer = Json::parse(response.body, nullptr, false);
  if (!answer.is_object() || !answer.contains("id") || !answer["id"].is_number_unsigned() ||
      answer["id"].get<uint64_t>() > UINT32_MAX) {
    return base::MakeStatus(StatusCode::kFailedPrecondition,
                            "schema registry {}: answers without an id for subject {}: is this "
                            "really the registry's API (schema_registry.url)?",
                            base_, subject);
  }
  const auto id = answer["id"].get<uint32_t>();
  base::LogInfo("schema registry: subject {}: {} has the schema {}", subject, about, id);
  return id;
}

std::optional<std::string> SchemaRegistry::LevelOf(const std::string& subject,
                                                   const std::stop_token& stop) {
  const auto response = Send(
      "GET", subject.empty() ? "/config" : "/config/" + base::PercentEncode(subject), "", stop);
  if (!response.ok() || !response->is_success()) return std::nullopt;
  return Member(*response, "compatibilityLevel");
}

absl::Status SchemaRegistry::Refusal(const http::Response& response, const std::string& subject,
                                     std::string_view about, const std::stop_token& stop) {
  const std::string said = Member(response, "message");
  const std::string what =
      fmt::format("schema registry {}{}{}: {}", base_, subject.empty() ? "" : ", subject ", subject,
                  said.empty() ? fmt::format("status {}", response.status) : said.substr(0, 500));
  switch (response.status) {
    case kUnauthorized:
      return base::MakeStatus(StatusCode::kUnauthenticated,
                              "{}; look at schema_registry.connection.auth", what);
    case kForbidden:
      return base::MakeStatus(StatusCode::kPermissionDenied,
                              "{}; allow this user to read and register under the subject", what);
    case kNotFound:
      if (!config_.register_schemas && !subject.empty()) {
        return base::MakeStatus(StatusCode::kFailedPrecondition,
                                "{}; the schema of {} is not registered: register it, or set "
                                "schema_registry.register: true",
                                what, about);
      }
      return base::MakeStatus(StatusCode::kFailedPrecondition,
                              "{}; is this really the registry's API (schema_registry.url)?", what);
    case kConflict: {
      std::optional<std::string> level = LevelOf(subject, stop);
      if (!level.has_value()) level = LevelOf("", stop);
      return base::MakeStatus(
          StatusCode::kFailedPrecondition,
          "{}; the schema of {} is not compatible with those before it (compatibility level {}): "
          "set another level for the subject (PUT {}/config/{} {{\"compatibility\": \"NONE\"}}) "
          "if its readers can take it, or begin a new topic",
          what, about, level.value_or("unknown"), base_, base::PercentEncode(subject));
    }
    default:
      return base::MakeStatus(StatusCode::kFailedPrecondition, "{} (schema of {})", what, about);
  }
}

}  // namespace pgflow::sinks
