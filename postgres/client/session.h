// Connection::Session: what a connection keeps beside libpq's handle. Internal to this folder.
#pragma once

#include <cstddef>
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

  int wake_fd = -1;            // Written by a stop callback, so that poll() ends.
  PGcancel* cancel = nullptr;  // Made at connect: PQcancel may then be called from any thread.
  bool replication = false;
  size_t unflushed_bytes = 0;  // Given to libpq since the last complete flush.
  size_t outstanding = 0;      // Pipeline: results and syncs that are still to come.
  std::vector<const char*> values;
  std::vector<int> lengths;
  std::vector<int> formats;
};

}  // namespace pgflow::postgres
