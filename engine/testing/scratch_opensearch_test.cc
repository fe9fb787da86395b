#include "engine/testing/scratch_opensearch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pgflow::engine {
namespace {

using testing::HasSubstr;

TEST(ScratchOpenSearchTest, KeepsItsDocumentsOverKillAndRestart) {
  auto made = ScratchOpenSearch::Make();
  ASSERT_TRUE(made.ok()) << made.status();
  ScratchOpenSearch& server = **made;
  ASSERT_TRUE(server.Request("PUT", "/things/_doc/1", R"({"name":"one"})").ok());
  ASSERT_TRUE(server.Kill9().ok());
  EXPECT_FALSE(server.running());
  EXPECT_FALSE(server.Request("GET", "/").ok());
  ASSERT_TRUE(server.Start().ok());
  const auto one = server.Request("GET", "/things/_doc/1");
  ASSERT_TRUE(one.ok()) << one.status();
  EXPECT_THAT(*one, HasSubstr(R"({"name":"one"})"));
  EXPECT_FALSE(server.Request("GET", "/things/_doc/2").ok());
}

}  // namespace
}  // namespace pgflow::engine
