#include "schemas/table_filter.h"

#include <gtest/gtest.h>

namespace pgflow::schemas {
namespace {

TEST(TableFilter, MatchesGlobsCaseAndQuotes) {
  const auto filter = TableFilter::Make({"public.*", "Sales.\"Order*\"", "s?.a*z"}, {"*.audit_*"});
  ASSERT_TRUE(filter.ok());
  EXPECT_TRUE(filter->Matches({"public", "users"}));
  EXPECT_FALSE(filter->Matches({"Public", "users"}));
  EXPECT_FALSE(filter->Matches({"public", "audit_log"}));
  EXPECT_TRUE(filter->Excludes({"public", "audit_log"}));
  EXPECT_TRUE(filter->Matches({"Sales", "Order*"}));
  EXPECT_FALSE(filter->Matches({"Sales", "Orders"}));
  EXPECT_TRUE(filter->Matches({"s1", "az"}));
  EXPECT_TRUE(filter->Matches({"s1", "abcz.z"}));
  EXPECT_FALSE(filter->Matches({"s12", "az"}));
}

TEST(TableFilter, EmptyIncludeMeansAll) {
  const auto filter = TableFilter::Make({}, {"x.y"});
  ASSERT_TRUE(filter.ok());
  EXPECT_TRUE(filter->Matches({"a", "b"}));
  EXPECT_FALSE(filter->Matches({"x", "y"}));
}

TEST(TableFilter, RefusesPatternsWithoutSchemaOrWithAnOpenQuote) {
  EXPECT_FALSE(TableFilter::Make({"users"}, {}).ok());
  EXPECT_FALSE(TableFilter::Make({"public.\"users"}, {}).ok());
  EXPECT_FALSE(TableFilter::Make({}, {""}).ok());
}

TEST(TableFilter, NamesPatternsThatMatchNothing) {
  const auto filter = TableFilter::Make({"public.users", "public.ordres"}, {});
  ASSERT_TRUE(filter.ok());
  EXPECT_EQ(filter->PatternsWithout({{"public", "users"}, {"public", "orders"}}),
            std::vector<std::string>{"public.ordres"});
}

}  // namespace
}  // namespace pgflow::schemas
