// What the tests of a pipeline between fakes share.
#pragma once

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

class FakeTap final : public ChangeTap {
 public:
  bool watched() const override { return watching; }
  void Take(std::string_view sink, Batch batch) override {
    base::MutexLock lock(&mutex_);
    for (const std::string& line : Describe(batch))
      lines_.push_back(std::string(sink) + ": " + line);
  }
  std::vector<std::string> lines() const {
    base::MutexLock lock(&mutex_);
    return lines_;
  }

  std::atomic<bool> watching{true};

 private:
  mutable base::Mutex mutex_;
  std::vector<std::string> lines_ ABSL_GUARDED_BY(mutex_);
};

class PipelineTest : public testing::Test {
 protected:
  PipelineTest() {
    std::string path = (std::filesystem::temp_directory_path() / "pipeline_XXXXXX").string();
    EXPECT_NE(::mkdtemp(path.data()), nullptr);
    directory_ = path;
    items_ = events_.Table("shop.items (id int4 key, name text)");
    server_.SetTable(items_, {});
  }
  ~PipelineTest() override {
    stop_.request_stop();
    if (thread_.joinable()) thread_.join();
    std::filesystem::remove_all(directory_);
  }

  void Start(const std::vector<FakeTarget*>& targets) {
    PipelineOptions options;
    options.name = "test";
    options.state_directory = directory_;
    options.log.spool_directory = directory_ + "/spool";
    options.lane.idle_checkpoint_interval = absl::Milliseconds(20);
    options.lane.save_interval = absl::Milliseconds(10);
    options.lane.durable_interval = absl::Milliseconds(5);
    options.lane.window_bytes_max = window_bytes_max_;
    options.lane.gather_interval = gather_interval_;
    options.until_lsn = until_;
    options.replay_only = replay_only_;
    options.tap = &tap_;
    std::vector<SinkNode> nodes;
    for (FakeTarget* target : targets) {
      SinkNode node;
      node.name = "sink" + std::to_string(nodes.size());
      node.type = "fake";
      node.sink = std::make_unique<FakeSink>(*target);
      node.dead_letter_path = dead_letter_;
      node.retry = {absl::Milliseconds(1), absl::Milliseconds(5)};
      if (replay_target_ != nullptr) {
        node.make = [this] { return std::make_unique<FakeSink>(*replay_target_); };
      }
      nodes.push_back(std::move(node));
    }
    drain_ = std::stop_source();
    stop_ = std::stop_source();
    pipeline_ = std::make_unique<Pipeline>(options, std::make_unique<FakeSource>(server_, plan_),
                                           std::move(transformers_), std::move(nodes));
    thread_ =
        std::jthread([this] { result_ = pipeline_->Run(drain_.get_token(), stop_.get_token()); });
  }

  std::shared_ptr<DeadLetterQueue> Letters() const {
    auto queue = DeadLetterQueue::Open({directory_, "test", "sink0", dead_letter_});
    EXPECT_TRUE(queue.ok()) << queue.status();
    return *queue;
  }

  absl::Status Join() {
    if (thread_.joinable()) thread_.join();
    pipeline_.reset();
    return result_;
  }
  absl::Status Drain() {
    drain_.request_stop();
    return Join();
  }
  absl::Status Stop() {
    stop_.request_stop();
    return Join();
  }
  bool AllStream() const {
    const PipelineStatus status = pipeline_->status();
    return !status.sinks.empty() && std::ranges::all_of(status.sinks, [](const SinkStatus& sink) {
      return sink.phase == Phase::kStreaming;
    });
  }
  void Write(std::string_view script) { server_.Write(events_.Stream(script)); }

  // Within a generous time.
  static bool Eventually(const std::function<bool()>& condition) {
    const absl::Time deadline = absl::Now() + absl::Seconds(10);
    while (!condition()) {
      if (absl::Now() > deadline) return false;
      std::this_thread::yield();
    }
    return true;
  }

  std::string directory_;
  SourcePlan plan_;
  std::vector<std::unique_ptr<Transformer>> transformers_;  // Of the next Start.
  std::string dead_letter_;
  FakeTarget exact_{/*keeps_checkpoint=*/true};
  FakeTarget replays_{/*keeps_checkpoint=*/true};
  FakeTarget* replay_target_ = nullptr;  // Of the sink that letters are replayed into.
  bool replay_only_ = false;
  std::optional<postgres::Lsn> until_;
  uint64_t window_bytes_max_ = 8 << 20;
  absl::Duration gather_interval_ = absl::Milliseconds(1);
  EventBuilder events_;
  schemas::TableSchemaPtr items_;
  FakeServer server_;
  FakeTarget target_{true};
  FakeTap tap_;
  std::stop_source drain_;
  std::stop_source stop_;
  std::unique_ptr<Pipeline> pipeline_;
  absl::Status result_;
  std::jthread thread_;
};

}  // namespace pgflow::engine
