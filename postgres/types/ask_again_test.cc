#include "postgres/types/ask_again.h"

#include <absl/status/statusor.h>
#include <gtest/gtest.h>

namespace pgflow::postgres {
namespace {

absl::Status Failure(std::string_view sql_state) {
  absl::Status status = absl::InternalError("could not open relation with OID 16384");
  base::SetPayload(status, kSqlStatePayload, sql_state);
  return status;
}

TEST(AskAgainTest, UntilTheDroppedTableIsGone) {
  int asked = 0;
  const auto answer = AskAgain([&]() -> absl::StatusOr<int> {
    if (++asked < 3) return Failure("XX000");
    return 7;
  });
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(*answer, 7);
  EXPECT_EQ(asked, 3);
}

TEST(AskAgainTest, NotWhenSomethingElseIsWrong) {
  int asked = 0;
  const auto answer = AskAgain([&]() -> absl::StatusOr<int> {
    ++asked;
    return Failure("42501");
  });
  EXPECT_EQ(SqlStateOf(answer.status()), "42501");
  EXPECT_EQ(asked, 1);
}

TEST(AskAgainTest, NotForEver) {
  int asked = 0;
  const auto answer = AskAgain([&]() -> absl::StatusOr<int> {
    ++asked;
    return Failure("XX000");
  });
  EXPECT_EQ(SqlStateOf(answer.status()), "XX000");
  EXPECT_EQ(asked, kAskAgainMax);
}

}  // namespace
}  // namespace pgflow::postgres
