// StallingProxy: a TCP proxy on 127.0.0.1 that can stop forwarding, as a network that stalls does.
//
// Stall, StallOpen and Resume: any thread. Both ends see open connections on which nothing moves.
// The destructor closes everything.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <string>
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
  // For good on the connections of now; later ones pass. The kernel goes on acknowledging.
  void StallOpen() { dead_until_ = opened_.load(); }

  // For connections to PostgreSQL without TLS, before the first of them: stalls at the so-manieth
  // statement of all of them together (a simple query, a Sync, the end of a COPY); either the
  // server does not get it, or its answer does not come back. 0: counts only.
  void StallAtStatement(int number, bool unsent) {
    stall_at_ = number;
    unsent_ = unsent;
    counts_ = true;
  }
  bool stalled() const { return stalled_; }
  int statements() const { return statements_; }

 private:
  // What a client sent of a message that is not whole yet.
  struct Client {
    bool started = false;  // The messages that have no type are over.
    std::string bytes;
  };

  void Forward(std::stop_token stop);
  // Forwards what is whole; false: the connection is over.
  bool PumpStatements(int from, int to, Client& client);
  static size_t MessageSize(const Client& client);

  const int target_port_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<bool> stalled_{false};
  std::atomic<bool> counts_{false};
  std::atomic<bool> unsent_{false};
  std::atomic<int> stall_at_{0};
  std::atomic<int> statements_{0};
  std::atomic<int> opened_{0};      // Connections so far.
  std::atomic<int> dead_until_{0};  // The first ones of them that are dead.
  std::map<int, Client> clients_;   // Of the forwarding thread.
  std::jthread thread_;             // Last: it is joined before the rest goes.
};

}  // namespace pgflow::tests
