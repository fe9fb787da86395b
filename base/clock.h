// Time as an interface, so that tests can hold it still.
#pragma once

#include <absl/time/clock.h>
#include <absl/time/time.h>

namespace pgflow::base {

// Thread-safe. Monotonic enough for intervals; not for ordering events.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual absl::Time Now() const = 0;
};

class SystemClock final : public Clock {
 public:
  absl::Time Now() const override { return absl::Now(); }
};

}  // namespace pgflow::base
