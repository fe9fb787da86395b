// SinkStatistics: what one lane tells the observers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <absl/base/thread_annotations.h>
#include <absl/time/time.h>

#include "base/mutex.h"
#include "engine/api/pipeline_status.h"
#include "engine/api/sink.h"

namespace pgflow::engine {

// Thread-safe. Owned by its lane.
class SinkStatistics {
 public:
  SinkStatistics(std::string name, std::string type);

  void SetPhase(Phase phase);
  Phase phase() const;

  // The tables of a snapshot, before its workers start; replaces the ones of an earlier attempt.
  void SetTables(std::vector<TableStatus> tables);
  void AddRows(size_t table, uint64_t rows, uint64_t bytes);
  // A range that failed takes its rows back.
  void TakeRowsBack(size_t table, uint64_t rows, uint64_t bytes);
  void FinishRange(size_t table);
  void FinishTable(size_t table);

  void OnWritten(const Window& window, absl::Duration elapsed);
  void OnDurable(StreamPoint point, absl::Time commit_time);
  void OnRetry(const absl::Status& error);
  void OnRejection();
  void OnSkipped(uint64_t count);
  void ClearError();

  // Everything but the fields that only the pipeline knows (queue, lag).
  SinkStatus Snapshot() const;

 private:
  mutable base::Mutex mutex_;
  SinkStatus status_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace pgflow::engine
