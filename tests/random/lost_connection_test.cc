// The engine and the Postgres sink, between a source of the test's own and a real target, through a
// proxy that knows the protocol's messages: a connection is lost, or its process paused, at any of
// them, and each row is there once.
//
// PGFLOW_SEED chooses the messages, PGFLOW_CUTS how many (0: every one), PGFLOW_PAUSES how many
// pairs of leaders.
#include <cstdlib>
#include <filesystem>
#include <random>
#include <thread>

#include <absl/time/clock.h>
#include <gtest/gtest.h>

#include "base/status.h"
#include "engine/runtime/pipeline.h"
#include "engine/testing/event_builder.h"
#include "engine/testing/fake_source.h"
#include "engine/testing/message_proxy.h"
#include "engine/testing/scratch_postgres.h"
#include "sinks/postgres/postgres_sink.h"

namespace pgflow {
namespace {

using engine::CopyFormat;
using engine::MessageProxy;
using postgres::Lsn;

constexpr absl::Duration kPatience = absl::Seconds(60);
constexpr Lsn kSnapshotEnd(0x90);
constexpr Lsn kStreamEnd(0x500);
// What is in the target when everything has come.
constexpr std::string_view kItems = "(1,aa);(3,cc);(4,d);(5,e);(6,f)";
constexpr std::string_view kLog = "(1,x);(1,x);(2,y);(3,z);(3,z);(4,w)";

uint64_t NumberOr(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

// One process: what it reads, and the pipeline that it runs into the target at `url`.
class Leader {
 public:
  explicit Leader(std::string url) : url_(std::move(url)) {
    std::string path = (std::filesystem::temp_directory_path() / "leader_XXXXXX").string();
    EXPECT_NE(::mkdtemp(path.data()), nullptr);
    directory_ = path;
    const schemas::TableSchemaPtr items = events_.Table("public.items (id int4 key, name text)");
    const schemas::TableSchemaPtr log = events_.Table("public.log (n int4, name text) full");
    source_.SetTable(items, {events_.Rows("items", "1 a\n2 b"),
                             events_.Rows("items", "3 c\n4 d", CopyFormat::kBinary),
                             events_.Rows("items", "5 e")});
    source_.SetTable(
        log, {events_.Rows("log", "1 x\n1 x", CopyFormat::kBinary), events_.Rows("log", "2 y")});
    source_.Idle(kSnapshotEnd);
    // As if the slot had been made by `pgflow init`: a second leader has no new one.
    EXPECT_TRUE(engine::FakeSource(source_).OpenSlot(true, {}).ok());
  }
  ~Leader() {
    stop_.request_stop();
    Join().IgnoreError();
    std::filesystem::remove_all(directory_);
  }

  // The snapshot, and the stream; a process that ends with an error that may pass is started again.
  absl::Status RunAll() {
    absl::Status status = RunUntil(kSnapshotEnd);
    if (!status.ok()) return status;
    if (!std::exchange(wrote_, true)) {
      source_.Write(events_.Stream(
          "begin lsn=0/200\ninsert items 6 f\ninsert log 3 z\ninsert log 3 z\ncommit\n"
          "begin lsn=0/300\nupdate items 1 aa\ndelete items 2\ncommit"));
      source_.Write(events_.Stream("begin lsn=0/400\ninsert log 4 w\nupdate items 3 cc\ncommit"));
      source_.Idle(kStreamEnd);
    }
    return RunUntil(kStreamEnd);
  }
  void Start() {
    thread_ = std::jthread([this] {
      status_ = RunAll();
      ended_ = true;
    });
  }
  absl::Status Join() {
    if (thread_.joinable()) thread_.join();
    return status_;
  }
  bool ended() const { return ended_; }
  // From now on the source says that another process has the slot.
  void LoseSlot() {
    source_.FailNext("confirm_slot", absl::FailedPreconditionError("the slot is another's"),
                     1000000);
  }

 private:
  absl::Status RunUntil(Lsn until) {
    absl::Status status;
    for (int i = 0; i < 20 && !stop_.stop_requested(); ++i) {
      status = RunOnce(until);
      if (!base::IsRetryable(status)) break;
    }
    return status;
  }
  absl::Status RunOnce(Lsn until) {
    sinks::PostgresSinkConfig config;
    config.url = config::Secret(url_);
    config.on_existing_rows = sinks::ExistingRows::kTruncate;
    engine::SinkNode node;
    node.name = "target";
    node.type = "postgres";
    node.sink = *sinks::PostgresSink::Make(config);
    node.retry = {absl::Milliseconds(1), absl::Milliseconds(5)};
    std::vector<engine::SinkNode> nodes;
    nodes.push_back(std::move(node));
    engine::PipelineOptions options;
    options.name = "lost";
    options.state_directory = directory_;
    options.log.spool_directory = directory_ + "/spool";
    options.lane.idle_checkpoint_interval = absl::Milliseconds(20);
    options.until_lsn = until;
    engine::Pipeline pipeline(
        options,
        std::make_unique<engine::FakeSource>(
            source_, engine::SourcePlan{.mode = engine::SourcePlan::Mode::kSnapshotAndStream,
                                        .snapshot_workers = 2}),
        {}, std::move(nodes));
    return pipeline.Run({}, stop_.get_token());
  }

  const std::string url_;
  std::string directory_;
  engine::EventBuilder events_;
  engine::FakeServer source_;
  bool wrote_ = false;
  std::stop_source stop_;
  absl::Status status_;
  std::atomic<bool> ended_{false};
  std::jthread thread_;
};

class LostConnectionTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    auto made = engine::ScratchPostgres::Make();
    ASSERT_TRUE(made.ok()) << made.status();
    shared_server = *std::move(made);
    ASSERT_TRUE(shared_server
                    ->Execute("CREATE TABLE items (id int PRIMARY KEY, name text);"
                              "CREATE TABLE log (n int, name text)")
                    .ok());
  }
  static void TearDownTestSuite() { shared_server.reset(); }

  void SetUp() override {
    seed_ = NumberOr("PGFLOW_SEED", std::random_device()());
    std::printf("seed %llu\n", static_cast<unsigned long long>(seed_));
    random_.seed(seed_);
  }

  static void Empty() {
    ASSERT_TRUE(
        shared_server->Execute("TRUNCATE items, log; DROP SCHEMA IF EXISTS pgflow CASCADE").ok());
  }
  static std::string Rows(const std::string& table) {
    const auto rows = shared_server->Query(
        fmt::format("SELECT string_agg(t::text, ';' ORDER BY t) FROM {} t", table));
    EXPECT_TRUE(rows.ok()) << rows.status();
    return rows.ok() ? rows->at(0).at(0).value_or("") : "";
  }
  static void ExpectAll() {
    EXPECT_EQ(Rows("items"), kItems);
    EXPECT_EQ(Rows("log"), kLog);
  }
  uint64_t Draw(uint64_t below) { return random_() % below; }

  static inline std::unique_ptr<engine::ScratchPostgres> shared_server;
  uint64_t seed_ = 0;
  std::mt19937_64 random_;
};

TEST_F(LostConnectionTest, AtAnyMessageEachRowComesOnce) {
  MessageProxy proxy(shared_server->port());
  Empty();
  ASSERT_EQ(Leader(proxy.url()).RunAll(), absl::OkStatus());
  ExpectAll();
  const uint64_t messages = proxy.count();
  ASSERT_GT(messages, 100U);
  const uint64_t wanted = NumberOr("PGFLOW_CUTS", 8);
  const uint64_t cuts = wanted == 0 ? messages : std::min(wanted, messages);
  for (uint64_t i = 0; i < cuts && !HasFailure(); ++i) {
    // One in each of as many stretches.
    const uint64_t begin = messages * i / cuts;
    const uint64_t at = begin + 1 + Draw(messages * (i + 1) / cuts - begin);
    SCOPED_TRACE(fmt::format("cut at message {} of about {}", at, messages));
    Empty();
    proxy.Watch(at, MessageProxy::Action::kCut);
    EXPECT_EQ(Leader(proxy.url()).RunAll(), absl::OkStatus());
    ExpectAll();
  }
}

// The server has committed, and its client never hears of it.
TEST_F(LostConnectionTest, AtAnyAnswerToCommitEachRowComesOnce) {
  constexpr std::string_view kAnswer("C\0\0\0\013COMMIT\0", 12);
  MessageProxy proxy(shared_server->port(), std::string(kAnswer));
  Empty();
  ASSERT_EQ(Leader(proxy.url()).RunAll(), absl::OkStatus());
  const uint64_t commits = proxy.count();
  ASSERT_GT(commits, 10U);
  for (uint64_t at = 1; at <= commits && !HasFailure(); ++at) {
    SCOPED_TRACE(fmt::format("cut at answer {} of about {}", at, commits));
    Empty();
    proxy.Watch(at, MessageProxy::Action::kCut);
    EXPECT_EQ(Leader(proxy.url()).RunAll(), absl::OkStatus());
    ExpectAll();
  }
}

// The first one is paused at some message, loses the slot, and wakes up while the second one is
// paused at some message of its own, or done.
TEST_F(LostConnectionTest, WhoWasPausedChangesNothing) {
  MessageProxy to_first(shared_server->port());
  MessageProxy to_second(shared_server->port());
  Empty();
  ASSERT_EQ(Leader(to_first.url()).RunAll(), absl::OkStatus());
  const uint64_t messages = to_first.count();
  const uint64_t pauses = NumberOr("PGFLOW_PAUSES", 4);
  for (uint64_t i = 0; i < pauses && !HasFailure(); ++i) {
    const uint64_t first_at = 1 + Draw(messages);
    const uint64_t second_at = 1 + Draw(messages * 3 / 2);
    SCOPED_TRACE(fmt::format("paused at {} and {} of about {}", first_at, second_at, messages));
    Empty();
    Leader first(to_first.url());
    Leader second(to_second.url());
    to_first.Watch(first_at, MessageProxy::Action::kHold);
    first.Start();
    while (!to_first.happened() && !first.ended()) absl::SleepFor(absl::Milliseconds(1));
    const bool paused = to_first.happened();
    first.LoseSlot();
    to_second.Watch(second_at, MessageProxy::Action::kHold);
    second.Start();
    const absl::Time deadline = absl::Now() + kPatience;
    while (!to_second.happened() && !second.ended() && absl::Now() < deadline) {
      absl::SleepFor(absl::Milliseconds(1));
    }
    ASSERT_LT(absl::Now(), deadline) << "the second one waits for the first";
    to_first.Release();
    const absl::Status ended = first.Join();
    EXPECT_TRUE(paused || ended.ok()) << ended;
    EXPECT_FALSE(base::IsRetryable(ended)) << ended;
    to_second.Release();
    EXPECT_EQ(second.Join(), absl::OkStatus());
    ExpectAll();
  }
}

}  // namespace
}  // namespace pgflow
