// What a lane is made of: its sink with what belongs to it, and what the lanes of a pipeline share.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <set>
#include <span>
#include <string>

#include "engine/api/change_tap.h"
#include "engine/api/source.h"
#include "engine/api/transformer.h"
#include "engine/runtime/backoff.h"
#include "engine/runtime/dead_letter_queue.h"
#include "engine/runtime/snapshot_runner.h"
#include "engine/runtime/stream_log.h"
#include "engine/state/sqlite_checkpoint_store.h"

namespace pgflow::engine {

// A sink with what the pipeline file says around it.
struct SinkNode {
  std::string name;  // Unique in the pipeline.
  std::string type;
  std::unique_ptr<Sink> sink;
  std::string dead_letter_path;  // Empty: a refused row stops the pipeline.
  // Where the queue of letters is kept: of the whole pipeline, also where a lane's own state is
  // elsewhere.
  std::string letters_directory;
  std::shared_ptr<DeadLetterQueue> letters;  // Opened by the lane; shared with one for joins.
  RetryOptions retry;
  // Another sink of the same configuration; null: tables cannot join its running stream.
  std::function<std::unique_ptr<Sink>()> make;
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

// The tables of a lane that brings them into the running stream of another one of the same sink.
struct JoinScope {
  std::set<schemas::TableName> tables;
  std::set<schemas::TableName> again;  // The sink has rows of these.
  postgres::Lsn published;             // Their changes are in the stream from here on.
  bool fresh = false;                  // Nothing of an earlier attempt is to be continued.
};

// The source as it is now, for a lane to say how far it is behind.
struct SourceView {
  postgres::Lsn end;          // Of its log.
  absl::Duration clock;       // By how much its clock is ahead of ours.
  absl::Duration unreceived;  // Age of the oldest part of its log that has not come yet.
};

// What the lanes of one pipeline share. Everything referred to outlives them.
struct LaneContext {
  std::string pipeline;
  StreamLog& log;
  std::span<const std::unique_ptr<Transformer>> transformers;
  SqliteDatabase& state;
  SourceIdentity identity;  // As the source said first.
  // Its timeline now: a promotion in mid-stream changes it.
  const std::atomic<uint32_t>& timeline;
  SlotState slot;
  SourcePlan plan;
  bool snapshot_only = false;
  bool replay_only = false;  // Brings letters back and ends: nothing of the stream.
  SessionOpener open_session;
  // Of the source (Source::TimelineEnd).
  std::function<absl::StatusOr<postgres::Lsn>(uint32_t timeline, std::stop_token)> timeline_end;
  std::function<void()> on_durable;  // A frontier moved; any lane's thread.
  ConfirmSlot confirm_slot{};        // Null: there is no slot.
  std::function<bool()> awaited{};   // Of the source (Source::awaited); null: never.
  LaneOptions options;
  // Chosen, but their changes do not come yet: not for the first snapshot.
  std::set<schemas::TableName> unpublished{};
  absl::Duration startup_timeout = absl::ZeroDuration();  // How long a sink may be away at first.
  const JoinScope* join = nullptr;                        // Null: a lane for all tables.
  ChangeTap* tap = nullptr;                               // Null: nobody can watch.

  bool IsWanted(const schemas::TableName& table) const {
    return join == nullptr ? !unpublished.contains(table) : join->tables.contains(table);
  }
};

}  // namespace pgflow::engine
