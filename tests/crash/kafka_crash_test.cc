// kill -9 of pgflow and the source, on demand of the Kafka broker too, at random moments, under
// load; whoever reads what is committed must see each change exactly once, and in order for each
// key.
//
//   kafka_crash_test                                  8 kills (in CI)
//   PGFLOW_CRASH_BROKER=1 kafka_crash_test            the broker, too: see docs/limits.md
//   PGFLOW_CRASH_ROUNDS=60 kafka_crash_test           a long run
//   PGFLOW_CRASH_SEED=123 kafka_crash_test            the choices of an earlier run
//   PGFLOW_CRASH_SABOTAGE=uncommitted                 reads aborted transactions, too: must fail
//
// Writers raise the versions of items, and log each of their transactions. In the topics, then: the
// positions of each partition ascend; the versions of each item go up by one from message to
// message; every line of the log is there; and each item's last message is the source's row.
#include <csignal>
#include <cstdlib>
#include <map>
#include <random>
#include <set>
#include <thread>

#include <absl/time/clock.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "engine/testing/scratch_kafka.h"
#include "kafka/admin.h"
#include "kafka/consumer.h"
#include "tests/integration/system_test.h"

namespace pgflow::tests {
namespace {

constexpr int kItems = 20000;
constexpr int kWriters = 2;
constexpr int32_t kPartitions = 3;

// "16/B374D848:7" in an order that compares.
std::pair<uint64_t, uint64_t> PositionOf(const std::string& text) {
  const size_t slash = text.find('/');
  const size_t colon = text.find(':');
  return {(std::stoull(text.substr(0, slash), nullptr, 16) << 32) |
              std::stoull(text.substr(slash + 1, colon - slash - 1), nullptr, 16),
          std::stoull(text.substr(colon + 1))};
}

// What a reader of one topic makes of it.
struct Told {
  struct Partition {
    std::map<int64_t, int64_t> versions;        // Of each item: its last message.
    std::set<std::pair<int64_t, int64_t>> log;  // {writer, n}
    std::pair<uint64_t, uint64_t> position;     // The stream's last.
  };
  std::map<int32_t, Partition> partitions;
  std::map<int64_t, int64_t> streamed;  // Of each item: the stream's last message.
  int64_t messages = 0;
  int64_t repeated = 0;  // Positions that do not ascend.
  int64_t gaps = 0;      // Versions that do not go up by one.
};

class KafkaCrashTest : public SystemTest {
 protected:
  void SetUp() override {
    seed_ = NumberFromEnvironment("PGFLOW_CRASH_SEED", std::random_device{}());
    random_.seed(seed_);
    std::printf("PGFLOW_CRASH_SEED=%llu\n", static_cast<unsigned long long>(seed_));
    std::fflush(stdout);
    auto source = ScratchPostgres::Make({.settings = {{"wal_sender_timeout", "5s"}}});
    ASSERT_TRUE(source.ok()) << source.status();
    source_server_ = *std::move(source);
    auto broker = engine::ScratchKafka::Make();
    ASSERT_TRUE(broker.ok()) << broker.status();
    broker_ = *std::move(broker);
    Use({source_server_.get(), "postgres"}, {source_server_.get(), "postgres"});
    pipeline_.snapshot = "{workers: 2, range_size: 128KiB}";
    pipeline_.sinks = {
        fmt::format("kafka: {{brokers: [\"{}\"], topic: \"{{table}}\", partitions: {}, timeout: 5s,"
                    " transaction_timeout: 60s}}, retry: {{initial: 50ms, max: 500ms}}",
                    broker_->bootstrap(), kPartitions)};
    source_.Execute(
        fmt::format("CREATE TABLE item (id int PRIMARY KEY, version bigint NOT NULL, note text);"
                    "CREATE TABLE log (writer int, n bigint, PRIMARY KEY (writer, n));"
                    "INSERT INTO item SELECT i, 0, repeat('n', 60) FROM generate_series(1, {}) i",
                    kItems));
  }
  void TearDown() override {
    pgflow_.reset();
    broker_.reset();
  }

  int Draw(int first, int last) { return std::uniform_int_distribution<int>(first, last)(random_); }

  void Write(int writer, std::stop_token stop) const;
  void KeepRunning();
  void KillSomebody();
  void Finish();
  Told ReadTopic(const std::string& topic) const;
  static void Learn(const kafka::Record& record, Told& told);
  void Judge(const Told& items, const Told& log) const;

  uint64_t seed_ = 0;
  std::mt19937_64 random_;
  std::unique_ptr<ScratchPostgres> source_server_;
  std::unique_ptr<engine::ScratchKafka> broker_;
  std::unique_ptr<PgflowProcess> pgflow_;
  std::vector<std::jthread> writers_;
};

// Whether a transaction that was in the air at a kill committed, the table tells.
void KafkaCrashTest::Write(int writer, std::stop_token stop) const {
  std::mt19937_64 random(seed_ + static_cast<uint64_t>(writer));
  while (!stop.stop_requested()) {
    const int first = std::uniform_int_distribution<int>(1, kItems)(random);
    const int count = random() % 50 == 0 ? 2000 : 3;
    const absl::Status status = source_server_->Execute(fmt::format(
        "INSERT INTO log SELECT {0}, coalesce(max(n), 0) + 1 FROM log WHERE writer = {0};"
        "UPDATE item SET version = version + 1 WHERE id IN (SELECT id FROM item"
        " WHERE id >= {1} AND id < {1} + {2} ORDER BY id FOR UPDATE)",
        writer, first, count));
    if (!status.ok()) absl::SleepFor(absl::Milliseconds(20));
  }
}

// As a supervisor does: into an outage it may end by itself, with 1.
void KafkaCrashTest::KeepRunning() {
  if (pgflow_ != nullptr && pgflow_->running()) return;
  if (pgflow_ != nullptr) {
    const int code = pgflow_->WaitForExit();
    EXPECT_TRUE(code == 1 || code == 128 + SIGKILL) << code << "\n" << pgflow_->Output();
  }
  pgflow_ = Run();
}

void KafkaCrashTest::KillSomebody() {
  const absl::Time until = absl::Now() + absl::Milliseconds(Draw(200, 6000));
  while (absl::Now() < until) {
    KeepRunning();
    absl::SleepFor(absl::Milliseconds(10));
  }
  const bool broker = NumberFromEnvironment("PGFLOW_CRASH_BROKER", 0) != 0;
  int victim = Draw(1, 10);
  if (!broker && victim > 4 && victim <= 8) victim = 1;
  if (victim <= 4) {
    pgflow_->Kill9();
  } else if (victim <= 8) {
    ASSERT_TRUE(broker_->Kill9().ok());
    absl::SleepFor(absl::Milliseconds(Draw(0, 600)));
    ASSERT_TRUE(broker_->Start().ok()) << broker_->LogTail();
  } else {
    ASSERT_TRUE(source_server_->Kill9().ok());
    absl::SleepFor(absl::Milliseconds(Draw(0, 600)));
    ASSERT_TRUE(source_server_->Start().ok()) << source_server_->LogTail();
  }
  std::printf("killed %s\n", victim <= 4 ? "pgflow" : victim <= 8 ? "the broker" : "the source");
  std::fflush(stdout);
}

void KafkaCrashTest::Finish() {
  writers_.clear();
  for (int attempt = 0; attempt < 10; ++attempt) {
    KeepRunning();
    if (pgflow_->WaitForOutput("streaming from") && pgflow_->running()) break;
  }
  pgflow_->Signal(SIGTERM);
  EXPECT_EQ(pgflow_->WaitForExit(), 0) << pgflow_->Output();
  pgflow_ = Run({"--until-current"});
  EXPECT_EQ(pgflow_->WaitForExit(absl::Seconds(90)), 0) << pgflow_->Output();
}

void KafkaCrashTest::Learn(const kafka::Record& record, Told& told) {
  ++told.messages;
  Told::Partition& partition = told.partitions[record.partition];
  std::map<std::string_view, std::string_view> headers(record.headers.begin(),
                                                       record.headers.end());
  const std::string_view operation = headers["pgflow.operation"];
  if (operation == "truncate") {
    // The copy was started over: what it brought so far comes again.
    partition.versions.clear();
    partition.log.clear();
    return;
  }
  const bool streamed = operation != "read";
  if (streamed) {
    const auto position = PositionOf(std::string(headers["pgflow.position"]));
    if (position <= partition.position) ++told.repeated;
    partition.position = position;
  }
  const nlohmann::json row = nlohmann::json::parse(record.value).at("after");
  if (row.contains("writer")) {
    partition.log.emplace(row.at("writer").get<int64_t>(), row.at("n").get<int64_t>());
    return;
  }
  const int64_t id = row.at("id").get<int64_t>();
  const int64_t version = row.at("version").get<int64_t>();
  partition.versions[id] = version;
  if (!streamed) return;
  const auto [last, first] = told.streamed.try_emplace(id, version);
  if (!first && version != last->second + 1) ++told.gaps;
  last->second = version;
}

Told KafkaCrashTest::ReadTopic(const std::string& topic) const {
  Told told;
  const char* sabotage = std::getenv("PGFLOW_CRASH_SABOTAGE");
  auto consumer = kafka::Consumer::Make(
      {{"bootstrap.servers", broker_->bootstrap()}},
      sabotage == nullptr ? kafka::Isolation::kReadCommitted : kafka::Isolation::kReadUncommitted);
  EXPECT_TRUE(consumer.ok()) << consumer.status();
  std::vector<kafka::PartitionOffset> all;
  all.reserve(kPartitions);
  for (int32_t i = 0; i < kPartitions; ++i) all.push_back({.partition = i, .offset = 0});
  EXPECT_TRUE((*consumer)->Assign(topic, all).ok());
  std::set<int32_t> ended;
  absl::Time deadline = absl::Now() + kPatience;
  while (ended.size() < kPartitions && absl::Now() < deadline) {
    const auto polled = (*consumer)->Poll(absl::Milliseconds(100));
    EXPECT_TRUE(polled.ok()) << polled.status();
    if (!polled.ok()) break;
    if (polled->kind != kafka::Polled::Kind::kNothing) deadline = absl::Now() + kPatience;
    if (polled->kind == kafka::Polled::Kind::kRecord) Learn(polled->record, told);
    if (polled->kind != kafka::Polled::Kind::kEnd) continue;
    ended.insert(polled->record.partition);
    // Nothing may be hidden behind a transaction that nobody ends.
    EXPECT_EQ((*consumer)->KnownEnd(topic, polled->record.partition), polled->record.offset);
  }
  EXPECT_EQ(ended.size(), static_cast<size_t>(kPartitions)) << topic;
  return told;
}

void KafkaCrashTest::Judge(const Told& items, const Told& log) const {
  EXPECT_EQ(items.repeated, 0);
  EXPECT_EQ(log.repeated, 0);
  EXPECT_EQ(items.gaps, 0);
  std::map<int64_t, int64_t> versions;
  for (const auto& [number, partition] : items.partitions) {
    versions.insert(partition.versions.begin(), partition.versions.end());
  }
  size_t log_lines = 0;
  for (const auto& [number, partition] : log.partitions) log_lines += partition.log.size();
  const auto rows = source_server_->Query("SELECT id, version FROM item");
  ASSERT_TRUE(rows.ok()) << rows.status();
  EXPECT_EQ(versions.size(), rows->size());
  int64_t different = 0;
  for (const engine::TextRow& row : *rows) {
    const auto found = versions.find(std::stoll(*row[0]));
    if (found == versions.end() || found->second != std::stoll(*row[1])) ++different;
  }
  EXPECT_EQ(different, 0);
  const auto lines = source_server_->Query("SELECT writer, n FROM log");
  ASSERT_TRUE(lines.ok()) << lines.status();
  EXPECT_EQ(log_lines, lines->size());
  std::printf("%zu transactions, %lld messages of items\n", lines->size(),
              static_cast<long long>(items.messages));
}

TEST_F(KafkaCrashTest, EachChangeIsThereExactlyOnceInOrder) {
  for (int i = 0; i < kWriters; ++i) {
    writers_.emplace_back([this, i](std::stop_token stop) { Write(i, std::move(stop)); });
  }
  const auto rounds = static_cast<int>(NumberFromEnvironment("PGFLOW_CRASH_ROUNDS", 8));
  for (int round = 0; round < rounds && !HasFailure(); ++round) KillSomebody();
  Finish();
  Judge(ReadTopic("item"), ReadTopic("log"));
  if (HasFailure()) {
    std::printf("again: PGFLOW_CRASH_SEED=%llu\n", static_cast<unsigned long long>(seed_));
  }
}

}  // namespace
}  // namespace pgflow::tests
