// Client: many HTTP requests at once over kept connections, by one thread.
//
// HTTP/2 where TLS offers it (requests then share a connection), else HTTP/1.1. Redirects are not
// followed, cookies not kept, the environment's proxies and .netrc not read; the server's
// certificate is always checked. An answer of any status is a Response; what is bounded: open
// connections, the size of an answer's head and body, the time to connect and of a request.
// Requests that wait for a connection are bounded by the caller (in_flight).
//
// Threads: one at a time owns a client; no thread of its own, transfers move in Run only. Never
// raises SIGPIPE.
//
// Errors, none of which shows a secret:
//   kUnavailable         refused, reset, cut, no such name, an answer that is no HTTP
//   kDeadlineExceeded    connect_timeout or request_timeout is over
//   kUnauthenticated     the server's certificate is not trusted
//   kPermissionDenied    the name leads to an address that AddressPolicy refuses
//   kFailedPrecondition  a certificate or key file cannot be used, a malformed URL or header
//   kCancelled           stopped
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <stop_token>

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include "http/address_policy.h"
#include "http/connection_config.h"
#include "http/message.h"

namespace pgflow::http {

class Client {
 public:
  struct Options {
    ConnectionConfig connection;
    AddressPolicy addresses = AddressPolicy::kAny;
    size_t connections_max = 8;
    size_t response_bytes_max = 16 << 20;
  };
  using Done = std::function<void(absl::StatusOr<Response>)>;

  // kInvalidArgument: see Validate(ConnectionConfig). Connects nowhere.
  static absl::StatusOr<std::unique_ptr<Client>> Make(Options options);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // One request from start to end. Requests that were started before go on meanwhile. A stop takes
  // all of them with it.
  absl::StatusOr<Response> Send(Request request, std::stop_token stop);

  // Begins a request. `done` is called once, by Run or Send; it may start others. Never called for
  // a request that was cancelled.
  void Start(Request request, Done done);
  // Moves transfers until at least one is done, none is left, or `until` has come. kCancelled after
  // a stop, at once: all requests are then cancelled.
  absl::Status Run(absl::Time until, std::stop_token stop);
  // Started and not yet done.
  size_t in_flight() const;
  // Abandons every request; the server may have taken it, or not.
  void Cancel();

 private:
  class Multi;

  explicit Client(std::unique_ptr<Multi> multi);

  const std::unique_ptr<Multi> multi_;
};

}  // namespace pgflow::http
