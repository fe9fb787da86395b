// SchemaPlans: what an encoder derived of each table's schema, found again by the schema's address.
// One thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <unordered_map>
#include <utility>

#include <absl/status/statusor.h>

#include "schemas/table_schema.h"

namespace pgflow::sinks {

template <typename Plan>
class SchemaPlans {
 public:
  // Must be called before the first event of each batch: a schema's address may mean another one
  // than it did in an earlier batch.
  void StartBatch() { ++batch_; }

  // `derive` makes the Plan (or an error, which is not kept). Valid until the next call.
  template <typename Derive>
  absl::StatusOr<const Plan*> Get(const schemas::TableSchema& schema, const Derive& derive) {
    const auto found = entries_.find(&schema);
    if (found != entries_.end()) {
      Entry& entry = found->second;
      if (entry.checked_in_batch == batch_ || IsSame(entry.schema, schema)) {
        entry.checked_in_batch = batch_;
        return &entry.plan;
      }
      entries_.erase(found);
    }
    absl::StatusOr<Plan> plan = derive(schema);
    if (!plan.ok()) return std::move(plan).status();
    // All at once: with DDL there is a new schema now and then.
    if (entries_.size() >= kEntriesMax) entries_.clear();
    const auto added = entries_.emplace(&schema, Entry{schema, batch_, *std::move(plan)});
    return &added.first->second.plan;
  }

 private:
  struct Entry {
    schemas::TableSchema schema;  // A copy, to recognise another one at the same address.
    uint64_t checked_in_batch = 0;
    Plan plan;
  };
  static constexpr size_t kEntriesMax = 4096;

  static bool IsSame(const schemas::TableSchema& a, const schemas::TableSchema& b) {
    return a.table == b.table && a.rows == b.rows && a.replica_identity == b.replica_identity &&
           std::ranges::equal(a.columns, b.columns, [](const auto& x, const auto& y) {
             return x.name == y.name && x.type == y.type && x.type_modifier == y.type_modifier &&
                    x.wire_type == y.wire_type && x.type_name == y.type_name &&
                    x.identity == y.identity && x.primary_key == y.primary_key &&
                    x.not_null == y.not_null && x.default_sql == y.default_sql &&
                    (x.labels == y.labels ||
                     (x.labels != nullptr && y.labels != nullptr && *x.labels == *y.labels));
           });
  }

  uint64_t batch_ = 1;
  std::unordered_map<const schemas::TableSchema*, Entry> entries_;
};

}  // namespace pgflow::sinks
