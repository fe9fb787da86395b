#include "engine/observe/tap_stream.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/status.h"

namespace pgflow::engine {
namespace {

constexpr std::string_view kHeader =
    "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nCache-Control: no-store\r\n"
    "X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n";
// How soon it sees that its client left, or that it is to end.
constexpr absl::Duration kLookAround = absl::Milliseconds(200);
constexpr int kSendPollMillis = 100;
constexpr size_t kSendBytes = 64 << 10;

}  // namespace

TapStream::TapStream(int socket, std::unique_ptr<TapWatcher> watcher,
                     std::unique_ptr<ChangeFormat> format)
    : socket_(socket), watcher_(std::move(watcher)), format_(std::move(format)) {
  thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
}

TapStream::~TapStream() {
  thread_.request_stop();
  thread_.join();
  ::close(socket_);
}

void TapStream::Run(const std::stop_token& stop) {
  bool going = Send(kHeader, stop);
  while (going && !stop.stop_requested()) {
    const std::optional<TapItem> item = watcher_->Take(kLookAround, stop);
    going = item.has_value() ? Print(*item, stop) : !ClientLeft();
  }
  ::shutdown(socket_, SHUT_RDWR);
  ended_ = true;
}

bool TapStream::Print(const TapItem& item, const std::stop_token& stop) {
  std::string lines;
  if (item.skipped > 0) lines = fmt::format("{{\"skipped\":{}}}\n", item.skipped);
  if (item.batch == nullptr) return Send(lines, stop);
  format_->StartBatch();
  for (const ChangeEvent& event : item.batch->events) {
    if (!watcher_->filter().Wants(event)) continue;
    const absl::StatusOr<std::string_view> line = format_->Line(item.batch->batch, event);
    if (line.ok()) {
      lines += *line;
    } else {
      const nlohmann::json error = {{"error", std::string(base::Message(line.status()))}};
      lines += error.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    }
    lines.push_back('\n');
    const uint64_t limit = watcher_->filter().limit;
    const bool last = ++printed_ == limit && limit > 0;
    if (!last && lines.size() < kSendBytes) continue;
    if (!Send(lines, stop) || last) return false;
    lines.clear();
  }
  return Send(lines, stop);
}

bool TapStream::Send(std::string_view bytes, const std::stop_token& stop) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) {
      bytes.remove_prefix(static_cast<size_t>(sent));
      continue;
    }
    if (errno != EAGAIN && errno != EINTR) return false;
    if (stop.stop_requested()) return false;
    pollfd waiting{.fd = socket_, .events = POLLOUT, .revents = 0};
    ::poll(&waiting, 1, kSendPollMillis);
  }
  return true;
}

// It has nothing more to say, so whatever there is to read is its end.
bool TapStream::ClientLeft() const {
  char byte = 0;
  const ssize_t got = ::recv(socket_, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
}

}  // namespace pgflow::engine
