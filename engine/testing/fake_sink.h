// FakeSink: a sink that remembers what it was given, waits and fails on command.
//
// The sink belongs to the engine under test; the test keeps the FakeTarget behind it: the
// "database" that survives the sink, as a real one survives a process.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <absl/base/thread_annotations.h>
#include <absl/time/time.h>

#include "base/mutex.h"
#include "engine/api/sink.h"
#include "engine/testing/memory_checkpoint_store.h"
#include "engine/testing/script_of_errors.h"

namespace pgflow::engine {

// One event that a window brought, described as in event_builder.h.
struct FakeEvent {
  Position position;
  std::string text;
  bool catch_up = false;
};

// Thread-safe. Must outlive its sinks.
class FakeTarget {
 public:
  // `keeps_checkpoint`: it is its own CheckpointStore, moved together with the rows.
  explicit FakeTarget(bool keeps_checkpoint = false) : keeps_checkpoint_(keeps_checkpoint) {}

  // Corked, Write waits (until Uncork or a stop) before it takes anything.
  void Cork();
  void Uncork();
  // Tables that are copied again are filled beside what its sinks have (Sink::copies_beside).
  void CopyBeside() { copies_beside_ = true; }
  // "finish shop.notes", "take shop.notes held": what it was told of copies, in order.
  std::vector<std::string> copies() const;
  // Held, nothing more becomes durable.
  void HoldDurable();
  void ReleaseDurable();
  // Calls: open, prepare, reset, open_lane, write, durable, close; lane.begin, lane.write,
  // lane.finish, lane.finish_table.
  void FailNext(std::string_view call, const absl::Status& error, int times = 1) {
    errors_.FailNext(call, error, times);
  }
  void StopFailing(std::string_view call) { errors_.StopFailing(call); }
  // Rows whose description holds `text` are refused (kInvalidArgument): by a window as a whole,
  // with the culprit named if `name_culprit`; by a careful lane as rejections.
  void Refuse(std::string text, bool name_culprit = true);
  void RefuseNothing();

  // What it holds durably, and with what it took since (lost at the next Open).
  std::vector<std::string> durable_events() const;
  std::vector<std::string> events() const;
  std::vector<FakeEvent> history() const;  // The same as events(), with positions.
  // Snapshot rows of finished ranges, sorted; "read" and the table's name left out.
  std::vector<std::string> rows(std::string_view table) const;
  std::set<std::string> finished_tables() const;
  StreamPoint durable() const;
  int open_count() const;
  int write_count() const;
  // Broken rules of the engine: positions that do not ascend, a window without Open, ... Empty is
  // well.
  std::vector<std::string> violations() const;

  // False when it did not happen within `timeout`.
  bool WaitForEvents(size_t count, absl::Duration timeout = absl::Seconds(10)) const;
  bool WaitForDurable(postgres::Lsn commit_lsn, absl::Duration timeout = absl::Seconds(10)) const;
  bool WaitForBlockedWrite(absl::Duration timeout = absl::Seconds(10)) const;

  MemoryCheckpointStore& store() { return store_; }

 private:
  friend class FakeSink;
  friend class FakeLane;

  bool Refused(std::string_view text) const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  absl::Status Take(const Window& window) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status MoveDurable() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const bool keeps_checkpoint_;
  bool copies_beside_ = false;  // Before any sink.
  ScriptOfErrors errors_;
  MemoryCheckpointStore store_;
  mutable base::Mutex mutex_;
  bool corked_ ABSL_GUARDED_BY(mutex_) = false;
  bool blocked_ ABSL_GUARDED_BY(mutex_) = false;
  bool durable_held_ ABSL_GUARDED_BY(mutex_) = false;
  bool open_ ABSL_GUARDED_BY(mutex_) = false;
  std::string refused_ ABSL_GUARDED_BY(mutex_);
  bool name_culprit_ ABSL_GUARDED_BY(mutex_) = true;
  std::vector<FakeEvent> events_ ABSL_GUARDED_BY(mutex_);
  size_t complete_count_ ABSL_GUARDED_BY(mutex_) = 0;  // Events up to written_.
  size_t durable_count_ ABSL_GUARDED_BY(mutex_) = 0;   // Events up to durable_.
  StreamPoint written_ ABSL_GUARDED_BY(mutex_);
  StreamPoint durable_ ABSL_GUARDED_BY(mutex_);
  std::map<schemas::TableName, std::vector<std::string>> rows_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> finished_tables_ ABSL_GUARDED_BY(mutex_);
  int open_count_ ABSL_GUARDED_BY(mutex_) = 0;
  int write_count_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<std::string> violations_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> copies_ ABSL_GUARDED_BY(mutex_);
};

class FakeSink final : public Sink {
 public:
  explicit FakeSink(FakeTarget& target) : target_(target) {}

  absl::Status Open(const SinkContext& context, std::stop_token stop) override;
  CheckpointStore* checkpoint_store() override;
  absl::Status PrepareSnapshot(const schemas::DatabaseDefinition& definition,
                               std::span<const TablePlan> tables,
                               std::span<const TablePlan> resumed, std::stop_token stop) override;
  absl::Status ResetTable(const TablePlan& table, std::stop_token stop) override;
  absl::StatusOr<std::unique_ptr<SnapshotLane>> OpenLane(std::stop_token stop) override;
  bool copies_beside() const override { return target_.copies_beside_; }
  absl::Status FinishCopies(const std::map<schemas::TableName, postgres::Lsn>& tables,
                            std::stop_token stop) override;
  absl::Status TakeCopies(std::span<const TableProgress> tables, std::stop_token stop) override;
  absl::StatusOr<WriteResult> Write(const Window& window, std::stop_token stop) override;
  absl::StatusOr<StreamPoint> Durable(std::stop_token stop) override;
  absl::Status Close(std::stop_token stop) override;

 private:
  FakeTarget& target_;
  bool taken_ = false;
};

}  // namespace pgflow::engine
