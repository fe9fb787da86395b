// ScriptedHttpServer: an HTTP/1.1 server on 127.0.0.1 that keeps every request and answers as told,
// faults included.
//
// Thread-safe. One thread accepts, and one a connection answers; none outlives Stop. What it keeps
// is bounded by the test that sends. A port that cannot be listened on ends the test process.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <absl/time/time.h>

namespace pgflow::engine {

struct HttpReceived {
  std::string method;
  std::string target;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  absl::Time at;            // When it was there whole.
  uint64_t connection = 0;  // Counts from 1.

  // The first one of that name, whatever its case; empty when there is none.
  std::string Header(std::string_view name) const;
};

struct HttpScript {
  enum class Fault : uint8_t {
    kNone,
    kHang,           // Takes the request and never answers.
    kCloseAtOnce,    // Takes it and closes the connection.
    kCloseInAnswer,  // Promises the body, sends half of it and closes.
    kGarbage,        // Sends bytes that are no HTTP.
  };

  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  absl::Duration delay;  // Before the answer.
  Fault fault = Fault::kNone;
};

class ScriptedHttpServer {
 public:
  struct Options {
    uint16_t port = 0;             // 0: any that is free.
    std::string certificate = "";  // PEM; with one it speaks TLS.
    std::string key = "";
    // PEM of the authority that clients must show a certificate of.
    std::string client_authority = "";
  };
  using Responder = std::function<HttpScript(const HttpReceived&)>;

  ScriptedHttpServer() : ScriptedHttpServer(Options{}) {}
  explicit ScriptedHttpServer(Options options);
  ~ScriptedHttpServer();
  ScriptedHttpServer(const ScriptedHttpServer&) = delete;
  ScriptedHttpServer& operator=(const ScriptedHttpServer&) = delete;

  // The next request that no earlier script is for gets this answer. After the last: 200 without a
  // body, or what the responder says.
  void Add(HttpScript script);
  // Called by the connections' threads, several at once.
  void SetResponder(Responder responder);

  std::vector<HttpReceived> Requests() const;
  size_t RequestCount() const;
  // False after `patience`.
  bool WaitForRequests(size_t count, absl::Duration patience = absl::Seconds(20)) const;
  // At the same time, at most, so far.
  size_t in_flight_max() const;

  // Closes every connection and refuses new ones; Restart listens on the same port again.
  void Stop();
  void Restart();

  uint16_t port() const;
  // "http://127.0.0.1:PORT/hook"
  std::string Url(std::string_view path = "/") const;

 private:
  class Acceptor;

  const std::unique_ptr<Acceptor> acceptor_;
};

}  // namespace pgflow::engine
