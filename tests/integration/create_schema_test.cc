// create_schema: what the target gets so that the chosen tables can be made there.
#include <fmt/format.h>

#include "tests/integration/system_test.h"

namespace pgflow::tests {
namespace {

class CreateSchemaTest : public SharedServerTest {
 protected:
  void ExpectSame(const std::string& sql) const {
    EXPECT_EQ(target_.Value(sql), source_.Value(sql)) << sql;
  }
  void ExpectSameColumns(const std::string& table) const {
    ExpectSame(fmt::format(
        "SELECT string_agg(concat_ws(' ', attname, format_type(atttypid, atttypmod), attnotnull, "
        "attidentity, attgenerated, pg_get_expr(adbin, adrelid), attcollation::regcollation), "
        "E'\\n' ORDER BY attnum) FROM pg_attribute a LEFT JOIN pg_attrdef d ON adrelid = attrelid "
        "AND adnum = attnum WHERE attrelid = '{}'::regclass AND attnum > 0 AND NOT attisdropped",
        table));
  }
};

TEST_F(CreateSchemaTest, MakesWhatTablesNeedInOrder) {
  source_.Execute(R"sql(
    CREATE SCHEMA kinds;
    CREATE COLLATION kinds.german (provider = icu, locale = 'de', deterministic = false);
    CREATE TYPE kinds.mood AS ENUM ('sad', 'ok');
    CREATE FUNCTION kinds.is_short(text) RETURNS boolean IMMUTABLE LANGUAGE sql
      AS 'SELECT length($1) < 20';
    CREATE DOMAIN kinds.label AS text COLLATE kinds.german DEFAULT 'none'
      CHECK (kinds.is_short(VALUE));
    CREATE TYPE kinds.pair AS (name kinds.label, moods kinds.mood[]);
    CREATE FUNCTION kinds.twice(i int) RETURNS int IMMUTABLE LANGUAGE plpgsql
      AS 'BEGIN RETURN i * 2; END';
    CREATE FUNCTION kinds.first_mood() RETURNS kinds.mood STABLE LANGUAGE plpgsql
      AS 'BEGIN RETURN ''ok''; END';
    CREATE TABLE kinds.unchosen (id bigint, at timestamptz, kind kinds.mood);
    CREATE TABLE parent (id int PRIMARY KEY, what kinds.mood DEFAULT kinds.first_mood());
    CREATE TABLE a_child (
      id smallint GENERATED ALWAYS AS IDENTITY (START WITH 100 INCREMENT BY 5 MAXVALUE 900 CYCLE)
        PRIMARY KEY,
      doubled int GENERATED ALWAYS AS (kinds.twice(base)) STORED,
      base int, label kinds.label, pairs kinds.pair[], of_parent parent, other kinds.unchosen,
      words text COLLATE kinds.german);
    CREATE SEQUENCE numbers AS int START WITH 7 INCREMENT BY 3 MAXVALUE 70000;
    CREATE TABLE counted (id int PRIMARY KEY DEFAULT nextval('numbers'), note text);
    CREATE TABLE tree (id int, day date, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
    CREATE TABLE branch PARTITION OF tree FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')
      PARTITION BY LIST (id);
    INSERT INTO parent VALUES (1);
    INSERT INTO a_child (base, label, pairs, of_parent, other, words)
    SELECT i, 'l' || i, ARRAY[ROW('p', '{ok}')::kinds.pair], ROW(i, 'sad')::parent,
      ROW(i, now(), NULL)::kinds.unchosen, 'w' FROM generate_series(1, 20) i;
    INSERT INTO counted (note) VALUES ('x');
  )sql");
  pipeline_.sinks = {PostgresSink()};
  RunToCurrent();
  ExpectEqual({"parent", "a_child", "counted"});
  for (const char* table : {"parent", "a_child", "counted", "kinds.unchosen", "tree", "branch"}) {
    ExpectSameColumns(table);
  }
  ExpectSame(
      "SELECT string_agg(concat_ws(' ', seqrelid::regclass, seqtypid::regtype, seqstart, "
      "seqincrement, seqmin, seqmax, seqcycle), ', ' ORDER BY seqrelid::regclass::text) "
      "FROM pg_sequence "
      "WHERE seqrelid IN ('numbers'::regclass, 'a_child_id_seq'::regclass)");
  ExpectSame(
      "SELECT string_agg(pg_get_functiondef(oid), E'\\n' ORDER BY proname) FROM pg_proc "
      "WHERE pronamespace = 'kinds'::regnamespace");
  ExpectSame(
      "SELECT string_agg(concat_ws(' ', contypid::regtype, pg_get_constraintdef(oid)), ', ' "
      "ORDER BY conname) "
      "FROM pg_constraint WHERE contypid <> 0 AND connamespace = 'kinds'::regnamespace");
  ExpectSame(
      "SELECT string_agg(concat_ws(' ', relid, parentrelid, isleaf, (SELECT count(*) FROM pg_index "
      "WHERE indrelid = relid AND indisprimary)), ', ' ORDER BY relid::text) "
      "FROM pg_partition_tree('tree')");
  // Again, where all of it is there.
  source_.Execute("INSERT INTO a_child (base) VALUES (1); INSERT INTO parent VALUES (2)");
  RunToCurrent();
  ExpectEqual({"parent", "a_child"});
}

// A function over a table's own rows can only come behind the table, whose default needs it.
TEST_F(CreateSchemaTest, ACircleCostsNothingButTheDefault) {
  source_.Execute(R"sql(
    CREATE TABLE rows (id int PRIMARY KEY, size int);
    CREATE FUNCTION size_of(r rows) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT r.size';
    ALTER TABLE rows ALTER size SET DEFAULT size_of(ROW(1, 2));
    INSERT INTO rows VALUES (1, 1);
  )sql");
  pipeline_.sinks = {PostgresSink()};
  RunToCurrent();
  ExpectEqual({"rows"});
  EXPECT_EQ(target_.Value("SELECT to_regprocedure('size_of(rows)') IS NOT NULL"), "t");
}

TEST_F(CreateSchemaTest, KeysWithoutOverlapsAndLenientColumnsOfVersion18) {
  if (shared_server->version() < 180000) GTEST_SKIP() << "needs version 18";
  source_.Execute(R"sql(
    CREATE TABLE room (id int4range, at daterange, PRIMARY KEY (id, at WITHOUT OVERLAPS));
    CREATE TABLE named (id int4range NOT NULL, at daterange NOT NULL, x int,
      CONSTRAINT named_key UNIQUE (id, at WITHOUT OVERLAPS));
    ALTER TABLE named REPLICA IDENTITY USING INDEX named_key;
    CREATE TABLE tree (id int4range, at daterange, PRIMARY KEY (id, at WITHOUT OVERLAPS))
      PARTITION BY LIST (id);
    CREATE TABLE tree_1 PARTITION OF tree FOR VALUES IN ('[1,2)');
    CREATE TABLE empty_tree (id int4range, at daterange, PRIMARY KEY (id, at WITHOUT OVERLAPS))
      PARTITION BY LIST (id);
    CREATE TABLE lenient (id int PRIMARY KEY, k int, m int CONSTRAINT m NOT NULL NO INHERIT);
    INSERT INTO room VALUES ('[1,2)', '[2026-01-01,2026-02-01)');
    INSERT INTO named VALUES ('[1,2)', '[2026-01-01,2026-02-01)', 1);
    INSERT INTO tree VALUES ('[1,2)', '[2026-01-01,2026-02-01)');
    INSERT INTO lenient VALUES (1, NULL, 1);
    ALTER TABLE lenient ADD CONSTRAINT has_k NOT NULL k NOT VALID;
  )sql");
  pipeline_.sinks = {PostgresSink()};
  pipeline_.source_options = "    replication: {ddl: true}\n";
  RunToCurrent();
  ExpectEqual({"room", "named", "tree", "lenient"});
  ExpectSame(
      "SELECT string_agg(concat_ws(' ', conrelid::regclass, conname, pg_get_constraintdef(oid)), "
      "'; ' ORDER BY conrelid::regclass::text, conname) FROM pg_constraint WHERE contype IN ('p', "
      "'u') AND connamespace = 'public'::regnamespace");
  source_.Execute(R"sql(
    UPDATE named SET x = 2; UPDATE room SET at = '[2026-03-01,2026-04-01)';
    CREATE TABLE booking (id int PRIMARY KEY, room int4range, at daterange,
      FOREIGN KEY (room, PERIOD at) REFERENCES room (id, PERIOD at));
    CREATE TABLE heir () INHERITS (lenient);
    INSERT INTO heir VALUES (1, 1, NULL);
    UPDATE lenient SET k = 3;
    ALTER TABLE lenient VALIDATE CONSTRAINT has_k;
  )sql");
  RunToCurrent();
  ExpectEqual({"room", "named", "booking", "ONLY lenient", "heir"});
  EXPECT_EQ(target_.Value("SELECT count(*) FROM pg_constraint WHERE conrelid = "
                          "'lenient'::regclass AND contype = 'n' AND convalidated AND "
                          "pg_get_constraintdef(oid) = 'NOT NULL k'"),
            "1");
}

// It would run as the sink's role, here and now.
TEST_F(CreateSchemaTest, AUsersFunctionArrivesOnlyWhereTheSourceIsTrusted) {
  source_.Execute(R"sql(
    DO $$ BEGIN CREATE ROLE schema_maker; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
    CREATE FUNCTION tripled(i int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT i * 3';
    ALTER FUNCTION tripled(int) OWNER TO schema_maker;
    CREATE TABLE t (id int PRIMARY KEY, n int, more int GENERATED ALWAYS AS (tripled(n)) STORED);
    INSERT INTO t VALUES (1, 2);
  )sql");
  pipeline_.sinks = {PostgresSink()};
  const std::string said = Expect(1, "run", {"--until-current"});
  EXPECT_NE(said.find("function public.tripled is left out"), std::string::npos) << said;
  EXPECT_NE(said.find("ddl_trusts_source"), std::string::npos) << said;
  EXPECT_EQ(target_.Value("SELECT to_regprocedure('tripled(int)') IS NULL"), "t");
  pipeline_.sinks = {PostgresSink("create_schema: true, ddl_trusts_source: true")};
  RunToCurrent();
  ExpectEqual({"t"});
}

}  // namespace
}  // namespace pgflow::tests
