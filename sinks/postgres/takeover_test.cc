// Who may take the sink, and that nothing of who lost it, or of a lost session of our own, changes
// the target any more.
#include "engine/api/takeover.h"

#include <future>

#include <absl/time/clock.h>
#include <gtest/gtest.h>

#include "engine/testing/message_proxy.h"
#include "sinks/postgres/sink_fixture_test.h"

namespace pgflow::sinks {
namespace {

using engine::Batch;
using engine::BlockRange;
using engine::SnapshotLane;
using engine::TablePlan;
using postgres::Lsn;

class TakeoverTest : public SinkFixture {
 protected:
  TablePlan Plan(const std::string& table) {
    const schemas::TableSchemaPtr schema = builder_.FindTable(table);
    return {schema->table, schema, nullptr};
  }
  absl::Status Copy(SnapshotLane& lane, const std::string& table, const std::string& rows,
                    BlockRange range, bool record = true) {
    PGFLOW_RETURN_IF_ERROR(lane.BeginRange(Plan(table), range, {.record = record}));
    Batch batch = builder_.Snapshot(table, rows);
    PGFLOW_RETURN_IF_ERROR(lane.Write(batch, {}).status());
    return lane.FinishRange({});
  }
  // All that a sink could have changed.
  std::string Everything() {
    return Rows("SELECT * FROM t ORDER BY 1") + "|" + Rows("SELECT * FROM pgflow.checkpoint") +
           "|" + Rows("SELECT * FROM pgflow.table_progress") + "|" +
           Rows("SELECT * FROM pgflow.finished_range") + "|" +
           Rows(
               "SELECT relname FROM pg_class WHERE relnamespace IN "
               "(SELECT oid FROM pg_namespace WHERE nspname IN ('public', 'shop')) ORDER BY 1");
  }
  static void ExpectTakenOver(const absl::Status& status, std::string_view what) {
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << what << ": " << status;
    EXPECT_NE(base::Payload(status, engine::kTakenOverPayload), "") << what << ": " << status;
  }
  // Its lost connections are one thing, what it does on new ones another.
  void ExpectStoreIsFenced(engine::CheckpointStore& store) {
    const schemas::TableName table{"public", "t"};
    ExpectTakenOver(store.Load().status(), "Load");
    ExpectTakenOver(store.Begin(Identity(), {Lsn(5), Lsn(6)}), "Begin");
    ExpectTakenOver(store.BeginTable({table, {}, "", {}, false, {}}), "BeginTable");
    ExpectTakenOver(store.FinishRange(table, {0, 9}), "FinishRange");
    ExpectTakenOver(store.FinishTable(table), "FinishTable");
    ExpectTakenOver(store.FinishSnapshot(postgres::Lsn(0x30)), "FinishSnapshot");
    ExpectTakenOver(store.AdvanceStream({Lsn(5), Lsn(6)}), "AdvanceStream");
    ExpectTakenOver(store.FollowTimeline(9), "FollowTimeline");
    ExpectTakenOver(store.Forget(), "Forget");
  }
};

TEST_F(TakeoverTest, NothingOfTheOneBeforeChangesTheTarget) {
  Sql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (7)");
  builder_.Table("t (id int4 key)");
  config_.on_existing_rows = ExistingRows::kTruncate;
  config_.create_schema = true;
  Start();
  const std::unique_ptr<engine::Sink> other = OpenSink();
  ASSERT_EQ(other->checkpoint_store()->FinishSnapshot(postgres::Lsn(0x30)), absl::OkStatus());
  const std::string before = Everything();
  ExpectStoreIsFenced(*sink_->checkpoint_store());

  schemas::DatabaseDefinition definition;
  definition.objects.push_back({.kind = "type",
                                .name = {"shop", "mood"},
                                .exists_sql = "SELECT to_regtype('shop.mood') IS NOT NULL",
                                .create_sql = "CREATE TYPE shop.mood AS ENUM ('sad')"});
  ExpectTakenOver(sink_->PrepareSnapshot(definition, {}, {}, {}), "CREATE SCHEMA");
  const std::vector<TablePlan> plans = {Plan("t")};
  ExpectTakenOver(sink_->PrepareSnapshot({}, plans, {}, {}), "TRUNCATE");
  ExpectTakenOver(sink_->ResetTables({}, plans, {}), "TRUNCATE of one");
  schemas::TableDefinition other_columns;
  other_columns.table = {"public", "t"};
  TablePlan anew = Plan("t");
  anew.definition = &other_columns;
  ExpectTakenOver(sink_->ResetTables({}, std::vector<TablePlan>{anew}, {}), "DROP");
  builder_.Table("fresh (id int4 key)");
  schemas::TableDefinition fresh_definition;
  fresh_definition.table = {"public", "fresh"};
  fresh_definition.columns.resize(1);
  fresh_definition.columns[0].attribute_number = 1;
  fresh_definition.columns[0].name = "id";
  fresh_definition.columns[0].type_sql = "integer";
  TablePlan fresh = Plan("fresh");
  fresh.definition = &fresh_definition;
  const std::vector<TablePlan> fresh_plans = {fresh};
  ExpectTakenOver(sink_->PrepareSnapshot({}, fresh_plans, {}, {}), "CREATE TABLE");
  for (const bool record : {true, false}) {
    const std::unique_ptr<SnapshotLane> lane = *sink_->OpenLane({});
    ExpectTakenOver(Copy(*lane, "t", "1", {0, 8}, record), "a range");
  }
  const std::unique_ptr<SnapshotLane> lane = *sink_->OpenLane({});
  ExpectTakenOver(lane->FinishTable(Plan("t"), {}), "the end of a table");
  for (int i = 0; i < 2; ++i) ExpectTakenOver(sink_->Open({"test", "target", ""}, {}), "Open");
  EXPECT_EQ(Everything(), before);
  sink_ = nullptr;
  EXPECT_EQ(other->checkpoint_store()->AdvanceStream({Lsn(5), Lsn(6)}), absl::OkStatus());
}

TEST_F(TakeoverTest, OnlyWhoHasTheSlotTakesIt) {
  Start();
  engine::SinkContext context{"test", "target", ""};
  int asked = 0;
  context.confirm_slot = [&](const std::stop_token&) {
    ++asked;
    return absl::CancelledError("no slot");
  };
  const auto late = *PostgresSink::Make(config_);
  EXPECT_EQ(late->Open(context, {}).code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(asked, 1);
  EXPECT_EQ(sink_->checkpoint_store()->FinishSnapshot(postgres::Lsn(0x30)), absl::OkStatus());
}

// It had the slot when it asked, and was paused before it wrote; also when the row was not there.
TEST_F(TakeoverTest, WhoIsPausedBehindTheQuestionDoesNotTakeIt) {
  for (const bool begun : {false, true}) {
    if (begun) Start();
    std::unique_ptr<engine::Sink> other;
    engine::SinkContext context{"test", begun ? "target" : "new", ""};
    const engine::SinkContext same = context;
    int asked = 0;
    context.confirm_slot = [&](const std::stop_token&) -> absl::Status {
      if (++asked > 1) return absl::CancelledError("the other has it now");
      other = *PostgresSink::Make(config_);
      return other->Open(same, {});
    };
    const auto paused = *PostgresSink::Make(config_);
    EXPECT_EQ(paused->Open(context, {}).code(), absl::StatusCode::kCancelled);
    EXPECT_EQ(asked, 2);
    EXPECT_EQ(other->checkpoint_store()->Begin(Identity(), {Lsn(1), Lsn(2)}), absl::OkStatus());
  }
}

// Locks of a process that hangs with its connections open do not keep the next one from working.
TEST_F(TakeoverTest, SessionsThatHangAreEnded) {
  Sql("CREATE TABLE t (id int PRIMARY KEY)");
  builder_.Table("t (id int4 key)");
  config_.on_existing_rows = ExistingRows::kTruncate;
  Start();
  const std::unique_ptr<SnapshotLane> lane = *sink_->OpenLane({});
  ASSERT_EQ(lane->BeginRange(Plan("t"), {0, 8}, {}), absl::OkStatus());
  Batch batch = builder_.Snapshot("t", "1");
  ASSERT_TRUE(lane->Write(batch, {}).ok());
  // One that stopped between the proof and its COMMIT, under the name of such a session.
  auto hanging = postgres::Connection::Connect(
      {.url = config_.url.value(), .application_name = "pgflow test target snapshot"}, {});
  ASSERT_TRUE(hanging.ok());
  ASSERT_TRUE((*hanging)->Execute("BEGIN; SELECT FROM pgflow.checkpoint FOR SHARE", {}).ok());
  const std::unique_ptr<engine::Sink> other = OpenSink();
  EXPECT_EQ(other->PrepareSnapshot({}, std::vector<TablePlan>{Plan("t")}, {}, {}),
            absl::OkStatus());
  const std::unique_ptr<SnapshotLane> next = *other->OpenLane({});
  EXPECT_EQ(Copy(*next, "t", "1", {0, 8}), absl::OkStatus());
  EXPECT_EQ(Rows("SELECT * FROM t"), "1");
}

// The connection is lost while COMMIT runs. A table without a key tells what came twice.
class LostCommitTest : public TakeoverTest {
 protected:
  static constexpr const char* kGate = "4711";

  void SetUp() override {
    TakeoverTest::SetUp();
    // A commit of rows waits while somebody else has the gate.
    Sql(
        fmt::format("CREATE TABLE t (n int);"
                    "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN "
                    "PERFORM pg_advisory_xact_lock_shared({}); RETURN NULL; END$$;"
                    "CREATE CONSTRAINT TRIGGER wait AFTER INSERT ON t DEFERRABLE INITIALLY "
                    "DEFERRED FOR EACH ROW EXECUTE FUNCTION wait();"
                    "ALTER TABLE t ENABLE ALWAYS TRIGGER wait",
                    kGate));
    builder_.Table("t (n int4) full");
    gate_ = *Server().Connect(database_);
    Shut();
    config_.url = config::Secret(proxy_.url(database_));
    Start();
    old_ = *sink_->OpenLane({});
  }
  void Shut() {
    ASSERT_TRUE(gate_->Execute(fmt::format("SELECT pg_advisory_lock({})", kGate), {}).ok());
  }
  void OpenGate() {
    ASSERT_TRUE(gate_->Execute(fmt::format("SELECT pg_advisory_unlock({})", kGate), {}).ok());
  }
  // Leaves a session of the server in the midst of the range's COMMIT.
  void LoseCommit() {
    auto lost = std::async(std::launch::async, [&] { return Copy(*old_, "t", "1\n2", {0, 8}); });
    AwaitWaiting("query ILIKE '%COMMIT%'");
    proxy_.CutNow();
    EXPECT_EQ(lost.get().code(), absl::StatusCode::kUnavailable);
  }
  void AwaitWaiting(const std::string& which) {
    const absl::Time deadline = absl::Now() + absl::Seconds(20);
    while (Waiting(which) == "0" && absl::Now() < deadline) absl::SleepFor(absl::Milliseconds(5));
  }
  std::string Waiting(const std::string& which) {
    return Rows(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND "
        "wait_event_type = 'Lock' AND " +
        which);
  }

  engine::MessageProxy proxy_{Server().port()};
  std::unique_ptr<postgres::Connection> gate_;
  std::unique_ptr<SnapshotLane> old_;
};

TEST_F(LostCommitTest, ARangeThatCommitsAfterAllIsNotCopiedTwice) {
  LoseCommit();
  const std::unique_ptr<SnapshotLane> lane = *sink_->OpenLane({});
  auto begun = std::async(std::launch::async, [&] {
    return lane->BeginRange(Plan("t"), {0, 8}, {});
  });
  AwaitWaiting("query LIKE '%hashtextextended%'");
  OpenGate();
  ASSERT_EQ(begun.get(), absl::OkStatus());
  // Now the ledger says how it ended.
  const auto checkpoint = sink_->checkpoint_store()->Load();
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  EXPECT_EQ(Rows("SELECT count(*) FROM pgflow.finished_range"), "1");
  // Whoever writes all the same does not commit.
  Batch batch = builder_.Snapshot("t", "1\n2");
  ASSERT_TRUE(lane->Write(batch, {}).ok());
  EXPECT_EQ(lane->FinishRange({}), absl::OkStatus());
  EXPECT_EQ(Rows("SELECT * FROM t ORDER BY 1"), "1;2");
}

TEST_F(LostCommitTest, ACommitThatDoesNotEndIsEnded) {
  LoseCommit();
  const std::unique_ptr<SnapshotLane> lane = *sink_->OpenLane({});
  ASSERT_EQ(lane->BeginRange(Plan("t"), {0, 8}, {}), absl::OkStatus());
  OpenGate();
  Batch batch = builder_.Snapshot("t", "1\n2");
  ASSERT_TRUE(lane->Write(batch, {}).ok());
  EXPECT_EQ(lane->FinishRange({}), absl::OkStatus());
  EXPECT_EQ(Rows("SELECT * FROM t ORDER BY 1"), "1;2");
}

// The stream's: whoever opens the sink again knows how the commit ended.
TEST_F(LostCommitTest, AWindowThatCommitsAfterAllIsInTheCheckpoint) {
  engine::Batch batch = builder_.StreamBatch("begin\ninsert t 5\ncommit");
  const engine::TransactionSpan span = batch.transactions().back();
  auto lost = std::async(std::launch::async, [&] {
    return sink_->Write({{&batch, 1}, true, {span.commit_lsn, span.end_lsn}}, {}).status();
  });
  AwaitWaiting("query ILIKE '%COMMIT%'");
  proxy_.CutNow();
  EXPECT_EQ(lost.get().code(), absl::StatusCode::kUnavailable);
  auto opened = std::async(std::launch::async, [&] {
    return sink_->Open({"test", "target", ""}, {});
  });
  AwaitWaiting("query LIKE '%SET epoch%'");
  OpenGate();
  ASSERT_EQ(opened.get(), absl::OkStatus());
  const bool committed = Rows("SELECT * FROM t") == "5";
  EXPECT_EQ(Checkpoint().commit_lsn == span.commit_lsn, committed);
  Shut();
  OpenGate();
  EXPECT_EQ(Rows("SELECT * FROM t") == "5", committed);
}

}  // namespace
}  // namespace pgflow::sinks
