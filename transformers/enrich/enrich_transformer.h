// EnrichTransformer: columns of another table's row, as it was at the change's own place.
//
// The table that is looked up in comes through the same stream: its changes are kept by position
// (lookup_store.h), from the snapshot on. So a change gets what the row was when it was committed,
// what the same transaction did before it included, and a snapshot row what the snapshot saw:
// whatever is replayed gives the same again. Rows that were enriched before do not change when the
// looked-up row does.
//
// Thread-safe; lanes and workers share it. Errors: kInvalidArgument when a table does not fit, or
// there is no row and the configuration says stop (the position is in kCulpritPayload);
// kFailedPrecondition when nothing is known of the looked-up table.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <absl/base/thread_annotations.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "base/config/config_spec.h"
#include "base/mutex.h"
#include "engine/api/registry.h"
#include "engine/api/schema_cache.h"
#include "engine/api/transformer.h"
#include "transformers/enrich/lookup_store.h"

namespace pgflow::transformers {

enum class NoMatch { kNull, kStop };

struct EnrichConfig {
  std::string table;
  std::string from;
  config::StringMap on;
  config::StringMap columns;
  NoMatch no_match = NoMatch::kNull;
  config::ByteSize memory{64 << 20};
};

config::ConfigSpec<EnrichConfig> EnrichSpec();

class EnrichTransformer final : public engine::Transformer {
 public:
  static absl::StatusOr<std::unique_ptr<engine::Transformer>> Make(EnrichConfig config);

  absl::StatusOr<schemas::TableSchemaPtr> TransformSchema(
      const schemas::TableSchemaPtr& schema) override;
  absl::Status Transform(engine::Batch& batch) override;
  absl::Status Open(const engine::TransformerContext& context) override;
  absl::Status Forget(const engine::TransformerContext& context) override;
  const schemas::TableName* looked_up() const override { return &from_; }
  void Introduce(const schemas::TableSchemaPtr& schema) override;
  absl::Status Learn(const schemas::TableSchemaPtr& schema, postgres::Lsn point,
                     const engine::RowSource& rows) override;
  absl::Status Resume(postgres::Lsn from) override;
  void Settle(postgres::Lsn lsn) override { store_->Settle(lsn); }
  std::vector<engine::Finding> Check(
      std::span<const schemas::TableSchemaPtr> tables) const override;

 private:
  // Of the looked-up table: where its key and values are.
  struct LookupShape {
    std::vector<size_t> keys;
    std::vector<size_t> values;
    std::string description;
  };
  // Of any table.
  struct Plan {
    schemas::TableSchemaPtr schema;  // The same pointer when it is not enriched.
    bool enriched = false;
    bool looked_up = false;
    std::vector<size_t> keys;
    size_t first_added = 0;
  };
  using Row = std::vector<schemas::Value>;
  using PlanPtr = engine::SchemaCache<Plan>::PlanPtr;
  using ShapePtr = engine::SchemaCache<LookupShape>::PlanPtr;

  EnrichTransformer(EnrichConfig config, schemas::TableName from);
  bool IsChosen(const schemas::TableName& table) const;
  absl::StatusOr<PlanPtr> PlanOf(const schemas::TableSchemaPtr& schema);
  absl::StatusOr<Plan> Derive(const schemas::TableSchemaPtr& schema) const;
  absl::StatusOr<ShapePtr> ShapeOf(const schemas::TableSchemaPtr& schema);
  absl::StatusOr<LookupShape> DeriveShape(const schemas::TableSchema& schema) const;
  // The looked-up table as it is now, for new plans.
  absl::Status SetShape(const schemas::TableSchemaPtr& schema);
  absl::StatusOr<std::vector<schemas::Column>> KnownColumns() const;

  absl::Status TransformEvents(engine::Batch& batch, std::vector<engine::ChangeEvent>& events,
                               LookupStore::Writer* writer);
  absl::Status Note(const engine::Batch& batch, const engine::ChangeEvent& event,
                    const schemas::TableSchemaPtr& schema, LookupStore::Writer& writer);
  absl::Status Enrich(engine::Batch& batch, engine::ChangeEvent& event, const Plan& plan,
                      LookupStore::Writer* writer);
  absl::StatusOr<schemas::RowView> Extended(engine::Batch& batch, const engine::ChangeEvent& event,
                                            const Row& row, const Plan& plan, engine::Position at,
                                            LookupStore::Writer* writer);
  absl::StatusOr<schemas::Value> ValueFor(engine::Batch& batch, const LookupRow::Field& field,
                                          const schemas::Column& column, bool binary) const;

  const EnrichConfig config_;
  const schemas::TableName from_;
  engine::SchemaCache<Plan> plans_;
  engine::SchemaCache<LookupShape> shapes_;
  std::unique_ptr<LookupStore> store_;
  mutable base::Mutex mutex_;
  // The looked-up columns: keys, then values; their text form is kept with the rows.
  std::vector<schemas::Column> columns_ ABSL_GUARDED_BY(mutex_);
};

engine::ComponentType<engine::Transformer> EnrichType();

}  // namespace pgflow::transformers
