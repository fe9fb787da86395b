// MaskTransformer: other values in place of those that nobody may see, for copies that still work.
//
// Every kind is a function of the value (and a key): before images, keys and foreign keys change as
// the rows do, in snapshot and stream, today and after a restart. Columns of a replica identity
// take only kinds that keep different values different. NULL stays NULL, and what the source did
// not send (an unchanged TOASTed value) stays so.
//
// A table without a rule passes as it came; so do a masked one's rows in COPY's binary format, but
// for the bytes that change. Thread-safe. Errors: kInvalidArgument when a rule does not fit its
// table or a value cannot be masked (the position of the event is in kCulpritPayload).
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "engine/api/registry.h"
#include "engine/api/schema_cache.h"
#include "engine/api/transformer.h"
#include "transformers/mask/column_mask.h"
#include "transformers/mask/mask_config.h"
#include "transformers/mask/template_mask.h"

namespace pgflow::transformers {

class MaskTransformer final : public engine::Transformer {
 public:
  static absl::StatusOr<std::unique_ptr<engine::Transformer>> Make(MaskConfig config);

  MaskTransformer(std::vector<MaskRule> rules, config::Secret key, bool strict)
      : rules_(std::move(rules)), key_(std::move(key)), strict_(strict) {}

  absl::StatusOr<schemas::TableSchemaPtr> TransformSchema(
      const schemas::TableSchemaPtr& schema) override;
  absl::Status Transform(engine::Batch& batch) override;
  std::vector<engine::Finding> Check(
      std::span<const schemas::TableSchemaPtr> tables) const override;

 private:
  struct Plan {
    bool touched = false;
    std::vector<ColumnMaskPtr> masks;  // By column; null: it stays.
    std::vector<TemplateMask> templates;
    std::vector<size_t> template_columns;
  };
  using PlanPtr = engine::SchemaCache<Plan>::PlanPtr;

  // Works on one batch.
  struct Run {
    engine::Batch& batch;
    MaskScratch scratch{};
    std::string bytes{};
    std::vector<schemas::Value> before{};
    std::vector<schemas::Value> after{};
  };

  const MaskRule* RuleOf(const std::string& table, const std::string& column) const;
  absl::StatusOr<Plan> Derive(const schemas::TableSchema& schema) const;
  absl::Status CheckNamedColumns(const std::string& table,
                                 const schemas::TableSchema& schema) const;
  std::vector<engine::Finding> Duplicates(const schemas::TableSchema& schema) const;
  absl::Status PlanTemplates(const schemas::TableSchema& schema, Plan& plan) const;
  absl::StatusOr<PlanPtr> PlanOf(const schemas::TableSchemaPtr& schema);

  // Writes the rows anew, field by field.
  static absl::Status MaskCopyRows(const Plan& plan, Run& run);
  static absl::Status MaskEvent(const Plan& plan, engine::ChangeEvent& event, Run& run);
  static absl::Status MaskValues(const Plan& plan, const schemas::TableSchema& schema,
                                 std::vector<schemas::Value>& values, Run& run);
  static absl::Status ApplyTemplates(const Plan& plan, const schemas::TableSchema& schema,
                                     std::vector<schemas::Value>& values, Run& run);

  const std::vector<MaskRule> rules_;
  const config::Secret key_;
  const bool strict_;
  engine::SchemaCache<Plan> plans_;
};

engine::ComponentType<engine::Transformer> MaskType();

}  // namespace pgflow::transformers
