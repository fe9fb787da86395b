#include "sinks/encoding/decimal.h"

#include <random>

#include <gtest/gtest.h>

#include "sinks/encoding/parsed_times.h"

namespace pgflow::sinks {
namespace {

std::string Unscaled(std::string_view number, int32_t scale) {
  std::string bytes;
  return AppendUnscaled(number, scale, bytes) ? bytes : "none";
}

TEST(Decimal, ScaleIsTheDigitsBehindThePoint) {
  EXPECT_EQ(ScaleOf("12"), 0);
  EXPECT_EQ(ScaleOf("-0.500"), 3);
  EXPECT_EQ(ScaleOf("NaN"), std::nullopt);
  EXPECT_EQ(ScaleOf("-Infinity"), std::nullopt);
  EXPECT_EQ(ScaleOf(""), std::nullopt);
}

TEST(Decimal, UnscaledIsTheShortestTwosComplement) {
  EXPECT_EQ(Unscaled("0", 0), std::string("\0", 1));
  EXPECT_EQ(Unscaled("0.00", 2), std::string("\0", 1));
  EXPECT_EQ(Unscaled("12.50", 2), "\x04\xE2");
  EXPECT_EQ(Unscaled("127", 0), "\x7F");
  EXPECT_EQ(Unscaled("128", 0), std::string("\0\x80", 2));
  EXPECT_EQ(Unscaled("-1", 0), "\xFF");
  EXPECT_EQ(Unscaled("-128", 0), "\x80");
  EXPECT_EQ(Unscaled("-129", 0), "\xFF\x7F");
  EXPECT_EQ(Unscaled("-256", 0), std::string("\xFF\0", 2));
  EXPECT_EQ(Unscaled("1200", -2), "\x0C");
  EXPECT_EQ(Unscaled("1", 3), "\x03\xE8");
}

TEST(Decimal, RefusesWhatTheScaleWouldRound) {
  EXPECT_EQ(Unscaled("1.234", 2), "none");
  EXPECT_EQ(Unscaled("1.230", 2), "{");
  EXPECT_EQ(Unscaled("1234", -2), "none");
  EXPECT_EQ(Unscaled("NaN", 2), "none");
  EXPECT_EQ(Unscaled("1e5", 0), "none");
}

TEST(Decimal, AgreesWithMachineIntegers) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  for (int i = 0; i < 10'000; ++i) {
    const auto number = static_cast<int64_t>(random()) >> (random() % 64);
    const std::string bytes = Unscaled(std::to_string(number), 0);
    ASSERT_FALSE(bytes.empty() || bytes.size() > 8);
    int64_t read = static_cast<int8_t>(bytes[0]);
    for (size_t at = 1; at < bytes.size(); ++at) {
      read = read * 256 + static_cast<uint8_t>(bytes[at]);
    }
    EXPECT_EQ(read, number);
  }
}

TEST(ParsedTimes, ReadWhatTheServerPrints) {
  EXPECT_EQ(ParseDays("1970-01-01"), 0);
  EXPECT_EQ(ParseDays("2024-02-29"), 19782);
  EXPECT_EQ(ParseDays("0001-12-31 BC"), -719'163);
  EXPECT_EQ(ParseDays("infinity"), kInfinity);
  EXPECT_EQ(ParseDays("2024-02"), std::nullopt);
  EXPECT_EQ(ParseClock("24:00:00"), 86'400'000'000);
  EXPECT_EQ(ParseClock("00:00:00.000001"), 1);
  EXPECT_EQ(ParseClockWithZone("12:00:00+02"), 36'000'000'000);
  EXPECT_EQ(ParseClockWithZone("00:30:00+05:30"), 68'400'000'000);
  EXPECT_EQ(ParseClockWithZone("23:00:00-02"), 3'600'000'000);
  EXPECT_EQ(ParseMicros("1969-12-31 23:59:59.5+00"), -500'000);
  EXPECT_EQ(ParseMicros("-infinity"), kMinusInfinity);
  EXPECT_EQ(ParseMicros("now"), std::nullopt);
  EXPECT_EQ(ParseMicros("294276-12-31 23:59:59.999999"), std::nullopt);
  const std::optional<ParsedInterval> interval =
      ParseInterval("-1 years +2 mons -3 days +04:05:06");
  ASSERT_TRUE(interval.has_value());
  EXPECT_EQ(interval->months, -10);
  EXPECT_EQ(interval->days, -3);
  EXPECT_EQ(interval->micros, 14'706'000'000);
  EXPECT_EQ(ParseInterval("-00:00:01")->micros, -1'000'000);
  EXPECT_EQ(ParseInterval("00:00:00")->micros, 0);
  EXPECT_EQ(ParseInterval("3 fortnights"), std::nullopt);
}

}  // namespace
}  // namespace pgflow::sinks
