#include "engine/testing/scratch_kafka.h"

#include <absl/time/clock.h>
#include <gtest/gtest.h>

#include "base/status.h"
#include "kafka/admin.h"
#include "kafka/consumer.h"
#include "kafka/partitioner.h"
#include "kafka/producer.h"

namespace pgflow::engine {
namespace {

using kafka::Admin;
using kafka::Consumer;
using kafka::Isolation;
using kafka::Message;
using kafka::Polled;
using kafka::Producer;

class ScratchKafkaTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    auto made = ScratchKafka::Make();
    ASSERT_TRUE(made.ok()) << made.status();
    broker_ = *std::move(made);
  }
  static void TearDownTestSuite() { broker_.reset(); }

  static kafka::Settings Settings() { return {{"bootstrap.servers", broker_->bootstrap()}}; }

  static void Create(const std::string& topic, int32_t partitions,
                     std::map<std::string, std::string> settings = {}) {
    auto admin = Admin::Make({.settings = Settings(), .patience = absl::Seconds(30)});
    ASSERT_TRUE(admin.ok());
    const absl::Status created = (*admin)->CreateTopic({.name = topic,
                                                        .partitions = partitions,
                                                        .replication_factor = 1,
                                                        .settings = std::move(settings)},
                                                       {});
    ASSERT_TRUE(created.ok()) << created;
    const auto count = (*admin)->CountPartitions(topic, {});
    ASSERT_TRUE(count.ok()) << count.status();
  }

  static std::unique_ptr<Producer> MakeProducer(const std::string& id) {
    auto producer = Producer::Make(
        {.settings = Settings(), .transactional_id = id, .patience = absl::Seconds(30)});
    EXPECT_TRUE(producer.ok());
    if (!id.empty()) {
      const absl::Status status = (*producer)->InitTransactions({});
      EXPECT_TRUE(status.ok()) << status;
    }
    return *std::move(producer);
  }

  static absl::Status Send(Producer& producer, const std::string& topic, std::string_view key,
                           std::string_view value) {
    Message message;
    PGFLOW_ASSIGN_OR_RETURN(message.topic, producer.TopicIndex(topic));
    message.has_key = !key.empty();
    message.key = key;
    message.has_value = true;
    message.value = value;
    message.tag = 7;
    return producer.Send(message, {});
  }

  // "partition key=value" of all there is to read.
  static std::vector<std::string> Read(const std::string& topic, int32_t partitions,
                                       Isolation isolation = Isolation::kReadCommitted) {
    std::vector<std::string> found;
    auto consumer = Consumer::Make(Settings(), isolation);
    EXPECT_TRUE(consumer.ok());
    std::vector<kafka::PartitionOffset> all;
    for (int32_t i = 0; i < partitions; ++i) all.push_back({.partition = i, .offset = 0});
    EXPECT_TRUE((*consumer)->Assign(topic, all).ok());
    int32_t ended = 0;
    const absl::Time deadline = absl::Now() + absl::Seconds(30);
    while (ended < partitions && absl::Now() < deadline) {
      const auto polled = (*consumer)->Poll(absl::Milliseconds(100));
      EXPECT_TRUE(polled.ok()) << polled.status();
      if (!polled.ok()) break;
      if (polled->kind == Polled::Kind::kEnd) ++ended;
      if (polled->kind != Polled::Kind::kRecord) continue;
      found.push_back(fmt::format("{} {}={}", polled->record.partition, polled->record.key,
                                  polled->record.value));
    }
    return found;
  }

  static std::unique_ptr<ScratchKafka> broker_;
};
std::unique_ptr<ScratchKafka> ScratchKafkaTest::broker_;

TEST_F(ScratchKafkaTest, KeysGoWhereJavaPutsThem) {
  Create("keys", 5);
  const auto producer = MakeProducer("");
  for (const char* key : {"21", "foobar", "a-little-bit-long-string"}) {
    ASSERT_TRUE(Send(*producer, "keys", key, "v").ok());
  }
  ASSERT_TRUE(producer->Flush({}).ok());
  const std::vector<std::string> found = Read("keys", 5);
  ASSERT_EQ(found.size(), 3U);
  for (const std::string& line : found) {
    const std::string key = line.substr(2, line.find('=') - 2);
    EXPECT_EQ(line[0] - '0', kafka::PartitionOfKey(key, 5)) << line;
  }
}

TEST_F(ScratchKafkaTest, OnlyCommittedTransactionsAreReadAndTheOlderProducerIsFenced) {
  Create("transactions", 1);
  const auto first = MakeProducer("same");
  ASSERT_TRUE(first->Begin().ok());
  ASSERT_TRUE(Send(*first, "transactions", "k", "lost").ok());
  ASSERT_TRUE(first->Flush({}).ok());
  const auto second = MakeProducer("same");
  ASSERT_TRUE(second->Begin().ok());
  ASSERT_TRUE(Send(*second, "transactions", "k", "kept").ok());
  ASSERT_TRUE(second->Commit({}).ok());
  EXPECT_EQ(Read("transactions", 1), std::vector<std::string>{"0 k=kept"});
  EXPECT_EQ(Read("transactions", 1, Isolation::kReadUncommitted).size(), 2U);
  const absl::Status fenced = first->Commit({});
  EXPECT_EQ(base::Payload(fenced, kafka::kFencedPayload), "1") << fenced;
}

TEST_F(ScratchKafkaTest, ATooLargeMessageIsNamed) {
  Create("narrow", 1, {{"max.message.bytes", "2000"}});
  const auto producer = MakeProducer("");
  ASSERT_TRUE(Send(*producer, "narrow", "k", std::string(3000, 'x')).ok());
  const absl::Status refused = producer->Flush({});
  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument) << refused;
  ASSERT_TRUE(producer->failure().has_value());
  EXPECT_EQ(producer->failure()->tag, 7U);
  EXPECT_EQ(producer->failure()->bytes, 3001U);
  const absl::Status larger = Send(*producer, "narrow", "k", std::string(2'000'000, 'x'));
  EXPECT_EQ(base::Payload(larger, kafka::kTooLargePayload), "1") << larger;
}

TEST_F(ScratchKafkaTest, SaysWhatATopicIs) {
  auto admin = Admin::Make({.settings = Settings(), .patience = absl::Seconds(30)});
  ASSERT_TRUE(admin.ok());
  EXPECT_EQ(*(*admin)->CountBrokers({}), 1);
  EXPECT_EQ(*(*admin)->CountPartitions("nothing_here", {}), std::nullopt);
  Create("described", 3, {{"cleanup.policy", "compact"}});
  EXPECT_EQ(*(*admin)->CountPartitions("described", {}), 3);
  const auto settings = (*admin)->TopicSettings("described", {});
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_EQ(settings->at("cleanup.policy"), "compact");
  const absl::Status wrong = (*admin)->CreateTopic(
      {.name = "many", .partitions = 1, .replication_factor = 3, .settings = {}}, {});
  EXPECT_EQ(wrong.code(), absl::StatusCode::kFailedPrecondition) << wrong;
}

TEST_F(ScratchKafkaTest, ASilentBrokerDoesNotHangAStop) {
  Create("frozen", 1);
  const auto producer = MakeProducer("frozen");
  ASSERT_TRUE(producer->Begin().ok());
  ASSERT_TRUE(Send(*producer, "frozen", "k", "v").ok());
  ASSERT_TRUE(broker_->Freeze().ok());
  std::stop_source stop;
  const absl::Time start = absl::Now();
  std::jthread stopper([&] {
    absl::SleepFor(absl::Milliseconds(300));
    stop.request_stop();
  });
  EXPECT_EQ(producer->Commit(stop.get_token()).code(), absl::StatusCode::kCancelled);
  EXPECT_LT(absl::Now() - start, absl::Seconds(2));
  ASSERT_TRUE(broker_->Thaw().ok());
  ASSERT_TRUE(producer->Commit({}).ok());
  EXPECT_EQ(Read("frozen", 1).size(), 1U);
}

TEST_F(ScratchKafkaTest, SurvivesAKillOnTheSamePort) {
  Create("killed", 1);
  const auto producer = MakeProducer("killed");
  ASSERT_TRUE(producer->Begin().ok());
  ASSERT_TRUE(Send(*producer, "killed", "k", "v").ok());
  ASSERT_TRUE(producer->Commit({}).ok());
  // Until it is read, the broker may still have to write the markers that show it.
  ASSERT_EQ(Read("killed", 1).size(), 1U);
  ASSERT_TRUE(broker_->Kill9().ok());
  EXPECT_FALSE(broker_->running());
  ASSERT_TRUE(broker_->Start().ok()) << broker_->LogTail();
  EXPECT_EQ(Read("killed", 1).size(), 1U);
}

}  // namespace
}  // namespace pgflow::engine
