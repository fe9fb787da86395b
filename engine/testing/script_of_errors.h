// ScriptOfErrors: which calls of a fake fail next, and how.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <absl/base/thread_annotations.h>
#include <absl/status/status.h>

#include "base/mutex.h"

namespace pgflow::engine {

// Thread-safe.
class ScriptOfErrors {
 public:
  // The next `times` calls of `call` fail with `error`.
  void FailNext(std::string_view call, const absl::Status& error, int times = 1) {
    base::MutexLock lock(&mutex_);
    std::vector<absl::Status>& errors = errors_[std::string(call)];
    errors.insert(errors.end(), static_cast<size_t>(times), error);
  }

  // No more of those.
  void StopFailing(std::string_view call) {
    base::MutexLock lock(&mutex_);
    errors_.erase(std::string(call));
  }

  // What `call` is to return now.
  absl::Status Next(std::string_view call) {
    base::MutexLock lock(&mutex_);
    const auto found = errors_.find(call);
    if (found == errors_.end() || found->second.empty()) return absl::OkStatus();
    absl::Status error = found->second.front();
    found->second.erase(found->second.begin());
    return error;
  }

 private:
  base::Mutex mutex_;
  std::map<std::string, std::vector<absl::Status>, std::less<>> errors_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace pgflow::engine
