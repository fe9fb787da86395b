#include "engine/observe/metrics.h"

#include <set>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/observe/sample_status.h"

namespace pgflow::engine {
namespace {

using ::testing::HasSubstr;

TEST(Metrics, HasEveryFamily) {
  const std::string text = MetricsText(SampleStatus());
  for (const std::string_view line : {
           "pgflow_phase{pipeline=\"shop\",phase=\"streaming\"} 1\n",
           "pgflow_phase{pipeline=\"shop\",phase=\"failed\"} 0\n",
           "pgflow_source_events_total{pipeline=\"shop\"} 1234567\n",
           "pgflow_slot_retained_wal_bytes{pipeline=\"shop\"} 12900000\n",
           "pgflow_slot_wal_status{pipeline=\"shop\",wal_status=\"reserved\"} 1\n",
           "pgflow_slot_wal_status{pipeline=\"shop\",wal_status=\"lost\"} 0\n",
           "pgflow_spool_bytes{pipeline=\"shop\"} 8192\n",
           "pgflow_sink_lag_bytes{pipeline=\"shop\",sink=\"target\",type=\"postgres\"} 128\n",
           "pgflow_sink_queue_bytes{pipeline=\"shop\",sink=\"target\",type=\"postgres\"} 2048\n",
           "pgflow_sink_retries_total{pipeline=\"shop\",sink=\"target\",type=\"postgres\"} 4\n",
           "pgflow_sink_rejections_total{pipeline=\"shop\",sink=\"target\",type=\"postgres\"} 5\n",
           "pgflow_sink_skipped_total{pipeline=\"shop\",sink=\"target\",type=\"postgres\"} 6\n",
           "pgflow_snapshot_rows{pipeline=\"shop\",sink=\"target\",type=\"postgres\"} 1500\n",
           "type=\"postgres\",le=\"+Inf\"} 10\n",
           "pgflow_sink_write_seconds_count{pipeline=\"shop\",sink=\"target\",type=\"postgres\"} "
           "10\n",
           "# TYPE pgflow_sink_write_seconds histogram\n",
       }) {
    EXPECT_THAT(text, HasSubstr(std::string(line)));
  }
}

TEST(Metrics, SeriesDoNotGrowWithTables) {
  PipelineStatus many = SampleStatus();
  for (int i = 0; i < 100; ++i) {
    many.sinks[0].tables.push_back(many.sinks[0].tables[0]);
    many.sinks[0].tables.back().table.name += std::to_string(i);
  }
  const auto lines = [](const std::string& text) {
    return std::count(text.begin(), text.end(), '\n');
  };
  EXPECT_EQ(lines(MetricsText(many)), lines(MetricsText(SampleStatus())));
}

TEST(Metrics, NoSeriesComesTwice) {
  std::istringstream text(MetricsText(SampleStatus()));
  std::set<std::string> seen;
  for (std::string line; std::getline(text, line);) {
    EXPECT_TRUE(seen.insert(line.substr(0, line.rfind(' '))).second || line[0] == '#') << line;
  }
}

TEST(Metrics, AnEmptyStatusIsFine) { EXPECT_FALSE(MetricsText({}).empty()); }

}  // namespace
}  // namespace pgflow::engine
