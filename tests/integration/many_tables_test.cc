// A source with many tables: what is done once for each of them, or for all, must not grow with
// their square, neither here nor in the servers.
#include <fmt/format.h>

#include "tests/integration/system_test.h"

namespace pgflow::tests {
namespace {

constexpr int kTables = 250;

class ManyTablesTest : public SharedServerTest {
 protected:
  void SetUp() override {
    SharedServerTest::SetUp();
    source_.Execute(
        fmt::format("DO $$ BEGIN FOR i IN 1..{} LOOP EXECUTE format('CREATE TABLE t%s (id serial "
                    "PRIMARY KEY, v text DEFAULT %L); INSERT INTO t%s (v) VALUES (%L)', i, 'd', i, "
                    "i); END LOOP; END $$",
                    kTables));
  }
  std::string SumOfRows(const Database& database) const {
    std::string sql;
    for (int i = 1; i <= kTables; ++i) {
      sql += fmt::format("{} SELECT {} AS t, id, v FROM t{}", i == 1 ? "" : " UNION ALL", i, i);
    }
    return database.Value("SELECT md5(string_agg(r::text, ',' ORDER BY t)) FROM (" + sql + ") r");
  }
};

// Where anybody has an event trigger, the server keeps a copy of a command for each table that it
// names: one that names 10,000 took 20 GB of the source's memory.
TEST_F(ManyTablesTest, NoCommandOnTheSourceNamesThemAll) {
  source_.Execute(R"sql(
CREATE TABLE public.counted (tag text, objects int);
CREATE FUNCTION count_objects() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO public.counted SELECT tg_tag, count(*) FROM pg_event_trigger_ddl_commands();
END $$;
CREATE EVENT TRIGGER counts ON ddl_command_end EXECUTE FUNCTION count_objects();
)sql");
  pipeline_.source_options = "    replication: {ddl: true}\n";
  pipeline_.tables = "[\"public.t*\"]";
  RunToCurrent();
  EXPECT_EQ(SumOfRows(target_), SumOfRows(source_));
  source_.Execute("INSERT INTO t7 (v) VALUES ('later'); ALTER TABLE t8 ADD c int DEFAULT 5");
  RunToCurrent();
  EXPECT_EQ(target_.Value("SELECT string_agg(v, ' ' ORDER BY id) FROM t7"), "7 later");
  EXPECT_EQ(target_.Value("SELECT c FROM t8"), "5");
  EXPECT_GE(source_.Value("SELECT sum(objects) FROM counted WHERE tag LIKE '%PUBLICATION'"), "250");
  EXPECT_EQ(source_.Value("SELECT count(*) FROM counted WHERE objects > 100"), "0");
}

// One default that the target cannot have is left out; the tables that would have been made in the
// same transaction come all the same.
TEST_F(ManyTablesTest, OneThatTheTargetRefusesDoesNotKeepTheOthersAway) {
  source_.Execute(
      "CREATE FUNCTION mine() RETURNS text LANGUAGE sql AS $$ SELECT 'x' $$;"
      "ALTER FUNCTION mine() OWNER TO pg_monitor;"  // No superuser: create_schema leaves it out.
      "ALTER TABLE t60 ALTER v SET DEFAULT mine(); ALTER TABLE t170 ALTER v SET DEFAULT mine()");
  RunToCurrent();
  EXPECT_EQ(SumOfRows(target_), SumOfRows(source_));
  const std::string defaults =
      "SELECT count(*) || ' ' || count(*) FILTER (WHERE pg_get_expr(adbin, adrelid) LIKE '''d''%') "
      "FROM pg_attrdef JOIN pg_class c ON c.oid = adrelid WHERE c.relname ~ '^t[0-9]'";
  EXPECT_EQ(target_.Value(defaults), fmt::format("{} {}", 2 * kTables - 2, kTables - 2));
  EXPECT_EQ(target_.Value("SELECT count(*) FROM pg_index WHERE indisprimary AND "
                          "indrelid::regclass::text ~ '^t[0-9]'"),
            std::to_string(kTables));
}

// They are made in two sessions, which do not see each other's.
TEST_F(ManyTablesTest, ThoseThatShareSomethingAreMade) {
  source_.Execute(
      "CREATE SEQUENCE shared; ALTER TABLE t40 ALTER v SET DEFAULT nextval('shared');"
      "ALTER TABLE t220 ALTER v SET DEFAULT nextval('shared');"
      "CREATE SCHEMA other; CREATE TABLE other.t10 (id int PRIMARY KEY);"
      "CREATE TABLE parted (id int PRIMARY KEY) PARTITION BY RANGE (id);"
      "CREATE TABLE part PARTITION OF parted FOR VALUES FROM (0) TO (10)");
  pipeline_.tables = "[\"public.*\", \"other.*\"]";
  RunToCurrent();
  EXPECT_EQ(SumOfRows(target_), SumOfRows(source_));
  const std::string columns =
      "SELECT md5(string_agg(format('%s %s %s %s', attrelid::regclass, attname, "
      "format_type(atttypid, atttypmod), pg_get_expr(adbin, adrelid)), ',' ORDER BY "
      "attrelid::regclass::text, attnum)) FROM pg_attribute a LEFT JOIN pg_attrdef d ON adrelid = "
      "attrelid AND adnum = attnum JOIN pg_class c ON c.oid = attrelid WHERE relnamespace IN "
      "('public'::regnamespace, 'other'::regnamespace) AND relkind IN ('r', 'p') AND attnum > 0";
  EXPECT_EQ(target_.Value(columns), source_.Value(columns));
}

}  // namespace
}  // namespace pgflow::tests
