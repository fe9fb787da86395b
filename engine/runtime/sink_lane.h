// SinkLane: drives one sink, from its snapshot to the end of the stream. Retry, bisecting and the
// dead letter live here, so that a sink holds protocol only.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "engine/runtime/batch_builder.h"
#include "engine/runtime/dead_letter_queue.h"
#include "engine/runtime/joining_tables.h"
#include "engine/runtime/lane_context.h"
#include "engine/runtime/letter_replay.h"
#include "engine/runtime/sink_statistics.h"

namespace pgflow::engine {

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

  // Acknowledged by this sink, also for tables that join; its stream's start while it copies.
  postgres::Lsn frontier() const;
  // How far it has come in the stream; invalid while it copies.
  postgres::Lsn reached() const { return postgres::Lsn(reached_.load()); }
  SinkStatus status(const SourceView& source) const;

  // Tables join the running stream in two steps. First their changes are left out (`again`: the
  // sink has rows of them), which HasHeld says to be durable; then, when the source publishes them,
  // from `published` on, another lane copies them and brings them to where this one stands.
  void HoldTables(const std::vector<schemas::TableName>& tables, bool again);
  bool HasHeld() const { return !joining_.asked(); }
  void JoinTables(postgres::Lsn published);
  // Some table is on its way in, or has failed to join; or that is not known yet.
  bool IsJoining() const { return joining_.busy(); }
  // Of the lane that brings tables in, while there is one.
  std::optional<SinkStatus> joining_status(const SourceView& source) const {
    return joining_.status(source);
  }
  // After Run: from where on the table's changes are to be applied to what its copy brought.
  TableGates::Gate gate(const schemas::TableName& table) const { return builder_.gate(table); }
  // After Run: the checkpoint is not needed any more.
  absl::Status Forget() { return store_ == nullptr ? absl::OkStatus() : store_->Forget(); }
  const std::string& name() const { return node_.name; }

 private:
  absl::Status Attempt(std::stop_token stop);
  absl::Status RunUntilDone(std::stop_token stop);
  absl::StatusOr<SinkCheckpoint> LoadCheckpoint(const std::stop_token& stop);
  absl::Status ResumeTransformers(postgres::Lsn from, std::stop_token stop);
  bool IsWithoutCopy(const SinkCheckpoint& checkpoint) const;
  absl::Status BeginAgain(const std::optional<SinkCheckpoint>& stale);
  // Of a lane that brings tables in: nobody kept the log for it.
  bool IsStale(const SinkCheckpoint& checkpoint) const;
  // What the sink has to have copied again, though nobody asked for it.
  absl::Status FindOutdated(std::stop_token stop);
  bool CopiesAgain(const absl::Status& error);
  absl::Status CopySnapshot(SinkCheckpoint& checkpoint, std::stop_token stop);
  absl::Status Stream(std::stop_token stop);
  absl::Status StepJoining(std::stop_token stop);
  absl::Status StepTimeline();
  absl::Status OpenLetters();
  absl::Status SkipLetters(StreamPoint checkpoint);
  absl::Status StepReplay(std::stop_token stop);
  // Instead of the stream: what was asked for, and no more.
  absl::Status ReplayOnly(const SinkCheckpoint& checkpoint, std::stop_token stop);
  void Gather();
  absl::Status WriteTake(const Take& take, std::stop_token stop);
  absl::Status WriteWindow(const Window& window, std::stop_token stop);
  absl::Status WriteOneByOne(std::span<Batch> batches, const Take& take, std::stop_token stop);
  absl::Status WritePosition(std::stop_token stop);
  absl::Status OnRefused(const absl::Status& error, const Window& window);
  absl::Status Bury(const Window& window, const Position& position, const absl::Status& error);
  absl::Status UpdateDurable(bool force, std::stop_token stop);
  void SetFrontier(StreamPoint point);
  bool awaited() const { return context_.awaited != nullptr && context_.awaited(); }

  const LaneContext& context_;
  SinkNode node_;
  SinkStatistics statistics_;
  std::unique_ptr<StreamLog::Cursor> cursor_;
  SqliteCheckpointStore own_store_;
  CheckpointStore* store_ = nullptr;    // The sink's, or own_store_.
  std::optional<LetterReplay> replay_;  // Of a lane that has a queue of letters to itself.
  JoiningTables joining_;

  std::atomic<bool> finish_{false};
  std::atomic<uint64_t> stop_before_{UINT64_MAX};
  std::atomic<uint64_t> frontier_{0};
  std::atomic<uint64_t> reached_{0};

  // Of the lane's thread.
  BatchBuilder builder_;
  bool was_open_;            // It worked once: errors may be outages.
  bool began_ = false;       // The checkpoint was made by this run.
  bool progressed_ = false;  // Since the last error.
  bool looked_for_outdated_ = false;
  bool retry_now_ = false;                      // The last error was dealt with; no pause.
  bool replay_waits_ = false;                   // Until the lane has passed its letters.
  std::optional<postgres::Lsn> isolate_until_;  // Events go one by one up to here.
  postgres::Lsn shown_;         // The sink may have written up to here before it was opened.
  bool inside_window_ = false;  // The sink holds parts of an unfinished transaction.
  uint32_t timeline_ = 0;       // Of the checkpoint.
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
