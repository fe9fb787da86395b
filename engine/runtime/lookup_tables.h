// LearnLookups: brings each transformer that looks rows up the rows of its table, as of a snapshot.
#pragma once

#include <memory>
#include <span>
#include <stop_token>

#include <absl/status/status.h>

#include "engine/api/snapshot.h"
#include "engine/api/transformer.h"

namespace pgflow::engine {

// Before any other row of that snapshot passes them. The rows come as the transformers in front
// leave them. kFailedPrecondition: the table is not one of the snapshot's, or was rewritten
// meanwhile (kAborted: another snapshot will do).
absl::Status LearnLookups(SnapshotSession& session,
                          std::span<const std::unique_ptr<Transformer>> transformers,
                          const std::stop_token& stop);

}  // namespace pgflow::engine
