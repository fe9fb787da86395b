#include "tests/integration/stalling_proxy.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <map>
#include <vector>

#include "base/check.h"

namespace pgflow::tests {
namespace {

sockaddr_in Loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

// False at the end of the stream.
bool Pump(int from, int to) {
  char bytes[65536];
  const ssize_t size = recv(from, bytes, sizeof(bytes), 0);
  if (size <= 0) return false;
  for (ssize_t sent = 0; sent < size;) {
    const ssize_t now = send(to, bytes + sent, static_cast<size_t>(size - sent), MSG_NOSIGNAL);
    if (now <= 0) return false;
    sent += now;
  }
  return true;
}

}  // namespace

StallingProxy::StallingProxy(int target_port) : target_port_(target_port) {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof(address);
  PGFLOW_CHECK(bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 &&
                   listen(listener_, 64) == 0 &&
                   getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) == 0,
               "the loopback interface gives a port");
  port_ = ntohs(address.sin_port);
  thread_ = std::jthread([this](std::stop_token stop) { Forward(stop); });
}

StallingProxy::~StallingProxy() {
  thread_.request_stop();
  thread_.join();
  close(listener_);
}

void StallingProxy::Forward(std::stop_token stop) {
  std::map<int, int> peers;  // Each end to the other.
  while (!stop.stop_requested()) {
    std::vector<pollfd> waiting;
    // The kernel still accepts while it stalls: a client waits for an answer that does not come.
    if (!stalled_) {
      waiting.push_back({listener_, POLLIN, 0});
      for (const auto& [end, other] : peers) waiting.push_back({end, POLLIN, 0});
    }
    poll(waiting.data(), waiting.size(), 20);
    for (const pollfd& ready : waiting) {
      if (ready.revents == 0) continue;
      if (ready.fd == listener_) {
        const int client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
        const int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        const sockaddr_in address = Loopback(target_port_);
        if (connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) {
          peers[client] = server;
          peers[server] = client;
        } else {
          close(client);
          close(server);
        }
        continue;
      }
      const auto found = peers.find(ready.fd);
      if (found == peers.end() || Pump(ready.fd, found->second)) continue;
      const int other = found->second;
      peers.erase(ready.fd);
      peers.erase(other);
      close(ready.fd);
      close(other);
    }
  }
  for (const auto& [end, other] : peers) close(end);
}

}  // namespace pgflow::tests
