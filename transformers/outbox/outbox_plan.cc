#include "transformers/outbox/outbox_plan.h"

#include <algorithm>

#include "base/status.h"

namespace pgflow::transformers {

using schemas::Column;
using schemas::TableSchema;
using schemas::TableSchemaPtr;

namespace {

constexpr size_t kTopicsMax = 10'000;
constexpr std::string_view kValuePart = "{routed_by_value}";

Column TextColumn(std::string name) {
  Column column;
  column.name = std::move(name);
  column.type = postgres::oid::kText;
  column.type_name = "text";
  return column;
}

Column Copy(const Column& from, std::string name) {
  Column column = from;
  column.name = std::move(name);
  column.attribute_number = 0;
  column.identity = false;
  column.primary_key = 0;
  column.unique_index.clear();
  column.default_sql.clear();
  return column;
}

absl::StatusOr<size_t> FindColumn(const TableSchema& schema, const std::string& name,
                                  std::string_view option) {
  const std::optional<size_t> found = schema.FindColumn(name);
  if (found.has_value()) return *found;
  return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                          "outbox: table {} has no column '{}', which {} names",
                          schema.table.ToString(), name, option);
}

std::shared_ptr<TableSchema> MessageSchema(const TableSchema& of) {
  auto schema = std::make_shared<TableSchema>();
  schema->table = of.table;
  schema->replica_identity = schemas::ReplicaIdentity::kNothing;
  schema->rows = schemas::RowKind::kOutbox;
  return schema;
}

std::shared_ptr<OutboxTopics> TopicsOf(const OutboxConfig& config, TableSchemaPtr schema) {
  const size_t at = config.topic.find(kValuePart);
  return std::make_shared<OutboxTopics>(
      std::move(schema), config.topic.substr(0, at),
      at == std::string::npos ? std::string() : config.topic.substr(at + kValuePart.size()));
}

OutboxPlan MessagesPlan(const OutboxConfig& config, const TableSchema& of) {
  OutboxPlan plan;
  plan.source = OutboxPlan::Source::kMessages;
  std::shared_ptr<TableSchema> schema = MessageSchema(of);
  for (const char* name : {"key", "payload", "id"}) schema->columns.push_back(TextColumn(name));
  for (const OutboxField& field : config.additional) {
    if (field.placement == OutboxPlacement::kHeader) {
      schema->columns.push_back(TextColumn(field.name()));
    }
  }
  plan.topics = TopicsOf(config, std::move(schema));
  return plan;
}

absl::StatusOr<OutboxPlan> TablePlan(const OutboxConfig& config, const TableSchema& of) {
  OutboxPlan plan;
  plan.source = OutboxPlan::Source::kTable;
  PGFLOW_ASSIGN_OR_RETURN(plan.route_by, FindColumn(of, config.route_by, "route_by"));
  PGFLOW_ASSIGN_OR_RETURN(plan.key, FindColumn(of, config.event_key, "event_key"));
  PGFLOW_ASSIGN_OR_RETURN(plan.payload, FindColumn(of, config.event_payload, "event_payload"));
  PGFLOW_ASSIGN_OR_RETURN(const size_t id, FindColumn(of, config.event_id, "event_id"));
  std::shared_ptr<TableSchema> schema = MessageSchema(of);
  schema->columns = {
      Copy(of.columns[plan.key], "key"),
      config.has_envelope() ? TextColumn("payload") : Copy(of.columns[plan.payload], "payload"),
      Copy(of.columns[id], "id")};
  plan.headers.push_back(id);
  for (const OutboxField& field : config.additional) {
    const absl::StatusOr<size_t> column = FindColumn(of, field.field, "additional");
    if (!column.ok() && config.additional_missing == OutboxMissing::kIgnore) continue;
    PGFLOW_RETURN_IF_ERROR(column.status());
    if (field.placement == OutboxPlacement::kEnvelope) {
      plan.envelope.emplace_back(field.name(), *column);
      continue;
    }
    plan.headers.push_back(*column);
    schema->columns.push_back(Copy(of.columns[*column], field.name()));
  }
  plan.topics = TopicsOf(config, std::move(schema));
  return plan;
}

}  // namespace

bool OutboxConfig::has_envelope() const {
  return std::ranges::any_of(additional, [](const OutboxField& field) {
    return field.placement == OutboxPlacement::kEnvelope;
  });
}

absl::StatusOr<TableSchemaPtr> OutboxTopics::Get(std::string_view value) {
  base::MutexLock lock(&mutex_);
  const auto found = tables_.find(value);
  if (found != tables_.end()) return found->second;
  if (value.empty()) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "the value that names its topic is empty");
  }
  if (tables_.size() >= kTopicsMax) {
    return base::MakeStatus(absl::StatusCode::kInvalidArgument,
                            "its messages go to more than {} topics; '{}' would be one more",
                            kTopicsMax, value);
  }
  auto table = std::make_shared<TableSchema>(*schema_);
  table->table.name = before_ + std::string(value) + behind_;
  return tables_.emplace(value, std::move(table)).first->second;
}

absl::StatusOr<OutboxPlan> DeriveOutboxPlan(const OutboxConfig& config,
                                            const TableSchemaPtr& schema) {
  if (!config.message_prefix.empty()) {
    return schemas::HoldsLogicalMessages(*schema) ? MessagesPlan(config, *schema) : OutboxPlan();
  }
  return schema->table.ToString() == config.table ? TablePlan(config, *schema) : OutboxPlan();
}

}  // namespace pgflow::transformers
