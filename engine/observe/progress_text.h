// ProgressText: what the progress display says, from one status after the other.
//
// No I/O and no clock: rates and times left come from the times that are passed in. One thread.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include <absl/time/time.h>

#include "engine/api/pipeline_status.h"

namespace pgflow::engine {

// Per second, smoothed over a few samples.
class Rate {
 public:
  void Add(uint64_t total, absl::Time now);
  double per_second() const { return per_second_; }

 private:
  uint64_t total_ = 0;
  absl::Time at_ = absl::InfinitePast();
  double per_second_ = 0;
};

class ProgressText {
 public:
  // Takes one sample. Call it about as often as the text is shown.
  void Update(const PipelineStatus& status, absl::Time now);

  // For a terminal: lines of at most `width` characters, at most `height` of them.
  std::vector<std::string> Lines(size_t width, size_t height) const;
  // For a log: a line, or one a sink while it takes a snapshot.
  std::vector<std::string> PlainLines() const;

 private:
  struct TableTrack {
    Rate rows;
    Rate bytes;
    absl::Time first_row = absl::InfiniteFuture();
    // What an earlier run had done, so that the time left is judged by this run's speed.
    double fraction_at_first = 0;
  };
  using TableKey = std::pair<std::string, schemas::TableName>;  // The sink and the table.

  std::string TableLine(const SinkStatus& sink, const TableStatus& table, size_t name_width) const;
  void AppendSnapshotLines(const SinkStatus& sink, size_t budget,
                           std::vector<std::string>& lines) const;
  void AppendStreamLines(std::vector<std::string>& lines) const;
  std::string SnapshotSummary(const SinkStatus& sink) const;
  std::string StreamSummary() const;
  absl::Duration TimeLeft(const SinkStatus& sink) const;

  PipelineStatus status_;
  absl::Time now_;
  Rate events_;
  Rate transactions_;
  std::map<TableKey, TableTrack> tables_;
  std::map<std::string, Rate> snapshot_bytes_;  // By sink.
};

// How much of a table is copied, 0 to 1; 1 only when it is complete.
double FractionDone(const TableStatus& table);

}  // namespace pgflow::engine
