#include "base/bytes.h"

#include <gtest/gtest.h>

namespace pgflow::base {
namespace {

TEST(BytesTest, RoundTripsBigEndian) {
  std::string bytes;
  AppendBigEndian<uint16_t>(bytes, 0x0102);
  AppendBigEndian<int32_t>(bytes, -2);
  AppendBigEndian<uint64_t>(bytes, 0x0102030405060708ULL);
  EXPECT_EQ(bytes.substr(0, 2), std::string("\x01\x02", 2));
  ByteReader reader(bytes);
  EXPECT_EQ(reader.Read<uint16_t>(), 0x0102);
  EXPECT_EQ(reader.Read<int32_t>(), -2);
  EXPECT_EQ(reader.Read<uint64_t>(), 0x0102030405060708ULL);
  EXPECT_TRUE(reader.ok());
  EXPECT_EQ(reader.remaining(), 0u);
}

TEST(BytesTest, ReadingPastTheEndFailsForGood) {
  ByteReader reader("abc");
  EXPECT_EQ(reader.Read<uint32_t>(), 0u);
  EXPECT_FALSE(reader.ok());
  EXPECT_EQ(reader.Read<uint8_t>(), 0u);
  EXPECT_TRUE(reader.ReadBytes(1).empty());
}

TEST(BytesTest, ReadsCStrings) {
  ByteReader reader(std::string_view("ab\0cd", 5));
  EXPECT_EQ(reader.ReadCString(), "ab");
  EXPECT_EQ(reader.ReadCString(), "");
  EXPECT_FALSE(reader.ok());
}

}  // namespace
}  // namespace pgflow::base
