// MaskTransformer: other values in place of those that nobody may see, for copies that still work.
//
// Every kind is a function of the value (and a key): before images, keys and foreign keys change as
// the rows do, in snapshot and stream, today and after a restart. Columns of a replica identity
// take only kinds that keep different values different. NULL stays NULL, and what the source did
// not send (an unchanged TOASTed value) stays so. Rules may leave that order where they say so:
// with `random`, which draws anew each time, and with `when`, which looks at the whole row.
//
// A table without a rule passes as it came; so do a masked one's rows in COPY's binary format, but
// for the bytes that change. Thread-safe. Errors: kInvalidArgument when a rule does not fit its
// table or a value cannot be masked (the position of the event is in kCulpritPayload).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/api/registry.h"
#include "engine/api/schema_cache.h"
#include "engine/api/transformer.h"
#include "transformers/mask/mask_config.h"
#include "transformers/mask/row_masks.h"

namespace pgflow::transformers {

class MaskTransformer final : public engine::Transformer {
 public:
  static absl::StatusOr<std::unique_ptr<engine::Transformer>> Make(MaskConfig config);

  // Of `config` counts what is no rule.
  MaskTransformer(std::vector<MaskRule> rules, MaskConfig config)
      : rules_(std::move(rules)), config_(std::move(config)) {}

  absl::StatusOr<schemas::TableSchemaPtr> TransformSchema(
      const schemas::TableSchemaPtr& schema) override;
  absl::Status Transform(engine::Batch& batch) override;
  std::vector<engine::Finding> Check(
      std::span<const schemas::TableSchemaPtr> tables) const override;

 private:
  using PlanPtr = engine::SchemaCache<RowMasks>::PlanPtr;

  // Those that a column's values may meet: up to the first without a condition.
  absl::StatusOr<std::vector<MaskRule>> RulesOf(const schemas::TableSchema& schema,
                                                const schemas::Column& column) const;
  // What its label says; nothing without one.
  absl::StatusOr<std::optional<MaskRule>> LabelRule(const std::string& table,
                                                    const schemas::Column& column) const;
  bool IsConcerned(const schemas::TableSchema& schema) const;
  absl::StatusOr<RowMasks> Derive(const schemas::TableSchema& schema) const;
  absl::StatusOr<RowMasks::Alternative> MakeAlternative(const MaskRule& rule,
                                                        const schemas::TableSchema& schema,
                                                        size_t column) const;
  absl::Status AddColumn(const schemas::TableSchema& schema, size_t column, RowMasks& masks) const;
  absl::Status CheckNamedColumns(const std::string& table,
                                 const schemas::TableSchema& schema) const;
  std::vector<engine::Finding> Duplicates(const schemas::TableSchema& schema) const;
  absl::StatusOr<PlanPtr> PlanOf(const schemas::TableSchemaPtr& schema);

  const std::vector<MaskRule> rules_;
  const MaskConfig config_;
  engine::SchemaCache<RowMasks> plans_;
};

engine::ComponentType<engine::Transformer> MaskType();

}  // namespace pgflow::transformers
