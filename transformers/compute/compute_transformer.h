// ComputeTransformer: columns that are made of others, by expressions in SQL.
//
// An expression sees one row as it arrives here: of an insert, an update and a snapshot row the new
// one, and the old row of an UPDATE or DELETE where all of it is known (REPLICA IDENTITY FULL);
// computed columns see each other's old values. NULL where an old row is known by its key only.
// When an update leaves out large values that it did not change, a column made of nothing that
// changed is left out in the same way; one made of both stops the pipeline with the column's name.
//
// A table that the pattern does not name passes as it came. Thread-safe. Errors: kInvalidArgument
// when an expression does not fit its table or has no value (a division by zero); the position of
// the event is in kCulpritPayload.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/config/config_spec.h"
#include "engine/api/registry.h"
#include "engine/api/schema_cache.h"
#include "engine/api/transformer.h"
#include "transformers/compute/compute_plan.h"

namespace pgflow::transformers {

struct ComputeConfig {
  std::string table;
  config::StringMap columns;
  config::StringMap replace;
  config::StringMap types;
};

config::ConfigSpec<ComputeConfig> ComputeSpec();

class ComputeTransformer final : public engine::Transformer {
 public:
  static absl::StatusOr<std::unique_ptr<engine::Transformer>> Make(ComputeConfig config);

  ComputeTransformer(std::string table, std::vector<Computation> computations)
      : table_(std::move(table)), computations_(std::move(computations)) {}

  absl::StatusOr<schemas::TableSchemaPtr> TransformSchema(
      const schemas::TableSchemaPtr& schema) override;
  absl::Status Transform(engine::Batch& batch) override;
  std::vector<engine::Finding> Check(
      std::span<const schemas::TableSchemaPtr> tables) const override;

 private:
  using PlanPtr = engine::SchemaCache<ComputePlan>::PlanPtr;

  bool IsChosen(const schemas::TableName& table) const;
  absl::StatusOr<PlanPtr> PlanOf(const schemas::TableSchemaPtr& schema);

  const std::string table_;  // A pattern.
  const std::vector<Computation> computations_;
  engine::SchemaCache<ComputePlan> plans_;
};

engine::ComponentType<engine::Transformer> ComputeType();

}  // namespace pgflow::transformers
