// The sink against a real server.
#include "sinks/postgres/postgres_sink.h"

#include <utility>

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "engine/testing/sink_contract.h"
#include "sinks/postgres/flush_tracker.h"
#include "sinks/postgres/sink_fixture_test.h"

namespace pgflow::sinks {
namespace {

using engine::Batch;
using engine::Chunk;
using engine::StreamPoint;
using engine::Window;

using PostgresSinkTest = SinkFixture;

// Every kind of change, as single rows and in bulk, in both formats.
class EveryWay : public PostgresSinkTest,
                 public testing::WithParamInterface<std::tuple<uint64_t, bool>> {
 protected:
  void SetUp() override {
    PostgresSinkTest::SetUp();
    config_.bulk_threshold = std::get<0>(GetParam());
    binary_ = std::get<1>(GetParam());
  }
};
INSTANTIATE_TEST_SUITE_P(Ways, EveryWay,
                         testing::Combine(testing::Values(1, 1000000), testing::Bool()));

TEST_P(EveryWay, InsertsUpdatesAndDeletes) {
  Sql("CREATE TABLE t (id int PRIMARY KEY, name text, large text)");
  builder_.Table("t (id int4 key, name text, large text)");
  Start();
  ASSERT_EQ(ApplyOne("insert t 1 a L1\ninsert t 2 b null\ninsert t 3 c L3"), absl::OkStatus());
  ASSERT_EQ(
      ApplyOne("update t 1 aa unchanged\nupdate t 2 null L2\ndelete t 3\ninsert t 4 'x\ty' z"),
      absl::OkStatus());
  EXPECT_EQ(Rows("SELECT * FROM t ORDER BY id"), "1,aa,L1;2,-,L2;4,x\ty,z");
  EXPECT_EQ(Checkpoint(), last_);
  EXPECT_EQ(Rows("SELECT commit_time FROM pgflow.checkpoint"), "2026-01-01 00:00:02+00");
}

TEST_P(EveryWay, ChangesKeys) {
  Sql("CREATE TABLE t (id int PRIMARY KEY, name text, large text)");
  builder_.Table("t (id int4 key, name text, large text)");
  Start();
  ASSERT_EQ(ApplyOne("insert t 1 a L1\ninsert t 2 b L2"), absl::OkStatus());
  ASSERT_EQ(ApplyOne("update t old(1) 10 a unchanged\nupdate t old(2) 20 bb L22\ninsert t 1 n m"),
            absl::OkStatus());
  EXPECT_EQ(Rows("SELECT * FROM t ORDER BY id"), "1,n,m;10,a,L1;20,bb,L22");
}

TEST_P(EveryWay, SwapsUniqueValues) {
  Sql("CREATE TABLE t (id int PRIMARY KEY, name text UNIQUE)");
  builder_.Table("t (id int4 key, name text)");
  Start();
  ASSERT_EQ(ApplyOne("insert t 1 a\ninsert t 2 b"), absl::OkStatus());
  ASSERT_EQ(ApplyOne("update t 1 tmp\nupdate t 2 a\nupdate t 1 b"), absl::OkStatus());
  EXPECT_EQ(Rows("SELECT * FROM t ORDER BY id"), "1,b;2,a");
}

TEST_P(EveryWay, HitsOneOfEqualRowsWithoutAKey) {
  Sql("CREATE TABLE t (a int, b text)");
  builder_.Table("t (a int4, b text) full");
  Start();
  ASSERT_EQ(ApplyOne("insert t 1 x\ninsert t 1 x\ninsert t 1 x\ninsert t 2 null\ninsert t 2 null"),
            absl::OkStatus());
  ASSERT_EQ(ApplyOne("delete t full(1 x)\nupdate t full(1 x) 1 y\nupdate t full(2 null) 3 null"),
            absl::OkStatus());
  EXPECT_EQ(Rows("SELECT * FROM t ORDER BY a, b"), "1,x;1,y;2,-;3,-");
}

// The very bytes first; else what the target's collation takes for the same.
TEST_P(EveryWay, FindsTheTextThatACollationTakesForTheSame) {
  if (Rows("SELECT count(*) > 0 FROM pg_collation WHERE collprovider = 'i'") != "t") {
    GTEST_SKIP() << "the server was built without ICU";
  }
  Sql("CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);"
      "CREATE TABLE t (a text COLLATE loose, b text); CREATE TABLE u (a text COLLATE loose);"
      "INSERT INTO t VALUES ('ab', 'x'), ('Ab', 'x'), ('cd', 'y'), ('CD', 'z'), (NULL, 'n');"
      "INSERT INTO u VALUES ('ef'), ('EF'), ('Ef')");
  builder_.Table("t (a text, b text) full");
  builder_.Table("u (a text) full");
  Start();
  ASSERT_EQ(ApplyOne("delete t full(Ab x)\nupdate t full(Cd y) Cd yy\nupdate t full(null n) gh n\n"
                     "delete u full(Ef)\ndelete u full(eF)"),
            absl::OkStatus());
  EXPECT_EQ(Rows("SELECT * FROM t ORDER BY a COLLATE \"C\", b"), "CD,z;Cd,yy;ab,x;gh,n");
  EXPECT_EQ(Rows("SELECT count(*) FROM u"), "1");
  const absl::Status missing = ApplyOne("delete t full(AB y)");
  EXPECT_EQ(missing.code(), absl::StatusCode::kInvalidArgument) << missing;
}

TEST_P(EveryWay, FindsRowsOfAFullIdentityByThePrimaryKey) {
  Sql("CREATE TABLE t (id int PRIMARY KEY, b text)");
  builder_.Table("t (id int4, b text) full");
  Start();
  ASSERT_EQ(ApplyOne("insert t 1 x\ninsert t 2 y\ninsert t 3 z"), absl::OkStatus());
  ASSERT_EQ(
      ApplyOne("update t full(1 x) 1 xx\nupdate t full(2 y) 20 unchanged\ndelete t full(3 z)"),
      absl::OkStatus());
  EXPECT_EQ(Rows("SELECT * FROM t ORDER BY id"), "1,xx;20,y");
}

TEST_P(EveryWay, TruncatesInOrder) {
  Sql("CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY, p int REFERENCES "
      "p)");
  builder_.Table("p (id int4 key)");
  builder_.Table("c (id int4 key, p int4)");
  Start();
  ASSERT_EQ(ApplyOne("insert p 1\ninsert c 1 1\ntruncate p, c restart\ninsert p 2\ninsert c 2 2"),
            absl::OkStatus());
  EXPECT_EQ(Rows("SELECT c.id, c.p FROM c JOIN p ON p.id = c.p"), "2,2");
}

TEST_P(EveryWay, WritesIdentityAndGeneratedColumns) {
  Sql("CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n int,"
      " twice int GENERATED ALWAYS AS (n * 2) STORED)");
  builder_.Table("t (id int4 key, n int4)");
  Start();
  ASSERT_EQ(ApplyOne("insert t 5 1\ninsert t 6 2\ninsert t 7 3"), absl::OkStatus());
  ASSERT_EQ(ApplyOne("update t 5 10\nupdate t old(6) 60 20\ndelete t 7"), absl::OkStatus());
  EXPECT_EQ(Rows("SELECT * FROM t ORDER BY id"), "5,10,20;60,20,40");
}

TEST_P(EveryWay, NamesTheRowThatIsRefused) {
  Sql("CREATE TABLE t (id int PRIMARY KEY, n int CHECK (n > 0))");
  builder_.Table("t (id int4 key, n int4)");
  Start();
  ASSERT_EQ(ApplyOne("insert t 1 1"), absl::OkStatus());
  const absl::Status status =
      Apply("begin lsn=0/5000\ninsert t 2 2\nupdate t 1 -1\ninsert t 3 3\ncommit");
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  EXPECT_EQ(base::Payload(status, engine::kCulpritPayload), "0/5000:1") << status;
  EXPECT_NE(base::Message(status).find("table public.t, UPDATE of (id) = (1)"),
            std::string_view::npos)
      << status;
  EXPECT_NE(base::Message(status).find("t_n_check"), std::string_view::npos) << status;
  EXPECT_EQ(Rows("SELECT * FROM t"), "1,1");
  Reopen();
  EXPECT_EQ(ApplyOne("insert t 2 2"), absl::OkStatus());
  EXPECT_EQ(Rows("SELECT * FROM t ORDER BY id"), "1,1;2,2");
}

TEST_P(EveryWay, StopsAtAMissingRow) {
  Sql("CREATE TABLE t (id int PRIMARY KEY, n int)");
  builder_.Table("t (id int4 key, n int4)");
  Start();
  for (const std::string change : {"update t 9 1", "delete t 9"}) {
    const absl::Status status = ApplyOne("insert t 1 1\n" + change);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_NE(base::Payload(status, engine::kCulpritPayload), "") << status;
    EXPECT_EQ(Rows("SELECT * FROM t"), "");
    Reopen();
  }
  config_.on_missing_row = MissingRow::kIgnore;
  Start();
  EXPECT_EQ(ApplyOne("update t 9 1\ndelete t 8\ninsert t 1 1"), absl::OkStatus());
  EXPECT_EQ(Rows("SELECT * FROM t"), "1,1");
}

TEST_P(EveryWay, KeepsALargeTransactionInvisibleUntilItsEnd) {
  Sql("CREATE TABLE t (id int PRIMARY KEY, n int)");
  builder_.Table("t (id int4 key, n int4)");
  Start();
  ASSERT_EQ(Apply("begin\ninsert t 1 1\ninsert t 2 2", false), absl::OkStatus());
  ASSERT_EQ(Apply("update t 1 10", false), absl::OkStatus());
  EXPECT_EQ(Rows("SELECT * FROM t"), "");
  ASSERT_EQ(Apply("delete t 2\ncommit"), absl::OkStatus());
  EXPECT_EQ(Rows("SELECT * FROM t"), "1,10");
  EXPECT_EQ(Checkpoint(), last_);
  // A restart in the middle forgets it.
  const StreamPoint before = last_;
  ASSERT_EQ(Apply("begin\ninsert t 3 3", false), absl::OkStatus());
  Reopen();
  EXPECT_EQ(Checkpoint(), before);
  EXPECT_EQ(Rows("SELECT * FROM t"), "1,10");
}

TEST_P(EveryWay, WritesOddNamesAndUserTypes) {
  Sql("CREATE SCHEMA \"Odd \"\"s\"; CREATE TYPE mood AS ENUM ('sad', 'glad');"
      "CREATE DOMAIN small AS text CHECK (length(value) < 10);"
      "CREATE TABLE \"Odd \"\"s\".\"T t\" (\"Id\" int PRIMARY KEY, m mood, s small)");
  auto schema =
      std::make_shared<schemas::TableSchema>(*builder_.Table("t (Id int4 key, m text, s text)"));
  schema->table = {"Odd \"s", "T t"};
  schema->columns[1].type = 99999;
  schema->columns[1].type_name = "public.mood";
  schema->columns[2].type = 99998;
  schema->columns[2].type_name = "public.small";
  Start();
  for (const std::string script :
       {"insert t 1 sad a\ninsert t 2 glad b", "update t 1 glad c\ndelete t 2"}) {
    Chunk chunk = builder_.Stream("begin\n" + script + "\ncommit");
    if (binary_) chunk = ToBinary(chunk);
    for (auto& table : chunk.tables) table = schema;
    Batch batch = engine::BatchOf(std::make_shared<const Chunk>(std::move(chunk)));
    Window window{{&batch, 1}, true, {batch.transactions()[0].commit_lsn, {}}};
    const absl::Status status = sink_->Write(window, {}).status();
    ASSERT_TRUE(status.ok()) << status;
  }
  EXPECT_EQ(Rows("SELECT * FROM \"Odd \"\"s\".\"T t\""), "1,glad,c");
}

// One-dimensional int4[] in binary.
std::string IntArray(std::initializer_list<int32_t> values) {
  std::string bytes;
  for (int32_t word : {1, 0, 23, static_cast<int32_t>(values.size()), 1}) {
    base::AppendBigEndian(bytes, word);
  }
  for (int32_t value : values) {
    base::AppendBigEndian(bytes, int32_t{4});
    base::AppendBigEndian(bytes, value);
  }
  return bytes;
}

TEST_P(EveryWay, WritesArrays) {
  Sql("CREATE TABLE t (id int PRIMARY KEY, gone int, a int[], n int); ALTER TABLE t DROP gone");
  const bool binary = std::exchange(binary_, false);
  auto schema =
      std::make_shared<schemas::TableSchema>(*builder_.Table("t (id int4 key, a text, n int4)"));
  schema->columns[1].type = 1007;
  schema->columns[1].type_name = "integer[]";
  const std::string one = binary ? IntArray({1, 2}) : "{1,2}";
  const std::string two = binary ? IntArray({7}) : "{7}";
  Start();
  for (const std::string script : {"insert t 1 A 5\ninsert t 2 null 6\ninsert t 3 A 7",
                                   "update t 1 B 50\nupdate t 2 A 60\nupdate t 3 unchanged 70"}) {
    Chunk chunk = builder_.Stream("begin\n" + script + "\ncommit");
    for (auto& table : chunk.tables) table = schema;
    if (binary) chunk = ToBinary(chunk);
    Batch batch = engine::BatchOf(std::make_shared<const Chunk>(std::move(chunk)));
    for (engine::ChangeEvent& event : **batch.MutableEvents()) {
      const std::span<schemas::Value> values = batch.NewValues(3);
      event.after.Decode(values.data());
      const std::string_view name = values[1].view();
      if (name == "A" || name == "B") {
        const std::string_view bytes = batch.Store(name == "A" ? one : two);
        values[1].bytes = bytes.data();
        values[1].size = static_cast<uint32_t>(bytes.size());
      }
      event.after = schemas::RowView::Values(values);
    }
    Window window{{&batch, 1}, true, {batch.transactions()[0].commit_lsn, {}}};
    const absl::Status status = sink_->Write(window, {}).status();
    ASSERT_TRUE(status.ok()) << status;
  }
  EXPECT_EQ(Rows("SELECT * FROM t ORDER BY id"), "1,{7},50;2,{1,2},60;3,{1,2},70");
}

TEST_P(EveryWay, KeepsTransactionsApart) {
  Sql("CREATE TABLE t (id int PRIMARY KEY, tx xid8 DEFAULT pg_current_xact_id())");
  builder_.Table("t (id int4 key)");
  config_.transactions = TransactionMode::kKeep;
  Start();
  ASSERT_EQ(
      Apply("begin\ninsert t 1\ncommit\nbegin\ninsert t 2\ninsert t 3\ncommit\nbegin\ninsert t 4"
            "\ncommit"),
      absl::OkStatus());
  EXPECT_EQ(Rows("SELECT count(*), count(DISTINCT tx) FROM t"), "4,3");
  EXPECT_EQ(Checkpoint(), last_);
}

TEST_P(EveryWay, RespectsForeignKeysAndTriggersWithoutTheReplicaRole) {
  const std::string role = MakeRole();
  Sql("CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY, p int REFERENCES "
      "p);"
      "CREATE TABLE log (n serial, what text);"
      "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO public.log "
      "(what) "
      "VALUES"
      " (TG_OP || coalesce(NEW.id, OLD.id)); RETURN NULL; END$$;"
      "CREATE TRIGGER tr AFTER INSERT OR UPDATE OR DELETE ON p FOR EACH ROW EXECUTE FUNCTION f();"
      "GRANT ALL ON ALL TABLES IN SCHEMA public TO " +
      database_ +
      "_app;"
      "GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO " +
      role);
  config_.url = config::Secret(Server().url(database_, role));
  builder_.Table("p (id int4 key)");
  builder_.Table("c (id int4 key, p int4)");
  Start();
  std::string changes;
  for (int i = 1; i <= 100; ++i) changes += fmt::format("insert p {}\n", i);
  for (int i = 1; i <= 100; ++i) changes += fmt::format("insert c {} {}\n", i, i);
  ASSERT_EQ(ApplyOne(changes), absl::OkStatus());
  changes.clear();
  for (int i = 1; i <= 50; ++i) changes += fmt::format("delete c {}\n", i);
  for (int i = 1; i <= 50; ++i) changes += fmt::format("delete p {}\n", i);
  changes += "insert p 200\nupdate c 60 200\ndelete p 60";
  ASSERT_EQ(ApplyOne(changes), absl::OkStatus());
  EXPECT_EQ(Rows("SELECT count(*) FROM c JOIN p ON p.id = c.p"), "50");
  EXPECT_EQ(Rows("SELECT count(*), min(what), max(what) FROM log"), "152,DELETE1,INSERT99");
  EXPECT_EQ(ApplyOne("insert c 999 999").code(), absl::StatusCode::kInvalidArgument);
}

TEST_P(EveryWay, WritesManyRows) {
  Sql("CREATE TABLE t (id int PRIMARY KEY, name varchar(9)); CREATE TABLE k (n int, name text)");
  builder_.Table("t (id int4 key, name varchar)");
  builder_.Table("k (n int4, name text) full");
  Start();
  std::string changes;
  for (int i = 1; i <= 1500; ++i)
    changes += fmt::format("insert t {} n{}\ninsert k {} x\n", i, i, i);
  ASSERT_EQ(ApplyOne(changes), absl::OkStatus());
  changes.clear();
  for (int i = 1; i <= 700; ++i) changes += fmt::format("update t {} 'm\t{}'\n", i, i);
  for (int i = 701; i <= 1400; ++i) changes += fmt::format("delete t {}\n", i);
  ASSERT_EQ(ApplyOne(changes), absl::OkStatus());
  EXPECT_EQ(Rows("SELECT count(*), sum(id), count(*) FILTER (WHERE name = E'm\t' || id) FROM t"),
            "800,390400,700");
  EXPECT_EQ(Rows("SELECT count(*), sum(n) FROM k"), "1500,1125750");
  EXPECT_EQ(ApplyOne("insert t 9999 'longer than nine'").code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_P(EveryWay, SaysWhatIsMissing) {
  Sql("CREATE TABLE t (id int PRIMARY KEY)");
  builder_.Table("t (id int4 key, name text)");
  builder_.Table("gone (id int4 key)");
  Start();
  absl::Status status = ApplyOne("insert t 1 a");
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(base::Message(status).find("table public.t lacks column name"), std::string_view::npos)
      << status;
  Reopen();
  status = ApplyOne("insert gone 1");
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(base::Message(status).find("public.gone"), std::string_view::npos) << status;
}

TEST_F(PostgresSinkTest, KeepsTheContract) {
  Sql("CREATE SCHEMA contract; CREATE TABLE contract.items (id int PRIMARY KEY, name text)");
  const auto make = [this] { return *PostgresSink::Make(config_); };
  EXPECT_EQ(engine::CheckSinkContract({.make = make, .snapshot = true}),
            std::vector<std::string>());
  EXPECT_EQ(Rows("SELECT * FROM contract.items ORDER BY id"),
            "3,three;11,eleven;101,a;102,-;103,c\td");
}

TEST_F(PostgresSinkTest, FencesOffTheOneBefore) {
  Sql("CREATE TABLE t (id int PRIMARY KEY)");
  builder_.Table("t (id int4 key)");
  Start();
  ASSERT_EQ(ApplyOne("insert t 1"), absl::OkStatus());
  // As if another one had taken the sink, whose sessions it may not end.
  Sql("UPDATE pgflow.checkpoint SET epoch = epoch + 1");
  const absl::Status status = ApplyOne("insert t 2");
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_NE(base::Message(status).find("taken over"), std::string_view::npos) << status;
  EXPECT_EQ(Rows("SELECT * FROM t"), "1");
  EXPECT_FALSE(sink_->checkpoint_store()->FinishSnapshot(postgres::Lsn(0x30)).ok());
}

// Positions as a server gives them, among them those at the start of a page and of a segment.
TEST_F(PostgresSinkTest, KnowsWhatTheServerHasToFlush) {
  constexpr uint64_t kPage = 8192;
  const std::unique_ptr<postgres::Connection> connection = *Server().Connect(database_);
  const auto number = [&](const std::string& sql) {
    const auto row = connection->Execute(sql, {});
    EXPECT_TRUE(row.ok()) << row.status();
    return row.ok() ? static_cast<uint64_t>(row->integer(0, 0)) : 0;
  };
  const auto insert_after = [&](const std::string& sql) {
    number(sql);
    return number("SELECT pg_current_wal_insert_lsn() - '0/0'");
  };
  // Its commit flushes all before it.
  const auto emit = [&](uint64_t bytes) {
    return insert_after(
        fmt::format("SELECT 1 FROM pg_logical_emit_message(true, '', repeat('x', {}))", bytes));
  };
  const auto flushed_soon = [&](uint64_t insert) {
    const postgres::Lsn end = WalLayout().EndOfRecords(postgres::Lsn(insert));
    const absl::Time deadline = absl::Now() + absl::Seconds(10);
    while (absl::Now() < deadline) {
      if (number("SELECT pg_current_wal_flush_lsn() - '0/0'") >= end.value()) return true;
      absl::SleepFor(absl::Milliseconds(5));
    }
    return false;
  };
  bool at_page = false;
  for (int i = 0; i < 200 && !at_page; ++i) {
    const uint64_t before = emit(1000);
    const uint64_t after = emit(1000);
    const uint64_t overhead = after - before - 1000;
    const uint64_t left = kPage - after % kPage;
    if (before / kPage != after / kPage || left < overhead + 300) continue;
    const uint64_t insert = emit(left - overhead);
    at_page = insert % kPage == 24;
    EXPECT_TRUE(flushed_soon(insert)) << insert;
  }
  EXPECT_TRUE(at_page);
  const uint64_t insert = insert_after("SELECT 1 FROM pg_switch_wal()");
  EXPECT_TRUE(flushed_soon(insert)) << insert;
}

TEST_F(PostgresSinkTest, SaysWhatIsDurable) {
  Sql("CREATE TABLE t (id int PRIMARY KEY)");
  builder_.Table("t (id int4 key)");
  Start();
  ASSERT_EQ(ApplyOne("insert t 1"), absl::OkStatus());
  const absl::Time deadline = absl::Now() + absl::Seconds(10);
  absl::StatusOr<StreamPoint> durable;
  do {
    durable = sink_->Durable({});
    ASSERT_TRUE(durable.ok()) << durable.status();
    absl::SleepFor(absl::Milliseconds(5));
  } while (*durable != last_ && absl::Now() < deadline);
  EXPECT_EQ(*durable, last_);
  ASSERT_EQ(ApplyOne("insert t 2"), absl::OkStatus());
  ASSERT_EQ(sink_->Close({}), absl::OkStatus());
  EXPECT_EQ(*sink_->Durable({}), last_);
}

TEST_F(PostgresSinkTest, KeepsTheCheckpoint) {
  Start();
  engine::CheckpointStore& store = *sink_->checkpoint_store();
  engine::TableProgress progress;
  progress.table = {"public", "it's"};
  progress.snapshot_lsn = postgres::Lsn(77);
  progress.snapshot = "1:2:";
  ASSERT_EQ(store.BeginTable(progress), absl::OkStatus());
  ASSERT_EQ(store.FinishRange(progress.table, {0, 8}), absl::OkStatus());
  ASSERT_EQ(store.FinishRange(progress.table, {8, engine::BlockRange::kOpenEnd}), absl::OkStatus());
  ASSERT_EQ(store.FinishTable(progress.table), absl::OkStatus());
  ASSERT_EQ(store.FinishSnapshot(postgres::Lsn(0x30)), absl::OkStatus());
  ASSERT_EQ(store.AdvanceStream({postgres::Lsn(100), postgres::Lsn(110)}), absl::OkStatus());
  const auto loaded = store.Load();
  ASSERT_TRUE(loaded.ok() && loaded->has_value());
  EXPECT_EQ((*loaded)->identity, Identity());
  EXPECT_TRUE((*loaded)->snapshot_complete);
  EXPECT_EQ((*loaded)->snapshot_lsn, postgres::Lsn(0x30));
  EXPECT_EQ((*loaded)->stream, (StreamPoint{postgres::Lsn(100), postgres::Lsn(110)}));
  ASSERT_EQ((*loaded)->tables.size(), 1U);
  EXPECT_TRUE((*loaded)->tables[0].complete);
  EXPECT_EQ((*loaded)->tables[0].finished.size(), 2U);
  EXPECT_EQ((*loaded)->tables[0].snapshot_lsn, postgres::Lsn(77));
  PostgresSink peek(config_);
  EXPECT_TRUE((*peek.PeekCheckpoint({"test", "target", "shop"}, {})).has_value());
  EXPECT_FALSE((*peek.PeekCheckpoint({"test", "other", "shop"}, {})).has_value());
  ASSERT_EQ(store.Forget(), absl::OkStatus());
  EXPECT_FALSE((*store.Load()).has_value());
}

TEST_F(PostgresSinkTest, ReplaysOverLaterRowsWhileCatchingUp) {
  Sql("CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 9), (5, 50)");
  builder_.Table("t (id int4 key, n int4)");
  Start();
  Batch batch = builder_.StreamBatch(
      "begin\ninsert t 1 1\ninsert t 2 2\nupdate t 3 3\ndelete t 4\nupdate t old(5) 1 51\n"
      "update t old(7) 2 8\ncommit");
  std::vector<engine::ChangeEvent>& events = **batch.MutableEvents();
  for (engine::ChangeEvent& event : events) event.catch_up = true;
  Window window{{&batch, 1}, true, {batch.transactions()[0].commit_lsn, {}}};
  const absl::Status status = sink_->Write(window, {}).status();
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(Rows("SELECT * FROM t ORDER BY id"), "1,51;2,2");
}

}  // namespace
}  // namespace pgflow::sinks
