#include "http/message.h"

#include <gtest/gtest.h>

namespace pgflow::http {
namespace {

TEST(MessageTest, FindsHeadersWhateverTheirCase) {
  const Headers headers = {{"Content-Type", "text/plain"}, {"RETRY-AFTER", "7"}, {"x", "1"}};
  EXPECT_EQ(FindHeader(headers, "retry-after"), "7");
  EXPECT_EQ(FindHeader(headers, "content-type"), "text/plain");
  EXPECT_EQ(FindHeader(headers, "y"), "");
}

TEST(MessageTest, KnowsWhatIsAHeader) {
  EXPECT_TRUE(IsHeader("X-Key", "a value, with \xC3\xBC and\ttab"));
  EXPECT_TRUE(IsHeader("x", ""));
  EXPECT_FALSE(IsHeader("", "v"));
  EXPECT_FALSE(IsHeader("a b", "v"));
  EXPECT_FALSE(IsHeader("a:", "v"));
  EXPECT_FALSE(IsHeader("a", "v\r\nInjected: 1"));
  EXPECT_FALSE(IsHeader("a", std::string_view("v\0w", 3)));
}

}  // namespace
}  // namespace pgflow::http
