#include "engine/testing/relay_sockets.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"

namespace pgflow::engine {
namespace {

sockaddr_in Loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

// Without it each message that is forwarded on its own waits for the acknowledgement of the one
// before, which the kernel delays by 40 ms.
void SendAtOnce(int socket) {
  const int on = 1;
  setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

}  // namespace

RelayListener ListenOnLoopback() {
  RelayListener listener{.socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof(address);
  auto* const any = reinterpret_cast<sockaddr*>(&address);
  PGFLOW_CHECK(bind(listener.socket, any, size) == 0 && listen(listener.socket, 64) == 0 &&
                   getsockname(listener.socket, any, &size) == 0,
               "the loopback interface gives a port");
  listener.port = ntohs(address.sin_port);
  return listener;
}

std::optional<RelayEnds> AcceptFor(int listener, int target_port) {
  const RelayEnds ends{accept4(listener, nullptr, nullptr, SOCK_CLOEXEC),
                       socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  const sockaddr_in address = Loopback(target_port);
  if (connect(ends.server, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    close(ends.client);
    close(ends.server);
    return std::nullopt;
  }
  SendAtOnce(ends.client);
  SendAtOnce(ends.server);
  return ends;
}

bool SendAll(int socket, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

}  // namespace pgflow::engine
