#include "engine/observe/admin_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>

#include <absl/time/clock.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/observe/admin_response.h"
#include "engine/observe/sample_status.h"
#include "engine/observe/status_json.h"

namespace pgflow::engine {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

StatusFunction In(Phase phase) {
  return [phase] {
    PipelineStatus status = SampleStatus();
    status.phase = phase;
    status.error = "why";
    return status;
  };
}

TEST(AdminResponse, HealthAndReadiness) {
  EXPECT_EQ(RespondTo("/health", In(Phase::kStreaming)).code, 200);
  EXPECT_EQ(RespondTo("/health", In(Phase::kStandby)).code, 200);
  EXPECT_EQ(RespondTo("/health", In(Phase::kFailed)).code, 503);
  EXPECT_EQ(RespondTo("/health", In(Phase::kFailed)).body, "failed: why\n");
  EXPECT_EQ(RespondTo("/ready", In(Phase::kStreaming)).code, 200);
  EXPECT_EQ(RespondTo("/ready?x=1", In(Phase::kStandby)).code, 503);
  EXPECT_EQ(RespondTo("/ready", In(Phase::kSnapshot)).body, "not ready: snapshot\n");
  PipelineStatus status = SampleStatus();
  status.stalled = "slot s is not active for 30s";
  const auto stalled = [&status] { return status; };
  EXPECT_EQ(RespondTo("/ready", stalled).code, 503);
  EXPECT_EQ(RespondTo("/health", stalled).code, 200);
  status.unhealthy = true;
  EXPECT_EQ(RespondTo("/health", stalled).code, 503);
  EXPECT_EQ(RespondTo("/health", stalled).body, "stalled: slot s is not active for 30s\n");
  EXPECT_EQ(RespondTo("/nope", In(Phase::kStreaming)).code, 404);
}

int Connect(uint16_t port) {
  const int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(connect(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  return descriptor;
}

std::string Exchange(uint16_t port, const std::string& request) {
  const int descriptor = Connect(port);
  EXPECT_EQ(send(descriptor, request.data(), request.size(), MSG_NOSIGNAL),
            static_cast<ssize_t>(request.size()));
  std::string answer;
  std::array<char, 4096> piece;
  for (ssize_t count = 0; (count = recv(descriptor, piece.data(), piece.size(), 0)) > 0;) {
    answer.append(piece.data(), static_cast<size_t>(count));
  }
  close(descriptor);
  return answer;
}

std::string Get(uint16_t port, const std::string& path) {
  return Exchange(port, "GET " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n");
}

class AdminServerTest : public testing::Test {
 protected:
  void SetUp() override {
    server_ = *AdminServer::Make("127.0.0.1:0", In(Phase::kStreaming));
    ASSERT_TRUE(server_->Start().ok());
    ASSERT_NE(server_->port(), 0);
  }

  std::unique_ptr<AdminServer> server_;
};

TEST_F(AdminServerTest, AnswersItsPaths) {
  const uint16_t port = server_->port();
  EXPECT_THAT(Get(port, "/health"), StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(Get(port, "/ready"), StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(Get(port, "/metrics"), HasSubstr("\npgflow_source_events_total{"));
  EXPECT_THAT(Get(port, "/"), StartsWith("HTTP/1.1 404 "));
  const std::string status = Get(port, "/status");
  EXPECT_THAT(status, HasSubstr("application/json"));
  EXPECT_TRUE(StatusFromJson(status.substr(status.find("\r\n\r\n") + 4)).ok());
}

TEST_F(AdminServerTest, RefusesWhatItDoesNotKnow) {
  const uint16_t port = server_->port();
  EXPECT_THAT(Exchange(port, "DELETE /status HTTP/1.1\r\nHost: x\r\n\r\n"),
              StartsWith("HTTP/1.1 405 "));
  EXPECT_EQ(Exchange(port, "no http at all\r\n\r\n"), "");
  EXPECT_EQ(Exchange(port, "GET /" + std::string(20'000, 'x') + " HTTP/1.1\r\n\r\n"), "");
  const std::string head = Exchange(port, "HEAD /status HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(head, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_TRUE(head.ends_with("\r\n\r\n"));
}

// More than it waits for at once, too; some say half a word.
TEST_F(AdminServerTest, SilentClientsDelayNobody) {
  for (const size_t count : {size_t{10}, size_t{200}}) {
    std::vector<int> silent;
    for (size_t i = 0; i < count; ++i) {
      silent.push_back(Connect(server_->port()));
      if (i % 2 == 0) send(silent.back(), "GET /he", 7, MSG_NOSIGNAL);
    }
    const absl::Time start = absl::Now();
    for (int i = 0; i < 5; ++i) {
      EXPECT_THAT(Get(server_->port(), "/health"), StartsWith("HTTP/1.1 200 OK\r\n"));
    }
    EXPECT_LT(absl::Now() - start, absl::Seconds(1));
    for (const int descriptor : silent) close(descriptor);
  }
}

TEST_F(AdminServerTest, SilentClientsDoNotDelayItsEnd) {
  const std::array<int, 2> silent = {Connect(server_->port()), Connect(server_->port())};
  EXPECT_THAT(Get(server_->port(), "/health"), StartsWith("HTTP/1.1 200 OK\r\n"));
  const absl::Time start = absl::Now();
  server_->Stop();
  EXPECT_LT(absl::Now() - start, absl::Seconds(1));
  for (const int descriptor : silent) close(descriptor);
}

TEST_F(AdminServerTest, NamesAPortInUse) {
  auto second =
      AdminServer::Make("127.0.0.1:" + std::to_string(server_->port()), In(Phase::kStreaming));
  const absl::Status status = (*second)->Start();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("another program"));
  server_->Stop();
  server_->Stop();
  server_.reset();
  EXPECT_TRUE((*second)->Start().ok());
}

TEST(AdminServer, RefusesAnAddressThatIsNone) {
  for (const std::string listen :
       {"", "localhost", ":80", "localhost:", "localhost:x", "localhost:70000"}) {
    EXPECT_EQ(AdminServer::Make(listen, In(Phase::kStreaming)).status().code(),
              absl::StatusCode::kInvalidArgument)
        << listen;
  }
}

}  // namespace
}  // namespace pgflow::engine
