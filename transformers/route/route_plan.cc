#include "transformers/route/route_plan.h"

#include <algorithm>
#include <utility>

#include "base/config/written_at.h"
#include "base/status.h"
#include "schemas/glob.h"

namespace pgflow::transformers {
namespace {

// Names by value are as many as there are values: a column of all too many is a mistake.
constexpr size_t kTargetsMax = 10'000;
constexpr size_t kNameMax = 63;  // The server's NAMEDATALEN - 1.

absl::StatusOr<BoundRoute> Bind(const Route& route, RoutePlan& plan) {
  const schemas::TableSchema& schema = *plan.schema;
  BoundRoute bound;
  bound.pieces = route.pieces;
  if (route.when.has_value()) {
    absl::StatusOr<expressions::Expression> when = route.when->BindCondition(schema);
    if (!when.ok()) return base::Annotate(when.status(), "route: when");
    bound.when = *std::move(when);
  }
  for (size_t i = 1; i < route.pieces.size(); i += 2) {
    const std::optional<size_t> column = schema.FindColumn(route.pieces[i]);
    if (!column.has_value()) {
      return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                              "route: table {} has no column '{}', which `to` names",
                              schema.table.ToString(), route.pieces[i]);
    }
    bound.columns.push_back(*column);
  }
  if (route.is_fixed()) {
    PGFLOW_ASSIGN_OR_RETURN(bound.target, plan.targets->Get(route.pieces.front()));
  }
  return bound;
}

}  // namespace

absl::StatusOr<std::vector<std::string>> ParseTarget(std::string_view to) {
  std::vector<std::string> pieces = {""};
  bool inside = false;
  for (const char c : to) {
    if (c != '{' && c != '}') {
      pieces.back().push_back(c);
      continue;
    }
    if ((c == '{') == inside || (c == '}' && pieces.back().empty())) {
      return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                              "to: '{}': write {{column}} for the value of a column", to);
    }
    inside = c == '{';
    pieces.emplace_back();
  }
  if (inside || to.empty()) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument, "to: '{}' is incomplete", to);
  }
  return pieces;
}

absl::StatusOr<schemas::TableSchemaPtr> RoutedSchemas::Get(std::string_view name) {
  const size_t dot = name.find('.');
  const bool whole = dot != std::string_view::npos;
  const schemas::TableName table{whole ? std::string(name.substr(0, dot)) : schema_->table.schema,
                                 std::string(whole ? name.substr(dot + 1) : name)};
  base::MutexLock lock(&mutex_);
  const auto found = schemas_.find(table);
  if (found != schemas_.end()) return found->second;
  if (table.schema.empty() || table.name.empty() || table.schema.size() > kNameMax ||
      table.name.size() > kNameMax) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "'{}' is no name of a table (schema and name have 1 to {} bytes)", name,
                            kNameMax);
  }
  if (schemas_.size() >= kTargetsMax) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "its rows go to more than {} tables; '{}' would be one more",
                            kTargetsMax, name);
  }
  schemas::TableSchemaPtr routed = schema_;
  if (table != schema_->table) {
    auto renamed = std::make_shared<schemas::TableSchema>(*schema_);
    renamed->table = table;
    routed = std::move(renamed);
  }
  schemas_.emplace(table, routed);
  return routed;
}

std::vector<schemas::TableSchemaPtr> RoutePlan::KnownTables() const {
  std::vector<schemas::TableSchemaPtr> tables;
  if (leaves_rows) tables.push_back(schema);
  for (const BoundRoute& route : routes) {
    const auto same = [&](const schemas::TableSchemaPtr& known) {
      return known->table == route.target->table;
    };
    if (route.target == nullptr || std::ranges::any_of(tables, same)) continue;
    tables.push_back(route.target);
  }
  return tables;
}

bool RoutePlan::has_dynamic_target() const {
  return std::ranges::any_of(routes, [](const BoundRoute& r) { return r.target == nullptr; });
}

absl::StatusOr<RoutePlan> DeriveRoutePlan(const std::vector<Route>& routes,
                                          const schemas::TableSchemaPtr& schema) {
  RoutePlan plan;
  plan.schema = schema;
  plan.targets = std::make_shared<RoutedSchemas>(schema);
  const std::string name = schema->table.ToString();
  for (const Route& route : routes) {
    if (!schemas::MatchesGlob(route.table, name)) continue;
    absl::StatusOr<BoundRoute> bound = Bind(route, plan);
    if (!bound.ok()) return config::AddWrittenAt(bound.status(), "rule", route.place);
    plan.leaves_rows = bound->when.has_value() || bound->target == nullptr;
    plan.routes.push_back(*std::move(bound));
    if (!plan.leaves_rows) break;  // What comes behind it gets no row.
  }
  return plan;
}

}  // namespace pgflow::transformers
