// How a search server knows who asks, and what pgflow makes of its refusals.
#include "sinks/opensearch/cluster.h"

#include <fstream>
#include <map>
#include <sstream>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/crypto/digest.h"
#include "base/status.h"
#include "engine/testing/scripted_http_server.h"
#include "engine/testing/test_certificate.h"
#include "sinks/opensearch/bulk_sender.h"

namespace pgflow::sinks {
namespace {

using engine::HttpReceived;
using engine::ScriptedHttpServer;
using ::testing::HasSubstr;
using ::testing::Not;

std::string Raw(const base::Digest& digest) { return {digest.begin(), digest.end()}; }

std::string Between(const std::string& text, const std::string& from, const std::string& to) {
  const size_t start = text.find(from) + from.size();
  return text.substr(start, text.find(to, start) - start);
}

// Each parameter percent-encoded (A-Z a-z 0-9 - _ . ~ stay), sorted: as AWS reads what arrives.
std::string CanonicalQuery(const std::string& query) {
  std::map<std::string, std::string> sorted;
  const auto encode = [](const std::string& text) {
    std::string encoded;
    for (size_t i = 0; i < text.size(); ++i) {
      char c = text[i];
      if (c == '%') {
        c = static_cast<char>(std::stoi(text.substr(i + 1, 2), nullptr, 16));
        i += 2;
      }
      const bool plain = std::isalnum(static_cast<unsigned char>(c)) != 0 ||
                         std::string_view("-_.~").find(c) != std::string_view::npos;
      encoded += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
    return encoded;
  };
  std::istringstream parts(query);
  for (std::string part; std::getline(parts, part, '&');) {
    const size_t equals = part.find('=');
    sorted[encode(part.substr(0, equals))] =
        equals == std::string::npos ? "" : encode(part.substr(equals + 1));
  }
  std::string canonical;
  for (const auto& [name, value] : sorted) {
    if (!canonical.empty()) canonical += '&';
    canonical.append(name).append("=").append(value);
  }
  return canonical;
}

// What AWS computes of a request (Signature Version 4).
std::string Signature(const HttpReceived& request, const std::string& secret) {
  const std::string authorization = request.Header("authorization");
  const std::string scope = Between(authorization, "Credential=AKID/", ",");
  const std::string names = Between(authorization, "SignedHeaders=", ",");
  const size_t question = request.target.find('?');
  std::string canonical =
      request.method + "\n" + request.target.substr(0, question) + "\n" +
      (question == std::string::npos ? "" : CanonicalQuery(request.target.substr(question + 1))) +
      "\n";
  std::istringstream list(names);
  for (std::string name; std::getline(list, name, ';');) {
    canonical += name + ":" + request.Header(name) + "\n";
  }
  canonical += "\n" + names + "\n" + base::Hex(base::Sha256(request.body));
  const std::string to_sign = "AWS4-HMAC-SHA256\n" + request.Header("x-amz-date") + "\n" + scope +
                              "\n" + base::Hex(base::Sha256(canonical));
  std::string key = "AWS4" + secret;
  std::istringstream parts(scope);
  for (std::string part; std::getline(parts, part, '/');) key = Raw(base::HmacSha256(key, part));
  return base::Hex(base::HmacSha256(key, to_sign));
}

std::unique_ptr<Cluster> MakeCluster(const OpenSearchSinkConfig& config) {
  auto cluster = Cluster::Make(config, "pgflow/test/search");
  EXPECT_TRUE(cluster.ok()) << cluster.status();
  return cluster.ok() ? *std::move(cluster) : nullptr;
}

TEST(ClusterTest, SignsEveryRequestAsAwsReadsIt) {
  ScriptedHttpServer server;
  server.SetResponder([](const HttpReceived& request) {
    engine::HttpScript script;
    script.body = request.target.starts_with("/_bulk")
                      ? R"({"errors":false,"items":[{"index":{"status":201}}]})"
                      : R"({"version":{"number":"2.19.6","distribution":"opensearch"},"nodes":{}})";
    return script;
  });
  OpenSearchSinkConfig config;
  config.url = server.Url();
  config.connection.auth.aws = http::AwsConfig{.region = "eu-central-1",
                                               .service = "es",
                                               .access_key_id = config::Secret("AKID"),
                                               .secret_access_key = config::Secret("hush"),
                                               .session_token = config::Secret("session")};
  const std::unique_ptr<Cluster> cluster = MakeCluster(config);
  ASSERT_TRUE(cluster->ReadProduct({}).ok());
  ASSERT_TRUE(cluster->AwaitOwnRequests({}).ok());
  ASSERT_TRUE(cluster->Call("PUT", "/things-000001", std::string(R"({"settings":{}})"), {}).ok());
  ASSERT_TRUE(cluster->Call("DELETE", "/things-000001", std::string(), {}).ok());
  BulkSender sender(*cluster, 1);
  std::vector<BulkBody> bodies(1);
  bodies[0].BeginIndex(BulkTarget("things", true), "1", 7) += R"({"name":"über"})";
  bodies[0].FinishIndex(0);
  ASSERT_TRUE(sender.Send(std::move(bodies), BulkSender::Visibility::kAtOnce, {}).ok());
  ASSERT_GE(server.RequestCount(), 5U);
  for (const HttpReceived& request : server.Requests()) {
    EXPECT_EQ(Between(request.Header("authorization") + "\n", "Signature=", "\n"),
              Signature(request, "hush"))
        << request.method << " " << request.target;
    EXPECT_THAT(request.Header("authorization"), HasSubstr("/eu-central-1/es/aws4_request"));
    EXPECT_EQ(request.Header("x-amz-security-token"), "session");
  }
}

TEST(ClusterTest, SendsAKeyOrAUserAndNeverShowsThem) {
  ScriptedHttpServer server;
  server.SetResponder([](const HttpReceived&) {
    engine::HttpScript script;
    script.status = 401;
    script.body = R"({"error":{"type":"security_exception","reason":"who are you"}})";
    return script;
  });
  OpenSearchSinkConfig key;
  key.url = server.Url();
  key.api_key = config::Secret("a2V5OnNlY3JldA==");
  absl::Status refused = MakeCluster(key)->ReadProduct({}).status();
  EXPECT_EQ(server.Requests().back().Header("authorization"), "ApiKey a2V5OnNlY3JldA==");
  EXPECT_EQ(refused.code(), absl::StatusCode::kUnauthenticated);
  EXPECT_THAT(std::string(base::Message(refused)), HasSubstr("who are you; check connection.auth"));
  EXPECT_THAT(std::string(base::Message(refused)), Not(HasSubstr("a2V5")));
  OpenSearchSinkConfig user;
  user.url = server.Url();
  user.connection.auth.username = "pgflow";
  user.connection.auth.password = config::Secret("hush");
  refused = MakeCluster(user)->ReadProduct({}).status();
  EXPECT_EQ(server.Requests().back().Header("authorization"), "Basic cGdmbG93Omh1c2g=");
  EXPECT_THAT(std::string(base::Message(refused)), Not(HasSubstr("hush")));
}

TEST(ClusterTest, ChecksTheServersCertificate) {
  const engine::TestCertificate certificate = engine::TestCertificate::Make();
  ScriptedHttpServer server({.port = 0,
                             .certificate = certificate.certificate,
                             .key = certificate.key,
                             .client_authority = ""});
  server.SetResponder([](const HttpReceived&) {
    engine::HttpScript script;
    script.body = R"({"version":{"number":"7.10.2","build_flavor":"oss"}})";
    return script;
  });
  OpenSearchSinkConfig config;
  config.url = server.Url();
  config.api_key = config::Secret("key");
  EXPECT_EQ(MakeCluster(config)->ReadProduct({}).status().code(),
            absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(server.RequestCount(), 0U);  // Nor does anybody get the key.
  config.connection.tls.ca_file = testing::TempDir() + "/cluster_test_ca.pem";
  std::ofstream(config.connection.tls.ca_file) << certificate.certificate;
  const auto product = MakeCluster(config)->ReadProduct({});
  ASSERT_TRUE(product.ok()) << product.status();
  EXPECT_EQ(product->ToString(), "Elasticsearch 7.10");
  EXPECT_FALSE(product->elastic_types);
}

TEST(ClusterTest, OneWayToAuthenticateIsEnough) {
  OpenSearchSinkConfig both;
  both.url = "https://127.0.0.1:1";
  both.api_key = config::Secret("key");
  both.connection.auth.username = "pgflow";
  EXPECT_THAT(std::string(base::Message(ValidateOpenSearchSinkConfig(both))), HasSubstr("api_key"));
}

}  // namespace
}  // namespace pgflow::sinks
