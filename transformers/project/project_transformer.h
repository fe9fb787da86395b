// ProjectTransformer: keeps some columns of a table and drops the others.
//
// Columns of the replica identity must stay, or the target could not find the rows of updates and
// deletes. With REPLICA IDENTITY FULL the identity is what is left of the row.
//
// Thread-safe. Errors: kInvalidArgument when a table lacks a column that is named, or an identity
// column would go.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/config/config_spec.h"
#include "engine/api/registry.h"
#include "engine/api/schema_cache.h"
#include "engine/api/transformer.h"

namespace pgflow::transformers {

struct ProjectConfig {
  std::vector<std::string> tables;
  std::vector<std::string> include;
  std::vector<std::string> exclude;
};

config::ConfigSpec<ProjectConfig> ProjectSpec();

class ProjectTransformer final : public engine::Transformer {
 public:
  static absl::StatusOr<std::unique_ptr<engine::Transformer>> Make(ProjectConfig config);

  explicit ProjectTransformer(ProjectConfig config) : config_(std::move(config)) {}

  absl::StatusOr<schemas::TableSchemaPtr> TransformSchema(
      const schemas::TableSchemaPtr& schema) override;
  absl::Status Transform(engine::Batch& batch) override;
  std::vector<engine::Finding> Check(
      std::span<const schemas::TableSchemaPtr> tables) const override;

 private:
  struct Plan {
    schemas::TableSchemaPtr schema;  // The same pointer as the source's when nothing changes.
    std::vector<size_t> columns;     // Of the source's row, in order.
  };
  using PlanPtr = engine::SchemaCache<Plan>::PlanPtr;

  bool IsChosen(const std::string& table) const;  // "schema.name"
  absl::StatusOr<Plan> Derive(const schemas::TableSchemaPtr& schema) const;
  absl::StatusOr<PlanPtr> PlanOf(const schemas::TableSchemaPtr& schema);

  const ProjectConfig config_;
  engine::SchemaCache<Plan> plans_;
};

engine::ComponentType<engine::Transformer> ProjectType();

}  // namespace pgflow::transformers
