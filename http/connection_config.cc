#include "http/connection_config.h"

#include "base/status.h"
#include "http/message.h"

namespace pgflow::http {
namespace {

config::ConfigSpec<TlsConfig> TlsSpec() {
  config::ConfigSpec<TlsConfig> spec;
  spec.Field("ca_file", &TlsConfig::ca_file,
             "The certificates (PEM) of the authorities that the server's certificate is checked "
             "against; the system's when it is empty. It is always checked.")
      .Example("/etc/pgflow/ca.pem");
  spec.Field("certificate_file", &TlsConfig::certificate_file,
             "The certificate (PEM) that pgflow shows to the server.")
      .Example("/etc/pgflow/client.pem");
  spec.Field("key_file", &TlsConfig::key_file,
             "The private key (PEM) of that certificate; empty when it is in the same file.")
      .Example("/etc/pgflow/client.key");
  spec.Field("key_password", &TlsConfig::key_password, "Opens the private key.")
      .Example("${KEY_PASSWORD}");
  return spec;
}

config::ConfigSpec<AwsConfig> AwsSpec() {
  config::ConfigSpec<AwsConfig> spec;
  spec.Field("region", &AwsConfig::region, "The region that requests are signed for.")
      .Required()
      .Example("eu-central-1");
  spec.Field("service", &AwsConfig::service,
             "The service that requests are signed for: es for OpenSearch Service, aoss for its "
             "serverless form, execute-api for API Gateway.")
      .Example("execute-api");
  spec.Field("access_key_id", &AwsConfig::access_key_id, "The id of the access key.")
      .Required()
      .Example("${AWS_ACCESS_KEY_ID}");
  spec.Field("secret_access_key", &AwsConfig::secret_access_key, "The access key itself.")
      .Required()
      .Example("${AWS_SECRET_ACCESS_KEY}");
  spec.Field("session_token", &AwsConfig::session_token, "For a temporary access key.")
      .Example("${AWS_SESSION_TOKEN}");
  return spec;
}

config::ConfigSpec<AuthConfig> AuthSpec() {
  config::ConfigSpec<AuthConfig> spec;
  spec.Field("username", &AuthConfig::username, "User for basic authentication.").Example("pgflow");
  spec.Field("password", &AuthConfig::password, "Password for basic authentication.")
      .Example("${HTTP_PASSWORD}");
  spec.Field("bearer_token", &AuthConfig::bearer_token, "Sent as 'Authorization: Bearer ...'.")
      .Example("${HTTP_TOKEN}");
  spec.Section("aws", &AuthConfig::aws, AwsSpec(), "Signs each request as AWS wants (SigV4).");
  return spec;
}

}  // namespace

config::ConfigSpec<ConnectionConfig> ConnectionSpec() {
  config::ConfigSpec<ConnectionConfig> spec;
  spec.Section("tls", &ConnectionConfig::tls, TlsSpec(), "Certificates, for https.");
  spec.Section("auth", &ConnectionConfig::auth, AuthSpec(),
               "Who pgflow is to the server: basic, bearer or aws, one of them.");
  spec.Field("headers", &ConnectionConfig::headers, "Added to every request.")
      .Example("{X-Api-Key: \"${API_KEY}\"}");
  spec.Field("proxy", &ConnectionConfig::proxy,
             "Every request goes through this proxy (http, https, socks5h; user and password in "
             "it). The environment's proxies are not used unless they are named here.")
      .Example("${HTTPS_PROXY}");
  spec.Field("connect_timeout", &ConnectionConfig::connect_timeout,
             "To connect, with TLS, at most.")
      .Range(absl::Milliseconds(10), absl::Minutes(5));
  spec.Field("request_timeout", &ConnectionConfig::request_timeout,
             "From the start of a request to the end of its answer, at most.")
      .Range(absl::Milliseconds(10), absl::Hours(1));
  return spec;
}

absl::Status Validate(const ConnectionConfig& config) {
  const AuthConfig& auth = config.auth;
  const bool basic = !auth.username.empty() || !auth.password.empty();
  const int ways = int{basic} + int{!auth.bearer_token.empty()} + int{auth.aws.has_value()};
  if (ways > 1) {
    return absl::InvalidArgumentError(
        "connection.auth: username, bearer_token and aws exclude each other; keep one of them");
  }
  if (basic && auth.username.empty()) {
    return absl::InvalidArgumentError("connection.auth: a password without a username");
  }
  if (auth.username.find(':') != std::string::npos) {
    return absl::InvalidArgumentError(
        "connection.auth.username: basic authentication has no way to send a ':' in it");
  }
  if (!config.tls.key_file.empty() && config.tls.certificate_file.empty()) {
    return absl::InvalidArgumentError("connection.tls: a key_file without a certificate_file");
  }
  for (const auto& [name, value] : config.headers) {
    if (!IsHeader(name, value)) {
      return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                              "connection.headers: '{}' is not the name of a header, or its value "
                              "has a line break",
                              name);
    }
  }
  if (!IsHeader("Authorization", auth.bearer_token.value())) {
    return absl::InvalidArgumentError("connection.auth.bearer_token: it has a line break");
  }
  return absl::OkStatus();
}

}  // namespace pgflow::http
