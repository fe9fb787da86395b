#include "cli/admin_client.h"

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <string_view>

#include <absl/time/clock.h>

#include "base/status.h"

namespace pgflow::cli {
namespace {

// No answer of the admin port is near this; what is larger is not ours.
constexpr size_t kAnswerMax = 64 << 20;

struct Socket {
  explicit Socket(int descriptor) : fd(descriptor) {}
  ~Socket() {
    if (fd >= 0) ::close(fd);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  int fd;
};

absl::Status Unavailable(const std::string& listen, std::string_view why) {
  return base::MakeStatus(absl::StatusCode::kUnavailable, "no answer at {}: {}", listen, why);
}

bool WaitFor(int fd, short events, absl::Time deadline) {
  pollfd waiting{.fd = fd, .events = events, .revents = 0};
  while (true) {
    const auto left = absl::ToInt64Milliseconds(deadline - absl::Now());
    const int ready = ::poll(&waiting, 1, left > 0 ? static_cast<int>(left) : 0);
    if (ready > 0) return true;
    if (ready == 0 || errno != EINTR) return false;
  }
}

absl::Status Connect(Socket& to, const addrinfo& address, const std::string& listen,
                     absl::Time deadline) {
  to.fd = ::socket(address.ai_family, address.ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (to.fd < 0) return Unavailable(listen, std::strerror(errno));
  if (::connect(to.fd, address.ai_addr, address.ai_addrlen) == 0) return absl::OkStatus();
  if (errno != EINPROGRESS) return Unavailable(listen, std::strerror(errno));
  if (!WaitFor(to.fd, POLLOUT, deadline)) return Unavailable(listen, "timed out");
  int error = 0;
  socklen_t size = sizeof(error);
  ::getsockopt(to.fd, SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0) return Unavailable(listen, std::strerror(error));
  return absl::OkStatus();
}

absl::Status SendAll(int fd, std::string_view request, const std::string& listen,
                     absl::Time deadline) {
  while (!request.empty()) {
    const ssize_t sent = ::send(fd, request.data(), request.size(), MSG_NOSIGNAL);
    if (sent > 0) {
      request.remove_prefix(static_cast<size_t>(sent));
    } else if (errno != EAGAIN && errno != EINTR) {
      return Unavailable(listen, std::strerror(errno));
    } else if (!WaitFor(fd, POLLOUT, deadline)) {
      return Unavailable(listen, "timed out");
    }
  }
  return absl::OkStatus();
}

// Until the peer closes, as the request asked it to.
absl::StatusOr<std::string> ReceiveAll(int fd, const std::string& listen, absl::Time deadline) {
  std::string answer;
  char buffer[16384];
  while (answer.size() < kAnswerMax) {
    const ssize_t got = ::recv(fd, buffer, sizeof(buffer), 0);
    if (got == 0) return answer;
    if (got > 0) {
      answer.append(buffer, static_cast<size_t>(got));
    } else if (errno != EAGAIN && errno != EINTR) {
      return Unavailable(listen, std::strerror(errno));
    } else if (!WaitFor(fd, POLLIN, deadline)) {
      return Unavailable(listen, "timed out");
    }
  }
  return Unavailable(listen, "the answer is too large to be from pgflow");
}

}  // namespace

absl::StatusOr<std::string> FetchAdmin(const std::string& listen, const std::string& path,
                                       absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  const size_t colon = listen.rfind(':');
  std::string host = listen.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  // A server that listens on every address answers on the local one.
  if (host == "0.0.0.0") host = "127.0.0.1";
  if (host == "::") host = "::1";
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int failed = ::getaddrinfo(host.c_str(), listen.substr(colon + 1).c_str(), &hints, &found);
  if (failed != 0) return Unavailable(listen, ::gai_strerror(failed));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> addresses(found, &::freeaddrinfo);

  Socket socket(-1);
  PGFLOW_RETURN_IF_ERROR(Connect(socket, *addresses, listen, deadline));
  const std::string request = fmt::format(
      "GET {} HTTP/1.1\r\nHost: {}\r\nAccept: application/json\r\nConnection: close\r\n\r\n", path,
      listen);
  PGFLOW_RETURN_IF_ERROR(SendAll(socket.fd, request, listen, deadline));
  PGFLOW_ASSIGN_OR_RETURN(const std::string answer, ReceiveAll(socket.fd, listen, deadline));
  const size_t body = answer.find("\r\n\r\n");
  const std::string first_line = answer.substr(0, answer.find("\r\n"));
  if (body == std::string::npos || first_line.find(" 200 ") == std::string::npos) {
    return base::MakeStatus(absl::StatusCode::kInternal, "{} answers '{}' to {}", listen,
                            first_line, path);
  }
  return answer.substr(body + 4);
}

}  // namespace pgflow::cli
