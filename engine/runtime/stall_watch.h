// StallWatch: says when a pipeline that looks well stands still.
//
// It is shown from time to time what there is to do and how far everybody is. Pure: the times are
// given. One thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <absl/time/time.h>

#include "engine/api/pipeline_status.h"

namespace pgflow::engine {

class StallWatch {
 public:
  // Nothing moved for so long: worth saying.
  static constexpr absl::Duration kPatience = absl::Seconds(30);
  // A sink may be busy with one thing: it builds an index, or waits for a lock.
  static constexpr absl::Duration kSinkPatience = absl::Minutes(2);

  struct View {
    absl::Time heard;                 // From the stream; epoch: the source does not tell.
    std::optional<bool> slot_active;  // As the server says.
    bool source_waits = false;        // The log has no room: it is the sinks' turn.
    bool tells_end = false;  // server_lsn is the log's end, asked for apart from the stream.
    PipelineStatus status;
  };
  struct Verdict {
    std::string stalled;     // What stands still, for people; empty: nothing.
    bool unhealthy = false;  // For so long that somebody should look.
  };
  Verdict Look(const View& view, absl::Time now);

 private:
  struct Mark {
    uint64_t progress = 0;
    absl::Time since;
  };
  // For how long `waits` has been true of `name` without any `progress`.
  absl::Duration Standing(const std::string& name, bool waits, uint64_t progress, absl::Time now);

  std::map<std::string, Mark> marks_;
};

}  // namespace pgflow::engine
