// Transformer: changes, drops or renames what passes. A pure function of one batch: no I/O, no
// clock, no order across batches.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "engine/api/batch.h"

namespace pgflow::engine {

// Thread-safe: lanes share one instance.
class Transformer {
 public:
  virtual ~Transformer() = default;

  // How a table looks behind this transformer: the same pointer when nothing changes, null when all
  // of its rows are dropped. Must be cheap for a table it has seen (one per batch and table).
  // kInvalidArgument: the table lacks what the transformer was configured with.
  virtual absl::StatusOr<schemas::TableSchemaPtr> TransformSchema(
      const schemas::TableSchemaPtr& schema) = 0;

  virtual absl::Status Transform(Batch& batch) = 0;
};

}  // namespace pgflow::engine
