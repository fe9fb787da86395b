// SinkContract: what the engine relies on in every sink (engine/api/sink.h), as one check.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/api/sink.h"

namespace pgflow::engine {

struct SinkContractSubject {
  // A new sink over the same target: the first one's process has ended.
  std::function<std::unique_ptr<Sink>()> make;
  // Whether it takes snapshots: table contract.items (id int4 primary key, name text) must exist,
  // empty, where the sink needs it.
  bool snapshot = true;
};

// Plays a pipeline's life on the sink: snapshot, windows, an unfinished transaction, opening again,
// a restart, a stop. Returns the broken rules; empty is well. Takes up to a minute on a broken
// sink.
std::vector<std::string> CheckSinkContract(const SinkContractSubject& subject);

}  // namespace pgflow::engine
