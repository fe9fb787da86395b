// Connection::Session: what a connection keeps beside libpq's handle. Internal to this folder.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <libpq-fe.h>

#include "postgres/client/connection.h"

namespace pgflow::postgres {

struct Connection::Session {
  Session();
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Fills the arrays that libpq wants from `parameters`.
  void Bind(std::span<const Parameter> parameters);

  int wake_fd = -1;  // Written by a stop callback, so that poll() ends.
  // Made at connect: PQcancel may then be called from any thread, and after the session.
  std::shared_ptr<PGcancel> cancel;
  bool replication = false;
  ConnectOptions options;
  std::stop_token stop;        // Of Connect: for calls that are given none.
  bool pid_is_real = false;    // No pooler stands between us and the backend.
  bool interrupted = false;    // A stop came while an answer was waited for: it is still to come.
  bool given_up = false;       // The server does not answer: nothing more is asked of it.
  size_t unflushed_bytes = 0;  // Given to libpq since the last complete flush.
  size_t outstanding = 0;      // Pipeline: results and syncs that are still to come.
  std::map<std::string, std::string> kept;  // Names of prepared statements by their text.
  std::vector<const char*> values;
  std::vector<int> lengths;
  std::vector<int> formats;
};

// How long nothing has moved in one wait for the server. A new one for each call that waits.
struct Connection::Silence {
  absl::Time since = absl::InfinitePast();  // Not yet.
  absl::Time next_look;
  absl::Duration interval;
  int doubts = 0;  // Looks in a row that found the server waiting for us.
};

}  // namespace pgflow::postgres
