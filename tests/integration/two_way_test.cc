// Two databases that replicate into each other: what one side applied never goes back.
#include <csignal>

#include <fmt/format.h>

#include "tests/integration/system_test.h"

namespace pgflow::tests {
namespace {

// Counts what is applied to a table, whoever applies it.
constexpr const char* kCount = R"sql(
CREATE TABLE applied (what text);
CREATE FUNCTION count_applied() RETURNS trigger LANGUAGE plpgsql AS
  'BEGIN INSERT INTO public.applied VALUES (tg_table_name || '' '' || tg_op); RETURN NULL; END';
CREATE TRIGGER count_applied AFTER INSERT OR UPDATE OR DELETE ON t
  FOR EACH ROW EXECUTE FUNCTION count_applied();
CREATE TRIGGER count_applied AFTER INSERT OR UPDATE OR DELETE ON events
  FOR EACH ROW EXECUTE FUNCTION count_applied();
ALTER TABLE t ENABLE ALWAYS TRIGGER count_applied;
ALTER TABLE events ENABLE ALWAYS TRIGGER count_applied;
)sql";

// From source_ to target_, and back.
class TwoWayTest : public TwoServerTest {
 protected:
  void SetUp() override {
    // Large transactions are streamed where that is possible.
    const ScratchPostgresOptions options{.settings = {{"logical_decoding_work_mem", "64kB"}}};
    StartServers(options, options);
    pipeline_.name += "_forth";
    pipeline_.tables = "[\"public.t\", \"public.events\", \"public.new*\"]";
    pipeline_.source_options = "    replication: {origin: none}\n";
    back_ = pipeline_;
    back_.name = TestName() + "_back";
    back_.source_url = target_.url();
    back_.source_options += "    mode: stream\n";
    back_.sinks = {fmt::format("postgres: {{url: \"{}\"}}", source_.url())};
    back_.state_directory = directory_ / "state_back";
  }

  std::unique_ptr<PgflowProcess> RunBack() const {
    const std::string file = directory_ / "back.yaml";
    WriteFile(file, back_.ToYaml());
    auto process =
        PgflowProcess::Start({.arguments = {"run", file}, .output_file = directory_ / "back.log"});
    EXPECT_TRUE(process->WaitForOutput("streaming from")) << process->Output();
    return process;
  }

  // Keys from `first` on; 3 changes of each of 20 keys, then 2000 in one transaction.
  static void Write(const Database& database, int first) {
    for (int id = first; id < first + 20; ++id) {
      database.Execute(fmt::format("INSERT INTO t VALUES ({}, 'new')", id));
      database.Execute(fmt::format("INSERT INTO events VALUES ({}, 'e')", first));
      database.Execute(fmt::format("UPDATE t SET v = 'changed' WHERE id = {}", id));
      if (id % 5 == 0) database.Execute(fmt::format("DELETE FROM t WHERE id = {}", id));
    }
    database.Execute(
        fmt::format("BEGIN; INSERT INTO t SELECT i, repeat('x', 100) FROM "
                    "generate_series({0}, {0} + 1999) i; UPDATE t SET v = v || 'y' WHERE id >= {0} "
                    "AND id < {0} + 2000; INSERT INTO events SELECT {0}, i::text FROM "
                    "generate_series(1, 2000) i; COMMIT",
                    first + 1000));
  }

  static int CountApplied(const Database& database, const std::string& what) {
    return std::atoi(
        database.Value("SELECT count(*) FROM applied WHERE what LIKE '" + what + "'").c_str());
  }

  static void ExpectPositionMoves(const Database& database) {
    const std::string lsn = database.Value("SELECT pg_current_wal_insert_lsn()");
    EXPECT_TRUE(Eventually([&] {
      return database.Value(fmt::format("SELECT min(confirmed_flush_lsn) >= '{}' FROM "
                                        "pg_replication_slots",
                                        lsn)) == "t";
    })) << "the slot keeps the log of transactions that were left out";
  }

  PipelineText back_;
};

TEST_F(TwoWayTest, NothingGoesRoundInCircles) {
  source_.Execute(
      "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE events (at int, what text);"
      "ALTER TABLE events REPLICA IDENTITY FULL;"
      "INSERT INTO t SELECT i, 'first' FROM generate_series(1, 500) i;"
      "INSERT INTO events SELECT 0, 'first' FROM generate_series(1, 500) i");
  const auto forth = Run();
  ASSERT_TRUE(WaitForSnapshot(*forth));
  const auto back = RunBack();
  source_.Execute(kCount);
  target_.Execute(kCount);
  Write(source_, 10000);
  // Only replicated changes there until now: they alone move the position of the way back.
  ExpectEqualSoon({"t", "events"}, *forth);
  ExpectPositionMoves(target_);
  Write(target_, 20000);
  source_.Execute("UPDATE t SET v = 'a' WHERE id <= 100; DELETE FROM events WHERE at = 0");
  target_.Execute("UPDATE t SET v = 'b' WHERE id > 100 AND id <= 200");
  ExpectEqualSoon({"t", "events"}, *forth);
  ExpectPositionMoves(source_);
  EXPECT_TRUE(back->running()) << back->Output();
  ExpectEqual({"t", "events"});
  for (const Database& side : {source_, target_}) {
    EXPECT_EQ(CountApplied(side, "events INSERT"), 2 * 2020);
    EXPECT_EQ(CountApplied(side, "events DELETE"), 500);
    // Less where several changes of a row are applied as one.
    EXPECT_LE(CountApplied(side, "t %"), 2 * (20 + 20 + 4 + 2000 + 2000) + 200);
    EXPECT_EQ(side.Value("SELECT string_agg(DISTINCT v, ',') FROM t WHERE id <= 200"), "a,b");
  }
}

TEST_F(TwoWayTest, CopiedRowsDoNotGoBackEither) {
  for (const Database& side : {source_, target_}) {
    side.Execute(
        "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE events (at int, what text);"
        "ALTER TABLE events REPLICA IDENTITY FULL");
  }
  source_.Execute("INSERT INTO events SELECT 1, i::text FROM generate_series(1, 2000) i");
  const auto back = RunBack();
  pipeline_.sinks = {PostgresSink("on_existing_rows: append")};
  const auto forth = Run();
  ASSERT_TRUE(WaitForSnapshot(*forth));
  target_.Execute("INSERT INTO t VALUES (1, 'there')");  // Behind the copied rows.
  ExpectEqualSoon({"t", "events"}, *back);
  EXPECT_EQ(source_.Value("SELECT count(*) FROM events"), "2000");
}

TEST_F(TwoWayTest, DdlDoesNotGoBack) {
  pipeline_.source_options = "    replication: {origin: none, ddl: true}\n";
  back_.source_options = pipeline_.source_options + "    mode: stream\n";
  source_.Execute(
      "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE events (at int, what text);"
      "ALTER TABLE events REPLICA IDENTITY FULL; INSERT INTO t VALUES (1, 'first')");
  const auto forth = Run();
  ASSERT_TRUE(WaitForSnapshot(*forth));
  const auto back = RunBack();
  source_.Execute("ALTER TABLE t ADD COLUMN w int DEFAULT 7; INSERT INTO t VALUES (2, 'a', 2)");
  source_.Execute("CREATE TABLE new_here (id int PRIMARY KEY); INSERT INTO new_here VALUES (1)");
  ExpectEqualSoon({"t", "new_here"}, *forth);
  target_.Execute("INSERT INTO new_here VALUES (2); INSERT INTO t VALUES (3, 'b', 3)");
  target_.Execute("CREATE TABLE new_there (id int PRIMARY KEY); INSERT INTO new_there VALUES (1)");
  EXPECT_TRUE(Eventually([&] {
    return source_.ValueIfAny("SELECT count(*) FROM new_there") == "1";
  })) << back->Output();
  ExpectEqualSoon({"t", "new_here", "new_there"}, *back);
  source_.Execute("INSERT INTO new_there VALUES (2); ALTER TABLE new_there ADD COLUMN x int");
  target_.Execute("INSERT INTO t VALUES (4, 'c', 4); ALTER TABLE t RENAME COLUMN w TO z");
  ExpectEqualSoon({"t", "new_here", "new_there"}, *forth);
  source_.Execute("INSERT INTO t VALUES (5, 'd', 5)");
  ExpectEqualSoon({"t", "new_here", "new_there"}, *back);
  EXPECT_TRUE(forth->running()) << forth->Output();
}

// Without event triggers nothing says who changed a column.
TEST_F(TwoWayTest, DdlWithoutTheCaptureIsRefused) {
  source_.Execute(
      "CREATE ROLE reader LOGIN REPLICATION; GRANT CREATE ON DATABASE postgres TO reader;"
      "CREATE TABLE t (id int PRIMARY KEY, v text); ALTER TABLE t OWNER TO reader");
  pipeline_.tables = "[\"public.t\"]";
  pipeline_.source_options = "    replication: {origin: none, ddl: true}\n";
  pipeline_.source_url = source_.url("reader");
  const std::string output = Expect(1, "run", {"--until-current"});
  EXPECT_NE(output.find("origin: none needs the DDL capture"), std::string::npos) << output;
  const std::string found = Expect(3, "check");
  EXPECT_NE(found.find("origin: none needs the DDL capture"), std::string::npos) << found;
}

}  // namespace
}  // namespace pgflow::tests
