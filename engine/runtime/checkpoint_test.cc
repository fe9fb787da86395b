// What is kept on disk: the state store.
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include <gtest/gtest.h>

#include "base/status.h"
#include "engine/runtime/table_gates.h"
#include "engine/state/sqlite_checkpoint_store.h"

namespace pgflow::engine {
namespace {

class CheckpointTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string path = (std::filesystem::temp_directory_path() / "state_XXXXXX").string();
    ASSERT_NE(::mkdtemp(path.data()), nullptr);
    directory_ = path;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  std::string directory_;
};

TEST_F(CheckpointTest, AStoreRemembersAcrossProcesses) {
  SourceIdentity identity{7123456789012345678, 2, "shop", "pgflow"};
  const schemas::TableName table{"public", "Odd \"name\""};
  {
    auto database = SqliteDatabase::Open(directory_ + "/made");
    ASSERT_TRUE(database.ok()) << database.status();
    SqliteCheckpointStore store(**database, "shop", "stdout");
    EXPECT_FALSE(store.Load()->has_value());
    ASSERT_TRUE(store.Begin(identity, {postgres::Lsn(), postgres::Lsn(0x10)}).ok());
    ASSERT_TRUE(store.BeginTable({table, postgres::Lsn(0x20), "1@5:6:", {}, false, {}}).ok());
    ASSERT_TRUE(store.FinishRange(table, {0, 8}).ok());
    ASSERT_TRUE(store.FinishRange(table, {8, BlockRange::kOpenEnd}).ok());
    ASSERT_TRUE(store.FinishTable(table).ok());
    ASSERT_TRUE(store.FinishSnapshot(postgres::Lsn(0x30)).ok());
    ASSERT_TRUE(store.AdvanceStream({postgres::Lsn(0x30), postgres::Lsn(0x38)}).ok());
    ASSERT_TRUE(store.FollowTimeline(3).ok());
  }
  auto database = SqliteDatabase::Open(directory_ + "/made");
  SqliteCheckpointStore other(**database, "shop", "other");
  EXPECT_FALSE(other.Load()->has_value());
  SqliteCheckpointStore store(**database, "shop", "stdout");
  const std::optional<SinkCheckpoint> checkpoint = *store.Load();
  ASSERT_TRUE(checkpoint.has_value());
  identity.timeline = 3;
  EXPECT_EQ(checkpoint->identity, identity);
  EXPECT_EQ(checkpoint->stream, (StreamPoint{postgres::Lsn(0x30), postgres::Lsn(0x38)}));
  EXPECT_TRUE(checkpoint->snapshot_complete);
  EXPECT_EQ(checkpoint->snapshot_lsn, postgres::Lsn(0x30));
  ASSERT_EQ(checkpoint->tables.size(), 1u);
  EXPECT_EQ(checkpoint->tables[0].table, table);
  EXPECT_EQ(checkpoint->tables[0].snapshot, "1@5:6:");
  EXPECT_TRUE(checkpoint->tables[0].complete);
  EXPECT_EQ(checkpoint->tables[0].finished,
            (std::vector<BlockRange>{{0, 8}, {8, BlockRange::kOpenEnd}}));
  ASSERT_TRUE(store.Forget().ok());
  EXPECT_FALSE(store.Load()->has_value());
}

TEST_F(CheckpointTest, AFileOfAnOlderVersionIsTaken) {
  {
    auto state = SqliteDatabase::Open(directory_ + "/made");
    ASSERT_TRUE(state.ok()) << state.status();
    SqliteCheckpointStore store(**state, "shop", "stdout");
    ASSERT_TRUE(store.Begin({1, 1, "shop", "slot"}, {}).ok());
    ASSERT_TRUE((*state)->Query("ALTER TABLE checkpoint DROP COLUMN snapshot_lsn", {}).ok());
  }
  auto state = SqliteDatabase::Open(directory_ + "/made");
  ASSERT_TRUE(state.ok()) << state.status();
  SqliteCheckpointStore store(**state, "shop", "stdout");
  EXPECT_EQ(store.Load()->value().snapshot_lsn, postgres::Lsn());
  ASSERT_TRUE(store.FinishSnapshot(postgres::Lsn(0x30)).ok());
  EXPECT_EQ(store.Load()->value().snapshot_lsn, postgres::Lsn(0x30));
}

TEST_F(CheckpointTest, AnUnwritableDirectoryIsNamed) {
  std::ofstream(directory_ + "/file") << "x";
  const absl::Status status = SqliteDatabase::Open(directory_ + "/file").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(base::Message(status).find("state.directory"), std::string::npos);
}

TEST(TableGatesTest, AChangeAtTheConsistentPointIsBehindTheSnapshot) {
  SinkCheckpoint checkpoint;
  checkpoint.tables = {{{"a", "plain"}, postgres::Lsn(100), "", {}, true, {}},
                       {{"a", "resumed"}, postgres::Lsn(50), "", {}, true, postgres::Lsn(200)}};
  const TableGates gates(checkpoint);
  using Verdict = TableGates::Verdict;
  EXPECT_EQ(gates.Judge({"a", "plain"}, postgres::Lsn(99)), Verdict::kSkip);
  EXPECT_EQ(gates.Judge({"a", "plain"}, postgres::Lsn(100)), Verdict::kApply);
  EXPECT_EQ(gates.Judge({"a", "resumed"}, postgres::Lsn(49)), Verdict::kSkip);
  EXPECT_EQ(gates.Judge({"a", "resumed"}, postgres::Lsn(50)), Verdict::kCatchUp);
  EXPECT_EQ(gates.Judge({"a", "resumed"}, postgres::Lsn(200)), Verdict::kApply);
  EXPECT_EQ(gates.Judge({"a", "other"}, postgres::Lsn(1)), Verdict::kApply);
  EXPECT_EQ(gates.settled(), postgres::Lsn(200));
}

// It was dropped, or renamed, before the copy's last part was read; there may be another one of its
// name now.
TEST(TableGatesTest, ATableThatWasNotCopiedWasGoneWhenTheSnapshotWasTaken) {
  SinkCheckpoint checkpoint;
  checkpoint.snapshot_lsn = postgres::Lsn(100);
  checkpoint.tables = {{{"a", "early"}, postgres::Lsn(50), "", {}, true, {}}};
  TableGates gates(checkpoint);
  using Verdict = TableGates::Verdict;
  EXPECT_EQ(gates.Judge({"a", "other"}, postgres::Lsn(99)), Verdict::kSkip);
  EXPECT_EQ(gates.Judge({"a", "other"}, postgres::Lsn(100)), Verdict::kApply);
  EXPECT_EQ(gates.Judge({"a", "early"}, postgres::Lsn(60)), Verdict::kApply);
  EXPECT_EQ(gates.settled(), postgres::Lsn(100));
  EXPECT_FALSE(gates.open(postgres::Lsn(99)));
}

// Rows and places are nobody else's business, whatever the umask says.
TEST_F(CheckpointTest, OnlyItsUserMayRead) {
  const mode_t before = ::umask(0);
  {
    auto state = SqliteDatabase::Open(directory_ + "/made/below");
    ASSERT_TRUE(state.ok()) << state.status();
    SqliteCheckpointStore store(**state, "shop", "stdout");
    ASSERT_TRUE(store.Begin({1, 1, "shop", "slot"}, {}).ok());
    const auto other = SqliteDatabase::Open(directory_ + "/made/below", "other.db", "");
    ASSERT_TRUE(other.ok()) << other.status();
  }
  ::umask(before);
  using std::filesystem::perms;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory_)) {
    const perms others = entry.status().permissions() & (perms::group_all | perms::others_all);
    EXPECT_EQ(others, perms::none) << entry.path();
  }
}

}  // namespace
}  // namespace pgflow::engine
