#include "engine/api/copy_again.h"

#include <gtest/gtest.h>

namespace pgflow::engine {
namespace {

TEST(CopyAgainTest, NamesItsTables) {
  const std::set<schemas::TableName> tables = {{"a.b", "c"}, {"public", "items"}, {"public", ""}};
  const absl::Status error = CopyAgain(absl::FailedPreconditionError("no"), tables);
  EXPECT_EQ(TablesToCopyAgain(error), tables);
  EXPECT_EQ(error.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(TablesToCopyAgain(absl::FailedPreconditionError("no")).empty());
  EXPECT_TRUE(TablesToCopyAgain(absl::OkStatus()).empty());
}

}  // namespace
}  // namespace pgflow::engine
