// Transformer: changes, drops or renames what passes. A pure function of one batch: no I/O, no
// clock, no order across batches.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "engine/api/batch.h"
#include "engine/api/preflight.h"

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

  // The other tables that rows of that table may become rows of, as far as they are known before
  // they come. Appended to `routes`.
  virtual absl::Status AppendRoutes(const schemas::TableSchemaPtr& /*schema*/,
                                    std::vector<schemas::TableSchemaPtr>& /*routes*/) {
    return absl::OkStatus();
  }

  virtual absl::Status Transform(Batch& batch) = 0;

  // What is configured and fits none of those tables, all that come here: for `pgflow check`.
  virtual std::vector<Finding> Check(std::span<const schemas::TableSchemaPtr> /*tables*/) const {
    return {};
  }
};

// A warning for each of the patterns (* and ?) that names none of the tables: likely misspelt.
std::vector<Finding> UnmatchedPatterns(std::span<const std::string> patterns,
                                       std::span<const schemas::TableSchemaPtr> tables);

// What a table becomes behind all of them: its own rows' first (null: they are all dropped), then
// the tables that some of its rows are known to go to. The first error of a transformer.
absl::StatusOr<std::vector<schemas::TableSchemaPtr>> TransformedTables(
    std::span<const std::unique_ptr<Transformer>> transformers,
    const schemas::TableSchemaPtr& schema);

}  // namespace pgflow::engine
