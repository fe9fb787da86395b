// RouteTransformer: gives rows another table, by a condition or by a column's value. For each row
// the first rule counts that it matches; one that matches none stays.
//
// An update that takes its row to another table is a delete there and an insert here, at the same
// position. Where the old row belonged must be known for that: from its key alone, or with REPLICA
// IDENTITY FULL; else an update and a delete stop the pipeline. TRUNCATE goes to every table that
// the rules name, and is refused when one is named by value. DDL of the table cannot be applied as
// it is (ChangeEvent::ddl_transformed).
//
// A table that no rule names passes as it came. Thread-safe. Errors: kInvalidArgument when a rule
// does not fit its table, or a row's place is not known (its position is in kCulpritPayload).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/config/config_spec.h"
#include "engine/api/registry.h"
#include "engine/api/schema_cache.h"
#include "engine/api/transformer.h"
#include "transformers/route/route_plan.h"

namespace pgflow::transformers {

struct RouteRule {
  std::string table;
  std::optional<std::string> when;
  std::string to;
  config::Place place{};  // In the file; of a single rule not known.
};

// One rule may be written straight under `route`, or many under `rules`.
struct RouteConfig : RouteRule {
  std::vector<RouteRule> rules;
};

config::ConfigSpec<RouteConfig> RouteSpec();

class RouteTransformer final : public engine::Transformer {
 public:
  static absl::StatusOr<std::unique_ptr<engine::Transformer>> Make(RouteConfig config);

  explicit RouteTransformer(std::vector<Route> routes) : routes_(std::move(routes)) {}

  absl::StatusOr<schemas::TableSchemaPtr> TransformSchema(
      const schemas::TableSchemaPtr& schema) override;
  absl::Status AppendRoutes(const schemas::TableSchemaPtr& schema,
                            std::vector<schemas::TableSchemaPtr>& routes) override;
  absl::Status Transform(engine::Batch& batch) override;
  std::vector<engine::Finding> Check(
      std::span<const schemas::TableSchemaPtr> tables) const override;

 private:
  using PlanPtr = engine::SchemaCache<RoutePlan>::PlanPtr;

  bool Names(const schemas::TableName& table) const;
  absl::StatusOr<PlanPtr> PlanOf(const schemas::TableSchemaPtr& schema);

  const std::vector<Route> routes_;
  engine::SchemaCache<RoutePlan> plans_;
};

engine::ComponentType<engine::Transformer> RouteType();

}  // namespace pgflow::transformers
