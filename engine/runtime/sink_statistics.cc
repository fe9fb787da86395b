#include "engine/runtime/sink_statistics.h"

#include <iterator>
#include <utility>

#include "base/status.h"

namespace pgflow::engine {

SinkStatistics::SinkStatistics(std::string name, std::string type) {
  status_.name = std::move(name);
  status_.type = std::move(type);
  status_.write_latency_counts.resize(std::size(kWriteLatencyBounds) + 1);
}

void SinkStatistics::SetPhase(Phase phase) {
  base::MutexLock lock(&mutex_);
  status_.phase = phase;
}

Phase SinkStatistics::phase() const {
  base::MutexLock lock(&mutex_);
  return status_.phase;
}

void SinkStatistics::SetTables(std::vector<TableStatus> tables) {
  base::MutexLock lock(&mutex_);
  status_.tables = std::move(tables);
}

void SinkStatistics::AddRows(size_t table, uint64_t rows, uint64_t bytes) {
  base::MutexLock lock(&mutex_);
  status_.tables[table].rows_done += rows;
  status_.tables[table].bytes_done += bytes;
  status_.events += rows;
  status_.bytes += bytes;
}

void SinkStatistics::TakeRowsBack(size_t table, uint64_t rows, uint64_t bytes) {
  base::MutexLock lock(&mutex_);
  status_.tables[table].rows_done -= rows;
  status_.tables[table].bytes_done -= bytes;
}

void SinkStatistics::FinishRange(size_t table) {
  base::MutexLock lock(&mutex_);
  ++status_.tables[table].ranges_done;
}

void SinkStatistics::FinishTable(size_t table) {
  base::MutexLock lock(&mutex_);
  status_.tables[table].complete = true;
}

void SinkStatistics::OnWritten(const Window& window, absl::Duration elapsed) {
  uint64_t events = 0;
  uint64_t bytes = 0;
  uint64_t transactions = 0;
  for (const Batch& batch : window.batches) {
    events += batch.row_count();
    bytes += batch.byte_count();
    for (const TransactionSpan& span : batch.transactions()) transactions += span.ends ? 1 : 0;
  }
  const double seconds = absl::ToDoubleSeconds(elapsed);
  size_t bucket = 0;
  while (bucket < std::size(kWriteLatencyBounds) && seconds > kWriteLatencyBounds[bucket]) ++bucket;
  base::MutexLock lock(&mutex_);
  status_.events += events;
  status_.bytes += bytes;
  status_.transactions += transactions;
  ++status_.windows;
  status_.write_time += elapsed;
  ++status_.write_latency_counts[bucket];
  if (window.ends_at_commit) status_.written_lsn = window.end.end_lsn;
}

void SinkStatistics::OnDurable(StreamPoint point, absl::Time commit_time) {
  base::MutexLock lock(&mutex_);
  status_.durable_lsn = point.end_lsn;
  if (status_.written_lsn < point.end_lsn) status_.written_lsn = point.end_lsn;
  if (commit_time != absl::UnixEpoch()) status_.durable_commit_time = commit_time;
}

void SinkStatistics::OnRetry(const absl::Status& error) {
  base::MutexLock lock(&mutex_);
  ++status_.retries;
  status_.last_error = std::string(base::Message(error));
}

void SinkStatistics::OnRejection() {
  base::MutexLock lock(&mutex_);
  ++status_.rejections;
}

void SinkStatistics::OnSkipped(uint64_t count) {
  base::MutexLock lock(&mutex_);
  status_.skipped += count;
}

void SinkStatistics::ClearError() {
  base::MutexLock lock(&mutex_);
  status_.last_error.clear();
}

SinkStatus SinkStatistics::Snapshot() const {
  base::MutexLock lock(&mutex_);
  return status_;
}

}  // namespace pgflow::engine
