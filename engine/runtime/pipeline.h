// Pipeline: one source, its transformers and its sinks, running.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include <absl/base/thread_annotations.h>

#include "base/mutex.h"
#include "engine/api/pipeline_status.h"
#include "engine/api/source.h"
#include "engine/api/transformer.h"
#include "engine/runtime/refresh_request.h"
#include "engine/runtime/server_ends.h"
#include "engine/runtime/sink_lane.h"
#include "engine/runtime/stall_watch.h"
#include "engine/runtime/stream_log.h"
#include "engine/state/sqlite_checkpoint_store.h"

namespace pgflow::engine {

struct PipelineOptions {
  std::string name = "pgflow";
  std::string source_name;  // For status: host:port/database as user.
  std::string state_directory = ".pgflow";
  StreamLogOptions log;
  LaneOptions lane;
  // A source or sink that is away at the start is waited for as long.
  absl::Duration startup_timeout = absl::ZeroDuration();
  bool snapshot_only = false;  // Copy, forget the checkpoint, end.
  // Only what `pgflow replay` asked for, under this pipeline's own lock, the slot: kUnavailable,
  // with kSlotInUsePayload, when another process has it.
  bool replay_only = false;
  // End before the first transaction that commits at or behind this place; the second: as it is
  // when the stream begins.
  std::optional<postgres::Lsn> until_lsn;
  bool until_current = false;
  ChangeTap* tap = nullptr;  // Of whoever watches; outlives the pipeline. Null: nobody can.
};

// Inert until Run. Run is called once and blocks; status() may be called by any thread meanwhile.
class Pipeline {
 public:
  Pipeline(PipelineOptions options, std::unique_ptr<Source> source,
           std::vector<std::unique_ptr<Transformer>> transformers, std::vector<SinkNode> sinks);
  ~Pipeline();

  // Until `drain` (what was received is delivered, then OK), `stop` (OK, at once), the point in the
  // options (OK), or an error.
  absl::Status Run(std::stop_token drain, std::stop_token stop);

  // Creates publication and slot. OK when they exist.
  absl::Status Initialize(std::stop_token stop);
  // Removes slot, publication and every sink's checkpoint. Goes on after errors and reports them
  // all.
  absl::Status Destroy(std::stop_token stop);

  PipelineStatus status() const;

 private:
  absl::Status Start(const std::stop_token& stop);
  // Waits for the source.
  absl::StatusOr<SourceIdentity> OpenSource(SlotState& slot, const std::stop_token& stop);
  void ReadSource(std::stop_token stop);
  absl::Status ConfirmSlot(std::stop_token stop);
  absl::Status AwaitSlot(std::stop_token stop);
  absl::Status StartLanes(std::stop_token stop);
  absl::Status Supervise(std::stop_token drain, std::stop_token stop);
  void StopSource();
  void StepSnapshot();
  void BeginDrain();
  bool DrainsOn();
  uint64_t Delivered() const;
  void RefreshHealth(std::stop_token stop);
  void NoteHealth(SlotHealth health);
  void LookForStalls();
  void StartSource();
  // Tables that are new to the stream, or to be copied again (pipeline_refresh.cc).
  absl::Status RefreshAtStart(std::stop_token stop);
  void StepRefresh(std::stop_token stop);
  void BeginWaitingRefresh(std::stop_token stop);
  bool IsSourceFree();
  void StepSettled(std::stop_token stop);
  // Gives the tables that the sinks have nothing of yet.
  absl::StatusOr<std::vector<schemas::TableName>> BeginRefresh(RefreshRequest request,
                                                               std::stop_token stop);
  absl::StatusOr<postgres::Lsn> PublishSelection(std::stop_token stop);
  void AnswerRefresh(int64_t id, const RefreshAnswer& answer);
  void MoveFrontier();
  absl::StatusOr<std::shared_ptr<SnapshotSession>> OpenSession(postgres::Lsn newer_than,
                                                               std::stop_token stop);
  void OnLaneEnd(size_t lane, absl::Status status);

  PipelineOptions options_;
  std::unique_ptr<Source> source_;
  std::vector<std::unique_ptr<Transformer>> transformers_;
  std::vector<SinkNode> nodes_;  // Moved into the lanes by Run.
  SourceTelemetry telemetry_;
  StreamLog log_;
  std::unique_ptr<SqliteDatabase> state_;
  std::unique_ptr<LaneContext> context_;
  const absl::Time started_;
  // Of Run's thread. Of the tables in it, the lanes leave out the changes, or are about to.
  std::optional<RefreshRequest> refresh_;
  std::string refresh_text_;        // What it does.
  bool snapshot_released_ = false;  // The slot's own.
  bool publishes_ = false;          // It has tables that the publication lacks.
  bool restarts_ = false;           // It has tables that the stream leaves out until then.
  bool found_tables_ = false;       // The source has, and they were not looked at yet.
  bool settled_ = false;            // The source knows that nothing joins.
  absl::Time next_refresh_;
  absl::Time next_try_;
  absl::Time next_settled_;
  StallWatch stall_watch_;
  uint64_t drain_delivered_ = 0;
  absl::Time drain_moved_;  // When it changed.

  std::atomic<uint32_t> timeline_{0};  // Of the source; lanes read it.

  base::Mutex source_mutex_;  // The source's control calls come one at a time.
  std::weak_ptr<SnapshotSession> session_ ABSL_GUARDED_BY(source_mutex_);

  mutable base::Mutex mutex_;
  Phase phase_ ABSL_GUARDED_BY(mutex_) = Phase::kStarting;
  absl::Status source_error_ ABSL_GUARDED_BY(mutex_);  // Final.
  absl::Status lane_error_ ABSL_GUARDED_BY(mutex_);
  size_t lanes_running_ ABSL_GUARDED_BY(mutex_) = 0;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  std::string slot_ ABSL_GUARDED_BY(mutex_);  // Its name, once it is known.
  SlotHealth health_ ABSL_GUARDED_BY(mutex_);
  absl::Duration source_clock_ ABSL_GUARDED_BY(mutex_);  // By how much it is ahead of ours.
  ServerEnds ends_ ABSL_GUARDED_BY(mutex_);
  StallWatch::Verdict verdict_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::unique_ptr<SinkLane>> lanes_;  // Constant once phase_ left kStarting.

  // Threads last: they are joined before anything they use goes.
  std::vector<std::jthread> lane_threads_;
  std::jthread source_thread_;
};

}  // namespace pgflow::engine
