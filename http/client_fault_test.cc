// What a client makes of servers that fail, hang, lie or must not be reached.
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include <absl/time/clock.h>
#include <gtest/gtest.h>

#include "base/status.h"
#include "engine/testing/scripted_http_server.h"
#include "engine/testing/test_certificate.h"
#include "http/client.h"

namespace pgflow::http {
namespace {

using engine::HttpScript;
using engine::ScriptedHttpServer;
using engine::TestCertificate;
using Fault = HttpScript::Fault;

constexpr char kSecret[] = "hush";

class ClientFaultTest : public testing::Test {
 protected:
  void TearDown() override {
    for (const std::string& path : files_) std::filesystem::remove(path);
  }

  std::string WriteFile(const std::string& name, const std::string& text) {
    std::string path = testing::TempDir() + fmt::format("pgflow_{}_{}", getpid(), name);
    std::ofstream(path) << text;
    files_.push_back(path);
    return path;
  }

  // Secrets are everywhere they can be: none may show up in an error.
  absl::StatusOr<Response> Send(const std::string& url, std::stop_token stop = {}) {
    options_.connection.auth.bearer_token = config::Secret(kSecret);
    options_.connection.headers["X-Key"] = kSecret;
    absl::StatusOr<std::unique_ptr<Client>> client = Client::Make(options_);
    EXPECT_TRUE(client.ok()) << client.status();
    Request request;
    request.method = "POST";
    request.url = url + "?token=hush";
    request.body = "body";
    absl::StatusOr<Response> response = (*client)->Send(request, std::move(stop));
    EXPECT_EQ(base::Message(response.status()).find(kSecret), std::string_view::npos);
    return response;
  }
  absl::Status ErrorOf(Fault fault) {
    ScriptedHttpServer server;
    HttpScript script;
    script.fault = fault;
    script.body = std::string(1000, 'x');
    server.Add(script);
    return Send(server.Url("/hook")).status();
  }

  Client::Options options_;
  std::vector<std::string> files_;
};

TEST_F(ClientFaultTest, NamesTheEndpointOfWhatIsDown) {
  ScriptedHttpServer server;
  server.Stop();
  const absl::Status status = Send(server.Url("/hook")).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  EXPECT_EQ(base::Message(status).find(fmt::format("POST {}: ", server.Url("/hook"))), 0U)
      << status;
}

TEST_F(ClientFaultTest, TakesBrokenAnswersForAnOutage) {
  for (const Fault fault : {Fault::kCloseAtOnce, Fault::kCloseInAnswer, Fault::kGarbage}) {
    const absl::Status status = ErrorOf(fault);
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  }
}

TEST_F(ClientFaultTest, TakesGarbageOnAnOldConnectionForAnOutage) {
  ScriptedHttpServer server;
  server.Add({});
  HttpScript garbage;
  garbage.fault = Fault::kGarbage;
  server.Add(garbage);
  const absl::StatusOr<std::unique_ptr<Client>> client = Client::Make(options_);
  Request request;
  request.url = server.Url();
  ASSERT_TRUE((*client)->Send(request, {}).ok());
  const absl::Status status = (*client)->Send(request, {}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  ASSERT_EQ(server.RequestCount(), 2U);
  EXPECT_EQ(server.Requests()[0].connection, server.Requests()[1].connection);
}

TEST_F(ClientFaultTest, TakesUnknownNamesForAnOutage) {
  const absl::Status status = Send("http://no-such-host.invalid/").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
}

TEST_F(ClientFaultTest, GivesUpAfterTheTimeout) {
  options_.connection.request_timeout = absl::Milliseconds(100);
  const absl::Time start = absl::Now();
  const absl::Status status = ErrorOf(Fault::kHang);
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded) << status;
  EXPECT_LT(absl::Now() - start, absl::Seconds(2));
}

TEST_F(ClientFaultTest, EndsAtOnceWhenStopped) {
  ScriptedHttpServer server;
  HttpScript script;
  script.fault = Fault::kHang;
  server.Add(script);
  std::stop_source stop;
  absl::Time stopped;
  std::jthread stopper([&] {
    server.WaitForRequests(1);
    stopped = absl::Now();
    stop.request_stop();
  });
  const absl::Status status = Send(server.Url(), stop.get_token()).status();
  stopper.join();
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled) << status;
  EXPECT_LT(absl::Now() - stopped, absl::Milliseconds(500));
}

TEST_F(ClientFaultTest, CutsLongAnswers) {
  ScriptedHttpServer server;
  HttpScript script;
  script.body = std::string(1 << 20, 'x');
  server.Add(script);
  options_.response_bytes_max = 1000;
  const absl::StatusOr<Response> response = Send(server.Url());
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->status, 200);
  EXPECT_EQ(response->body, std::string(1000, 'x'));
  EXPECT_TRUE(response->body_cut);
}

TEST_F(ClientFaultTest, BoundsTheHeadOfAnAnswer) {
  ScriptedHttpServer server;
  HttpScript script;
  for (int i = 0; i < 100; ++i) script.headers.emplace_back("X-Long", std::string(1000, 'x'));
  server.Add(script);
  const absl::Status status = Send(server.Url()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
}

TEST_F(ClientFaultTest, TakesTheKeptConnectionThatTheServerClosedAnew) {
  ScriptedHttpServer server;
  const std::unique_ptr<Client> client = *Client::Make(options_);
  Request request;
  request.url = server.Url();
  ASSERT_TRUE(client->Send(request, {}).ok());
  server.Stop();
  server.Restart();
  const absl::StatusOr<Response> response = client->Send(request, {});
  EXPECT_TRUE(response.ok()) << response.status();
}

TEST_F(ClientFaultTest, RefusesPrivateAddressesBehindNames) {
  ScriptedHttpServer server;
  options_.addresses = AddressPolicy::kPublicOnly;
  for (const std::string host :
       {"127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0", "2130706433", "0x7f.1"}) {
    const absl::Status status = Send(fmt::format("http://{}:{}/", host, server.port())).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied) << host << ": " << status;
  }
  EXPECT_EQ(server.RequestCount(), 0U);
}

TEST_F(ClientFaultTest, RefusesMalformedUrlsAndHeaders) {
  for (const char* url : {"http://", "ftp://127.0.0.1/", "http://a b/", "http://a/\r\nX: 1", ""}) {
    const absl::Status status = Send(url).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << url << ": " << status;
  }
  Request request;
  request.url = "http://127.0.0.1:1/";
  request.headers = {{"X", "a\nb"}};
  EXPECT_EQ((*Client::Make(options_))->Send(request, {}).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(ClientFaultTest, ChecksTheServersCertificate) {
  const TestCertificate ours = TestCertificate::Make();
  const TestCertificate stranger = TestCertificate::Make();
  ScriptedHttpServer server(
      {.port = 0, .certificate = ours.certificate, .key = ours.key, .client_authority = ""});
  EXPECT_EQ(Send(server.Url()).status().code(), absl::StatusCode::kUnauthenticated);
  options_.connection.tls.ca_file = WriteFile("stranger.pem", stranger.certificate);
  EXPECT_EQ(Send(server.Url()).status().code(), absl::StatusCode::kUnauthenticated);
  options_.connection.tls.ca_file = "/no/such/file";
  EXPECT_EQ(Send(server.Url()).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(server.RequestCount(), 0U);
  options_.connection.tls.ca_file = WriteFile("ours.pem", ours.certificate);
  EXPECT_TRUE(Send(server.Url()).ok());
}

TEST_F(ClientFaultTest, ShowsItsOwnCertificate) {
  const TestCertificate ours = TestCertificate::Make();
  const TestCertificate client = TestCertificate::Make();
  ScriptedHttpServer server({.port = 0,
                             .certificate = ours.certificate,
                             .key = ours.key,
                             .client_authority = client.certificate});
  options_.connection.tls.ca_file = WriteFile("ours.pem", ours.certificate);
  EXPECT_FALSE(Send(server.Url()).ok());
  EXPECT_EQ(server.RequestCount(), 0U);
  options_.connection.tls.certificate_file = WriteFile("client.pem", client.certificate);
  options_.connection.tls.key_file = WriteFile("client.key", client.key);
  const absl::StatusOr<Response> response = Send(server.Url());
  EXPECT_TRUE(response.ok()) << response.status();
  options_.connection.tls.key_file = "/no/such/file";
  EXPECT_EQ(Send(server.Url()).status().code(), absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace pgflow::http
