// What a role's or a database's own settings (ALTER ROLE ... SET, ALTER DATABASE ... SET) and
// row-level security could do to sessions of ours: end them, change values, hide rows.
#include <fmt/format.h>

#include "tests/integration/system_test.h"

namespace pgflow::tests {
namespace {

// An operator and functions that answer wrongly, in front of pg_catalog's.
constexpr const char* kHostile = R"sql(
CREATE SCHEMA hostile; GRANT USAGE ON SCHEMA hostile TO PUBLIC;
CREATE FUNCTION hostile.never_int(int, int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT false';
CREATE FUNCTION hostile.never_text(text, text) RETURNS bool
  LANGUAGE sql IMMUTABLE AS 'SELECT false';
CREATE FUNCTION hostile.never_name(name, name) RETURNS bool
  LANGUAGE sql IMMUTABLE AS 'SELECT false';
CREATE FUNCTION hostile.never_oid(oid, oid) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT false';
CREATE OPERATOR hostile.= (LEFTARG = int, RIGHTARG = int, FUNCTION = hostile.never_int);
CREATE OPERATOR hostile.= (LEFTARG = text, RIGHTARG = text, FUNCTION = hostile.never_text);
CREATE OPERATOR hostile.= (LEFTARG = name, RIGHTARG = name, FUNCTION = hostile.never_name);
CREATE OPERATOR hostile.= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = hostile.never_oid);
CREATE FUNCTION hostile.format(text, VARIADIC text[]) RETURNS text
  LANGUAGE sql AS $$ SELECT 'DROP TABLE x' $$;
CREATE FUNCTION hostile.format(text) RETURNS text LANGUAGE sql AS $$ SELECT 'DROP TABLE x' $$;
CREATE FUNCTION hostile.now() RETURNS timestamptz LANGUAGE sql AS $$ SELECT NULL::timestamptz $$;
CREATE FUNCTION hostile.to_regclass(text) RETURNS regclass
  LANGUAGE sql AS $$ SELECT NULL::regclass $$;
CREATE FUNCTION hostile.current_database() RETURNS name LANGUAGE sql AS $$ SELECT 'other'::name $$;
CREATE FUNCTION hostile.current_setting(text) RETURNS text LANGUAGE sql AS $$ SELECT 'other' $$;
CREATE FUNCTION hostile.pg_get_expr(pg_node_tree, oid) RETURNS text
  LANGUAGE sql AS $$ SELECT '1/0' $$;
CREATE VIEW hostile.pg_class AS SELECT NULL::oid AS oid, 'none' AS relname;
CREATE VIEW hostile.pg_type AS SELECT NULL::oid AS oid, 'none' AS typname;
)sql";

constexpr const char* kTables = R"sql(
CREATE TABLE dated (id int PRIMARY KEY, d date, ts timestamp, tz timestamptz, i interval, f float8,
  f4 real, y bytea, m money, t text, a text[], x xml, n numeric, "order" text DEFAULT 'x');
CREATE TABLE rows (t text, f float8); ALTER TABLE rows REPLICA IDENTITY FULL;
CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child (id int PRIMARY KEY, p int);
)sql";

std::string Rows(int first, int last) {
  return fmt::format(
      "INSERT INTO dated SELECT i, date '2020-02-01' + i, timestamp '2020-02-01 12:34:56.789' + i *"
      " interval '1 hour', timestamptz '2020-02-01 12:00+00' + i * interval '1 hour',"
      " make_interval(0, -1, 0, i, 2, -3), i / 3.0, i / 7.0, '\\x00275cff', i * 1.01, 'é\\''\"' || "
      "i,"
      " ARRAY['NULL', NULL, '\\'], 'a<b/>c', i / 9.0 FROM generate_series({0}, {1}) i;"
      "INSERT INTO rows SELECT '\\' || i, i / 3.0 FROM generate_series({0}, {1}) i;"
      "INSERT INTO parent SELECT generate_series({0}, {1});"
      "INSERT INTO child SELECT i, i FROM generate_series({0}, {1}) i",
      first, last);
}

const std::vector<std::string> kAll = {"dated", "rows", "parent", "child"};

class SessionTest : public SharedServerTest {
 protected:
  void SetUp() override {
    SharedServerTest::SetUp();
    for (const Database* database : {&source_, &target_}) database->Execute(kHostile);
    source_.Execute(kTables);
    role_ = TestName();
    source_.Execute(fmt::format("CREATE ROLE {} LOGIN SUPERUSER", role_));
    pipeline_.source_url = source_.url(role_);
    pipeline_.sinks = {
        fmt::format("postgres: {{url: \"{}\", create_schema: true}}", target_.url(role_))};
  }

  std::vector<std::string> Settings() const {
    const int version = source_.server->version() / 10000;
    std::vector<std::string> settings = {
        "statement_timeout = '100ms'",
        "lock_timeout = '50ms'",
        "idle_in_transaction_session_timeout = '100ms'",
        "default_transaction_read_only = on",
        "default_transaction_isolation = serializable",
        "default_transaction_deferrable = on",
        "DateStyle = 'SQL, DMY'",
        "IntervalStyle = sql_standard",
        "TimeZone = 'Asia/Kolkata'",
        "extra_float_digits = -5",
        "bytea_output = escape",
        "standard_conforming_strings = off",
        "backslash_quote = off",
        "array_nulls = off",
        "xmloption = document",
        "transform_null_equals = on",
        "quote_all_identifiers = on",
        "search_path = hostile, pg_catalog, public",
        "session_replication_role = replica",
        "row_security = on",
        "client_encoding = LATIN1",
        "enable_indexscan = off",
        "synchronous_commit = off",
    };
    if (version >= 14) settings.emplace_back("idle_session_timeout = '500ms'");
    if (version >= 14) settings.emplace_back("default_toast_compression = pglz");
    if (version >= 17) settings.emplace_back("transaction_timeout = '500ms'");
    return settings;
  }

  static std::string NameOf(const std::string& setting) {
    return setting.substr(0, setting.find(' '));
  }

  std::string Pids() const {
    return source_.Value(
        fmt::format("SELECT string_agg(pid::text, ' ' ORDER BY pid) FROM pg_stat_activity"
                    " WHERE usename = '{}' AND application_name NOT LIKE '%snapshot%'",
                    role_));
  }

  // Large enough for each timeout; then nothing for longer than the longest of them.
  void ExpectUndisturbed() {
    source_.Execute(Rows(1, 40000));
    const auto process = Run();
    ASSERT_TRUE(WaitForSnapshot(*process)) << process->Output();
    ExpectEqualSoon(kAll, *process);
    const std::string before = Pids();
    source_.Execute("SELECT pg_sleep(1)");
    EXPECT_EQ(Pids(), before) << "sessions were ended: " << process->Output();
    // A lock on the target, held for longer than lock_timeout and statement_timeout.
    const auto holder = target_.server->Connect(target_.name);
    ASSERT_TRUE(holder.ok());
    EXPECT_TRUE((*holder)->Execute("BEGIN; LOCK TABLE dated, rows").ok());
    source_.Execute(Rows(50001, 50200));
    source_.Execute("UPDATE dated SET f = -f, ts = ts + interval '1 day' WHERE id % 100 = 0");
    source_.Execute(
        "DELETE FROM rows WHERE f BETWEEN 1000 AND 1005; UPDATE rows SET t = t || 'x' WHERE f < 9");
    source_.Execute("SELECT pg_sleep(0.4)");
    EXPECT_TRUE((*holder)->Execute("COMMIT").ok());
    ExpectEqualSoon(kAll, *process);
    process->Signal(SIGTERM);
    EXPECT_EQ(process->WaitForExit(), 0) << process->Output();
    EXPECT_EQ(CountOf(process->Output(), "timeout"), 0u) << process->Output();
  }

  std::string role_;
};

TEST_F(SessionTest, SettingsOfTheRole) {
  for (const std::string& setting : Settings()) {
    source_.Execute(fmt::format("ALTER ROLE {} SET {}", role_, setting));
  }
  ExpectUndisturbed();
}

TEST_F(SessionTest, SettingsOfTheDatabasesInText) {
  for (const std::string& setting : Settings()) {
    source_.Execute(fmt::format("ALTER DATABASE {} SET {}", source_.name, setting));
    target_.Execute(fmt::format("ALTER DATABASE {} SET {}", target_.name, setting));
  }
  // Not the test's own sessions: on a busy machine they would end before their first statement.
  for (const Database* database : {&source_, &target_}) {
    for (const std::string& setting : Settings()) {
      const std::string name = NameOf(setting);
      if (!name.ends_with("_timeout")) continue;
      database->Execute(
          fmt::format("ALTER ROLE postgres IN DATABASE {} SET {} = 0", database->name, name));
    }
  }
  pipeline_.source_options = "    binary: off\n";
  ExpectUndisturbed();
}

// Commands of a session with such settings, read and applied by roles with such settings.
TEST_F(SessionTest, SettingsOfWhoeverRunsDdl) {
  std::string set;
  for (const std::string& setting : Settings()) {
    source_.Execute(fmt::format("ALTER ROLE {} SET {}", role_, setting));
    const std::string name = NameOf(setting);
    if (name.ends_with("_timeout") || name.starts_with("default_transaction")) continue;
    set += fmt::format("SET {};", setting);
  }
  pipeline_.source_options = "    replication: {ddl: true}\n";
  source_.Execute("INSERT INTO public.parent VALUES (1)");
  const auto process = Run();
  ASSERT_TRUE(WaitForSnapshot(*process)) << process->Output();
  source_.Execute(
      set +
      "CREATE TYPE public.mood AS ENUM ('so', 'so''so');"
      "CREATE TABLE public.made (id int PRIMARY KEY, d date DEFAULT '03/02/2020', "
      "i interval DEFAULT '1 day 02:03:04', f float8 DEFAULT 0.1, t text DEFAULT E'it''s \\\\', "
      "m public.mood DEFAULT 'so''so', tz timestamptz DEFAULT '03/02/2020 05:06:07', "
      "at timestamptz DEFAULT '03/02/2020 05:06:07', "
      "\"Order\" numeric DEFAULT 1e-7, a text[] DEFAULT ARRAY['NULL', NULL], "
      "CHECK (d > '01/02/2000'));");
  source_.Execute(
      set +
      "INSERT INTO public.made (id) VALUES (1);"
      "ALTER TABLE public.parent ADD COLUMN at timestamptz DEFAULT clock_timestamp();"
      "ALTER TABLE public.made ALTER COLUMN tz DROP DEFAULT, "
      "ALTER COLUMN tz TYPE text USING tz::text || i::text;"
      "CREATE INDEX of_made ON public.made (d) WHERE d > '01/02/2000';"
      "CREATE VIEW public.seen AS SELECT id, i + '1 mon' AS i FROM public.made WHERE d > "
      "'01/02/2000' AND t <> E'\\\\';"
      "CREATE FUNCTION public.f(d date DEFAULT '03/02/2020') RETURNS text LANGUAGE sql AS "
      "$$ SELECT 'x''' || d $$;"
      "INSERT INTO public.made (id) VALUES (2)");
  ExpectEqualSoon({"made", "parent"}, *process);
  const std::string definitions =
      "SET DateStyle = 'ISO, MDY'; SET IntervalStyle = postgres; SET TimeZone = 'UTC'; "
      "SET quote_all_identifiers = off; SET search_path = pg_catalog; SET extra_float_digits = 1; "
      "SELECT string_agg(d, E'\\n' ORDER BY d) FROM ("
      "SELECT adnum || pg_get_expr(adbin, adrelid) AS d FROM pg_attrdef "
      "WHERE adrelid = 'public.made'::regclass "
      "UNION ALL SELECT pg_get_constraintdef(oid) FROM pg_constraint "
      "WHERE conrelid = 'public.made'::regclass "
      "UNION ALL SELECT pg_get_indexdef('public.of_made'::regclass) "
      "UNION ALL SELECT pg_get_viewdef('public.seen'::regclass) "
      "UNION ALL SELECT pg_get_functiondef('public.f'::regproc)) x";
  EXPECT_EQ(target_.Value(definitions), source_.Value(definitions));
  process->Signal(SIGTERM);
  EXPECT_EQ(process->WaitForExit(), 0) << process->Output();
  Expect(0, "destroy");
}

// A policy of the source must not make fewer rows of a table.
class RowSecurityTest : public SharedServerTest {
 protected:
  void SetUp() override {
    SharedServerTest::SetUp();
    role_ = TestName();
    source_.Execute(
        fmt::format("CREATE TABLE secrets (id int PRIMARY KEY, owner text);"
                    "INSERT INTO secrets SELECT i, CASE WHEN i % 2 = 0 THEN 'me' ELSE 'you' END"
                    " FROM generate_series(1, 100) i;"
                    "CREATE POLICY mine ON secrets USING (owner = 'me');"
                    "ALTER TABLE secrets ENABLE ROW LEVEL SECURITY;"
                    "CREATE PUBLICATION everything FOR TABLE secrets;"
                    "CREATE ROLE {} LOGIN REPLICATION; GRANT SELECT ON secrets TO {}",
                    role_, role_));
    pipeline_.source_url = source_.url(role_);
    pipeline_.source_options = "    replication: {publication: everything}\n";
  }
  void ExpectRefused() {
    const std::string output = Expect(1, "run", {"--until-current"});
    EXPECT_NE(output.find("public.secrets: its row-level security"), std::string::npos) << output;
    EXPECT_NE(output.find("BYPASSRLS"), std::string::npos) << output;
    EXPECT_NE(Expect(3, "check").find("row-level security"), std::string::npos);
    EXPECT_EQ(target_.ValueIfAny("SELECT count(*) FROM secrets"), "");
    EXPECT_EQ(source_.Value("SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'pgflow_" +
                            pipeline_.name + "'"),
              "0");
  }
  void ExpectAllRows() {
    RunToCurrent();
    ExpectEqual({"secrets"});
    source_.Execute(
        "UPDATE secrets SET owner = 'you' WHERE id = 2; DELETE FROM secrets WHERE id = 3");
    RunToCurrent();
    ExpectEqual({"secrets"});
    EXPECT_EQ(target_.Value("SELECT count(*) FROM secrets"), "99");
  }

  std::string role_;
};

TEST_F(RowSecurityTest, OfAnotherOwnersTableIsRefused) {
  ExpectRefused();
  source_.Execute(fmt::format("ALTER ROLE {} BYPASSRLS", role_));
  ExpectAllRows();
}

TEST_F(RowSecurityTest, ForcedUponTheOwnerIsRefused) {
  source_.Execute(fmt::format("ALTER TABLE secrets OWNER TO {}, FORCE ROW LEVEL SECURITY", role_));
  ExpectRefused();
  source_.Execute("ALTER TABLE secrets NO FORCE ROW LEVEL SECURITY");
  ExpectAllRows();
}

// The target's policies are for its readers; a writer that they bind must not lose changes.
TEST_F(RowSecurityTest, OfTheTargetRefusesChangesThatItWouldHide) {
  source_.Execute(fmt::format("ALTER ROLE {} BYPASSRLS", role_));
  target_.Execute(fmt::format(
      "CREATE ROLE {0}_writer LOGIN; CREATE TABLE secrets (id int PRIMARY KEY, owner text);"
      "CREATE POLICY mine ON secrets USING (owner = 'me') WITH CHECK (true);"
      "GRANT ALL ON secrets TO {0}_writer; CREATE SCHEMA pgflow AUTHORIZATION {0}_writer",
      role_));
  pipeline_.sinks = {fmt::format("postgres: {{url: \"{}\"}}", target_.url(role_ + "_writer"))};
  RunToCurrent();
  ExpectEqual({"secrets"});
  target_.Execute("ALTER TABLE secrets ENABLE ROW LEVEL SECURITY");
  source_.Execute("UPDATE secrets SET owner = 'nobody' WHERE id = 3");
  const std::string output = Expect(1, "run", {"--until-current"});
  EXPECT_NE(output.find("row-level security policy for table \"secrets\""), std::string::npos)
      << output;
  target_.Execute(fmt::format("ALTER ROLE {}_writer BYPASSRLS", role_));
  RunToCurrent();
  ExpectEqual({"secrets"});
}

}  // namespace
}  // namespace pgflow::tests
