#include "engine/observe/top_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/observe/sample_status.h"

namespace pgflow::engine {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

TableActivity Activity(const std::string& table, uint64_t inserts, uint64_t updates,
                       uint64_t bytes) {
  TableActivity activity;
  activity.sink = "target";
  activity.table = {"public", table};
  activity.changes[static_cast<size_t>(Operation::kInsert)] = inserts;
  activity.changes[static_cast<size_t>(Operation::kUpdate)] = updates;
  activity.bytes = bytes;
  return activity;
}

TopText AfterTwoSeconds() {
  TopText text;
  PipelineStatus status = SampleStatus();
  const absl::Time start = absl::FromUnixSeconds(1'700'000'000);
  text.Update(status, {Activity("orders", 100, 0, 0)}, start);
  status.events += 2000;
  status.sinks[0].events += 2000;
  status.sinks[0].bytes += 2 << 20;
  status.sinks[0].windows += 4;
  status.sinks[0].write_time += absl::Milliseconds(8);
  text.Update(status, {Activity("orders", 100, 20, 2048), Activity("users", 2000, 0, 4 << 20)},
              start + absl::Seconds(2));
  return text;
}

TEST(TopText, ShowsRatesSinksAndTheBusiestTablesFirst) {
  const std::vector<std::string> lines = AfterTwoSeconds().Lines(200, 50);
  EXPECT_THAT(lines[0], AllOf(StartsWith("shop: streaming"), HasSubstr("1000 changes/s"),
                              HasSubstr("8.0 KiB in the spool")));
  EXPECT_THAT(lines, Contains(AllOf(StartsWith("target "), HasSubstr("16/80"), HasSubstr("1000"),
                                    HasSubstr("1.0 MiB"), HasSubstr("2.0 ms"))));
  EXPECT_THAT(lines, Contains("target: retrying after: connection lost"));
  const auto line_of = [&lines](std::string_view start) {
    return std::ranges::find_if(
        lines, [start](const std::string& line) { return line.starts_with(start); });
  };
  ASSERT_NE(line_of("public.orders"), lines.end());
  EXPECT_LT(line_of("public.users"), line_of("public.orders"));
  EXPECT_THAT(*line_of("public.users"), AllOf(HasSubstr("1000"), HasSubstr("2.0 MiB")));
}

TEST(TopText, KeepsToTheScreen) {
  for (size_t height = 1; height < 12; ++height) {
    const std::vector<std::string> lines = AfterTwoSeconds().Lines(20, height);
    EXPECT_LE(lines.size(), height);
    for (const std::string& line : lines) EXPECT_LE(line.size(), 22U);
  }
}

TEST(TopText, PlainLinesNameWhatMoves) {
  const std::vector<std::string> lines = AfterTwoSeconds().PlainLines();
  EXPECT_THAT(lines, Contains("table public.orders into target: 10 update/s, 1.0 KiB/s"));
  EXPECT_THAT(lines, Contains(StartsWith("sink target: streaming, frontier 16/80")));
  TopText idle;
  idle.Update(SampleStatus(), {Activity("orders", 5, 0, 0)}, absl::FromUnixSeconds(1));
  EXPECT_THAT(idle.PlainLines(), Not(Contains(HasSubstr("table"))));
}

TEST(TopText, SurvivesAnotherProcess) {
  TopText text = AfterTwoSeconds();
  PipelineStatus fresh = SampleStatus();
  fresh.events = 0;
  fresh.sinks[0].windows = 1;
  fresh.sinks[0].write_time = absl::Milliseconds(7);
  text.Update(fresh, {}, absl::FromUnixSeconds(1'700'000'010));
  EXPECT_THAT(text.PlainLines(), Contains(HasSubstr("write 7.0 ms")));
}

}  // namespace
}  // namespace pgflow::engine
