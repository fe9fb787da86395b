#include "engine/observe/progress.h"

#include <unistd.h>

#include <array>
#include <atomic>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/observe/sample_status.h"

namespace pgflow::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const absl::Time kStart = absl::UnixEpoch() + absl::Hours(1);

PipelineStatus SnapshotStatus(uint64_t rows) {
  PipelineStatus status = SampleStatus();
  status.phase = Phase::kSnapshot;
  status.sinks[0].phase = Phase::kSnapshot;
  status.sinks[0].last_error.clear();
  status.sinks[0].tables[0].rows_done = rows;
  status.sinks[0].tables[0].bytes_done = rows * 800;
  return status;
}

TEST(Rate, IsSmooth) {
  Rate rate;
  rate.Add(100, kStart);
  EXPECT_EQ(rate.per_second(), 0);
  rate.Add(200, kStart + absl::Seconds(1));
  EXPECT_EQ(rate.per_second(), 100);
  rate.Add(200, kStart + absl::Seconds(2));
  EXPECT_NEAR(rate.per_second(), 66.7, 0.1);
  rate.Add(0, kStart + absl::Seconds(3));  // A restart, or another table of that name.
  EXPECT_NEAR(rate.per_second(), 66.7, 0.1);
}

TEST(FractionDone, PrefersWhatIsSure) {
  TableStatus table;
  EXPECT_EQ(FractionDone(table), 0);
  table.rows_estimate = 100;
  table.rows_done = 25;
  EXPECT_EQ(FractionDone(table), 0.25);
  table.ranges_total = 4;
  table.ranges_done = 2;
  EXPECT_EQ(FractionDone(table), 0.5);
  table.rows_done = 1000;  // The statistics were old.
  EXPECT_EQ(FractionDone(table), 0.99);
  table.complete = true;
  EXPECT_EQ(FractionDone(table), 1);
}

TEST(ProgressText, ShowsALineATableDuringTheSnapshot) {
  ProgressText text;
  text.Update(SnapshotStatus(500), kStart);
  text.Update(SnapshotStatus(600), kStart + absl::Seconds(2));
  EXPECT_THAT(text.Lines(200, 20),
              ElementsAre("snapshot into target: 1 of 2 tables, 80%, 1,600 rows, 859.4 KiB, "
                          "39.1 KiB/s, about 5.5 s left",
                          "  public.orders [############........]  60%            600 rows   "
                          "468.8 KiB      50 rows/s    39.1 KiB/s  8.0 s left",
                          "  public.users  [####################] 100%          1,000 rows   "
                          "390.6 KiB"));
}

TEST(ProgressText, FitsTheTerminal) {
  PipelineStatus status = SnapshotStatus(500);
  for (int i = 0; i < 50; ++i) status.sinks[0].tables.push_back(status.sinks[0].tables[0]);
  ProgressText text;
  text.Update(status, kStart);
  const std::vector<std::string> lines = text.Lines(40, 10);
  EXPECT_LE(lines.size(), 10U);
  EXPECT_THAT(lines.back(), HasSubstr("more tables"));
  for (size_t height = 0; height < 4; ++height) EXPECT_LE(text.Lines(40, height).size(), height);
}

TEST(ProgressText, ShowsTheStream) {
  PipelineStatus status = SampleStatus();
  status.sinks[0].last_error.clear();
  ProgressText text;
  text.Update(status, kStart);
  status.events += 5000;
  status.transactions += 100;
  text.Update(status, kStart + absl::Seconds(1));
  EXPECT_THAT(text.Lines(200, 20),
              ElementsAre("streaming: lag 128 B, 3.0 ms behind, 5000 events/s, 100 transactions/s, "
                          "spool 8.0 KiB, slot keeps 12.3 MiB",
                          "  target  at 16/80         lag      128 B    3.0 ms      1,234,000 "
                          "events  5 rejected  6 passed over"));
  EXPECT_THAT(text.PlainLines(),
              ElementsAre("streaming: lag 128 B, 3.0 ms behind, 5000 events/s, 100 transactions/s, "
                          "spool 8.0 KiB, slot keeps 12.3 MiB, target at 16/80"));
}

TEST(ProgressText, PlainLinesOfASnapshotAndAStandby) {
  ProgressText text;
  text.Update(SnapshotStatus(500), kStart);
  EXPECT_THAT(text.PlainLines(), ElementsAre(HasSubstr("snapshot into target: 1 of 2 tables")));
  PipelineStatus preparing = SnapshotStatus(0);
  preparing.sinks[0].tables.clear();
  text.Update(preparing, kStart);
  EXPECT_THAT(text.PlainLines(), ElementsAre("snapshot into target: preparing"));
  EXPECT_THAT(text.Lines(80, 24), ElementsAre("snapshot into target: preparing"));
  PipelineStatus standby;
  standby.phase = Phase::kStandby;
  text.Update(standby, kStart);
  EXPECT_THAT(text.PlainLines(), ElementsAre(HasSubstr("standby")));
  text.Update({}, kStart);
  EXPECT_THAT(text.PlainLines(), IsEmpty());
  EXPECT_THAT(text.Lines(80, 24), ElementsAre("starting"));
}

TEST(Progress, DrawsAndRemovesItsBlock) {
  EXPECT_EQ(DrawSequence({"one", "two"}), "\r\x1b[J\none\ntwo\r\x1b[2A");
  std::array<int, 2> ends{};
  ASSERT_EQ(pipe(ends.data()), 0);
  std::atomic<int> calls{0};
  {
    Progress progress(
        [&calls] {
          ++calls;
          return SampleStatus();
        },
        {.terminal = true, .descriptor = ends[1]});
    progress.Start();
    while (calls.load() == 0) std::this_thread::yield();
    progress.Stop();
    progress.Stop();
  }
  close(ends[1]);
  std::string shown;
  std::array<char, 4096> piece;
  for (ssize_t count = 0; (count = read(ends[0], piece.data(), piece.size())) > 0;) {
    shown.append(piece.data(), static_cast<size_t>(count));
  }
  close(ends[0]);
  EXPECT_THAT(shown, HasSubstr("streaming: lag 128 B"));
  EXPECT_TRUE(shown.ends_with(ClearSequence()));
}

}  // namespace
}  // namespace pgflow::engine
