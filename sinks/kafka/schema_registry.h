// SchemaRegistry: the numbers of Avro schemas in a registry with Confluent's API.
//
// Owned by the sink; thread-safe: its stream and its lanes share one, and what one of them has
// asked is known to all. A number never changes its meaning, so what is known stays known. Requests
// that fail for a while are made again, some times, with back-off. Errors: kUnavailable,
// kDeadlineExceeded (the registry cannot be reached), kUnauthenticated, kPermissionDenied;
// kFailedPrecondition: it refuses the schema. kCancelled after a stop.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>

#include <absl/base/thread_annotations.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "base/config/config_spec.h"
#include "base/mutex.h"
#include "http/client.h"
#include "http/connection_config.h"
#include "sinks/encoding/schema_ids.h"

namespace pgflow::sinks {

struct SchemaRegistryConfig {
  std::string url;
  bool register_schemas = true;
  http::ConnectionConfig connection;
};

config::ConfigSpec<SchemaRegistryConfig> SchemaRegistrySpec();
// What a single field cannot know; no network. kInvalidArgument names the option.
absl::Status Validate(const SchemaRegistryConfig& config);

class SchemaRegistry {
 public:
  static absl::StatusOr<std::unique_ptr<SchemaRegistry>> Make(SchemaRegistryConfig config);

  // Registers the schema under the subject unless it is there. `about` says what it is of.
  absl::StatusOr<uint32_t> IdOf(const std::string& subject, const std::string& schema,
                                std::string_view about, const std::stop_token& stop);
  // The level that subjects without one of their own have: "BACKWARD".
  absl::StatusOr<std::string> Compatibility(const std::stop_token& stop);

 private:
  SchemaRegistry(SchemaRegistryConfig config, std::string base,
                 std::unique_ptr<http::Client> client);
  absl::StatusOr<http::Response> Send(const std::string& method, const std::string& path,
                                      const std::string& body, const std::stop_token& stop)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<uint32_t> Ask(const std::string& subject, const std::string& schema,
                               std::string_view about, const std::stop_token& stop)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Refusal(const http::Response& response, const std::string& subject,
                       std::string_view about, const std::stop_token& stop)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Of the subject, or of all when it is empty. Nothing: the registry does not say.
  std::optional<std::string> LevelOf(const std::string& subject, const std::stop_token& stop)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const SchemaRegistryConfig config_;
  const std::string base_;  // Without a slash at its end.
  base::Mutex mutex_;
  const std::unique_ptr<http::Client> client_;
  // By subject and schema.
  std::map<std::pair<std::string, std::string>, uint32_t> ids_ ABSL_GUARDED_BY(mutex_);
};

// What one writer asks; one thread. `registry` must outlive it.
class RegistryIds final : public SchemaIds {
 public:
  explicit RegistryIds(SchemaRegistry& registry) : registry_(registry) {}

  // Of what is being written now.
  void SetStop(std::stop_token stop) { stop_ = std::move(stop); }
  absl::StatusOr<uint32_t> IdOf(const std::string& subject, const std::string& schema,
                                std::string_view about) override {
    return registry_.IdOf(subject, schema, about, stop_);
  }

 private:
  SchemaRegistry& registry_;
  std::stop_token stop_;
};

}  // namespace pgflow::sinks
