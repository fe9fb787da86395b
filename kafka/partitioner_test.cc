#include "kafka/partitioner.h"

#include <gtest/gtest.h>

namespace pgflow::kafka {
namespace {

// The vectors of Kafka's own UtilsTest.testMurmur2.
TEST(Partitioner, HashesAsJavaDoes) {
  EXPECT_EQ(static_cast<int32_t>(Murmur2("21")), -973932308);
  EXPECT_EQ(static_cast<int32_t>(Murmur2("foobar")), -790332482);
  EXPECT_EQ(static_cast<int32_t>(Murmur2("a-little-bit-long-string")), -985981536);
  EXPECT_EQ(static_cast<int32_t>(Murmur2("a-little-bit-longer-string")), -1486304829);
  EXPECT_EQ(static_cast<int32_t>(Murmur2("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8")),
            -58897971);
  EXPECT_EQ(static_cast<int32_t>(Murmur2(std::string_view("abc"))), 479470107);
}

TEST(Partitioner, DropsTheSignBeforeItDivides) {
  EXPECT_EQ(PartitionOfKey("21", 6),
            static_cast<int32_t>((static_cast<uint32_t>(-973932308) & 0x7fffffffU) % 6));
  EXPECT_EQ(PartitionOfKey("", 1), 0);
}

}  // namespace
}  // namespace pgflow::kafka
