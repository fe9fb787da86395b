// MemoryCheckpointStore: a CheckpointStore that lives as long as the test wants.
#pragma once

#include <absl/base/thread_annotations.h>

#include "base/mutex.h"
#include "engine/api/checkpoint.h"

namespace pgflow::engine {

// Thread-safe. Everything except Load, Begin and Forget is kFailedPrecondition before Begin.
class MemoryCheckpointStore final : public CheckpointStore {
 public:
  absl::StatusOr<std::optional<SinkCheckpoint>> Load() override;
  absl::Status Begin(const SourceIdentity& identity, StreamPoint start) override;
  absl::Status BeginTables(std::span<const TableProgress> tables) override;
  absl::Status FinishRange(const schemas::TableName& table, BlockRange range) override;
  absl::Status FinishTables(std::span<const schemas::TableName> tables) override;
  absl::Status FinishSnapshot(postgres::Lsn lsn) override;
  absl::Status AdvanceStream(StreamPoint point) override;
  absl::Status FollowTimeline(uint32_t timeline) override;
  absl::Status Forget() override;

 private:
  absl::StatusOr<TableProgress*> Find(const schemas::TableName& table)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  base::Mutex mutex_;
  std::optional<SinkCheckpoint> checkpoint_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace pgflow::engine
