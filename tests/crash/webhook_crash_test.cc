// kill -9 of pgflow, and outages of the receiver, at random moments under load: the receiver, which
// drops what it has seen by its Idempotency-Key, ends up with what the table has, and no event
// overtakes another one of its row.
//
//   webhook_crash_test                                8 kills (in CI)
//   PGFLOW_CRASH_ROUNDS=100 webhook_crash_test        the long run
//   PGFLOW_CRASH_SEED=123 webhook_crash_test          the choices of an earlier run
#include <atomic>
#include <csignal>
#include <random>
#include <thread>

#include <absl/time/clock.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/integration/system_test.h"
#include "tests/integration/webhook_receiver.h"

namespace pgflow::tests {
namespace {

class WebhookCrashTest : public SharedServerTest {
 protected:
  void SetUp() override {
    SharedServerTest::SetUp();
    seed_ = NumberFromEnvironment("PGFLOW_CRASH_SEED", std::random_device{}());
    random_.seed(seed_);
    std::printf("PGFLOW_CRASH_SEED=%llu\n", static_cast<unsigned long long>(seed_));
    std::fflush(stdout);
    source_.Execute(
        "CREATE TABLE t (id int PRIMARY KEY, v int);"
        "CREATE SEQUENCE s;"
        "INSERT INTO t SELECT i, 0 FROM generate_series(1, 5000) i;"
        // A transaction of one to twenty changes of few rows, so that they meet.
        "CREATE FUNCTION work(seed float) RETURNS void LANGUAGE plpgsql AS $$"
        "DECLARE a int; b int; BEGIN PERFORM setseed(seed);"
        "FOR i IN 1..1 + (random() * 19)::int LOOP"
        "  a := 1 + random() * 300; b := 1 + random() * 300;"
        "  CASE (random() * 3)::int"
        "  WHEN 0 THEN DELETE FROM t WHERE id = a;"
        "  WHEN 1 THEN UPDATE t SET id = b, v = nextval('s') WHERE id = a"
        "    AND NOT EXISTS (SELECT FROM t WHERE id = b);"
        "  ELSE INSERT INTO t VALUES (a, nextval('s'))"
        "    ON CONFLICT (id) DO UPDATE SET v = excluded.v;"
        "  END CASE; END LOOP; END $$");
  }

  int Draw(int first, int last) { return std::uniform_int_distribution<int>(first, last)(random_); }

  void KeepRunning() {
    if (process_ != nullptr && process_->running()) return;
    EXPECT_TRUE(process_ == nullptr || process_->WaitForExit() == 128 + SIGKILL)
        << "pgflow ended by itself:\n"
        << process_->Output();
    process_ = Run();
  }

  void Cycle(int kills, const std::string& options);

  uint64_t seed_ = 0;
  std::mt19937_64 random_;
  std::unique_ptr<PgflowProcess> process_;
  int killed_ = 0;
};

void WebhookCrashTest::Cycle(int kills, const std::string& options) {
  WebhookReceiver receiver;
  pipeline_.snapshot = "{workers: 2, range_size: 128KiB}";
  pipeline_.sinks = {receiver.Sink(options) + ", retry: {initial: 50ms, max: 500ms}"};
  std::atomic<int> transactions = 0;
  const auto writer_seed = static_cast<unsigned>(random_());
  std::jthread writer([&](const std::stop_token& stop) {
    std::mt19937 random(writer_seed);
    while (!stop.stop_requested()) {
      std::string sql;
      for (int i = 0; i < 20; ++i) {
        sql += fmt::format("SELECT work({});", static_cast<double>(random() % 100000) / 100000);
      }
      source_.Execute(sql);
      transactions += 20;
    }
  });
  KeepRunning();
  for (int kill = 0; kill < kills && !HasFailure(); ++kill, ++killed_) {
    // At first while rows are copied, then as soon as some changes more have arrived.
    const size_t more = static_cast<size_t>(Draw(1, 400));
    const size_t before = receiver.taken();
    const bool streaming = kill >= 2;
    Eventually([&] {
      return receiver.taken() >= before + more &&
             (!streaming || receiver.taken() - receiver.reads() >= more);
    });
    KeepRunning();
    if (Draw(1, 4) == 1) {
      receiver.server().Stop();
      absl::SleepFor(absl::Milliseconds(Draw(0, 400)));
      receiver.server().Restart();
    }
    process_->Kill9();
    KeepRunning();
  }
  writer.request_stop();
  writer.join();
  const std::string rows = source_.Value(WebhookRowsSql("t"));
  EXPECT_TRUE(Eventually([&] { return receiver.Rows() == rows || !process_->running(); }))
      << process_->Output();
  EXPECT_EQ(receiver.Rows(), rows) << process_->Output();
  EXPECT_EQ(receiver.Problems(), "");
  EXPECT_GT(receiver.taken(), receiver.reads());
  std::printf("%d transactions, %zu events, %zu of them from snapshots, %zu repetitions\n",
              transactions.load(), receiver.taken(), receiver.reads(), receiver.repetitions());
  std::fflush(stdout);
  process_->Signal(SIGTERM);
  EXPECT_EQ(process_->WaitForExit(), 0) << process_->Output();
  process_.reset();
  Expect(0, "destroy");
}

TEST_F(WebhookCrashTest, TheReceiverEndsUpWithTheTable) {
  const int rounds = static_cast<int>(NumberFromEnvironment("PGFLOW_CRASH_ROUNDS", 8));
  for (int cycle = 0; killed_ < rounds && !HasFailure(); ++cycle) {
    Cycle(std::min(4, rounds - killed_), cycle % 2 == 0 ? "" : "batch: {events: 25}, requests: 4");
  }
}

}  // namespace
}  // namespace pgflow::tests
