// What happens on the source between `pgflow init`, which makes the slot, and the copy of the first
// `pgflow run`: the stream brings all of it, and the copy has it already, under the names that the
// tables have by then.
#include <fmt/format.h>

#include "tests/integration/system_test.h"

namespace pgflow::tests {
namespace {

class CopyGapTest : public SharedServerTest {
 protected:
  void SetUp() override {
    SharedServerTest::SetUp();
    pipeline_.source_options = "    replication: {ddl: true}\n";
    pipeline_.tables = "[\"public.*\"]";
    source_.Execute(
        "CREATE TABLE kept (id serial PRIMARY KEY, v text); INSERT INTO kept (v) VALUES ('first');"
        "CREATE TABLE keyless (v text); ALTER TABLE keyless REPLICA IDENTITY FULL;"
        "INSERT INTO keyless VALUES ('first');"
        "CREATE TABLE other (id serial PRIMARY KEY, v text); INSERT INTO other (v) VALUES ('own')");
  }

  // Each of `sql` in a transaction of its own.
  void ExpectEqualAfter(const std::vector<std::string>& sql) {
    Expect(0, "init");
    for (const std::string& statements : sql) source_.Execute(statements);
    RunToCurrent();
    ExpectEqualNow();
    // The names are right for what comes as well.
    source_.Execute(
        "DO $$ DECLARE t text; BEGIN FOR t IN SELECT relname FROM pg_class WHERE relnamespace = "
        "'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition LOOP EXECUTE "
        "format('INSERT INTO %I (v) VALUES (%L); ALTER TABLE %I ADD later int DEFAULT 7', t, "
        "'later', t); END LOOP; END $$");
    RunToCurrent();
    ExpectEqualNow();
  }

 private:
  void ExpectEqualNow() {
    const std::string tables =
        "SELECT string_agg(format('%s %s %s %s', relname, relkind, attname, "
        "format_type(atttypid, atttypmod)), E'\\n' ORDER BY relname COLLATE \"C\", attname) FROM "
        "pg_attribute JOIN pg_class c ON c.oid = attrelid WHERE relnamespace = "
        "'public'::regnamespace AND relkind IN ('r', 'p', 'v') AND attnum > 0 AND NOT attisdropped";
    EXPECT_EQ(target_.Value(tables), source_.Value(tables));
    ExpectEqual(PublicTables(source_));
  }
};

TEST_F(CopyGapTest, ATableIsRenamedThereAndBack) {
  ExpectEqualAfter(
      {"INSERT INTO keyless VALUES ('a'); ALTER TABLE keyless RENAME TO away;"
       "INSERT INTO away VALUES ('b'); ALTER TABLE kept RENAME TO far",
       "INSERT INTO away VALUES ('c'); INSERT INTO far (v) VALUES ('d');"
       "ALTER TABLE far ADD extra int DEFAULT 3",
       "ALTER TABLE away RENAME TO keyless; ALTER TABLE far RENAME TO kept",
       "INSERT INTO keyless VALUES ('e')"});
}

TEST_F(CopyGapTest, ATableIsRenamedForGood) {
  ExpectEqualAfter({"INSERT INTO keyless VALUES ('a'); UPDATE kept SET v = 'x'",
                    "ALTER TABLE keyless RENAME TO free; ALTER TABLE kept RENAME TO held",
                    "INSERT INTO free VALUES ('b'); DELETE FROM held"});
}

TEST_F(CopyGapTest, AnotherTableTakesTheName) {
  ExpectEqualAfter(
      {"ALTER TABLE kept RENAME TO older",
       "CREATE TABLE kept (id serial PRIMARY KEY, v text, more int);"
       "INSERT INTO kept (v, more) SELECT v, id FROM older; UPDATE older SET v = 'gone'",
       "DROP TABLE older"});
}

TEST_F(CopyGapTest, ItIsDroppedAndMadeAnew) {
  ExpectEqualAfter({"DROP TABLE kept", "CREATE TABLE kept (v text PRIMARY KEY, n numeric)",
                    "INSERT INTO kept VALUES ('new', 1.5)"});
}

TEST_F(CopyGapTest, TwoTablesExchangeTheirNames) {
  ExpectEqualAfter({"INSERT INTO kept (v) VALUES ('of kept'); DELETE FROM other",
                    "ALTER TABLE kept RENAME TO tmp; ALTER TABLE other RENAME TO kept;"
                    "ALTER TABLE tmp RENAME TO other",
                    "INSERT INTO kept (v) VALUES ('was other'); UPDATE other SET v = v || '!'"});
}

TEST_F(CopyGapTest, OneComesAndGoes) {
  ExpectEqualAfter(
      {"CREATE TABLE brief (id int PRIMARY KEY, v text); INSERT INTO brief VALUES (1, "
       "'x')",
       "ALTER TABLE brief ADD c int DEFAULT 1; UPDATE brief SET v = 'y'", "TRUNCATE brief",
       "DROP TABLE brief"});
}

TEST_F(CopyGapTest, APartitionedTableIsMadeAnew) {
  const std::string make =
      "CREATE TABLE parted (id int, v text, PRIMARY KEY (id)) PARTITION BY RANGE (id);"
      "ALTER TABLE parted ALTER id SET DEFAULT 5;"
      "CREATE TABLE part PARTITION OF parted FOR VALUES FROM (0) TO (10)";
  source_.Execute(make);
  ExpectEqualAfter({"INSERT INTO parted VALUES (1, 'old')", "DROP TABLE parted",
                    make + "; INSERT INTO parted VALUES (2, 'new')"});
}

// What is of no table is not in the copy.
TEST_F(CopyGapTest, ViewsThatAreMadeMeanwhileCome) {
  ExpectEqualAfter({"CREATE VIEW seen AS SELECT id FROM kept",
                    "CREATE OR REPLACE VIEW seen AS SELECT id, v FROM kept"});
}

// The gap is worked off by more than one process: the second one knows what the copy had.
TEST_F(CopyGapTest, ItIsKnownAfterARestart) {
  pipeline_.sinks = {PostgresSink()};
  Expect(0, "init");
  source_.Execute("ALTER TABLE keyless RENAME TO away");
  for (int i = 0; i < 200; ++i) {
    source_.Execute("INSERT INTO away SELECT i FROM generate_series(1, 200) i");
  }
  source_.Execute("ALTER TABLE away RENAME TO keyless");
  const auto process = Run();
  ASSERT_TRUE(WaitForSnapshot(*process)) << process->Output();
  process->Kill9();
  RunToCurrent();
  ExpectEqual({"keyless", "kept", "other"});
}

}  // namespace
}  // namespace pgflow::tests
