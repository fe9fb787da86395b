#include "postgres/types/lsn.h"

#include <gtest/gtest.h>

namespace pgflow::postgres {
namespace {

TEST(LsnTest, ParsesAndPrints) {
  ASSERT_TRUE(Lsn::Parse("16/B374D848").has_value());
  EXPECT_EQ(Lsn::Parse("16/B374D848")->value(), 0x16B374D848ULL);
  EXPECT_EQ(Lsn(0x16B374D848ULL).ToString(), "16/B374D848");
  EXPECT_EQ(fmt::format("{}", Lsn(1)), "0/1");
}

TEST(LsnTest, RefusesWhatIsNoLsn) {
  for (const char* text : {"", "16", "/", "1/", "/1", "1/123456789", "x/1", "1/1 ", "-1/1"}) {
    EXPECT_FALSE(Lsn::Parse(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace pgflow::postgres
