#include "engine/testing/message_proxy.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <optional>
#include <utility>
#include <vector>

#include <absl/time/clock.h>
#include <fmt/format.h>

#include "engine/testing/relay_sockets.h"

namespace pgflow::engine {
namespace {

// Of the message that `bytes` begins with; nothing when it cannot be told yet.
std::optional<size_t> SizeOfMessage(std::string_view bytes, bool starts) {
  const size_t at = starts ? 0 : 1;
  if (bytes.size() < at + 4) return std::nullopt;
  uint32_t size = 0;
  for (size_t i = 0; i < 4; ++i) size = size << 8 | static_cast<uint8_t>(bytes[at + i]);
  return at + size;
}

}  // namespace

MessageProxy::MessageProxy(int target_port, std::string counted)
    : target_port_(target_port), counted_(std::move(counted)) {
  const RelayListener listener = ListenOnLoopback();
  listener_ = listener.socket;
  port_ = listener.port;
  thread_ = std::jthread([this](std::stop_token stop) { Forward(std::move(stop)); });
}

MessageProxy::~MessageProxy() {
  thread_.request_stop();
  thread_.join();
  close(listener_);
}

std::string MessageProxy::url(const std::string& database) const {
  return fmt::format("postgresql://postgres@127.0.0.1:{}/{}?sslmode=disable&gssencmode=disable",
                     port_, database);
}

void MessageProxy::Watch(uint64_t number, Action action) {
  watched_ = 0;
  happened_ = false;
  held_ = false;
  count_ = 0;
  action_ = action;
  watched_ = number;
}

bool MessageProxy::AwaitHappened(absl::Duration timeout) const {
  const absl::Time deadline = absl::Now() + timeout;
  while (!happened_ && absl::Now() < deadline) absl::SleepFor(absl::Milliseconds(1));
  return happened_;
}

void MessageProxy::Accept() {
  const std::optional<RelayEnds> ends = AcceptFor(listener_, target_port_);
  if (!ends.has_value()) return;
  ends_[ends->client] = {.other = ends->server, .starts = true, .bytes = {}};
  ends_[ends->server] = {.other = ends->client, .starts = false, .bytes = {}};
}

void MessageProxy::Close(int socket) {
  const auto found = ends_.find(socket);
  if (found == ends_.end()) return;
  const int other = found->second.other;
  ends_.erase(socket);
  ends_.erase(other);
  close(socket);
  close(other);
}

bool MessageProxy::Pass(int socket, std::string_view message) {
  if (message.find(counted_) != std::string_view::npos && ++count_ == watched_) {
    if (action_ == Action::kCut) {
      happened_ = true;
      return false;
    }
    held_ = true;
    happened_ = true;
    while (held_ && !stop_.stop_requested()) absl::SleepFor(absl::Milliseconds(1));
  }
  return SendAll(socket, message);
}

bool MessageProxy::Pump(int socket, End& end) {
  char chunk[65536];
  const ssize_t size = recv(socket, chunk, sizeof(chunk), 0);
  if (size <= 0) return false;
  end.bytes.append(chunk, static_cast<size_t>(size));
  std::string_view rest = end.bytes;
  for (auto message = SizeOfMessage(rest, end.starts);
       message.has_value() && *message <= rest.size(); message = SizeOfMessage(rest, end.starts)) {
    if (!Pass(end.other, rest.substr(0, *message))) return false;
    rest.remove_prefix(*message);
    end.starts = false;
  }
  end.bytes.erase(0, end.bytes.size() - rest.size());
  return true;
}

void MessageProxy::Forward(std::stop_token stop) {
  stop_ = stop;
  while (!stop.stop_requested()) {
    std::vector<pollfd> waiting = {{listener_, POLLIN, 0}};
    for (const auto& [socket, end] : ends_) waiting.push_back({socket, POLLIN, 0});
    poll(waiting.data(), waiting.size(), 20);
    if (cut_now_.exchange(false)) {
      while (!ends_.empty()) Close(ends_.begin()->first);
      continue;
    }
    for (const pollfd& ready : waiting) {
      if (ready.revents == 0) continue;
      if (ready.fd == listener_) {
        Accept();
        continue;
      }
      const auto found = ends_.find(ready.fd);
      if (found != ends_.end() && !Pump(ready.fd, found->second)) Close(ready.fd);
    }
  }
  for (const auto& [socket, end] : ends_) close(socket);
}

}  // namespace pgflow::engine
