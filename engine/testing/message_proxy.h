// MessageProxy: a proxy on 127.0.0.1 in front of a Postgres server that knows the protocol's
// messages, and cuts a connection, or holds everything up, at one of them. Tests only.
//
// Any thread. Clients must not ask for encryption (sslmode=disable gssencmode=disable). The
// destructor closes everything.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <thread>

#include <absl/time/time.h>

namespace pgflow::engine {

class MessageProxy {
 public:
  enum class Action {
    kCut,   // Its connection is closed at both ends instead of passing it on.
    kHold,  // Nothing moves on any connection until Release, as when the client is paused.
  };

  // Forwards to 127.0.0.1:target_port. Counts the messages in which `counted` is.
  explicit MessageProxy(int target_port, std::string counted = "");
  ~MessageProxy();
  MessageProxy(const MessageProxy&) = delete;
  MessageProxy& operator=(const MessageProxy&) = delete;

  int port() const { return port_; }
  std::string url(const std::string& database = "postgres") const;

  // Counting starts anew: `action` at the message of that number (from 1), whichever connection and
  // direction it has. 0: never.
  void Watch(uint64_t number, Action action);
  uint64_t count() const { return count_; }
  bool happened() const { return happened_; }
  bool AwaitHappened(absl::Duration timeout) const;
  void Release() { held_ = false; }
  // Cuts all connections at the next moment; the server notices when it answers.
  void CutNow() { cut_now_ = true; }

 private:
  struct End {
    int other = -1;
    bool starts = false;  // The next message has no type: the client's first one.
    std::string bytes;    // Of a message that is not complete.
  };

  void Forward(std::stop_token stop);
  void Accept();
  // False: the connection is to be closed.
  bool Pump(int socket, End& end);
  bool Pass(int socket, std::string_view message);
  void Close(int socket);

  const int target_port_;
  const std::string counted_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<uint64_t> watched_{0};
  std::atomic<Action> action_{Action::kCut};
  std::atomic<uint64_t> count_{0};
  std::atomic<bool> happened_{false};
  std::atomic<bool> held_{false};
  std::atomic<bool> cut_now_{false};
  std::map<int, End> ends_;  // Of the thread.
  std::stop_token stop_;
  std::jthread thread_;  // Last: it is joined before the rest goes.
};

}  // namespace pgflow::engine
