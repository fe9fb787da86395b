// Tables that join the running stream of a sink, between fakes. The second lane's sink is a target
// of its own here, so that one sees who wrote what.
#include "engine/runtime/joining_tables.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/runtime/pipeline.h"
#include "engine/testing/event_builder.h"
#include "engine/testing/fake_sink.h"
#include "engine/testing/fake_source.h"

namespace pgflow::engine {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;

constexpr absl::Duration kPatience = absl::Seconds(20);

class JoiningTablesTest : public testing::Test {
 protected:
  JoiningTablesTest() {
    std::string path = (std::filesystem::temp_directory_path() / "joining_XXXXXX").string();
    EXPECT_NE(::mkdtemp(path.data()), nullptr);
    directory_ = path;
    items_ = events_.Table("shop.items (id int4 key, name text)");
    notes_ = events_.Table("shop.notes (id int4 key, text text)");
    server_.SetTable(items_, {events_.Rows("items", "1 a")});
  }
  ~JoiningTablesTest() override {
    Stop();
    std::filesystem::remove_all(directory_);
  }

  void Start() {
    PipelineOptions options;
    options.name = "test";
    options.state_directory = directory_;
    options.log.spool_directory = directory_ + "/spool";
    options.lane.idle_checkpoint_interval = absl::Milliseconds(20);
    options.lane.durable_interval = absl::Milliseconds(5);
    options.lane.gather_interval = absl::Milliseconds(1);
    SinkNode node;
    node.name = "sink";
    node.type = "fake";
    node.sink = std::make_unique<FakeSink>(target_);
    node.make = [this] { return std::make_unique<FakeSink>(second_); };
    node.retry = {absl::Milliseconds(1), absl::Milliseconds(5)};
    std::vector<SinkNode> nodes;
    nodes.push_back(std::move(node));
    stop_ = std::stop_source();
    pipeline_ =
        std::make_unique<Pipeline>(options, std::make_unique<FakeSource>(server_),
                                   std::vector<std::unique_ptr<Transformer>>(), std::move(nodes));
    thread_ = std::jthread([this] { result_ = pipeline_->Run({}, stop_.get_token()); });
  }
  void Stop() {
    stop_.request_stop();
    if (thread_.joinable()) thread_.join();
    EXPECT_TRUE(result_.ok()) << result_;
    pipeline_.reset();
  }

  void Write(std::string_view script) { server_.Write(events_.Stream(script)); }
  // The first lane has come to 0/200 and was stopped.
  [[nodiscard]] bool RunTo200() {
    Start();
    Write("begin lsn=0/200\ninsert items 2 b\ncommit");
    const bool durable = target_.WaitForDurable(postgres::Lsn(0x200));
    Stop();
    return durable;
  }
  // Asks for a copy of it; the pipeline does it when it starts.
  void Refresh(const std::string& table) {
    const auto state = SqliteDatabase::Open(directory_);
    ASSERT_TRUE(state.ok()) << state.status();
    const auto posted = PostRefresh(
        **state, "test", {.id = 0, .selection = {}, .again = {table}, .by_itself = false});
    ASSERT_TRUE(posted.ok()) << posted.status();
  }
  // Of these rows, and nobody publishes it yet.
  void MakeNotes(std::string_view rows) {
    server_.SetTable(notes_, {events_.Rows("notes", rows)});
    server_.SetUnpublished(notes_->table);
  }
  [[nodiscard]] bool WaitForSnapshot(int number) const {
    const absl::Time deadline = absl::Now() + kPatience;
    while (server_.snapshot_count() < number && absl::Now() < deadline) std::this_thread::yield();
    return server_.snapshot_count() >= number;
  }
  void WaitForCopy() const {
    const absl::Time deadline = absl::Now() + kPatience;
    while (second_.finished_tables().empty() && absl::Now() < deadline) std::this_thread::yield();
  }
  // Writes one change of notes after the other until one comes from the first lane.
  [[nodiscard]] bool WriteUntilTakenOver() {
    const absl::Time deadline = absl::Now() + kPatience;
    for (int i = 100; absl::Now() < deadline; ++i) {
      Write("begin\ninsert notes " + std::to_string(i) + " x\ninsert items " + std::to_string(i) +
            " y\ncommit");
      ++written_;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      if (!NotesOf(target_).empty()) return true;
    }
    return false;
  }
  static bool HasCheckpoint(FakeTarget& target) {
    const auto checkpoint = target.store().Load();
    return checkpoint.ok() && checkpoint->has_value();
  }
  static std::vector<std::string> NotesOf(const FakeTarget& target) {
    std::vector<std::string> notes;
    for (const std::string& event : target.durable_events()) {
      if (event.find("shop.notes") != std::string::npos) notes.push_back(event);
    }
    return notes;
  }

  std::string directory_;
  EventBuilder events_;
  schemas::TableSchemaPtr items_;
  schemas::TableSchemaPtr notes_;
  FakeServer server_;
  FakeTarget target_{true};
  FakeTarget second_{true};
  std::stop_source stop_;
  std::unique_ptr<Pipeline> pipeline_;
  absl::Status result_;
  std::jthread thread_;
  int written_ = 0;
};

TEST_F(JoiningTablesTest, ANewTableIsCopiedBesideTheStreamAndTakenOver) {
  ASSERT_TRUE(RunTo200());
  MakeNotes("1 a\n2 b");
  server_.SetConsistentPoint(postgres::Lsn(0x400));
  Write("begin lsn=0/300\ninsert notes 2 b\ncommit");  // The snapshot has it.
  second_.FailNext("lane.begin", absl::UnavailableError("not yet"), 10'000);
  Start();
  ASSERT_TRUE(WaitForSnapshot(2));
  // While the copy does not come forward, the others do.
  Write("begin lsn=0/500\ninsert notes 3 c\ninsert items 3 c\ncommit");
  ASSERT_TRUE(target_.WaitForDurable(postgres::Lsn(0x500)));
  EXPECT_THAT(target_.durable_events(), Contains("insert shop.items 3 c"));
  EXPECT_LT(server_.acknowledged(), postgres::Lsn(0x500)) << "the copy would need what is lost";
  second_.StopFailing("lane.begin");
  ASSERT_TRUE(WriteUntilTakenOver());
  Write("begin lsn=1/0\ninsert items 9 last\ncommit");
  ASSERT_TRUE(target_.WaitForDurable(postgres::Lsn(uint64_t{1} << 32)));
  Stop();
  EXPECT_THAT(second_.rows("notes"), ElementsAre("1 a", "2 b"));
  // Each change once: the second lane's, then the first one's.
  std::vector<std::string> notes = NotesOf(second_);
  ASSERT_THAT(notes, Not(IsEmpty()));
  EXPECT_EQ(notes.front(), "insert shop.notes 3 c");
  for (const std::string& event : NotesOf(target_)) notes.push_back(event);
  std::vector<std::string> once = notes;
  std::ranges::sort(once);
  once.erase(std::unique(once.begin(), once.end()), once.end());
  EXPECT_EQ(once.size(), notes.size());
  EXPECT_EQ(notes.size(), static_cast<size_t>(written_) + 1);
  EXPECT_THAT(target_.violations(), IsEmpty());
  EXPECT_THAT(second_.violations(), IsEmpty());
}

// The first lane lags behind the copy: what it meets of the table then is in the copy's rows.
TEST_F(JoiningTablesTest, ACopyThatIsAheadOfTheStreamIsNotRepeated) {
  ASSERT_TRUE(RunTo200());
  MakeNotes("1 a\n2 b");
  server_.SetConsistentPoint(postgres::Lsn(0x400));
  Start();
  ASSERT_TRUE(WaitForSnapshot(2));
  WaitForCopy();
  const absl::Time deadline = absl::Now() + kPatience;
  // Taken over: nothing is kept of the second lane.
  while (HasCheckpoint(second_) && absl::Now() < deadline) std::this_thread::yield();
  Write("begin lsn=0/300\ninsert notes 2 b\ninsert items 3 c\ncommit");
  Write("begin lsn=0/500\ninsert notes 5 e\ncommit");
  ASSERT_TRUE(target_.WaitForDurable(postgres::Lsn(0x500)));
  Stop();
  EXPECT_THAT(second_.rows("notes"), ElementsAre("1 a", "2 b"));
  EXPECT_THAT(NotesOf(second_), IsEmpty());
  EXPECT_THAT(NotesOf(target_), ElementsAre("insert shop.notes 5 e"));
}

TEST_F(JoiningTablesTest, WhatWasBegunGoesOnAfterARestart) {
  ASSERT_TRUE(RunTo200());
  MakeNotes("1 a");
  server_.SetConsistentPoint(postgres::Lsn(0x250));
  second_.Cork();  // It copies, and takes nothing of the stream.
  second_.FailNext("lane.begin", absl::UnavailableError("not yet"), 10'000);
  Start();
  ASSERT_TRUE(WaitForSnapshot(2));
  Write("begin lsn=0/300\ninsert notes 3 c\ninsert items 3 c\ncommit");
  ASSERT_TRUE(target_.WaitForDurable(postgres::Lsn(0x300)));
  second_.StopFailing("lane.begin");  // Now the stream has something for it.
  WaitForCopy();
  Stop();
  EXPECT_LT(server_.acknowledged(), postgres::Lsn(0x300));
  second_.Uncork();
  Start();
  ASSERT_TRUE(WriteUntilTakenOver());
  Stop();
  ASSERT_THAT(NotesOf(second_), Not(IsEmpty()));
  EXPECT_EQ(NotesOf(second_).front(), "insert shop.notes 3 c");
  EXPECT_EQ(server_.snapshot_count(), 2) << "the table was copied twice";
}

TEST_F(JoiningTablesTest, OneThatCannotJoinLeavesTheOthersAlone) {
  ASSERT_TRUE(RunTo200());
  MakeNotes("1 a");
  second_.FailNext("prepare", absl::FailedPreconditionError("notes is not empty"), 1);
  Start();
  Write("begin lsn=0/300\ninsert notes 3 c\ninsert items 3 c\ncommit");
  ASSERT_TRUE(target_.WaitForDurable(postgres::Lsn(0x300)));
  EXPECT_TRUE(server_.WaitForAcknowledged(postgres::Lsn(0x300), kPatience));
  EXPECT_THAT(NotesOf(target_), IsEmpty());
  Stop();
  Start();  // Tries once more, with a later snapshot.
  server_.SetConsistentPoint(postgres::Lsn(0x400));
  ASSERT_TRUE(WriteUntilTakenOver());
}

// What the sink has of a table that is copied again goes on; it is told when the copy is complete,
// and once more after an error, or a crash, in between.
TEST_F(JoiningTablesTest, ACopyBesideLetsTheTableGoOn) {
  target_.CopyBeside();
  second_.CopyBeside();
  server_.SetTable(notes_, {events_.Rows("notes", "1 a")});
  ASSERT_TRUE(RunTo200());
  server_.SetConsistentPoint(postgres::Lsn(0x400));
  second_.FailNext("lane.begin", absl::UnavailableError("not yet"), 10'000);
  target_.FailNext("finish_copies", absl::UnavailableError("not yet"), 2);
  target_.FailNext("take_copies", absl::UnavailableError("not yet"), 1);
  Refresh("shop.notes");
  Start();
  ASSERT_TRUE(WaitForSnapshot(2));
  Write("begin lsn=0/500\ninsert notes 3 c\nupdate notes 1 b\ncommit");
  ASSERT_TRUE(target_.WaitForDurable(postgres::Lsn(0x500)));
  EXPECT_THAT(NotesOf(target_), ElementsAre("insert shop.notes 3 c", "update shop.notes 1 b"));
  Stop();  // It is held, and goes on all the same after another start.
  Start();
  Write("begin lsn=0/600\ninsert notes 4 d\ncommit");
  ASSERT_TRUE(target_.WaitForDurable(postgres::Lsn(0x600)));
  EXPECT_THAT(NotesOf(target_), Contains("insert shop.notes 4 d"));
  EXPECT_THAT(target_.copies(), Not(Contains("finish shop.notes")));
  second_.StopFailing("lane.begin");
  const absl::Time deadline = absl::Now() + kPatience;
  while (target_.copies().empty() || target_.copies().back() != "take shop.notes") {
    ASSERT_LT(absl::Now(), deadline);
    std::this_thread::yield();
  }
  Write("begin lsn=0/700\ninsert notes 5 e\ncommit");
  ASSERT_TRUE(target_.WaitForDurable(postgres::Lsn(0x700)));
  Stop();
  const std::vector<std::string> copies = target_.copies();
  EXPECT_THAT(copies, Contains("take shop.notes held"));
  EXPECT_EQ(std::ranges::count(copies, "finish shop.notes"), 1);
  EXPECT_THAT(target_.violations(), IsEmpty());
  EXPECT_THAT(second_.violations(), IsEmpty());
}

}  // namespace
}  // namespace pgflow::engine
