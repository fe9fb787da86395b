// StallingProxy: a TCP proxy on 127.0.0.1 that can stop forwarding, as a network that stalls does.
//
// Stall and Resume: any thread. Both ends see open connections on which nothing moves. The
// destructor closes everything.
#pragma once

#include <atomic>
#include <memory>
#include <thread>

namespace pgflow::tests {

class StallingProxy {
 public:
  // Forwards to 127.0.0.1:target_port.
  explicit StallingProxy(int target_port);
  ~StallingProxy();
  StallingProxy(const StallingProxy&) = delete;
  StallingProxy& operator=(const StallingProxy&) = delete;

  int port() const { return port_; }
  void Stall() { stalled_ = true; }
  void Resume() { stalled_ = false; }

 private:
  void Forward(std::stop_token stop);

  const int target_port_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<bool> stalled_{false};
  std::jthread thread_;  // Last: it is joined before the rest goes.
};

}  // namespace pgflow::tests
