// A standby as the source, and servers that fail over.
#include <csignal>
#include <thread>

#include <absl/time/clock.h>
#include <fmt/format.h>

#include "tests/integration/system_test.h"

namespace pgflow::tests {
namespace {

class StandbyTest : public SystemTest {
 protected:
  void SetUp() override {
    auto primary = ScratchPostgres::Make();
    ASSERT_TRUE(primary.ok()) << primary.status();
    primary_ = *std::move(primary);
    version_ = primary_->version() / 10000;
    if (version_ < needs_version()) {
      GTEST_SKIP() << "needs version " << needs_version() << " on both servers";
    }
    auto standby = ScratchPostgres::MakeStandby(*primary_, standby_options());
    ASSERT_TRUE(standby.ok()) << standby.status();
    standby_ = *std::move(standby);
    auto target = ScratchPostgres::Make();
    ASSERT_TRUE(target.ok()) << target.status();
    target_server_ = *std::move(target);
    on_primary_ = {primary_.get(), "postgres"};
    Use({standby_.get(), "postgres"}, {target_server_.get(), "postgres"});
    on_primary_.Execute(
        "CREATE TABLE t (id int PRIMARY KEY, v text);"
        "INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 5000) i");
  }

  virtual int needs_version() const { return 16; }
  virtual ScratchPostgresOptions standby_options() const { return {}; }

  void MakePublication() const {
    on_primary_.Execute("CREATE PUBLICATION mine FOR TABLE t");
    AwaitReplay();
  }
  void AwaitReplay() const {
    const std::string lsn = on_primary_.Value("SELECT pg_current_wal_flush_lsn()");
    EXPECT_TRUE(Eventually([&] {
      return source_.Value(fmt::format("SELECT pg_last_wal_replay_lsn() >= '{}'", lsn)) == "t";
    }));
  }
  // Slots on a standby begin where the primary logs its transactions.
  std::jthread LogSnapshots() const {
    return std::jthread([this](std::stop_token stop) {
      while (!stop.stop_requested()) {
        on_primary_.Execute("SELECT pg_log_standby_snapshot()");
        absl::SleepFor(absl::Milliseconds(200));
      }
    });
  }

  int version_ = 0;
  std::unique_ptr<ScratchPostgres> primary_;
  std::unique_ptr<ScratchPostgres> standby_;
  std::unique_ptr<ScratchPostgres> target_server_;
  Database on_primary_;
};

TEST_F(StandbyTest, CopiesAndStreamsFromAStandby) {
  // It cannot make a publication: the message has the statement.
  AwaitReplay();
  const std::string refused = Expect(1, "run", {"--until-current"});
  const size_t begin = refused.find("CREATE PUBLICATION");
  ASSERT_NE(begin, std::string::npos) << refused;
  EXPECT_NE(refused.find("on its primary"), std::string::npos) << refused;
  const std::string unready = Expect(3, "check");
  EXPECT_NE(unready.find("make it on the primary"), std::string::npos) << unready;
  on_primary_.Execute(refused.substr(begin, refused.find('\n', begin) - begin));
  AwaitReplay();
  Expect(0, "check");
  std::jthread snapshots = LogSnapshots();
  const auto process = Run();
  ASSERT_TRUE(WaitForSnapshot(*process)) << process->Output();
  EXPECT_TRUE(process->Printed("pg_log_standby_snapshot"));
  snapshots.request_stop();
  snapshots.join();
  on_primary_.Execute(
      "UPDATE t SET v = 'new' WHERE id % 3 = 0; DELETE FROM t WHERE id % 7 = 0;"
      "INSERT INTO t SELECT i, 'more' FROM generate_series(10000, 15000) i");
  AwaitReplay();
  ExpectEqualSoon({"t"}, *process);
  process->Signal(SIGTERM);
  EXPECT_EQ(process->WaitForExit(), 0) << process->Output();
  on_primary_.Execute("UPDATE t SET v = 'while nobody runs' WHERE id % 5 = 0");
  AwaitReplay();
  RunToCurrent();
  ExpectEqual({"t"});
  // What a standby cannot remove stays.
  Expect(0, "destroy");
  EXPECT_EQ(source_.Value("SELECT count(*) FROM pg_replication_slots"), "0");
  EXPECT_EQ(source_.Value("SELECT count(*) FROM pg_publication"), "1");
}

TEST_F(StandbyTest, GoesOnWhenTheStandbyIsPromoted) {
  pipeline_.source_options = "    replication: {publication: mine}\n";
  MakePublication();
  std::jthread snapshots = LogSnapshots();
  const auto process = Run();
  ASSERT_TRUE(WaitForSnapshot(*process)) << process->Output();
  snapshots.request_stop();
  snapshots.join();
  on_primary_.Execute("UPDATE t SET v = 'before' WHERE id % 3 = 0");
  AwaitReplay();
  ASSERT_TRUE(primary_->Stop().ok());
  EXPECT_EQ(source_.Value("SELECT pg_promote()"), "t");
  source_.Execute("UPDATE t SET v = 'after' WHERE id % 5 = 0; DELETE FROM t WHERE id % 11 = 0");
  ExpectEqualSoon({"t"}, *process);
  EXPECT_TRUE(process->WaitForOutput("the source was promoted: timeline 2"));
  source_.Execute("UPDATE t SET v = 'on timeline 2' WHERE id % 17 = 0");
  ExpectEqualSoon({"t"}, *process);
  process->Signal(SIGTERM);
  EXPECT_EQ(process->WaitForExit(), 0) << process->Output();
  source_.Execute("UPDATE t SET v = 'while nobody runs' WHERE id % 13 = 0");
  RunToCurrent();
  ExpectEqual({"t"});
}

TEST_F(StandbyTest, TheCaptureIsThePrimarys) {
  pipeline_.source_options = "    replication: {publication: mine, ddl: true}\n";
  MakePublication();
  const std::string refused = Expect(1, "run", {"--until-current"});
  EXPECT_NE(refused.find("cannot make the DDL capture"), std::string::npos) << refused;
  EXPECT_EQ(source_.Value("SELECT count(*) FROM pg_replication_slots"), "0");
}

class OldStandbyTest : public StandbyTest {
 protected:
  int needs_version() const override { return 13; }
};

TEST_F(OldStandbyTest, IsRefused) {
  if (version_ >= 16) GTEST_SKIP() << "this version can";
  AwaitReplay();
  const std::string refused = Expect(1, "run", {"--until-current"});
  EXPECT_NE(refused.find("needs PostgreSQL 16: use the primary's url"), std::string::npos)
      << refused;
  const std::string found = Expect(3, "check");
  EXPECT_NE(found.find("slots there need version 16"), std::string::npos) << found;
}

class FailoverSlotTest : public StandbyTest {
 protected:
  int needs_version() const override { return 17; }
  ScratchPostgresOptions standby_options() const override {
    return {.settings = {{"sync_replication_slots", "on"}}};
  }
  std::string Slot() const { return "pgflow_" + pipeline_.name; }
  void AwaitSynchronizedSlot() const {
    const std::string synced = fmt::format(
        "SELECT count(*) FROM pg_replication_slots WHERE synced AND NOT temporary AND slot_name = "
        "'{}'",
        Slot());
    int id = 100000;
    EXPECT_TRUE(Eventually([&] {
      // Slots are synchronised when the primary's has moved.
      on_primary_.Execute(fmt::format("INSERT INTO t VALUES ({}, 'x')", ++id));
      on_primary_.Execute("SELECT pg_log_standby_snapshot()");
      return source_.Value(synced) == "1";
    }));
  }
};

// One url for both servers: the stream would go on by itself where the old primary's last changes
// never were.
TEST_F(FailoverSlotTest, AFailOverBehindTheUrlStopsTheStream) {
  pipeline_.source_url = fmt::format(
      "postgresql://postgres@127.0.0.1:{},127.0.0.1:{}/postgres?"
      "target_session_attrs=read-write",
      primary_->port(), standby_->port());
  const auto process = Run();
  ASSERT_TRUE(WaitForSnapshot(*process)) << process->Output();
  AwaitSynchronizedSlot();
  source_.Execute("ALTER SYSTEM SET primary_conninfo = ''");
  source_.Execute("SELECT pg_reload_conf()");
  EXPECT_TRUE(Eventually(
      [&] { return source_.Value("SELECT count(*) FROM pg_stat_wal_receiver") == "0"; }));
  on_primary_.Execute("INSERT INTO t VALUES (1000000, 'never on the standby')");
  EXPECT_TRUE(Eventually(
      [&] { return target_.Value("SELECT count(*) FROM t WHERE id = 1000000") == "1"; }));
  ASSERT_TRUE(primary_->Kill9().ok());
  EXPECT_EQ(source_.Value("SELECT pg_promote()"), "t");
  source_.Execute("INSERT INTO t VALUES (2000000, 'never on the old primary')");
  EXPECT_EQ(process->WaitForExit(), 1) << process->Output();
  EXPECT_TRUE(process->Printed("timeline")) << process->Output();
  EXPECT_EQ(target_.Value("SELECT count(*) FROM t WHERE id = 2000000"), "0");
  const std::string refused = Expect(1, "run", {"--until-current"});
  EXPECT_NE(refused.find("which the source may have lost"), std::string::npos) << refused;
  EXPECT_NE(refused.find("pgflow destroy"), std::string::npos) << refused;
  EXPECT_EQ(target_.Value("SELECT count(*) FROM t WHERE id = 2000000"), "0");
  // As the message says.
  pipeline_.source_url = source_.url();
  Expect(0, "destroy");
  target_.Execute("TRUNCATE t");
  RunToCurrent();
  ExpectEqual({"t"});
}

TEST_F(FailoverSlotTest, GoesOnWithASynchronizedSlot) {
  pipeline_.source_url = on_primary_.url();
  const auto process = Run();
  ASSERT_TRUE(WaitForSnapshot(*process)) << process->Output();
  EXPECT_EQ(on_primary_.Value("SELECT failover FROM pg_replication_slots WHERE slot_name = '" +
                              Slot() + "'"),
            "t");
  const std::string found = Expect(0, "check");
  EXPECT_NE(found.find("is a failover slot"), std::string::npos) << found;
  AwaitSynchronizedSlot();
  process->Signal(SIGTERM);
  EXPECT_EQ(process->WaitForExit(), 0) << process->Output();

  // Not before it is promoted.
  pipeline_.source_url = source_.url();
  const std::string refused = Expect(1, "run", {"--until-current"});
  EXPECT_NE(refused.find("until it is promoted"), std::string::npos) << refused;
  on_primary_.Execute("UPDATE t SET v = 'not read from the primary' WHERE id % 3 = 0");
  AwaitReplay();
  ASSERT_TRUE(primary_->Stop().ok());
  EXPECT_EQ(source_.Value("SELECT pg_promote()"), "t");
  source_.Execute("UPDATE t SET v = 'on the new primary' WHERE id % 5 = 0");
  for (int start = 0; start < 2; ++start) {
    RunToCurrent();
    ExpectEqual({"t"});
    source_.Execute("DELETE FROM t WHERE id % 7 = 0");
  }
}

TEST_F(FailoverSlotTest, NotWhereTheUserDoesNotWantOne) {
  pipeline_.source_url = on_primary_.url();
  pipeline_.source_options = "    replication: {failover: false}\n";
  Expect(0, "init");
  EXPECT_EQ(on_primary_.Value("SELECT failover FROM pg_replication_slots WHERE slot_name = '" +
                              Slot() + "'"),
            "f");
}

}  // namespace
}  // namespace pgflow::tests
