#include "http/client.h"

#include <zlib.h>

#include <set>

#include <absl/time/clock.h>
#include <gtest/gtest.h>

#include "base/config/yaml_reader.h"
#include "base/status.h"
#include "engine/testing/scripted_http_server.h"

namespace pgflow::http {
namespace {

using engine::HttpReceived;
using engine::HttpScript;
using engine::ScriptedHttpServer;

std::unique_ptr<Client> MakeClient(ConnectionConfig connection = {}) {
  Client::Options options;
  options.connection = std::move(connection);
  absl::StatusOr<std::unique_ptr<Client>> client = Client::Make(std::move(options));
  EXPECT_TRUE(client.ok()) << client.status();
  return *std::move(client);
}

Request Post(std::string url, std::string body) {
  Request request;
  request.method = "POST";
  request.url = std::move(url);
  request.body = std::move(body);
  return request;
}

TEST(ClientTest, SendsARequestAndReadsTheAnswer) {
  ScriptedHttpServer server;
  HttpScript script;
  script.status = 418;
  script.headers = {{"X-Kind", "teapot"}};
  script.body = std::string("short\0stout", 11);
  server.Add(script);
  const std::unique_ptr<Client> client = MakeClient();
  Request request = Post(server.Url("/hook?a=b"), std::string("body\0more", 9));
  request.headers = {{"Content-Type", "text/x"}, {"X-Empty", ""}};
  const absl::StatusOr<Response> response = client->Send(request, {});
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->status, 418);
  EXPECT_EQ(response->Header("x-kind"), "teapot");
  EXPECT_EQ(response->body, std::string("short\0stout", 11));
  EXPECT_FALSE(response->body_cut);
  const HttpReceived received = server.Requests().at(0);
  EXPECT_EQ(received.method, "POST");
  EXPECT_EQ(received.target, "/hook?a=b");
  EXPECT_EQ(received.body, std::string("body\0more", 9));
  EXPECT_EQ(received.Header("content-type"), "text/x");
  EXPECT_EQ(received.Header("expect"), "");
  EXPECT_EQ(received.Header("user-agent").substr(0, 7), "pgflow/");
}

TEST(ClientTest, KnowsTheMethodsOnOneHandle) {
  ScriptedHttpServer server;
  const std::unique_ptr<Client> client = MakeClient();
  const std::pair<const char*, const char*> sent[] = {{"POST", "a"},   {"GET", ""},    {"PUT", "b"},
                                                      {"HEAD", ""},    {"DELETE", ""}, {"POST", ""},
                                                      {"DELETE", "c"}, {"GET", "d"}};
  for (const auto& [method, body] : sent) {
    Request request = Post(server.Url(), body);
    request.method = method;
    ASSERT_TRUE(client->Send(request, {}).ok()) << method;
    EXPECT_EQ(server.Requests().back().method, method);
    EXPECT_EQ(server.Requests().back().body, body);
    EXPECT_EQ(server.Requests().back().connection, 1U) << "one connection is kept";
  }
}

TEST(ClientTest, RunsManyAtOnceOverFewConnections) {
  ScriptedHttpServer server;
  server.SetResponder([](const HttpReceived& received) {
    HttpScript script;
    script.delay = absl::Milliseconds(5);
    script.body = "echo " + received.body;
    return script;
  });
  Client::Options options;
  options.connections_max = 4;
  const std::unique_ptr<Client> client = *Client::Make(options);
  std::set<std::string> answers;
  int left = 40;
  std::function<void()> start_next = [&] {
    if (left-- <= 0) return;
    client->Start(Post(server.Url(), std::to_string(left)),
                  [&](const absl::StatusOr<Response>& response) {
                    ASSERT_TRUE(response.ok()) << response.status();
                    answers.insert(response->body);
                    start_next();
                  });
  };
  for (int i = 0; i < 8; ++i) start_next();
  EXPECT_EQ(client->in_flight(), 8U);
  while (client->in_flight() > 0) ASSERT_TRUE(client->Run(absl::InfiniteFuture(), {}).ok());
  EXPECT_EQ(answers.size(), 40U);
  EXPECT_EQ(server.in_flight_max(), 4U);
  for (const HttpReceived& received : server.Requests()) EXPECT_LE(received.connection, 4U);
}

TEST(ClientTest, RunComesBackWhenTheTimeHasCome) {
  ScriptedHttpServer server;
  HttpScript slow;
  slow.delay = absl::Milliseconds(300);
  server.Add(slow);
  const std::unique_ptr<Client> client = MakeClient();
  bool done = false;
  client->Start(Post(server.Url(), ""), [&](const auto&) { done = true; });
  const absl::Time start = absl::Now();
  ASSERT_TRUE(client->Run(start + absl::Milliseconds(30), {}).ok());
  EXPECT_FALSE(done);
  EXPECT_LT(absl::Now() - start, absl::Milliseconds(250));
  EXPECT_EQ(client->in_flight(), 1U);
  ASSERT_TRUE(client->Run(absl::InfiniteFuture(), {}).ok());
  EXPECT_TRUE(done);
}

TEST(ClientTest, DoesNotFollowRedirects) {
  ScriptedHttpServer server;
  HttpScript script;
  script.status = 302;
  script.headers = {{"Location", server.Url("/elsewhere")}};
  server.Add(script);
  EXPECT_EQ(MakeClient()->Send(Post(server.Url(), "x"), {})->status, 302);
  EXPECT_EQ(server.RequestCount(), 1U);
}

TEST(ClientTest, CompressesOnWish) {
  ScriptedHttpServer server;
  Request request = Post(server.Url(), std::string(100'000, 'x'));
  request.compression = Request::Compression::kGzip;
  ASSERT_TRUE(MakeClient()->Send(request, {}).ok());
  const HttpReceived received = server.Requests().at(0);
  EXPECT_EQ(received.Header("content-encoding"), "gzip");
  EXPECT_LT(received.body.size(), 2000U);
  std::string plain(200'000, '\0');
  z_stream stream{};
  ASSERT_EQ(inflateInit2(&stream, 15 + 16), Z_OK);
  std::string in = received.body;
  stream.next_in = reinterpret_cast<Bytef*>(in.data());
  stream.avail_in = static_cast<uInt>(in.size());
  stream.next_out = reinterpret_cast<Bytef*>(plain.data());
  stream.avail_out = static_cast<uInt>(plain.size());
  EXPECT_EQ(inflate(&stream, Z_FINISH), Z_STREAM_END);
  plain.resize(stream.total_out);
  inflateEnd(&stream);
  EXPECT_EQ(plain, request.body);
}

TEST(ClientTest, AuthenticatesInEachWay) {
  ScriptedHttpServer server;
  ConnectionConfig basic;
  basic.auth.username = "user";
  basic.auth.password = config::Secret("pass:word");
  basic.headers = {{"X-Api-Key", "k"}};
  ASSERT_TRUE(MakeClient(basic)->Send(Post(server.Url(), "x"), {}).ok());
  EXPECT_EQ(server.Requests().back().Header("authorization"), "Basic dXNlcjpwYXNzOndvcmQ=");
  EXPECT_EQ(server.Requests().back().Header("x-api-key"), "k");

  ConnectionConfig bearer;
  bearer.auth.bearer_token = config::Secret("t0ken");
  ASSERT_TRUE(MakeClient(bearer)->Send(Post(server.Url(), "x"), {}).ok());
  EXPECT_EQ(server.Requests().back().Header("authorization"), "Bearer t0ken");

  ConnectionConfig aws;
  aws.auth.aws = AwsConfig{.region = "eu-central-1",
                           .service = "es",
                           .access_key_id = config::Secret("AKID"),
                           .secret_access_key = config::Secret("hush"),
                           .session_token = config::Secret("session")};
  ASSERT_TRUE(MakeClient(aws)->Send(Post(server.Url(), "x"), {}).ok());
  const HttpReceived signed_request = server.Requests().back();
  EXPECT_EQ(signed_request.Header("authorization").find("AWS4-HMAC-SHA256 Credential=AKID/"), 0U);
  EXPECT_NE(signed_request.Header("authorization").find("/eu-central-1/es/aws4_request"),
            std::string::npos);
  EXPECT_EQ(signed_request.Header("x-amz-security-token"), "session");
}

TEST(ClientTest, RefusesContradictions) {
  const auto refuses = [](const ConnectionConfig& connection) {
    Client::Options options;
    options.connection = connection;
    const absl::Status status = Client::Make(options).status();
    EXPECT_EQ(base::Message(status).find("hush"), std::string_view::npos);
    return status.code() == absl::StatusCode::kInvalidArgument;
  };
  ConnectionConfig two;
  two.auth.username = "u";
  two.auth.bearer_token = config::Secret("hush");
  EXPECT_TRUE(refuses(two));
  ConnectionConfig password;
  password.auth.password = config::Secret("hush");
  EXPECT_TRUE(refuses(password));
  ConnectionConfig key;
  key.tls.key_file = "/k";
  EXPECT_TRUE(refuses(key));
  ConnectionConfig injection;
  injection.headers = {{"X", "hush\r\nY: 1"}};
  EXPECT_TRUE(refuses(injection));
  ConnectionConfig token;
  token.auth.bearer_token = config::Secret("hush\n");
  EXPECT_TRUE(refuses(token));
}

TEST(ClientTest, ReadsItsConfiguration) {
  config::Problems problems;
  const config::Node node = config::ParseYaml(R"(
tls: {ca_file: ca.pem, certificate_file: c.pem, key_file: k.pem}
auth: {bearer_token: t}
headers: {X-A: b}
proxy: http://proxy:3128
connect_timeout: 2s
request_timeout: 5s
)",
                                              "p.yaml", problems);
  ConnectionConfig connection;
  EXPECT_TRUE(ConnectionSpec().Parse(node, connection, problems)) << problems.ToString();
  EXPECT_EQ(connection.tls.key_file, "k.pem");
  EXPECT_EQ(connection.request_timeout, absl::Seconds(5));
  EXPECT_EQ(connection.headers.at("X-A"), "b");
}

}  // namespace
}  // namespace pgflow::http
