// From a commit to a webhook's receiver and back: everything arrives, signed, in the order of each
// row, whatever the receiver does.
#include <csignal>

#include <absl/time/clock.h>
#include <fmt/format.h>

#include "tests/integration/system_test.h"
#include "tests/integration/webhook_receiver.h"

namespace pgflow::tests {
namespace {

class WebhookTest : public SharedServerTest {
 protected:
  void SetUp() override {
    SharedServerTest::SetUp();
    source_.Execute(
        "CREATE TABLE t (id int PRIMARY KEY, v int);"
        "INSERT INTO t SELECT i, 0 FROM generate_series(1, 200) i");
  }

  // Every kind of change, in transactions of one to three statements.
  void Work(int rounds) {
    for (int i = 0; i < rounds; ++i) {
      ++value_;
      const int id = 1 + i * 7 % 250;
      source_.Execute(fmt::format(
          "INSERT INTO t VALUES ({0}, {1}) ON CONFLICT (id) DO UPDATE SET v = {1}", id, value_));
      if (i % 5 == 0) {
        source_.Execute(fmt::format(
            "BEGIN; DELETE FROM t WHERE id = {0}; UPDATE t SET id = {0}, v = {2} WHERE id = {1};"
            "INSERT INTO t VALUES ({1}, {2}) ON CONFLICT DO NOTHING; COMMIT",
            id, 1 + i * 11 % 250, value_));
      }
    }
  }
  void ExpectEqualRows() {
    const std::string rows = source_.Value(WebhookRowsSql("t"));
    EXPECT_TRUE(Eventually([&] { return receiver_.Rows() == rows || !process_->running(); }))
        << process_->Output();
    EXPECT_EQ(receiver_.Rows(), rows);
    EXPECT_EQ(receiver_.Problems(), "");
  }
  void RunWith(const std::string& more = "", const std::string& beside = "") {
    pipeline_.sinks = {receiver_.Sink(more) + beside};
    process_ = Run();
    EXPECT_TRUE(process_->WaitForOutput("streaming from")) << process_->Output();
  }
  void EndCleanly() {
    process_->Signal(SIGTERM);
    EXPECT_EQ(process_->WaitForExit(), 0) << process_->Output();
  }

  WebhookReceiver receiver_;
  std::unique_ptr<PgflowProcess> process_;
  int value_ = 0;
};

TEST_F(WebhookTest, EveryChangeArrives) {
  RunWith();
  Work(100);
  source_.Execute("TRUNCATE t; INSERT INTO t VALUES (1, 1)");
  Work(20);
  ExpectEqualRows();
  EXPECT_EQ(receiver_.reads(), 200U);
  EXPECT_EQ(receiver_.repetitions(), 0U);
  EndCleanly();
  // What was answered does not come again after a clean end.
  RunWith();
  Work(10);
  ExpectEqualRows();
  EXPECT_EQ(receiver_.repetitions(), 0U);
  EndCleanly();
  EXPECT_EQ(CountOf(ReadFile(directory_ / "pgflow.log"), "whsec_"), 0U);
}

TEST_F(WebhookTest, ArraysArriveWhole) {
  RunWith("batch: {events: 50}, requests: 4");
  source_.Execute("INSERT INTO t SELECT i, 7 FROM generate_series(1000, 4000) i");
  source_.Execute("UPDATE t SET id = id + 1000000 WHERE id > 3000");
  Work(50);
  ExpectEqualRows();
  EndCleanly();
}

TEST_F(WebhookTest, AReceiverThatIsAwayGetsAllOfItLaterAndHoldsBackNobody) {
  WebhookReceiver other;
  pipeline_.sinks = {receiver_.Sink() + ", name: first", other.Sink() + ", name: second"};
  process_ = Run();
  ASSERT_TRUE(process_->WaitForOutput("streaming from")) << process_->Output();
  Work(20);
  ExpectEqualRows();
  receiver_.server().Stop();
  Work(60);
  const std::string rows = source_.Value(WebhookRowsSql("t"));
  EXPECT_TRUE(Eventually([&] { return other.Rows() == rows; })) << process_->Output();
  EXPECT_NE(receiver_.Rows(), rows);
  EXPECT_TRUE(process_->WaitForOutput("trying again")) << process_->Output();
  receiver_.server().Restart();
  ExpectEqualRows();
  EXPECT_EQ(other.Problems(), "");
  EXPECT_EQ(other.repetitions(), 0U);
  EndCleanly();
}

TEST_F(WebhookTest, ARefusedRowGoesToTheDeadLetterAndComesBack) {
  const std::string letters = directory_ / "refused.jsonl";
  RunWith("batch: {events: 20}", fmt::format(", dead_letter: {{file: \"{}\"}}", letters));
  Work(5);
  ExpectEqualRows();
  receiver_.RefuseValue(666);
  source_.Execute(
      "INSERT INTO t SELECT i, 665 + (i = 2010)::int FROM generate_series(2000, 2040) i");
  EXPECT_TRUE(Eventually([&] { return CountOf(ReadFile(letters), "\n") == 1; }))
      << process_->Output();
  EXPECT_TRUE(Eventually([&] { return CountOf(receiver_.Rows(), "=665") == 40; }));
  EndCleanly();
  receiver_.RefuseValue(-1);
  Expect(0, "replay");
  process_ = Run();
  ExpectEqualRows();
  EXPECT_EQ(ReadFile(letters), "");
  process_->Kill9();
}

TEST_F(WebhookTest, WithoutADeadLetterARefusedRowStopsThePipeline) {
  RunWith();
  receiver_.RefuseValue(666);
  source_.Execute("INSERT INTO t VALUES (5000, 666)");
  EXPECT_EQ(process_->WaitForExit(), 1);
  EXPECT_TRUE(process_->Printed("refused a row of public.t")) << process_->Output();
  EXPECT_TRUE(process_->Printed("not this value"));
  receiver_.RefuseValue(-1);
  RunWith();
  Work(5);
  ExpectEqualRows();
  EndCleanly();
}

}  // namespace
}  // namespace pgflow::tests
