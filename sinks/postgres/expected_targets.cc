#include "sinks/postgres/expected_targets.h"

#include <utility>

#include <absl/time/clock.h>

#include "base/status.h"

namespace pgflow::sinks {
namespace {

using schemas::TableName;

// So many that the question costs each of them little, and few enough to be copied while it is new.
constexpr size_t kTablesAtOnce = 100;

}  // namespace

void ExpectedTargets::Expect(std::span<const engine::TablePlan> plans) {
  base::MutexLock lock(&mutex_);
  order_.clear();
  places_.clear();
  found_.clear();
  ++forgotten_;
  for (const engine::TablePlan& plan : plans) {
    if (places_.try_emplace(plan.schema->table, order_.size()).second) {
      order_.push_back(plan.schema->table);
    }
  }
}

void ExpectedTargets::Forget() {
  base::MutexLock lock(&mutex_);
  found_.clear();
  ++forgotten_;
}

std::vector<TableName> ExpectedTargets::TakeFrom(const TableName& name) {
  std::vector<TableName> names;
  const auto first = places_.find(name);
  if (first == places_.end()) return names;
  for (size_t at = first->second; at < order_.size() && names.size() < kTablesAtOnce; ++at) {
    if (places_.erase(order_[at]) > 0) names.push_back(order_[at]);
  }
  return names;
}

absl::StatusOr<TargetTablePtr> ExpectedTargets::Find(postgres::Connection& connection,
                                                     const TableName& name, std::stop_token stop) {
  std::vector<TableName> names;
  int forgotten = 0;
  const absl::Time now = absl::Now();
  {
    base::MutexLock lock(&mutex_);
    std::erase_if(found_, [now](const auto& each) { return now - each.second.read > kAgeMax; });
    if (auto found = found_.extract(name); !found.empty()) return std::move(found.mapped().table);
    names = TakeFrom(name);
    forgotten = forgotten_;
  }
  if (names.size() < 2) return LoadTargetTable(connection, name, std::move(stop));
  // Without the lock: a lane whose target does not answer must not hold up the others.
  PGFLOW_ASSIGN_OR_RETURN(TargetTables tables,
                          LoadTargetTables(connection, names, std::move(stop)));
  TargetTablePtr asked = std::move(tables[name]);
  tables.erase(name);
  base::MutexLock lock(&mutex_);
  if (forgotten != forgotten_) return asked;
  for (auto& [other, table] : tables) found_[other] = {std::move(table), now};
  return asked;
}

}  // namespace pgflow::sinks
