#include "tests/integration/stalling_proxy.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "engine/testing/relay_sockets.h"

namespace pgflow::tests {
namespace {

using engine::SendAll;

// False at the end of the stream.
bool Pump(int from, int to) {
  char bytes[65536];
  const ssize_t size = recv(from, bytes, sizeof(bytes), 0);
  return size > 0 && SendAll(to, {bytes, static_cast<size_t>(size)});
}

constexpr uint32_t kProtocolMajor = 3;  // Of a start-up message; requests have other numbers there.

}  // namespace

StallingProxy::StallingProxy(int target_port) : target_port_(target_port) {
  const engine::RelayListener listener = engine::ListenOnLoopback();
  listener_ = listener.socket;
  port_ = listener.port;
  thread_ = std::jthread([this](std::stop_token stop) { Forward(stop); });
}

StallingProxy::~StallingProxy() {
  thread_.request_stop();
  thread_.join();
  close(listener_);
}

// 0: it is not known yet.
size_t StallingProxy::MessageSize(const Client& client) {
  const size_t type = client.started ? 1 : 0;
  if (client.bytes.size() < type + 4) return 0;
  return type + base::LoadBigEndian<uint32_t>(client.bytes.data() + type);
}

bool StallingProxy::PumpStatements(int from, int to, Client& client) {
  char bytes[65536];
  const ssize_t size = recv(from, bytes, sizeof(bytes), 0);
  if (size <= 0) return false;
  client.bytes.append(bytes, static_cast<size_t>(size));
  for (size_t next = MessageSize(client); next > 0 && next <= client.bytes.size();
       next = MessageSize(client)) {
    const std::string message = client.bytes.substr(0, next);
    client.bytes.erase(0, next);
    const bool statement =
        client.started && (message[0] == 'Q' || message[0] == 'S' || message[0] == 'c');
    if (!client.started) {
      client.started = base::LoadBigEndian<uint32_t>(message.data() + 4) >> 16 == kProtocolMajor;
    }
    const bool last = statement && ++statements_ == stall_at_;
    if (last) stalled_ = true;
    if (last && unsent_) return true;
    if (!SendAll(to, message)) return false;
    if (last) return true;
  }
  return true;
}

void StallingProxy::Forward(std::stop_token stop) {
  std::map<int, int> peers;    // Each end to the other.
  std::map<int, int> numbers;  // Of the connection.
  while (!stop.stop_requested()) {
    std::vector<pollfd> waiting;
    // The kernel still accepts while it stalls: a client waits for an answer that does not come.
    if (!stalled_) {
      waiting.push_back({listener_, POLLIN, 0});
      for (const auto& [end, other] : peers) {
        if (numbers[end] > dead_until_) waiting.push_back({end, POLLIN, 0});
      }
    }
    poll(waiting.data(), waiting.size(), 20);
    for (const pollfd& ready : waiting) {
      if (ready.revents == 0) continue;
      if (ready.fd == listener_) {
        const auto ends = engine::AcceptFor(listener_, target_port_);
        if (!ends.has_value()) continue;
        peers[ends->client] = ends->server;
        peers[ends->server] = ends->client;
        if (counts_) clients_[ends->client] = {};
        numbers[ends->client] = numbers[ends->server] = ++opened_;
        continue;
      }
      const auto found = peers.find(ready.fd);
      if (found == peers.end() || stalled_) continue;
      const auto counted = clients_.find(ready.fd);
      const bool open = counted == clients_.end()
                            ? Pump(ready.fd, found->second)
                            : PumpStatements(ready.fd, found->second, counted->second);
      if (open) continue;
      const int other = found->second;
      peers.erase(ready.fd);
      peers.erase(other);
      clients_.erase(ready.fd);
      clients_.erase(other);
      close(ready.fd);
      close(other);
    }
  }
  for (const auto& [end, other] : peers) close(end);
}

}  // namespace pgflow::tests
