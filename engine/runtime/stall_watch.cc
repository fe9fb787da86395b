#include "engine/runtime/stall_watch.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace pgflow::engine {

absl::Duration StallWatch::Standing(const std::string& name, bool waits, uint64_t progress,
                                    absl::Time now) {
  if (!waits) {
    marks_.erase(name);
    return absl::ZeroDuration();
  }
  const auto [mark, is_new] = marks_.try_emplace(name, Mark{progress, now});
  if (!is_new && mark->second.progress != progress) mark->second = {progress, now};
  return now - mark->second.since;
}

StallWatch::Verdict StallWatch::Look(const View& view, absl::Time now) {
  const PipelineStatus& status = view.status;
  std::vector<std::string> found;
  Verdict verdict;
  const auto note = [&](absl::Duration standing, absl::Duration patience, std::string what) {
    if (standing < kPatience) return;
    found.push_back(fmt::format("{} for {}", what,
                                absl::FormatDuration(absl::Trunc(standing, absl::Seconds(1)))));
    verdict.unhealthy |= standing >= patience;
  };
  const bool tells = view.heard != absl::UnixEpoch() && !view.source_waits;
  note(tells ? now - view.heard : absl::ZeroDuration(), kPatience,
       "nothing was heard from the source");
  const bool inactive = view.slot_active.has_value() && !*view.slot_active;
  note(Standing("slot", inactive, 0, now), kPatience,
       fmt::format("slot {} is not active", status.slot));
  const bool ahead =
      view.tells_end && !view.source_waits && status.server_lsn > status.received_lsn;
  note(Standing("source", ahead, status.received_lsn.value() + status.bytes, now), kPatience,
       fmt::format("the source is at {}, and nothing was received behind {}", status.server_lsn,
                   status.received_lsn));
  for (const SinkStatus& sink : status.sinks) {
    const bool streams = sink.phase == Phase::kStreaming || sink.phase == Phase::kCatchUp;
    const uint64_t progress =
        sink.windows + sink.events + sink.written_lsn.value() + sink.durable_lsn.value();
    const bool waits = streams && sink.lag > absl::ZeroDuration() && sink.queue_bytes > 0;
    note(Standing("sink " + sink.name, waits, progress, now), kSinkPatience,
         fmt::format("sink {} took nothing of {} bytes that wait", sink.name, sink.queue_bytes));
  }
  verdict.stalled = fmt::format("{}", fmt::join(found, "; "));
  return verdict;
}

}  // namespace pgflow::engine
