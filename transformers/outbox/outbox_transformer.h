// OutboxTransformer: messages that an application wrote into a table, or as logical messages, go
// to the topics that they name, as Debezium's outbox event router has it.
//
// A message becomes a row of the table that is called like its topic, in the schema of the outbox:
// its key, its payload, and a column for each header (RowKind::kOutbox). The sink kafka sends such
// rows as they are; others take them for rows. Only what is inserted, or was there at the snapshot,
// is a message: deletes and truncates are dropped, updates are reported.
//
// Thread-safe. Errors: kInvalidArgument when a table lacks a column, or a message what it is made
// of (its position is in kCulpritPayload).
#pragma once

#include <memory>
#include <span>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "engine/api/registry.h"
#include "engine/api/schema_cache.h"
#include "engine/api/transformer.h"
#include "transformers/outbox/outbox_plan.h"

namespace pgflow::transformers {

config::ConfigSpec<OutboxConfig> OutboxSpec();

class OutboxTransformer final : public engine::Transformer {
 public:
  static absl::StatusOr<std::unique_ptr<engine::Transformer>> Make(OutboxConfig config);

  explicit OutboxTransformer(OutboxConfig config) : config_(std::move(config)) {}

  absl::StatusOr<schemas::TableSchemaPtr> TransformSchema(
      const schemas::TableSchemaPtr& schema) override;
  absl::Status Transform(engine::Batch& batch) override;
  std::vector<engine::Finding> Check(
      std::span<const schemas::TableSchemaPtr> tables) const override;

 private:
  using Values = std::vector<schemas::Value>;
  using PlanPtr = engine::SchemaCache<OutboxPlan>::PlanPtr;

  absl::StatusOr<PlanPtr> PlanOf(const schemas::TableSchemaPtr& schema);
  absl::Status Append(engine::Batch& batch, const OutboxPlan& plan,
                      const engine::ChangeEvent& event,
                      std::vector<engine::ChangeEvent>& out) const;
  // A message of a table's row; nothing: it is none.
  absl::StatusOr<engine::ChangeEvent> FromRow(engine::Batch& batch, const OutboxPlan& plan,
                                              const engine::ChangeEvent& event,
                                              const Values& row) const;
  absl::StatusOr<engine::ChangeEvent> FromMessage(engine::Batch& batch, const OutboxPlan& plan,
                                                  const engine::ChangeEvent& event,
                                                  std::string_view content) const;
  absl::StatusOr<std::string> Envelope(const OutboxPlan& plan, const schemas::TableSchema& schema,
                                       const Values& row) const;

  const OutboxConfig config_;
  engine::SchemaCache<OutboxPlan> plans_;
};

engine::ComponentType<engine::Transformer> OutboxType();

}  // namespace pgflow::transformers
