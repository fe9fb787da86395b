#include "sinks/webhook/subscription.h"

#include <algorithm>
#include <optional>

#include "base/status.h"

namespace pgflow::sinks {
namespace {

using engine::Operation;

constexpr Operation kOperations[] = {Operation::kRead,     Operation::kInsert,
                                     Operation::kUpdate,   Operation::kDelete,
                                     Operation::kTruncate, Operation::kSchemaChange};

uint32_t Bit(Operation operation) { return 1U << static_cast<uint32_t>(operation); }

}  // namespace

config::ConfigSpec<SubscriptionConfig> SubscriptionSpec() {
  config::ConfigSpec<SubscriptionConfig> spec;
  spec.Field("tables", &SubscriptionConfig::tables,
             "Only tables whose schema.name matches one of these patterns (* and ?); all when it "
             "is empty.")
      .Example("[\"public.orders\", \"sales.*\"]");
  spec.Field("operations", &SubscriptionConfig::operations,
             "Only these: read (the rows of the snapshot), insert, update, delete, truncate, "
             "schema_change.")
      .Example("[insert, update]");
  spec.Field("changed_columns", &SubscriptionConfig::changed_columns,
             "An update is sent only when one of these columns got another value. That is known "
             "of key columns, and of all columns of a table with REPLICA IDENTITY FULL; where it "
             "is not known, the update is sent.")
      .Example("[status, total]");
  spec.Field("when", &SubscriptionConfig::when,
             "A condition in SQL: columns of the row as `name`, of the new row as `new.name`, of "
             "the old one as `old.name`, and `operation`; as `when` of the transformer `filter`. "
             "Where the source did not send what it needs (without REPLICA IDENTITY FULL: the old "
             "row but its key), the event is sent. Truncates and schema changes have no row: it "
             "is not asked of them.")
      .Example("new.total > 100 and old.status is distinct from new.status");
  return spec;
}

absl::StatusOr<Subscription> Subscription::Make(const SubscriptionConfig& config) {
  absl::StatusOr<schemas::TableFilter> tables = schemas::TableFilter::Make(config.tables, {});
  if (!tables.ok()) return base::Annotate(tables.status(), "subscribe.tables");
  uint32_t operations = 0;
  for (const std::string& name : config.operations) {
    const auto* found = std::ranges::find(kOperations, name, &engine::OperationName);
    if (found == std::end(kOperations)) {
      return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                              "subscribe.operations: '{}' is none of read, insert, update, delete, "
                              "truncate, schema_change",
                              name);
    }
    operations |= Bit(*found);
  }
  if (operations == 0) {
    return absl::InvalidArgumentError("subscribe.operations: at least one is needed");
  }
  std::optional<expressions::Expression> when;
  if (config.when.has_value()) {
    absl::StatusOr<expressions::Expression> parsed = expressions::Expression::Parse(*config.when);
    if (!parsed.ok()) return base::Annotate(parsed.status(), "subscribe.when");
    when = *std::move(parsed);
  }
  return Subscription(*std::move(tables), operations, config.changed_columns, std::move(when));
}

bool Subscription::WantsOperation(Operation operation) const {
  return (operations_ & Bit(operation)) != 0;
}

absl::StatusOr<expressions::Expression> Subscription::Bind(
    const schemas::TableSchema& schema) const {
  absl::StatusOr<expressions::Expression> bound = when_->BindCondition(schema);
  if (bound.ok()) return bound;
  return base::MakeStatus(absl::StatusCode::kFailedPrecondition,
                          "subscribe.when: {}: {}; choose its tables with subscribe.tables",
                          schema.table.ToString(), base::Message(bound.status()));
}

absl::Status Subscription::CheckTable(const schemas::TableSchema& schema) const {
  return when_.has_value() ? Bind(schema).status() : absl::OkStatus();
}

absl::StatusOr<bool> Subscription::Wants(const engine::ChangeEvent& event) {
  if (!WantsOperation(event.operation)) return false;
  if (!tables_.Matches(event.schema->table)) return false;
  if (event.operation == Operation::kTruncate || event.operation == Operation::kSchemaChange) {
    return true;
  }
  const bool watches_columns = event.operation == Operation::kUpdate && !columns_.empty();
  if (!watches_columns && !when_.has_value()) return true;
  PGFLOW_RETURN_IF_ERROR(Decode(event));
  if (watches_columns && !Changed(event)) return false;
  return !when_.has_value() ? true : Holds(event);
}

absl::Status Subscription::Decode(const engine::ChangeEvent& event) {
  const schemas::TableSchema& schema = *event.schema;
  const auto decode = [&schema](const schemas::RowView& row, std::vector<schemas::Value>& values) {
    values.clear();
    if (row.exists()) row.Decode(values);
    if (!row.exists() || values.size() == schema.columns.size()) return absl::OkStatus();
    return base::MakeStatus(absl::StatusCode::kDataLoss, "a row of {} has {} columns instead of {}",
                            schema.table.ToString(), values.size(), schema.columns.size());
  };
  PGFLOW_RETURN_IF_ERROR(decode(event.before, before_));
  return decode(event.after, after_);
}

absl::StatusOr<bool> Subscription::Holds(const engine::ChangeEvent& event) {
  PGFLOW_ASSIGN_OR_RETURN(
      const expressions::Expression* condition,
      conditions_.Get(*event.schema, [this](const auto& schema) { return Bind(schema); }));
  expressions::Workspace workspace;
  const absl::StatusOr<expressions::Datum> result =
      condition->Evaluate({.old_row = before_,
                           .new_row = after_,
                           .old_is_key = event.before_image == engine::BeforeImage::kKey,
                           .new_is_key = false,
                           .operation = engine::OperationName(event.operation)},
                          workspace);
  if (!result.ok()) return base::Annotate(result.status(), "subscribe.when");
  return result->has_value() ? result->boolean : !result->is_null();
}

bool Subscription::Changed(const engine::ChangeEvent& event) const {
  const schemas::TableSchema& schema = *event.schema;
  for (const std::string& name : columns_) {
    const std::optional<size_t> index = schema.FindColumn(name);
    if (!index.has_value()) continue;
    const schemas::Value& after = after_[*index];
    if (after.is_unchanged()) continue;
    const bool identity = schema.columns[*index].identity;
    const bool known = event.before_image == engine::BeforeImage::kFull ||
                       (event.before_image == engine::BeforeImage::kKey && identity);
    // Without a before image the identity is the same as it was.
    if (!known && identity) continue;
    if (!known) return true;
    const schemas::Value& before = before_[*index];
    if (before.kind != after.kind || before.view() != after.view()) return true;
  }
  return false;
}

}  // namespace pgflow::sinks
