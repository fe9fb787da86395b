// The stream of a real server.
#include <absl/time/clock.h>

#include "postgres/types/sql_state.h"
#include "sources/postgres/server_log.h"
#include "sources/postgres/source_fixture_test.h"

namespace pgflow::sources {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

using StreamTest = SourceTest;

TEST_F(StreamTest, GivesChangesInCommitOrder) {
  Execute("CREATE TABLE \"T x\" (id int PRIMARY KEY, v text, big text)");
  Execute("CREATE TABLE f (a int, b int); ALTER TABLE f REPLICA IDENTITY FULL");
  OpenSource(Config());
  StartStream();
  Execute("INSERT INTO \"T x\" VALUES (1, 'a,b', NULL)");
  Execute("INSERT INTO f VALUES (1, 2); UPDATE f SET b = 3; DELETE FROM f");
  Execute("UPDATE \"T x\" SET id = 2; UPDATE \"T x\" SET v = 'c'; DELETE FROM \"T x\"");
  Execute("TRUNCATE \"T x\", f RESTART IDENTITY");
  EXPECT_THAT(writer_.WaitForLines(13),
              ElementsAre("insert public.T x 1,a,b,NULL", "commit", "insert public.f 1,2",
                          "update public.f old 1,2 1,3", "delete public.f old 1,3", "commit",
                          "update public.T x old 1,NULL,NULL 2,a,b,NULL",
                          "update public.T x 2,c,NULL", "delete public.T x old 2,NULL,NULL",
                          "commit", testing::StartsWith("truncate public."),
                          testing::StartsWith("truncate public."), "commit"));
  EXPECT_EQ(StopStream().code(), absl::StatusCode::kCancelled);
}

TEST_F(StreamTest, MarksUnchangedToast) {
  Execute(
      "CREATE TABLE t (id int PRIMARY KEY, n int, big text); "
      "ALTER TABLE t ALTER big SET STORAGE EXTERNAL");
  OpenSource(Config());
  StartStream();
  Execute("INSERT INTO t VALUES (1, 1, repeat('x', 9000))");
  Execute("UPDATE t SET n = 2");
  const std::vector<std::string> lines = writer_.WaitForLines(4);
  ASSERT_EQ(lines.size(), 4);
  EXPECT_EQ(lines[2], "update public.t 1,2,UNCHANGED");
}

TEST_F(StreamTest, StreamsOpenTransactionsAndLeavesOutAbortedParts) {
  if (server_->version() < 140000) {
    GTEST_SKIP() << "this version sends whole transactions only";
  }
  Execute("CREATE TABLE t (id int PRIMARY KEY, v text)");
  OpenSource(Config());
  StartStream();
  auto session = server_->Connect(database_);
  ASSERT_TRUE(session.ok());
  const auto run = [&](const std::string& sql) {
    const auto result = (*session)->Execute(sql);
    ASSERT_TRUE(result.ok()) << result.status();
  };
  run("SET search_path = public");
  run("BEGIN");
  run("INSERT INTO t SELECT i, repeat('k', 100) FROM generate_series(1, 3000) i");
  run("SAVEPOINT a");
  run("INSERT INTO t SELECT i, repeat('gone', 25) FROM generate_series(3001, 6000) i");
  ASSERT_TRUE(writer_.WaitForStreamed(3500));
  EXPECT_TRUE(writer_.lines().empty());
  run("SAVEPOINT b");
  run("INSERT INTO t VALUES (9001, 'gone')");
  run("ROLLBACK TO SAVEPOINT a");
  run("INSERT INTO t SELECT i, repeat('l', 100) FROM generate_series(6001, 9000) i");
  // Other transactions go on in between.
  Execute("INSERT INTO t VALUES (20000, 'other')");
  EXPECT_THAT(writer_.WaitForLines(2), ElementsAre("insert public.t 20000,other", "commit"));
  run("COMMIT");
  const std::vector<std::string> lines = writer_.WaitForLines(2 + 6000 + 1);
  ASSERT_EQ(lines.size(), 6003);
  EXPECT_EQ(lines[2], "insert public.t 1," + std::string(100, 'k'));
  EXPECT_EQ(lines[6001], "insert public.t 9000," + std::string(100, 'l'));
  for (const std::string& line : lines) ASSERT_THAT(line, testing::Not(HasSubstr("gone")));

  const uint64_t before = writer_.streamed();
  run("BEGIN");
  run("INSERT INTO t SELECT i, repeat('k', 100) FROM generate_series(30001, 33000) i");
  ASSERT_TRUE(writer_.WaitForStreamed(before + 1));
  run("ROLLBACK");
  Execute("INSERT INTO t VALUES (40000, 'last')");
  EXPECT_EQ(writer_.WaitForLines(6005).back(), "commit");
  EXPECT_EQ(writer_.dropped(), 1U);
  EXPECT_EQ(writer_.open_count(), 0U);
}

TEST_F(StreamTest, LogicalMessagesAreRows) {
  if (server_->version() < 140000) GTEST_SKIP() << "this version sends no messages";
  Execute("CREATE TABLE t (id int PRIMARY KEY)");
  PostgresSourceConfig config = Config();
  config.messages = {"audit.*", "out"};
  OpenSource(config);
  StartStream();
  const auto message = [](const char* when, const char* prefix, const char* content) {
    return fmt::format("SELECT pg_logical_emit_message({}, '{}', '{}');", when, prefix, content);
  };
  Execute("BEGIN; INSERT INTO t VALUES (1);" + message("true", "audit.x", "a") +
          message("true", "other", "b") + "SAVEPOINT s;" + message("true", "out", "gone") +
          "ROLLBACK TO s; INSERT INTO t VALUES (2); COMMIT");
  // One that waits for no commit comes at once, and stays when its transaction does not.
  Execute("BEGIN; INSERT INTO t VALUES (3);" + message("false", "out", "c") + "ROLLBACK");
  Execute("BEGIN;" + message("true", "out", "gone") + "ROLLBACK");
  Execute("INSERT INTO t VALUES (4)");
  EXPECT_THAT(
      writer_.WaitForLines(8),
      ElementsAre("insert public.t 1", HasSubstr("insert pgflow.logical_message audit.x,"),
                  "insert public.t 2", "commit", HasSubstr("insert pgflow.logical_message out,"),
                  "commit", "insert public.t 4", "commit"));
  EXPECT_EQ(StopStream().code(), absl::StatusCode::kCancelled);
}

TEST_F(StreamTest, FollowsChangedTables) {
  Execute("CREATE TABLE t (id int PRIMARY KEY, a int)");
  Execute(
      "CREATE TABLE m (at int) PARTITION BY RANGE (at); "
      "CREATE TABLE m_1 PARTITION OF m FOR VALUES FROM (0) TO (10)");
  OpenSource(Config());
  Execute("INSERT INTO t VALUES (1, 1)");
  Execute("ALTER TABLE t ADD COLUMN b text DEFAULT 'x'; ALTER TABLE t RENAME a TO c");
  Execute("INSERT INTO t VALUES (2, 2, 'y')");
  Execute("ALTER TABLE t DROP COLUMN c");
  Execute("INSERT INTO t VALUES (3, 'z')");
  Execute("CREATE TABLE m_2 PARTITION OF m FOR VALUES FROM (10) TO (20)");
  Execute("INSERT INTO m VALUES (1), (11)");
  Execute("DROP TABLE m_2");
  StartStream();
  EXPECT_THAT(writer_.WaitForLines(9),
              ElementsAre("insert public.t 1,1", "commit", "insert public.t 2,2,y", "commit",
                          "insert public.t 3,z", "commit", "insert public.m_1 1",
                          "insert public.m_2 11", "commit"));
}

TEST_F(StreamTest, AnswersKeepalivesWhileTheWriterIsFull) {
  Execute("CREATE TABLE t (id int PRIMARY KEY, v text)");
  OpenSource(Config());
  StartStream();
  ASSERT_TRUE(writer_.WaitForStarts(1));
  writer_.set_room(false);
  // More than all socket buffers hold, so that the server waits for us.
  Execute("INSERT INTO t SELECT i, repeat(md5(i::text), 30) FROM generate_series(1, 20000) i");
  for (int i = 0; i < 20; ++i) {
    Execute(fmt::format("INSERT INTO t VALUES ({}, 'x')", 100000 + i));
  }
  absl::SleepFor(absl::Seconds(6));  // Three times wal_sender_timeout.
  EXPECT_EQ(disconnects_, 0);
  writer_.set_room(true);
  EXPECT_EQ(writer_.WaitForLines(20001 + 40).size(), 20041);
  EXPECT_EQ(disconnects_, 0);
}

TEST_F(StreamTest, LeavesOutWhatAnotherReplicationApplied) {
  Execute("CREATE TABLE t (id int PRIMARY KEY, v text)");
  PostgresSourceConfig config = Config();
  config.replication.origin = ChangeOrigin::kNone;
  OpenSource(config);
  StartStream();
  const std::string many =
      "INSERT INTO t SELECT i, repeat('x', 100) FROM generate_series({}, {}) i";
  auto session = server_->Connect(database_);
  ASSERT_TRUE(session.ok());
  const auto run = [&](const std::string& sql) {
    const auto result = (*session)->Execute(sql);
    ASSERT_TRUE(result.ok()) << result.status();
  };
  run("SELECT pg_replication_origin_create('stream_test_origin')");
  run("SELECT pg_replication_origin_session_setup('stream_test_origin')");
  run("INSERT INTO public.t VALUES (1, 'theirs')");
  // Larger than what a walsender keeps to the end, also with a change of the catalog at first, by
  // which versions 14 and 15 forget the origin of a transaction in progress.
  run("SET search_path = public");
  run(fmt::format(fmt::runtime(many), 1001, 4000));
  run("BEGIN; CREATE TEMP TABLE aside (a int); " + fmt::format(fmt::runtime(many), 4001, 7000) +
      "; COMMIT");
  run("TRUNCATE t");
  Execute(fmt::format(fmt::runtime(many), 10001, 13000));
  run("DELETE FROM t WHERE id = 10001");
  Execute("INSERT INTO t VALUES (2, 'ours')");
  const std::vector<std::string> lines = writer_.WaitForLines(3003);
  run("SELECT pg_replication_origin_session_reset()");
  run("SELECT pg_replication_origin_drop('stream_test_origin')");
  ASSERT_EQ(lines.size(), 3003);
  EXPECT_THAT(lines[0], HasSubstr("insert public.t 10001,"));
  EXPECT_EQ(lines[3000], "commit");
  EXPECT_EQ(lines[3001], "insert public.t 2,ours");
}

TEST_F(StreamTest, AcknowledgesWhileIdleAndNeverBeyond) {
  Execute("CREATE TABLE t (id int PRIMARY KEY); CREATE SCHEMA other; CREATE TABLE other.t (a int)");
  OpenSource(Config());
  StartStream();
  Execute("INSERT INTO t VALUES (1)");
  writer_.WaitForLines(2);
  const std::string confirmed = fmt::format(
      "SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = "
      "'slot_{}'",
      database_);
  const std::string before = Value(confirmed);
  // WAL of tables that are not published.
  Execute("INSERT INTO other.t SELECT generate_series(1, 10000)");
  const auto lsn = source_->CurrentLsn({});
  ASSERT_TRUE(lsn.ok()) << lsn.status();
  EXPECT_TRUE(writer_.WaitForIdle(*lsn));
  EXPECT_EQ(Value(confirmed), before);
  source_->Acknowledge(*lsn);
  for (int i = 0; i < 100 && Value(confirmed) != lsn->ToString(); ++i) {
    absl::SleepFor(absl::Milliseconds(50));
  }
  EXPECT_EQ(Value(confirmed), lsn->ToString());
  const auto health = source_->Health({});
  ASSERT_TRUE(health.ok()) << health.status();
  EXPECT_EQ(health->wal_status, "reserved");
}

TEST_F(StreamTest, GoesOnAfterRestartsWithoutRepeatingWhatTheWriterHas) {
  Execute("CREATE TABLE t (id int PRIMARY KEY)");
  OpenSource(Config());
  StartStream();
  Execute("INSERT INTO t VALUES (1)");
  EXPECT_EQ(writer_.WaitForLines(2).size(), 2);
  ASSERT_TRUE(server_->Restart().ok());
  Execute("INSERT INTO t VALUES (2)");
  EXPECT_EQ(writer_.WaitForLines(4).size(), 4);
  ASSERT_TRUE(server_->Kill9().ok());
  ASSERT_TRUE(server_->Start().ok());
  Execute("INSERT INTO t VALUES (3)");
  EXPECT_THAT(writer_.WaitForLines(6),
              ElementsAre("insert public.t 1", "commit", "insert public.t 2", "commit",
                          "insert public.t 3", "commit"));
  EXPECT_GE(disconnects_, 2);
}

TEST_F(StreamTest, SaysWhenTheSlotIsInUse) {
  Execute("CREATE TABLE t (id int PRIMARY KEY)");
  OpenSource(Config());
  StartStream();
  ASSERT_TRUE(writer_.WaitForStarts(1));
  auto second = MakeSource(Config());
  ASSERT_TRUE(second->Open({}).ok());
  const auto slot = second->OpenSlot(true, {});
  ASSERT_TRUE(slot.ok()) << slot.status();
  EXPECT_FALSE(slot->created);
  RecordingWriter writer;
  const absl::Status status = second->Run(writer, {});
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(base::Payload(status, engine::kSlotInUsePayload), "1");
  // It takes over when the first one is gone.
  StopStream().IgnoreError();
  std::stop_source stop;
  std::jthread runner([&] {
    while (base::IsRetryable(second->Run(writer, stop.get_token()))) {
      absl::SleepFor(absl::Milliseconds(20));
    }
  });
  Execute("INSERT INTO t VALUES (1)");
  EXPECT_EQ(writer.WaitForLines(2).size(), 2);
  stop.request_stop();
}

TEST_F(StreamTest, ADroppedSlotIsFinal) {
  Execute("CREATE TABLE t (id int PRIMARY KEY)");
  OpenSource(Config());
  Execute(fmt::format("SELECT pg_drop_replication_slot('slot_{}')", database_));
  const absl::Status status = source_->Run(writer_, {});
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_THAT(std::string(base::Message(status)), HasSubstr("pgflow destroy"));
}

// Of a server of its own, which is put back to an older image of its disk and then writes more than
// it had.
TEST(ServerLogTest, TellsALogThatWasPutBack) {
  auto server = *engine::ScratchPostgres::Make();
  const auto execute = [&](const std::string& sql) { ASSERT_TRUE(server->Execute(sql).ok()); };
  postgres::ConnectOptions options;
  options.url = server->url();
  const auto look = [&] {
    return *LookAtLog(**postgres::Connection::Connect(options, {}), "slot", {});
  };
  execute("CREATE TABLE t (id int)");
  execute("SELECT pg_create_logical_replication_slot('slot', 'pgoutput')");
  ASSERT_TRUE(server->Stop().ok() && server->SaveImage().ok() && server->Start().ok());
  execute("INSERT INTO t SELECT generate_series(1, 1000)");
  KnownLog known = look();
  known.sample = SampleLog(options, known.timeline, known.end, {});
  known.sample_end = known.end;
  EXPECT_EQ(known.sample.size(), 64);
  execute("INSERT INTO t SELECT generate_series(1, 10)");
  ASSERT_TRUE(server->Kill9().ok() && server->Start().ok());
  EXPECT_TRUE(CheckLog(known, look(), known.end).ok());
  EXPECT_TRUE(CheckSample(options, known, look(), {}).ok());

  ASSERT_TRUE(server->Stop().ok() && server->RestoreImage().ok() && server->Start().ok());
  EXPECT_EQ(CheckLog(known, look(), {}).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(CheckLog({}, look(), known.end).code(), absl::StatusCode::kFailedPrecondition);
  execute("INSERT INTO t SELECT generate_series(1, 5000)");
  EXPECT_TRUE(CheckLog(known, look(), known.end).ok()) << "it has passed the place";
  EXPECT_THAT(CheckSample(options, known, look(), {}).ToString(), HasSubstr("older state"));
  // The slot is where it was, too.
  known.restart = known.end;
  EXPECT_THAT(CheckLog(known, look(), {}).ToString(), HasSubstr("the slot begins at"));
  // What is not there any more says nothing.
  known.sample_end = postgres::Lsn(0x1000);
  EXPECT_TRUE(CheckSample(options, known, look(), {}).ok());
}

TEST_F(StreamTest, RefusesWhatCannotWork) {
  Execute(
      "CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE u (id int PRIMARY KEY); "
      "CREATE PUBLICATION mine FOR TABLE t");
  PostgresSourceConfig config = Config();
  config.replication.publication = "mine";
  auto source = MakeSource(config);
  ASSERT_TRUE(source->Open({}).ok());
  absl::Status status = source->OpenSlot(true, {}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(base::Message(status)), HasSubstr("\"public\".\"u\""));

  // Publishing it would make its updates fail.
  Execute("CREATE TABLE nokey (a int); INSERT INTO nokey VALUES (1)");
  Execute("UPDATE nokey SET a = 2");
  source = MakeSource(Config());
  ASSERT_TRUE(source->Open({}).ok());
  for (int i = 0; i < 100; ++i) {  // The statistics come a little later.
    if (Value("SELECT pg_stat_get_tuples_updated('nokey'::regclass)") == "1") break;
    absl::SleepFor(absl::Milliseconds(50));
  }
  status = source->OpenSlot(true, {}).status();
  EXPECT_THAT(std::string(base::Message(status)), HasSubstr("REPLICA IDENTITY FULL"));
  Execute("DROP TABLE nokey");
  EXPECT_EQ(source->OpenSlot(false, {}).status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(source->DropSlot({}).ok());
  EXPECT_EQ(Value("SELECT count(*) FROM pg_publication"), "1");
}

TEST_F(StreamTest, ChecksTheServer) {
  Execute(
      "CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE nokey (a int); "
      "CREATE ROLE weak LOGIN; GRANT SELECT ON t TO weak");
  PostgresSourceConfig config = Config();
  config.url = config::Secret(server_->url(database_, "weak"));
  auto source = MakeSource(config);
  ASSERT_TRUE(source->Open({}).ok());
  const auto check = source->Check({});
  ASSERT_TRUE(check.ok()) << check.status();
  const auto has = [&](engine::Finding::Severity severity, const std::string& subject) {
    return std::ranges::any_of(check->findings, [&](const engine::Finding& finding) {
      return finding.severity == severity && finding.subject == subject;
    });
  };
  using Severity = engine::Finding::Severity;
  EXPECT_TRUE(has(Severity::kOk, "wal_level"));
  EXPECT_TRUE(has(Severity::kError, "role weak"));
  EXPECT_TRUE(has(Severity::kError, "table public.nokey"));
  EXPECT_TRUE(has(Severity::kWarning, "table public.nokey"));
  EXPECT_EQ(check->tables.size(), 2);
  const absl::Status status = source->OpenSlot(true, {}).status();
  EXPECT_THAT(std::string(base::Message(status)), HasSubstr("GRANT SELECT"));
  Execute("DROP OWNED BY weak; DROP ROLE weak");
}

}  // namespace
}  // namespace pgflow::sources
