// Tables that are renamed, replaced or dropped while a copy is interrupted: what was copied before
// and what is copied later have other names.
//
// Ways to break it: the name of a copied table is given to another, which is taken for copied; a
// copied one is copied once more under its new name; DDL that renames what was only half copied is
// applied, or left out, in vain; a table that came later is copied and streamed.
#include <random>

#include <absl/strings/str_split.h>
#include <fmt/format.h>
#include <gmock/gmock.h>

#include "tests/integration/system_test.h"

namespace pgflow::tests {
namespace {

using testing::HasSubstr;

class InterruptedCopyTest : public SharedServerTest {
 protected:
  void SetUp() override {
    SharedServerTest::SetUp();
    pipeline_.source_options = "    replication: {ddl: true}\n";
    pipeline_.tables = "[\"public.*\"]";
    pipeline_.snapshot = "{workers: 1, range_size: 128KiB}";
    pipeline_.sinks = {PostgresSink()};
    copied_ =
        "SELECT string_agg(table_name, ' ' ORDER BY table_name) FROM pgflow.table_progress WHERE "
        "complete AND pipeline = '" +
        pipeline_.name + "'";
    // The largest is copied first. The last one has no key, and would show each row that comes
    // twice. Few rows in many blocks: what takes time is the number of ranges.
    Fill("big", 2400);
    Fill("middle", 2000);
    Fill("small", 1600, false);
  }

  // Kills the copy when `big` and `middle` are there and `small` is not, and runs `sql` on the
  // source, each in a transaction of its own.
  void KillAndExecute(const std::vector<std::string>& sql) {
    const auto process = Run();
    ASSERT_TRUE(Eventually([&] { return target_.ValueIfAny(copied_) == "big middle"; }))
        << process->Output();
    process->Kill9();
    ASSERT_EQ(target_.Value(copied_), "big middle") << "the copy was too fast for this test";
    for (const std::string& statements : sql) source_.Execute(statements);
  }

  // The rest of the copy is right, and so are the names.
  void ExpectEqualAfter(const std::vector<std::string>& sql) {
    ASSERT_NO_FATAL_FAILURE(KillAndExecute(sql));
    ExpectGoesOn();
  }
  void ExpectGoesOn() {
    RunToCurrent();
    ExpectEqualNow();
    source_.Execute(
        "DO $$ DECLARE t text; BEGIN FOR t IN SELECT relname FROM pg_class WHERE relnamespace = "
        "'public'::regnamespace AND relkind = 'r' LOOP EXECUTE format('INSERT INTO %I (id, v) "
        "VALUES (0, %L); ALTER TABLE %I ADD later int DEFAULT 7', t, 'later', t); END LOOP; END "
        "$$");
    RunToCurrent();
    ExpectEqualNow();
  }
  void ExpectRefusal(const std::string& before, const std::string& now) {
    const std::string said = Expect(1, "run", {"--until-current"});
    EXPECT_THAT(said, HasSubstr(fmt::format("table public.{} was renamed to public.{} before all "
                                            "of it was copied. Rename it back",
                                            before, now)));
  }

  void Fill(const std::string& table, int rows, bool has_key = true) {
    source_.Execute(fmt::format(
        "CREATE TABLE {0} (id int, v text, filler text); ALTER TABLE {0} ALTER filler SET STORAGE "
        "PLAIN; INSERT INTO {0} SELECT i, '{0}', repeat('x', 2500) FROM generate_series(1, {1}) i;"
        "ALTER TABLE {0} {2}",
        table, rows, has_key ? "ADD PRIMARY KEY (id)" : "REPLICA IDENTITY FULL"));
  }

  void ExpectEqualNow() {
    const std::vector<std::string> names = PublicTables(source_);
    EXPECT_EQ(PublicTables(target_), names);
    ExpectEqual(names);
  }

  std::string copied_;  // The query.
};

TEST_F(InterruptedCopyTest, ACopiedTableIsRenamed) {
  ExpectEqualAfter({"UPDATE big SET v = 'x' WHERE id < 9; ALTER TABLE big RENAME TO large",
                    "DELETE FROM large WHERE id < 5"});
}

TEST_F(InterruptedCopyTest, AnUnfinishedTableIsRenamedThereAndBack) {
  ExpectEqualAfter(
      {"INSERT INTO small VALUES (1, 'a'); ALTER TABLE small RENAME TO tiny;"
       "INSERT INTO tiny VALUES (2, 'b')",
       "INSERT INTO tiny VALUES (3, 'c'); ALTER TABLE tiny RENAME TO small",
       "INSERT INTO small VALUES (4, 'd')"});
}

TEST_F(InterruptedCopyTest, CopiedTablesExchangeTheirNames) {
  ExpectEqualAfter({"ALTER TABLE big RENAME TO tmp; ALTER TABLE middle RENAME TO big",
                    "UPDATE tmp SET v = 'y' WHERE id < 9; ALTER TABLE tmp RENAME TO middle",
                    "DELETE FROM big WHERE id < 5"});
}

TEST_F(InterruptedCopyTest, ACopiedAndAnUnfinishedTableExchangeTheirNames) {
  ASSERT_NO_FATAL_FAILURE(KillAndExecute(
      {"ALTER TABLE small RENAME TO tmp; ALTER TABLE middle RENAME TO small;"
       "ALTER TABLE tmp RENAME TO middle",
       "INSERT INTO middle VALUES (1, 'a'); UPDATE small SET v = 'y' WHERE id < 9"}));
  ExpectRefusal("small", "middle");
  // What was `middle` had the name of `small` for a time, and nothing of it may go there.
  source_.Execute("ALTER TABLE small RENAME TO elsewhere; ALTER TABLE middle RENAME TO small");
  EXPECT_THAT(Expect(1, "run", {"--until-current"}),
              HasSubstr("public.small was the name of another table"));
}

TEST_F(InterruptedCopyTest, AnUnfinishedTableIsRenamed) {
  ASSERT_NO_FATAL_FAILURE(
      KillAndExecute({"INSERT INTO small VALUES (1, 'a')", "ALTER TABLE small RENAME TO tiny",
                      "INSERT INTO tiny VALUES (2, 'b')"}));
  ExpectRefusal("small", "tiny");
  // One of its name makes it no better.
  source_.Execute("CREATE TABLE small (id int PRIMARY KEY, v text)");
  ExpectRefusal("small", "tiny");
  source_.Execute(
      "DROP TABLE small; ALTER TABLE tiny RENAME TO small; INSERT INTO small VALUES (3)");
  ExpectGoesOn();
}

// Without a kill: the copy waits for the lock, and the name is another when it gets it.
TEST_F(InterruptedCopyTest, ATableIsRenamedWhileItsCopyWaits) {
  auto connection = source_.server->Connect(source_.name);
  ASSERT_TRUE(connection.ok()) << connection.status();
  const auto process = Run();
  ASSERT_TRUE(Eventually([&] {
    return target_.ValueIfAny("SELECT count(*) FROM pgflow.table_progress WHERE pipeline = '" +
                              pipeline_.name + "'") == "3";
  })) << process->Output();
  ASSERT_TRUE((*connection)->Execute("BEGIN; LOCK TABLE small IN ACCESS EXCLUSIVE MODE").ok());
  ASSERT_TRUE(Eventually([&] { return target_.ValueIfAny(copied_) == "big middle"; }))
      << process->Output();
  ASSERT_TRUE((*connection)->Execute("ALTER TABLE small RENAME TO tiny; COMMIT").ok());
  EXPECT_EQ(process->WaitForExit(), 1) << process->Output();
  EXPECT_THAT(process->Output(), HasSubstr("table public.small was renamed to public.tiny"));
  source_.Execute("INSERT INTO tiny VALUES (3); ALTER TABLE tiny RENAME TO small");
  ExpectGoesOn();
}

// A copy that goes on by the primary key keeps what it has.
TEST_F(InterruptedCopyTest, AResumedTableIsRenamedThereAndBack) {
  source_.Execute("DELETE FROM small WHERE id < 0; ALTER TABLE small ADD PRIMARY KEY (id)");
  ExpectEqualAfter(
      {"INSERT INTO small VALUES (-1, 'a'); ALTER TABLE small RENAME TO tiny;"
       "DELETE FROM tiny WHERE id < 200; UPDATE tiny SET v = 'c' WHERE id > 1590",
       "INSERT INTO tiny VALUES (-3, 'c'); ALTER TABLE tiny RENAME TO small",
       "INSERT INTO small VALUES (-4, 'd')"});
}

TEST_F(InterruptedCopyTest, ACopiedTableIsMadeAnew) {
  ExpectEqualAfter({"DROP TABLE big",
                    "CREATE TABLE big (id bigint PRIMARY KEY, v text, more int DEFAULT 1);"
                    "INSERT INTO big VALUES (1, 'new')"});
}

TEST_F(InterruptedCopyTest, AnotherTableTakesTheNameOfACopiedOne) {
  ExpectEqualAfter(
      {"ALTER TABLE big RENAME TO old; UPDATE old SET v = 'o' WHERE id < 9",
       "CREATE TABLE big (id int PRIMARY KEY, v text); INSERT INTO big VALUES (1, 'n')",
       "DROP TABLE old"});
}

TEST_F(InterruptedCopyTest, AnotherTakesTheNameOfACopiedOneAndStays) {
  ExpectEqualAfter(
      {"ALTER TABLE big RENAME TO old; UPDATE old SET v = 'o' WHERE id < 9",
       "CREATE TABLE big (id int PRIMARY KEY, v text, more int); INSERT INTO big VALUES (1, 'n')",
       "ALTER TABLE big ADD most int DEFAULT 3; INSERT INTO big VALUES (2, 'n', 2)"});
}

TEST_F(InterruptedCopyTest, ATableFromElsewhereTakesTheNameOfACopiedOne) {
  source_.Execute(
      "CREATE SCHEMA elsewhere; CREATE TABLE elsewhere.big (id int CONSTRAINT other_key PRIMARY "
      "KEY, v text);"
      "INSERT INTO elsewhere.big VALUES (1, 'from elsewhere')");
  ExpectEqualAfter({"ALTER TABLE big RENAME TO old; UPDATE old SET v = 'o' WHERE id < 9",
                    "INSERT INTO elsewhere.big VALUES (2, 'not yet')",
                    "ALTER TABLE elsewhere.big SET SCHEMA public",
                    "INSERT INTO big VALUES (3, 'from here')"});
}

TEST_F(InterruptedCopyTest, ACopiedTableTakesTheNameOfAnUnfinishedOne) {
  ExpectEqualAfter({"DROP TABLE small",
                    "ALTER TABLE middle RENAME TO small; UPDATE small SET v = 'm' WHERE id < 9",
                    "CREATE TABLE middle (id int, v text)"});
}

TEST_F(InterruptedCopyTest, AnUnfinishedTableIsMadeAnew) {
  ExpectEqualAfter({"DROP TABLE small",
                    "CREATE TABLE small (id bigint PRIMARY KEY, more numeric DEFAULT 1, v text)",
                    "INSERT INTO small VALUES (1, 2.5, 'new'), (2, 3.5, 'newer')"});
}

TEST_F(InterruptedCopyTest, ACopiedTableIsDropped) {
  ExpectEqualAfter({"INSERT INTO big VALUES (-1, 'x')", "DROP TABLE big"});
}

TEST_F(InterruptedCopyTest, AnUnfinishedTableIsDropped) {
  ExpectEqualAfter(
      {"INSERT INTO small VALUES (-1, 'x'); DELETE FROM small WHERE id < 9;"
       "UPDATE small SET v = 'y' WHERE id > 1590; ALTER TABLE small ADD w int",
       "UPDATE small SET w = 1 WHERE id > 1595; ALTER TABLE small RENAME TO tiny",
       "UPDATE tiny SET w = 2 WHERE id > 1595; DROP TABLE tiny"});
}

// Nobody tells of names there: they are given by hand on both sides.
TEST_F(InterruptedCopyTest, WithoutTheCaptureACopiedTableIsRenamed) {
  pipeline_.source_options.clear();
  ASSERT_NO_FATAL_FAILURE(KillAndExecute(
      {"ALTER TABLE big RENAME TO old; UPDATE old SET v = 'o' WHERE id < 9",
       "CREATE TABLE fresh (id int PRIMARY KEY, v text); INSERT INTO fresh VALUES (1, 'f')",
       "INSERT INTO fresh VALUES (2, 'g'); INSERT INTO old VALUES (-2, 'x')"}));
  target_.Execute("ALTER TABLE big RENAME TO old");
  const auto process = Run();
  ExpectEqualSoon({"fresh", "middle", "old", "small"}, *process);
  source_.Execute(
      "INSERT INTO old VALUES (-1, 'l'); INSERT INTO fresh VALUES (3, 'h');"
      "INSERT INTO small VALUES (-1, 'l')");
  ExpectEqualSoon({"fresh", "middle", "old", "small"}, *process);
}

TEST_F(InterruptedCopyTest, WithoutTheCaptureANameThatIsGivenAnewIsRefused) {
  pipeline_.source_options.clear();
  ASSERT_NO_FATAL_FAILURE(
      KillAndExecute({"ALTER TABLE big RENAME TO old",
                      "CREATE TABLE big (id int PRIMARY KEY); INSERT INTO big VALUES (1)"}));
  target_.Execute("ALTER TABLE big RENAME TO old");
  EXPECT_THAT(Expect(1, "run", {"--until-current"}), HasSubstr("another table has its name now"));
}

// Gives tables of the source other names, one change at a time.
class NameChanger {
 public:
  NameChanger(const Database& source, uint64_t seed) : source_(source), random_(seed) {}

  uint64_t Below(uint64_t end) { return random_() % end; }
  const std::string& log() const { return log_; }

  void Execute(const std::string& sql) {
    log_ += sql + "\n";
    source_.Execute(sql);
  }

  void Change() {
    const std::vector<std::string> tables = PublicTables(source_);
    const std::string& one = tables[Below(tables.size())];
    const std::string& other = tables[Below(tables.size())];
    const uint64_t number = Below(1000000);
    switch (Below(6)) {
      case 0:
        if (tables.size() > 4) Execute(fmt::format("DROP TABLE {}", one));
        return;
      case 1:
        if (one == other) return;
        Execute(
            fmt::format("ALTER TABLE {0} RENAME TO tmp; ALTER TABLE {1} RENAME TO {0};"
                        "ALTER TABLE tmp RENAME TO {1}",
                        one, other));
        return;
      case 2:
        Execute(fmt::format("ALTER TABLE {} RENAME TO n{}", one, number));
        return;
      case 3:
        Execute(
            fmt::format("ALTER TABLE {0} RENAME TO n{1}; CREATE TABLE {0} (id int PRIMARY KEY, "
                        "v text, filler text); INSERT INTO {0} VALUES (1, 'new')",
                        one, number));
        return;
      case 4:
        Execute(fmt::format("ALTER TABLE {} ADD c{} int DEFAULT 5", one, number));
        return;
      default:
        Execute(
            fmt::format("INSERT INTO {} (id, v) VALUES (-{}, 'x'); UPDATE {} SET v = 'u' WHERE "
                        "id < 5",
                        one, number, other));
    }
  }

  // What the refusal asks for: "table public.X was renamed to public.Y before all of it was
  // copied".
  void TakeBack(const std::string& said) {
    const size_t at = said.rfind("table public.");
    const std::vector<std::string> words = absl::StrSplit(said.substr(at), ' ');
    const std::string before = words[1].substr(std::string("public.").size());
    const std::string now = words[5].substr(std::string("public.").size());
    if (source_.Value("SELECT to_regclass('" + before + "') IS NULL") == "f") {
      Execute(fmt::format("ALTER TABLE {} RENAME TO away{}", before, Below(1000000)));
    }
    Execute(fmt::format("ALTER TABLE {} RENAME TO {}", now, before));
  }

 private:
  Database source_;
  std::mt19937_64 random_;
  std::string log_;
};

// Whatever happens to the names, the copy ends with all rows, or says what to take back.
TEST_F(InterruptedCopyTest, AnyNamesAtAnyMoment) {
  const uint64_t seed = NumberFromEnvironment("PGFLOW_RANDOM_SEED", std::random_device()());
  NameChanger names(source_, seed);
  for (int i = 0; i < 4; ++i) Fill(fmt::format("t{}", i), 300);
  for (uint64_t kills = 1 + names.Below(3); kills > 0; --kills) {
    const auto process = Run();
    // Before anything is begun, the target may have an empty table by a name that is no more.
    const std::string copied = fmt::format(
        "SELECT count(*) > 0 AND count(*) FILTER (WHERE complete) >= {} FROM pgflow.table_progress "
        "WHERE pipeline = '{}'",
        names.Below(6), pipeline_.name);
    ASSERT_TRUE(Eventually([&] {
      return !process->running() || target_.ValueIfAny(copied) == "t";
    })) << process->Output();
    for (uint64_t i = names.Below(3); i > 0; --i) names.Change();
    process->Kill9();
    for (uint64_t i = names.Below(5); i > 0; --i) names.Change();
  }
  for (int attempt = 0;; ++attempt) {
    const auto process = Run({"--until-current"});
    if (process->WaitForExit() == 0) break;
    const std::string said = process->Output();
    // It is loud, and there is no way back.
    if (said.find("was the name of another table") != std::string::npos) return;
    ASSERT_THAT(said, HasSubstr("before all of it was copied")) << seed << "\n" << names.log();
    ASSERT_LT(attempt, 20) << seed << "\n" << said << names.log();
    names.TakeBack(said);
    names.Change();
  }
  ExpectEqualNow();
  for (int i = 0; i < 5; ++i) names.Change();
  RunToCurrent();
  ExpectEqualNow();
  if (HasFailure()) ADD_FAILURE() << "PGFLOW_RANDOM_SEED=" << seed << "\n" << names.log();
}

}  // namespace
}  // namespace pgflow::tests
