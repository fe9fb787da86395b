#include "transformers/route/route_transformer.h"

#include <algorithm>
#include <utility>

#include "base/config/written_at.h"
#include "base/status.h"
#include "schemas/glob.h"
#include "transformers/route/row_router.h"

namespace pgflow::transformers {

using engine::ChangeEvent;

namespace {

template <typename C>
void AddRule(config::ConfigSpec<C>& spec) {
  spec.template Field<std::string>("table", &C::table,
                                   "Pattern (* and ?) of schema.name of the tables.")
      .Example("public.events");
  spec.template Field<std::optional<std::string>>(
          "when", &C::when,
          "A condition in SQL on the row, as `when` of a filter knows it, without `old` and "
          "`operation`; every row when it is not written.")
      .Example("kind = 'order'");
  spec.template Field<std::string>(
          "to", &C::to,
          "The table that the rows go to: schema.name, or a name in the same schema. {column} "
          "stands for that column's value; a row in which it is NULL does not match. Columns and "
          "key stay as they are.")
      .Example("public.order_events");
}

absl::StatusOr<Route> ParseRule(const RouteRule& rule) {
  if (rule.table.empty() || rule.to.empty()) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument, "a rule needs `table` and `to`");
  }
  if (rule.table != "*" && rule.table.find('.') == std::string::npos) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "table: pattern '{}' names no schema; write 'public.{}' or '*.{}'",
                            rule.table, rule.table, rule.table);
  }
  Route route;
  route.place = rule.place;
  route.table = rule.table;
  PGFLOW_ASSIGN_OR_RETURN(route.pieces, ParseTarget(rule.to));
  if (!rule.when.has_value()) return route;
  absl::StatusOr<expressions::Expression> when = expressions::Expression::Parse(*rule.when);
  if (!when.ok()) return base::Annotate(when.status(), "when");
  if (!when->is_of_one_row()) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "when: '{}': it may look at one row only, so neither at `old` nor at "
                            "`operation`: a row has the same place whatever brings it",
                            *rule.when);
  }
  route.when = *std::move(when);
  return route;
}

}  // namespace

config::ConfigSpec<RouteConfig> RouteSpec() {
  config::ConfigSpec<RouteConfig> spec;
  config::ConfigSpec<RouteRule> rule;
  AddRule(rule);
  rule.Remember(&RouteRule::place);
  spec.Section("rules", &RouteConfig::rules, rule,
               "Which rows go where. For each row the first rule counts that it matches; one that "
               "matches none stays. An update that takes a row to another table is a delete and "
               "an insert; unless the rules look at columns of the key only, updates and deletes "
               "need REPLICA IDENTITY FULL on the table. A single rule may be written straight "
               "under `route` instead.");
  AddRule(spec);
  return spec;
}

absl::StatusOr<std::unique_ptr<engine::Transformer>> RouteTransformer::Make(RouteConfig config) {
  std::vector<RouteRule> rules = std::move(config.rules);
  const bool single = !config.table.empty() || !config.to.empty() || config.when.has_value();
  if (single == !rules.empty()) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "route needs either `table` and `to`, or `rules`");
  }
  if (single) rules.push_back(static_cast<const RouteRule&>(config));
  std::vector<Route> routes;
  for (const RouteRule& rule : rules) {
    absl::StatusOr<Route> route = ParseRule(rule);
    if (!route.ok()) return config::AddWrittenAt(route.status(), "rule", rule.place);
    routes.push_back(*std::move(route));
  }
  return std::make_unique<RouteTransformer>(std::move(routes));
}

bool RouteTransformer::Names(const schemas::TableName& table) const {
  const std::string name = table.ToString();
  return std::ranges::any_of(
      routes_, [&](const Route& route) { return schemas::MatchesGlob(route.table, name); });
}

absl::StatusOr<RouteTransformer::PlanPtr> RouteTransformer::PlanOf(
    const schemas::TableSchemaPtr& schema) {
  return plans_.Get(schema, [this](const schemas::TableSchemaPtr& seen) {
    return DeriveRoutePlan(routes_, seen);
  });
}

absl::StatusOr<schemas::TableSchemaPtr> RouteTransformer::TransformSchema(
    const schemas::TableSchemaPtr& schema) {
  PGFLOW_ASSIGN_OR_RETURN(const PlanPtr plan, PlanOf(schema));
  return plan->KnownTables().front();
}

absl::Status RouteTransformer::AppendRoutes(const schemas::TableSchemaPtr& schema,
                                            std::vector<schemas::TableSchemaPtr>& routes) {
  PGFLOW_ASSIGN_OR_RETURN(const PlanPtr plan, PlanOf(schema));
  const std::vector<schemas::TableSchemaPtr> tables = plan->KnownTables();
  routes.insert(routes.end(), tables.begin() + 1, tables.end());
  return absl::OkStatus();
}

absl::Status RouteTransformer::Transform(engine::Batch& batch) {
  if (const engine::CopyRows* rows = batch.raw_rows()) {
    PGFLOW_ASSIGN_OR_RETURN(const PlanPtr plan, PlanOf(rows->schema));
    if (!plan->touched()) return absl::OkStatus();
  }
  PGFLOW_ASSIGN_OR_RETURN(std::vector<ChangeEvent> * events, batch.MutableEvents());
  std::vector<ChangeEvent> routed;
  routed.reserve(events->size());
  const schemas::TableSchema* schema = nullptr;
  PlanPtr plan;
  std::optional<RowRouter> router;
  for (const ChangeEvent& event : *events) {
    if (event.operation == engine::Operation::kSchemaChange) {
      routed.push_back(event);
      routed.back().ddl_transformed |= Names(event.schema->table);
      continue;
    }
    if (event.schema != schema) {
      schema = event.schema;
      PGFLOW_ASSIGN_OR_RETURN(plan, PlanOf(batch.OwnerOf(schema)));
      router.emplace(batch, *plan);
    }
    if (!plan->touched()) {
      routed.push_back(event);
      continue;
    }
    absl::Status status = router->Append(event, routed);
    if (!status.ok() && !batch.is_snapshot()) {
      base::SetPayload(status, engine::kCulpritPayload, batch.PositionOf(event).ToString());
    }
    PGFLOW_RETURN_IF_ERROR(status);
  }
  *events = std::move(routed);
  return absl::OkStatus();
}

std::vector<engine::Finding> RouteTransformer::Check(
    std::span<const schemas::TableSchemaPtr> tables) const {
  std::vector<engine::Finding> findings;
  for (const Route& route : routes_) {
    for (engine::Finding& finding : engine::UnmatchedPatterns(std::span(&route.table, 1), tables)) {
      finding.subject += config::WrittenAt("rule", route.place);
      findings.push_back(std::move(finding));
    }
  }
  return findings;
}

engine::ComponentType<engine::Transformer> RouteType() {
  return engine::MakeComponentType<engine::Transformer, RouteConfig>(
      "route", "Gives rows another table, by a condition or a column's value.", "", &RouteSpec,
      &RouteTransformer::Make);
}

}  // namespace pgflow::transformers
