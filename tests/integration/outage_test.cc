// Servers and networks that go away, or hang, and come back: nothing is lost, nobody else waits.

#include <atomic>
#include <csignal>
#include <filesystem>
#include <thread>

#include <absl/time/clock.h>
#include <fmt/format.h>

#include "tests/integration/stalling_proxy.h"
#include "tests/integration/system_test.h"

namespace pgflow::tests {
namespace {

// Without a sanitizer 256 MiB is promised; those keep what was freed for a while.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr uint64_t kResidentBytesMax = uint64_t{900} << 20;
#else
constexpr uint64_t kResidentBytesMax = uint64_t{256} << 20;
#endif

class OutageTest : public TwoServerTest {
 protected:
  void SetUp() override {
    StartServers({.settings = {{"wal_sender_timeout", "2s"}}}, {});
    source_.Execute(
        "CREATE TABLE t (id int PRIMARY KEY, v int, filler text);"
        "INSERT INTO t SELECT i, 0, 'x' FROM generate_series(1, 5000) i");
  }

  std::string WalsenderPid() const {
    return source_.Value(fmt::format(
        "SELECT coalesce(active_pid, 0) FROM pg_replication_slots WHERE slot_name = 'pgflow_{}'",
        pipeline_.name));
  }

  // Writes about `megabytes` to the source in many transactions; the number of rows.
  int WriteALot(int megabytes) {
    for (int i = 0; i < megabytes; ++i) {
      source_.Execute(
          fmt::format("INSERT INTO t SELECT {} + i, i, repeat(md5(i::text), 32) FROM "
                      "generate_series(1, 1000) i",
                      100000 + i * 1000));
    }
    return megabytes * 1000;
  }

  void ExpectOthersGoOn(PgflowProcess& process, const std::function<void()>& thaw);
};

// The target hangs for longer than the source's wal_sender_timeout.
void OutageTest::ExpectOthersGoOn(PgflowProcess& process, const std::function<void()>& thaw) {
  const std::string walsender = WalsenderPid();
  EXPECT_NE(walsender, "0");
  const absl::Time begin = absl::Now();
  const size_t before = CountOf(ReadFile(FileSinkPath()), "\n");
  const size_t rows = static_cast<size_t>(WriteALot(60));
  EXPECT_TRUE(Eventually([&] { return CountOf(ReadFile(FileSinkPath()), "\n") >= before + rows; }))
      << "the other sink stands still at " << CountOf(ReadFile(FileSinkPath()), "\n")
      << " lines of " << before + rows;
  EXPECT_TRUE(Eventually([&] { return absl::Now() - begin > absl::Seconds(5); }));
  EXPECT_EQ(WalsenderPid(), walsender) << "the walsender was replaced\n" << process.Output();
  EXPECT_LT(process.ResidentBytes(), kResidentBytesMax) << "60 MB were written";
  thaw();
  ExpectEqualSoon({"t"}, process);
}

TEST_F(OutageTest, AFrozenTargetHoldsBackNobody) {
  pipeline_.sinks.push_back(FileSink());
  pipeline_.more = "spool: {memory: 8MiB}\n";
  const auto process = Run();
  ASSERT_TRUE(WaitForSnapshot(*process));
  ExpectEqualSoon({"t"}, *process);
  ASSERT_TRUE(target_server_->Freeze().ok());
  ExpectOthersGoOn(*process, [&] { ASSERT_TRUE(target_server_->Thaw().ok()); });
}

TEST_F(OutageTest, ALockedTargetTableHoldsBackNobody) {
  pipeline_.sinks.push_back(FileSink());
  pipeline_.more = "spool: {memory: 8MiB}\n";
  const auto process = Run();
  ASSERT_TRUE(WaitForSnapshot(*process));
  ExpectEqualSoon({"t"}, *process);
  auto holder = target_server_->Connect();
  ASSERT_TRUE(holder.ok());
  ASSERT_TRUE((*holder)->Execute("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE").ok());
  ExpectOthersGoOn(*process, [&] { holder->reset(); });
}

TEST_F(OutageTest, ALonelySinkThatHangsKeepsTheConnection) {
  pipeline_.more = "spool: {memory: 4MiB}\n";
  const auto process = Run();
  ASSERT_TRUE(WaitForSnapshot(*process));
  ExpectEqualSoon({"t"}, *process);
  const std::string walsender = WalsenderPid();
  ASSERT_TRUE(target_server_->Freeze().ok());
  const absl::Time begin = absl::Now();
  // More than fits: the source is not read any more, and yet it gets its answers.
  WriteALot(40);
  EXPECT_TRUE(Eventually([&] { return absl::Now() - begin > absl::Seconds(6); }));
  EXPECT_EQ(WalsenderPid(), walsender) << process->Output();
  EXPECT_LT(process->ResidentBytes(), kResidentBytesMax);
  ASSERT_TRUE(target_server_->Thaw().ok());
  ExpectEqualSoon({"t"}, *process);
}

TEST_F(OutageTest, ARestartedSourceIsFoundAgain) {
  const auto process = Run();
  ASSERT_TRUE(WaitForSnapshot(*process));
  for (const bool clean : {true, false}) {
    source_.Execute("UPDATE t SET v = v + 1 WHERE id % 10 = 0");
    ASSERT_TRUE((clean ? source_server_->Stop() : source_server_->Kill9()).ok());
    ASSERT_TRUE(source_server_->Start().ok());
    source_.Execute("UPDATE t SET v = v + 1 WHERE id % 7 = 0; DELETE FROM t WHERE id % 1000 = 1");
    ExpectEqualSoon({"t"}, *process);
  }
}

TEST_F(OutageTest, ARestartedTargetIsFoundAgain) {
  const auto process = Run();
  ASSERT_TRUE(WaitForSnapshot(*process));
  for (const bool clean : {true, false}) {
    source_.Execute("UPDATE t SET v = v + 1 WHERE id % 10 = 0");
    ASSERT_TRUE((clean ? target_server_->Stop() : target_server_->Kill9()).ok());
    source_.Execute("UPDATE t SET v = v + 1 WHERE id % 7 = 0; DELETE FROM t WHERE id % 1000 = 2");
    ASSERT_TRUE(target_server_->Start().ok());
    ExpectEqualSoon({"t"}, *process);
  }
}

// A connection is lost anywhere, also behind a whole transaction and a part of the next one. A
// table without a key tells what came twice.
TEST_F(OutageTest, EachTransactionComesOnceWhenConnectionsAreLost) {
  source_.Execute(
      "CREATE TABLE journal (writer int, id int, filler text);"
      "ALTER TABLE journal REPLICA IDENTITY FULL");
  const auto process = Run();
  ASSERT_TRUE(WaitForSnapshot(*process));
  std::vector<std::jthread> writers;
  for (int writer = 0; writer < 3; ++writer) {
    writers.emplace_back([this, writer](std::stop_token stop) {
      for (int id = 0; !stop.stop_requested(); ++id) {
        source_.Execute(fmt::format(
            "INSERT INTO journal SELECT {}, {}, repeat('x', 400) FROM generate_series(1, 100)",
            writer, id));
      }
    });
  }
  for (int i = 0; i < 20; ++i) {
    absl::SleepFor(absl::Milliseconds(200));
    source_.Execute(
        "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active");
  }
  for (std::jthread& writer : writers) writer.request_stop();
  writers.clear();
  ExpectEqualSoon({"journal"}, *process);
}

// Both lost in the midst of the snapshot, one after the other.
TEST_F(OutageTest, TheSnapshotSurvivesRestarts) {
  source_.Execute(
      "INSERT INTO t SELECT i, 0, repeat('x', 300) FROM generate_series(5001, 40000) i");
  pipeline_.snapshot = "{workers: 2, range_size: 128KiB}";
  const auto process = Run();
  ASSERT_TRUE(WaitForFirstRange(*process));
  ASSERT_TRUE(target_server_->Kill9().ok());
  source_.Execute("UPDATE t SET v = 1 WHERE id % 3 = 0");
  ASSERT_TRUE(target_server_->Start().ok());
  ASSERT_TRUE(source_server_->Kill9().ok());
  ASSERT_TRUE(source_server_->Start().ok());
  source_.Execute("UPDATE t SET v = 2 WHERE id % 5 = 0; DELETE FROM t WHERE id % 9 = 0");
  ASSERT_TRUE(WaitForSnapshot(*process));
  ExpectEqualSoon({"t"}, *process);
}

// Longer than wal_sender_timeout: the server gives the session up, unseen by us.
TEST_F(OutageTest, AStalledNetworkLosesNothing) {
  StallingProxy to_source(source_server_->port());
  StallingProxy to_target(target_server_->port());
  pipeline_.source_url =
      fmt::format("postgresql://postgres@127.0.0.1:{}/postgres", to_source.port());
  pipeline_.sinks = {fmt::format(
      "postgres: {{url: \"postgresql://postgres@127.0.0.1:{}/postgres\", create_schema: true}}",
      to_target.port())};
  const auto process = Run();
  ASSERT_TRUE(WaitForSnapshot(*process));
  for (StallingProxy* proxy : {&to_source, &to_target}) {
    proxy->Stall();
    source_.Execute("UPDATE t SET v = v + 1 WHERE id % 10 = 0");
    const absl::Time begin = absl::Now();
    EXPECT_TRUE(Eventually([&] { return absl::Now() - begin > absl::Seconds(4); }));
    source_.Execute("UPDATE t SET v = v + 1 WHERE id % 7 = 0");
    proxy->Resume();
    ExpectEqualSoon({"t"}, *process);
  }
}

// The slot is the lock: the second one waits, and takes over when the first one dies.
TEST_F(OutageTest, AStandbyTakesOver) {
  auto first = Run();
  ASSERT_TRUE(WaitForSnapshot(*first));
  std::string output = directory_ / "standby.log";
  const auto second = PgflowProcess::Start(
      {.arguments = {"run", directory_ / "pipeline.yaml"}, .output_file = output});
  ASSERT_TRUE(second->WaitForOutput("standing by")) << second->Output();
  source_.Execute("UPDATE t SET v = 1 WHERE id = 1");
  ExpectEqualSoon({"t"}, *first);
  EXPECT_TRUE(second->running()) << second->Output();
  std::jthread writer([this](std::stop_token stop) {
    while (!stop.stop_requested()) {
      source_.Execute("UPDATE t SET v = v + 1 WHERE id % 50 = 3");
    }
  });
  first->Kill9();
  const absl::Time killed = absl::Now();
  const std::string stood = target_.Value("SELECT sum(v) FROM t");
  EXPECT_TRUE(Eventually([&] { return target_.Value("SELECT sum(v) FROM t") != stood; }));
  EXPECT_LT(absl::Now() - killed, absl::Seconds(2)) << second->Output();
  writer.request_stop();
  writer.join();
  ExpectEqualSoon({"t"}, *second);
  EXPECT_EQ(CountOf(second->Output(), "taken over"), 0u) << second->Output();
}

// A pgflow that was only paused must not write once another one has taken its place.
TEST_F(OutageTest, APausedLeaderIsFencedOff) {
  auto first = Run();
  ASSERT_TRUE(WaitForSnapshot(*first));
  const auto second = PgflowProcess::Start(
      {.arguments = {"run", directory_ / "pipeline.yaml"}, .output_file = directory_ / "2.log"});
  ASSERT_TRUE(second->WaitForOutput("standing by")) << second->Output();
  first->Signal(SIGSTOP);
  source_.Execute("UPDATE t SET v = v + 1 WHERE id % 10 = 0");
  // The server gives the silent one up after wal_sender_timeout.
  ExpectEqualSoon({"t"}, *second);
  first->Signal(SIGCONT);
  source_.Execute("UPDATE t SET v = v + 1 WHERE id % 7 = 0");
  source_.Execute("UPDATE t SET v = v + 1 WHERE id % 3 = 0");
  ExpectEqualSoon({"t"}, *second);
  EXPECT_EQ(CountOf(second->Output(), "taken over"), 0U) << second->Output();
  // It has ended, or stands by if it had nothing left to write.
  EXPECT_EQ(CountOf(first->Output(), "streaming from"), 1U) << first->Output();
}

// A fail-over: what answers is read-only until its promotion.
TEST_F(OutageTest, ATargetThatIsAStandbyForAWhileIsWaitedFor) {
  const auto process = Run();
  ASSERT_TRUE(WaitForSnapshot(*process));
  ASSERT_TRUE(target_server_->Stop().ok());
  const std::string signal = target_server_->data_directory() + "/standby.signal";
  WriteFile(signal, "");
  std::filesystem::permissions(signal, std::filesystem::perms::all);
  ASSERT_TRUE(target_server_->Start().ok());
  source_.Execute("UPDATE t SET v = v + 1 WHERE id % 10 = 0; DELETE FROM t WHERE id % 9 = 0");
  EXPECT_TRUE(process->WaitForOutput("25006")) << process->Output();
  EXPECT_EQ(target_.Value("SELECT pg_promote()"), "t");
  ExpectEqualSoon({"t"}, *process);
  EXPECT_TRUE(process->running()) << process->Output();
}

}  // namespace
}  // namespace pgflow::tests
