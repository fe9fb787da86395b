// FilterTransformer: lets only some tables, operations and rows pass.
//
// An UPDATE may move a row into the filter or out of it. With REPLICA IDENTITY FULL, or conditions
// on key columns only, that is seen exactly: the row moving in arrives as an insert, the one moving
// out as a delete. Otherwise the old row is not known, and nothing may be lost:
//   - an update whose new row matches arrives as an insert that replaces the row (flagged catch_up;
//     with a delete of the old key before it, at the same position, when the key changed);
//   - one whose new row does not match arrives as a delete that may find no row;
//   - a delete passes, and may find no row;
//   - an update that matches but leaves out unchanged TOASTed values stays an update: if the target
//     does not have the row, it says so. REPLICA IDENTITY FULL avoids that.
// A `when` that looks at one row is such a condition on the row. One that compares the old row
// with the new one, or looks at the operation, is about the change instead: it lets the change pass
// as it is, or not, and lets it pass when it cannot tell.
//
// Thread-safe. Errors: kInvalidArgument when a table lacks a column of a condition.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/config/config_spec.h"
#include "engine/api/registry.h"
#include "engine/api/schema_cache.h"
#include "engine/api/transformer.h"
#include "expressions/expression.h"
#include "transformers/filter/row_condition.h"
#include "transformers/filter/row_decision.h"

namespace pgflow::transformers {

struct TableChoice {
  std::vector<std::string> include;
  std::vector<std::string> exclude;
};

struct FilterConfig {
  TableChoice tables;
  std::vector<std::string> for_tables;
  std::vector<std::string> operations;
  std::vector<ConditionConfig> where;
  std::optional<std::string> when;
};

config::ConfigSpec<FilterConfig> FilterSpec();

class FilterTransformer final : public engine::Transformer {
 public:
  static absl::StatusOr<std::unique_ptr<engine::Transformer>> Make(FilterConfig config);

  FilterTransformer(FilterConfig config, std::optional<expressions::Expression> when);

  absl::StatusOr<schemas::TableSchemaPtr> TransformSchema(
      const schemas::TableSchemaPtr& schema) override;
  absl::Status Transform(engine::Batch& batch) override;
  std::vector<engine::Finding> Check(
      std::span<const schemas::TableSchemaPtr> tables) const override;

 private:
  // What the filter means for one table.
  struct Plan {
    bool dropped = false;
    bool examined = false;  // `operations` and `where` apply.
    RowTest test;
    std::vector<bool> identity;
  };
  using PlanPtr = engine::SchemaCache<Plan>::PlanPtr;

  bool PassesTables(const schemas::TableName& table) const;
  absl::StatusOr<Plan> Derive(const schemas::TableSchema& schema) const;
  absl::StatusOr<PlanPtr> PlanOf(const schemas::TableSchemaPtr& schema);

  const FilterConfig config_;
  const std::optional<expressions::Expression> when_;
  unsigned operations_ = 0;  // A bit for each that passes.
  engine::SchemaCache<Plan> plans_;
};

engine::ComponentType<engine::Transformer> FilterType();

}  // namespace pgflow::transformers
