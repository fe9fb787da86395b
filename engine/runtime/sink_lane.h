// SinkLane: drives one sink, from its snapshot to the end of the stream. Retry, bisecting and the
// dead letter live here, so that a sink holds protocol only.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "engine/api/source.h"
#include "engine/api/transformer.h"
#include "engine/runtime/backoff.h"
#include "engine/runtime/batch_builder.h"
#include "engine/runtime/dead_letter.h"
#include "engine/runtime/sink_statistics.h"
#include "engine/runtime/snapshot_runner.h"
#include "engine/runtime/sqlite_checkpoint_store.h"
#include "engine/runtime/stream_log.h"

namespace pgflow::engine {

// A sink with what the pipeline file says around it.
struct SinkNode {
  std::string name;  // Unique in the pipeline.
  std::string type;
  std::unique_ptr<Sink> sink;
  std::string dead_letter_path;  // Empty: a refused row stops the pipeline.
  RetryOptions retry;
};

struct LaneOptions {
  uint64_t window_bytes_max = 8 << 20;
  // While changes come thick and fast a window starts this long after the last one, so that it is
  // worth its round trips and merges more; a single change never waits.
  absl::Duration gather_interval = absl::Milliseconds(25);
  // How often the checkpoint moves while nothing but positions comes.
  absl::Duration idle_checkpoint_interval = absl::Seconds(10);
  // How often the sink is asked what is durable while it lags.
  absl::Duration durable_interval = absl::Milliseconds(50);
  // How often the state store is written for a sink that keeps no checkpoint of its own.
  absl::Duration save_interval = absl::Seconds(1);
};

// What the lanes of one pipeline share. Everything referred to outlives them.
struct LaneContext {
  std::string pipeline;
  StreamLog& log;
  std::span<const std::unique_ptr<Transformer>> transformers;
  SqliteDatabase& state;
  SourceIdentity identity;
  SlotState slot;
  SourcePlan plan;
  bool snapshot_only = false;
  SessionOpener open_session;
  std::function<void()> on_durable;  // A frontier moved; any lane's thread.
  LaneOptions options;
};

// On the status of a lane that found a checkpoint of a slot that was created just now.
inline constexpr std::string_view kRecreatedSlotPayload = "pgflow/recreated-slot";

// Created before the source runs (its cursor holds the log); Run has a thread of its own; the other
// calls may come from any thread.
class SinkLane {
 public:
  SinkLane(const LaneContext& context, SinkNode node);

  // Until `stop` (kCancelled), until Finish was asked for and reached (OK), or a final error.
  absl::Status Run(std::stop_token stop);

  // Take what is in the log and end. Only after the source stopped writing.
  void Finish();
  // End before the first transaction that commits at or behind `lsn`.
  void StopBefore(postgres::Lsn lsn);

  // Acknowledged by this sink; its stream's start while it copies.
  postgres::Lsn frontier() const { return postgres::Lsn(frontier_.load()); }
  SinkStatus status(postgres::Lsn server_lsn) const;
  const std::string& name() const { return node_.name; }

 private:
  absl::Status Attempt(std::stop_token stop);
  absl::StatusOr<SinkCheckpoint> LoadCheckpoint();
  absl::Status CheckIdentity(const SinkCheckpoint& checkpoint) const;
  absl::Status CopySnapshot(SinkCheckpoint& checkpoint, std::stop_token stop);
  absl::Status Stream(std::stop_token stop);
  void Gather();
  absl::Status WriteTake(const Take& take, std::stop_token stop);
  absl::Status WriteWindow(const Window& window, std::stop_token stop);
  absl::Status WriteOneByOne(std::span<Batch> batches, const Take& take, std::stop_token stop);
  absl::Status WritePosition(std::stop_token stop);
  absl::Status OnRefused(const absl::Status& error, const Window& window);
  absl::Status Bury(const Batch& batch, const ChangeEvent& event, const absl::Status& error);
  absl::Status UpdateDurable(bool force, std::stop_token stop);
  void SetFrontier(StreamPoint point);

  const LaneContext& context_;
  SinkNode node_;
  SinkStatistics statistics_;
  std::unique_ptr<StreamLog::Cursor> cursor_;
  SqliteCheckpointStore own_store_;
  CheckpointStore* store_ = nullptr;  // The sink's, or own_store_.
  std::unique_ptr<DeadLetterFile> dead_letter_;

  std::atomic<bool> finish_{false};
  std::atomic<uint64_t> stop_before_{UINT64_MAX};
  std::atomic<uint64_t> frontier_{0};

  // Of the lane's thread.
  BatchBuilder builder_;
  bool was_open_ = false;
  bool began_ = false;                          // The checkpoint was made by this run.
  bool progressed_ = false;                     // Since the last error.
  bool retry_now_ = false;                      // The last error was dealt with; no pause.
  std::optional<postgres::Lsn> isolate_until_;  // Events go one by one up to here.
  bool inside_window_ = false;  // The sink holds parts of an unfinished transaction.
  size_t last_window_events_ = 0;
  bool reached_stop_ = false;  // What comes next is at or behind stop_before_.
  StreamPoint written_;
  StreamPoint durable_;
  StreamPoint position_;  // Nothing but positions came since `written_`.
  absl::Time last_window_start_;
  absl::Time last_window_end_;
  absl::Time last_durable_time_;
  absl::Time written_commit_time_;
};

}  // namespace pgflow::engine
