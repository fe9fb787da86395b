// SchemaCache: what a transformer derived of each table's schema, found again by the schema's
// address.
//
// Thread-safe. Holds the schemas, so that an address cannot come to mean another one; lets go of
// those that nobody else holds any more when it has grown.
#pragma once

#include <memory>
#include <unordered_map>
#include <utility>

#include <absl/base/thread_annotations.h>
#include <absl/status/statusor.h>

#include "base/mutex.h"
#include "schemas/table_schema.h"

namespace pgflow::engine {

template <typename Plan>
class SchemaCache {
 public:
  using PlanPtr = std::shared_ptr<const Plan>;

  // `derive` makes the Plan (or an error, which is not kept) of a schema that was never seen.
  template <typename Derive>
  absl::StatusOr<PlanPtr> Get(const schemas::TableSchemaPtr& schema, const Derive& derive) {
    {
      base::MutexLock lock(&mutex_);
      const auto found = entries_.find(schema.get());
      if (found != entries_.end()) return found->second.plan;
    }
    absl::StatusOr<Plan> plan = derive(schema);
    if (!plan.ok()) return std::move(plan).status();
    base::MutexLock lock(&mutex_);
    if (entries_.size() >= sweep_at_) {
      std::erase_if(entries_,
                    [](const auto& entry) { return entry.second.schema.use_count() == 1; });
      sweep_at_ = 2 * entries_.size() + kSweepMin;
    }
    // Another thread may have been first; then its plan counts, so that all see the same pointers.
    const auto [entry, added] =
        entries_.try_emplace(schema.get(), schema, std::make_shared<const Plan>(*std::move(plan)));
    return entry->second.plan;
  }

 private:
  struct Entry {
    Entry(schemas::TableSchemaPtr of, PlanPtr made)
        : schema(std::move(of)), plan(std::move(made)) {}
    schemas::TableSchemaPtr schema;
    PlanPtr plan;
  };
  static constexpr size_t kSweepMin = 256;

  base::Mutex mutex_;
  std::unordered_map<const schemas::TableSchema*, Entry> entries_ ABSL_GUARDED_BY(mutex_);
  size_t sweep_at_ ABSL_GUARDED_BY(mutex_) = kSweepMin;
};

}  // namespace pgflow::engine
