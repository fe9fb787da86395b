#include "transformers/compute/compute_transformer.h"

#include <optional>
#include <utility>

#include "base/status.h"
#include "schemas/glob.h"
#include "transformers/compute/row_computation.h"

namespace pgflow::transformers {

using engine::ChangeEvent;
using expressions::Expression;

namespace {

absl::StatusOr<Computation> ParseComputation(const std::string& field, const std::string& column,
                                             const std::string& text,
                                             const config::StringMap& types) {
  const auto named = [&](const absl::Status& status) {
    return base::Annotate(status, fmt::format("{}.{}", field, column));
  };
  absl::StatusOr<Expression> parsed = Expression::Parse(text);
  if (!parsed.ok()) return named(parsed.status());
  if (!parsed->is_of_one_row()) {
    return named(base::MakeStatus(absl::StatusCode::kInvalidArgument,
                                  "'{}': it may look at one row only, so neither at `old` nor at "
                                  "`operation`: a row has the same value whatever brings it",
                                  text));
  }
  Computation computation;
  computation.column = column;
  computation.kind = field == "columns" ? Computation::Kind::kNew : Computation::Kind::kReplaced;
  computation.expression = *std::move(parsed);
  if (const auto type = types.find(column); type != types.end()) {
    absl::StatusOr<Expression> typed = computation.expression.As(type->second);
    if (!typed.ok()) return base::Annotate(typed.status(), "types." + column);
    computation.expression = *std::move(typed);
    computation.typed = true;
  }
  return computation;
}

}  // namespace

config::ConfigSpec<ComputeConfig> ComputeSpec() {
  config::ConfigSpec<ComputeConfig> spec;
  spec.Field("table", &ComputeConfig::table,
             "Pattern (* and ?) of schema.name of the tables; others stay as they are.")
      .Required()
      .Example("public.orders");
  spec.Field("columns", &ComputeConfig::columns,
             "New columns, each with its expression in SQL over the columns of the row as it "
             "arrives here. An expression knows what `filter` knows under `when`, / and % (with "
             "the server's types, results and errors), round, floor, ceil, and casts between "
             "texts, numbers, boolean, dates and timestamps (in UTC). What the server would do "
             "otherwise is refused.")
      .Example("{full_name: \"first || ' ' || last\", total: price * quantity}");
  spec.Field("replace", &ComputeConfig::replace,
             "Columns of the table, each with an expression for its new values; they keep their "
             "type unless `types` gives them another. A column of the key can be computed from "
             "the key only.")
      .Example("{email: lower(email)}");
  spec.Field("types", &ComputeConfig::types,
             "Types of computed columns, where they are not to have their expression's.")
      .Example("{total: numeric}");
  return spec;
}

absl::StatusOr<std::unique_ptr<engine::Transformer>> ComputeTransformer::Make(
    ComputeConfig config) {
  const std::string& table = config.table;
  if (table != "*" && table.find('.') == std::string::npos) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "table: pattern '{}' names no schema; write 'public.{}' or '*.{}'",
                            table, table, table);
  }
  if (config.columns.empty() && config.replace.empty()) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "compute needs `columns` or `replace`");
  }
  std::vector<Computation> computations;
  for (const auto& [column, text] : config.columns) {
    PGFLOW_ASSIGN_OR_RETURN(Computation parsed,
                            ParseComputation("columns", column, text, config.types));
    computations.push_back(std::move(parsed));
  }
  for (const auto& [column, text] : config.replace) {
    PGFLOW_ASSIGN_OR_RETURN(Computation parsed,
                            ParseComputation("replace", column, text, config.types));
    computations.push_back(std::move(parsed));
  }
  for (const auto& [column, type] : config.types) {
    if (config.columns.contains(column) || config.replace.contains(column)) continue;
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "types: '{}' is neither one of `columns` nor of `replace`", column);
  }
  return std::make_unique<ComputeTransformer>(std::move(config.table), std::move(computations));
}

bool ComputeTransformer::IsChosen(const schemas::TableName& table) const {
  return schemas::MatchesGlob(table_, table.ToString());
}

absl::StatusOr<ComputeTransformer::PlanPtr> ComputeTransformer::PlanOf(
    const schemas::TableSchemaPtr& schema) {
  return plans_.Get(schema,
                    [this](const schemas::TableSchemaPtr& seen) -> absl::StatusOr<ComputePlan> {
                      if (!IsChosen(seen->table)) return ComputePlan{seen, {}};
                      return DeriveComputePlan(computations_, seen);
                    });
}

absl::StatusOr<schemas::TableSchemaPtr> ComputeTransformer::TransformSchema(
    const schemas::TableSchemaPtr& schema) {
  PGFLOW_ASSIGN_OR_RETURN(const PlanPtr plan, PlanOf(schema));
  return plan->schema;
}

absl::Status ComputeTransformer::Transform(engine::Batch& batch) {
  if (const engine::CopyRows* rows = batch.raw_rows()) {
    PGFLOW_ASSIGN_OR_RETURN(const PlanPtr plan, PlanOf(rows->schema));
    if (!plan->touched()) return absl::OkStatus();
  }
  PGFLOW_ASSIGN_OR_RETURN(std::vector<ChangeEvent> * events, batch.MutableEvents());
  const schemas::TableSchema* schema = nullptr;
  PlanPtr plan;
  std::optional<RowComputation> computation;
  for (ChangeEvent& event : *events) {
    if (event.operation == engine::Operation::kSchemaChange) {
      event.ddl_transformed |= IsChosen(event.schema->table);
      continue;
    }
    if (event.schema != schema) {
      schema = event.schema;
      PGFLOW_ASSIGN_OR_RETURN(plan, PlanOf(batch.OwnerOf(schema)));
      if (plan->touched()) batch.KeepAlive(plan->schema);
      computation.emplace(batch, *plan);
    }
    if (!plan->touched()) continue;
    absl::Status status = computation->Apply(event);
    if (!status.ok() && !batch.is_snapshot()) {
      base::SetPayload(status, engine::kCulpritPayload, batch.PositionOf(event).ToString());
    }
    PGFLOW_RETURN_IF_ERROR(status);
  }
  return absl::OkStatus();
}

std::vector<engine::Finding> ComputeTransformer::Check(
    std::span<const schemas::TableSchemaPtr> tables) const {
  return engine::UnmatchedPatterns({&table_, 1}, tables);
}

engine::ComponentType<engine::Transformer> ComputeType() {
  return engine::MakeComponentType<engine::Transformer, ComputeConfig>(
      "compute", "Makes columns of others, by expressions in SQL.", "", &ComputeSpec,
      &ComputeTransformer::Make);
}

}  // namespace pgflow::transformers
