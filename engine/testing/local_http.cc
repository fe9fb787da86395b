#include "engine/testing/local_http.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>

#include "base/status.h"

namespace pgflow::engine {
namespace {

absl::Status Lost(int port) {
  return base::MakeStatus(absl::StatusCode::kUnavailable, "127.0.0.1:{}: no whole answer", port);
}

// HTTP/1.0 and `Connection: close`: the answer ends where the connection does.
std::string Head(const std::string& method, const std::string& path, const std::string& body) {
  return fmt::format(
      "{} {} HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
      "Content-Length: {}\r\nConnection: close\r\n\r\n",
      method, path, body.size());
}

class Socket {
 public:
  Socket() : descriptor_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const timeval patience{.tv_sec = 30, .tv_usec = 0};
    setsockopt(descriptor_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(descriptor_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
  }
  ~Socket() { close(descriptor_); }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  bool Connect(int port) const {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return connect(descriptor_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  }
  bool Send(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t sent = send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
    return true;
  }
  bool ReceiveAll(std::string& bytes) const {
    char piece[16384];
    while (true) {
      const ssize_t received = recv(descriptor_, piece, sizeof(piece), 0);
      if (received < 0) return false;
      if (received == 0) return true;
      bytes.append(piece, static_cast<size_t>(received));
    }
  }

 private:
  const int descriptor_;
};

}  // namespace

absl::StatusOr<LocalAnswer> LocalExchange(int port, const std::string& method,
                                          const std::string& path, const std::string& body) {
  const Socket server;
  std::string answer;
  if (!server.Connect(port) || !server.Send(Head(method, path, body) + body) ||
      !server.ReceiveAll(answer)) {
    return Lost(port);
  }
  const size_t space = answer.find(' ');
  const size_t body_start = answer.find("\r\n\r\n");
  if (space == std::string::npos || body_start == std::string::npos) return Lost(port);
  const int status = std::atoi(answer.c_str() + space + 1);
  answer.erase(0, body_start + 4);
  return LocalAnswer{status, std::move(answer)};
}

absl::StatusOr<std::string> LocalHttp(int port, const std::string& method, const std::string& path,
                                      const std::string& body) {
  PGFLOW_ASSIGN_OR_RETURN(LocalAnswer answer, LocalExchange(port, method, path, body));
  if (answer.status >= 200 && answer.status < 300) return std::move(answer.body);
  return base::MakeStatus(absl::StatusCode::kInternal, "{} {}: {} {}", method, path, answer.status,
                          answer.body);
}

}  // namespace pgflow::engine
