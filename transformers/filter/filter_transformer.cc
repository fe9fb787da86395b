#include "transformers/filter/filter_transformer.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "base/config/written_at.h"
#include "base/status.h"
#include "schemas/glob.h"

namespace pgflow::transformers {

using engine::ChangeEvent;
using engine::Operation;

namespace {

constexpr std::array kOperations = {Operation::kRead, Operation::kInsert, Operation::kUpdate,
                                    Operation::kDelete, Operation::kTruncate};

unsigned BitOf(Operation operation) { return 1U << static_cast<unsigned>(operation); }

absl::Status CheckPatterns(std::string_view field, const std::vector<std::string>& patterns) {
  for (const std::string& pattern : patterns) {
    if (pattern == "*" || pattern.find('.') != std::string::npos) continue;
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "{}: pattern '{}' names no schema; write 'public.{}' or '*.{}'", field,
                            pattern, pattern, pattern);
  }
  return absl::OkStatus();
}

config::ConfigSpec<TableChoice> TableChoiceSpec() {
  config::ConfigSpec<TableChoice> spec;
  spec.Field("include", &TableChoice::include,
             "Patterns (* and ?) of schema.name that pass; all when it is empty.")
      .Example("[\"public.*\"]");
  spec.Field("exclude", &TableChoice::exclude,
             "Patterns of those that do not, whatever `include` "
             "says.")
      .Example("[\"public.audit_*\"]");
  return spec;
}

config::ConfigSpec<ConditionConfig> ConditionSpec() {
  config::ConfigSpec<ConditionConfig> spec;
  spec.Remember(&ConditionConfig::place);
  spec.Field("column", &ConditionConfig::column, "The column's name.").Required();
  spec.Field("operator", &ConditionConfig::comparison,
             "Numbers are compared as numbers, everything else as text. A comparison with NULL is "
             "not true.")
      .Choice({{"=", Comparison::kEqual},
               {"!=", Comparison::kNotEqual},
               {"<", Comparison::kLess},
               {"<=", Comparison::kLessOrEqual},
               {">", Comparison::kGreater},
               {">=", Comparison::kGreaterOrEqual},
               {"in", Comparison::kIn},
               {"is null", Comparison::kIsNull},
               {"is not null", Comparison::kIsNotNull}});
  spec.Field("value", &ConditionConfig::value, "What to compare with.").Example("paid");
  spec.Field("values", &ConditionConfig::values, "What to compare with, for `in`.")
      .Example("[paid, shipped]");
  return spec;
}

// One TRUNCATE of several tables is a run of events of which all but the last say that more
// follow. Keeps that true when some of them are dropped.
class TruncateRun {
 public:
  void Seen(const ChangeEvent& event, bool kept, std::vector<ChangeEvent>& out) {
    if (kept) kept_end_ = out.size();
    if (event.truncate_more) return;
    if (kept_end_ > 0) out[kept_end_ - 1].truncate_more = false;
    kept_end_ = 0;
  }

 private:
  size_t kept_end_ = 0;  // One beyond the last of the run in `out`; 0: none was kept.
};

}  // namespace

config::ConfigSpec<FilterConfig> FilterSpec() {
  config::ConfigSpec<FilterConfig> spec;
  spec.Section("tables", &FilterConfig::tables, TableChoiceSpec(), "Which tables pass at all.");
  spec.Field("for_tables", &FilterConfig::for_tables,
             "Patterns of the tables that `operations` and `where` look at; the rows of others "
             "pass. All when it is empty.")
      .Example("[\"public.orders\"]");
  spec.Field("operations", &FilterConfig::operations,
             "What passes: read (a snapshot row), insert, update, delete, truncate; all when it is "
             "empty. An update that moves a row into or out of `where` counts as an insert or a "
             "delete.")
      .Example("[read, insert]");
  spec.Section("where", &FilterConfig::where, ConditionSpec(),
               "Conditions on the row, which must all hold. For a delete they see the old row: "
               "all of it with REPLICA IDENTITY FULL, else its key (a delete that they cannot "
               "judge passes).");
  spec.Field("when", &FilterConfig::when,
             "A condition in SQL, beside `where`: columns of the row as `name`, of the new row as "
             "`new.name`, of the old one as `old.name`, and `operation`. One that uses `old` or "
             "`operation` lets the change pass as it is, or not (and when the source did not send "
             "what it needs); any other is on the row, as `where` is. It knows and, or, not, "
             "comparisons, is [not] distinct from, is [not] null, in, between, like, ilike, case, "
             "coalesce, nullif, + - * / % (with the server's types and results), ||, lower, upper, "
             "length, trim, substring, left, right, replace, concat, abs, round, floor, ceil, and "
             "casts between texts, numbers, boolean, dates and timestamps (in UTC).")
      .Example("new.total > 100 and old.status is distinct from new.status");
  return spec;
}

absl::StatusOr<std::unique_ptr<engine::Transformer>> FilterTransformer::Make(FilterConfig config) {
  PGFLOW_RETURN_IF_ERROR(CheckPatterns("tables.include", config.tables.include));
  PGFLOW_RETURN_IF_ERROR(CheckPatterns("tables.exclude", config.tables.exclude));
  PGFLOW_RETURN_IF_ERROR(CheckPatterns("for_tables", config.for_tables));
  for (const std::string& name : config.operations) {
    const bool known = std::any_of(kOperations.begin(), kOperations.end(), [&](Operation each) {
      return engine::OperationName(each) == name;
    });
    if (!known) {
      return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                              "operations: '{}' is none of read, insert, update, delete, truncate",
                              name);
    }
  }
  for (const ConditionConfig& condition : config.where) {
    const absl::Status good = RowCondition::Validate(condition);
    if (!good.ok()) return config::AddWrittenAt(good, "condition", condition.place);
  }
  std::optional<expressions::Expression> when;
  if (config.when.has_value()) {
    absl::StatusOr<expressions::Expression> parsed = expressions::Expression::Parse(*config.when);
    if (!parsed.ok()) return base::Annotate(parsed.status(), "when");
    when = *std::move(parsed);
  }
  return std::make_unique<FilterTransformer>(std::move(config), std::move(when));
}

FilterTransformer::FilterTransformer(FilterConfig config,
                                     std::optional<expressions::Expression> when)
    : config_(std::move(config)), when_(std::move(when)) {
  for (const Operation operation : kOperations) {
    const std::string name(engine::OperationName(operation));
    const auto& wanted = config_.operations;
    if (wanted.empty() || std::find(wanted.begin(), wanted.end(), name) != wanted.end()) {
      operations_ |= BitOf(operation);
    }
  }
}

// A change of something that is no table passes: tables that pass may need it.
bool FilterTransformer::PassesTables(const schemas::TableName& table) const {
  if (table.name.empty()) return true;
  const std::string name = table.ToString();
  return (config_.tables.include.empty() ||
          schemas::MatchesAnyGlob(config_.tables.include, name)) &&
         !schemas::MatchesAnyGlob(config_.tables.exclude, name);
}

absl::StatusOr<FilterTransformer::Plan> FilterTransformer::Derive(
    const schemas::TableSchema& schema) const {
  const std::string name = schema.table.ToString();
  Plan plan;
  plan.dropped = !PassesTables(schema.table);
  if (plan.dropped) return plan;
  if (!config_.for_tables.empty() && !schemas::MatchesAnyGlob(config_.for_tables, name))
    return plan;
  for (const ConditionConfig& condition : config_.where) {
    absl::StatusOr<RowCondition> bound = RowCondition::Bind(condition, schema);
    if (!bound.ok()) return config::AddWrittenAt(bound.status(), "condition", condition.place);
    plan.test.conditions.push_back(*std::move(bound));
  }
  if (when_.has_value()) {
    absl::StatusOr<expressions::Expression> bound = when_->BindCondition(schema);
    if (!bound.ok()) return base::Annotate(bound.status(), "filter: when");
    plan.test.when = *std::move(bound);
  }
  plan.examined = !plan.test.conditions.empty() || when_.has_value() || !config_.operations.empty();
  for (const schemas::Column& column : schema.columns) plan.identity.push_back(column.identity);
  return plan;
}

absl::StatusOr<FilterTransformer::PlanPtr> FilterTransformer::PlanOf(
    const schemas::TableSchemaPtr& schema) {
  return plans_.Get(schema, [this](const schemas::TableSchemaPtr& seen) { return Derive(*seen); });
}

absl::StatusOr<schemas::TableSchemaPtr> FilterTransformer::TransformSchema(
    const schemas::TableSchemaPtr& schema) {
  PGFLOW_ASSIGN_OR_RETURN(const PlanPtr plan, PlanOf(schema));
  return plan->dropped ? nullptr : schema;
}

absl::Status FilterTransformer::Transform(engine::Batch& batch) {
  if (const engine::CopyRows* rows = batch.raw_rows()) {
    PGFLOW_ASSIGN_OR_RETURN(const PlanPtr plan, PlanOf(rows->schema));
    if (!plan->dropped && !plan->examined) return absl::OkStatus();
  }
  PGFLOW_ASSIGN_OR_RETURN(std::vector<ChangeEvent> * events, batch.MutableEvents());
  std::vector<ChangeEvent> passed;
  passed.reserve(events->size());
  std::vector<ChangeEvent> turned;
  TruncateRun truncates;
  const schemas::TableSchema* schema = nullptr;
  PlanPtr plan;
  std::optional<RowDecision> decision;
  for (const ChangeEvent& event : *events) {
    if (event.operation == Operation::kSchemaChange) {
      if (PassesTables(event.schema->table)) passed.push_back(event);
      continue;
    }
    if (event.schema != schema) {
      schema = event.schema;
      PGFLOW_ASSIGN_OR_RETURN(plan, PlanOf(batch.OwnerOf(schema)));
      decision.emplace(batch, plan->test, plan->identity);
    }
    const size_t before = passed.size();
    if (!plan->dropped && !plan->examined) {
      passed.push_back(event);
    } else if (!plan->dropped) {
      turned.clear();
      absl::Status status = decision->Decide(event, turned);
      if (!status.ok() && !batch.is_snapshot()) {
        base::SetPayload(status, engine::kCulpritPayload, batch.PositionOf(event).ToString());
      }
      PGFLOW_RETURN_IF_ERROR(status);
      for (const ChangeEvent& each : turned) {
        if ((operations_ & BitOf(each.operation)) != 0) passed.push_back(each);
      }
    }
    if (event.operation == Operation::kTruncate) {
      truncates.Seen(event, passed.size() > before, passed);
    }
  }
  *events = std::move(passed);
  return absl::OkStatus();
}

std::vector<engine::Finding> FilterTransformer::Check(
    std::span<const schemas::TableSchemaPtr> tables) const {
  std::vector<std::string> patterns = config_.tables.include;
  for (const auto* more : {&config_.tables.exclude, &config_.for_tables}) {
    patterns.insert(patterns.end(), more->begin(), more->end());
  }
  return engine::UnmatchedPatterns(patterns, tables);
}

engine::ComponentType<engine::Transformer> FilterType() {
  return engine::MakeComponentType<engine::Transformer, FilterConfig>(
      "filter", "Lets only some tables, operations and rows pass.", "", &FilterSpec,
      &FilterTransformer::Make);
}

}  // namespace pgflow::transformers
