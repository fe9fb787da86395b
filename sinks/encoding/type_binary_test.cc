#include "sinks/encoding/type_binary.h"

#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "sinks/encoding/type_text.h"

namespace pgflow::sinks {
namespace {

namespace oid = postgres::oid;

// Text to binary and back.
std::string RoundTrip(postgres::Oid type, std::string_view text) {
  std::string binary;
  if (!AppendBinaryOfText(text, type, binary)) return "refused";
  const TypeText* back = FindTypeText(type);
  std::string again;
  if (back == nullptr || !back->append(binary, *back, again)) return "unreadable";
  return again;
}

TEST(TypeBinaryTest, ReadsWhatTheServerWrites) {
  const std::pair<postgres::Oid, std::vector<std::string_view>> cases[] = {
      {oid::kBool, {"t", "f"}},
      {oid::kInt2, {"-32768", "32767"}},
      {oid::kInt4, {"0", "-2147483648"}},
      {oid::kInt8, {"9223372036854775807", "-9223372036854775808"}},
      {oid::kFloat4, {"0.1", "-1.5e+30", "NaN", "-Infinity"}},
      {oid::kFloat8, {"0.1", "1e+300", "Infinity", "-0"}},
      {oid::kNumeric,
       {"0", "0.00", "1", "-1", "10000", "12345678901234567890.123456789", "0.0001", "0.00001000",
        "100000000", "-0.5", "9999.9999", "NaN", "Infinity", "-Infinity"}},
      {oid::kText, {"", "anything"}},
      {oid::kJsonb, {"{\"a\": 1}"}},
      {oid::kBytea, {"\\x", "\\x00ff10"}},
      {oid::kUuid, {"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"}},
      {oid::kDate,
       {"2000-01-01", "1999-12-31", "2024-02-29", "0044-03-15 BC", "4713-01-01 BC", "5874897-12-31",
        "infinity", "-infinity"}},
      {oid::kTimestamp,
       {"2000-01-01 00:00:00", "1999-12-31 23:59:59.999999", "0044-03-15 12:00:00 BC",
        "294276-12-31 23:59:59.999999", "infinity", "-infinity"}},
      {oid::kTimestamptz, {"2026-01-31 12:34:56.5+00"}},
  };
  for (const auto& [type, texts] : cases) {
    for (const std::string_view text : texts) EXPECT_EQ(RoundTrip(type, text), text) << type;
  }
}

TEST(TypeBinaryTest, ReadsOffsets) {
  EXPECT_EQ(RoundTrip(oid::kTimestamptz, "2026-01-31 12:00:00+05:30"), "2026-01-31 06:30:00+00");
  EXPECT_EQ(RoundTrip(oid::kTimestamptz, "2026-01-31T12:00:00Z"), "2026-01-31 12:00:00+00");
  EXPECT_EQ(RoundTrip(oid::kTimestamp, "2026-01-31"), "2026-01-31 00:00:00");
}

TEST(TypeBinaryTest, RefusesWhatIsNoValue) {
  const std::pair<postgres::Oid, std::string_view> cases[] = {
      {oid::kBool, "maybe"},        {oid::kInt2, "32768"},
      {oid::kInt4, "1x"},           {oid::kInt8, ""},
      {oid::kFloat8, "1.2.3"},      {oid::kNumeric, "1e5"},
      {oid::kNumeric, "-"},         {oid::kBytea, "\\x0"},
      {oid::kBytea, "abc"},         {oid::kUuid, "a0eebc99"},
      {oid::kDate, "2023-02-29"},   {oid::kDate, "2023-13-01"},
      {oid::kDate, "2023-01-01 x"}, {oid::kTimestamp, "2023-01-01 25:00"},
      {1007 /* int4[] */, "{1}"},
  };
  for (const auto& [type, text] : cases) {
    std::string out = "before";
    EXPECT_FALSE(AppendBinaryOfText(text, type, out)) << text;
    EXPECT_EQ(out, "before");
  }
}

}  // namespace
}  // namespace pgflow::sinks
