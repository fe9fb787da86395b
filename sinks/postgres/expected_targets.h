// ExpectedTargets: reads what the target's catalog says about the tables of a snapshot, for many at
// once: asked for one by one, small tables take longer to describe than to copy.
//
// Owned by the sink, shared with its lanes. Thread-safe.
#pragma once

#include <map>
#include <span>
#include <stop_token>
#include <vector>

#include <absl/base/thread_annotations.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include "base/mutex.h"
#include "engine/api/sink.h"
#include "sinks/postgres/target_table.h"

namespace pgflow::sinks {

class ExpectedTargets {
 public:
  // How old an answer of Find may be.
  static constexpr absl::Duration kAgeMax = absl::Seconds(5);

  // The tables that rows will be copied into, in about that order, instead of those before.
  void Expect(std::span<const engine::TablePlan> plans);
  // What was read may not be true any more.
  void Forget();
  // Null: there is no such table. An answer that was read ahead is given out once: who asks again
  // has a reason to.
  absl::StatusOr<TargetTablePtr> Find(postgres::Connection& connection,
                                      const schemas::TableName& name, std::stop_token stop);

 private:
  struct Found {
    TargetTablePtr table;
    absl::Time read;
  };

  // `name` and those that are expected behind it; empty: it is not expected.
  std::vector<schemas::TableName> TakeFrom(const schemas::TableName& name)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  base::Mutex mutex_;
  std::vector<schemas::TableName> order_ ABSL_GUARDED_BY(mutex_);
  std::map<schemas::TableName, size_t> places_ ABSL_GUARDED_BY(mutex_);  // Of those not read yet.
  std::map<schemas::TableName, Found> found_ ABSL_GUARDED_BY(mutex_);
  int forgotten_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace pgflow::sinks
