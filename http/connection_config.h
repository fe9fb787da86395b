// ConnectionConfig: how to reach and convince an HTTP endpoint; the section `connection` of every
// sink that speaks HTTP, declared once.
//
// Plain values. Secrets are Secret; header values may be secrets too and are never shown.
#pragma once

#include <string>

#include <absl/status/status.h>
#include <absl/time/time.h>

#include "base/config/config_spec.h"

namespace pgflow::http {

struct TlsConfig {
  std::string ca_file;
  std::string certificate_file;
  std::string key_file;
  config::Secret key_password;
};

struct AwsConfig {
  std::string region;
  std::string service = "es";
  config::Secret access_key_id;
  config::Secret secret_access_key;
  config::Secret session_token;
};

struct AuthConfig {
  std::string username;
  config::Secret password;
  config::Secret bearer_token;
  std::optional<AwsConfig> aws;
};

struct ConnectionConfig {
  TlsConfig tls;
  AuthConfig auth;
  config::StringMap headers;
  config::Secret proxy;
  absl::Duration connect_timeout = absl::Seconds(10);
  absl::Duration request_timeout = absl::Seconds(30);
};

config::ConfigSpec<ConnectionConfig> ConnectionSpec();

// What a single field cannot know: kInvalidArgument, without any secret.
absl::Status Validate(const ConnectionConfig& config);

}  // namespace pgflow::http
