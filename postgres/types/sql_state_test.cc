#include "postgres/types/sql_state.h"

#include <gtest/gtest.h>

namespace pgflow::postgres {
namespace {

bool Passes(std::string_view state) {
  return base::IsRetryable(absl::Status(CodeOfSqlState(state), "x"));
}

TEST(SqlStateTest, WhatPassesByItselfIsRetried) {
  for (const std::string_view state :
       {"08000", "08001", "08003", "08004", "08006", "08P01", "25006", "25P03", "25P04",
        "40001", "40002", "40003", "40P01", "53000", "53100", "53200", "53300", "53400",
        "55006", "55P03", "57014", "57P01", "57P02", "57P03", "57P05", "58000", "58030"}) {
    EXPECT_TRUE(Passes(state)) << state;
  }
}

TEST(SqlStateTest, WhatSomebodyHasToMendIsNot) {
  for (const std::string_view state :
       {"0A000", "22001", "22P02", "23502", "23503", "23505", "23514", "25001", "25P02",
        "28000", "28P01", "3D000", "3F000", "42501", "42601", "42703", "42P01", "42P07",
        "55000", "55P02", "55P04", "57P04", "P0001", "XX000", "XX001", "XX002", ""}) {
    EXPECT_FALSE(Passes(state)) << state;
  }
}

TEST(SqlStateTest, ARefusedRowIsAnInvalidArgument) {
  EXPECT_EQ(CodeOfSqlState("22001"), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CodeOfSqlState("23514"), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CodeOfSqlState("42501"), absl::StatusCode::kPermissionDenied);
}

}  // namespace
}  // namespace pgflow::postgres
