#include "sources/postgres/timeline_history.h"

#include <gtest/gtest.h>

namespace pgflow::sources {
namespace {

using postgres::Lsn;

TEST(TimelineHistoryTest, SaysWhereATimelineWasLeft) {
  constexpr std::string_view kHistory =
      "1\t0/3000148\tno recovery target specified\n"
      "# a comment\n"
      "\n"
      "2\t1/5000060\tbefore 2026-11-22 10:00:00+00\n";
  EXPECT_EQ(FindTimelineEnd(kHistory, 1), Lsn(0x3000148));
  EXPECT_EQ(FindTimelineEnd(kHistory, 2), Lsn(0x105000060));
  EXPECT_EQ(FindTimelineEnd(kHistory, 3), std::nullopt);
  EXPECT_EQ(FindTimelineEnd("", 1), std::nullopt);
  EXPECT_EQ(FindTimelineEnd("1\tnonsense\n", 1), std::nullopt);
}

}  // namespace
}  // namespace pgflow::sources
