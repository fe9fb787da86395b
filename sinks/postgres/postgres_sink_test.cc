// The sink against a real server.
#include "sinks/postgres/postgres_sink.h"

#include <random>

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "engine/testing/event_builder.h"
#include "engine/testing/scratch_postgres.h"

namespace pgflow::sinks {
namespace {

using engine::Batch;
using engine::Chunk;
using engine::EventBuilder;
using engine::ScratchPostgres;
using engine::SnapshotLane;
using engine::StreamPoint;
using engine::Window;

std::unique_ptr<ScratchPostgres> g_server;

class Servers : public testing::Environment {
 public:
  void SetUp() override {
    auto server = ScratchPostgres::Make();
    ASSERT_TRUE(server.ok()) << server.status();
    g_server = *std::move(server);
  }
  void TearDown() override { g_server.reset(); }
};
const testing::Environment* const kServers = testing::AddGlobalTestEnvironment(new Servers);

// The tuple's values in the types' send formats.
void AppendBinaryTuple(const schemas::TableSchema& schema, const schemas::RowView& row,
                       std::string& to) {
  std::vector<schemas::Value> values;
  row.Decode(values);
  base::AppendBigEndian(to, static_cast<uint16_t>(values.size()));
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i].kind != schemas::ValueKind::kText) {
      to.push_back(values[i].is_null() ? 'n' : 'u');
      continue;
    }
    const std::string text(values[i].view());
    to.push_back('b');
    if (schema.columns[i].type == postgres::oid::kInt4) {
      base::AppendBigEndian(to, uint32_t{4});
      base::AppendBigEndian(to, static_cast<int32_t>(std::stol(text)));
    } else if (schema.columns[i].type == postgres::oid::kInt8) {
      base::AppendBigEndian(to, uint32_t{8});
      base::AppendBigEndian(to, static_cast<int64_t>(std::stoll(text)));
    } else {
      base::AppendBigEndian(to, static_cast<uint32_t>(text.size()));
      to += text;
    }
  }
}

Chunk ToBinary(const Chunk& text) {
  Chunk binary = text;
  binary.bytes.clear();
  const std::string_view bytes = text.bytes;
  for (engine::EventRecord& record : binary.records) {
    const schemas::TableSchema& schema = *binary.tables[record.table];
    for (auto [offset, size] : {std::pair(&record.before_offset, &record.before_size),
                                std::pair(&record.after_offset, &record.after_size)}) {
      if (*size == 0) continue;
      const auto row = schemas::RowView::Tuple(bytes.substr(*offset, *size));
      *offset = static_cast<uint32_t>(binary.bytes.size());
      AppendBinaryTuple(schema, row, binary.bytes);
      *size = static_cast<uint32_t>(binary.bytes.size()) - *offset;
    }
  }
  return binary;
}

class PostgresSinkTest : public testing::Test {
 protected:
  void SetUp() override {
    database_ = fmt::format("db{}", ++count_);
    ASSERT_TRUE(g_server->CreateDatabase(database_).ok());
    config_.url = config::Secret(g_server->url(database_));
  }

  void Sql(const std::string& sql) {
    const absl::Status status = g_server->Execute(sql, database_);
    ASSERT_TRUE(status.ok()) << status << "\n" << sql;
  }
  // Rows as "a,b;c,d" in order; NULL is "-".
  std::string Rows(const std::string& sql, std::string database = "") {
    const auto rows = g_server->Query(sql, database.empty() ? database_ : database);
    EXPECT_TRUE(rows.ok()) << rows.status();
    std::string text;
    if (!rows.ok()) return text;
    for (const engine::TextRow& row : *rows) {
      if (!text.empty()) text += ";";
      for (size_t i = 0; i < row.size(); ++i) text += (i == 0 ? "" : ",") + row[i].value_or("-");
    }
    return text;
  }

  std::unique_ptr<engine::Sink> OpenSink() {
    auto sink = PostgresSink::Make(config_);
    EXPECT_TRUE(sink.ok()) << sink.status();
    const absl::Status opened = (*sink)->Open({"test", "target"}, {});
    EXPECT_TRUE(opened.ok()) << opened;
    return *std::move(sink);
  }
  static engine::SourceIdentity Identity() { return {7, 1, "shop", "slot"}; }
  void Start() {
    sink_ = OpenSink();
    const absl::Status begun =
        sink_->checkpoint_store()->Begin(Identity(), {postgres::Lsn(1), postgres::Lsn(2)});
    ASSERT_TRUE(begun.ok()) << begun;
  }
  void Reopen() {
    const absl::Status status = sink_->Open({"test", "target"}, {});
    ASSERT_TRUE(status.ok()) << status;
  }

  absl::Status Apply(const std::string& script, bool ends_at_commit = true) {
    Chunk chunk = builder_.Stream(script);
    if (binary_) chunk = ToBinary(chunk);
    Batch batch = engine::BatchOf(std::make_shared<const Chunk>(std::move(chunk)));
    Window window;
    window.batches = {&batch, 1};
    window.ends_at_commit = ends_at_commit;
    window.end = {batch.transactions().back().commit_lsn, batch.transactions().back().end_lsn};
    last_ = window.end;
    return sink_->Write(window, {}).status();
  }
  absl::Status ApplyOne(const std::string& changes) {
    return Apply("begin\n" + changes + "\ncommit");
  }
  StreamPoint Checkpoint() {
    const auto checkpoint = sink_->checkpoint_store()->Load();
    EXPECT_TRUE(checkpoint.ok() && checkpoint->has_value()) << checkpoint.status();
    return (*checkpoint)->stream;
  }

  static int count_;
  PostgresSinkConfig config_;
  EventBuilder builder_;
  std::string database_;
  std::unique_ptr<engine::Sink> sink_;
  StreamPoint last_;
  bool binary_ = false;
};
int PostgresSinkTest::count_ = 0;

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
  Sql("CREATE ROLE " + database_ + "_app LOGIN; GRANT CREATE ON DATABASE " + database_ + " TO " +
      database_ + "_app");
  Sql("CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY, p int REFERENCES "
      "p);"
      "CREATE TABLE log (n serial, what text);"
      "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO log (what) "
      "VALUES"
      " (TG_OP || coalesce(NEW.id, OLD.id)); RETURN NULL; END$$;"
      "CREATE TRIGGER tr AFTER INSERT OR UPDATE OR DELETE ON p FOR EACH ROW EXECUTE FUNCTION f();"
      "GRANT ALL ON ALL TABLES IN SCHEMA public TO " +
      database_ +
      "_app;"
      "GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO " +
      database_ + "_app");
  config_.url = config::Secret(g_server->url(database_, database_ + "_app"));
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

TEST_F(PostgresSinkTest, FencesOffTheOneBefore) {
  Sql("CREATE TABLE t (id int PRIMARY KEY)");
  builder_.Table("t (id int4 key)");
  // Two of one process would meet at the replication origin.
  Sql("CREATE ROLE " + database_ + "_app LOGIN; GRANT CREATE ON DATABASE " + database_ + " TO " +
      database_ + "_app; GRANT ALL ON t TO " + database_ + "_app");
  config_.url = config::Secret(g_server->url(database_, database_ + "_app"));
  Start();
  ASSERT_EQ(ApplyOne("insert t 1"), absl::OkStatus());
  const std::unique_ptr<engine::Sink> other = OpenSink();
  const absl::Status status = ApplyOne("insert t 2");
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_NE(base::Message(status).find("taken over"), std::string_view::npos) << status;
  EXPECT_EQ(Rows("SELECT * FROM t"), "1");
  EXPECT_FALSE(sink_->checkpoint_store()->FinishSnapshot().ok());
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
  ASSERT_EQ(store.FinishSnapshot(), absl::OkStatus());
  ASSERT_EQ(store.AdvanceStream({postgres::Lsn(100), postgres::Lsn(110)}), absl::OkStatus());
  const auto loaded = store.Load();
  ASSERT_TRUE(loaded.ok() && loaded->has_value());
  EXPECT_EQ((*loaded)->identity, Identity());
  EXPECT_TRUE((*loaded)->snapshot_complete);
  EXPECT_EQ((*loaded)->stream, (StreamPoint{postgres::Lsn(100), postgres::Lsn(110)}));
  ASSERT_EQ((*loaded)->tables.size(), 1U);
  EXPECT_TRUE((*loaded)->tables[0].complete);
  EXPECT_EQ((*loaded)->tables[0].finished.size(), 2U);
  EXPECT_EQ((*loaded)->tables[0].snapshot_lsn, postgres::Lsn(77));
  PostgresSink peek(config_);
  EXPECT_TRUE((*peek.PeekCheckpoint({"test", "target"}, {})).has_value());
  EXPECT_FALSE((*peek.PeekCheckpoint({"test", "other"}, {})).has_value());
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

// The same random history, row by row and in bulk, in both formats, gives the same tables.
TEST_F(PostgresSinkTest, BulkEqualsRowByRow) {
  const uint32_t seed = std::random_device()();
  RecordProperty("seed", std::to_string(seed));
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::mt19937 random(seed);
  builder_.Table("a (id int4 key, n int8, name text, large text)");
  builder_.Table("b (x text key, y int4 key, n int4)");
  builder_.Table("k (n int4, name text) full");
  const auto pick = [&](uint32_t below) { return random() % below; };
  std::map<uint32_t, int> a;
  std::map<std::pair<uint32_t, uint32_t>, int> b;
  std::vector<std::pair<uint32_t, uint32_t>> k;
  std::vector<std::string> scripts;
  for (int window = 0; window < 12; ++window) {
    std::string script;
    for (uint32_t tx = 0, txs = 1 + pick(8); tx < txs; ++tx) {
      script += "begin\n";
      for (uint32_t i = 0, changes = 1 + pick(30); i < changes; ++i) {
        const uint32_t id = pick(40);
        switch (pick(10)) {
          case 0:
          case 1:
          case 2:
            if (a.contains(id)) {
              script += fmt::format("update a {} {} 'name {}' {}\n", id, pick(1000), pick(100),
                                    pick(2) ? "unchanged" : "L" + std::to_string(pick(99)));
            } else {
              a[id] = 1;
              script += fmt::format("insert a {} {} n{} {}\n", id, pick(1000), pick(9),
                                    pick(3) == 0 ? "null" : "big");
            }
            break;
          case 3:
            if (a.erase(id) > 0) script += fmt::format("delete a {}\n", id);
            break;
          case 4: {
            const uint32_t to = pick(40);
            if (a.contains(id) && !a.contains(to)) {
              a.erase(id), a[to] = 1;
              script += fmt::format("update a old({}) {} 5 moved {}\n", id, to,
                                    pick(4) == 0 ? "unchanged" : "m");
            }
            break;
          }
          case 5:
          case 6: {
            const auto key = std::pair(pick(5), pick(5));
            if (b.contains(key)) {
              script += fmt::format("update b x{} {} {}\n", key.first, key.second, pick(100));
            } else {
              b[key] = 1;
              script += fmt::format("insert b x{} {} {}\n", key.first, key.second, pick(100));
            }
            break;
          }
          case 7: {
            const auto key = std::pair(pick(5), pick(5));
            if (b.erase(key) > 0) script += fmt::format("delete b x{} {}\n", key.first, key.second);
            break;
          }
          case 8:
            k.emplace_back(pick(3), pick(2));
            script += fmt::format("insert k {} s{}\n", k.back().first, k.back().second);
            break;
          default:
            if (k.empty()) break;
            const size_t at = pick(static_cast<uint32_t>(k.size()));
            const auto row = k[at];
            k.erase(k.begin() + static_cast<std::ptrdiff_t>(at));
            if (pick(2) == 0) {
              script += fmt::format("delete k full({} s{})\n", row.first, row.second);
            } else {
              k.emplace_back(pick(3), pick(2));
              script += fmt::format("update k full({} s{}) {} s{}\n", row.first, row.second,
                                    k.back().first, k.back().second);
            }
        }
        if (pick(300) == 0) {
          script += "truncate a, k\n";
          a.clear(), k.clear();
        }
      }
      script += "commit\n";
    }
    scripts.push_back(script);
  }
  std::vector<std::string> seen;
  for (const auto& [threshold, binary] :
       {std::pair(1, false), {1, true}, {1000000, false}, {1000000, true}}) {
    ASSERT_TRUE(
        g_server->CreateDatabase(database_ + (binary ? "b" : "t") + std::to_string(threshold))
            .ok());
    const std::string database = database_ + (binary ? "b" : "t") + std::to_string(threshold);
    ASSERT_TRUE(
        g_server
            ->Execute("CREATE TABLE a (id int PRIMARY KEY, n bigint, name text, large text);"
                      "CREATE TABLE b (x text, y int, n int, PRIMARY KEY (y, x));"
                      "CREATE TABLE k (n int, name text)",
                      database)
            .ok());
    config_.url = config::Secret(g_server->url(database));
    config_.bulk_threshold = static_cast<uint64_t>(threshold);
    binary_ = binary;
    Start();
    for (const std::string& script : scripts) {
      const absl::Status status = Apply(script);
      ASSERT_TRUE(status.ok()) << status << "\n" << script;
    }
    seen.push_back(Rows("SELECT * FROM a ORDER BY id", database) + "|" +
                   Rows("SELECT * FROM b ORDER BY x, y", database) + "|" +
                   Rows("SELECT * FROM k ORDER BY n, name", database));
    sink_.reset();
  }
  EXPECT_EQ(seen[0], seen[1]);
  EXPECT_EQ(seen[0], seen[2]);
  EXPECT_EQ(seen[0], seen[3]);
  EXPECT_FALSE(seen[0].empty());
}

}  // namespace
}  // namespace pgflow::sinks
