// TopText: what `pgflow top` shows, from one answer of the admin port after the other.
//
// No I/O and no clock. One thread.
#pragma once

#include <array>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <absl/time/time.h>

#include "engine/api/pipeline_status.h"
#include "engine/observe/progress_text.h"
#include "engine/observe/table_activity.h"

namespace pgflow::engine {

class TopText {
 public:
  // Takes one sample of each; about one a second.
  void Update(const PipelineStatus& status, const std::vector<TableActivity>& activity,
              absl::Time now);

  // For a terminal: lines of at most `width` characters, at most `height` of them; the busiest
  // tables first.
  std::vector<std::string> Lines(size_t width, size_t height) const;
  // Without one: a line for the source, for each sink, and for each table that moves.
  std::vector<std::string> PlainLines() const;

 private:
  using TableKey = std::pair<std::string, schemas::TableName>;  // The sink and the table.
  struct TableRates {
    std::array<Rate, kOperationCount> changes;
    Rate bytes;

    double per_second(Operation operation) const {
      return changes[static_cast<size_t>(operation)].per_second();
    }
    double changes_per_second() const;
  };
  struct SinkRates {
    Rate events;
    Rate bytes;
    uint64_t windows = 0;
    absl::Duration write_time;
    absl::Duration latency;  // Mean of the windows since the last sample that had any.
  };

  void UpdateSink(const SinkStatus& sink);
  std::vector<TableKey> Busiest() const;
  std::string Heading() const;
  std::string SinkTable() const;
  std::string TableTable(size_t rows_max) const;

  PipelineStatus status_;
  absl::Time now_ = absl::InfinitePast();
  Rate events_;
  Rate transactions_;
  Rate bytes_;
  std::map<std::string, SinkRates> sinks_;
  std::map<TableKey, TableRates> tables_;
};

}  // namespace pgflow::engine
