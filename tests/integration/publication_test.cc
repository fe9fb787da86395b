// A publication of the user's own: row filters, column lists, partitions under their root's name.
#include <chrono>
#include <csignal>
#include <future>

#include <absl/time/clock.h>
#include <fmt/format.h>

#include "tests/integration/system_test.h"

namespace pgflow::tests {
namespace {

class PublicationTest : public SharedServerTest {
 protected:
  void SetUp() override {
    SharedServerTest::SetUp();
    pipeline_.source_options = "    replication: {publication: mine}\n";
  }

  // `published` is a query on the source, `table` the target's.
  void ExpectSame(const std::string& published, const std::string& table) const {
    source_.Execute(
        fmt::format("DROP TABLE IF EXISTS aside; CREATE UNLOGGED TABLE aside AS {}", published));
    target_.Execute(
        fmt::format("DROP TABLE IF EXISTS aside; CREATE UNLOGGED TABLE aside AS TABLE {}", table));
    EXPECT_EQ(Difference(source_, target_, {"aside"}), "");
  }

  std::string ColumnsOfTarget(const std::string& table) const {
    return target_.Value(
        fmt::format("SELECT string_agg(attname || attgenerated::text, ' ' ORDER BY "
                    "attnum) FROM pg_attribute WHERE attrelid = '{}'::regclass "
                    "AND attnum > 0 AND NOT attisdropped",
                    table));
  }
};

constexpr const char* kOrders = R"sql(
CREATE TABLE orders (id int, "Region" text NOT NULL, secret text, amount numeric,
  twice numeric GENERATED ALWAYS AS (amount * 2) STORED, PRIMARY KEY (id, "Region"));
CREATE TABLE whole (id int PRIMARY KEY, v text, up text GENERATED ALWAYS AS (upper(v)) STORED);
INSERT INTO orders SELECT i, (ARRAY['eu', 'us', 'o''x'])[i % 3 + 1], 'hidden ' || i, i * 1.5
  FROM generate_series(1, 20000) i;
INSERT INTO whole SELECT i, 'v' || i FROM generate_series(1, 500) i;
CREATE PUBLICATION mine FOR TABLE orders (id, "Region", amount)
  WHERE ("Region" IN ('eu', 'o''x') AND id % 10 <> 3), TABLE whole;
)sql";
constexpr const char* kOrdersPublished =
    "SELECT id, \"Region\", amount FROM orders WHERE \"Region\" IN ('eu', 'o''x') AND id % 10 <> 3";
constexpr const char* kOrdersChanges = R"sql(
UPDATE orders SET "Region" = 'eu' WHERE "Region" = 'us' AND id % 7 = 0;
UPDATE orders SET "Region" = 'us' WHERE "Region" = 'eu' AND id % 11 = 0;
UPDATE orders SET amount = -amount, secret = 'new' WHERE id % 13 = 0;
UPDATE orders SET id = id + 100000 WHERE id % 97 = 0;
UPDATE orders SET secret = 'other' WHERE id % 2 = 0;
DELETE FROM orders WHERE id % 17 = 0;
INSERT INTO orders VALUES (200000, 'eu', 's', 1), (200001, 'us', 's', 1), (200003, 'eu', 's', 1);
UPDATE whole SET v = 'w' || id WHERE id % 3 = 0;
)sql";

TEST_F(PublicationTest, CarriesTheRowsAndColumnsThatArePublished) {
  if (shared_server->version() < 150000) GTEST_SKIP() << "row filters need version 15";
  source_.Execute(kOrders);
  const auto process = Run();
  ASSERT_TRUE(WaitForSnapshot(*process));
  EXPECT_EQ(ColumnsOfTarget("orders"), "id Region amount");
  EXPECT_EQ(ColumnsOfTarget("whole"), "id v ups");
  ExpectSame(kOrdersPublished, "orders");
  source_.Execute(kOrdersChanges);
  ExpectEqualSoon({"whole"}, *process);
  ExpectSame(kOrdersPublished, "orders");
  process->Signal(SIGTERM);
  EXPECT_EQ(process->WaitForExit(), 0) << process->Output();
  source_.Execute(
      "TRUNCATE orders; INSERT INTO orders VALUES (1, 'eu', 's', 1), (2, 'us', 's', 2)");
  RunToCurrent();
  ExpectSame(kOrdersPublished, "orders");
  const std::string found = Expect(0, "check");
  EXPECT_EQ(found.find("cannot be used"), std::string::npos) << found;
}

TEST_F(PublicationTest, WritesOnlyPublishedColumnsOfAnExistingTable) {
  if (shared_server->version() < 150000) GTEST_SKIP() << "column lists need version 15";
  source_.Execute(kOrders);
  target_.Execute(
      "CREATE TABLE orders (amount numeric, own text NOT NULL DEFAULT 'own', \"Region\" text, "
      "id int, PRIMARY KEY (id, \"Region\"));"
      "CREATE TABLE whole (id int PRIMARY KEY, v text, up text)");
  pipeline_.sinks = {PostgresSink("create_schema: false")};
  const auto process = Run();
  ASSERT_TRUE(WaitForSnapshot(*process));
  source_.Execute(kOrdersChanges);
  Eventually([&] {
    return target_.Value("SELECT count(*) FROM whole WHERE v LIKE 'w%'") == "166" ||
           !process->running();
  });
  EXPECT_TRUE(process->running()) << process->Output();
  ExpectSame(kOrdersPublished + std::string(" AND true"),
             "orders; ALTER TABLE aside DROP COLUMN own; ALTER TABLE aside RENAME TO unordered;"
             "CREATE UNLOGGED TABLE aside AS SELECT id, \"Region\", amount FROM unordered;"
             "DROP TABLE unordered");
  EXPECT_EQ(target_.Value("SELECT string_agg(DISTINCT own, ',') FROM orders"), "own");
  EXPECT_EQ(target_.Value("SELECT count(*) FROM whole WHERE up IS NOT NULL"), "0");
}

// Rows enter and leave the filter while the program is down, half of the ranges copied.
TEST_F(PublicationTest, ResumesASnapshotOfFilteredRows) {
  if (shared_server->version() < 150000) GTEST_SKIP() << "row filters need version 15";
  source_.Execute(kOrders);
  source_.Execute("UPDATE orders SET secret = repeat(md5(id::text), 20)");
  pipeline_.snapshot = "{workers: 1, range_size: 128KiB}";
  const auto killed = Run();
  ASSERT_TRUE(WaitForFirstRange(*killed));
  killed->Kill9();
  source_.Execute(kOrdersChanges);
  RunToCurrent();
  ExpectSame(kOrdersPublished, "orders");
  ExpectEqual({"whole"});
}

// Version 18 can send what a generated column holds; the target's may be generated as well.
TEST_F(PublicationTest, PublishedGeneratedColumns) {
  if (shared_server->version() < 180000)
    GTEST_SKIP() << "publish_generated_columns needs version 18";
  const char* const tables =
      "CREATE TABLE g (id int PRIMARY KEY, v text, up text GENERATED ALWAYS AS (upper(v)) STORED);"
      "CREATE TABLE h (id int PRIMARY KEY, v text, up text GENERATED ALWAYS AS (upper(v)) STORED,"
      " twice int GENERATED ALWAYS AS (id * 2) VIRTUAL);";
  source_.Execute(std::string(tables) +
                  "INSERT INTO g SELECT i, 'v' || i FROM generate_series(1, 300) i;"
                  "INSERT INTO h SELECT i, 'v' || i FROM generate_series(1, 300) i;"
                  "CREATE PUBLICATION mine FOR TABLE g, TABLE h WITH (publish_generated_columns = "
                  "stored)");
  target_.Execute(
      "CREATE TABLE g (id int PRIMARY KEY, v text, up text GENERATED ALWAYS AS "
      "(upper(v)) STORED)");
  const auto process = Run();
  ASSERT_TRUE(WaitForSnapshot(*process));
  EXPECT_EQ(ColumnsOfTarget("h"), "id v up");
  source_.Execute(
      "UPDATE g SET v = 'x' || id WHERE id % 2 = 0; UPDATE h SET v = 'x' || id WHERE id % 2 = 0;"
      "INSERT INTO g VALUES (1000, 'n'); INSERT INTO h VALUES (1000, 'n');"
      "DELETE FROM g WHERE id = 7; DELETE FROM h WHERE id = 7");
  ExpectEqualSoon({"g"}, *process);
  ExpectSame("SELECT id, v, up FROM h", "h");
}

TEST_F(PublicationTest, IsNotCombinedWithDdl) {
  if (shared_server->version() < 150000) GTEST_SKIP() << "row filters need version 15";
  source_.Execute(kOrders);
  pipeline_.source_options = "    replication: {publication: mine, ddl: true}\n";
  for (const auto& [command, code] : {std::pair("run", 1), std::pair("check", 3)}) {
    const std::string output = Expect(code, command);
    EXPECT_NE(output.find("publication mine has row filters"), std::string::npos) << output;
  }
}

TEST_F(PublicationTest, AListWithoutTheKeyIsRefused) {
  if (shared_server->version() < 150000) GTEST_SKIP() << "column lists need version 15";
  source_.Execute(
      "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE PUBLICATION mine FOR TABLE t (v)");
  for (const auto& [command, code] : {std::pair("run", 1), std::pair("check", 3)}) {
    const std::string output = Expect(code, command);
    EXPECT_NE(output.find("public.t"), std::string::npos) << output;
    EXPECT_NE(output.find("column list leaves out id"), std::string::npos) << output;
  }
}

constexpr const char* kParts = R"sql(
CREATE TABLE m (id int, day int NOT NULL, v text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE m_1 PARTITION OF m FOR VALUES FROM (0) TO (10);
CREATE TABLE m_2 (v text, gone int, day int NOT NULL, id int NOT NULL);
ALTER TABLE m_2 DROP COLUMN gone;
ALTER TABLE m ATTACH PARTITION m_2 FOR VALUES FROM (10) TO (20);
CREATE TABLE m_3 PARTITION OF m FOR VALUES FROM (20) TO (40) PARTITION BY LIST (id);
CREATE TABLE m_3_a PARTITION OF m_3 DEFAULT;
INSERT INTO m SELECT i, i % 30, 'v' || i FROM generate_series(1, 6000) i;
CREATE PUBLICATION mine FOR TABLE m WITH (publish_via_partition_root = true);
)sql";
constexpr const char* kPartsChanges = R"sql(
UPDATE m SET v = 'changed' WHERE id % 3 = 0;
UPDATE m SET day = (day + 10) % 40 WHERE id % 5 = 0;
UPDATE m SET id = id + 10000 WHERE id % 7 = 0;
DELETE FROM m WHERE id % 11 = 0;
INSERT INTO m_2 VALUES ('direct', 11, 20000);
CREATE TABLE m_4 PARTITION OF m FOR VALUES FROM (40) TO (50);
INSERT INTO m SELECT i, 45, 'late' FROM generate_series(30000, 30100) i;
)sql";

TEST_F(PublicationTest, PartitionsUnderTheirRootsName) {
  source_.Execute(kParts);
  const auto process = Run();
  ASSERT_TRUE(WaitForSnapshot(*process));
  EXPECT_EQ(target_.Value("SELECT string_agg(relname || relkind::text, ' ') FROM pg_class WHERE "
                          "relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"),
            "mr");
  ExpectEqual({"m"});
  source_.Execute(kPartsChanges);
  ExpectEqualSoon({"m"}, *process);
  source_.Execute("TRUNCATE m; INSERT INTO m VALUES (1, 1, 'a'), (2, 15, 'b')");
  ExpectEqualSoon({"m"}, *process);
  EXPECT_EQ(target_.Value("SELECT count(*) FROM m"), "2");
}

TEST_F(PublicationTest, ARootWithoutAKey) {
  source_.Execute(
      "CREATE TABLE n (a int, v text) PARTITION BY LIST (a);"
      "CREATE TABLE n_1 PARTITION OF n FOR VALUES IN (1);"
      "CREATE TABLE n_rest PARTITION OF n DEFAULT;"
      "ALTER TABLE n REPLICA IDENTITY FULL; ALTER TABLE n_1 REPLICA IDENTITY FULL;"
      "ALTER TABLE n_rest REPLICA IDENTITY FULL;"
      "INSERT INTO n SELECT i % 3, 'v' || i % 5 FROM generate_series(1, 300) i;"
      "CREATE PUBLICATION mine FOR ALL TABLES WITH (publish_via_partition_root = true)");
  target_.Execute(
      "CREATE TABLE n (a int, v text) PARTITION BY HASH (v);"
      "CREATE TABLE n_0 PARTITION OF n FOR VALUES WITH (MODULUS 2, REMAINDER 0);"
      "CREATE TABLE n_2 PARTITION OF n FOR VALUES WITH (MODULUS 2, REMAINDER 1)");
  pipeline_.sinks = {PostgresSink("create_schema: false")};
  const auto process = Run();
  ASSERT_TRUE(WaitForSnapshot(*process)) << process->Output();
  source_.Execute(
      "UPDATE n SET v = 'moved' WHERE a = 1 AND v = 'v2'; UPDATE n SET a = 1 WHERE a = 2;"
      "DELETE FROM n WHERE v = 'v3'; INSERT INTO n VALUES (7, 'late'), (7, 'late')");
  ExpectEqualSoon({"n"}, *process);
}

TEST_F(PublicationTest, IntoAnotherPartitioning) {
  source_.Execute(kParts);
  target_.Execute(
      "CREATE TABLE m (day int, id int, v text, PRIMARY KEY (id, day)) PARTITION BY HASH (id);"
      "CREATE TABLE h_0 PARTITION OF m FOR VALUES WITH (MODULUS 2, REMAINDER 0);"
      "CREATE TABLE h_1 PARTITION OF m FOR VALUES WITH (MODULUS 2, REMAINDER 1)");
  pipeline_.sinks = {PostgresSink("create_schema: false")};
  const auto process = Run();
  ASSERT_TRUE(WaitForSnapshot(*process)) << process->Output();
  source_.Execute(kPartsChanges);
  const std::string sum =
      "SELECT count(*) || md5(string_agg(v || id || ' ' || day, ',' ORDER BY "
      "id, day)) FROM m";
  EXPECT_TRUE(Eventually([&] { return source_.Value(sum) == target_.Value(sum); }))
      << process->Output();
  source_.Execute("DELETE FROM m WHERE id % 2 = 0; UPDATE m SET day = 39 WHERE day = 45");
  EXPECT_TRUE(Eventually([&] { return source_.Value(sum) == target_.Value(sum); }))
      << process->Output();
  EXPECT_TRUE(process->running()) << process->Output();
}

// Of the whole tree, as pgoutput does it.
TEST_F(PublicationTest, ARowFilterOfARoot) {
  if (shared_server->version() < 150000) GTEST_SKIP() << "row filters need version 15";
  source_.Execute(kParts);
  source_.Execute(
      "DROP PUBLICATION mine; CREATE PUBLICATION mine FOR TABLE m (id, day) WHERE (day % 2 = 0) "
      "WITH (publish_via_partition_root = true)");
  const auto process = Run();
  ASSERT_TRUE(WaitForSnapshot(*process)) << process->Output();
  ExpectSame("SELECT id, day FROM m WHERE day % 2 = 0", "m");
  source_.Execute(kPartsChanges);
  source_.Execute("UPDATE m SET day = day + 1 WHERE day < 39 AND id % 4 = 0");
  EXPECT_TRUE(Eventually([&] {
    return source_.Value("SELECT count(*), 1 FROM m WHERE day % 2 = 0") ==
           target_.Value("SELECT count(*), 1 FROM m");
  }));
  process->Signal(SIGTERM);
  EXPECT_EQ(process->WaitForExit(), 0) << process->Output();
  RunToCurrent();
  ExpectSame("SELECT id, day FROM m WHERE day % 2 = 0", "m");
}

// The target keeps what the operations that are left out would change.
TEST_F(PublicationTest, CarriesTheOperationsThatArePublished) {
  source_.Execute(
      "CREATE TABLE log (id int PRIMARY KEY, v text); CREATE TABLE bare (a int, v text);"
      "INSERT INTO log SELECT i, 'old' FROM generate_series(1, 300) i;"
      "INSERT INTO bare SELECT i, 'old' FROM generate_series(1, 300) i;"
      "CREATE PUBLICATION mine FOR TABLE log, bare WITH (publish = 'insert')");
  // Nothing that is published needs an identity.
  source_.Execute("UPDATE bare SET v = 'older' WHERE a = 1");
  ASSERT_TRUE(Eventually([&] {
    return source_.Value("SELECT pg_stat_get_tuples_updated('bare'::regclass) > 0") == "t";
  }));
  const std::string found = Expect(0, "check");
  EXPECT_NE(found.find("leaves out update, delete, truncate"), std::string::npos) << found;
  EXPECT_NE(found.find("on_missing_row"), std::string::npos) << found;
  const auto process = Run();
  ASSERT_TRUE(WaitForSnapshot(*process));
  source_.Execute(
      "UPDATE log SET v = 'new' WHERE id <= 100; DELETE FROM log WHERE id > 200; TRUNCATE bare;"
      "INSERT INTO log SELECT i, 'more' FROM generate_series(301, 900) i;"
      "UPDATE bare SET v = 'none'; INSERT INTO bare VALUES (1000, 'more')");
  const char* const sum =
      "SELECT (SELECT string_agg(v || n, ' ' ORDER BY v) FROM (SELECT v, count(*) AS n FROM log "
      "GROUP BY v) x) || '; ' || (SELECT string_agg(v || n, ' ' ORDER BY v) FROM (SELECT v, "
      "count(*) AS n FROM bare GROUP BY v) x)";
  const std::string expected = "more600 old300; more1 old299 older1";
  EXPECT_TRUE(Eventually([&] { return target_.Value(sum) == expected; }))
      << target_.Value(sum) << process->Output();
  process->Signal(SIGTERM);
  EXPECT_EQ(process->WaitForExit(), 0) << process->Output();
  source_.Execute("DELETE FROM bare; DELETE FROM log WHERE id < 850");
  RunToCurrent();
  EXPECT_EQ(target_.Value(sum), expected);
  pipeline_.source_options = "    replication: {publication: mine, ddl: true}\n";
  const std::string refused = Expect(1, "run");
  EXPECT_NE(refused.find("leaves out update, delete, truncate"), std::string::npos) << refused;
}

// What is left out from the start is no gap, what is left out later is one.
TEST_F(PublicationTest, AnOperationThatGetsLostIsAGap) {
  source_.Execute(
      "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a'), (2, 'b');"
      "CREATE PUBLICATION mine FOR TABLE t WITH (publish = 'insert, update, delete')");
  const auto process = Run();
  ASSERT_TRUE(WaitForSnapshot(*process));
  source_.Execute("UPDATE t SET v = 'aa' WHERE id = 1");
  ExpectEqualSoon({"t"}, *process);
  source_.Execute("ALTER PUBLICATION mine SET (publish = 'insert, update')");
  source_.Execute("DELETE FROM t WHERE id = 2");
  EXPECT_EQ(process->WaitForExit(), 1) << process->Output();
  EXPECT_TRUE(process->Printed("options were changed")) << process->Output();
  const std::string refused = Expect(1, "run", {"--until-current"});
  EXPECT_NE(refused.find("--copy"), std::string::npos) << refused;
  // As the message says; from here on it is a pipeline of the rest.
  const auto refresh = Start("refresh", {"--copy", "public.t"});
  ASSERT_TRUE(refresh->WaitForOutput("waiting for pipeline"));
  RunToCurrent();
  EXPECT_EQ(refresh->WaitForExit(), 0) << refresh->Output();
  ExpectEqual({"t"});
  source_.Execute(
      "INSERT INTO t VALUES (3, 'c'); UPDATE t SET v = 'cc' WHERE id = 3;"
      "DELETE FROM t WHERE id = 1");
  RunToCurrent();
  EXPECT_EQ(target_.Value("SELECT string_agg(id || v, ' ' ORDER BY id) FROM t"), "1aa 3cc");
}

// As the server's own replication does it.
TEST_F(PublicationTest, ATableOfTheSourceOnlyIsLeftOutUntilItIsCopied) {
  const char* const tables = "CREATE TABLE a (id int PRIMARY KEY, v text)";
  source_.Execute(std::string(tables) + "; CREATE PUBLICATION mine FOR ALL TABLES");
  target_.Execute(tables);
  pipeline_.sinks = {PostgresSink("on_missing_table: skip")};
  const auto process = Run();
  ASSERT_TRUE(WaitForSnapshot(*process));
  const char* const fresh = "CREATE TABLE fresh (id int PRIMARY KEY, v text)";
  source_.Execute(fresh);
  source_.Execute("INSERT INTO fresh SELECT i, 'v' FROM generate_series(1, 500) i");
  source_.Execute("INSERT INTO a VALUES (1, 'beside it'); UPDATE fresh SET v = 'w' WHERE id = 1");
  ExpectEqualSoon({"a"}, *process);
  EXPECT_TRUE(process->WaitForOutput("the target has no table public.fresh")) << process->Output();
  EXPECT_TRUE(process->WaitForOutput("changes of table public.fresh left out"));
  // Its rows from before would be missing.
  target_.Execute(fresh);
  source_.Execute("INSERT INTO fresh VALUES (501, 'v'); INSERT INTO a VALUES (2, 'beside it')");
  ExpectEqualSoon({"a"}, *process);
  EXPECT_EQ(target_.Value("SELECT count(*) FROM fresh"), "0");
  process->Signal(SIGTERM);
  EXPECT_EQ(process->WaitForExit(), 0) << process->Output();
  source_.Execute("DELETE FROM fresh WHERE id = 2; INSERT INTO a VALUES (3, 'while down')");
  const auto again = Run();
  ExpectEqualSoon({"a"}, *again);
  EXPECT_EQ(target_.Value("SELECT count(*) FROM fresh"), "0");
  Expect(0, "refresh", {"--copy", "public.fresh"});
  source_.Execute("UPDATE fresh SET v = 'x' WHERE id < 10");
  ExpectEqualSoon({"a", "fresh"}, *again);
  source_.Execute("INSERT INTO fresh VALUES (1000, 'late'); DELETE FROM fresh WHERE id < 5");
  ExpectEqualSoon({"a", "fresh"}, *again);
}

// What the server's own replication takes, of definitions that differ or change on both sides.
TEST_F(PublicationTest, TablesThatBothSidesChange) {
  const char* const tables =
      "CREATE TABLE w (a int PRIMARY KEY, b text); CREATE TABLE d (a int, gone int, c text);"
      "ALTER TABLE d REPLICA IDENTITY FULL; CREATE TABLE bare (a int);";
  source_.Execute(std::string(tables) +
                  "INSERT INTO w SELECT i, 'old' FROM generate_series(1, 200) i;"
                  "INSERT INTO d SELECT i, i, 'old' FROM generate_series(1, 200) i;"
                  "CREATE PUBLICATION mine FOR ALL TABLES");
  target_.Execute(tables);
  pipeline_.sinks = {PostgresSink("create_schema: false")};
  const auto process = Run();
  ASSERT_TRUE(WaitForSnapshot(*process));
  for (const Database* database : {&target_, &source_}) {
    database->Execute("ALTER TABLE w ADD more text DEFAULT 'new'; ALTER TABLE d DROP gone");
  }
  target_.Execute("ALTER TABLE bare ADD id serial PRIMARY KEY");
  source_.Execute(
      "CREATE MATERIALIZED VIEW m AS SELECT count(*) FROM w; INSERT INTO w VALUES (201, 'x', 'y');"
      "UPDATE d SET c = 'new' WHERE a < 50; DELETE FROM d WHERE a > 150; INSERT INTO bare VALUES "
      "(7)");
  source_.Execute("REFRESH MATERIALIZED VIEW m");
  source_.Execute("VACUUM FULL w");
  source_.Execute("UPDATE w SET b = 'after' WHERE a % 3 = 0; INSERT INTO bare VALUES (8)");
  ExpectEqualSoon({"w", "d"}, *process);
  EXPECT_TRUE(Eventually([&] { return target_.Value("SELECT sum(a) FROM bare") == "15"; }));
}

// Triggers of the target that fire for replicas may refuse rows without an error.
TEST_F(PublicationTest, ATriggerOfTheTargetLeavesRowsOut) {
  const char* const tables = "CREATE TABLE t (id int PRIMARY KEY, v int)";
  source_.Execute(std::string(tables) + "; CREATE PUBLICATION mine FOR TABLE t");
  target_.Execute(
      std::string(tables) +
      "; CREATE FUNCTION choose() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN IF TG_OP = 'INSERT' "
      "AND NEW.id < 10 THEN RETURN NEW; END IF; RETURN NULL; END$$;"
      "CREATE TRIGGER choose BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION choose();"
      "ALTER TABLE t ENABLE REPLICA TRIGGER choose");
  pipeline_.sinks = {PostgresSink("on_missing_row: ignore")};
  const auto process = Run();
  ASSERT_TRUE(WaitForSnapshot(*process));
  source_.Execute(
      "INSERT INTO t VALUES (1, 1), (20, 20); UPDATE t SET v = 2; INSERT INTO t VALUES (2, 2)");
  EXPECT_TRUE(Eventually([&] { return target_.Value("SELECT count(*) FROM t") == "2"; }));
  EXPECT_EQ(target_.Value("SELECT string_agg(id || '=' || v, ' ' ORDER BY id) FROM t"), "1=1 2=2");
  process->Signal(SIGTERM);
  EXPECT_EQ(process->WaitForExit(), 0) << process->Output();
  pipeline_.sinks = {PostgresSink()};
  source_.Execute("UPDATE t SET v = 3 WHERE id = 1");
  const std::string stopped = Expect(1, "run", {"--until-current"});
  EXPECT_NE(stopped.find("diverged"), std::string::npos) << stopped;
}

TEST_F(PublicationTest, OfASchema) {
  if (shared_server->version() < 150000) GTEST_SKIP() << "FOR TABLES IN SCHEMA needs version 15";
  source_.Execute(
      "CREATE SCHEMA app; CREATE TABLE app.a (id int PRIMARY KEY, v text);"
      "CREATE TABLE outside (id int PRIMARY KEY); INSERT INTO app.a VALUES (1, 'old');"
      "CREATE PUBLICATION mine FOR TABLES IN SCHEMA app");
  pipeline_.tables = "[\"app.*\"]";
  const auto process = Run();
  ASSERT_TRUE(WaitForSnapshot(*process));
  // One that is made on both sides is published from its birth.
  for (const Database* database : {&target_, &source_}) {
    database->Execute("CREATE TABLE app.b (id int PRIMARY KEY, v text)");
  }
  source_.Execute("INSERT INTO app.b VALUES (1, 'b'); UPDATE app.a SET v = 'new'");
  ExpectEqualSoon({"app.a", "app.b"}, *process);
  // One that comes from outside holds rows from before.
  source_.Execute("INSERT INTO outside VALUES (1); ALTER TABLE outside SET SCHEMA app");
  source_.Execute("INSERT INTO app.outside VALUES (2)");
  ExpectEqualSoon({"app.a", "app.b", "app.outside"}, *process);
}

// Without another copy. What it had applied behind its last word to the slot comes again.
TEST_F(PublicationTest, GoesOnWhereASubscriptionStopped) {
  const char* const tables = "CREATE TABLE t (id int PRIMARY KEY, v text)";
  source_.Execute(std::string(tables) + "; CREATE PUBLICATION mine FOR TABLE t");
  source_.Execute("SELECT pg_create_logical_replication_slot('of_native', 'pgoutput')");
  source_.Execute("INSERT INTO t SELECT i, 'v' FROM generate_series(1, 100) i");
  target_.Execute(tables);
  target_.Execute(
      fmt::format("CREATE SUBSCRIPTION of_native CONNECTION '{}' PUBLICATION mine WITH "
                  "(create_slot = false, copy_data = false)",
                  source_.url()));
  ASSERT_TRUE(Eventually([&] { return target_.Value("SELECT count(*) FROM t") == "100"; }));
  target_.Execute("ALTER SUBSCRIPTION of_native DISABLE");
  ASSERT_TRUE(Eventually([&] {
    return source_.Value("SELECT active FROM pg_replication_slots WHERE slot_name = 'of_native'") ==
           "f";
  }));
  target_.Execute("ALTER SUBSCRIPTION of_native SET (slot_name = NONE)");
  target_.Execute("DROP SUBSCRIPTION of_native");
  source_.Execute("UPDATE t SET v = 'w' WHERE id < 50; DELETE FROM t WHERE id > 90");
  pipeline_.source_options =
      "    mode: stream\n    replication: {publication: mine, slot: of_native}\n";
  pipeline_.sinks = {PostgresSink("on_conflict: overwrite, on_missing_row: ignore")};
  RunToCurrent();
  ExpectEqual({"t"});
  // Strictly from here on.
  pipeline_.sinks = {PostgresSink()};
  source_.Execute("INSERT INTO t VALUES (200, 'x'); UPDATE t SET v = 'y' WHERE id = 1");
  RunToCurrent();
  ExpectEqual({"t"});
  Expect(0, "destroy");
}

// Named in synchronous_standby_names: sessions of the source wait for what is durable.
class SynchronousTest : public PublicationTest {
 protected:
  void SetUp() override {
    PublicationTest::SetUp();
    source_.Execute(
        "CREATE TABLE t (id serial PRIMARY KEY, v int); CREATE TABLE aside (id serial, v int);"
        "CREATE PUBLICATION mine FOR TABLE t");
    pipeline_.tables = "[\"public.t\"]";
  }
  void TearDown() override {
    Configure("ALTER SYSTEM RESET synchronous_standby_names");
    PublicationTest::TearDown();
  }
  void Configure(const std::string& command) const {
    source_.Execute(command);
    source_.Execute("SELECT pg_reload_conf()");
  }
  // The time that each of `count` commits takes.
  absl::Duration TimeOfCommit(const std::string& sql, int count) const {
    auto session = shared_server->Connect(source_.name);
    EXPECT_TRUE(session.ok()) << session.status();
    const absl::Time start = absl::Now();
    for (int i = 0; i < count; ++i) EXPECT_TRUE((*session)->Execute(sql).ok());
    return (absl::Now() - start) / count;
  }
};

TEST_F(SynchronousTest, ACommitWaitsForWhatIsDurableAndNoLonger) {
  const auto process = Run();
  ASSERT_TRUE(WaitForSnapshot(*process));
  Configure(fmt::format("ALTER SYSTEM SET synchronous_standby_names = '\"pgflow {} stream\"'",
                        pipeline_.name));
  ASSERT_TRUE(Eventually([&] {
    return source_.Value("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'") ==
           "1";
  }));
  TimeOfCommit("INSERT INTO aside (v) VALUES (0)", 1);  // pgflow has noticed.
  const absl::Duration nothing = TimeOfCommit("INSERT INTO aside (v) VALUES (1)", 50);
  const absl::Duration published = TimeOfCommit("INSERT INTO t (v) VALUES (1)", 50);
  EXPECT_LT(nothing, absl::Milliseconds(100));
  EXPECT_LT(published, absl::Milliseconds(100));
  EXPECT_EQ(target_.Value("SELECT count(*) FROM t"), "50");
  RecordProperty("commit_of_nothing_published", absl::FormatDuration(nothing));
  RecordProperty("commit_of_published", absl::FormatDuration(published));
  // What a sink cannot write is not durable, and nothing behind it.
  auto locker = shared_server->Connect(target_.name);
  ASSERT_TRUE(locker.ok());
  ASSERT_TRUE((*locker)->Execute("BEGIN; LOCK TABLE t IN SHARE MODE").ok());
  const auto commit = [&](const char* sql) {
    return std::async(std::launch::async, [this, sql] { TimeOfCommit(sql, 1); });
  };
  const std::future<void> first = commit("INSERT INTO t (v) VALUES (2)");
  ASSERT_TRUE(Eventually([&] {
    return source_.Value("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'") ==
           "1";
  }));
  const std::future<void> second = commit("INSERT INTO aside (v) VALUES (2)");
  EXPECT_EQ(second.wait_for(std::chrono::seconds(1)), std::future_status::timeout);
  EXPECT_EQ(first.wait_for(std::chrono::seconds(0)), std::future_status::timeout);
  ASSERT_TRUE((*locker)->Execute("COMMIT").ok());
  first.wait();
  EXPECT_EQ(target_.Value("SELECT count(*) FROM t"), "51");
  second.wait();
  // It starts again, though what it writes is on the same server.
  process->Signal(SIGTERM);
  EXPECT_EQ(process->WaitForExit(), 0) << process->Output();
  RunToCurrent();
}

}  // namespace
}  // namespace pgflow::tests
