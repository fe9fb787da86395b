#include "engine/observe/format.h"

#include <gtest/gtest.h>

namespace pgflow::engine {
namespace {

TEST(Format, Bytes) {
  EXPECT_EQ(FormatBytes(0), "0 B");
  EXPECT_EQ(FormatBytes(1023), "1023 B");
  EXPECT_EQ(FormatBytes(1024), "1.0 KiB");
  EXPECT_EQ(FormatBytes(1024 * 1024 - 1), "1.0 MiB");
  EXPECT_EQ(FormatBytes(12'900'000), "12.3 MiB");
  EXPECT_EQ(FormatBytes(UINT64_MAX), "16384.0 PiB");
}

TEST(Format, CountsAndRates) {
  EXPECT_EQ(FormatCount(0), "0");
  EXPECT_EQ(FormatCount(999), "999");
  EXPECT_EQ(FormatCount(1000), "1,000");
  EXPECT_EQ(FormatCount(123'456'789), "123,456,789");
  EXPECT_EQ(FormatRate(0), "0");
  EXPECT_EQ(FormatRate(0.5), "0.5");
  EXPECT_EQ(FormatRate(9'999), "9999");
  EXPECT_EQ(FormatRate(12'345), "12.3k");
  EXPECT_EQ(FormatRate(1'250'000), "1.2M");
}

TEST(Format, Durations) {
  EXPECT_EQ(ShortDuration(absl::ZeroDuration()), "0 ms");
  EXPECT_EQ(ShortDuration(absl::Seconds(-5)), "0 ms");
  EXPECT_EQ(ShortDuration(absl::Microseconds(3400)), "3.4 ms");
  EXPECT_EQ(ShortDuration(absl::Milliseconds(250)), "250 ms");
  EXPECT_EQ(ShortDuration(absl::Milliseconds(12'340)), "12.3 s");
  EXPECT_EQ(ShortDuration(absl::Seconds(245)), "4m05s");
  EXPECT_EQ(ShortDuration(absl::Minutes(130)), "2h10m");
  EXPECT_EQ(ShortDuration(absl::Hours(76)), "3d04h");
  EXPECT_EQ(ShortDuration(absl::InfiniteDuration()), "unknown");
}

TEST(Format, Widths) {
  EXPECT_EQ(FitWidth("abc", 5), "abc  ");
  EXPECT_EQ(FitWidth("abcdef", 5), "abcd…");
  EXPECT_EQ(FitWidth("größe", 6), "größe ");
  EXPECT_EQ(CutWidth("größe", 5), "größe");
  EXPECT_EQ(CutWidth("größer", 4), "grö…");
  EXPECT_EQ(CutWidth("abc", 0), "");
}

TEST(Format, Tables) {
  EXPECT_EQ(FormatTable({{"NAME", "N"}, {"a", "100"}, {"long name", "1"}}, {false, true}),
            "NAME         N\n"
            "a          100\n"
            "long name    1\n");
}

}  // namespace
}  // namespace pgflow::engine
