#include "sinks/kafka/kafka_sink.h"

#include <map>
#include <thread>

#include <absl/time/clock.h>
#include <gtest/gtest.h>

#include "base/status.h"
#include "engine/api/takeover.h"
#include "engine/testing/event_builder.h"
#include "engine/testing/scratch_kafka.h"
#include "engine/testing/sink_contract.h"
#include "kafka/admin.h"
#include "kafka/consumer.h"

namespace pgflow::sinks {
namespace {

using engine::BlockRange;
using engine::ScratchKafka;
using engine::Sink;
using engine::SnapshotLane;
using engine::StreamPoint;
using engine::TablePlan;
using engine::TableProgress;
using kafka::Isolation;
using kafka::Polled;
using postgres::Lsn;

struct Read {
  int32_t partition = 0;
  int64_t offset = 0;
  std::string key;
  std::string value;
  bool has_key = false;
  bool has_value = false;
  std::map<std::string, std::string> headers;
};

class KafkaSinkTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    auto made = ScratchKafka::Make();
    ASSERT_TRUE(made.ok()) << made.status();
    broker_ = *std::move(made);
  }
  static void TearDownTestSuite() { broker_.reset(); }

  void SetUp() override {
    name_ = testing::UnitTest::GetInstance()->current_test_info()->name();
    config_.brokers = {broker_->bootstrap()};
    config_.timeout = absl::Seconds(20);
    config_.topic = "{prefix}.{table}";
    builder_.Table("public.items (id int4 key, name text)");
    plan_.schema = builder_.FindTable("items");
    plan_.source_table = plan_.schema->table;
  }

  std::unique_ptr<Sink> Make() const {
    auto sink = KafkaSink::Make(config_);
    EXPECT_TRUE(sink.ok()) << sink.status();
    return *std::move(sink);
  }
  engine::SinkContext Context() const { return {name_, "kafka", "shop"}; }
  std::unique_ptr<Sink> Open(bool begin = true) const {
    std::unique_ptr<Sink> sink = Make();
    const absl::Status status = sink->Open(Context(), {});
    EXPECT_TRUE(status.ok()) << status;
    if (begin && sink->checkpoint_store() != nullptr) {
      const absl::Status began = sink->checkpoint_store()->Begin({1, 1, "shop", "slot"}, {});
      EXPECT_TRUE(began.ok()) << began;
    }
    return sink;
  }

  absl::Status Write(Sink& sink, std::string_view script, bool ends = true,
                     std::stop_token stop = {}) {
    std::vector<engine::Batch> batches;
    batches.push_back(builder_.StreamBatch(script));
    engine::Window window;
    window.batches = batches;
    window.ends_at_commit = ends;
    const engine::TransactionSpan& last = batches.back().transactions().back();
    window.end = {last.commit_lsn, last.end_lsn};
    if (ends) end_ = window.end;
    return sink.Write(window, std::move(stop)).status();
  }

  static kafka::Settings Settings() { return {{"bootstrap.servers", broker_->bootstrap()}}; }

  std::string Topic(const std::string& table = "items") const { return name_ + "." + table; }

  static std::vector<Read> ReadTopic(const std::string& topic,
                                     Isolation isolation = Isolation::kReadCommitted) {
    auto admin = kafka::Admin::Make({.settings = Settings(), .patience = absl::Seconds(20)});
    const auto partitions = (*admin)->CountPartitions(topic, {});
    std::vector<Read> found;
    if (!partitions.ok() || !partitions->has_value()) return found;
    auto consumer = kafka::Consumer::Make(Settings(), isolation);
    std::vector<kafka::PartitionOffset> all;
    for (int32_t i = 0; i < **partitions; ++i) all.push_back({.partition = i, .offset = 0});
    EXPECT_TRUE((*consumer)->Assign(topic, all).ok());
    int32_t ended = 0;
    const absl::Time deadline = absl::Now() + absl::Seconds(30);
    while (ended < **partitions && absl::Now() < deadline) {
      const auto polled = (*consumer)->Poll(absl::Milliseconds(100));
      EXPECT_TRUE(polled.ok()) << polled.status();
      if (!polled.ok()) break;
      if (polled->kind == Polled::Kind::kEnd) ++ended;
      if (polled->kind != Polled::Kind::kRecord) continue;
      const kafka::Record& record = polled->record;
      Read read{record.partition,
                record.offset,
                std::string(record.key),
                std::string(record.value),
                record.has_key,
                record.has_value,
                {}};
      for (const auto& [name, value] : record.headers) read.headers[std::string(name)] = value;
      found.push_back(std::move(read));
    }
    return found;
  }

  // For the message of a failed test.
  std::string RawCheckpoint() const {
    std::string text;
    for (const Read& read : ReadTopic(fmt::format("pgflow_checkpoints.{}.kafka", name_),
                                      Isolation::kReadUncommitted)) {
      text += fmt::format("\n{} {} = {}", read.offset, read.key, read.value);
    }
    return text;
  }

  // The `pgflow.position` of what is committed.
  std::vector<std::string> Positions(const std::string& table = "items") const {
    std::vector<std::string> positions;
    for (Read& read : ReadTopic(Topic(table))) {
      positions.push_back(read.headers["pgflow.position"]);
    }
    return positions;
  }

  static std::unique_ptr<ScratchKafka> broker_;
  std::string name_;
  KafkaSinkConfig config_;
  engine::EventBuilder builder_;
  TablePlan plan_;
  StreamPoint end_;
};
std::unique_ptr<ScratchKafka> KafkaSinkTest::broker_;

TEST_F(KafkaSinkTest, KeepsTheContract) {
  EXPECT_EQ(engine::CheckSinkContract({.make = [this] { return Make(); }, .snapshot = true}),
            std::vector<std::string>());
}

TEST_F(KafkaSinkTest, KeepsTheContractWithoutTransactions) {
  config_.transactional = false;
  EXPECT_EQ(engine::CheckSinkContract({.make = [this] { return Make(); }, .snapshot = true}),
            std::vector<std::string>());
}

TEST_F(KafkaSinkTest, KeysValuesTombstonesAndHeaders) {
  const auto sink = Open();
  ASSERT_TRUE(
      Write(*sink, "begin xid=7 lsn=0/500\n insert items 1 one\n delete items 1\n commit").ok());
  EXPECT_EQ(*sink->Durable({}), end_);
  const std::vector<Read> read = ReadTopic(Topic());
  ASSERT_EQ(read.size(), 3U);
  EXPECT_EQ(read[0].key, R"({"id":1})");
  EXPECT_NE(read[0].value.find(R"("name":"one")"), std::string::npos) << read[0].value;
  EXPECT_EQ(read[0].headers.at("pgflow.position"), "0/500:0");
  EXPECT_EQ(read[0].headers.at("pgflow.transaction"), "7");
  EXPECT_EQ(read[0].headers.at("pgflow.operation"), "insert");
  EXPECT_EQ(read[1].headers.at("pgflow.operation"), "delete");
  EXPECT_EQ(read[2].key, read[1].key);
  EXPECT_FALSE(read[2].has_value);
}

TEST_F(KafkaSinkTest, WhatARestartFindsIsWhatWasCommitted) {
  {
    const auto sink = Open();
    ASSERT_TRUE(Write(*sink, "begin lsn=0/500\n insert items 1 one\n commit").ok());
    // Sent and acknowledged, but its transaction never ends.
    ASSERT_TRUE(Write(*sink, "begin lsn=0/600\n insert items 2 two", false).ok());
    EXPECT_EQ(*sink->Durable({}), end_);
  }
  const auto sink = Open(false);
  const auto checkpoint = sink->checkpoint_store()->Load();
  ASSERT_TRUE(checkpoint.ok() && checkpoint->has_value()) << checkpoint.status();
  EXPECT_EQ((*checkpoint)->stream, end_);
  builder_.StreamBatch("commit");
  ASSERT_TRUE(Write(*sink, "begin lsn=0/600\n insert items 2 two\n commit").ok());
  EXPECT_EQ(Positions(), (std::vector<std::string>{"0/500:0", "0/600:0"}));
}

TEST_F(KafkaSinkTest, TheOneThatWasReplacedIsFencedOff) {
  const auto first = Open();
  ASSERT_TRUE(Write(*first, "begin lsn=0/500\n insert items 1 one", false).ok());
  const auto second = Open(false);
  const absl::Status late = Write(*first, "insert items 2 two\n commit");
  EXPECT_EQ(late.code(), absl::StatusCode::kFailedPrecondition) << late;
  EXPECT_NE(base::Message(late).find("taken over"), std::string_view::npos) << late;
  const absl::Status store = first->checkpoint_store()->FinishSnapshot(postgres::Lsn(0x30));
  EXPECT_EQ(store.code(), absl::StatusCode::kFailedPrecondition) << store;
  ASSERT_TRUE(Write(*second, "begin lsn=0/700\n insert items 3 three\n commit").ok());
  EXPECT_EQ(Positions(), std::vector<std::string>{"0/700:0"});
}

TEST_F(KafkaSinkTest, TheOneThatWasReplacedDoesNotTakeItBack) {
  const auto first = Open();
  ASSERT_TRUE(Write(*first, "begin lsn=0/500\n insert items 1 one\n commit").ok());
  ASSERT_TRUE(first->Open(Context(), {}).ok());  // From itself it may.
  const auto second = Open(false);
  ASSERT_TRUE(Write(*second, "begin lsn=0/600\n insert items 2 two", false).ok());
  for (int i = 0; i < 2; ++i) {
    const absl::Status late = first->Open(Context(), {});
    EXPECT_EQ(late.code(), absl::StatusCode::kFailedPrecondition) << late;
    EXPECT_NE(base::Payload(late, engine::kTakenOverPayload), "") << late;
  }
  const absl::Status undisturbed = Write(*second, "insert items 3 three\n commit");
  EXPECT_EQ(undisturbed, absl::OkStatus());
}

// It was about to take the sink when it lost the slot.
TEST_F(KafkaSinkTest, WithoutTheSlotNobodyIsFencedOff) {
  const auto first = Open();
  const auto second = Make();
  engine::SinkContext context = Context();
  context.confirm_slot = [](const std::stop_token&) { return absl::CancelledError("no slot"); };
  EXPECT_EQ(second->Open(context, {}).code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(Write(*first, "begin lsn=0/500\n insert items 1 one\n commit"), absl::OkStatus());
}

TEST_F(KafkaSinkTest, LanesOfTheOneThatWasReplacedAreFencedOff) {
  const auto first = Open();
  ASSERT_TRUE(first->PrepareSnapshot({}, {&plan_, 1}, {}, {}).ok());
  TableProgress progress;
  progress.table = plan_.source_table;
  ASSERT_TRUE(first->checkpoint_store()->BeginTable(progress).ok());
  std::vector<std::unique_ptr<SnapshotLane>> lanes;
  for (uint32_t i = 0; i < 3; ++i) {
    auto lane = first->OpenLane({});
    ASSERT_TRUE(lane.ok()) << lane.status();
    ASSERT_TRUE((*lane)->BeginRange(plan_, {i, i + 1}, {}).ok());
    engine::Batch rows = builder_.Snapshot("items", "1 late");
    ASSERT_TRUE((*lane)->Write(rows, {}).ok());
    lanes.push_back(*std::move(lane));
  }
  ASSERT_TRUE(lanes[0]->FinishRange({}).ok());
  const auto second = Open(false);
  for (size_t i = 1; i < lanes.size(); ++i) {
    const absl::Status late = lanes[i]->FinishRange({});
    EXPECT_EQ(late.code(), absl::StatusCode::kFailedPrecondition) << late;
  }
  const auto another = first->OpenLane({});
  EXPECT_EQ(another.status().code(), absl::StatusCode::kFailedPrecondition) << another.status();
  const auto checkpoint = second->checkpoint_store()->Load();
  ASSERT_TRUE(checkpoint.ok() && checkpoint->has_value()) << checkpoint.status();
  EXPECT_EQ((*checkpoint)->tables.at(0).finished, (std::vector<BlockRange>{{0, 1}}));
  EXPECT_EQ(ReadTopic(Topic()).size(), 1U);
}

TEST_F(KafkaSinkTest, ATooLargeMessageIsNamedWithSizeAndLimit) {
  config_.message_bytes_max = {2000};
  const auto sink = Open();
  const absl::Status refused =
      Write(*sink, fmt::format("begin lsn=0/500\n insert items 1 one\n insert items 2 {}\n commit",
                               std::string(3000, 'x')));
  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument) << refused;
  EXPECT_EQ(base::Payload(refused, engine::kCulpritPayload), "0/500:1");
  EXPECT_NE(base::Message(refused).find("2000"), std::string_view::npos) << refused;
  ASSERT_TRUE(sink->Open(Context(), {}).ok());
  ASSERT_TRUE(Write(*sink, "begin lsn=0/600\n insert items 1 one\n commit").ok());
  EXPECT_EQ(Positions(), std::vector<std::string>{"0/600:0"});
}

TEST_F(KafkaSinkTest, ATopicThatTakesLessNamesTheRightMessage) {
  auto admin = kafka::Admin::Make({.settings = Settings(), .patience = absl::Seconds(20)});
  ASSERT_TRUE((*admin)
                  ->CreateTopic({.name = Topic(),
                                 .partitions = 1,
                                 .replication_factor = 1,
                                 .settings = {{"max.message.bytes", "4000"}}},
                                {})
                  .ok());
  config_.compression = Compression::kNone;
  const auto sink = Open();
  // More in one batch than the topic takes, each of them small: smaller batches will do.
  std::string script = "begin lsn=0/500\n";
  for (int i = 0; i < 20; ++i) {
    script += fmt::format("insert items {} {}\n", i, std::string(1000, 'x'));
  }
  const absl::Status first = Write(*sink, script + "commit");
  EXPECT_EQ(first.code(), absl::StatusCode::kAborted) << first;
  ASSERT_TRUE(sink->Open(Context(), {}).ok());
  const absl::Status again = Write(*sink, script + "commit");
  EXPECT_TRUE(again.ok()) << again;
  const absl::Status refused =
      Write(*sink, fmt::format("begin lsn=0/600\n insert items 1 one\n insert items 2 {}\n"
                               " insert items 3 three\n commit",
                               std::string(5000, 'x')));
  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument) << refused;
  EXPECT_EQ(base::Payload(refused, engine::kCulpritPayload), "0/600:1");
  EXPECT_NE(base::Message(refused).find("4000"), std::string_view::npos) << refused;

  // And a careful lane leaves it out.
  ASSERT_TRUE(sink->Open(Context(), {}).ok());
  auto lane = sink->OpenLane({});
  ASSERT_TRUE(lane.ok()) << lane.status();
  engine::SnapshotLane::RangeOptions options;
  options.mode = SnapshotLane::Mode::kCareful;
  ASSERT_TRUE((*lane)->BeginRange(plan_, {0, 1}, options).ok());
  engine::Batch rows =
      builder_.Snapshot("items", fmt::format("31 a\n32 {}\n33 b", std::string(5000, 'x')));
  const auto written = (*lane)->Write(rows, {});
  ASSERT_TRUE(written.ok()) << written.status();
  ASSERT_EQ(written->rejections.size(), 1U);
  EXPECT_EQ(written->rejections[0].event, 1U);
  ASSERT_TRUE((*lane)->FinishRange({}).ok());
  EXPECT_EQ(Positions().size(), 22U);
}

TEST_F(KafkaSinkTest, MakesTopicsAsConfigured) {
  config_.partitions = 3;
  config_.replication_factor = 1;
  config_.retention = absl::Hours(1);
  config_.cleanup_policy = CleanupPolicy::kDelete;
  config_.message_bytes_max = {5'000'000};
  const auto sink = Open();
  ASSERT_TRUE(sink->PrepareSnapshot({}, {&plan_, 1}, {}, {}).ok());
  auto admin = kafka::Admin::Make({.settings = Settings(), .patience = absl::Seconds(20)});
  EXPECT_EQ(*(*admin)->CountPartitions(Topic(), {}), 3);
  const auto settings = (*admin)->TopicSettings(Topic(), {});
  ASSERT_TRUE(settings.ok());
  EXPECT_EQ(settings->at("retention.ms"), "3600000");
  EXPECT_EQ(settings->at("cleanup.policy"), "delete");
  EXPECT_EQ(settings->at("max.message.bytes"), "5001024");
  // A truncate concerns every partition.
  ASSERT_TRUE(Write(*sink, "begin lsn=0/500\n insert items 1 one\n truncate items\n commit").ok());
  std::map<int32_t, int> truncates;
  for (const Read& read : ReadTopic(Topic())) {
    if (read.headers.at("pgflow.operation") == "truncate") ++truncates[read.partition];
  }
  EXPECT_EQ(truncates, (std::map<int32_t, int>{{0, 1}, {1, 1}, {2, 1}}));
}

TEST_F(KafkaSinkTest, SaysThatATopicIsMissing) {
  const auto first = Open();  // The checkpoint's topic is there.
  config_.create_topics = false;
  const auto sink = Open(false);
  const absl::Status missing = Write(*sink, "begin lsn=0/500\n insert items 1 one\n commit");
  EXPECT_EQ(missing.code(), absl::StatusCode::kFailedPrecondition) << missing;
  EXPECT_NE(base::Message(missing).find(Topic()), std::string_view::npos) << missing;
}

TEST_F(KafkaSinkTest, RoutesByAColumn) {
  config_.topic = "{prefix}.{column}";
  config_.topic_by_column = "name";
  const auto sink = Open();
  ASSERT_TRUE(Write(*sink,
                    "begin lsn=0/500\n insert items 1 paid\n insert items 2 sent\n"
                    " insert items 3 paid\n commit")
                  .ok());
  EXPECT_EQ(ReadTopic(Topic("paid")).size(), 2U);
  EXPECT_EQ(ReadTopic(Topic("sent")).size(), 1U);
  const absl::Status unknown = Write(*sink, "begin lsn=0/600\n delete items 1\n commit");
  EXPECT_EQ(unknown.code(), absl::StatusCode::kFailedPrecondition) << unknown;
}

TEST_F(KafkaSinkTest, AFrozenBrokerHoldsNobodyBeyondAStop) {
  const auto sink = Open();
  ASSERT_TRUE(Write(*sink, "begin lsn=0/500\n insert items 1 one\n commit").ok());
  ASSERT_TRUE(broker_->Freeze().ok());
  std::stop_source stop;
  const absl::Time start = absl::Now();
  absl::Status status;
  {
    std::jthread stopper([&] {
      absl::SleepFor(absl::Milliseconds(300));
      stop.request_stop();
    });
    status = Write(*sink, "begin lsn=0/600\n insert items 2 two\n commit", true, stop.get_token());
  }
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled) << status;
  EXPECT_LT(absl::Now() - start, absl::Seconds(3));
  ASSERT_TRUE(broker_->Thaw().ok());
  // Committed or not: the checkpoint tells.
  const auto next = Open(false);
  const auto checkpoint = next->checkpoint_store()->Load();
  ASSERT_TRUE(checkpoint.ok() && checkpoint->has_value()) << checkpoint.status();
  const bool committed = (*checkpoint)->stream.commit_lsn == Lsn(0x600);
  EXPECT_EQ(Positions().size(), committed ? 2U : 1U);
}

// A table may start over before the first change came: where the stream begins stays what it is.
TEST_F(KafkaSinkTest, ATableThatStartsOverDoesNotMoveTheStream) {
  const auto sink = Open(false);
  const engine::StreamPoint start{Lsn(), Lsn(0x480)};
  ASSERT_TRUE(sink->checkpoint_store()->Begin({1, 1, "shop", "slot"}, start).ok());
  ASSERT_TRUE(sink->PrepareSnapshot({}, {&plan_, 1}, {}, {}).ok());
  ASSERT_TRUE(sink->ResetTable(plan_, {}).ok());
  const auto next = Open(false);
  const auto checkpoint = next->checkpoint_store()->Load();
  ASSERT_TRUE(checkpoint.ok() && checkpoint->has_value()) << checkpoint.status();
  EXPECT_EQ((*checkpoint)->stream, start);
}

TEST_F(KafkaSinkTest, GoesOnWhenTheBrokerIsBack) {
  config_.timeout = absl::Seconds(3);
  const auto sink = Open();
  ASSERT_TRUE(Write(*sink, "begin lsn=0/500\n insert items 1 one\n commit").ok());
  // Until it is read, the broker may still have to write the markers that show it; killed before,
  // it was seen to leave them out for good (docs/limits.md).
  ASSERT_EQ(Positions(), (std::vector<std::string>{"0/500:0"}));
  ASSERT_TRUE(broker_->Kill9().ok());
  const absl::Status down = Write(*sink, "begin lsn=0/600\n insert items 2 two\n commit");
  EXPECT_TRUE(base::IsRetryable(down)) << down;
  const absl::Status still_down = sink->Open(Context(), {});
  EXPECT_TRUE(base::IsRetryable(still_down)) << still_down;
  ASSERT_TRUE(broker_->Start().ok()) << broker_->LogTail();
  absl::Status open;
  for (int attempt = 0; attempt < 20; ++attempt) {
    open = sink->Open(Context(), {});
    if (open.ok()) break;
    EXPECT_TRUE(base::IsRetryable(open)) << open;
  }
  ASSERT_TRUE(open.ok()) << open << RawCheckpoint();
  ASSERT_TRUE(Write(*sink, "begin lsn=0/600\n insert items 2 two\n commit").ok());
  EXPECT_EQ(Positions(), (std::vector<std::string>{"0/500:0", "0/600:0"}));
}

TEST_F(KafkaSinkTest, ChecksWithoutChangingAnything) {
  const auto findings = Make()->Check({}, {&plan_, 1}, {});
  ASSERT_TRUE(findings.ok()) << findings.status();
  for (const engine::Finding& finding : *findings) {
    EXPECT_EQ(finding.severity, engine::Finding::Severity::kOk)
        << finding.subject << ": " << finding.problem;
  }
  auto admin = kafka::Admin::Make({.settings = Settings(), .patience = absl::Seconds(20)});
  EXPECT_EQ(*(*admin)->CountPartitions("check.items", {}), std::nullopt);
  config_.replication_factor = 3;
  config_.transaction_timeout = absl::Hours(1);
  const auto wrong = Make()->Check({}, {&plan_, 1}, {});
  ASSERT_TRUE(wrong.ok()) << wrong.status();
  int errors = 0;
  for (const engine::Finding& finding : *wrong) {
    if (finding.severity == engine::Finding::Severity::kError) ++errors;
  }
  EXPECT_EQ(errors, 2);
}

TEST_F(KafkaSinkTest, PeeksWithoutTakingOver) {
  const auto sink = Open();
  ASSERT_TRUE(Write(*sink, "begin lsn=0/500\n insert items 1 one\n commit").ok());
  const auto peeked = Make()->PeekCheckpoint(Context(), {});
  ASSERT_TRUE(peeked.ok() && peeked->has_value()) << peeked.status();
  EXPECT_EQ((*peeked)->stream, end_);
  ASSERT_TRUE(Write(*sink, "begin lsn=0/600\n insert items 2 two\n commit").ok());
}

}  // namespace
}  // namespace pgflow::sinks
