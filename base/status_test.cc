#include "base/status.h"

#include <gtest/gtest.h>

namespace pgflow::base {
namespace {

TEST(StatusTest, AnnotateKeepsCodeAndPayloads) {
  absl::Status status = absl::UnavailableError("gone");
  SetPayload(status, "sqlstate", "57P01");
  absl::Status annotated = Annotate(status, "connect");
  EXPECT_EQ(Message(annotated), "connect: gone");
  EXPECT_EQ(annotated.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Payload(annotated, "sqlstate"), "57P01");
  EXPECT_EQ(Payload(annotated, "other"), "");
  EXPECT_TRUE(Annotate(absl::OkStatus(), "connect").ok());
}

TEST(StatusTest, OnlyPassingErrorsAreRetryable) {
  EXPECT_TRUE(IsRetryable(absl::UnavailableError("")));
  EXPECT_TRUE(IsRetryable(absl::ResourceExhaustedError("")));
  EXPECT_FALSE(IsRetryable(absl::InvalidArgumentError("")));
  EXPECT_FALSE(IsRetryable(absl::CancelledError("")));
  EXPECT_FALSE(IsRetryable(absl::OkStatus()));
}

absl::StatusOr<int> Half(int n) {
  if (n % 2 != 0) return absl::InvalidArgumentError("odd");
  return n / 2;
}

absl::StatusOr<int> Quarter(int n) {
  PGFLOW_ASSIGN_OR_RETURN(int half, Half(n));
  PGFLOW_RETURN_IF_ERROR(Half(half).status());
  return half / 2;
}

TEST(StatusTest, MacrosPassErrorsUp) {
  EXPECT_EQ(*Quarter(8), 2);
  EXPECT_EQ(Message(Quarter(7).status()), "odd");
  EXPECT_EQ(Message(Quarter(6).status()), "odd");
}

}  // namespace
}  // namespace pgflow::base
