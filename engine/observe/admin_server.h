// AdminServer: the admin port: GET /metrics /health /ready /status /activity /tap.
//
// One thread of its own between Start and Stop, which waits for many clients at once and for each
// of them for a few seconds; of too many, the one that has waited longest is sent away. It only
// reads the status, so it can hold up nothing else. A client of /tap
// has a thread of its own. Not for the open network: no TLS, no authentication; listen on
// localhost. /tap shows rows: see tap_access.h for who may.
//
// Errors of Make: kInvalidArgument for an address that is none; of Start: kFailedPrecondition when
// the address cannot be listened on (in use, not of this machine).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <thread>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "engine/api/pipeline_status.h"
#include "engine/observe/tap_stream.h"

namespace pgflow::engine {

// What /activity and /tap show. The tap must outlive the server.
struct AdminTap {
  Tap* tap = nullptr;  // Null: neither is there.
  ChangeFormatFactory format;
};

class AdminServer {
 public:
  // `listen`: "127.0.0.1:9187", "localhost:9187", "[::1]:9187"; port 0 takes any that is free.
  static absl::StatusOr<std::unique_ptr<AdminServer>> Make(const std::string& listen,
                                                           StatusFunction status,
                                                           AdminTap tap = {});
  ~AdminServer();
  AdminServer(const AdminServer&) = delete;
  AdminServer& operator=(const AdminServer&) = delete;

  absl::Status Start();
  void Stop();
  // That it listens on; 0 before Start.
  uint16_t port() const { return bound_port_; }

 private:
  class Listener;

  AdminServer(std::string host, uint16_t port, StatusFunction status, AdminTap tap);

  const std::string host_;
  const uint16_t port_;
  const StatusFunction status_;
  const AdminTap tap_;
  uint16_t bound_port_ = 0;
  std::unique_ptr<Listener> listener_;
  std::jthread thread_;
};

}  // namespace pgflow::engine
