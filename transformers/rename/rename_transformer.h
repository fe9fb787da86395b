// RenameTransformer: other names for tables, schemas and columns. The rows stay as they are, so a
// snapshot's bytes still pass without being decoded.
//
// Thread-safe. Errors: kInvalidArgument when a table lacks a column that is to be renamed, or two
// columns would have one name.
#pragma once

#include <memory>
#include <string>

#include "base/config/config_spec.h"
#include "engine/api/registry.h"
#include "engine/api/schema_cache.h"
#include "engine/api/transformer.h"

namespace pgflow::transformers {

struct RenameConfig {
  config::StringMap tables;
  config::StringMap schemas;
  config::StringMap columns;
};

config::ConfigSpec<RenameConfig> RenameSpec();

class RenameTransformer final : public engine::Transformer {
 public:
  static absl::StatusOr<std::unique_ptr<engine::Transformer>> Make(RenameConfig config);

  explicit RenameTransformer(RenameConfig config) : config_(std::move(config)) {}

  absl::StatusOr<schemas::TableSchemaPtr> TransformSchema(
      const schemas::TableSchemaPtr& schema) override;
  absl::Status Transform(engine::Batch& batch) override;
  std::vector<engine::Finding> Check(
      std::span<const schemas::TableSchemaPtr> tables) const override;

 private:
  bool Renames(const schemas::TableName& name) const;
  schemas::TableName NewName(const schemas::TableName& name) const;
  absl::StatusOr<schemas::TableSchemaPtr> Derive(const schemas::TableSchemaPtr& schema) const;

  const RenameConfig config_;
  engine::SchemaCache<schemas::TableSchemaPtr> renamed_;
};

engine::ComponentType<engine::Transformer> RenameType();

}  // namespace pgflow::transformers
