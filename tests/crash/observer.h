// Observer: looks at the target all the time and says whether it is at a commit of the source.
//
// It reads the pipeline's checkpoint and the bank's sums in one snapshot of the target. Once the
// checkpoint says that every table was copied, and has passed the place up to which changes are
// replayed leniently, the sums must hold at every single look.
#pragma once

#include <atomic>
#include <mutex>
#include <string>
#include <thread>

#include "engine/testing/scratch_postgres.h"

namespace pgflow::tests {

class Observer {
 public:
  // Both outlive it. Looks until it is destroyed.
  Observer(engine::ScratchPostgres& target, std::string pipeline, int64_t total);
  ~Observer();
  Observer(const Observer&) = delete;
  Observer& operator=(const Observer&) = delete;

  enum class Phase { kUnknown, kSnapshot, kCatchUp, kStream };
  Phase phase() const { return phase_; }
  // Looks of the stream phase.
  int observations() const { return observations_; }
  // Each look at which a sum did not hold.
  std::string violations() const;
  bool failed() const { return failed_; }

 private:
  void Watch(std::stop_token stop);
  bool Look(postgres::Connection& connection);
  void Judge(const postgres::Result& row);

  engine::ScratchPostgres& target_;
  const std::string pipeline_;
  const int64_t total_;
  std::atomic<Phase> phase_{Phase::kUnknown};
  std::atomic<int> observations_{0};
  std::atomic<bool> failed_{false};
  mutable std::mutex mutex_;
  std::string violations_;
  std::jthread thread_;  // Last: it is joined before the rest goes.
};

}  // namespace pgflow::tests
