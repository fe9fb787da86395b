#include "cli/admin_client.h"

#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <string_view>

#include <absl/time/clock.h>

#include "base/status.h"

namespace pgflow::cli {
namespace {

// No answer of the admin port is near this; what is larger is not ours.
constexpr size_t kAnswerMax = 64 << 20;
constexpr absl::Duration kStopCheckInterval = absl::Milliseconds(100);

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

absl::Status SendRequest(Socket& socket, const std::string& listen, const std::string& path,
                         absl::Time deadline) {
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
  PGFLOW_RETURN_IF_ERROR(Connect(socket, *addresses, listen, deadline));
  char address[INET6_ADDRSTRLEN + 2] = "";
  ::getnameinfo(addresses->ai_addr, addresses->ai_addrlen, address, sizeof(address), nullptr, 0,
                NI_NUMERICHOST);
  // By its address: a name could be that of a web page (see engine/observe/tap_access.h).
  const std::string name = std::string_view(address).find(':') == std::string_view::npos
                               ? address
                               : fmt::format("[{}]", address);
  return SendAll(socket.fd,
                 fmt::format("GET {} HTTP/1.1\r\nHost: {}:{}\r\nAccept: application/json\r\n"
                             "Connection: close\r\n\r\n",
                             path, name, listen.substr(colon + 1)),
                 listen, deadline);
}

// Of an answer: its head is complete up to `body`.
struct Head {
  std::string first_line;
  size_t body = 0;

  bool good() const { return first_line.find(" 200 ") != std::string::npos; }
};

std::optional<Head> FindHead(std::string_view answer) {
  const size_t end = answer.find("\r\n\r\n");
  if (end == std::string_view::npos) return std::nullopt;
  return Head{std::string(answer.substr(0, answer.find("\r\n"))), end + 4};
}

// Reads until the head is there. What it got is in `answer`.
absl::StatusOr<Head> ReceiveHead(int fd, const std::string& listen, absl::Time deadline,
                                 std::string& answer) {
  char buffer[16384];
  while (answer.size() < kAnswerMax) {
    if (std::optional<Head> head = FindHead(answer); head.has_value()) return *std::move(head);
    if (!WaitFor(fd, POLLIN, deadline)) return Unavailable(listen, "timed out");
    const ssize_t got = ::recv(fd, buffer, sizeof(buffer), 0);
    if (got == 0) return Unavailable(listen, "it closed the connection");
    if (got > 0) answer.append(buffer, static_cast<size_t>(got));
    if (got < 0 && errno != EAGAIN && errno != EINTR) {
      return Unavailable(listen, std::strerror(errno));
    }
  }
  return Unavailable(listen, "the answer is too large to be from pgflow");
}

}  // namespace

absl::StatusOr<std::string> FetchAdmin(const std::string& listen, const std::string& path,
                                       absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  Socket socket(-1);
  PGFLOW_RETURN_IF_ERROR(SendRequest(socket, listen, path, deadline));
  PGFLOW_ASSIGN_OR_RETURN(const std::string answer, ReceiveAll(socket.fd, listen, deadline));
  const std::optional<Head> head = FindHead(answer);
  if (!head.has_value() || !head->good()) {
    return base::MakeStatus(absl::StatusCode::kInternal, "{} answers '{}' to {}", listen,
                            answer.substr(0, answer.find("\r\n")), path);
  }
  return answer.substr(head->body);
}

absl::Status StreamAdmin(const std::string& listen, const std::string& path,
                         absl::Duration answer_timeout,
                         const std::function<bool(std::string_view piece)>& consume,
                         const std::stop_token& stop) {
  const absl::Time deadline = absl::Now() + answer_timeout;
  Socket socket(-1);
  PGFLOW_RETURN_IF_ERROR(SendRequest(socket, listen, path, deadline));
  std::string answer;
  PGFLOW_ASSIGN_OR_RETURN(const Head head, ReceiveHead(socket.fd, listen, deadline, answer));
  if (!head.good()) {
    PGFLOW_ASSIGN_OR_RETURN(const std::string rest, ReceiveAll(socket.fd, listen, deadline));
    std::string why = answer.substr(head.body) + rest;
    while (why.ends_with('\n')) why.pop_back();
    return base::MakeStatus(absl::StatusCode::kInternal, "{}", why.empty() ? head.first_line : why);
  }
  if (answer.size() > head.body && !consume(std::string_view(answer).substr(head.body))) {
    return absl::OkStatus();
  }
  char buffer[65536];
  while (!stop.stop_requested()) {
    if (!WaitFor(socket.fd, POLLIN, absl::Now() + kStopCheckInterval)) continue;
    const ssize_t got = ::recv(socket.fd, buffer, sizeof(buffer), 0);
    if (got == 0) return absl::OkStatus();
    if (got < 0 && errno != EAGAIN && errno != EINTR) {
      return Unavailable(listen, std::strerror(errno));
    }
    if (got > 0 && !consume({buffer, static_cast<size_t>(got)})) break;
  }
  return absl::OkStatus();
}

}  // namespace pgflow::cli
