// Transformer: changes, drops or renames what passes. A pure function of one batch: no I/O, no
// clock, no order across batches. Save one that looks rows up: it keeps what the log said of them
// by position, so that what it makes of a batch still depends on the log and nothing else.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "engine/api/batch.h"
#include "engine/api/preflight.h"

namespace pgflow::engine {

struct TransformerContext {
  std::string pipeline;
  std::string state_directory;  // Of several pipelines, perhaps.
  size_t place = 0;             // In the chain.
  std::string log{};            // Whose positions they are: they mean nothing in another one.
};

// Gives the rows of one table as of `point`, in snapshot batches, to `consume`.
using RowSource = std::function<absl::Status(const std::function<absl::Status(Batch)>& consume)>;

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

  // Once, before any batch.
  virtual absl::Status Open(const TransformerContext& /*context*/) { return absl::OkStatus(); }
  // Removes what it keeps in the state directory: the pipeline is destroyed. Instead of Open.
  virtual absl::Status Forget(const TransformerContext& /*context*/) { return absl::OkStatus(); }
  // The table (as it comes to this transformer) whose rows it must know of each snapshot, before
  // any batch of that snapshot. Null: none.
  virtual const schemas::TableName* looked_up() const { return nullptr; }
  // How a table looks that comes here; before TransformSchema is asked of any, where all are known.
  virtual void Introduce(const schemas::TableSchemaPtr& /*schema*/) {}
  // All rows of the looked-up table as of a consistent point. Replaces nothing that was said of
  // positions before it.
  virtual absl::Status Learn(const schemas::TableSchemaPtr& /*schema*/, postgres::Lsn /*point*/,
                             const RowSource& /*rows*/) {
    return absl::OkStatus();
  }
  // A stream goes on from there with no snapshot before it. kFailedPrecondition: it has to learn.
  virtual absl::Status Resume(postgres::Lsn /*from*/) { return absl::OkStatus(); }
  // No batch of what committed before `lsn` comes again. Cheap; any thread.
  virtual void Settle(postgres::Lsn /*lsn*/) {}

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
