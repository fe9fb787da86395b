// Where rows written in bulk could come to something else than the same rows written one by one.
#include <gtest/gtest.h>

#include "base/status.h"
#include "sinks/postgres/sink_fixture_test.h"

namespace pgflow::sinks {
namespace {

// Bulk or not, binary or not.
class ApplyWays : public SinkFixture,
                  public testing::WithParamInterface<std::tuple<uint64_t, bool>> {
 protected:
  void SetUp() override {
    SinkFixture::SetUp();
    config_.bulk_threshold = std::get<0>(GetParam());
    binary_ = std::get<1>(GetParam());
  }
  // Lets the sink work as a role for which triggers fire.
  void TakeRole() {
    const std::string role = MakeRole();
    Sql(
        fmt::format("GRANT ALL ON ALL TABLES IN SCHEMA public TO {0};"
                    "GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {0}",
                    role));
    config_.url = config::Secret(Server().url(database_, role));
  }
  static std::string Lines(int from, int to, std::string_view line) {
    std::string lines;
    for (int i = from; i <= to; ++i) lines += fmt::format(fmt::runtime(line), i) + "\n";
    return lines;
  }
};
INSTANTIATE_TEST_SUITE_P(Ways, ApplyWays,
                         testing::Combine(testing::Values(1, 1000000), testing::Bool()));

TEST_P(ApplyWays, TakesTwoVersionsOfATableInOneWindow) {
  Sql("CREATE TABLE t (id int PRIMARY KEY, name text UNIQUE); INSERT INTO t VALUES (1, 'a'), (2, "
      "'b')");
  builder_.Table("t (id int4 key, name text)");
  Start();
  // Names that are exchanged are refused in bulk.
  const absl::Status status = ApplyParts(
      {{"", "begin\n" + Lines(3, 60, "insert t {0} n{0}") + "commit\n"},
       {"t (id int4, name text) full",
        "begin\nupdate t full(1 a) 1 tmp\nupdate t full(2 b) 2 a\nupdate t full(1 tmp) 1 b\n"
        "delete t full(60 n60)\ncommit\n"}});
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(Rows("SELECT count(*), max(id), string_agg(name, ' ' ORDER BY id) FILTER (WHERE id < "
                 "3) FROM t"),
            "59,59,b a");
}

TEST_P(ApplyWays, KeepsTheOrderOfVersions) {
  Sql("CREATE TABLE t (id int PRIMARY KEY, n int)");
  builder_.Table("t (id int4 key, n int4)");
  config_.on_missing_row = MissingRow::kIgnore;
  Start();
  const absl::Status status =
      ApplyParts({{"", "begin\n" + Lines(1, 1200, "insert t {0} 0") + "commit\n"},
                  {"t (n int4, id int4 key)", "begin\n" + Lines(1, 700, "update t 7 {0}") +
                                                  Lines(701, 1000, "delete t {0}") + "commit\n"}});
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(Rows("SELECT count(*), sum(n) FROM t"), "900,4900");
}

TEST_P(ApplyWays, GivesColumnsOfTheTargetWhatSingleRowsGiveThem) {
  Sql("CREATE TABLE t (id int PRIMARY KEY, n int, own text DEFAULT 'new',"
      " twice int GENERATED ALWAYS AS (n * 2) STORED);"
      "INSERT INTO t SELECT i, 0, 'old' FROM generate_series(1, 6) i");
  builder_.Table("t (id int4 key, n int4)");
  Start();
  ASSERT_EQ(ApplyOne("delete t 1\ninsert t 1 10\ndelete t 2\ninsert t 2 20\nupdate t 2 21\n"
                     "update t 3 30\nupdate t old(4) 40 41\ndelete t 5\ninsert t 5 50\n"
                     "update t old(5) 7 51\nupdate t old(6) 60 61\nupdate t old(60) 6 62"),
            absl::OkStatus());
  EXPECT_EQ(Rows("SELECT * FROM t ORDER BY id"),
            "1,10,new,20;2,21,new,42;3,30,old,60;6,62,old,124;7,51,new,102;40,41,old,82");
}

TEST_P(ApplyWays, IgnoresMissingRowsAlike) {
  Sql("CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t VALUES (5, 0)");
  builder_.Table("t (id int4 key, n int4)");
  config_.on_missing_row = MissingRow::kIgnore;
  Start();
  ASSERT_EQ(ApplyOne("update t 1 1\ndelete t 1\ninsert t 1 11\ndelete t 2\ninsert t 2 22\n"
                     "update t old(3) 4 44\nupdate t 5 55\ninsert t 6 0\nupdate t old(6) 8 88"),
            absl::OkStatus());
  EXPECT_EQ(Rows("SELECT * FROM t ORDER BY id"), "1,11;2,22;5,55;8,88");
}

TEST_P(ApplyWays, PassesOverAKeyThatIsTaken) {
  Sql("CREATE TABLE t (id int PRIMARY KEY, n int, u int UNIQUE); CREATE TABLE k (id int PRIMARY "
      "KEY);"
      "INSERT INTO t VALUES (1, 0, 1), (2, 0, 2), (7, 0, 7); INSERT INTO k VALUES (1)");
  builder_.Table("t (id int4 key, n int4, u int4)");
  builder_.Table("k (id int4 key)");
  config_.on_conflict = KeyConflict::kSkip;
  Start();
  ASSERT_EQ(ApplyOne("insert t 1 11 11\nupdate t 1 12 12\ninsert t 3 33 2\ninsert t 4 44 4\n"
                     "insert k 1\ninsert k 2\nupdate t old(4) 7 47 47\ninsert t 5 55 5"),
            absl::OkStatus());
  EXPECT_EQ(Rows("SELECT * FROM t ORDER BY id"), "1,12,12;2,0,2;4,44,4;5,55,5;7,0,7");
  EXPECT_EQ(Rows("SELECT * FROM k ORDER BY id"), "1;2");
  EXPECT_EQ(skipped_, 4U);  // t 1, t 3, k 1, and 4 that would be 7.
  ASSERT_EQ(ApplyOne("update t old(5) 6 66 66"), absl::OkStatus());
  EXPECT_EQ(skipped_, 0U);
  // A row that is missing is another matter.
  const absl::Status missing = ApplyOne("update t old(9) 1 9 9");
  EXPECT_EQ(missing.code(), absl::StatusCode::kInvalidArgument) << missing;
  config_.on_missing_row = MissingRow::kIgnore;
  Start();
  ASSERT_EQ(ApplyOne("update t old(9) 1 9 9\ninsert t 8 88 88"), absl::OkStatus());
  EXPECT_EQ(skipped_, 1U);
  EXPECT_EQ(Rows("SELECT id FROM t ORDER BY id"), "1;2;4;6;7;8");
}

TEST_P(ApplyWays, TakesThePlaceOfWhoHasItsKey) {
  Sql("CREATE TABLE t (id int PRIMARY KEY, n int, own text DEFAULT 'new');"
      "CREATE TABLE k (id int PRIMARY KEY); CREATE TABLE f (id int PRIMARY KEY, n int, big text);"
      "INSERT INTO t VALUES (1, 0, 'kept'), (7, 0, 'gone'); INSERT INTO k VALUES (1);"
      "INSERT INTO f VALUES (1, 0, 'x')");
  builder_.Table("t (id int4 key, n int4)");
  builder_.Table("k (id int4 key)");
  builder_.Table("f (id int4, n int4, big text) full");
  config_.on_conflict = KeyConflict::kOverwrite;
  Start();
  ASSERT_EQ(ApplyOne("insert t 1 11\ninsert t 2 22\ninsert k 1\ninsert k 2\ninsert f 1 1 y\n"
                     "insert t 3 33\nupdate t old(3) 7 37\nupdate t 2 23"),
            absl::OkStatus());
  EXPECT_EQ(Rows("SELECT * FROM t ORDER BY id"), "1,11,kept;2,23,new;7,37,new");
  EXPECT_EQ(Rows("SELECT * FROM k ORDER BY id"), "1;2");
  EXPECT_EQ(Rows("SELECT * FROM f"), "1,1,y");
  EXPECT_EQ(skipped_, 4U);
}

TEST_P(ApplyWays, CountsWhatItPassesOver) {
  Sql("CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 0)");
  builder_.Table("t (id int4 key, n int4)");
  config_.on_missing_row = MissingRow::kIgnore;
  Start();
  ASSERT_EQ(ApplyOne("update t 1 1\nupdate t 2 2\ndelete t 3\ninsert t 4 4"), absl::OkStatus());
  EXPECT_EQ(skipped_, 2U);
  EXPECT_EQ(Rows("SELECT * FROM t ORDER BY id"), "1,1;4,4");
}

TEST_P(ApplyWays, LeavesOutATableThatTheTargetLacks) {
  Sql("CREATE TABLE t (id int PRIMARY KEY, n int)");
  builder_.Table("t (id int4 key, n int4)");
  builder_.Table("u (id int4 key, n int4)");
  Start();
  EXPECT_EQ(ApplyOne("insert t 1 1\ninsert u 1 1").code(), absl::StatusCode::kFailedPrecondition);
  config_.on_missing_table = MissingTables::kSkip;
  Start();
  ASSERT_EQ(ApplyOne("insert t 1 1\ninsert u 1 1\ntruncate t, u restart\ninsert t 2 2\n"
                     "update u 1 11"),
            absl::OkStatus());
  EXPECT_EQ(Rows("SELECT * FROM t"), "2,2");
  EXPECT_EQ(skipped_, 3U);
  // It stays out until its rows are copied, whoever makes it, and whoever asks.
  Sql("CREATE TABLE u (id int PRIMARY KEY, n int)");
  Reopen();
  ASSERT_EQ(ApplyOne("insert u 2 2\ninsert t 3 3"), absl::OkStatus());
  EXPECT_EQ(Rows("SELECT (SELECT count(*) FROM t), (SELECT count(*) FROM u)"), "2,0");
  const schemas::TableSchemaPtr schema = builder_.FindTable("u");
  ASSERT_EQ(
      sink_->PrepareSnapshot({}, std::vector<engine::TablePlan>{{schema->table, schema}}, {}, {}),
      absl::OkStatus());
  ASSERT_EQ(ApplyOne("insert u 3 3"), absl::OkStatus());
  EXPECT_EQ(skipped_, 0U);
  EXPECT_EQ(Rows("SELECT * FROM u"), "3,3");
}

TEST_P(ApplyWays, SeesARowThatShouldNotBeThere) {
  Sql("CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 0)");
  builder_.Table("t (id int4 key, n int4)");
  Start();
  const absl::Status status = ApplyOne("insert t 1 1\ndelete t 1\ninsert t 2 2");
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  EXPECT_NE(base::Message(status).find("INSERT of (id) = (1)"), std::string_view::npos) << status;
  EXPECT_EQ(Rows("SELECT * FROM t"), "1,0");
}

TEST_P(ApplyWays, NamesTheChangeThatHasNoKey) {
  Sql("CREATE TABLE t (id int PRIMARY KEY, n int); CREATE TABLE u (id int)");
  builder_.Table("t (id int4 key, n int4)");
  builder_.Table("u (id int4) nothing");
  Start();
  const absl::Status status = ApplyOne("insert t 1 1\ninsert u 1\ndelete u");
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_NE(base::Payload(status, engine::kCulpritPayload), "") << status;
}

TEST_P(ApplyWays, LetsTriggersSeeRowAfterRow) {
  Sql("CREATE TABLE t (id int PRIMARY KEY, n int); CREATE TABLE log (n serial, what text);"
      "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO public.log "
      "(what) SELECT TG_OP || count(*) FROM public.t; RETURN NULL; END$$;"
      "CREATE TRIGGER r AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();"
      "CREATE TRIGGER s AFTER DELETE ON t FOR EACH STATEMENT EXECUTE FUNCTION f()");
  TakeRole();
  builder_.Table("t (id int4 key, n int4)");
  Start();
  ASSERT_EQ(ApplyOne(Lines(1, 600, "insert t {0} 0")), absl::OkStatus());
  ASSERT_EQ(ApplyOne(Lines(1, 100, "delete t {0}")), absl::OkStatus());
  EXPECT_EQ(Rows("SELECT count(*), count(DISTINCT what), min(n) FILTER (WHERE what = 'INSERT600'),"
                 " max(n) FILTER (WHERE what = 'DELETE500') FROM log"),
            "700,700,600,700");
}

TEST_P(ApplyWays, ObeysRules) {
  Sql("CREATE TABLE t (id int PRIMARY KEY, n int); CREATE TABLE log (id int);"
      "CREATE RULE r AS ON INSERT TO t DO ALSO INSERT INTO log VALUES (NEW.id)");
  TakeRole();
  builder_.Table("t (id int4 key, n int4)");
  Start();
  ASSERT_EQ(ApplyOne(Lines(1, 600, "insert t {0} 0")), absl::OkStatus());
  EXPECT_EQ(Rows("SELECT count(*), count(DISTINCT id) FROM log"), "600,600");
}

// Values in text form, which an explicit cast would cut.
TEST_P(ApplyWays, CutsNoTextsInArraysAndDomains) {
  binary_ = false;
  Sql("CREATE DOMAIN three AS bit(3);"
      "CREATE TABLE t (id int PRIMARY KEY, c char(3)[], b bit(3)[], d three)");
  builder_.Table("t (id int4 key, c text, b text, d text)");
  Start();
  ASSERT_EQ(ApplyOne("insert t 1 '{abc,d}' '{101,010}' 101\ninsert t 2 null null null"),
            absl::OkStatus());
  ASSERT_EQ(ApplyOne("update t 2 '{xyz}' '{111}' 110"), absl::OkStatus());
  EXPECT_EQ(Rows("SELECT id, c::text, b::text, d FROM t ORDER BY id"),
            "1,{abc,\"d  \"},{101,010},101;2,{xyz},{111},110");
  EXPECT_EQ(ApplyOne("update t 1 null null 10111").code(), absl::StatusCode::kInvalidArgument);
}

// Texts that are two keys at the source and one in the target.
TEST_P(ApplyWays, TellsKeysApartAsTheTargetDoes) {
  binary_ = false;
  Sql("CREATE TABLE t (id int PRIMARY KEY, n int)");
  builder_.Table("t (id text key, n int4)");
  config_.on_missing_row = MissingRow::kIgnore;
  Start();
  ASSERT_EQ(ApplyOne("insert t 1 0\nupdate t 1 1\nupdate t 01 2\nupdate t 1 3\nupdate t 01 4"),
            absl::OkStatus());
  EXPECT_EQ(Rows("SELECT * FROM t"), "1,4");
}

TEST_P(ApplyWays, RefusesAColumnThatRounds) {
  binary_ = false;
  Sql("CREATE TABLE t (id int PRIMARY KEY, n numeric(10,2)); CREATE TABLE k (n numeric(10,2))");
  builder_.Table("t (id int4 key, n numeric)");
  builder_.Table("k (n numeric) full");
  Start();
  const absl::Status status = ApplyOne("insert t 1 1.234");
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_NE(base::Message(status).find("table public.t: column n is numeric at the source and "
                                       "numeric(10,2) in the target"),
            std::string_view::npos)
      << status;
  EXPECT_NE(base::Message(status).find("on_narrower_column: round"), std::string_view::npos);
  config_.on_narrower_column = NarrowerColumn::kRound;
  Start();
  ASSERT_EQ(ApplyOne("insert t 1 1.234\ninsert k 1.234\ninsert k 5.678"), absl::OkStatus());
  ASSERT_EQ(ApplyOne("update t 1 2.345\nupdate k full(1.234) 3.456\ndelete k full(5.678)"),
            absl::OkStatus());
  EXPECT_EQ(Rows("SELECT id, n, (SELECT string_agg(n::text, ' ') FROM k) FROM t"), "1,2.35,3.46");
}

}  // namespace
}  // namespace pgflow::sinks
