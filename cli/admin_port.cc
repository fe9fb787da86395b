#include "cli/admin_port.h"

#include <condition_variable>
#include <mutex>
#include <utility>

#include "base/log.h"
#include "base/status.h"

namespace pgflow::cli {
namespace {

constexpr std::chrono::milliseconds kPause(500);

}  // namespace

AdminPort::AdminPort(std::string listen, engine::StatusFunction status, engine::AdminTap tap)
    : listen_(std::move(listen)), status_(std::move(status)), tap_(std::move(tap)) {
  thread_ = std::jthread([this](const std::stop_token& stop) { KeepTrying(stop); });
}

AdminPort::~AdminPort() {
  thread_ = {};
  if (server_ != nullptr) server_->Stop();
}

void AdminPort::KeepTrying(const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any stopped;
  for (bool first = true; !stop.stop_requested(); first = false) {
    absl::StatusOr<std::unique_ptr<engine::AdminServer>> made =
        engine::AdminServer::Make(listen_, status_, tap_);
    const absl::Status started = made.ok() ? (*made)->Start() : made.status();
    if (started.ok()) {
      server_ = *std::move(made);
      return;
    }
    if (first) {
      base::LogWarning("{}; going on without it until the address is free", base::Message(started));
    }
    std::unique_lock lock(mutex);
    stopped.wait_for(lock, stop, kPause, [] { return false; });
  }
}

}  // namespace pgflow::cli
