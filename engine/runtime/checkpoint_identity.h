// Whether a sink's checkpoint and the source's log belong together.
#pragma once

#include <stop_token>
#include <string>
#include <string_view>

#include <absl/status/status.h>

#include "engine/api/checkpoint.h"
#include "engine/runtime/lane_context.h"

namespace pgflow::engine {

// On the status of a lane that found a checkpoint of a slot that was created just now.
inline constexpr std::string_view kRecreatedSlotPayload = "pgflow/recreated-slot";

// After a promotion of the source: when all that the sink has is in the new log too, the checkpoint
// becomes one of the new timeline, and the sink goes on where the two logs part at the latest.
// kFailedPrecondition: the sink has what the new log lacks. OK when the source was not promoted.
absl::Status FollowPromotion(const LaneContext& context, const std::string& sink,
                             CheckpointStore& store, SinkCheckpoint& checkpoint,
                             const std::stop_token& stop);

// kFailedPrecondition: it is of another log, or the slot no longer has what follows it. `began`: by
// this run, with the slot that this run made.
absl::Status CheckIdentity(const LaneContext& context, const std::string& sink,
                           const SinkCheckpoint& checkpoint, bool began);

// Before this run wrote anything. kFailedPrecondition: the log, which is the checkpoint's, has lost
// its end.
absl::Status CheckLogReaches(const LaneContext& context, const std::string& sink,
                             const SinkCheckpoint& checkpoint);

}  // namespace pgflow::engine
