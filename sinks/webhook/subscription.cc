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
  return Subscription(*std::move(tables), operations, config.changed_columns);
}

bool Subscription::WantsOperation(Operation operation) const {
  return (operations_ & Bit(operation)) != 0;
}

absl::StatusOr<bool> Subscription::Wants(const engine::ChangeEvent& event) {
  if (!WantsOperation(event.operation)) return false;
  if (!tables_.Matches(event.schema->table)) return false;
  if (event.operation != Operation::kUpdate || columns_.empty()) return true;
  return Changed(event);
}

absl::StatusOr<bool> Subscription::Changed(const engine::ChangeEvent& event) {
  const schemas::TableSchema& schema = *event.schema;
  event.after.Decode(after_);
  before_.clear();
  if (event.before.exists()) event.before.Decode(before_);
  const size_t count = schema.columns.size();
  if (after_.size() != count || (event.before.exists() && before_.size() != count)) {
    return base::MakeStatus(absl::StatusCode::kDataLoss, "a row of {} has {} columns instead of {}",
                            schema.table.ToString(), after_.size(), count);
  }
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
