#include "engine/testing/sink_contract.h"

#include <algorithm>
#include <utility>

#include <absl/time/clock.h>

#include "base/status.h"
#include "engine/testing/event_builder.h"

namespace pgflow::engine {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(10);

class Play {
 public:
  explicit Play(const SinkContractSubject& subject) : subject_(subject) {
    plan_.schema = builder_.Table("contract.items (id int4 key, name text)");
    plan_.source_table = plan_.schema->table;
    context_ = {"contract", "subject", "contract"};
  }

  std::vector<std::string> Run() {
    if (!Start()) return std::move(broken_);
    if (subject_.snapshot) Snapshot();
    Stream();
    Unfinished();
    Restart();
    Stopped();
    Check(sink_->Close({}), "Close");
    return std::move(broken_);
  }

 private:
  bool Check(const absl::Status& status, std::string_view what) {
    if (!status.ok()) broken_.push_back(fmt::format("{}: {}", what, base::Message(status)));
    return status.ok();
  }
  void Require(bool condition, std::string_view rule) {
    if (!condition) broken_.emplace_back(rule);
  }

  bool Start() {
    sink_ = subject_.make();
    if (!Check(sink_->Open(context_, {}), "the first Open")) return false;
    if (!Check(sink_->Open(context_, {}), "Open again without an error in between")) return false;
    CheckpointStore* store = sink_->checkpoint_store();
    if (store == nullptr) return true;
    const absl::StatusOr<std::optional<SinkCheckpoint>> loaded = store->Load();
    if (!Check(loaded.status(), "Load before Begin")) return false;
    Require(!loaded->has_value(), "a sink that never began has no checkpoint");
    return Check(store->Begin({1, 1, "contract", "contract"}, {}), "Begin");
  }

  void Snapshot() {
    CheckpointStore* store = sink_->checkpoint_store();
    Check(sink_->PrepareSnapshot({}, {&plan_, 1}, {}, {}), "PrepareSnapshot");
    TableProgress progress;
    progress.table = plan_.source_table;
    progress.snapshot_lsn = postgres::Lsn(0x80);
    if (store != nullptr) Check(store->BeginTable(progress), "BeginTable");
    absl::StatusOr<std::unique_ptr<SnapshotLane>> lane = sink_->OpenLane({});
    if (!Check(lane.status(), "OpenLane")) return;
    uint32_t block = 0;
    for (const CopyFormat format : {CopyFormat::kBinary, CopyFormat::kText}) {
      const BlockRange range{block, block == 0 ? 1 : BlockRange::kOpenEnd};
      Batch batch =
          builder_.Snapshot("items", block == 0 ? "101 a\n102 null" : "103 'c\td'", format);
      Check((*lane)->BeginRange(plan_, range, {}), "BeginRange");
      Check((*lane)->Write(batch, {}).status(), "a lane's Write");
      Check((*lane)->FinishRange({}), "FinishRange");
      ++block;
    }
    Check((*lane)->FinishTable(plan_, {}), "FinishTable");
    if (store == nullptr) return;
    const absl::StatusOr<std::optional<SinkCheckpoint>> loaded = store->Load();
    const bool recorded = loaded.ok() && loaded->has_value() && (*loaded)->tables.size() == 1 &&
                          (*loaded)->tables[0].finished.size() == 2;
    Require(recorded, "a finished range is in the sink's own checkpoint");
    Check(store->FinishTable(plan_.source_table), "the store's FinishTable");
    Check(store->FinishSnapshot(postgres::Lsn(0x30)), "FinishSnapshot");
  }

  absl::Status Write(std::vector<Batch> batches, bool ends_at_commit, std::stop_token stop = {}) {
    Window window;
    window.ends_at_commit = ends_at_commit;
    if (ends_at_commit) {
      if (!batches.empty()) {
        const TransactionSpan& last = batches.back().transactions().back();
        end_ = {last.commit_lsn, last.end_lsn};
      } else {
        end_.end_lsn = postgres::Lsn(end_.end_lsn.value() + 8);
      }
    }
    window.end = end_;
    window.batches = batches;
    return sink_->Write(window, std::move(stop)).status();
  }

  // Adds up what a script gives to one window.
  absl::Status WriteScript(std::string_view script, bool ends_at_commit = true) {
    std::vector<Batch> batches;
    batches.push_back(builder_.StreamBatch(script));
    return Write(std::move(batches), ends_at_commit);
  }

  StreamPoint Durable() {
    const absl::StatusOr<StreamPoint> durable = sink_->Durable({});
    if (!Check(durable.status(), "Durable")) return durable_;
    Require(*durable >= durable_, "Durable does not go backwards");
    Require(*durable <= end_, "Durable is not ahead of what was written");
    durable_ = std::max(durable_, *durable);
    return *durable;
  }

  void WaitDurable(std::string_view what) {
    const absl::Time deadline = absl::Now() + kPatience;
    while (Durable() < end_ && absl::Now() < deadline) absl::SleepFor(absl::Milliseconds(5));
    if (durable_ < end_) broken_.push_back(fmt::format("{} does not become durable", what));
  }

  void Stream() {
    Check(Write({}, true), "a window without events");
    WaitDurable("a window without events");
    Check(WriteScript(R"(
        begin
        insert items 1 one
        insert items 2 null
        update items 1 'one more'
        commit
        begin
        update items old(1) 3 three
        delete items 2
        commit)"),
          "a window of two transactions");
    WaitDurable("a window of two transactions");
  }

  // Half a transaction, then Open: the half is forgotten and the whole comes again.
  void Unfinished() {
    const StreamPoint before = end_;
    Check(WriteScript("begin lsn=0/9000 xid=90\n insert items 10 ten", false),
          "part of a transaction");
    Require(Durable() == before, "part of a transaction does not move Durable");
    Check(sink_->Open(context_, {}), "Open in the middle of a transaction");
    Require(Durable() == before, "Open does not move Durable");
    EventBuilder again;
    again.Table("contract.items (id int4 key, name text)");
    std::vector<Batch> parts;
    parts.push_back(again.StreamBatch("begin lsn=0/9000 xid=90\n insert items 10 ten"));
    Check(Write(std::move(parts), false), "part of a transaction, again");
    parts.clear();
    parts.push_back(again.StreamBatch("insert items 11 eleven\n commit"));
    Check(Write(std::move(parts), true), "the rest of a transaction");
    WaitDurable("a transaction of two windows");
    builder_.StreamBatch("commit");
  }

  void Restart() {
    sink_ = subject_.make();
    if (!Check(sink_->Open(context_, {}), "Open of a new instance")) return;
    if (CheckpointStore* store = sink_->checkpoint_store(); store != nullptr) {
      const absl::StatusOr<std::optional<SinkCheckpoint>> loaded = store->Load();
      Require(loaded.ok() && loaded->has_value() && (*loaded)->stream == end_,
              "a new instance has the checkpoint of the last durable window");
      Require(Durable() == end_, "a new instance knows what is durable");
    } else {
      durable_ = {};  // The runtime keeps the checkpoint; the sink may begin at nothing.
    }
    Check(WriteScript("begin lsn=0/A000\n delete items 10\n commit"), "a window after a restart");
    WaitDurable("a window after a restart");
  }

  void Stopped() {
    std::stop_source stop;
    stop.request_stop();
    const absl::Time start = absl::Now();
    const absl::Status status = Write({}, true, stop.get_token());
    Require(status.ok() || status.code() == absl::StatusCode::kCancelled,
            "a stopped Write succeeds or is cancelled");
    Require(absl::Now() - start < absl::Seconds(2), "a stopped Write returns soon");
    if (!status.ok()) Check(sink_->Open(context_, {}), "Open after a stopped Write");
  }

  const SinkContractSubject& subject_;
  EventBuilder builder_;
  SinkContext context_;
  TablePlan plan_;
  std::unique_ptr<Sink> sink_;
  StreamPoint end_;
  StreamPoint durable_;
  std::vector<std::string> broken_;
};

}  // namespace

std::vector<std::string> CheckSinkContract(const SinkContractSubject& subject) {
  return Play(subject).Run();
}

}  // namespace pgflow::engine
