// What is kept on disk: the state store.
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include <gtest/gtest.h>

#include "base/status.h"
#include "engine/runtime/table_gates.h"
#include "engine/runtime/table_ledger.h"
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
  EXPECT_EQ(gates.Judge({"a", "plain"}, 0, postgres::Lsn(99)), Verdict::kSkip);
  EXPECT_EQ(gates.Judge({"a", "plain"}, 0, postgres::Lsn(100)), Verdict::kApply);
  EXPECT_EQ(gates.Judge({"a", "resumed"}, 0, postgres::Lsn(49)), Verdict::kSkip);
  EXPECT_EQ(gates.Judge({"a", "resumed"}, 0, postgres::Lsn(50)), Verdict::kCatchUp);
  EXPECT_EQ(gates.Judge({"a", "resumed"}, 0, postgres::Lsn(200)), Verdict::kApply);
  EXPECT_EQ(gates.Judge({"a", "other"}, 0, postgres::Lsn(1)), Verdict::kApply);
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
  EXPECT_EQ(gates.Judge({"a", "other"}, 0, postgres::Lsn(99)), Verdict::kSkip);
  EXPECT_EQ(gates.Judge({"a", "other"}, 0, postgres::Lsn(100)), Verdict::kApply);
  EXPECT_EQ(gates.Judge({"a", "early"}, 0, postgres::Lsn(60)), Verdict::kApply);
  EXPECT_EQ(gates.settled(), postgres::Lsn(100));
  EXPECT_FALSE(gates.open(postgres::Lsn(99)));
}

TEST(TableGatesTest, ACopiedTableIsKnownByItsOid) {
  SinkCheckpoint checkpoint;
  checkpoint.snapshot_lsn = postgres::Lsn(100);
  checkpoint.tables = {{{"a", "early"}, postgres::Lsn(100), "7/1@1:1:", {}, true, {}},
                       {{"a", "late"}, postgres::Lsn(200), "8/1@1:1:", {}, true, {}},
                       {{"a", "anew"}, postgres::Lsn(200), "9/1@1:1:", {}, true, {}}};
  TableGates gates(checkpoint);
  using Verdict = TableGates::Verdict;
  const postgres::Lsn between(150);
  EXPECT_EQ(gates.Judge({"a", "early"}, 7, between), Verdict::kApply);
  EXPECT_EQ(gates.Judge({"a", "late"}, 8, between), Verdict::kSkip);
  // Under other names.
  EXPECT_EQ(gates.Judge({"a", "renamed"}, 7, between), Verdict::kApply);
  EXPECT_EQ(gates.Judge({"a", "renamed"}, 8, between), Verdict::kSkip);
  EXPECT_EQ(gates.Judge({"a", "early"}, 8, between), Verdict::kSkip);
  EXPECT_EQ(gates.Judge({"a", "late"}, 7, between), Verdict::kApply);
  // One that was dropped before another was copied under its name; one that came later.
  EXPECT_EQ(gates.Judge({"a", "anew"}, 3, between), Verdict::kSkip);
  EXPECT_EQ(gates.Judge({"a", "early"}, 10, between), Verdict::kApply);
  EXPECT_TRUE(gates.IsKnown(8, between));
  EXPECT_TRUE(gates.IsKnown(10, postgres::Lsn(99)));
  EXPECT_FALSE(gates.IsKnown(10, between));
  EXPECT_TRUE(gates.IsTaken({"a", "late"}, 7, between));
  EXPECT_FALSE(gates.IsTaken({"a", "late"}, 7, postgres::Lsn(200)));
  EXPECT_FALSE(gates.IsTaken({"a", "late"}, 8, between));
  EXPECT_FALSE(gates.IsTaken({"a", "early"}, 8, between));
  EXPECT_FALSE(gates.IsTaken({"a", "renamed"}, 7, between));
  // What joins is known by its name.
  gates.Hold({"a", "early"});
  EXPECT_EQ(gates.Judge({"a", "early"}, 7, between), Verdict::kSkip);
  gates.Open({"a", "early"}, {postgres::Lsn(120), {}});
  EXPECT_EQ(gates.Judge({"a", "early"}, 11, between), Verdict::kApply);
}

TEST(TableLedgerTest, IsWhatItWas) {
  const std::optional<TableLedger> ledger =
      TableLedger::Parse(TableLedger{16384, UINT64_MAX, "1:2:"}.ToText());
  ASSERT_TRUE(ledger.has_value());
  EXPECT_EQ(ledger->oid, 16384U);
  EXPECT_EQ(ledger->storage, UINT64_MAX);
  EXPECT_EQ(ledger->snapshot, "1:2:");
  const std::optional<TableLedger> earlier = TableLedger::Parse("77@1:2:3");
  ASSERT_TRUE(earlier.has_value());
  EXPECT_EQ(earlier->oid, 0U);
  EXPECT_EQ(earlier->storage, 77U);
  for (const char* other : {"", "again", "x@1:1:", "1/x@1:1:", "x/1@1:1:", "1/2"}) {
    EXPECT_FALSE(TableLedger::Parse(other).has_value()) << other;
  }
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
