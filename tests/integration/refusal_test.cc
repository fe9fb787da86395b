// What cannot work ends with a message that names the object and the remedy, and a code that is not
// zero; no message holds a password.
#include <fmt/format.h>

#include "tests/integration/system_test.h"

namespace pgflow::tests {
namespace {

constexpr const char* kPassword = "open-sesame-4711";

class RefusalTest : public SharedServerTest {
 protected:
  void SetUp() override {
    SharedServerTest::SetUp();
    source_.Execute(
        "CREATE TABLE goods (id int PRIMARY KEY, price int, name text);"
        "INSERT INTO goods SELECT i, i % 90, 'good ' || i FROM generate_series(1, 500) i");
    // So that each way a URL can reach a message is tried.
    pipeline_.source_url = WithPassword(source_, "postgres");
    pipeline_.sinks = {SinkAs("postgres", "create_schema: true")};
  }

  static std::string WithPassword(const Database& database, std::string_view role) {
    return fmt::format("postgresql://{}:{}@127.0.0.1:{}/{}", role, kPassword,
                       database.server->port(), database.name);
  }
  std::string SinkAs(std::string_view role, std::string_view options) const {
    return fmt::format("postgres: {{url: \"{}\", {}}}", WithPassword(target_, role), options);
  }

  // `pgflow run` ends with code 1 and a message that holds all of `parts`.
  void ExpectRefused(const std::vector<std::string>& parts) {
    const std::string output = Expect(1, "run", {"--until-current"});
    for (const std::string& part : parts) {
      EXPECT_NE(output.find(part), std::string::npos) << "no '" << part << "' in:\n" << output;
    }
    EXPECT_EQ(output.find(kPassword), std::string::npos) << "a password in:\n" << output;
  }

  std::string Slot() const { return "pgflow_" + pipeline_.name; }
  void DropSlot() const {
    EXPECT_TRUE(Eventually([&] {
      return source_.ValueIfAny(fmt::format(
                 "SELECT count(*) FROM pg_replication_slots WHERE slot_name = '{}' AND active",
                 Slot())) == "0";
    }));
    source_.Execute(fmt::format("SELECT pg_drop_replication_slot('{}')", Slot()));
  }
};

TEST_F(RefusalTest, UnreachableSource) {
  pipeline_.more = "startup_timeout: 1s\n";
  pipeline_.source_url = fmt::format("postgresql://postgres:{}@127.0.0.1:1/shop", kPassword);
  ExpectRefused({"source", "127.0.0.1", "1/shop"});
}

TEST_F(RefusalTest, UnreachableTarget) {
  pipeline_.more = "startup_timeout: 1s\n";
  pipeline_.sinks = {
      fmt::format("postgres: {{url: \"postgresql://postgres:{}@127.0.0.1:1/shop\"}}", kPassword)};
  ExpectRefused({"sink postgres", "127.0.0.1", "1/shop"});
}

TEST_F(RefusalTest, MissingDatabase) {
  pipeline_.source_url += "_not";
  ExpectRefused({"database", "_not", "does not exist"});
}

TEST_F(RefusalTest, NoReplicationPrivilege) {
  source_.Execute(
      fmt::format("CREATE ROLE no_replication LOGIN; ALTER TABLE goods OWNER TO no_replication;"
                  "GRANT CREATE ON DATABASE {} TO no_replication",
                  source_.name));
  pipeline_.source_url = WithPassword(source_, "no_replication");
  ExpectRefused({"source", "no_replication", "ALTER ROLE <role of the url> REPLICATION"});
}

TEST_F(RefusalTest, NoPrivilegeOnSourceTable) {
  source_.Execute("CREATE ROLE no_select LOGIN REPLICATION");
  pipeline_.source_url = WithPassword(source_, "no_select");
  ExpectRefused({"source", "public.goods", "GRANT SELECT"});
}

// Published, such a table refuses every UPDATE on the source.
TEST_F(RefusalTest, AnIdentityWithAGeneratedColumn) {
  if (source_.server->version() < 180000) {
    GTEST_SKIP() << "older servers do not refuse it";
  }
  source_.Execute(
      "CREATE TABLE doubled (n int, twice int GENERATED ALWAYS AS (n * 2) STORED);"
      "ALTER TABLE doubled REPLICA IDENTITY FULL; INSERT INTO doubled VALUES (1)");
  source_.Execute("UPDATE doubled SET n = 2");
  EXPECT_TRUE(Eventually([&] {
    return source_.Value("SELECT pg_stat_get_tuples_updated('doubled'::regclass)") == "1";
  }));
  ExpectRefused({"public.doubled", "generated column", "REPLICA IDENTITY DEFAULT"});
  source_.Execute("UPDATE doubled SET n = 3");
  source_.Execute(
      "CREATE PUBLICATION whole FOR TABLE goods, doubled WITH (publish_generated_columns = "
      "stored)");
  source_.Execute("UPDATE doubled SET n = 4");
  pipeline_.source_options = "    replication: {publication: whole}\n";
  RunToCurrent();
  source_.Execute("UPDATE doubled SET n = 5");
  RunToCurrent();
  ExpectEqual({"doubled", "goods"});
}

TEST_F(RefusalTest, NoPrivilegeOnTargetTable) {
  source_.Execute("CREATE ROLE no_insert LOGIN");
  target_.Execute(
      "CREATE TABLE goods (id int PRIMARY KEY, price int, name text);"
      "CREATE SCHEMA pgflow AUTHORIZATION no_insert; GRANT SELECT ON goods TO no_insert");
  pipeline_.sinks = {SinkAs("no_insert", "create_schema: false")};
  ExpectRefused({"sink postgres", "goods", "ermission denied"});
}

TEST_F(RefusalTest, MissingTargetTable) {
  pipeline_.sinks = {SinkAs("postgres", "create_schema: false")};
  ExpectRefused({"sink postgres", "public.goods", "create_schema"});
}

TEST_F(RefusalTest, TargetTableLacksAColumn) {
  target_.Execute("CREATE TABLE goods (id int PRIMARY KEY, name text)");
  pipeline_.sinks = {SinkAs("postgres", "create_schema: false")};
  ExpectRefused({"public.goods", "price"});
}

TEST_F(RefusalTest, TargetTableHoldsRows) {
  target_.Execute(
      "CREATE TABLE goods (id int PRIMARY KEY, price int, name text); INSERT INTO goods VALUES "
      "(1)");
  ExpectRefused({"public.goods", "on_existing_rows"});
  EXPECT_EQ(target_.Value("SELECT count(*) FROM goods"), "1");
}

TEST_F(RefusalTest, AColumnThatRoundsIsRefused) {
  source_.Execute("ALTER TABLE goods ADD exact numeric(12,4) DEFAULT 1.2345");
  target_.Execute(
      "CREATE TABLE goods (id int PRIMARY KEY, price int, name varchar(40), exact numeric(12,2))");
  const std::string problem = "column exact is numeric(12,4) at the source and numeric(12,2) in";
  ExpectRefused({"public.goods", problem, "on_narrower_column: round"});
  const std::string refused = Expect(3, "check");
  EXPECT_NE(refused.find(problem), std::string::npos) << refused;
  pipeline_.sinks = {SinkAs("postgres", "on_narrower_column: round")};
  const std::string accepted = Expect(0, "check");
  for (const std::string& warning : {problem, std::string("name is text at the source and")}) {
    EXPECT_NE(accepted.find(warning), std::string::npos) << accepted;
  }
  RunToCurrent();
  EXPECT_EQ(target_.Value("SELECT DISTINCT exact FROM goods"), "1.23");
}

// Of a pipeline that runs, too: the target did not follow a change of the source's type.
TEST_F(RefusalTest, AColumnThatIsWidenedAtTheSourceOnly) {
  source_.Execute("ALTER TABLE goods ALTER price TYPE numeric(10,2)");
  RunToCurrent();
  source_.Execute(
      "ALTER TABLE goods ALTER price TYPE numeric(12,4); UPDATE goods SET price = 1.23"
      "45 WHERE id = 7");
  ExpectRefused({"public.goods", "column price is numeric(12,4)", "on_narrower_column: round"});
}

TEST_F(RefusalTest, SlotMissingThoughACheckpointExists) {
  RunToCurrent();
  DropSlot();
  source_.Execute("DELETE FROM goods WHERE id = 1");
  ExpectRefused({Slot(), "did not exist", "pgflow destroy"});
  EXPECT_EQ(
      source_.Value("SELECT count(*) FROM pg_replication_slots WHERE slot_name = '" + Slot() + "'"),
      "0")
      << "the slot that nobody will read was left behind";
  ExpectRefused({Slot(), "did not exist"});
  // As the message says.
  Expect(0, "destroy");
  target_.Execute("TRUNCATE goods");
  RunToCurrent();
  ExpectEqual({"goods"});
}

TEST_F(RefusalTest, RecreatedSlot) {
  RunToCurrent();
  DropSlot();
  source_.Execute("DELETE FROM goods WHERE id = 1");
  source_.Execute(
      fmt::format("SELECT pg_create_logical_replication_slot('{}', 'pgoutput')", Slot()));
  ExpectRefused({Slot(), "has moved", "pgflow destroy"});
}

TEST_F(RefusalTest, SlotOfAnotherPlugin) {
  source_.Execute(
      fmt::format("SELECT pg_create_logical_replication_slot('{}', 'test_decoding')", Slot()));
  ExpectRefused({Slot(), "test_decoding"});
}

TEST_F(RefusalTest, AnotherSystemThanTheCheckpoints) {
  RunToCurrent();
  // Scratch servers are copies of one cluster and share its identifier, so the checkpoint changes.
  target_.Execute("UPDATE pgflow.checkpoint SET system_identifier = 4711");
  ExpectRefused({"system identifier", "pgflow destroy"});
}

TEST_F(RefusalTest, ARowThatTheTargetRefusesStopsTheStream) {
  RunToCurrent();
  target_.Execute("ALTER TABLE goods ADD CONSTRAINT cheap CHECK (price < 100)");
  source_.Execute("UPDATE goods SET price = 5 WHERE id = 1");
  source_.Execute(
      "UPDATE goods SET price = 500 WHERE id = 2; UPDATE goods SET price = 6 WHERE id = 3");
  source_.Execute("UPDATE goods SET price = 7 WHERE id = 4");
  ExpectRefused({"sink postgres", "goods", "cheap"});
  // Nothing of that transaction is there, and it is not skipped either.
  EXPECT_EQ(target_.Value("SELECT price FROM goods WHERE id = 3"), "3");
  target_.Execute("ALTER TABLE goods DROP CONSTRAINT cheap");
  RunToCurrent();
  ExpectEqual({"goods"});
}

TEST_F(RefusalTest, ADeadLetterTakesTheRowAndReplayPutsItBack) {
  RunToCurrent();
  target_.Execute("ALTER TABLE goods ADD CONSTRAINT cheap CHECK (price < 100)");
  source_.Execute(
      "BEGIN; UPDATE goods SET price = 5 WHERE id = 1; UPDATE goods SET price = 500 WHERE id = 2;"
      "INSERT INTO goods VALUES (1000, 1000, 'dear'), (1001, 1, 'cheap'); COMMIT");
  const std::string file = directory_ / "refused.jsonl";
  pipeline_.sinks[0] += fmt::format(", dead_letter: {{file: \"{}\"}}", file);
  const std::string output = Expect(0, "run", {"--until-current"});
  EXPECT_NE(output.find("dead letter"), std::string::npos) << output;
  EXPECT_EQ(CountOf(ReadFile(file), "\n"), 2u) << ReadFile(file);
  EXPECT_EQ(target_.Value("SELECT price FROM goods WHERE id = 1"), "5");
  EXPECT_EQ(target_.Value("SELECT count(*) FROM goods WHERE id IN (1000, 1001)"), "1");
  const std::string again = Expect(1, "replay");
  EXPECT_NE(again.find("cheap"), std::string::npos) << again;
  EXPECT_EQ(CountOf(ReadFile(file), "\n"), 2u) << "a row that was refused again must stay";
  target_.Execute("ALTER TABLE goods DROP CONSTRAINT cheap");
  Expect(0, "replay");
  ExpectEqual({"goods"});
  EXPECT_EQ(CountOf(ReadFile(file), "\n"), 0u);
}

TEST_F(RefusalTest, ARefusedSnapshotRow) {
  target_.Execute(
      "CREATE TABLE goods (id int PRIMARY KEY, price int, name text,"
      " CONSTRAINT even CHECK (id % 100 <> 7))");
  ExpectRefused({"snapshot", "goods", "even"});
  const std::string file = directory_ / "refused.jsonl";
  pipeline_.sinks[0] += fmt::format(", dead_letter: {{file: \"{}\"}}", file);
  Expect(0, "run", {"--until-current"});
  EXPECT_EQ(target_.Value("SELECT count(*) FROM goods"), "495");
  EXPECT_EQ(CountOf(ReadFile(file), "\n"), 5u) << ReadFile(file);
  target_.Execute("ALTER TABLE goods DROP CONSTRAINT even");
  Expect(0, "replay");
  ExpectEqual({"goods"});
}

// Whoever makes tables and rows on the source writes no statements for the target.
TEST_F(RefusalTest, NamesAndValuesAreNoStatements) {
  const std::string table = R"("a""; DROP TABLE victim; --'\")";
  const std::string column = R"("c"") VALUES (1); DROP TABLE victim; --'$$\")";
  const std::string value = R"('\''); DROP TABLE victim; --"$$\.')";
  target_.Execute("CREATE TABLE victim (id int)");
  source_.Execute(
      fmt::format("CREATE TABLE {0} ({1} text PRIMARY KEY, n int);"
                  "INSERT INTO {0} VALUES ({2}, 1), ('x', 1)",
                  table, column, value));
  RunToCurrent();
  source_.Execute(
      fmt::format("UPDATE {0} SET n = 2 WHERE {1} = {2};"
                  "INSERT INTO {0} SELECT {2} || i, i FROM generate_series(1, 600) i;"
                  "UPDATE {0} SET {1} = {1} || {2} WHERE n = 7;"
                  "DELETE FROM {0} WHERE n = 8",
                  table, column, value));
  RunToCurrent();
  const std::string rows = fmt::format(
      "SELECT md5(string_agg(t::text, E'\n' ORDER BY t::text COLLATE \"C\")) FROM {} t", table);
  EXPECT_EQ(target_.Value(rows), source_.Value(rows));
  EXPECT_EQ(target_.Value(fmt::format("SELECT count(*) FROM {}", table)), "601");
  EXPECT_EQ(target_.Value("SELECT count(*) FROM victim"), "0");
}

// A row that is missing in the target shows that somebody else has written there.
TEST_F(RefusalTest, ADivergedTarget) {
  RunToCurrent();
  target_.Execute("DELETE FROM goods WHERE id = 77");
  source_.Execute("UPDATE goods SET price = 1 WHERE id = 77");
  ExpectRefused({"goods", "77"});
}

TEST_F(RefusalTest, TheSpoolsDiskIsFull) {
  pipeline_.sinks.emplace_back("blackhole: {}");  // The fastest sink is what the source waits for.
  RunToCurrent();
  source_.Execute(
      "INSERT INTO goods SELECT i, 1, repeat(md5(i::text), 20) FROM generate_series(1000, 30000) "
      "i");
  pipeline_.more = "spool: {memory: 1MiB}\n";
  file_bytes_max_ = 4 << 20;
  // The sink cannot keep up: its table is locked.
  auto holder = target_.server->Connect(target_.name);
  ASSERT_TRUE(holder.ok());
  ASSERT_TRUE((*holder)->Execute("BEGIN; LOCK TABLE goods IN ACCESS EXCLUSIVE MODE").ok());
  const auto process = Run();
  EXPECT_EQ(process->WaitForExit(), 1) << process->Output();
  EXPECT_TRUE(process->Printed("spool")) << process->Output();
  EXPECT_TRUE(process->Printed(directory_ / "state/spool")) << process->Output();
  holder->reset();
  // With room, nothing is missing.
  file_bytes_max_ = 0;
  RunToCurrent();
  ExpectEqual({"goods"});
}

TEST_F(RefusalTest, AnUnwritableStateDirectory) {
  WriteFile(directory_ / "file", "");
  pipeline_.state_directory = directory_ / "file/state";
  ExpectRefused({directory_ / "file/state"});
}

TEST_F(RefusalTest, NoSuchTable) {
  pipeline_.tables = "[\"nowhere.*\"]";
  ExpectRefused({"source", "no table", "tables.include"});
}

// A server that asks for passwords.
class PasswordTest : public RefusalTest {
 protected:
  void SetUp() override {
    RefusalTest::SetUp();
    const std::string file = shared_server->data_directory() + "/pg_hba.conf";
    before_ = ReadFile(file);
    WriteFile(file, "host all locked 127.0.0.1/32 scram-sha-256\n" + before_);
    source_.Execute(
        "DROP ROLE IF EXISTS locked; CREATE ROLE locked LOGIN SUPERUSER PASSWORD 'right';"
        "SELECT pg_reload_conf()");
  }
  void TearDown() override {
    WriteFile(shared_server->data_directory() + "/pg_hba.conf", before_);
    source_.Execute("SELECT pg_reload_conf()");
  }

  std::string before_;
};

TEST_F(PasswordTest, WrongAtTheSource) {
  pipeline_.source_url = WithPassword(source_, "locked");
  ExpectRefused({"source", "locked", "password authentication failed"});
  const std::string found = Expect(3, "check");
  EXPECT_EQ(found.find(kPassword), std::string::npos) << found;
}

TEST_F(PasswordTest, WrongAtTheTarget) {
  pipeline_.sinks = {SinkAs("locked", "create_schema: true")};
  ExpectRefused({"sink postgres", "locked", "password authentication failed"});
}

TEST_F(PasswordTest, AnInvalidUrlKeepsItsSecret) {
  pipeline_.source_url = fmt::format("postgresql://locked:{}@[broken/x", kPassword);
  const std::string output = Expect(1, "run");
  EXPECT_EQ(output.find(kPassword), std::string::npos) << output;
}

TEST(WalLevelTest, ReplicaIsRefusedWithTheSetting) {
  const auto server = ScratchPostgres::Make({.settings = {{"wal_level", "replica"}}});
  ASSERT_TRUE(server.ok()) << server.status();
  ASSERT_TRUE((*server)->Execute("CREATE TABLE t (id int PRIMARY KEY)").ok());
  const TemporaryDirectory directory;
  PipelineText pipeline;
  pipeline.name = "replica";
  pipeline.source_url = (*server)->url();
  pipeline.state_directory = directory / "state";
  pipeline.sinks = {"blackhole: {}"};
  WriteFile(directory / "pipeline.yaml", pipeline.ToYaml());
  for (const auto& [command, code] : {std::pair<const char*, int>{"run", 1}, {"check", 3}}) {
    const auto process = PgflowProcess::Start(
        {.arguments = {command, directory / "pipeline.yaml"}, .output_file = directory / "log"});
    EXPECT_EQ(process->WaitForExit(), code) << process->Output();
    EXPECT_TRUE(process->Printed("wal_level")) << process->Output();
    EXPECT_TRUE(process->Printed("logical")) << process->Output();
  }
}

// The server gave up keeping WAL for the slot.
TEST(LostSlotTest, IsRefusedWithTheRemedy) {
  const auto server = ScratchPostgres::Make(
      {.settings = {
           {"max_slot_wal_keep_size", "1MB"}, {"max_wal_size", "64MB"}, {"min_wal_size", "32MB"}}});
  ASSERT_TRUE(server.ok()) << server.status();
  const Database source{server->get()};
  source.Execute("CREATE TABLE t (id int PRIMARY KEY, filler text); INSERT INTO t VALUES (1, '')");
  const TemporaryDirectory directory;
  PipelineText pipeline;
  pipeline.name = "lost";
  pipeline.source_url = source.url();
  pipeline.state_directory = directory / "state";
  pipeline.sinks = {"blackhole: {}"};
  WriteFile(directory / "pipeline.yaml", pipeline.ToYaml());
  const auto run = [&](const std::string& command) {
    auto process = PgflowProcess::Start(
        {.arguments = {command, directory / "pipeline.yaml"}, .output_file = directory / "log"});
    EXPECT_EQ(process->WaitForExit(), command == "init" ? 0 : 1) << process->Output();
    return process;
  };
  run("init");
  for (int i = 0; i < 6; ++i) {
    source.Execute(
        fmt::format("INSERT INTO t SELECT i, repeat(md5(i::text), 20) FROM generate_series({0}, "
                    "{0} + 20000) i",
                    10 + i * 30000));
    source.Execute("SELECT pg_switch_wal()");
    source.Execute("CHECKPOINT");
  }
  EXPECT_EQ(source.Value("SELECT wal_status FROM pg_replication_slots"), "lost");
  const auto process = run("run");
  EXPECT_TRUE(process->Printed("pgflow_lost")) << process->Output();
  EXPECT_TRUE(process->Printed("max_slot_wal_keep_size")) << process->Output();
  EXPECT_TRUE(process->Printed("pgflow destroy")) << process->Output();
}

}  // namespace
}  // namespace pgflow::tests
