// A share of a log that changes under its pipelines, between fakes.
#include "engine/runtime/group_runner.h"

#include <unistd.h>

#include <algorithm>
#include <deque>
#include <filesystem>

#include <absl/time/clock.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/status.h"
#include "engine/api/takeover.h"
#include "engine/testing/event_builder.h"
#include "engine/testing/fake_sink.h"
#include "engine/testing/fake_source.h"

namespace pgflow::engine {
namespace {

using testing::ElementsAre;

struct FakePart {
  FakeServer server;
  FakeTarget target{true};
};

// What the test says becomes of the share. Thread-safe; outlives the groups.
class Script {
 public:
  void Say(ShareChange change) {
    const base::MutexLock lock(&mutex_);
    changes_.push_back(std::move(change));
  }
  void Note(const std::string& line) {
    const base::MutexLock lock(&mutex_);
    log_.push_back(line);
  }
  std::vector<std::string> log() const {
    const base::MutexLock lock(&mutex_);
    return log_;
  }
  ShareChange Next() {
    const base::MutexLock lock(&mutex_);
    if (changes_.empty()) return {};
    ShareChange change = changes_.front();
    changes_.pop_front();
    return change;
  }
  FakePart& part(const std::string& name) {
    const base::MutexLock lock(&mutex_);
    return parts_[name];
  }

 private:
  mutable base::Mutex mutex_;
  std::deque<ShareChange> changes_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> log_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, FakePart> parts_ ABSL_GUARDED_BY(mutex_);
};

class FakeGroup final : public SourceGroup {
 public:
  explicit FakeGroup(Script& script) : script_(script) {}
  absl::StatusOr<ShareChange> Next(absl::Duration /*wait*/, std::stop_token /*stop*/) override {
    absl::SleepFor(absl::Milliseconds(2));
    return script_.Next();
  }
  absl::Status Settle(std::stop_token /*stop*/) override {
    script_.Note("settle");
    return absl::OkStatus();
  }
  absl::Status Leave(std::stop_token /*stop*/) override {
    script_.Note("leave");
    return absl::OkStatus();
  }
  absl::StatusOr<std::unique_ptr<Source>> Open(const std::string& part) override {
    script_.Note("open " + part);
    return std::make_unique<FakeSource>(script_.part(part).server,
                                        SourcePlan{SourcePlan::Mode::kStream, 1});
  }
  absl::StatusOr<std::vector<std::string>> ListParts(std::stop_token /*stop*/) override {
    return std::vector<std::string>{"a", "b"};
  }
  absl::Status Forget(std::stop_token /*stop*/) override { return absl::OkStatus(); }

 private:
  Script& script_;
};

class GroupRunnerTest : public testing::Test {
 protected:
  GroupRunnerTest() {
    std::string path = (std::filesystem::temp_directory_path() / "group_XXXXXX").string();
    EXPECT_NE(::mkdtemp(path.data()), nullptr);
    directory_ = path;
    events_.Table("t (id int4 key)");
  }
  ~GroupRunnerTest() override {
    stop_.request_stop();
    if (thread_.joinable()) thread_.join();
    std::filesystem::remove_all(directory_);
  }

  void Start(bool until_current = false) {
    GroupOptions options;
    options.name = "shop";
    options.drain_patience = absl::Seconds(10);
    options.takeover_patience = absl::Milliseconds(300);
    options.until_current = until_current;
    runner_ = std::make_unique<GroupRunner>(
        options, std::make_unique<FakeGroup>(script_),
        [this, until_current](const std::string& part, std::unique_ptr<Source> source)
            -> absl::StatusOr<std::unique_ptr<Pipeline>> {
          PipelineOptions one;
          one.name = "shop." + part;
          one.state_directory = directory_ + "/" + part;
          one.log.spool_directory = one.state_directory + "/spool";
          one.until_current = until_current;
          one.lane.idle_checkpoint_interval = absl::Milliseconds(20);
          one.lane.durable_interval = absl::Milliseconds(5);
          std::vector<SinkNode> nodes(1);
          nodes[0].name = "sink";
          nodes[0].type = "fake";
          nodes[0].sink = std::make_unique<FakeSink>(script_.part(part).target);
          nodes[0].retry = {absl::Milliseconds(1), absl::Milliseconds(5)};
          return std::make_unique<Pipeline>(one, std::move(source),
                                            std::vector<std::unique_ptr<Transformer>>(),
                                            std::move(nodes));
        });
    thread_ =
        std::jthread([this] { result_ = runner_->Run(drain_.get_token(), stop_.get_token()); });
  }
  absl::Status Join() {
    thread_.join();
    return result_;
  }
  absl::Status Drain() {
    drain_.request_stop();
    return Join();
  }
  void Write(const std::string& part, int id) {
    script_.part(part).server.Write(
        events_.Stream("begin\n insert t " + std::to_string(id) + "\n commit"));
  }
  FakeTarget& target(const std::string& part) { return script_.part(part).target; }
  bool Logged(const std::string& line, size_t times = 1) const {
    const absl::Time deadline = absl::Now() + absl::Seconds(10);
    while (absl::Now() < deadline) {
      if (static_cast<size_t>(std::ranges::count(script_.log(), line)) >= times) return true;
      absl::SleepFor(absl::Milliseconds(2));
    }
    return false;
  }

  std::string directory_;
  EventBuilder events_;
  Script script_;
  std::stop_source drain_;
  std::stop_source stop_;
  std::unique_ptr<GroupRunner> runner_;
  absl::Status result_;
  std::jthread thread_;
};

TEST_F(GroupRunnerTest, RunsAPipelineForEachPartThatItHas) {
  Start();
  script_.Say({{"a", "b"}, {}, false});
  Write("a", 1);
  Write("b", 2);
  EXPECT_TRUE(target("a").WaitForEvents(1));
  EXPECT_TRUE(target("b").WaitForEvents(1));
  PipelineStatus status = runner_->status();
  ASSERT_EQ(status.sinks.size(), 2U);
  // A sink has its events a moment before they are counted.
  const absl::Time deadline = absl::Now() + absl::Seconds(10);
  while (status.sinks[0].events + status.sinks[1].events < 2 && absl::Now() < deadline) {
    absl::SleepFor(absl::Milliseconds(2));
    status = runner_->status();
    ASSERT_EQ(status.sinks.size(), 2U);
  }
  EXPECT_EQ(status.pipeline, "shop");
  EXPECT_EQ(status.sinks[0].name, "sink a");
  EXPECT_EQ(status.sinks[1].name, "sink b");
  EXPECT_EQ(status.sinks[0].events + status.sinks[1].events, 2U);
  script_.Say({{"c"}, {"a"}, false});
  Write("c", 3);
  EXPECT_TRUE(target("c").WaitForEvents(1));
  Write("a", 4);
  Write("b", 5);
  EXPECT_TRUE(target("b").WaitForEvents(2));
  EXPECT_TRUE(Drain().ok());
  EXPECT_THAT(target("a").events(), ElementsAre("insert public.t 1"));
  EXPECT_EQ(script_.log().back(), "leave");
}

TEST_F(GroupRunnerTest, DeliversWhatItReceivedBeforeItGivesAPartAway) {
  Start();
  script_.Say({{"a"}, {}, false});
  ASSERT_TRUE(Logged("settle"));
  target("a").Cork();
  Write("a", 1);
  ASSERT_TRUE(target("a").WaitForBlockedWrite(absl::Milliseconds(300)));
  script_.Say({{}, {"a"}, false});
  absl::SleepFor(absl::Milliseconds(50));
  EXPECT_EQ(std::ranges::count(script_.log(), "settle"), 1);
  target("a").Uncork();
  EXPECT_TRUE(Logged("settle", 2));
  EXPECT_THAT(target("a").durable_events(), ElementsAre("insert public.t 1"));
  EXPECT_TRUE(Drain().ok());
}

TEST_F(GroupRunnerTest, DoesNotWaitWhenAPartIsOthersAlready) {
  Start();
  script_.Say({{"a"}, {}, false});
  ASSERT_TRUE(Logged("settle"));
  target("a").Cork();
  Write("a", 1);
  ASSERT_TRUE(target("a").WaitForBlockedWrite(absl::Milliseconds(300)));
  script_.Say({{}, {"a"}, true});
  EXPECT_TRUE(Logged("settle", 2));
  EXPECT_TRUE(target("a").events().empty());
  EXPECT_TRUE(Drain().ok());
}

TEST_F(GroupRunnerTest, WaitsForTheGroupsWordWhenItWasTakenOver) {
  Start();
  script_.Say({{"a"}, {}, false});
  Write("a", 1);
  ASSERT_TRUE(target("a").WaitForEvents(1));
  absl::Status taken = absl::FailedPreconditionError("another pgflow has taken over");
  base::SetPayload(taken, kTakenOverPayload, "1");
  target("a").FailNext("write", taken);
  Write("a", 2);
  // Nothing said that the part is gone, so it is tried again, and not at once.
  const absl::Time start = absl::Now();
  EXPECT_TRUE(Logged("open a", 2));
  EXPECT_GE(absl::Now() - start, absl::Milliseconds(200));
  EXPECT_TRUE(target("a").WaitForEvents(2));
  target("a").FailNext("write", taken);
  Write("a", 3);
  absl::SleepFor(absl::Milliseconds(100));
  script_.Say({{}, {"a"}, true});
  EXPECT_TRUE(Logged("settle", 2));
  absl::SleepFor(absl::Milliseconds(500));
  EXPECT_EQ(std::ranges::count(script_.log(), "open a"), 2);
  EXPECT_TRUE(Drain().ok());
}

TEST_F(GroupRunnerTest, AnErrorOfOnePartEndsAll) {
  Start();
  script_.Say({{"a", "b"}, {}, false});
  target("b").FailNext("write", absl::InvalidArgumentError("refused"));
  Write("b", 1);
  const absl::Status status = Join();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("b: sink sink: refused"), std::string::npos) << status;
  EXPECT_EQ(runner_->status().phase, Phase::kFailed);
}

TEST_F(GroupRunnerTest, EndsWhenEveryPartHasComeToWhereItStood) {
  Write("a", 1);
  Write("b", 2);
  for (const char* part : {"a", "b"}) script_.part(part).server.Idle(postgres::Lsn(0x1000));
  script_.Say({{"a", "b"}, {}, false});
  Start(true);
  EXPECT_TRUE(Join().ok());
  EXPECT_EQ(target("a").events().size() + target("b").events().size(), 2U);
}

}  // namespace
}  // namespace pgflow::engine
