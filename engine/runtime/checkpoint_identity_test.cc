#include "engine/runtime/checkpoint_identity.h"

#include <cstdlib>
#include <filesystem>
#include <string>

#include <gtest/gtest.h>

#include "base/status.h"
#include "engine/testing/memory_checkpoint_store.h"

namespace pgflow::engine {
namespace {

using postgres::Lsn;

// The sink's checkpoint is of timeline 1, which the source's log left at 0/500 for timeline 2.
class FollowPromotionTest : public testing::Test {
 protected:
  FollowPromotionTest()
      : state_(*SqliteDatabase::Open(directory_)),
        context_{.pipeline = "shop",
                 .log = log_,
                 .transformers = {},
                 .state = *state_,
                 .identity = {7, 2, "shop", "pgflow"},
                 .timeline = timeline_,
                 .slot = {false, Lsn(0x100)},
                 .plan = {},
                 .open_session = {},
                 .timeline_end = [this](uint32_t timeline,
                                        const std::stop_token& /*stop*/) -> absl::StatusOr<Lsn> {
                   if (timeline != 1) return absl::NotFoundError("not in the history");
                   return end_;
                 },
                 .on_durable = {},
                 .options = {}} {
    EXPECT_TRUE(store_.Begin({7, 1, "shop", "pgflow"}, {Lsn(0x300), Lsn(0x380)}).ok());
    EXPECT_TRUE(store_.FinishSnapshot(postgres::Lsn(0x30)).ok());
  }
  ~FollowPromotionTest() override { std::filesystem::remove_all(directory_); }

  // Both checks; then the store has `checkpoint`.
  absl::Status Check() {
    SinkCheckpoint checkpoint = **store_.Load();
    PGFLOW_RETURN_IF_ERROR(FollowPromotion(context_, "target", store_, checkpoint, {}));
    PGFLOW_RETURN_IF_ERROR(CheckIdentity(context_, "target", checkpoint, false));
    const SinkCheckpoint stored = **store_.Load();
    EXPECT_EQ(stored.identity, checkpoint.identity);
    EXPECT_EQ(stored.stream, checkpoint.stream);
    return absl::OkStatus();
  }
  void ExpectRefused(std::string_view why) {
    const SinkCheckpoint before = **store_.Load();
    const absl::Status status = Check();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_NE(base::Message(status).find(why), std::string_view::npos) << status;
    EXPECT_EQ((*store_.Load())->identity, before.identity);
    EXPECT_EQ((*store_.Load())->stream, before.stream);
  }
  void Add(Lsn snapshot, Lsn catch_up_until) {
    EXPECT_TRUE(store_.BeginTable({{"shop", "t"}, snapshot, "", {}, true, catch_up_until}).ok());
  }

  std::string directory_ =
      std::filesystem::temp_directory_path() / ("promotion_" + std::to_string(::getpid()));
  StreamLog log_{{.spool_directory = directory_}};
  std::unique_ptr<SqliteDatabase> state_;
  std::atomic<uint32_t> timeline_{2};
  Lsn end_{0x500};
  MemoryCheckpointStore store_;
  LaneContext context_;
};

TEST_F(FollowPromotionTest, GoesOnWhereAllIsInTheNewLog) {
  Add(Lsn(0x500), Lsn(0x500));
  ASSERT_TRUE(store_.BeginTable(TableProgress::Held({"shop", "joining"}, false)).ok());
  ASSERT_EQ(Check(), absl::OkStatus());
  EXPECT_EQ((*store_.Load())->identity.timeline, 2u);
  EXPECT_EQ((*store_.Load())->stream, (StreamPoint{Lsn(0x300), Lsn(0x380)}));
  ASSERT_EQ(Check(), absl::OkStatus());  // The next start.
}

TEST_F(FollowPromotionTest, ReadsTheNewLogFromWhereTheTwoPart) {
  ASSERT_TRUE(store_.AdvanceStream({Lsn(0x4ff), Lsn(0x600)}).ok());
  ASSERT_EQ(Check(), absl::OkStatus());
  EXPECT_EQ((*store_.Load())->stream, (StreamPoint{Lsn(0x4ff), Lsn(0x500)}));
}

TEST_F(FollowPromotionTest, RefusesWhatTheNewLogLacks) {
  ASSERT_TRUE(store_.AdvanceStream({Lsn(0x500), Lsn(0x580)}).ok());
  ExpectRefused("has changes up to 0/500");
}

TEST_F(FollowPromotionTest, RefusesATableThatWasCopiedLater) {
  Add(Lsn(0x501), Lsn());
  ExpectRefused("which the source may have lost");
  Add(Lsn(0x400), Lsn(0x501));
  ExpectRefused("which the source may have lost");
}

TEST_F(FollowPromotionTest, RefusesAnUnfinishedSnapshot) {
  ASSERT_TRUE(store_.Begin({7, 1, "shop", "pgflow"}, {Lsn(), Lsn(0x380)}).ok());
  ExpectRefused("had not finished its snapshot");
}

TEST_F(FollowPromotionTest, RefusesATimelineThatIsNoAncestor) {
  ASSERT_TRUE(store_.FollowTimeline(3).ok());
  ExpectRefused("timeline 3 there, 2 here");
  timeline_ = 4;
  ExpectRefused("timeline 3 there, 4 here");
}

TEST_F(FollowPromotionTest, DoesNotFollowWithoutTheSlot) {
  context_.slot.created = true;
  ExpectRefused("did not exist");
}

}  // namespace
}  // namespace pgflow::engine
