#include "engine/testing/fake_source.h"

#include <algorithm>
#include <utility>

#include "base/status.h"

namespace pgflow::engine {
namespace {

CopyRows CopyOf(const CopyRows& rows) { return rows; }

// `chunk` without its transactions up to `tail`, as a server would begin behind them.
Chunk Behind(const Chunk& chunk, StreamPoint tail) {
  const auto first = std::ranges::find_if(chunk.transactions, [tail](const TransactionSpan& span) {
    return span.commit_lsn > tail.commit_lsn && span.end_lsn > tail.end_lsn;
  });
  const auto skipped = static_cast<uint32_t>(first - chunk.transactions.begin());
  if (skipped == 0) return chunk;
  Chunk rest = chunk;
  rest.transactions.erase(rest.transactions.begin(), rest.transactions.begin() + skipped);
  std::erase_if(rest.records,
                [skipped](const EventRecord& record) { return record.transaction < skipped; });
  for (EventRecord& record : rest.records) record.transaction -= skipped;
  return rest;
}

}  // namespace

// Reads the ranges as they were when the session was opened.
class FakeSession final : public SnapshotSession {
 public:
  explicit FakeSession(FakeServer& server) : server_(server) {
    base::MutexLock lock(&server.mutex_);
    ++server.snapshot_count_;
    ++server.sessions_;
    server.slots_own_ = false;
    consistent_point_ = std::max(server.consistent_point_, server.end_);
    if (server.snapshot_count_ == 1) consistent_point_ = server.consistent_point_;
    for (const auto& [name, table] : server.tables_) {
      SnapshotTable& added = tables_.emplace_back();
      added.schema = table.schema;
      added.has_primary_key = table.schema->HasKey();
      added.storage = table.storage;
      for (const CopyRows& range : table.ranges) {
        added.bytes += range.bytes.size();
        const auto block = static_cast<uint32_t>(added.ranges.size());
        added.ranges.push_back({block, block + 1});
      }
      if (added.ranges.empty()) added.ranges.push_back({0, 1});
      added.ranges.back().end = BlockRange::kOpenEnd;
    }
  }

  ~FakeSession() override {
    base::MutexLock lock(&server_.mutex_);
    --server_.sessions_;
  }

  postgres::Lsn consistent_point() const override { return consistent_point_; }
  const std::string& snapshot() const override { return snapshot_; }
  std::span<const SnapshotTable> tables() const override { return tables_; }
  const schemas::DatabaseDefinition& definition() const override { return definition_; }
  absl::StatusOr<std::unique_ptr<RangeReader>> OpenReader(std::stop_token stop) override;

 private:
  FakeServer& server_;
  postgres::Lsn consistent_point_;
  std::string snapshot_ = "10:20:";
  std::vector<SnapshotTable> tables_;
  schemas::DatabaseDefinition definition_;
};

class FakeReader final : public RangeReader {
 public:
  FakeReader(FakeServer& server, std::span<const SnapshotTable> tables)
      : server_(server), tables_(tables) {}

  absl::StatusOr<RangeOutcome> Read(const RangeRequest& request, const BatchConsumer& consume,
                                    std::stop_token /*stop*/) override {
    PGFLOW_RETURN_IF_ERROR(server_.errors_.Next("read"));
    const SnapshotTable& table = tables_[request.table];
    std::vector<CopyRows> wanted;
    {
      base::MutexLock lock(&server_.mutex_);
      const auto found = server_.tables_.find(table.schema->table);
      if (found == server_.tables_.end() || found->second.storage != table.storage) {
        return RangeOutcome::kTableChanged;
      }
      const std::vector<CopyRows>& ranges = found->second.ranges;
      const size_t end = std::min<size_t>(request.range.end, ranges.size());
      if (!request.only_newer_than.empty()) {
        if (found->second.newer.has_value()) wanted.push_back(CopyOf(*found->second.newer));
      } else {
        for (size_t i = request.range.first; i < end; ++i) wanted.push_back(CopyOf(ranges[i]));
      }
    }
    for (CopyRows& rows : wanted) {
      if (rows.row_count > 0) PGFLOW_RETURN_IF_ERROR(consume(Batch(std::move(rows))));
    }
    return RangeOutcome::kDone;
  }

 private:
  FakeServer& server_;
  std::span<const SnapshotTable> tables_;
};

absl::StatusOr<std::unique_ptr<RangeReader>> FakeSession::OpenReader(std::stop_token /*stop*/) {
  return std::make_unique<FakeReader>(server_, tables_);
}

void FakeServer::Add(Step step) {
  base::MutexLock lock(&mutex_);
  if (const Chunk* chunk = std::get_if<Chunk>(&step)) {
    for (const TransactionSpan& span : chunk->transactions) end_ = std::max(end_, span.end_lsn);
  } else if (const Commit* commit = std::get_if<Commit>(&step)) {
    end_ = std::max(end_, commit->span.end_lsn);
  } else if (const postgres::Lsn* idle = std::get_if<postgres::Lsn>(&step)) {
    end_ = std::max(end_, *idle);
  }
  steps_.push_back(std::move(step));
}

void FakeServer::Write(Chunk chunk) { Add(std::move(chunk)); }
void FakeServer::WriteOpen(postgres::Xid xid, Chunk chunk) { Add(Open{xid, std::move(chunk)}); }
void FakeServer::CommitOpen(postgres::Xid xid, TransactionSpan commit,
                            std::vector<postgres::Xid> aborted) {
  Add(Commit{xid, commit, std::move(aborted)});
}
void FakeServer::DropOpen(postgres::Xid xid) { Add(Drop{xid}); }
void FakeServer::Idle(postgres::Lsn lsn) { Add(lsn); }

void FakeServer::SetTable(schemas::TableSchemaPtr schema, std::vector<CopyRows> ranges) {
  base::MutexLock lock(&mutex_);
  Table& table = tables_[schema->table];
  table.schema = std::move(schema);
  table.ranges = std::move(ranges);
  table.storage = next_storage_++;
}

void FakeServer::SetConsistentPoint(postgres::Lsn lsn) {
  base::MutexLock lock(&mutex_);
  consistent_point_ = lsn;
}

void FakeServer::SetNewerRows(const schemas::TableName& table, CopyRows rows) {
  base::MutexLock lock(&mutex_);
  tables_[table].newer = std::move(rows);
}

void FakeServer::Disconnect() {
  base::MutexLock lock(&mutex_);
  disconnect_ = true;
}

void FakeServer::SetSlotInUse(bool in_use) {
  base::MutexLock lock(&mutex_);
  slot_in_use_ = in_use;
}

void FakeServer::SetUnpublished(const schemas::TableName& table) {
  base::MutexLock lock(&mutex_);
  unpublished_.insert(table);
}

void FakeServer::RemoveSlot() {
  base::MutexLock lock(&mutex_);
  slot_exists_ = false;
}

void FakeServer::SetIdentity(SourceIdentity identity) {
  base::MutexLock lock(&mutex_);
  identity_ = std::move(identity);
}

postgres::Lsn FakeServer::acknowledged() const {
  base::MutexLock lock(&mutex_);
  return acknowledged_;
}

int FakeServer::run_count() const {
  base::MutexLock lock(&mutex_);
  return run_count_;
}

int FakeServer::snapshot_count() const {
  base::MutexLock lock(&mutex_);
  return snapshot_count_;
}

int FakeServer::snapshots_held() const {
  base::MutexLock lock(&mutex_);
  return sessions_ + (slots_own_ ? 1 : 0);
}

bool FakeServer::WaitForAcknowledged(postgres::Lsn lsn, absl::Duration timeout) const {
  base::MutexLock lock(&mutex_);
  const auto there = [this, lsn]()
                         ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return acknowledged_ >= lsn; };
  return mutex_.AwaitWithTimeout(base::Condition(&there), timeout);
}

// `tail`: where the engine or the slot stood when this Run began.
absl::Status FakeServer::Deliver(const Step& step, StreamPoint tail, StreamWriter& out) {
  if (const Chunk* chunk = std::get_if<Chunk>(&step)) {
    Chunk rest = Behind(*chunk, tail);
    return rest.transactions.empty() ? absl::OkStatus() : out.Append(std::move(rest));
  }
  if (const Open* open = std::get_if<Open>(&step)) return out.AppendOpen(open->xid, open->chunk);
  if (const Commit* commit = std::get_if<Commit>(&step)) {
    if (commit->span.commit_lsn > tail.commit_lsn && commit->span.end_lsn > tail.end_lsn) {
      return out.CommitOpen(commit->xid, commit->span, commit->aborted);
    }
    out.DropOpen(commit->xid);
    return absl::OkStatus();
  }
  if (const Drop* drop = std::get_if<Drop>(&step)) {
    out.DropOpen(drop->xid);
    return absl::OkStatus();
  }
  const postgres::Lsn idle = std::get<postgres::Lsn>(step);
  return idle > tail.end_lsn ? out.Idle(idle) : absl::OkStatus();
}

absl::StatusOr<SourceIdentity> FakeSource::Open(std::stop_token /*stop*/) {
  PGFLOW_RETURN_IF_ERROR(server_.errors_.Next("open"));
  base::MutexLock lock(&server_.mutex_);
  return server_.identity_;
}

absl::StatusOr<SlotState> FakeSource::OpenSlot(bool create, std::stop_token /*stop*/) {
  PGFLOW_RETURN_IF_ERROR(server_.errors_.Next("open_slot"));
  base::MutexLock lock(&server_.mutex_);
  SlotState state;
  if (!server_.slot_exists_) {
    if (!create) return absl::Status(absl::StatusCode::kNotFound, "there is no slot");
    server_.slot_exists_ = true;
    server_.acknowledged_ = server_.consistent_point_;
    server_.slots_own_ = true;
    state.created = true;
  }
  state.confirmed_flush = server_.acknowledged_;
  return state;
}

absl::Status FakeSource::DropSlot(std::stop_token /*stop*/) {
  server_.RemoveSlot();
  return absl::OkStatus();
}

TableSelection FakeSource::selection() const { return selection_; }

absl::StatusOr<std::vector<ChosenTable>> FakeSource::ListTables(const TableSelection& /*selection*/,
                                                                std::stop_token /*stop*/) {
  base::MutexLock lock(&server_.mutex_);
  std::vector<ChosenTable> tables;
  for (const auto& [name, table] : server_.tables_) {
    tables.push_back({name, !server_.unpublished_.contains(name)});
  }
  return tables;
}

absl::Status FakeSource::Select(const TableSelection& selection, std::stop_token /*stop*/) {
  PGFLOW_RETURN_IF_ERROR(server_.errors_.Next("select"));
  base::MutexLock lock(&server_.mutex_);
  selection_ = selection;
  server_.unpublished_.clear();
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<SnapshotSession>> FakeSource::OpenSnapshot(
    std::stop_token /*stop*/) {
  PGFLOW_RETURN_IF_ERROR(server_.errors_.Next("open_snapshot"));
  return std::make_unique<FakeSession>(server_);
}

void FakeSource::ReleaseSnapshot() {
  base::MutexLock lock(&server_.mutex_);
  server_.slots_own_ = false;
}

absl::Status FakeSource::Run(StreamWriter& out, std::stop_token stop) {
  PGFLOW_RETURN_IF_ERROR(server_.errors_.Next("run"));
  size_t next = 0;
  StreamPoint tail = out.tail();
  {
    base::MutexLock lock(&server_.mutex_);
    ++server_.run_count_;
    server_.disconnect_ = false;
    if (!server_.slot_exists_) return absl::Status(absl::StatusCode::kNotFound, "no slot");
    if (server_.slot_in_use_) {
      absl::Status in_use(absl::StatusCode::kUnavailable, "the slot is in use");
      base::SetPayload(in_use, kSlotInUsePayload, "1");
      return in_use;
    }
    tail.end_lsn = std::max(tail.end_lsn, server_.acknowledged_);
  }
  out.Started();
  while (!stop.stop_requested()) {
    PGFLOW_RETURN_IF_ERROR(out.Writable());
    if (!out.WaitForRoom(absl::Milliseconds(5), stop)) continue;
    std::optional<FakeServer::Step> step;
    {
      base::MutexLock lock(&server_.mutex_);
      const auto ready = [this, next]() ABSL_SHARED_LOCKS_REQUIRED(server_.mutex_) {
        return server_.disconnect_ || next < server_.steps_.size();
      };
      // The token cannot wake a condition: look at it now and then.
      server_.mutex_.AwaitWithTimeout(base::Condition(&ready), absl::Milliseconds(5));
      if (server_.disconnect_) {
        return absl::Status(absl::StatusCode::kUnavailable, "the connection was lost");
      }
      if (next < server_.steps_.size()) step = server_.steps_[next++];
    }
    if (step.has_value()) PGFLOW_RETURN_IF_ERROR(server_.Deliver(*step, tail, out));
  }
  return absl::Status(absl::StatusCode::kCancelled, "stopped");
}

absl::Status FakeSource::ConfirmSlot(std::stop_token /*stop*/) {
  ++server_.confirm_count_;
  return server_.errors_.Next("confirm_slot");
}

void FakeSource::Acknowledge(postgres::Lsn lsn) {
  base::MutexLock lock(&server_.mutex_);
  server_.acknowledged_ = std::max(server_.acknowledged_, lsn);
}

absl::StatusOr<SlotHealth> FakeSource::Health(std::stop_token /*stop*/) {
  PGFLOW_RETURN_IF_ERROR(server_.errors_.Next("health"));
  base::MutexLock lock(&server_.mutex_);
  const postgres::Lsn end = std::max(server_.end_, server_.acknowledged_);
  return SlotHealth{"reserved", end.value() - server_.acknowledged_.value(), end, 0, {}, {}, ""};
}

absl::StatusOr<postgres::Lsn> FakeSource::CurrentLsn(std::stop_token /*stop*/) {
  base::MutexLock lock(&server_.mutex_);
  return server_.end_;
}

}  // namespace pgflow::engine
