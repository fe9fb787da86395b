// Against a real server.
#include "postgres/client/connection.h"

#include <array>
#include <thread>

#include <absl/time/clock.h>
#include <gtest/gtest.h>

#include "base/status.h"
#include "engine/testing/scratch_postgres.h"
#include "postgres/types/sql_state.h"

namespace pgflow::postgres {
namespace {

class ConnectionTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    auto made = engine::ScratchPostgres::Make();
    ASSERT_TRUE(made.ok()) << made.status();
    shared_server = *std::move(made);
  }
  static void TearDownTestSuite() { shared_server.reset(); }
  void SetUp() override { connection_ = Connect(); }

  static std::unique_ptr<Connection> Connect(bool replication = false) {
    auto connection = Connection::Connect({.url = shared_server->url(), .replication = replication},
                                          std::stop_token());
    EXPECT_TRUE(connection.ok()) << connection.status();
    return *std::move(connection);
  }

  static inline std::unique_ptr<engine::ScratchPostgres> shared_server;
  std::unique_ptr<Connection> connection_;
};

TEST_F(ConnectionTest, GivesRowsAndMapsErrors) {
  auto rows = connection_->Execute("SELECT 1; SELECT 42, NULL, true");
  ASSERT_TRUE(rows.ok()) << rows.status();
  EXPECT_EQ(rows->row_count(), 1);
  EXPECT_EQ(rows->integer(0, 0), 42);
  EXPECT_TRUE(rows->is_null(0, 1));
  EXPECT_TRUE(rows->boolean(0, 2));

  const auto error = connection_->Execute("SELECT * FROM nowhere");
  EXPECT_EQ(error.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(SqlStateOf(error.status()), "42P01");
  EXPECT_TRUE(connection_->Execute("SELECT 1").ok());
}

TEST_F(ConnectionTest, SetsTheSession) {
  const auto zone = connection_->Execute(
      "SELECT current_setting('TimeZone') || current_setting('extra_float_digits') || "
      "current_setting('search_path') || coalesce(current_setting('idle_session_timeout', true), "
      "'0')");  // From version 14 on.
  ASSERT_TRUE(zone.ok()) << zone.status();
  EXPECT_EQ(zone->text(0, 0), "UTC3pg_catalog0");
}

TEST_F(ConnectionTest, StopEndsAWaitAtOnceAndTheStatementOnTheServer) {
  std::stop_source stop;
  std::jthread stopper([&stop] {
    absl::SleepFor(absl::Milliseconds(200));
    stop.request_stop();
  });
  const absl::Time start = absl::Now();
  const auto result = connection_->Execute("SELECT pg_sleep(30) /* stopped */", stop.get_token());
  EXPECT_EQ(result.status().code(), absl::StatusCode::kCancelled);
  EXPECT_LT(absl::Now() - start, absl::Seconds(3));
  const int pid = connection_->backend_pid();
  connection_.reset();
  auto other = Connect();
  for (int attempt = 0; attempt < 100; ++attempt) {
    auto left =
        other->Execute(fmt::format("SELECT count(*) FROM pg_stat_activity WHERE pid = {}", pid));
    ASSERT_TRUE(left.ok());
    if (left->integer(0, 0) == 0) return;
    absl::SleepFor(absl::Milliseconds(50));
  }
  FAIL() << "the backend still runs";
}

TEST_F(ConnectionTest, PipelineDoesNotDeadlockWhenBothSidesHaveMuchToSay) {
  ASSERT_TRUE(connection_->EnterPipeline().ok());
  ASSERT_TRUE(connection_->SendPrepare("echo", "SELECT $1::text").ok());
  const std::string big(100'000, 'x');
  const Parameter parameter = Parameter::Text(big);
  for (int i = 0; i < 300; ++i) {
    ASSERT_TRUE(connection_->SendPrepared("echo", {&parameter, 1}).ok());
  }
  ASSERT_TRUE(connection_->SendSync().ok());
  for (int i = 0; i < 301; ++i) {
    auto next = connection_->NextResult({});
    ASSERT_TRUE(next.ok()) << next.status();
    ASSERT_EQ(next->outcome, Connection::PipelineOutcome::kResult);
    if (i > 0) {
      ASSERT_EQ(next->result.at(0, 0).size(), big.size());
    }
  }
  auto sync = connection_->NextResult({});
  ASSERT_TRUE(sync.ok());
  EXPECT_EQ(sync->outcome, Connection::PipelineOutcome::kSync);
  ASSERT_TRUE(connection_->ExitPipeline().ok());
  EXPECT_TRUE(connection_->Execute("SELECT 1").ok());
}

TEST_F(ConnectionTest, PipelineSkipsToTheSyncAfterAnError) {
  ASSERT_TRUE(connection_->EnterPipeline().ok());
  ASSERT_TRUE(connection_->SendQuery("SELECT 1").ok());
  ASSERT_TRUE(connection_->SendQuery("SELECT 1/0").ok());
  ASSERT_TRUE(connection_->SendQuery("SELECT 2").ok());
  ASSERT_TRUE(connection_->SendSync().ok());
  ASSERT_TRUE(connection_->SendQuery("SELECT 3").ok());
  ASSERT_TRUE(connection_->SendSync().ok());
  using Outcome = Connection::PipelineOutcome;
  EXPECT_EQ(connection_->NextResult({})->outcome, Outcome::kResult);
  const auto failed = connection_->NextResult({});
  EXPECT_EQ(SqlStateOf(failed.status()), "22012");
  EXPECT_EQ(failed.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(connection_->NextResult({})->outcome, Outcome::kSkipped);
  EXPECT_EQ(connection_->NextResult({})->outcome, Outcome::kSync);
  auto third = connection_->NextResult({});
  ASSERT_TRUE(third.ok());
  EXPECT_EQ(third->result.integer(0, 0), 3);
  EXPECT_EQ(connection_->NextResult({})->outcome, Outcome::kSync);
  EXPECT_FALSE(connection_->NextResult({}).ok());
  EXPECT_TRUE(connection_->ExitPipeline().ok());
}

TEST_F(ConnectionTest, KeepsAStatementUntilAllAreDropped) {
  const auto ask = [this](const std::string& number) -> std::string {
    const auto row =
        connection_->ExecuteKept("SELECT $1::int + 1", std::array{Parameter::Text(number)});
    return row.ok() ? row->text(0, 0) : row.status().ToString();
  };
  const std::string count = "SELECT count(*) FROM pg_prepared_statements";
  EXPECT_EQ(ask("1"), "2");
  EXPECT_EQ(ask("2"), "3");
  EXPECT_EQ(connection_->Execute(count)->text(0, 0), "1");
  ASSERT_TRUE(connection_->DeallocateAll().ok());
  EXPECT_EQ(ask("3"), "4");
  EXPECT_EQ(connection_->Execute(count)->text(0, 0), "1");
}

TEST_F(ConnectionTest, CopiesInAndOut) {
  ASSERT_TRUE(connection_->Execute("CREATE TEMP TABLE t (a int, b text)").ok());
  ASSERT_TRUE(connection_->BeginCopyIn("COPY t FROM STDIN", {}).ok());
  std::string rows;
  for (int i = 0; i < 100'000; ++i) rows += fmt::format("{}\tvalue {}\n", i, i);
  ASSERT_TRUE(connection_->PutCopyData(rows, {}).ok());
  auto copied = connection_->EndCopyIn({});
  ASSERT_TRUE(copied.ok()) << copied.status();
  EXPECT_EQ(*copied, 100'000);

  ASSERT_TRUE(
      connection_->BeginCopyOut("BEGIN; COPY (SELECT * FROM t ORDER BY a) TO STDOUT", {}).ok());
  std::string out;
  uint64_t count = 0;
  while (true) {
    std::string part;
    auto more = connection_->ReadCopyRows(part, count, 256 * 1024, {});
    ASSERT_TRUE(more.ok()) << more.status();
    out += part;
    if (!*more) break;
  }
  EXPECT_EQ(count, 100'000);
  EXPECT_EQ(out, rows);
  EXPECT_TRUE(connection_->Execute("COMMIT").ok());
}

TEST_F(ConnectionTest, CopyErrorsLeaveTheSessionUsable) {
  ASSERT_TRUE(connection_->Execute("CREATE TEMP TABLE t (a int)").ok());
  ASSERT_TRUE(connection_->BeginCopyIn("COPY t FROM STDIN", {}).ok());
  ASSERT_TRUE(connection_->PutCopyData("1\nsecret\n", {}).ok());
  const auto bad = connection_->EndCopyIn({});
  EXPECT_EQ(SqlStateOf(bad.status()), "22P02");
  ASSERT_TRUE(connection_->BeginCopyIn("COPY t FROM STDIN", {}).ok());
  ASSERT_TRUE(connection_->PutCopyData("1\n", {}).ok());
  EXPECT_TRUE(connection_->AbortCopyIn("not now", {}).ok());
  EXPECT_EQ(connection_->BeginCopyOut("COPY nowhere TO STDOUT", {}).code(),
            absl::StatusCode::kFailedPrecondition);
  ASSERT_TRUE(
      connection_->BeginCopyOut("COPY (SELECT 1/(3-x) FROM generate_series(1,5) x) TO STDOUT", {})
          .ok());
  std::string out;
  uint64_t count = 0;
  absl::StatusOr<bool> more = true;
  while (more.ok() && *more) more = connection_->ReadCopyRows(out, count, 1000, {});
  EXPECT_EQ(SqlStateOf(more.status()), "22012");
  EXPECT_EQ(connection_->Execute("SELECT count(*) FROM t")->integer(0, 0), 0);
}

TEST_F(ConnectionTest, NoticesATerminatedBackend) {
  auto other = Connect();
  ASSERT_TRUE(
      other->Execute(fmt::format("SELECT pg_terminate_backend({})", connection_->backend_pid()))
          .ok());
  const auto result = connection_->Execute("SELECT pg_sleep(5)");
  EXPECT_EQ(result.status().code(), absl::StatusCode::kUnavailable) << result.status();
  EXPECT_FALSE(connection_->healthy());
}

TEST_F(ConnectionTest, ADeadlineForAnAnswerIsKept) {
  connection_->set_answer_timeout(absl::Milliseconds(300));
  EXPECT_TRUE(connection_->Execute("SELECT 1").ok());
  const absl::Time start = absl::Now();
  const auto result = connection_->Execute("SELECT pg_sleep(30)");
  EXPECT_EQ(result.status().code(), absl::StatusCode::kUnavailable) << result.status();
  EXPECT_NE(base::Message(result.status()).find("no answer within 300ms"), std::string_view::npos);
  EXPECT_LT(absl::Now() - start, absl::Seconds(10));
}

// Whoever connects is obeyed where a call has no token of its own.
TEST_F(ConnectionTest, StopOfItsConnectEndsAWaitToo) {
  std::stop_source stop;
  auto connection = Connection::Connect({.url = shared_server->url()}, stop.get_token());
  ASSERT_TRUE(connection.ok());
  std::jthread stopper([&stop] {
    absl::SleepFor(absl::Milliseconds(100));
    stop.request_stop();
  });
  const auto result = (*connection)->Execute("SELECT pg_sleep(30)");
  EXPECT_EQ(result.status().code(), absl::StatusCode::kCancelled);
}

TEST_F(ConnectionTest, ItsEndDoesNotWaitForAServerThatHangs) {
  std::stop_source stop;
  std::jthread stopper([&stop] {
    absl::SleepFor(absl::Milliseconds(200));
    EXPECT_TRUE(shared_server->Freeze().ok());
    stop.request_stop();
  });
  const auto result = connection_->Execute("SELECT pg_sleep(5)", stop.get_token());
  stopper.join();
  EXPECT_EQ(result.status().code(), absl::StatusCode::kCancelled);
  const absl::Time start = absl::Now();
  connection_.reset();
  EXPECT_LT(absl::Now() - start, absl::Seconds(3));
  EXPECT_TRUE(shared_server->Thaw().ok());
}

TEST(Connect, SaysWhatIsWrongWithoutThePassword) {
  const auto refused = Connection::Connect(
      {.url = "postgres://u:geheim@127.0.0.1:1/db", .connect_timeout = absl::Seconds(2)}, {});
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(base::Message(refused.status()).find("geheim"), std::string_view::npos);
  const auto malformed = Connection::Connect({.url = "postgres://u:ge%zzheim@h/db"}, {});
  EXPECT_EQ(malformed.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(base::Message(malformed.status()).find("heim"), std::string_view::npos);
}

}  // namespace
}  // namespace pgflow::postgres
