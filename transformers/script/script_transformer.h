// ScriptTransformer: rows changed, dropped or split by a function in Lua.
//
// The function sees one row's event after the other and keeps nothing between them, so that a row
// that comes again becomes the same. TRUNCATE and DDL pass by it, and so do the tables that it is
// not for, as they came. Each thread works in a Lua state of its own; they are kept for the next
// batch.
//
// Thread-safe. Errors: kInvalidArgument when the script fails, goes beyond its limits or returns
// what fits no row; the position of the event is in kCulpritPayload.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <absl/base/thread_annotations.h>

#include "base/config/config_spec.h"
#include "base/mutex.h"
#include "engine/api/registry.h"
#include "engine/api/schema_cache.h"
#include "engine/api/transformer.h"
#include "transformers/script/script_runner.h"

namespace pgflow::transformers {

struct ScriptConfig {
  std::string table = "*";
  std::optional<std::string> text;
  std::optional<std::string> file;
  config::ByteSize memory{16 << 20};
  absl::Duration time = absl::Milliseconds(100);
};

config::ConfigSpec<ScriptConfig> ScriptSpec();

class ScriptTransformer final : public engine::Transformer {
 public:
  static absl::StatusOr<std::unique_ptr<engine::Transformer>> Make(ScriptConfig config);

  // `text` is the script, `name` what messages call it.
  ScriptTransformer(std::string table, std::string text, std::string name, SandboxLimits limits)
      : table_(std::move(table)), text_(std::move(text)), name_(std::move(name)), limits_(limits) {}

  absl::StatusOr<schemas::TableSchemaPtr> TransformSchema(
      const schemas::TableSchemaPtr& schema) override;
  absl::Status Transform(engine::Batch& batch) override;
  std::vector<engine::Finding> Check(
      std::span<const schemas::TableSchemaPtr> tables) const override;

 private:
  using PlanPtr = engine::SchemaCache<ScriptPlan>::PlanPtr;
  using RunnerPtr = std::unique_ptr<ScriptRunner>;

  absl::StatusOr<PlanPtr> PlanOf(const schemas::TableSchemaPtr& schema);
  absl::StatusOr<RunnerPtr> TakeRunner();
  absl::Status Run(engine::Batch& batch, ScriptRunner& runner);

  const std::string table_;  // A pattern.
  const std::string text_;
  const std::string name_;
  const SandboxLimits limits_;
  std::atomic<uint64_t> plan_count_{0};
  engine::SchemaCache<ScriptPlan> plans_;
  base::Mutex mutex_;
  std::vector<RunnerPtr> idle_
      ABSL_GUARDED_BY(mutex_);  // As many as batches were worked on at once.
};

engine::ComponentType<engine::Transformer> ScriptType();

}  // namespace pgflow::transformers
