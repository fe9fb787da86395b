// FakeSource: a source whose log and tables a test writes.
//
// The source belongs to the engine under test; the test keeps the FakeServer behind it, which
// survives it: a new FakeSource continues from what was acknowledged.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include <absl/base/thread_annotations.h>
#include <absl/time/time.h>

#include "base/mutex.h"
#include "engine/api/source.h"
#include "engine/testing/script_of_errors.h"

namespace pgflow::engine {

// Thread-safe. Must outlive its sources and their sessions.
class FakeServer {
 public:
  // The log. What is written before or during Run is delivered in this order, and again, from the
  // last transaction that the engine had whole, after a Disconnect.
  void Write(Chunk chunk);
  void WriteOpen(postgres::Xid xid, Chunk chunk);
  void CommitOpen(postgres::Xid xid, TransactionSpan commit, std::vector<postgres::Xid> aborted);
  void DropOpen(postgres::Xid xid);
  void Idle(postgres::Lsn lsn);

  // The tables: one range for each element. A table that is set again has changed: ranges of older
  // sessions give kTableChanged.
  void SetTable(schemas::TableSchemaPtr schema, std::vector<CopyRows> ranges);
  void SetConsistentPoint(postgres::Lsn lsn);
  // Rows that a reader gives for RangeRequest::only_newer_than.
  void SetNewerRows(const schemas::TableName& table, CopyRows rows);

  // Ends the current Run with kUnavailable.
  void Disconnect();
  // Another session has the slot.
  void SetSlotInUse(bool in_use);
  void RemoveSlot();
  // The stream does not carry its changes until a Select.
  void SetUnpublished(const schemas::TableName& table);
  void SetIdentity(SourceIdentity identity);
  // Calls: open, open_slot, confirm_slot, open_snapshot, run, read, health.
  void FailNext(std::string_view call, const absl::Status& error, int times = 1) {
    errors_.FailNext(call, error, times);
  }

  void StopFailing(std::string_view call) { errors_.StopFailing(call); }

  postgres::Lsn acknowledged() const;
  int run_count() const;
  int snapshot_count() const;
  // Sessions that keep a snapshot now; the slot's own until it is asked for or released.
  int snapshots_held() const;
  int confirm_count() const { return confirm_count_.load(); }
  bool WaitForAcknowledged(postgres::Lsn lsn, absl::Duration timeout = absl::Seconds(10)) const;

 private:
  friend class FakeSource;
  friend class FakeSession;
  friend class FakeReader;

  struct Open {
    postgres::Xid xid = 0;
    Chunk chunk;
  };
  struct Commit {
    postgres::Xid xid = 0;
    TransactionSpan span;
    std::vector<postgres::Xid> aborted;
  };
  struct Drop {
    postgres::Xid xid = 0;
  };
  using Step = std::variant<Chunk, Open, Commit, Drop, postgres::Lsn>;
  struct Table {
    schemas::TableSchemaPtr schema;
    std::vector<CopyRows> ranges;
    std::optional<CopyRows> newer;
    uint64_t storage = 0;
  };

  void Add(Step step);
  absl::Status Deliver(const Step& step, StreamPoint tail, StreamWriter& out);

  ScriptOfErrors errors_;
  std::atomic<int> confirm_count_{0};
  mutable base::Mutex mutex_;
  std::vector<Step> steps_ ABSL_GUARDED_BY(mutex_);
  std::map<schemas::TableName, Table> tables_ ABSL_GUARDED_BY(mutex_);
  SourceIdentity identity_ ABSL_GUARDED_BY(mutex_) = {7, 1, "fake", "slot"};
  postgres::Lsn consistent_point_ ABSL_GUARDED_BY(mutex_) = postgres::Lsn(0x80);
  postgres::Lsn end_ ABSL_GUARDED_BY(mutex_) = postgres::Lsn(0x80);
  postgres::Lsn acknowledged_ ABSL_GUARDED_BY(mutex_);
  uint64_t next_storage_ ABSL_GUARDED_BY(mutex_) = 1;
  std::set<schemas::TableName> unpublished_ ABSL_GUARDED_BY(mutex_);
  bool slot_exists_ ABSL_GUARDED_BY(mutex_) = false;
  bool slot_in_use_ ABSL_GUARDED_BY(mutex_) = false;
  bool disconnect_ ABSL_GUARDED_BY(mutex_) = false;
  int run_count_ ABSL_GUARDED_BY(mutex_) = 0;
  int snapshot_count_ ABSL_GUARDED_BY(mutex_) = 0;
  int sessions_ ABSL_GUARDED_BY(mutex_) = 0;
  bool slots_own_ ABSL_GUARDED_BY(mutex_) = false;  // The slot's own snapshot is kept.
};

class FakeSource final : public Source {
 public:
  explicit FakeSource(FakeServer& server, SourcePlan plan = {}) : server_(server), plan_(plan) {}

  absl::StatusOr<SourceIdentity> Open(std::stop_token stop) override;
  SourcePlan plan() const override { return plan_; }
  absl::StatusOr<SlotState> OpenSlot(bool create, std::stop_token stop) override;
  absl::Status DropSlot(std::stop_token stop) override;
  TableSelection selection() const override;
  absl::StatusOr<std::vector<ChosenTable>> ListTables(const TableSelection& selection,
                                                      std::stop_token stop) override;
  absl::Status Select(const TableSelection& selection, std::stop_token stop) override;
  absl::StatusOr<std::unique_ptr<SnapshotSession>> OpenSnapshot(std::stop_token stop) override;
  void ReleaseSnapshot() override;
  absl::Status Run(StreamWriter& out, std::stop_token stop) override;
  absl::Status ConfirmSlot(std::stop_token stop) override;
  void Acknowledge(postgres::Lsn lsn) override;
  absl::StatusOr<SlotHealth> Health(std::stop_token stop) override;
  absl::StatusOr<postgres::Lsn> CurrentLsn(std::stop_token stop) override;

 private:
  FakeServer& server_;
  const SourcePlan plan_;
  TableSelection selection_;
};

}  // namespace pgflow::engine
