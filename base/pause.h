// Pause: a sleep that a stop ends.
#pragma once

#include <condition_variable>
#include <mutex>
#include <stop_token>

#include <absl/time/time.h>

namespace pgflow::base {

// False: `stop` was requested, before or meanwhile.
inline bool Pause(absl::Duration duration, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any stopped;
  std::unique_lock lock(mutex);
  stopped.wait_for(lock, stop, absl::ToChronoMilliseconds(duration), [] { return false; });
  return !stop.stop_requested();
}

}  // namespace pgflow::base
