// DDL beyond the cases of tests/conformance: who may write it, what the options do, and what is
// left without event triggers.
#include <csignal>
#include <thread>

#include <fmt/format.h>

#include "engine/testing/scratch_cluster.h"
#include "postgres/types/sql_state.h"
#include "tests/integration/system_test.h"

namespace pgflow::tests {
namespace {

class DdlTest : public SharedServerTest {
 protected:
  void SetUp() override {
    SharedServerTest::SetUp();
    pipeline_.source_options = "    replication: {ddl: true}\n";
    source_.Execute("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a')");
  }
  std::string ColumnsOf(const Database& database, const std::string& table = "t") const {
    return database.Value(
        fmt::format("SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' "
                    "ORDER BY attnum) FROM pg_attribute WHERE attrelid = '{}'::regclass AND attnum "
                    "> 0 AND NOT attisdropped",
                    table));
  }
};

TEST_F(DdlTest, AMessageOfSomebodyElseIsNone) {
  RunToCurrent();
  source_.Execute(
      "SELECT pg_logical_emit_message(true, 'pgflow.ddl', '{\"tag\": \"X\", \"after\": "
      "{\"object\": "
      "\"schema\", \"name\": \"public2\"}}');"
      "SELECT pg_logical_emit_message(true, 'pgflow.ddl', '{\"error\": \"x\"}');"
      "SELECT pg_logical_emit_message(true, 'pgflow.rows', 'nonsense');"
      "INSERT INTO t VALUES (2, 'b')");
  RunToCurrent();
  ExpectEqual({"t"});
  EXPECT_EQ(target_.Value("SELECT count(*) FROM pg_namespace WHERE nspname = 'public2'"), "0");
  Expect(0, "destroy");
}

// The capture's messages are written in a subtransaction, the rows around them are not; the decoder
// sorts the two by LSN, and does not say which comes first of two that are equal.
TEST_F(DdlTest, NoCommandHasTheLsnOfARow) {
  if (source_.server->version() < 140000) {
    GTEST_SKIP() << "messages are rows in this version";
  }
  Expect(0, "init");
  for (int i = 0; i < 10; ++i) {
    source_.Execute(fmt::format(
        "ALTER TABLE t ADD COLUMN c{0} int; INSERT INTO t (id) VALUES ({1})", i, 100 + i));
  }
  EXPECT_EQ(source_.Value(fmt::format(
                "WITH change AS (SELECT lsn, get_byte(data, 0) AS kind, "
                "position('pgflow.ddl'::bytea IN data) > 0 AS ddl FROM "
                "pg_logical_slot_peek_binary_changes('pgflow_{0}', NULL, NULL, 'proto_version', "
                "'1', 'publication_names', 'pgflow_{0}', 'messages', 'true')) "
                "SELECT count(*) FILTER (WHERE ddl) || ' commands, ' || count(*) FILTER (WHERE ddl "
                "AND lsn IN (SELECT lsn FROM change WHERE kind = ascii('I'))) FROM change",
                pipeline_.name)),
            "10 commands, 0");
  Expect(0, "destroy");
}

// Locks that these take do not exclude each other, so neither sees what the other one did.
TEST_F(DdlTest, CommandsOnOneTableAtTheSameTimeAreBothKnown) {
  RunToCurrent();
  const auto other = shared_server->Connect(source_.name);
  ASSERT_TRUE(other.ok()) << other.status();
  const auto beside = [&](const std::string& first, const std::string& second) {
    ASSERT_TRUE((*other)->Execute("BEGIN; " + first).ok());
    std::jthread meanwhile([&] { source_.Execute(second); });
    source_.Execute("SELECT pg_sleep(0.3)");
    ASSERT_TRUE((*other)->Execute("COMMIT").ok());
  };
  beside("CREATE INDEX a ON t (v)", "CREATE INDEX b ON t (id, v)");
  source_.Execute("DROP INDEX a");
  beside("GRANT SELECT ON t TO PUBLIC", "CREATE INDEX c ON t (id)");
  source_.Execute("REVOKE SELECT ON t FROM PUBLIC");
  beside("CREATE INDEX d ON t (v)", "GRANT INSERT ON t TO PUBLIC");
  source_.Execute("DROP INDEX d");
  RunToCurrent();
  const std::string definitions =
      "SELECT string_agg(indexdef, '; ' ORDER BY indexname) || (SELECT relacl::text FROM pg_class "
      "WHERE oid = 't'::regclass) FROM pg_indexes WHERE tablename = 't'";
  EXPECT_EQ(target_.Value(definitions), source_.Value(definitions));
  Expect(0, "destroy");
}

// It began before there were triggers, so nobody told the capture of its table.
TEST_F(DdlTest, ATransactionThatRunsWhileTheCaptureIsMadeIsKnown) {
  const auto other = shared_server->Connect(source_.name);
  ASSERT_TRUE(other.ok()) << other.status();
  ASSERT_TRUE((*other)->Execute("BEGIN; CREATE TABLE late (id int PRIMARY KEY)").ok());
  const std::unique_ptr<PgflowProcess> init = Start("init");
  EXPECT_TRUE(Eventually([&] {
    return source_.ValueIfAny(
               "SELECT count(*) FROM pg_event_trigger WHERE evtname = "
               "'pgflow_capture'") == "1";
  }));
  ASSERT_TRUE((*other)->Execute("COMMIT").ok());
  EXPECT_EQ(init->WaitForExit(), 0) << init->Output();
  EXPECT_EQ(source_.Value("SELECT state ->> 'name' FROM pgflow.object_state WHERE object = "
                          "'late'::regclass"),
            "late");
  Expect(0, "destroy");
}

// It cannot know what the table looks like now. An error that says so is better than a capture that
// does not.
TEST_F(DdlTest, ATransactionWithAnOldSnapshotHasToTryAgain) {
  RunToCurrent();
  const auto other = shared_server->Connect(source_.name);
  ASSERT_TRUE(other.ok()) << other.status();
  ASSERT_TRUE((*other)->Execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1 FROM t").ok());
  source_.Execute("CREATE INDEX a ON t (v)");
  const absl::Status refused = (*other)->Execute("CREATE INDEX b ON t (id, v)").status();
  EXPECT_EQ(postgres::SqlStateOf(refused), "40001") << refused;
  ASSERT_TRUE((*other)->Execute("ROLLBACK; CREATE INDEX b ON t (id, v)").ok());
  source_.Execute("DROP INDEX a");
  RunToCurrent();
  EXPECT_EQ(target_.Value("SELECT string_agg(indexname, ' ') FROM pg_indexes WHERE tablename = 't' "
                          "AND indexname IN ('a', 'b')"),
            "b");
  Expect(0, "destroy");
}

TEST_F(DdlTest, StopsOrReportsWhereThatIsAskedFor) {
  RunToCurrent();
  source_.Execute("ALTER TABLE t ADD COLUMN w int DEFAULT 3; INSERT INTO t VALUES (2, 'b')");
  pipeline_.sinks = {PostgresSink("ddl: stop")};
  const std::string stopped = Expect(1, "run", {"--until-current"});
  EXPECT_NE(stopped.find("ALTER TABLE (table public.t)"), std::string::npos) << stopped;
  EXPECT_EQ(target_.Value("SELECT count(*) FROM t"), "1");
  target_.Execute("ALTER TABLE t ADD COLUMN w int DEFAULT 3");
  pipeline_.sinks = {PostgresSink("ddl: report")};
  RunToCurrent();
  ExpectEqual({"t"});
  Expect(0, "destroy");
}

TEST_F(DdlTest, OnlyChosenObjectsAndSchemasFollow) {
  pipeline_.sinks = {
      PostgresSink("create_schema: true, ddl_objects: [table, schema], ddl_schemas: [public]")};
  pipeline_.tables = "[\"*.*\"]";
  RunToCurrent();
  source_.Execute(
      "ALTER TABLE t ADD COLUMN w int; CREATE VIEW seen AS SELECT id FROM t; CREATE SCHEMA other; "
      "INSERT INTO t VALUES (2, 'b', 3)");
  RunToCurrent();
  ExpectEqual({"t"});
  EXPECT_EQ(
      target_.Value("SELECT to_regclass('seen') IS NULL AND to_regnamespace('other') IS NULL"),
      "t");
  pipeline_.sinks = {PostgresSink("ddl_objects: [tables]")};
  EXPECT_NE(Expect(3, "validate").find("'tables' is none of table, view"), std::string::npos);
  pipeline_.sinks = {PostgresSink()};
  Expect(0, "destroy");
}

TEST_F(DdlTest, WhatTheTargetRefusesStopsWithItsStatement) {
  RunToCurrent();
  target_.Execute("CREATE VIEW uses_v AS SELECT v FROM t");
  source_.Execute("ALTER TABLE t DROP COLUMN v");
  const std::string refused = Expect(1, "run", {"--until-current"});
  EXPECT_NE(refused.find("DROP COLUMN IF EXISTS \"v\""), std::string::npos) << refused;
  target_.Execute("DROP VIEW uses_v");
  RunToCurrent();
  EXPECT_EQ(ColumnsOf(target_), "id integer");
  Expect(0, "destroy");
}

TEST_F(DdlTest, WhatTheSnapshotDidNotBringArrivesWithItsNextCommand) {
  source_.Execute(
      "CREATE VIEW seen AS SELECT id FROM t; CREATE MATERIALIZED VIEW sums AS SELECT count(*) FROM "
      "t;"
      "CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE SEQUENCE numbers;"
      "CREATE TYPE mood AS ENUM ('sad')");
  RunToCurrent();
  EXPECT_EQ(target_.Value("SELECT to_regclass('seen') IS NULL"), "t");
  source_.Execute(
      "ALTER VIEW seen RENAME TO watched; REFRESH MATERIALIZED VIEW sums;"
      "ALTER FUNCTION one() RENAME TO two; ALTER SEQUENCE numbers INCREMENT 5;"
      "ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'");
  RunToCurrent();
  for (const char* found :
       {"(SELECT count(*) FROM watched) = 1", "(SELECT count FROM sums) = 1", "two() = 1",
        "(SELECT seqincrement FROM pg_sequence) = 5", "'blue'::mood IS NOT NULL"}) {
    EXPECT_EQ(target_.Value(fmt::format("SELECT {}", found)), "t") << found;
  }
  Expect(0, "destroy");
}

TEST_F(DdlTest, WithoutEventTriggersColumnsFollow) {
  source_.Execute(
      fmt::format("CREATE ROLE no_triggers LOGIN REPLICATION; GRANT CREATE ON DATABASE {} TO "
                  "no_triggers; ALTER "
                  "TABLE t OWNER TO no_triggers",
                  source_.name));
  pipeline_.source_url = source_.url("no_triggers");
  const absl::StatusOr<int> port = engine::FindFreePort();
  ASSERT_TRUE(port.ok());
  pipeline_.more = fmt::format("admin: {{listen: \"127.0.0.1:{}\"}}\n", *port);
  const auto process = Run();
  ASSERT_TRUE(WaitForSnapshot(*process));
  EXPECT_TRUE(Eventually([&] {
    return Expect(0, "status").find("ddl: columns only") != std::string::npos;
  })) << Expect(0, "status");
  EXPECT_TRUE(process->Printed("may not create event triggers"));
  source_.Execute("UPDATE t SET v = 'first'");
  ExpectEqualSoon({"t"}, *process);
  source_.Execute("ALTER TABLE t ADD COLUMN w numeric(8,2); INSERT INTO t VALUES (2, 'b', 1.5)");
  source_.Execute("ALTER TABLE t RENAME COLUMN v TO renamed; UPDATE t SET renamed = 'c'");
  ExpectEqualSoon({"t"}, *process);
  source_.Execute("ALTER TABLE t DROP COLUMN renamed; DELETE FROM t WHERE id = 1");
  ExpectEqualSoon({"t"}, *process);
  EXPECT_EQ(ColumnsOf(target_), ColumnsOf(source_));
  process->Signal(SIGTERM);
  EXPECT_EQ(process->WaitForExit(), 0) << process->Output();
  EXPECT_NE(Expect(0, "check").find("may not create event triggers"), std::string::npos);
  Expect(0, "destroy");
}

TEST_F(DdlTest, ASuperuserTellsTheCaptureOfOtherTables) {
  source_.Execute(
      fmt::format("CREATE ROLE plain LOGIN REPLICATION; GRANT CREATE ON DATABASE {} TO plain;"
                  "CREATE TABLE u (id int PRIMARY KEY); INSERT INTO u VALUES (1);"
                  "ALTER TABLE t OWNER TO plain; ALTER TABLE u OWNER TO plain",
                  source_.name));
  const std::string superuser = pipeline_.source_url;
  pipeline_.tables = "[public.t]";
  Expect(0, "init");
  source_.Execute(fmt::format(
      "GRANT SELECT ON pgflow.capture_secret TO plain; ALTER PUBLICATION pgflow_{} OWNER TO plain",
      pipeline_.name));
  pipeline_.source_url = source_.url("plain");
  RunToCurrent();
  pipeline_.tables = "[\"public.*\"]";
  const std::string check = Expect(3, "check");
  EXPECT_NE(check.find("for other tables than the file selects now"), std::string::npos) << check;
  EXPECT_NE(check.find("table public.u: joins the stream"), std::string::npos) << check;
  const std::string refused = Expect(1, "run", {"--until-current"});
  EXPECT_NE(refused.find("let a superuser run `pgflow init`"), std::string::npos) << refused;
  pipeline_.source_url = superuser;
  Expect(0, "init");
  pipeline_.source_url = source_.url("plain");
  source_.Execute("ALTER TABLE u ADD COLUMN v int DEFAULT 2; INSERT INTO u VALUES (2, 3)");
  RunToCurrent();
  ExpectEqual({"t", "u"});
  pipeline_.source_url = superuser;
  Expect(0, "destroy");
}

// Never the columns only: the pipeline was promised all DDL.
TEST_F(DdlTest, ARoleWithoutRightsDoesNotGoOnWithACaptureThatDoesNotServeIt) {
  source_.Execute(
      fmt::format("CREATE ROLE reader LOGIN REPLICATION; GRANT CREATE ON DATABASE {} TO reader;"
                  "ALTER TABLE t OWNER TO reader",
                  source_.name));
  const std::string superuser = pipeline_.source_url;
  const auto refuse = [&](const std::string& reason) {
    pipeline_.source_url = source_.url("reader");
    const std::string check = Expect(3, "check");
    EXPECT_NE(check.find(reason), std::string::npos) << check;
    const std::string run = Expect(1, "run", {"--until-current"});
    EXPECT_NE(run.find(reason), std::string::npos) << run;
    pipeline_.source_url = superuser;
  };
  Expect(0, "init");
  source_.Execute(fmt::format("ALTER PUBLICATION pgflow_{} OWNER TO reader", pipeline_.name));
  refuse("GRANT SELECT ON pgflow.capture_secret");
  source_.Execute(
      "GRANT SELECT ON pgflow.capture_secret TO reader;"
      "COMMENT ON EVENT TRIGGER pgflow_capture IS 'pgflow DDL capture of before'");
  refuse("made by another version of pgflow");
  Expect(0, "init");
  source_.Execute("ALTER EVENT TRIGGER pgflow_capture DISABLE");
  refuse("event triggers are disabled or gone");
  const std::string mended = Expect(0, "init");
  EXPECT_NE(mended.find("what was changed before now is not known"), std::string::npos) << mended;
  pipeline_.source_url = source_.url("reader");
  RunToCurrent();
  source_.Execute("ALTER TABLE t ADD COLUMN made int DEFAULT 7; UPDATE t SET v = 'after'");
  RunToCurrent();
  ExpectEqual({"t"});
  pipeline_.source_url = superuser;
  source_.Execute("DROP EVENT TRIGGER pgflow_capture_start");
  Expect(0, "destroy");
}

TEST_F(DdlTest, ASchemaOfSomebodyElseIsNotTrusted) {
  source_.Execute("CREATE ROLE squatter; CREATE SCHEMA pgflow AUTHORIZATION squatter");
  const std::string refused = Expect(1, "init");
  EXPECT_NE(refused.find("belongs to squatter"), std::string::npos) << refused;
  source_.Execute("DROP SCHEMA pgflow");
  Expect(0, "init");
  Expect(0, "destroy");
  EXPECT_EQ(source_.Value("SELECT count(*) FROM pg_event_trigger"), "0");
  EXPECT_EQ(source_.Value("SELECT count(*) FROM pg_namespace WHERE nspname = 'pgflow'"), "0");
}

// What triggers of one command leave for a later one, said by a user instead.
TEST_F(DdlTest, NobodyForgesWhatACommandDid) {
  if (source_.server->version() < 140000) {
    GTEST_SKIP() << "messages are rows in this version";
  }
  source_.Execute(
      "CREATE ROLE forger; GRANT CREATE ON SCHEMA public TO forger; SET ROLE forger; "
      "CREATE TABLE own (id int PRIMARY KEY, v text, w text)");
  RunToCurrent();
  source_.Execute(
      "SET SESSION AUTHORIZATION forger; SELECT set_config('pgflow.rewritten', concat_ws(',', "
      "'own'::regclass::oid, 't'::regclass::oid), false), set_config('pgflow.rewritten_whole', "
      "'on', false), set_config('pgflow.cascade', 'on', false), set_config('pgflow.busy', 'x', "
      "false); ALTER TABLE own ADD COLUMN x int; ALTER TABLE own DROP COLUMN w");
  EXPECT_EQ(source_.Value(fmt::format(
                "SELECT count(*) FILTER (WHERE position('pgflow.ddl'::bytea IN data) > 0) || "
                "' commands, ' || count(*) FILTER (WHERE position('pgflow.rows'::bytea IN data) > "
                "0) || ' blocks of rows, ' || count(*) FILTER (WHERE position('\"cascade\": "
                "true'::bytea IN data) > 0) || ' cascades' FROM "
                "pg_logical_slot_peek_binary_changes('pgflow_{0}', NULL, NULL, 'proto_version', "
                "'1', 'publication_names', 'pgflow_{0}', 'messages', 'true')",
                pipeline_.name)),
            "2 commands, 0 blocks of rows, 0 cascades");
  EXPECT_EQ(source_.Value("SELECT count(*) FROM pgflow.command_note"), "0");
  Expect(0, "destroy");
  source_.Execute("DROP OWNED BY forger; DROP ROLE forger");
}

TEST_F(DdlTest, DefaultPrivilegesOpenNothingOfTheCapture) {
  source_.Execute(
      "CREATE ROLE everywhere; ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO everywhere; ALTER "
      "DEFAULT PRIVILEGES GRANT ALL ON FUNCTIONS TO everywhere; ALTER DEFAULT PRIVILEGES GRANT ALL "
      "ON SCHEMAS TO everywhere");
  Expect(0, "init");
  const std::string open =
      "SELECT concat_ws(' ', has_schema_privilege('everywhere', 'pgflow', 'CREATE'), "
      "(SELECT string_agg(relname, ' ') FROM pg_class WHERE relnamespace = 'pgflow'::regnamespace "
      "AND relkind = 'r' AND (has_table_privilege('everywhere', oid, 'INSERT, UPDATE, DELETE, "
      "TRUNCATE, TRIGGER') OR relname <> 'capture_pipeline' AND has_table_privilege('everywhere', "
      "oid, 'SELECT'))), (SELECT string_agg(proname, ' ') FROM pg_proc WHERE pronamespace = "
      "'pgflow'::regnamespace AND has_function_privilege('everywhere', oid, 'EXECUTE')))";
  EXPECT_EQ(source_.Value(open), "f");
  // Who may read the secret was said by hand, and stays so.
  source_.Execute("GRANT SELECT ON pgflow.capture_secret TO everywhere");
  source_.Execute("COMMENT ON EVENT TRIGGER pgflow_capture IS 'another version'");
  Expect(0, "init");
  EXPECT_EQ(source_.Value(open), "f capture_secret");
  Expect(0, "destroy");
  source_.Execute("DROP OWNED BY everywhere; DROP ROLE everywhere");
}

// The sink's role is a superuser here, and what an ordinary user of the source makes would run as
// it.
TEST_F(DdlTest, WhatAUserMakesDoesNotRunAsTheSink) {
  source_.Execute("CREATE ROLE climber; GRANT CREATE ON SCHEMA public TO climber");
  target_.Execute("GRANT CREATE ON SCHEMA public TO climber");
  RunToCurrent();
  source_.Execute(
      "SET SESSION AUTHORIZATION climber;"
      "CREATE FUNCTION climb() RETURNS bool LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN "
      "IF current_database() LIKE '%target' THEN EXECUTE 'ALTER ROLE climber SUPERUSER'; END IF; "
      "RETURN true; END $$;"
      "CREATE FUNCTION climb_by_trigger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
      "PERFORM climb(); RETURN new; END $$;"
      "CREATE TABLE rock (id int PRIMARY KEY, v int DEFAULT 1 CHECK (climb()));"
      "CREATE INDEX ON rock ((climb())); CREATE INDEX ON rock (v) WHERE climb();"
      "CREATE TRIGGER t BEFORE INSERT ON rock FOR EACH ROW EXECUTE FUNCTION climb_by_trigger();"
      "ALTER TABLE rock ENABLE ALWAYS TRIGGER t; CREATE DOMAIN peak AS int CHECK (climb());"
      "CREATE TABLE top (id int PRIMARY KEY, p peak); ALTER TABLE rock ADD w bool DEFAULT climb();"
      "CREATE MATERIALIZED VIEW seen AS SELECT climb();"
      "INSERT INTO rock VALUES (1, 1); INSERT INTO top VALUES (1, 1); UPDATE rock SET v = 2");
  RunToCurrent();
  ExpectEqual({"rock", "top"});
  EXPECT_EQ(target_.Value("SELECT rolsuper FROM pg_roles WHERE rolname = 'climber'"), "f");
  EXPECT_EQ(target_.Value("SELECT pg_get_userbyid(proowner) FROM pg_proc WHERE proname = 'climb'"),
            "climber");
  EXPECT_EQ(target_.Value("SELECT count(*) FROM pg_trigger WHERE tgrelid = 'rock'::regclass"), "0");
  Expect(0, "destroy");
}

TEST_F(DdlTest, OrdinaryRolesRunDdl) {
  RunToCurrent();
  source_.Execute(
      "CREATE ROLE developer LOGIN; CREATE SCHEMA dev AUTHORIZATION developer; GRANT CREATE ON "
      "SCHEMA public TO developer; SET ROLE developer; CREATE TABLE public.made (id serial PRIMARY "
      "KEY, v text); INSERT INTO public.made (v) VALUES ('x'); ALTER TABLE public.made ADD COLUMN "
      "r "
      "float8 DEFAULT random()");
  RunToCurrent();
  ExpectEqual({"t", "made"});
  Expect(0, "destroy");
}

}  // namespace
}  // namespace pgflow::tests
