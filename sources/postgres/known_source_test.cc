#include "sources/postgres/known_source.h"

#include <filesystem>

#include <gtest/gtest.h>

namespace pgflow::sources {
namespace {

using schemas::TableName;

class GapTest : public testing::Test {
 protected:
  GapTest() {
    content_.oid = 10;
    content_.version = "700";
    content_.owner = "1";
    content_.relations = {Table(1, "a", {"r100"}), Table(2, "b", {"r101"}),
                          Table(3, "leaf", {"r102i800"})};
    content_.relations.push_back(
        {.oid = 4, .name = {"public", "root"}, .partitioned = true, .paths = {"r102"}});
    known_.publication = content_;
  }

  static CatalogRelation Table(postgres::Oid oid, const std::string& name,
                               std::set<std::string> paths) {
    CatalogRelation table{.oid = oid, .name = {"public", name}, .paths = std::move(paths)};
    table.listed = !table.paths.empty();
    return table;
  }
  CatalogRelation& Named(const std::string& name) {
    return *std::ranges::find(content_.relations, TableName{"public", name},
                              &CatalogRelation::name);
  }
  TableGaps Gaps(bool captured = false, bool ours = true) const {
    return FindGaps(known_, content_, {.filter = &filter_, .captured = captured, .ours = ours});
  }
  std::string GapOf(const std::string& name, bool captured = false) const {
    const TableGaps gaps = Gaps(captured);
    const auto gap = gaps.of.find({"public", name});
    return gap == gaps.of.end() ? "" : gap->second;
  }

  const schemas::TableFilter filter_ = *schemas::TableFilter::Make({"public.*"}, {"public.no_*"});
  PublicationContent content_;
  KnownSource known_;
};

TEST_F(GapTest, NothingHappened) {
  const TableGaps gaps = Gaps();
  EXPECT_TRUE(gaps.of.empty() && gaps.fresh.empty() && gaps.publication.empty());
}

TEST_F(GapTest, ATableThatWasOutForAWhile) {
  for (const bool captured : {false, true}) {
    Named("a").paths = {"r105"};
    EXPECT_NE(GapOf("a", captured).find("put back"), std::string::npos);
    Named("a").paths = {};
    Named("a").listed = false;
    EXPECT_NE(GapOf("a", captured).find("taken out"), std::string::npos);
    Named("a").paths = {"r100", "n7-1"};
    Named("a").listed = true;
    EXPECT_EQ(GapOf("a", captured), "");
  }
  // A new filter: the same statement takes the table out and puts it back.
  Named("a").paths = {"r105"};
  Named("a").part = "{OPEXPR}/";
  EXPECT_EQ(GapOf("a"), "");
}

TEST_F(GapTest, APartitionThatWasOutForAWhile) {
  Named("leaf").paths = {"r102i805"};
  EXPECT_NE(GapOf("leaf"), "");
  // The capture tells of it.
  EXPECT_EQ(GapOf("leaf", /*captured=*/true), "");
  Named("leaf").paths = {"r110"};
  EXPECT_EQ(GapOf("leaf", /*captured=*/true), "");
}

TEST_F(GapTest, ATableThatWasMadeAgain) {
  Named("b") = Table(20, "b", {});
  EXPECT_NE(GapOf("b").find("made again"), std::string::npos);
  Named("b") = Table(20, "b", {"r120"});
  EXPECT_NE(GapOf("b").find("made again"), std::string::npos);
  EXPECT_EQ(GapOf("b", /*captured=*/true), "");
  Named("b") = Table(2, "renamed", {"r101"});
  EXPECT_EQ(GapOf("renamed"), "");
}

TEST_F(GapTest, ATableThatCameLater) {
  content_.relations.push_back(Table(30, "late", {"r130"}));
  content_.relations.push_back(Table(31, "no_late", {"r131"}));
  EXPECT_EQ(Gaps().fresh, (std::set<TableName>{{"public", "late"}}));
  EXPECT_EQ(Gaps(/*captured=*/true, /*ours=*/false).fresh.size(), 1u);
  EXPECT_TRUE(Gaps(/*captured=*/true, /*ours=*/true).fresh.empty());
  Named("late").since_creation = true;
  EXPECT_TRUE(Gaps().fresh.empty());
}

// A publication of all tables has no row for it that would be another one.
TEST_F(GapTest, ATableThatWasUnlogged) {
  known_.publication.horizon = 1000;
  content_.relations.push_back(Table(30, "logged", {"a30"}));
  Named("logged").since_creation = true;
  Named("logged").made = 999;
  EXPECT_EQ(Gaps(/*captured=*/false, /*ours=*/false).fresh.size(), 1u);
  Named("logged").made = 1000;  // In progress when somebody looked, or not begun.
  EXPECT_TRUE(Gaps(/*captured=*/false, /*ours=*/false).fresh.empty());
  // One that was seen before.
  known_.publication.relations.front().gone = true;
  EXPECT_NE(GapOf("a").find("unlogged"), std::string::npos);
}

// By the name under which the sinks are to get it, and by no other.
TEST_F(GapTest, ATableThatIsRenamedWhileItJoins) {
  Named("b").name = {"public", "renamed"};
  EXPECT_TRUE(Gaps().fresh.empty());
  known_.publication.relations[1].joining = true;
  EXPECT_EQ(Gaps().fresh, (std::set<TableName>{{"public", "renamed"}}));
  EXPECT_TRUE(Gaps(/*captured=*/true).fresh.empty());
  known_.publication.relations[1].name = {"public", "renamed"};
  EXPECT_TRUE(Gaps().fresh.empty());
}

TEST_F(GapTest, ATableThatWasRenamedWhileNobodyRan) {
  Named("b").name = {"public", "renamed"};
  const TableGaps gaps =
      FindGaps(known_, content_, {.filter = &filter_, .ours = true, .renamed_unheard = true});
  EXPECT_EQ(gaps.fresh, (std::set<TableName>{{"public", "renamed"}}));
  EXPECT_TRUE(gaps.of.empty());
}

TEST_F(GapTest, ThePublicationAsAWhole) {
  content_.version = "701";
  EXPECT_NE(Gaps().publication.find("options were changed"), std::string::npos);
  content_.owner = "2";
  EXPECT_EQ(Gaps().publication, "");
  EXPECT_NE(Gaps().warning, "");
  content_.oid = 11;
  EXPECT_NE(Gaps().publication.find("made again"), std::string::npos);
  content_.oid = 0;
  EXPECT_NE(Gaps().publication.find("dropped"), std::string::npos);
}

TEST_F(GapTest, IsKeptOnDisk) {
  const std::string directory =
      std::filesystem::path(testing::TempDir()) / ("known_source_" + std::to_string(::getpid()));
  {
    const auto store = KnownSourceStore::Open(directory, "slot");
    ASSERT_TRUE(store.ok()) << store.status();
    content_.relations[1].joining = true;
    ASSERT_TRUE((*store)->SetTables(content_).ok());
    ASSERT_TRUE(
        (*store)->SetLog({3, postgres::Lsn(5), postgres::Lsn(4), postgres::Lsn(5), "x"}).ok());
  }
  const auto store = KnownSourceStore::Open(directory, "slot");
  ASSERT_TRUE(store.ok()) << store.status();
  known_ = (*store)->Get();
  EXPECT_TRUE((*store)->Find(2)->joining);
  EXPECT_FALSE((*store)->Find(1)->joining);
  EXPECT_FALSE((*store)->Find(99).has_value());
  EXPECT_EQ(known_.log.timeline, 3u);
  EXPECT_EQ(known_.log.restart, postgres::Lsn(4));
  EXPECT_EQ(known_.log.sample, "x");
  EXPECT_TRUE(Gaps().of.empty());
  Named("a").paths = {"r105"};
  EXPECT_NE(GapOf("a"), "");
  EXPECT_FALSE((*KnownSourceStore::Open(directory, "other"))->Get().knows_tables());
  ASSERT_TRUE((*store)->Forget().ok());
  EXPECT_FALSE((*KnownSourceStore::Open(directory, "slot"))->Get().knows_tables());
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace pgflow::sources
