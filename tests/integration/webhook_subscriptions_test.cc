// Endpoints that a table of the source names: taken up at their own place of the stream, served
// each by itself, and exact whatever happens to the process.
#include <csignal>

#include <fmt/format.h>

#include "tests/integration/system_test.h"
#include "tests/integration/webhook_receiver.h"

namespace pgflow::tests {
namespace {

constexpr char kSecret[] = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

class WebhookSubscriptionsTest : public SharedServerTest {
 protected:
  void SetUp() override {
    SharedServerTest::SetUp();
    source_.Execute(
        "CREATE TABLE t (id int PRIMARY KEY, v int);"
        "INSERT INTO t SELECT i, 0 FROM generate_series(1, 50) i;"
        "CREATE TABLE hooks (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
        " url text NOT NULL, tables text[], operations text[], changed_columns text[],"
        " condition text, secrets text[], headers jsonb, enabled boolean NOT NULL DEFAULT true)");
    pipeline_.sinks = {
        "webhook: {subscriptions: {table: public.hooks}, private_addresses: allow, "
        "retry: {initial: 20ms, max: 300ms, error_after: 500ms}}"};
  }
  std::string Insert(WebhookReceiver& receiver, const std::string& columns = "",
                     const std::string& values = "") const {
    return fmt::format(
        "INSERT INTO hooks (url, tables, secrets{}) VALUES ('{}', '{{public.t}}', "
        "'{{{}}}'{});",
        columns, receiver.server().Url("/hush"), kSecret, values);
  }
  // The first time until the copy is there: what was committed before is in it, and sent to nobody.
  void Start() {
    const bool first = process_ == nullptr;
    process_ = Run();
    ASSERT_TRUE(process_->WaitForOutput(first ? "the snapshot is complete" : "streaming from"))
        << process_->Output();
  }
  void Work(int rounds) {
    for (int i = 0; i < rounds; ++i) {
      ++value_;
      source_.Execute(
          fmt::format("INSERT INTO t VALUES ({0}, {1}) ON CONFLICT (id) DO UPDATE SET v = {1};"
                      "DELETE FROM t WHERE id = {2}",
                      1 + i * 7 % 40, value_, 1 + i * 11 % 40));
    }
  }
  void ExpectRows(const WebhookReceiver& receiver, const std::string& rows) {
    EXPECT_TRUE(Eventually([&] { return receiver.Rows() == rows || !process_->running(); }))
        << process_->Output();
    EXPECT_EQ(receiver.Rows(), rows);
    EXPECT_EQ(receiver.Problems(), "");
    EXPECT_EQ(receiver.reads(), 0U);
  }
  void ExpectAllRows(const WebhookReceiver& receiver) {
    ExpectRows(receiver, source_.Value(WebhookRowsSql("t")));
  }
  void EndCleanly() {
    process_->Signal(SIGTERM);
    EXPECT_EQ(process_->WaitForExit(), 0) << process_->Output();
  }

  WebhookReceiver first_;
  WebhookReceiver second_;
  std::unique_ptr<PgflowProcess> process_;
  int value_ = 0;
};

TEST_F(WebhookSubscriptionsTest, RowsAreTakenUpAtTheirOwnPlace) {
  source_.Execute(Insert(first_));
  Start();
  source_.Execute("TRUNCATE t");  // From here on receivers know the whole table.
  Work(20);
  ExpectAllRows(first_);
  // In the middle of a transaction.
  source_.Execute("BEGIN; INSERT INTO t VALUES (1001, 1);" +
                  Insert(second_, ", operations, condition", ", '{insert}', 'v < 100'") +
                  "INSERT INTO t VALUES (1002, 2), (1003, 300); UPDATE t SET v = 5; COMMIT");
  ExpectRows(second_, "1002=2");
  source_.Execute("UPDATE hooks SET enabled = false WHERE condition IS NOT NULL");
  source_.Execute("INSERT INTO t VALUES (1004, 4)");
  source_.Execute("UPDATE hooks SET enabled = true WHERE condition IS NOT NULL");
  source_.Execute("INSERT INTO t VALUES (1005, 5)");
  ExpectRows(second_, "1002=2 1005=5");
  source_.Execute("DELETE FROM hooks WHERE condition IS NOT NULL");
  Work(5);
  ExpectAllRows(first_);
  ExpectRows(second_, "1002=2 1005=5");
  // Bad rows are said, and stop nothing.
  source_.Execute(
      "INSERT INTO hooks (url) VALUES ('nonsense'); INSERT INTO hooks (url, condition, headers) "
      "VALUES ('http://10.0.0.1/hush', 'v >', '{\"X-Key\": \"hush\"}')");
  Work(5);
  ExpectAllRows(first_);
  EXPECT_TRUE(process_->WaitForOutput("subscription 3: url")) << process_->Output();
  EXPECT_TRUE(process_->WaitForOutput("subscription 4: subscribe.when")) << process_->Output();
  EXPECT_EQ(first_.repetitions() + second_.repetitions(), 0U);
  EndCleanly();
  EXPECT_FALSE(process_->Printed("hush"));
  EXPECT_FALSE(process_->Printed("whsec_"));
}

TEST_F(WebhookSubscriptionsTest, OneThatIsAwayHoldsBackNobodyAndGetsAllLater) {
  source_.Execute(Insert(first_) + Insert(second_));
  Start();
  source_.Execute("TRUNCATE t");
  Work(5);
  ExpectAllRows(first_);
  second_.server().Stop();
  Work(20);
  ExpectAllRows(first_);
  EndCleanly();  // What it is owed is kept.
  Start();
  Work(5);
  ExpectAllRows(first_);
  second_.server().Restart();
  ExpectAllRows(second_);
  EXPECT_EQ(first_.repetitions(), 0U);
  EndCleanly();
}

TEST_F(WebhookSubscriptionsTest, NothingIsLostOrMisjudgedWhenTheProcessIsKilled) {
  source_.Execute(Insert(first_));
  Start();
  source_.Execute("TRUNCATE t");
  for (int round = 0; round < 5; ++round) {
    Work(15);
    // Whoever judged these by newer subscriptions than there were would send one too many.
    source_.Execute(fmt::format(
        "BEGIN; INSERT INTO t VALUES ({0}, 1); {1} INSERT INTO t VALUES "
        "({2}, 2); DELETE FROM hooks WHERE changed_columns IS NOT NULL;"
        "INSERT INTO t VALUES ({3}, 3); COMMIT",
        2000 + round * 10, Insert(second_, ", operations, changed_columns", ", '{insert}', '{v}'"),
        2001 + round * 10, 2002 + round * 10));
    source_.Execute(fmt::format("BEGIN; {0} INSERT INTO t VALUES ({1}, 4); COMMIT",
                                Insert(second_, ", operations, condition", ", '{insert}', 'v = 4'"),
                                2003 + round * 10));
    Work(3);
    process_->Kill9();
    Start();
    source_.Execute("DELETE FROM hooks WHERE condition IS NOT NULL");
  }
  Work(5);
  ExpectAllRows(first_);
  EXPECT_EQ(CountOf(second_.Rows(), "=1"), 0U) << second_.Rows();
  EXPECT_EQ(CountOf(second_.Rows(), "=2"), 0U) << "deleted with what waited for it";
  EXPECT_EQ(CountOf(second_.Rows(), "=3"), 0U) << second_.Rows();
  EXPECT_EQ(second_.Problems(), "");
  EndCleanly();
}

TEST_F(WebhookSubscriptionsTest, CheckAndStatusSayWhatThereIs) {
  EXPECT_NE(Expect(0, "check").find("endpoints of its rows are taken up"), std::string::npos);
  source_.Execute("ALTER TABLE hooks DROP COLUMN url");
  EXPECT_NE(Expect(3, "check").find("no column 'url'"), std::string::npos);
  source_.Execute("DROP TABLE hooks");
  EXPECT_NE(Expect(3, "check").find("CREATE TABLE \"public\".\"hooks\""), std::string::npos);
}

}  // namespace
}  // namespace pgflow::tests
