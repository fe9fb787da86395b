// Lanes and created tables against a real server.
#include <algorithm>

#include <gtest/gtest.h>

#include "base/status.h"
#include "sinks/postgres/sink_fixture_test.h"

namespace pgflow::sinks {
namespace {

using engine::Batch;
using engine::BlockRange;
using engine::CopyFormat;
using engine::SnapshotLane;
using engine::TablePlan;

class SnapshotLaneTest : public SinkFixture {
 protected:
  void Start() {
    SinkFixture::Start();
    lane_ = *sink_->OpenLane({});
  }
  TablePlan Plan(const std::string& table) {
    const schemas::TableSchemaPtr schema = builder_.FindTable(table);
    return {schema->table, schema, nullptr};
  }
  absl::Status Copy(const std::string& table, const std::string& rows, CopyFormat format,
                    SnapshotLane::RangeOptions options = {}, BlockRange range = {}) {
    PGFLOW_RETURN_IF_ERROR(lane_->BeginRange(Plan(table), range, options));
    Batch batch = builder_.Snapshot(table, rows, format);
    if (decode_) PGFLOW_RETURN_IF_ERROR(batch.MutableEvents().status());
    PGFLOW_ASSIGN_OR_RETURN(result_, lane_->Write(batch, {}));
    return lane_->FinishRange({});
  }
  size_t FinishedRanges() {
    return static_cast<size_t>(std::stoul(Rows("SELECT count(*) FROM pgflow.finished_range")));
  }

  std::unique_ptr<SnapshotLane> lane_;
  engine::WriteResult result_;
  bool decode_ = false;  // As if a transformer had looked at the rows.
};

TEST_F(SnapshotLaneTest, ATableThatChangedAfterItWasReadIsReadAgain) {
  Sql("CREATE TABLE a (id int); CREATE TABLE b (id int); CREATE TABLE c (id int)");
  for (const char* table : {"a", "b", "c"}) builder_.Table(fmt::format("{} (id int4)", table));
  Start();
  const std::vector<TablePlan> plans = {Plan("a"), Plan("b"), Plan("c")};
  ASSERT_EQ(sink_->PrepareSnapshot({}, plans, {}, {}), absl::OkStatus());
  ASSERT_EQ(Copy("a", "1", CopyFormat::kBinary), absl::OkStatus());  // b and c are read with it.
  Sql("ALTER TABLE b ALTER id TYPE bigint; ALTER TABLE c ALTER id TYPE bigint");
  // The server refuses it, as if it had changed a moment later; whoever tries again knows.
  EXPECT_EQ(Copy("b", "2", CopyFormat::kBinary).code(), absl::StatusCode::kUnavailable);
  lane_ = *sink_->OpenLane({});
  EXPECT_EQ(Copy("b", "2", CopyFormat::kBinary).code(), absl::StatusCode::kFailedPrecondition);
  ASSERT_EQ(sink_->ResetTables({}, std::vector<TablePlan>{Plan("c")}, {}), absl::OkStatus());
  EXPECT_EQ(Copy("c", "3", CopyFormat::kBinary).code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(SnapshotLaneTest, CopiesRangesWithTheirLedger) {
  Sql("CREATE TABLE t (id int PRIMARY KEY, name text)");
  builder_.Table("t (id int4 key, name text)");
  Start();
  ASSERT_EQ(Copy("t", "1 a\n2 null", CopyFormat::kBinary, {}, {0, 8}), absl::OkStatus());
  ASSERT_EQ(Copy("t", "3 'a\tb'\n4 'back\\slash'", CopyFormat::kText, {}, {8, 16}),
            absl::OkStatus());
  decode_ = true;
  ASSERT_EQ(Copy("t", "5 x", CopyFormat::kBinary, {}, {16, 24}), absl::OkStatus());
  ASSERT_EQ(Copy("t", "6 'y\nz'", CopyFormat::kText, {}, {24, BlockRange::kOpenEnd}),
            absl::OkStatus());
  EXPECT_EQ(Rows("SELECT * FROM t ORDER BY id"), "1,a;2,-;3,a\tb;4,back\\slash;5,x;6,y\nz");
  EXPECT_EQ(Rows("SELECT first_block, end_block FROM pgflow.finished_range ORDER BY 1"),
            "0,8;8,16;16,24;24,4294967295");
}

TEST_F(SnapshotLaneTest, ARefusedRowLeavesNothing) {
  Sql("CREATE TABLE t (id int PRIMARY KEY, n int CHECK (n > 0))");
  builder_.Table("t (id int4 key, n int4)");
  Start();
  const absl::Status status = Copy("t", "1 1\n2 -2", CopyFormat::kBinary);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  lane_ = *sink_->OpenLane({});
  EXPECT_EQ(Rows("SELECT * FROM t"), "");
  EXPECT_EQ(FinishedRanges(), 0U);
}

TEST_F(SnapshotLaneTest, CarefullyFindsTheRefusedRows) {
  Sql("CREATE TABLE t (id int PRIMARY KEY, n int CHECK (n > 0))");
  builder_.Table("t (id int4 key, n int4)");
  Start();
  const SnapshotLane::RangeOptions careful{.mode = SnapshotLane::Mode::kCareful};
  ASSERT_EQ(Copy("t", "1 1\n2 -2\n3 3\n4 4\n5 -5\n6 6\n7 7", CopyFormat::kBinary, careful),
            absl::OkStatus());
  ASSERT_EQ(result_.rejections.size(), 2U);
  EXPECT_EQ(result_.rejections[0].event, 1U);
  EXPECT_EQ(result_.rejections[1].event, 4U);
  EXPECT_EQ(Rows("SELECT id FROM t ORDER BY id"), "1;3;4;6;7");
  EXPECT_EQ(FinishedRanges(), 1U);
}

TEST_F(SnapshotLaneTest, UpsertsResumedRows) {
  Sql("CREATE TABLE t (id int PRIMARY KEY, name text); INSERT INTO t VALUES (1, 'old'), (9, 'z')");
  builder_.Table("t (id int4 key, name text)");
  Start();
  ASSERT_EQ(Copy("t", "1 new\n2 b", CopyFormat::kBinary, {.upsert = true, .record = false}),
            absl::OkStatus());
  EXPECT_EQ(Rows("SELECT * FROM t ORDER BY id"), "1,new;2,b;9,z");
  EXPECT_EQ(FinishedRanges(), 0U);
  const SnapshotLane::RangeOptions careful{.upsert = true, .mode = SnapshotLane::Mode::kCareful};
  ASSERT_EQ(Copy("t", "1 newer\n3 c", CopyFormat::kText, careful), absl::OkStatus());
  EXPECT_EQ(Rows("SELECT * FROM t ORDER BY id"), "1,newer;2,b;3,c;9,z");
}

// What a role without session_replication_role would set off by taking the row away.
TEST_F(SnapshotLaneTest, AResumedRowStaysWhereItIs) {
  const std::string role = MakeRole();
  Sql("CREATE TABLE parent (id int PRIMARY KEY, name text, number int GENERATED ALWAYS AS IDENTITY,"
      " twice text GENERATED ALWAYS AS (name || name) STORED, here text DEFAULT 'default');"
      "CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent ON DELETE CASCADE);"
      "CREATE TABLE orphan (id int PRIMARY KEY, parent int REFERENCES parent ON DELETE SET NULL);"
      "CREATE TABLE held (id int PRIMARY KEY, parent int REFERENCES parent);"
      "INSERT INTO parent (id, name, here) VALUES (1, 'old', 'mine'), (2, 'same', 'mine');"
      "INSERT INTO child VALUES (10, 1), (20, 2); INSERT INTO orphan SELECT * FROM child;"
      "INSERT INTO held SELECT * FROM child;"
      "CREATE TABLE gone (id int);"
      "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS "
      "$$BEGIN INSERT INTO gone VALUES (old.id); RETURN old; END$$;"
      "CREATE TRIGGER note AFTER DELETE ON parent FOR EACH ROW EXECUTE FUNCTION note();"
      "GRANT ALL ON ALL TABLES IN SCHEMA public TO " +
      role);
  config_.url = config::Secret(Server().url(database_, role));
  builder_.Table("parent (id int4 key, name text, number int4)");
  Start();
  ASSERT_EQ(Copy("parent", "1 new 1\n2 same 2\n3 more 7", CopyFormat::kBinary,
                 {.upsert = true, .record = false}),
            absl::OkStatus());
  EXPECT_EQ(Rows("SELECT id, name, number, twice, here FROM parent ORDER BY id"),
            "1,new,1,newnew,mine;2,same,2,samesame,mine;3,more,7,moremore,default");
  for (const char* table : {"child", "orphan", "held"}) {
    EXPECT_EQ(Rows(fmt::format("SELECT * FROM {} ORDER BY id", table)), "10,1;20,2") << table;
  }
  EXPECT_EQ(Rows("SELECT * FROM gone"), "");
}

// By the primary key, whatever else the replica identity is.
TEST_F(SnapshotLaneTest, ResumesByThePrimaryKey) {
  Sql("CREATE TABLE whole (id int PRIMARY KEY, n int); INSERT INTO whole VALUES (1, 1), (2, 2);"
      "CREATE TABLE bare (id int, n int); INSERT INTO bare VALUES (1, 1), (2, 2);"
      "CREATE TABLE pair (a int, b int, PRIMARY KEY (a, b)); INSERT INTO pair VALUES (1, 1);"
      "CREATE TABLE numbered (id int PRIMARY KEY, n int GENERATED ALWAYS AS IDENTITY);"
      "INSERT INTO numbered OVERRIDING SYSTEM VALUE VALUES (1, 1), (2, 2)");
  builder_.Table("whole (id int4 key, n int4) full");
  builder_.Table("bare (id int4 key, n int4) nothing");
  builder_.Table("pair (a int4 key, b int4 key)");
  builder_.Table("numbered (id int4 key, n int4)");
  Start();
  for (const char* table : {"whole", "bare", "numbered"}) {
    const SnapshotLane::RangeOptions options{.upsert = true, .record = false};
    ASSERT_EQ(Copy(table, "1 7\n3 3", CopyFormat::kBinary, options), absl::OkStatus()) << table;
    EXPECT_EQ(Rows(fmt::format("SELECT * FROM {} ORDER BY id", table)), "1,7;2,2;3,3") << table;
  }
  ASSERT_EQ(Copy("pair", "1 1\n1 2", CopyFormat::kText, {.upsert = true, .record = false}),
            absl::OkStatus());
  EXPECT_EQ(Rows("SELECT * FROM pair ORDER BY 1, 2"), "1,1;1,2");
}

TEST_F(SnapshotLaneTest, AnOlderRowInTheWayStartsTheTableOver) {
  Sql("CREATE TABLE t (id int PRIMARY KEY, name text UNIQUE); INSERT INTO t VALUES (1, 'a')");
  builder_.Table("t (id int4 key, name text)");
  for (const auto mode : {SnapshotLane::Mode::kFast, SnapshotLane::Mode::kCareful}) {
    Start();
    const absl::Status status =
        Copy("t", "2 a", CopyFormat::kText, {.upsert = true, .record = true, .mode = mode});
    EXPECT_EQ(base::Payload(status, engine::kStartOverPayload), "1") << status;
    lane_.reset();
  }
  EXPECT_EQ(Rows("SELECT * FROM t"), "1,a");
}

// With a role that cannot switch foreign keys off.
TEST_F(SnapshotLaneTest, SaysWhatCannotGoOnAtALaterSnapshot) {
  const std::string role = MakeRole();
  Sql("CREATE TABLE plain (id int PRIMARY KEY); CREATE TABLE keyless (id int);"
      "CREATE TABLE other_key (id int, n int PRIMARY KEY);"
      "CREATE TABLE two_keys (id int PRIMARY KEY, n int UNIQUE);"
      "CREATE TABLE partly (id int PRIMARY KEY, n int); CREATE UNIQUE INDEX ON partly (n) WHERE n "
      "> "
      "0;"
      "CREATE TABLE excluding (id int PRIMARY KEY, n int4range, EXCLUDE USING gist (n WITH &&));"
      "CREATE TABLE deferred (id int PRIMARY KEY DEFERRABLE);"
      "CREATE TABLE whole (id int, n int); CREATE UNIQUE INDEX ON whole (id);"
      "CREATE TABLE parent (id int PRIMARY KEY);"
      "CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent);"
      "CREATE TABLE own (id int PRIMARY KEY, parent int REFERENCES own);"
      "CREATE TABLE root (id int PRIMARY KEY, parent int REFERENCES parent) PARTITION BY RANGE "
      "(id);"
      "CREATE TABLE leaf PARTITION OF root DEFAULT");
  std::vector<TablePlan> plans;
  for (const char* table : {"plain", "keyless", "other_key", "two_keys", "partly", "excluding",
                            "deferred", "missing", "parent", "child", "own", "leaf"}) {
    builder_.Table(fmt::format("{} (id int4 key)", table));
    plans.push_back(Plan(table));
  }
  builder_.Table("whole (id int4 key, n int4) full");
  plans.push_back(Plan("whole"));
  const auto limits = [&] {
    const auto found = sink_->LimitResuming(plans, {});
    EXPECT_TRUE(found.ok()) << found.status();
    return *found;
  };
  const std::string owner = config_.url.value();
  config_.url = config::Secret(Server().url(database_, role));
  Start();
  engine::ResumeLimits found = limits();
  std::string names;
  std::ranges::sort(found.at_one_snapshot);
  for (const auto& group : found.at_one_snapshot) {
    for (const schemas::TableName& table : group) names += table.name + " ";
    names += "/ ";
  }
  EXPECT_EQ(names, "child leaf parent root / own / ");
  config_.url = config::Secret(owner);
  Start();
  found = limits();
  names.clear();
  for (const schemas::TableName& table : found.start_over) names += table.name + " ";
  EXPECT_EQ(names, "deferred excluding keyless missing other_key partly two_keys whole ");
  EXPECT_TRUE(found.at_one_snapshot.empty());
}

TEST_F(SnapshotLaneTest, EmptiesWhatRefersToEachOtherTogether) {
  const std::string role = MakeRole();
  Sql("CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE more (id int PRIMARY KEY);"
      "CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent ON DELETE CASCADE);"
      "INSERT INTO parent VALUES (1); INSERT INTO child VALUES (1, 1); INSERT INTO more VALUES (1);"
      "GRANT ALL ON ALL TABLES IN SCHEMA public TO " +
      role);
  for (const char* table : {"parent", "child", "more"}) {
    builder_.Table(fmt::format("{} (id int4 key)", table));
  }
  config_.url = config::Secret(Server().url(database_, role));
  Start();
  const absl::Status refused =
      sink_->ResetTables({}, std::vector<TablePlan>{Plan("more"), Plan("parent")}, {});
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition) << refused;
  EXPECT_NE(base::Message(refused).find("rows of public.child"), std::string_view::npos) << refused;
  EXPECT_EQ(Rows("SELECT count(*) FROM child"), "1");
  const std::vector<TablePlan> all = {Plan("parent"), Plan("more"), Plan("child")};
  ASSERT_EQ(sink_->ResetTables({}, all, {}), absl::OkStatus());
  EXPECT_EQ(Rows("SELECT (SELECT count(*) FROM parent) + (SELECT count(*) FROM child) + "
                 "(SELECT count(*) FROM more)"),
            "0");
}

TEST_F(SnapshotLaneTest, AReplacedOneCannotFinish) {
  Sql("CREATE TABLE t (id int PRIMARY KEY)");
  builder_.Table("t (id int4 key)");
  Start();
  Sql("UPDATE pgflow.checkpoint SET epoch = epoch + 1");
  const absl::Status status = Copy("t", "1", CopyFormat::kBinary);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_EQ(Rows("SELECT * FROM t"), "");
}

TEST_F(SnapshotLaneTest, ReportsEveryProblemAtOnce) {
  Sql("CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id bigint PRIMARY KEY, x text);"
      "CREATE TABLE c (id int PRIMARY KEY); INSERT INTO c VALUES (1)");
  builder_.Table("a (id int4 key, name text)");
  builder_.Table("b (id int4 key)");
  builder_.Table("c (id int4 key)");
  builder_.Table("d (id int4 key)");
  Start();
  const std::vector<TablePlan> plans = {Plan("a"), Plan("b"), Plan("c"), Plan("d")};
  const absl::Status status = sink_->PrepareSnapshot({}, plans, {}, {});
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  for (std::string_view problem :
       {"public.a lacks column name", "public.b column id is int4 at the source and bigint",
        "public.c holds rows already", "public.d is missing"}) {
    EXPECT_NE(base::Message(status).find(problem), std::string_view::npos) << status;
  }
  config_.on_existing_rows = ExistingRows::kTruncate;
  Start();
  EXPECT_EQ(sink_->PrepareSnapshot({}, std::vector<TablePlan>{Plan("c")}, {}, {}),
            absl::OkStatus());
  EXPECT_EQ(Rows("SELECT * FROM c"), "");
}

schemas::ColumnDefinition Column(int16_t number, std::string name, std::string type) {
  schemas::ColumnDefinition column;
  column.attribute_number = number;
  column.name = std::move(name);
  column.type_sql = std::move(type);
  return column;
}

TEST_F(SnapshotLaneTest, CreatesTables) {
  config_.create_schema = true;
  Start();
  schemas::DatabaseDefinition definition;
  definition.objects.push_back({.kind = "type",
                                .name = {"shop", "mood"},
                                .exists_sql = "SELECT to_regtype('shop.mood') IS NOT NULL",
                                .create_sql = "CREATE TYPE shop.mood AS ENUM ('sad', 'glad')"});
  schemas::TableDefinition table;
  table.table = {"shop", "Things"};
  table.columns = {Column(1, "id", "integer"), Column(3, "m", "shop.mood"),
                   Column(4, "n", "numeric(10,2)"), Column(5, "twice", "numeric")};
  table.columns[0].not_null = true;
  table.columns[0].default_sql = "nextval('shop.\"Things_id_seq\"'::regclass)";
  table.columns[2].default_sql = "no_such_function()";
  table.columns[3].default_sql = "(n * (2)::numeric)";
  table.columns[3].generated = 's';
  table.primary_key = schemas::PrimaryKey{"things_key", {1}, false};
  definition.tables = {table};
  auto schema = std::make_shared<schemas::TableSchema>(
      *builder_.Table("shop.Things (id int4 key, m text, n numeric)"));
  schema->columns[1].attribute_number = 3;
  schema->columns[2].attribute_number = 4;
  schema->columns[2].type_modifier = ((10 << 16) | 2) + 4;  // numeric(10,2)
  const TablePlan plan{table.table, schema, &definition.tables[0]};
  for (int i = 0; i < 2; ++i) {
    const absl::Status status =
        sink_->PrepareSnapshot(definition, std::vector<TablePlan>{plan}, {}, {});
    ASSERT_TRUE(status.ok()) << status;
  }
  ASSERT_EQ(lane_->BeginRange(plan, {}, {}), absl::OkStatus());
  engine::CopyRows rows{schema, CopyFormat::kText, "1\tglad\t1.50\n2\t\\N\t\\N\n", 2};
  Batch batch(std::move(rows));
  ASSERT_TRUE(lane_->Write(batch, {}).ok());
  ASSERT_EQ(lane_->FinishRange({}), absl::OkStatus());
  for (int i = 0; i < 2; ++i) {
    const absl::Status status = lane_->FinishTable(plan, {});
    ASSERT_TRUE(status.ok()) << status;
  }
  EXPECT_EQ(Rows("SELECT * FROM shop.\"Things\" ORDER BY id"), "1,glad,1.50,3.00;2,-,-,-");
  EXPECT_EQ(Rows("SELECT conname FROM pg_constraint WHERE contype = 'p' AND conrelid = "
                 "'shop.\"Things\"'::regclass"),
            "things_key");
  EXPECT_EQ(Rows("SELECT pg_get_serial_sequence('shop.\"Things\"', 'id')"),
            "shop.\"Things_id_seq\"");
  ASSERT_EQ(sink_->ResetTables(definition, std::vector<TablePlan>{plan}, {}), absl::OkStatus());
  EXPECT_EQ(Rows("SELECT * FROM shop.\"Things\""), "");
}

TEST_F(SnapshotLaneTest, CreatesPartitions) {
  config_.create_schema = true;
  Start();
  schemas::DatabaseDefinition definition;
  schemas::TableDefinition parent;
  parent.table = {"public", "p"};
  parent.partitioned = true;
  parent.partition_key_sql = "RANGE (id)";
  parent.columns = {Column(1, "id", "integer"), Column(2, "name", "text")};
  parent.columns[0].not_null = true;
  parent.primary_key = schemas::PrimaryKey{"p_pkey", {1}, false};
  definition.tables = {parent};
  for (int i = 0; i < 2; ++i) {
    schemas::TableDefinition leaf = parent;
    leaf.table.name = fmt::format("p{}", i);
    leaf.partitioned = false;
    leaf.partition_key_sql.clear();
    leaf.parent = parent.table;
    leaf.partition_bound_sql = fmt::format("FOR VALUES FROM ({}) TO ({})", i * 10, i * 10 + 10);
    leaf.primary_key->name = leaf.table.name + "_pkey";
    definition.tables.push_back(leaf);
  }
  std::vector<TablePlan> plans;
  for (int i = 0; i < 2; ++i) {
    builder_.Table(fmt::format("p{} (id int4 key, name text)", i));
    plans.push_back(Plan(fmt::format("p{}", i)));
    plans.back().definition = &definition.tables[static_cast<size_t>(i) + 1];
  }
  const absl::Status prepared = sink_->PrepareSnapshot(definition, plans, {}, {});
  ASSERT_TRUE(prepared.ok()) << prepared;
  lane_ = *sink_->OpenLane({});
  ASSERT_EQ(Copy("p0", "1 a", CopyFormat::kBinary), absl::OkStatus());
  ASSERT_EQ(Copy("p1", "11 b", CopyFormat::kBinary), absl::OkStatus());
  for (const TablePlan& plan : plans) {
    const absl::Status status = lane_->FinishTable(plan, {});
    ASSERT_TRUE(status.ok()) << status;
  }
  EXPECT_EQ(Rows("SELECT * FROM p ORDER BY id"), "1,a;11,b");
  EXPECT_EQ(Rows("SELECT indexrelid::regclass FROM pg_index WHERE indisprimary AND indrelid IN "
                 "('p'::regclass, 'p0'::regclass, 'p1'::regclass) ORDER BY 1::text"),
            "p0_pkey;p1_pkey;p_pkey");
}

TEST_F(SnapshotLaneTest, ChecksTheTarget) {
  Sql("CREATE TABLE t (id int PRIMARY KEY); CREATE ROLE " + database_ +
      "_low LOGIN; GRANT SELECT ON t TO " + database_ + "_low");
  builder_.Table("t (id int4 key)");
  config_.url = config::Secret(Server().url(database_, database_ + "_low"));
  PostgresSink sink(config_);
  const auto findings = sink.Check({}, std::vector<TablePlan>{Plan("t")}, {});
  ASSERT_TRUE(findings.ok()) << findings.status();
  std::string errors;
  for (const engine::Finding& finding : *findings) {
    if (finding.severity == engine::Finding::Severity::kError) {
      errors += finding.subject + ": " + finding.problem + "\n";
    }
  }
  EXPECT_EQ(errors,
            "checkpoint schema: pgflow cannot be created, or used\n"
            "target table public.t: the role lacks INSERT, UPDATE, DELETE, TRUNCATE\n");
  EXPECT_EQ(Rows("SELECT count(*) FROM pg_namespace WHERE nspname = 'pgflow'"), "0");
}

}  // namespace
}  // namespace pgflow::sinks
