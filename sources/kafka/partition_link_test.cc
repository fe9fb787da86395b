#include "sources/kafka/partition_link.h"

#include <gtest/gtest.h>

namespace pgflow::sources {
namespace {

TEST(PartitionLink, TellsTheGroupWhatIsNew) {
  PartitionLink link({"t", 3});
  EXPECT_FALSE(link.News().has_value());
  link.MoveTo(7);
  link.MoveTo(5);
  const auto news = link.News();
  ASSERT_TRUE(news.has_value());
  EXPECT_EQ(news->next, 7);
  EXPECT_EQ(news->at, (kafka::TopicPartition{"t", 3}));
  link.Committed(*news);
  EXPECT_FALSE(link.News().has_value());
}

TEST(PartitionLink, HoldsTheGroupAtATruncateUntilItIsPassed) {
  PartitionLink link({"t", 0});
  link.MoveTo(10);
  link.WaitAt("0/1:0/5", 10);
  EXPECT_EQ(link.waits_at(), "0/1:0/5");
  // Applied, and known to the source before the group hears of it.
  link.MoveTo(11);
  EXPECT_EQ(link.News()->next, 10);
  EXPECT_EQ(TruncateNote::Parse(link.News()->note).at, "0/1:0/5");
  EXPECT_FALSE(link.may_pass());
  link.LetPass();
  EXPECT_TRUE(link.may_pass());
  EXPECT_EQ(link.waits_at(), "");
  link.Pass();
  EXPECT_FALSE(link.pass_is_known());
  const auto news = link.News();
  EXPECT_EQ(news->next, 11);
  EXPECT_TRUE(TruncateNote::Parse(news->note).IsPast("0/1:0/5"));
  EXPECT_EQ(TruncateNote::Parse(news->note).at, "");
  link.Committed(*news);
  EXPECT_TRUE(link.pass_is_known());
}

TEST(PartitionLink, RemembersWhatIsBehindIt) {
  PartitionLink link({"t", 0});
  link.Restore(TruncateNote::Parse("done=a,b at=c"));
  EXPECT_TRUE(link.is_past("a") && link.is_past("b"));
  EXPECT_FALSE(link.is_past("c") || link.is_past("a,b"));
  link.MoveTo(1);
  EXPECT_EQ(link.News()->note, "done=a,b at=");
  for (int i = 0; i < 200; ++i) {
    link.WaitAt("0000/FFFFFFFF:12/1795379252500808" + std::to_string(i), 1);
    link.Pass();
  }
  EXPECT_LT(link.News()->note.size(), 4096U);
  EXPECT_TRUE(link.is_past("0000/FFFFFFFF:12/1795379252500808199"));
  EXPECT_TRUE(TruncateNote::Parse("").done.empty());
  EXPECT_EQ(TruncateNote::Parse("someone else's").at, "");
}

}  // namespace
}  // namespace pgflow::sources
