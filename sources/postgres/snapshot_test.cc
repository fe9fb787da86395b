// The snapshot of a real server.
#include <set>

#include "sources/postgres/snapshot_session.h"
#include "sources/postgres/source_fixture_test.h"

namespace pgflow::sources {
namespace {

using engine::RangeOutcome;

class SnapshotTest : public SourceTest {
 protected:
  std::unique_ptr<engine::SnapshotSession> OpenSnapshot() {
    auto session = source_->OpenSnapshot({});
    EXPECT_TRUE(session.ok()) << session.status();
    return session.ok() ? *std::move(session) : nullptr;
  }
  // Older servers read a table in one piece.
  bool HasRanges() const { return server_->version() >= 140000; }
  static uint32_t IndexOf(const engine::SnapshotSession& session, const std::string& table) {
    for (uint32_t i = 0; i < session.tables().size(); ++i) {
      if (session.tables()[i].schema->table.name == table) return i;
    }
    ADD_FAILURE() << "no table " << table;
    return 0;
  }
  // Reads one range; the rows go into `bytes`.
  static absl::StatusOr<RangeOutcome> ReadRange(engine::RangeReader& reader,
                                                const engine::RangeRequest& request,
                                                std::string& bytes, uint64_t& rows) {
    return reader.Read(request,
                       [&](engine::Batch batch) -> absl::Status {
                         EXPECT_NE(batch.raw_rows(), nullptr);
                         const auto events = batch.Events();
                         EXPECT_TRUE(events.ok()) << events.status();
                         EXPECT_EQ(events->size(), batch.row_count());
                         bytes += batch.raw_rows()->bytes;
                         rows += batch.row_count();
                         return absl::OkStatus();
                       },
                       {});
  }
  // All ranges of a table.
  static uint64_t ReadTable(engine::SnapshotSession& session, const std::string& name,
                            std::string& bytes) {
    auto reader = session.OpenReader({});
    EXPECT_TRUE(reader.ok()) << reader.status();
    const uint32_t table = IndexOf(session, name);
    uint64_t rows = 0;
    for (const engine::BlockRange range : session.tables()[table].ranges) {
      const auto outcome =
          ReadRange(**reader, {.table = table, .range = range, .only_newer_than = {}}, bytes, rows);
      EXPECT_TRUE(outcome.ok()) << outcome.status();
      EXPECT_EQ(*outcome, RangeOutcome::kDone);
    }
    return rows;
  }
};

TEST_F(SnapshotTest, CarriesEveryTypeInBinaryAndText) {
  Execute(
      "CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN short AS varchar(5);"
      "CREATE TYPE pair AS (a int, m mood);"
      "CREATE TABLE b (id bigserial PRIMARY KEY, i2 int2, i4 int4, f4 float4, f8 float8, "
      "n numeric, t text, c char(5), v varchar(9), bo bool, by bytea, d date, ts timestamp, "
      "tz timestamptz, ti time, iv interval, u uuid, j json, jb jsonb, ip inet, m mood, s short, "
      "ia int[], ta text[], r int4range, p point, x xml, bi bit(3), mo money);"
      "CREATE TABLE x (id int PRIMARY KEY, p pair, ms mood[], rc regclass);"
      "INSERT INTO b (i2, i4, f4, f8, n, t, c, v, bo, by, d, ts, tz, ti, iv, u, j, jb, ip, m, s, "
      "ia, ta, r, p, x, bi, mo) VALUES (1, -2, 1.1, 0.1, 12345678901234567890.123, E'a\\tb\\\\', "
      "'c', 'v', true, '\\x00ff', '2024-02-29', 'infinity', now(), '12:00', '1 mon 2 days', "
      "gen_random_uuid(), '{\"a\": 1}', '{\"b\": [1]}', '10.0.0.1/8', 'ok', 'abc', "
      "'{{1,2},{3,NULL}}', '{\"a,b\",NULL}', '[1,5)', '(1,2)', '<a/>', '101', 3.5), "
      "(NULL, NULL, 'NaN', '-Infinity', 'NaN', '', NULL, NULL, NULL, '', '-infinity', NULL, NULL, "
      "NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '{}', NULL, 'empty', NULL, NULL, NULL, "
      "NULL);"
      "INSERT INTO x VALUES (1, '(1,ok)', '{sad,ok}', 'x'), (2, NULL, NULL, NULL);"
      "CREATE TABLE empty (a int)");
  PostgresSourceConfig config = Config();
  config.binary = BinaryMode::kAuto;
  OpenSource(config);
  const auto session = OpenSnapshot();
  Execute("CREATE TABLE b2 (LIKE b); CREATE TABLE x2 (LIKE x)");
  auto target = server_->Connect(database_);
  ASSERT_TRUE(target.ok());
  std::string bytes;
  ASSERT_EQ(ReadTable(*session, "b", bytes), 2);
  ASSERT_TRUE((*target)->BeginCopyIn("COPY public.b2 FROM STDIN (FORMAT binary)", {}).ok());
  const std::string header("PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0", 19);
  ASSERT_TRUE((*target)->PutCopyData(header + bytes + "\377\377", {}).ok());
  auto copied = (*target)->EndCopyIn({});
  ASSERT_TRUE(copied.ok()) << copied.status();
  EXPECT_EQ(Value("SELECT count(*) FROM b JOIN b2 USING (id) WHERE b::text = b2::text"), "2");
  bytes.clear();
  ASSERT_EQ(ReadTable(*session, "x", bytes), 2);
  ASSERT_TRUE((*target)->BeginCopyIn("COPY public.x2 FROM STDIN", {}).ok());
  ASSERT_TRUE((*target)->PutCopyData(bytes, {}).ok());
  copied = (*target)->EndCopyIn({});
  ASSERT_TRUE(copied.ok()) << copied.status();
  EXPECT_EQ(Value("SELECT count(*) FROM x JOIN x2 USING (id) WHERE x::text = x2::text"), "2");
  EXPECT_EQ(ReadTable(*session, "empty", bytes), 0);
}

// A partitioned table that is published whole is one range over all of its leaves.
TEST_F(SnapshotTest, NoticesAChangedLeafOfAWholeTree) {
  Execute(
      "CREATE TABLE m (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);"
      "CREATE TABLE m_1 PARTITION OF m FOR VALUES FROM (0) TO (1000);"
      "CREATE TABLE m_2 PARTITION OF m FOR VALUES FROM (1000) TO (2000);"
      "CREATE TABLE none (id int PRIMARY KEY) PARTITION BY RANGE (id);"
      "INSERT INTO m SELECT i, 'x' FROM generate_series(1, 1999) i;"
      "CREATE PUBLICATION mine FOR TABLE m, none WITH (publish_via_partition_root = true)");
  PostgresSourceConfig config = Config();
  config.replication.publication = "mine";
  OpenSource(config);
  const auto session = OpenSnapshot();
  ASSERT_EQ(session->tables().size(), 2);
  std::string bytes;
  EXPECT_EQ(ReadTable(*session, "m", bytes), 1999);
  EXPECT_EQ(ReadTable(*session, "none", bytes), 0);
  const auto read = [&](const std::string& name) {
    auto reader = session->OpenReader({});
    EXPECT_TRUE(reader.ok()) << reader.status();
    uint64_t rows = 0;
    return ReadRange(**reader,
                     {.table = IndexOf(*session, name), .range = {}, .only_newer_than = {}}, bytes,
                     rows);
  };
  Execute("TRUNCATE m_2");
  auto outcome = read("m");
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(*outcome, RangeOutcome::kTableChanged);
  Execute("CREATE TABLE none_1 PARTITION OF none DEFAULT");
  outcome = read("none");
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(*outcome, RangeOutcome::kTableChanged);
}

TEST_F(SnapshotTest, RangesCoverTheTableOnceAndAtTheConsistentPoint) {
  Execute(
      "CREATE TABLE t (id int PRIMARY KEY, v text); "
      "INSERT INTO t SELECT i, repeat('x', 100) FROM generate_series(1, 30000) i");
  PostgresSourceConfig config = Config();
  config.binary = BinaryMode::kAuto;
  OpenSource(config);
  Execute(
      "INSERT INTO t SELECT i, 'later' FROM generate_series(30001, 31000) i; "
      "DELETE FROM t WHERE id <= 100; UPDATE t SET v = 'new' WHERE id % 7 = 0");
  const auto session = OpenSnapshot();
  if (HasRanges()) {
    ASSERT_GT(session->tables()[0].ranges.size(), 5);
  }
  std::string bytes;
  EXPECT_EQ(ReadTable(*session, "t", bytes), 30000);
  EXPECT_EQ(session->definition().tables.size(), 1);
  EXPECT_TRUE(session->consistent_point().valid());
  // A second snapshot of the same slot is a later one.
  const auto later = OpenSnapshot();
  EXPECT_GT(later->consistent_point(), session->consistent_point());
  EXPECT_EQ(ReadTable(*later, "t", bytes), 30900);
  EXPECT_EQ(Value("SELECT count(*) FROM pg_replication_slots"), "1");
}

TEST_F(SnapshotTest, NewerRowsOnly) {
  Execute(
      "CREATE TABLE t (id int PRIMARY KEY, v text); "
      "INSERT INTO t SELECT i, 'x' FROM generate_series(1, 5000) i");
  OpenSource(Config());
  const std::string old = OpenSnapshot()->snapshot();
  Execute("UPDATE t SET v = 'y' WHERE id <= 10");
  Execute("BEGIN; SAVEPOINT a; INSERT INTO t VALUES (9000, 'z'); RELEASE a; COMMIT");
  const auto session = OpenSnapshot();
  auto reader = session->OpenReader({});
  ASSERT_TRUE(reader.ok());
  std::string bytes;
  uint64_t rows = 0;
  const auto outcome =
      ReadRange(**reader, {.table = 0, .range = {}, .only_newer_than = old}, bytes, rows);
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(rows, 11);
}

TEST_F(SnapshotTest, NoticesRewritesBetweenRanges) {
  const std::vector<std::string> rewrites = {
      "VACUUM FULL t", "TRUNCATE t", "CLUSTER t USING t_pkey",
      "ALTER TABLE t ALTER v TYPE bytea USING v::bytea", "DROP TABLE t",
      "ALTER TABLE t RENAME TO s", "ALTER TABLE t RENAME v TO x",
      "ALTER TABLE t RENAME TO s; CREATE TABLE t (id int PRIMARY KEY, v text)",
      // All that follows leaves the file alone.
      "ALTER TABLE t RENAME v TO x; ALTER TABLE t ADD v text",
      "ALTER TABLE t RENAME v TO x; ALTER TABLE t RENAME w TO v; ALTER TABLE t RENAME x TO w",
      "ALTER TABLE t DROP v, ADD v text", "ALTER TABLE t DROP w, ADD w text",
      "ALTER TABLE t ALTER v TYPE varchar", "ALTER TABLE t ALTER n TYPE oid",
      "SET TimeZone = 'UTC'; ALTER TABLE t ALTER at TYPE timestamptz"};
  Execute("CREATE TABLE other (a int); INSERT INTO other VALUES (1)");
  for (const std::string& rewrite : rewrites) {
    Execute(
        "DROP TABLE IF EXISTS s, t;"
        "CREATE TABLE t (id int PRIMARY KEY, v text, w text, n int, at timestamp);"
        "INSERT INTO t SELECT i, repeat('x', 100), 'w', i, now() FROM generate_series(1, 10000) i");
    PostgresSourceConfig config = Config();
    config.replication.slot += "_rewrite";
    auto source = MakeSource(config);
    ASSERT_TRUE(source->Open({}).ok());
    ASSERT_TRUE(source->OpenSlot(true, {}).ok());
    auto session = source->OpenSnapshot({});
    ASSERT_TRUE(session.ok()) << session.status();
    auto reader = (*session)->OpenReader({});
    ASSERT_TRUE(reader.ok());
    const uint32_t table = IndexOf(**session, "t");
    std::string bytes;
    uint64_t rows = 0;
    auto outcome =
        ReadRange(**reader, {.table = table, .range = {0, 16}, .only_newer_than = {}}, bytes, rows);
    ASSERT_TRUE(outcome.ok()) << outcome.status();
    EXPECT_EQ(*outcome, RangeOutcome::kDone);
    Execute(rewrite);
    outcome = ReadRange(**reader, {.table = table, .range = {16, 32}, .only_newer_than = {}}, bytes,
                        rows);
    ASSERT_TRUE(outcome.ok()) << rewrite << ": " << outcome.status();
    EXPECT_EQ(*outcome, RangeOutcome::kTableChanged) << rewrite;
    // The reader is good for other tables.
    rows = 0;
    outcome = ReadRange(**reader,
                        {.table = IndexOf(**session, "other"), .range = {}, .only_newer_than = {}},
                        bytes, rows);
    ASSERT_TRUE(outcome.ok()) << outcome.status();
    EXPECT_EQ(rows, 1);
    reader->reset();
    session->reset();
    ASSERT_TRUE(source->DropSlot({}).ok());
  }
}

// A row filter is kept as text: its names must mean what they meant, published or not.
TEST_F(SnapshotTest, NoticesColumnsOfTheRowFilterThatChangePlaces) {
  if (server_->version() < 150000) GTEST_SKIP() << "this version has no row filters";
  Execute(
      "CREATE TABLE t (id int PRIMARY KEY, shown int, hidden int);"
      "INSERT INTO t SELECT i, i % 2, i % 3 FROM generate_series(1, 60) i;"
      "CREATE PUBLICATION mine FOR TABLE t (id) WHERE (shown = 1)");
  PostgresSourceConfig config = Config();
  config.replication.publication = "mine";
  OpenSource(config);
  const auto session = OpenSnapshot();
  auto reader = session->OpenReader({});
  ASSERT_TRUE(reader.ok()) << reader.status();
  std::string bytes;
  uint64_t rows = 0;
  auto outcome = ReadRange(**reader, {.table = 0, .range = {}, .only_newer_than = {}}, bytes, rows);
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(*outcome, RangeOutcome::kDone);
  EXPECT_EQ(rows, 30);
  Execute(
      "ALTER TABLE t RENAME shown TO x; ALTER TABLE t RENAME hidden TO shown;"
      "ALTER TABLE t RENAME x TO hidden");
  outcome = ReadRange(**reader, {.table = 0, .range = {}, .only_newer_than = {}}, bytes, rows);
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(*outcome, RangeOutcome::kTableChanged);
}

// What does not change the meaning of the rows does not cost another copy of the table.
TEST_F(SnapshotTest, GoesOnWhereTheRowsMeanTheSame) {
  Execute(
      "CREATE TABLE \"a'b\" (id int PRIMARY KEY, \"v\"\"'\" varchar(10), n numeric(10,2), gone "
      "int);"
      "ALTER TABLE \"a'b\" DROP gone;"
      "INSERT INTO \"a'b\" SELECT i, 'x', i FROM generate_series(1, 10) i");
  OpenSource(Config());
  const auto session = OpenSnapshot();
  Execute(
      "ALTER TABLE \"a'b\" ADD later int DEFAULT 7, ALTER \"v\"\"'\" TYPE varchar(20), "
      "ALTER n TYPE numeric(12,2), ALTER n SET DEFAULT 1, ADD CHECK (n > 0);"
      "CREATE INDEX ON \"a'b\" (n); ANALYZE \"a'b\"");
  std::string bytes;
  EXPECT_EQ(ReadTable(*session, "a'b", bytes), 10);
}

TEST_F(SnapshotTest, SurvivesTheLossOfSlotSessionAndGuards) {
  if (!HasRanges()) GTEST_SKIP() << "there is nothing between the ranges of this version";
  Execute(
      "CREATE TABLE t (id int PRIMARY KEY); "
      "INSERT INTO t SELECT generate_series(1, 50000)");
  OpenSource(Config());
  const auto session = OpenSnapshot();
  auto& guarded = dynamic_cast<PostgresSnapshotSession&>(*session);
  // The session that made the slot is gone already.
  EXPECT_EQ(Value("SELECT count(*) FROM pg_stat_replication"), "0");
  StartStream();
  Execute("INSERT INTO t SELECT generate_series(50001, 50010)");
  EXPECT_EQ(writer_.WaitForLines(11).size(), 11);
  auto reader = session->OpenReader({});
  ASSERT_TRUE(reader.ok());
  const auto ranges = session->tables()[0].ranges;
  ASSERT_GE(ranges.size(), 4);
  std::string bytes;
  uint64_t rows = 0;
  std::set<int> all;
  for (size_t i = 0; i < ranges.size(); ++i) {
    const std::vector<int> pids = guarded.GuardPids();
    ASSERT_EQ(pids.size(), 2);
    all.insert(pids.begin(), pids.end());
    Execute(fmt::format("SELECT pg_terminate_backend({})", pids[0]));
    const auto outcome =
        ReadRange(**reader, {.table = 0, .range = ranges[i], .only_newer_than = {}}, bytes, rows);
    ASSERT_TRUE(outcome.ok()) << outcome.status();
    for (int wait = 0;
         wait < 100 && (guarded.GuardPids().size() < 2 || guarded.GuardPids()[0] == pids[0]);
         ++wait) {
      absl::SleepFor(absl::Milliseconds(50));
    }
  }
  EXPECT_EQ(rows, 50000);
  EXPECT_GE(all.size(), 4);

  // A reader's own connection: another reader goes on.
  Execute(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE "
      "'%snapshot' AND state = 'idle'");
  const auto broken =
      ReadRange(**reader, {.table = 0, .range = ranges[0], .only_newer_than = {}}, bytes, rows);
  EXPECT_EQ(broken.status().code(), absl::StatusCode::kUnavailable);
  reader = session->OpenReader({});
  ASSERT_TRUE(reader.ok());
  EXPECT_TRUE(
      ReadRange(**reader, {.table = 0, .range = ranges[0], .only_newer_than = {}}, bytes, rows)
          .ok());

  // All of them: the snapshot is lost, and that is said. A dying one may save it once more.
  absl::StatusOr<RangeOutcome> lost = RangeOutcome::kDone;
  for (int attempt = 0; attempt < 20 && lost.ok(); ++attempt) {
    Execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE "
        "'%snapshot' AND state <> 'idle'");
    lost =
        ReadRange(**reader, {.table = 0, .range = ranges[0], .only_newer_than = {}}, bytes, rows);
  }
  EXPECT_EQ(lost.status().code(), absl::StatusCode::kAborted) << lost.status();
  EXPECT_EQ(base::Payload(lost.status(), engine::kSnapshotLostPayload), "1");
}

TEST_F(SnapshotTest, ALostSlotSessionBeforeTheSnapshotGivesALaterOne) {
  Execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
  OpenSource(Config());
  Execute(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = "
      "'walsender'");
  Execute("INSERT INTO t VALUES (2)");
  const auto session = OpenSnapshot();
  std::string bytes;
  EXPECT_EQ(ReadTable(*session, "t", bytes), 2);
}

}  // namespace
}  // namespace pgflow::sources
