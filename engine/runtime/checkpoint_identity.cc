#include "engine/runtime/checkpoint_identity.h"

#include <algorithm>

#include "base/log.h"
#include "base/status.h"

namespace pgflow::engine {
namespace {

absl::Status Mismatch(std::string_view sink, std::string_view what, const std::string& checkpoint,
                      const std::string& source) {
  return base::MakeStatus(
      absl::StatusCode::kFailedPrecondition,
      "the checkpoint of sink {} belongs to another source: {} {} there, {} here. Point the "
      "pipeline at the source it began with, or run `pgflow destroy` to begin again",
      sink, what, checkpoint, source);
}

// Whether everything that the sink has of the old timeline is in the log that left it at `end`.
bool IsContained(const SinkCheckpoint& checkpoint, postgres::Lsn end) {
  const auto copied_later = [end](const TableProgress& table) {
    return !table.held() && std::max(table.snapshot_lsn, table.catch_up_until) > end;
  };
  // The record of a commit begins at its LSN, and `end` is between two records.
  return checkpoint.snapshot_complete && checkpoint.stream.commit_lsn < end &&
         std::ranges::none_of(checkpoint.tables, copied_later);
}

}  // namespace

absl::Status FollowPromotion(const LaneContext& context, const std::string& sink,
                             CheckpointStore& store, SinkCheckpoint& checkpoint,
                             const std::stop_token& stop) {
  SourceIdentity& there = checkpoint.identity;
  const SourceIdentity& here = context.identity;
  const uint32_t timeline = context.timeline.load();
  const bool same_cluster =
      there.system_identifier == here.system_identifier && there.database == here.database;
  if (!same_cluster || there.timeline >= timeline || context.slot.created) {
    return absl::OkStatus();
  }
  const absl::StatusOr<postgres::Lsn> end = context.timeline_end(there.timeline, stop);
  if (absl::IsNotFound(end.status())) return absl::OkStatus();
  PGFLOW_RETURN_IF_ERROR(base::Annotate(end.status(), "read the history of the timelines"));
  if (!IsContained(checkpoint, *end)) {
    return base::MakeStatus(
        absl::StatusCode::kFailedPrecondition,
        "the source was promoted to timeline {}, whose log left timeline {} at {}, and sink {} {}. "
        "Run `pgflow destroy`, empty the target and copy again",
        timeline, there.timeline, *end, sink,
        checkpoint.snapshot_complete
            ? fmt::format("has changes up to {}, which the source may have lost",
                          checkpoint.stream.commit_lsn)
            : "had not finished its snapshot");
  }
  if (checkpoint.stream.end_lsn > *end) {
    // Nothing was committed in between, on the old timeline; on the new one perhaps.
    checkpoint.stream.end_lsn = *end;
    PGFLOW_RETURN_IF_ERROR(store.AdvanceStream(checkpoint.stream));
  }
  PGFLOW_RETURN_IF_ERROR(store.FollowTimeline(timeline));
  base::LogInfo("sink {}: the source was promoted: timeline {} goes on from timeline {} at {}",
                sink, timeline, there.timeline, *end);
  there.timeline = timeline;
  return absl::OkStatus();
}

absl::Status CheckIdentity(const LaneContext& context, const std::string& sink,
                           const SinkCheckpoint& checkpoint, bool began) {
  const SourceIdentity& there = checkpoint.identity;
  const SourceIdentity& here = context.identity;
  if (there.system_identifier != here.system_identifier) {
    return Mismatch(sink, "system identifier", std::to_string(there.system_identifier),
                    std::to_string(here.system_identifier));
  }
  if (there.database != here.database) {
    return Mismatch(sink, "database", there.database, here.database);
  }
  const bool streams = !context.snapshot_only;
  if (streams && there.slot != here.slot) return Mismatch(sink, "slot", there.slot, here.slot);
  if (streams && context.slot.created && !began) {
    absl::Status status = base::MakeStatus(
        absl::StatusCode::kFailedPrecondition,
        "replication slot {} did not exist, but the checkpoint of sink {} continues at {}: the "
        "changes since then are gone with the slot. Run `pgflow destroy` and copy again",
        here.slot, sink, checkpoint.stream.end_lsn);
    base::SetPayload(status, kRecreatedSlotPayload, "1");
    return status;
  }
  if (const uint32_t timeline = context.timeline.load(); there.timeline != timeline) {
    return Mismatch(sink, "timeline", std::to_string(there.timeline), std::to_string(timeline));
  }
  if (streams && context.slot.confirmed_flush > checkpoint.stream.end_lsn) {
    return base::MakeStatus(
        absl::StatusCode::kFailedPrecondition,
        "replication slot {} has moved to {}, past {} where sink {} continues: it was recreated, "
        "or somebody else reads it. The changes in between are gone. Run `pgflow destroy` and copy "
        "again",
        here.slot, context.slot.confirmed_flush, checkpoint.stream.end_lsn, sink);
  }
  return absl::OkStatus();
}

absl::Status CheckLogReaches(const LaneContext& context, const std::string& sink,
                             const SinkCheckpoint& checkpoint) {
  const postgres::Lsn end = context.slot.log_end;
  if (context.snapshot_only || !end.valid() || checkpoint.stream.end_lsn <= end) {
    return absl::OkStatus();
  }
  return base::MakeStatus(
      absl::StatusCode::kFailedPrecondition,
      "the source's log ends at {}, and sink {} has changes up to {}: the server was put back to "
      "an older state (a disk image, a file system snapshot) and has lost them. Run `pgflow "
      "destroy`, empty the target and copy again",
      end, sink, checkpoint.stream.end_lsn);
}

}  // namespace pgflow::engine
