// GroupRunner: this process's share of a shared log, running: a pipeline for each part.
//
// What keeps a part exact is what keeps a pipeline exact: its checkpoint, under a name of its own,
// and the epoch in it. The group decides who runs a part; when two believe that they do, the one
// that came first is fenced off.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>

#include <absl/base/thread_annotations.h>
#include <absl/time/time.h>

#include "base/mutex.h"
#include "engine/api/pipeline_status.h"
#include "engine/api/source_group.h"
#include "engine/runtime/backoff.h"
#include "engine/runtime/pipeline.h"

namespace pgflow::engine {

struct GroupOptions {
  std::string name = "pgflow";
  std::string source_name;  // For status.
  // What was received of a part that is lost is delivered first, within this.
  absl::Duration drain_patience = absl::Seconds(10);
  // When a part was taken over while the group says that it is ours: one of us is late to hear.
  absl::Duration takeover_patience = absl::Seconds(15);
  bool until_current = false;
};

// Inert until Run. Run is called once and blocks; status() may be called by any thread meanwhile.
class GroupRunner {
 public:
  // Makes the pipeline of one part, by the part's name. Called by Run's thread.
  using Factory = std::function<absl::StatusOr<std::unique_ptr<Pipeline>>(
      const std::string& part, std::unique_ptr<Source> source)>;
  GroupRunner(GroupOptions options, std::unique_ptr<SourceGroup> group, Factory factory);
  ~GroupRunner();

  // Until `drain` (what was received is delivered), `stop` (at once), an error, or, with
  // until_current, until every part of the share was brought to where it stood when it was gained.
  absl::Status Run(std::stop_token drain, std::stop_token stop);
  // Removes what the group and every part's sinks know of the pipeline.
  absl::Status Destroy(std::stop_token stop);

  // One entry a part and sink, "sink part"; sums for the rest.
  PipelineStatus status() const;

 private:
  struct Part {
    std::unique_ptr<Pipeline> pipeline;
    std::stop_source drain;
    std::stop_source stop;
    std::atomic<bool> ended{false};
    absl::Status status;  // Once ended.
    std::jthread thread;  // Last: it uses the others.
  };
  struct Restart {
    absl::Time at;
    Backoff backoff{{absl::Milliseconds(500), absl::Seconds(30)}};
  };

  absl::Status Supervise(const std::stop_token& drain, const std::stop_token& stop);
  absl::Status Apply(const ShareChange& change, const std::stop_token& stop);
  absl::Status StartPart(const std::string& name);
  // Those parts, or all of them: delivers what was received when `drains`, within the patience.
  void EndParts(const std::vector<std::string>& names, bool drains, const std::stop_token& stop);
  absl::Status ReapParts();
  // Starts again those that wait for it.
  absl::Status ResumeParts();
  bool IsDone() const;
  void Keep(const PipelineStatus& last) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const GroupOptions options_;
  const std::unique_ptr<SourceGroup> group_;
  const Factory factory_;
  const absl::Time started_;
  std::map<std::string, Restart> resting_;  // Run's thread only, as is what follows.
  bool shared_ = false;                     // The group gave us a share once.
  bool worked_ = false;                     // Some part was running well once.

  mutable base::Mutex mutex_;
  Phase phase_ ABSL_GUARDED_BY(mutex_) = Phase::kStarting;
  std::string error_ ABSL_GUARDED_BY(mutex_);
  PipelineStatus past_ ABSL_GUARDED_BY(mutex_);  // Sums of parts that ended.
  std::map<std::string, std::unique_ptr<Part>> parts_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace pgflow::engine
