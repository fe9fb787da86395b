#include "engine/testing/memory_checkpoint_store.h"

#include <algorithm>

#include "base/status.h"

namespace pgflow::engine {
namespace {

absl::Status NotBegun() {
  return absl::Status(absl::StatusCode::kFailedPrecondition, "the checkpoint was not begun");
}

}  // namespace

absl::StatusOr<std::optional<SinkCheckpoint>> MemoryCheckpointStore::Load() {
  base::MutexLock lock(&mutex_);
  return checkpoint_;
}

absl::Status MemoryCheckpointStore::Begin(const SourceIdentity& identity, StreamPoint start) {
  base::MutexLock lock(&mutex_);
  checkpoint_.emplace();
  checkpoint_->identity = identity;
  checkpoint_->stream = start;
  return absl::OkStatus();
}

absl::Status MemoryCheckpointStore::BeginTables(std::span<const TableProgress> tables) {
  base::MutexLock lock(&mutex_);
  if (!checkpoint_.has_value()) return NotBegun();
  for (const TableProgress& begun : tables) {
    std::erase_if(checkpoint_->tables,
                  [&begun](const TableProgress& table) { return table.table == begun.table; });
    checkpoint_->tables.push_back(begun);
  }
  return absl::OkStatus();
}

absl::StatusOr<TableProgress*> MemoryCheckpointStore::Find(const schemas::TableName& table) {
  if (!checkpoint_.has_value()) return NotBegun();
  for (TableProgress& progress : checkpoint_->tables) {
    if (progress.table == table) return &progress;
  }
  return base::MakeStatus(absl::StatusCode::kFailedPrecondition, "table {} was not begun",
                          table.ToString());
}

absl::Status MemoryCheckpointStore::FinishRange(const schemas::TableName& table, BlockRange range) {
  base::MutexLock lock(&mutex_);
  PGFLOW_ASSIGN_OR_RETURN(TableProgress * progress, Find(table));
  if (std::ranges::find(progress->finished, range) == progress->finished.end()) {
    progress->finished.push_back(range);
  }
  return absl::OkStatus();
}

absl::Status MemoryCheckpointStore::FinishTables(std::span<const schemas::TableName> tables) {
  base::MutexLock lock(&mutex_);
  for (const schemas::TableName& table : tables) {
    PGFLOW_ASSIGN_OR_RETURN(TableProgress * progress, Find(table));
    progress->complete = true;
  }
  return absl::OkStatus();
}

absl::Status MemoryCheckpointStore::FinishSnapshot(postgres::Lsn lsn) {
  base::MutexLock lock(&mutex_);
  if (!checkpoint_.has_value()) return NotBegun();
  checkpoint_->snapshot_complete = true;
  checkpoint_->snapshot_lsn = lsn;
  return absl::OkStatus();
}

absl::Status MemoryCheckpointStore::AdvanceStream(StreamPoint point) {
  base::MutexLock lock(&mutex_);
  if (!checkpoint_.has_value()) return NotBegun();
  checkpoint_->stream = point;
  return absl::OkStatus();
}

absl::Status MemoryCheckpointStore::FollowTimeline(uint32_t timeline) {
  base::MutexLock lock(&mutex_);
  if (!checkpoint_.has_value()) return NotBegun();
  checkpoint_->identity.timeline = timeline;
  return absl::OkStatus();
}

absl::Status MemoryCheckpointStore::Forget() {
  base::MutexLock lock(&mutex_);
  checkpoint_.reset();
  return absl::OkStatus();
}

}  // namespace pgflow::engine
