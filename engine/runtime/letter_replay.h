// LetterReplay: brings the letters of a sink's queue back into the sink, in its lane.
//
// A queue is a log of its own: attempts are numbered upwards, and where the sink keeps checkpoints
// they are the positions of a checkpoint "SINK+replay", which moves in the transaction of the row.
// So after any crash it is known which letters are in the sink.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "engine/runtime/dead_letter_queue.h"
#include "engine/runtime/lane_context.h"
#include "engine/runtime/replay_request.h"

namespace pgflow::engine {

// Behind the sink's name: its replays have a checkpoint of their own. No sink is named like this.
inline constexpr std::string_view kReplaySuffix = "+replay";

// Of the lane's thread, as all its calls. The context, the node and the queue outlive it.
class LetterReplay {
 public:
  LetterReplay(const LaneContext& context, const SinkNode& node, DeadLetterQueue& queue)
      : context_(context),
        node_(node),
        queue_(queue),
        requests_(queue.database(), context.pipeline, node.name) {}

  // Before the lane goes on with the stream: settles what an interrupted replay left, and sees to
  // it that nothing of it can still come.
  absl::Status Recover(std::stop_token stop);
  // A request that waits; looks for one twice a second at most, unless `now`.
  absl::StatusOr<std::optional<ReplayRequest>> Waiting(bool now = false);
  // Between two windows: everything up to `durable` is durable in the sink. True: the sink was
  // closed and is to be opened again. An error: so is it, and the request was answered.
  absl::StatusOr<bool> Run(const ReplayRequest& request, StreamPoint durable, std::stop_token stop);

 private:
  struct Attempt {
    int64_t id = 0;
    Position position;
    uint64_t number = 0;
    std::vector<std::string> keys;
  };

  // Whether the sink can tell which letters it has.
  bool IsExact() const;
  absl::Status OpenSink(std::stop_token stop);
  absl::StatusOr<std::vector<Attempt>> Choose(const ReplayRequest& request, StreamPoint durable,
                                              ReplayAnswer& answer);
  absl::Status WriteGroup(std::span<Attempt> group, StreamPoint durable, ReplayAnswer& answer,
                          std::stop_token stop);
  struct Written {
    absl::Status refusal;  // OK: it is in the sink.
  };
  // An error: of something else than the letter.
  absl::StatusOr<Written> WriteOne(const Attempt& attempt, StreamPoint durable,
                                   std::stop_token stop);
  absl::Status AwaitDurable(uint64_t number, std::stop_token stop);
  absl::Status RunAll(const ReplayRequest& request, StreamPoint durable, ReplayAnswer& answer,
                      std::stop_token stop);

  const LaneContext& context_;
  const SinkNode& node_;
  DeadLetterQueue& queue_;
  ReplayRequests requests_;
  absl::Time next_look_;
  std::unique_ptr<Sink> own_;   // Of the replays, where they have a checkpoint.
  uint64_t taken_ = 0;          // Its checkpoint.
  std::set<std::string> held_;  // Keys of letters that were refused again in this run.
};

}  // namespace pgflow::engine
