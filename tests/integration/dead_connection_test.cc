// Connections that are dead though something in between acknowledges for them, backends that hang,
// and the signal to stop while they do.
#include <csignal>
#include <cstdlib>

#include <absl/time/clock.h>
#include <fmt/format.h>

#include "tests/integration/stalling_proxy.h"
#include "tests/integration/system_test.h"

namespace pgflow::tests {
namespace {

class DeadConnectionTest : public SharedServerTest {
 protected:
  void SetUp() override {
    SharedServerTest::SetUp();
    to_source_.emplace(source_.server->port());
    to_target_.emplace(target_.server->port());
    // The server gives its end of a dead stream up as soon as we do ours.
    role_ = TestName();
    source_.Execute(fmt::format(
        "CREATE ROLE {0} LOGIN SUPERUSER; ALTER ROLE {0} SET wal_sender_timeout = '2s'", role_));
    source_.Execute(
        "CREATE TABLE t (id int PRIMARY KEY, v int, filler text);"
        "INSERT INTO t SELECT i, 0, repeat(md5(i::text), 32) FROM generate_series(1, 20000) i");
    pipeline_.source_url =
        fmt::format("postgresql://{}@127.0.0.1:{}/{}", role_, to_source_->port(), source_.name);
    pipeline_.source_options = "    replication: {receive_timeout: 2s}\n";
    pipeline_.sinks = {
        fmt::format("postgres: {{url: \"postgresql://postgres@127.0.0.1:{}/{}\", "
                    "create_schema: true}}",
                    to_target_->port(), target_.name)};
  }

  std::unique_ptr<PgflowProcess> RunningPipeline() {
    auto process = Run();
    EXPECT_TRUE(WaitForSnapshot(*process)) << process->Output();
    ExpectEqualSoon({"t"}, *process);
    return process;
  }

  static void ExpectStopsSoon(PgflowProcess& process) {
    const absl::Time asked = absl::Now();
    process.Signal(SIGTERM);
    EXPECT_EQ(process.WaitForExit(), 0) << process.Output();
    EXPECT_LT(absl::Now() - asked, absl::Seconds(8)) << process.Output();
  }

  std::string role_;
  std::optional<StallingProxy> to_source_;
  std::optional<StallingProxy> to_target_;
};

TEST_F(DeadConnectionTest, OfTheStreamIsNoticed) {
  const auto process = RunningPipeline();
  to_source_->StallOpen();
  source_.Execute("UPDATE t SET v = v + 1 WHERE id % 10 = 0");
  ExpectEqualSoon({"t"}, *process);
  EXPECT_TRUE(process->Printed("the connection is dead")) << process->Output();
}

TEST_F(DeadConnectionTest, OfTheTargetIsNoticed) {
  const auto process = RunningPipeline();
  to_target_->StallOpen();
  source_.Execute("UPDATE t SET v = v + 1 WHERE id % 10 = 0");
  ExpectEqualSoon({"t"}, *process);
  EXPECT_TRUE(process->Printed("the connection is dead")) << process->Output();
}

// One that waits for a lock is as silent, and is waited for.
TEST_F(DeadConnectionTest, OfAServerThatIsBusyIsNotTakenForDead) {
  const auto process = RunningPipeline();
  const auto holder = target_.server->Connect(target_.name);
  ASSERT_TRUE(holder.ok());
  ASSERT_TRUE((*holder)->Execute("BEGIN; LOCK TABLE t").ok());
  source_.Execute("UPDATE t SET v = v + 1 WHERE id % 10 = 0");
  const absl::Time begin = absl::Now();
  // Longer than until the second look at it.
  ASSERT_TRUE(Eventually([&] { return absl::Now() - begin > absl::Seconds(14); }));
  ASSERT_TRUE((*holder)->Execute("COMMIT").ok());
  ExpectEqualSoon({"t"}, *process);
  EXPECT_FALSE(process->Printed("trying again")) << process->Output();
}

class DeadSnapshotTest : public DeadConnectionTest, public testing::WithParamInterface<bool> {};

TEST_P(DeadSnapshotTest, GoesOn) {
  pipeline_.snapshot = "{workers: 2, range_size: 1MiB}";
  const auto process = Run();
  ASSERT_TRUE(WaitForFirstRange(*process)) << process->Output();
  (GetParam() ? to_source_ : to_target_)->StallOpen();
  source_.Execute("UPDATE t SET v = v + 1 WHERE id % 10 = 0");
  ASSERT_TRUE(WaitForSnapshot(*process)) << process->Output();
  ExpectEqualSoon({"t"}, *process);
}

INSTANTIATE_TEST_SUITE_P(SourceAndTarget, DeadSnapshotTest, testing::Bool());

TEST_F(DeadConnectionTest, StopsThoughABackendHangs) {
  const auto process = RunningPipeline();
  const std::string of_control = fmt::format(
      "SELECT pid FROM pg_stat_activity WHERE usename = '{}' AND application_name LIKE "
      "'%control'",
      role_);
  const pid_t backend = std::atoi(source_.Value(of_control).c_str());
  ASSERT_GT(backend, 0);
  ASSERT_EQ(kill(backend, SIGSTOP), 0);
  const absl::Time begin = absl::Now();
  EXPECT_TRUE(Eventually([&] { return absl::Now() - begin > absl::Seconds(2); }));
  ExpectStopsSoon(*process);
  EXPECT_EQ(kill(backend, SIGCONT), 0);
}

TEST_F(DeadConnectionTest, StopsThoughTheTargetHangs) {
  const auto process = RunningPipeline();
  to_target_->Stall();
  source_.Execute("UPDATE t SET v = v + 1 WHERE id % 10 = 0");
  const absl::Time begin = absl::Now();
  EXPECT_TRUE(Eventually([&] { return absl::Now() - begin > absl::Seconds(1); }));
  ExpectStopsSoon(*process);
  to_target_->Resume();
  RunToCurrent();
  ExpectEqual({"t"});
}

TEST_F(DeadConnectionTest, StopsThoughTheSourceHangsAtTheStart) {
  to_source_->Stall();
  const auto process = Run();
  const absl::Time begin = absl::Now();
  EXPECT_TRUE(Eventually([&] { return absl::Now() - begin > absl::Seconds(1); }));
  ExpectStopsSoon(*process);
}

}  // namespace
}  // namespace pgflow::tests
