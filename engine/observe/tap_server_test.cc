// /tap and /activity as a client sees them.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include <absl/time/clock.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/observe/admin_server.h"
#include "engine/observe/sample_status.h"
#include "engine/testing/event_builder.h"

namespace pgflow::engine {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class DescribingFormat final : public ChangeFormat {
 public:
  void StartBatch() override {}
  absl::StatusOr<std::string_view> Line(const Batch&, const ChangeEvent& event) override {
    line_ = Describe(event);
    if (line_.find("bad") != std::string::npos) return absl::DataLossError("\"bad\" row");
    return line_;
  }

 private:
  std::string line_;
};

class Client {
 public:
  Client(uint16_t port, const std::string& path, const std::string& host = "localhost")
      : descriptor_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(descriptor_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    const std::string request = "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n";
    EXPECT_EQ(send(descriptor_, request.data(), request.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(request.size()));
  }
  ~Client() { close(descriptor_); }

  // Up to and with `last`, or the end.
  std::string ReadUntil(std::string_view last) {
    std::array<char, 65536> piece;
    for (size_t from = 0; text_.find(last, from) == std::string::npos;) {
      const ssize_t count = recv(descriptor_, piece.data(), piece.size(), 0);
      from = text_.size() - std::min(text_.size(), last.size());
      if (count <= 0) break;
      text_.append(piece.data(), static_cast<size_t>(count));
    }
    return text_;
  }
  std::string ReadAll() { return ReadUntil("\x01"); }

 private:
  const int descriptor_;
  std::string text_;
};

class TapServerTest : public testing::Test {
 protected:
  void SetUp() override {
    builder_.Table("public.orders (id int4 key, note text)");
    server_ = *AdminServer::Make("127.0.0.1:0", [] { return SampleStatus(); },
                                 {&tap_, [] { return std::make_unique<DescribingFormat>(); }});
    ASSERT_TRUE(server_->Start().ok());
  }
  void Insert(const std::string& values) {
    tap_.Take("one", builder_.StreamBatch("begin\n insert orders " + values + "\n commit"));
  }
  bool WaitForWatched(bool watched) const {
    const absl::Time deadline = absl::Now() + absl::Seconds(10);
    while (tap_.watched() != watched && absl::Now() < deadline)
      absl::SleepFor(absl::Milliseconds(5));
    return tap_.watched() == watched;
  }

  EventBuilder builder_;
  Tap tap_{{.sinks = {"one"}}};
  std::unique_ptr<AdminServer> server_;
};

TEST_F(TapServerTest, PrintsChangesAsTheyComeUntilTheLimit) {
  Client client(server_->port(), "/tap?tables=public.*&limit=3");
  EXPECT_THAT(client.ReadUntil("\r\n\r\n"), StartsWith("HTTP/1.1 200 OK\r\n"));
  Insert("1 a");
  EXPECT_THAT(client.ReadUntil("1 a\n"), HasSubstr("\r\n\r\ninsert public.orders 1 a\n"));
  Insert("2 bad");
  Insert("3 c");
  Insert("4 d");
  EXPECT_TRUE(client.ReadAll().ends_with(
      "1 a\n{\"error\":\"\\\"bad\\\" row\"}\ninsert public.orders 3 c\n"));
  EXPECT_TRUE(WaitForWatched(false));
}

TEST_F(TapServerTest, AWatcherDelaysNobodyAndLeavesUnannounced) {
  auto client = std::make_unique<Client>(server_->port(), "/tap");
  client->ReadUntil("\r\n\r\n");
  EXPECT_THAT(Client(server_->port(), "/health").ReadAll(), StartsWith("HTTP/1.1 200"));
  EXPECT_TRUE(tap_.watched());
  client.reset();
  EXPECT_TRUE(WaitForWatched(false));
}

TEST_F(TapServerTest, ASlowClientLosesLinesAndIsTold) {
  Client client(server_->port(), "/tap");
  client.ReadUntil("\r\n\r\n");
  const CopyRows large = builder_.Rows("orders", "1 " + std::string(1 << 20, 'x'));
  for (int i = 0; i < 60; ++i) tap_.Take("one", Batch(large));
  Insert("777 end");
  EXPECT_THAT(client.ReadUntil("{\"skipped\":"), HasSubstr("{\"skipped\":"));
}

TEST_F(TapServerTest, SaysWhyNot) {
  const uint16_t port = server_->port();
  EXPECT_THAT(Client(port, "/tap", "evil.example").ReadAll(), StartsWith("HTTP/1.1 403 "));
  EXPECT_THAT(Client(port, "/tap?sink=two").ReadAll(), HasSubstr("no 'two'; it has one"));
  EXPECT_THAT(Client(port, "/tap?limit=-1").ReadAll(), StartsWith("HTTP/1.1 400 "));
  EXPECT_FALSE(tap_.watched());
}

TEST_F(TapServerTest, TellsTheActivityOfTables) {
  EXPECT_THAT(Client(server_->port(), "/activity").ReadAll(), HasSubstr("\"tables\": []"));
  Insert("1 a");
  EXPECT_THAT(Client(server_->port(), "/activity").ReadAll(), HasSubstr("\"insert\": 1"));
}

TEST_F(TapServerTest, EndsItsWatchersWhenItStops) {
  Client client(server_->port(), "/tap");
  client.ReadUntil("\r\n\r\n");
  server_->Stop();
  client.ReadAll();
  EXPECT_FALSE(tap_.watched());
}

}  // namespace
}  // namespace pgflow::engine
