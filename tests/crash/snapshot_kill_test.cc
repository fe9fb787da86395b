// kill -9 of pgflow at each statement of the first copy, over tables with every kind of identity,
// with changes before it goes on; both sides end equal.
//
//   snapshot_kill_test                            some statements (in CI)
//   PGFLOW_KILL_EVERY=1 snapshot_kill_test        every one
//   PGFLOW_KILL_SEED=17 snapshot_kill_test        the choices of an earlier run
//
// A proxy in front of one of the servers counts what is sent, and stalls at the chosen statement:
// either it never reaches the server, or its answer never reaches pgflow, which is killed then.
// Both servers' statements are counted, with a role that may switch foreign keys off and one that
// may not.
#include <random>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/integration/stalling_proxy.h"
#include "tests/integration/system_test.h"

namespace pgflow::tests {
namespace {

// Two ranges each. `late` keys are not identities, and cannot be looked at while they are broken.
constexpr const char* kSource = R"sql(
CREATE TABLE parent (id int PRIMARY KEY, name text, filler text);
CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent ON DELETE CASCADE,
  filler text);
CREATE TABLE other (id int PRIMARY KEY, parent int REFERENCES parent ON DELETE SET NULL,
  filler text);
CREATE TABLE whole (id int PRIMARY KEY, n int, filler text);
ALTER TABLE whole REPLICA IDENTITY FULL;
CREATE TABLE by_index (id int PRIMARY KEY, n int NOT NULL, filler text);
CREATE UNIQUE INDEX by_index_n ON by_index (n);
ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_n;
CREATE TABLE by_key (id int PRIMARY KEY, n int NOT NULL, filler text);
ALTER TABLE by_key REPLICA IDENTITY USING INDEX by_key_pkey;
CREATE TABLE nothing (id int PRIMARY KEY, n int, filler text);
ALTER TABLE nothing REPLICA IDENTITY NOTHING;
CREATE TABLE late (id int PRIMARY KEY DEFERRABLE, n int, filler text);
CREATE TABLE late_whole (id int PRIMARY KEY DEFERRABLE, n int, filler text);
ALTER TABLE late_whole REPLICA IDENTITY FULL;
CREATE TABLE bare (id int, n int, filler text);
CREATE TABLE bare_whole (id int, n int, filler text);
ALTER TABLE bare_whole REPLICA IDENTITY FULL;
INSERT INTO parent SELECT i, 'p' || i, repeat('x', 250) FROM generate_series(1, 600) i;
INSERT INTO child SELECT i, i, repeat('x', 250) FROM generate_series(1, 600) i;
INSERT INTO other SELECT i, i, repeat('x', 250) FROM generate_series(1, 600) i;
DO $$ DECLARE t text; BEGIN
  FOREACH t IN ARRAY '{whole,by_index,by_key,nothing,late,late_whole,bare,bare_whole}'::text[] LOOP
    EXECUTE format('INSERT INTO %I SELECT i, i, repeat(''x'', 250) FROM generate_series(1, 600) i',
      t);
  END LOOP;
END $$;
)sql";

// Foreign keys are not made by create_schema.
constexpr const char* kTarget = R"sql(
CREATE TABLE parent (id int PRIMARY KEY, name text, filler text);
CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent ON DELETE CASCADE,
  filler text);
CREATE TABLE other (id int PRIMARY KEY, parent int REFERENCES parent ON DELETE SET NULL,
  filler text);
)sql";

// Rows that go, come back, move, change their keys, and refer to rows that are new.
constexpr const char* kChanges = R"sql(
INSERT INTO parent SELECT i, 'new', 'f' FROM generate_series(601, 640) i;
INSERT INTO child SELECT i, i, 'f' FROM generate_series(601, 640) i;
UPDATE parent SET name = name || '!' WHERE id % 7 = 0;
DELETE FROM parent WHERE id % 50 = 0;
INSERT INTO parent SELECT i, 'again', 'f' FROM generate_series(50, 600, 100) i;
INSERT INTO child SELECT i, i, 'again' FROM generate_series(50, 600, 100) i;
UPDATE child SET parent = 601 WHERE id % 40 = 1;
UPDATE other SET parent = 50 WHERE id % 40 = 2;
DELETE FROM child WHERE id % 40 = 3;
DO $$ DECLARE t text; BEGIN
  FOREACH t IN ARRAY '{whole,by_index,by_key,late_whole,bare_whole}'::text[] LOOP
    EXECUTE format('UPDATE %I SET n = n + 100000 WHERE id %% 9 = 0', t);
    EXECUTE format('DELETE FROM %I WHERE id %% 50 = 1', t);
    EXECUTE format('UPDATE %I SET id = id + 10000 WHERE id %% 50 = 2', t);
    EXECUTE format('INSERT INTO %I SELECT i, i + 50, ''f'' FROM generate_series(1, 600, 50) i', t);
    EXECUTE format('UPDATE %I SET n = n + 7000 WHERE id %% 50 = 1', t);
  END LOOP;
  FOREACH t IN ARRAY '{whole,by_index,by_key,nothing,late,late_whole,bare,bare_whole}'::text[] LOOP
    EXECUTE format('INSERT INTO %I SELECT i, i, ''f'' FROM generate_series(701, 740) i', t);
  END LOOP;
END $$;
)sql";

const std::vector<std::string> kTables = {"parent",     "child",  "other",     "whole",
                                          "by_index",   "by_key", "nothing",   "late",
                                          "late_whole", "bare",   "bare_whole"};

enum class Counted { kOfSource, kOfTarget };

class SnapshotKillTest : public SharedServerTest {
 protected:
  void SetUp() override {
    ASSERT_NE(shared_server, nullptr);
    if (shared_server->QueryValue("SELECT count(*) FROM pg_roles WHERE rolname = 'low'", "postgres")
            .value_or("") != "0") {
      return;
    }
    ASSERT_TRUE(shared_server->Execute("CREATE ROLE low LOGIN", "postgres").ok());
    for (const char* side : {"source", "target"}) {
      ASSERT_TRUE(shared_server->CreateDatabase(fmt::format("base_{}", side)).ok());
    }
    ASSERT_TRUE(shared_server->Execute(kSource, "base_source").ok());
    ASSERT_TRUE(
        shared_server
            ->Execute(fmt::format("{} GRANT ALL ON SCHEMA public TO low; ALTER TABLE parent "
                                  "OWNER TO low; ALTER TABLE child OWNER TO low; ALTER "
                                  "TABLE other OWNER TO low",
                                  kTarget),
                      "base_target")
            .ok());
  }

  void MakeDatabases(const std::string& role);
  // Statements until the copy was complete.
  int CountStatements(Counted counted, const std::string& role);
  void KillAt(Counted counted, const std::string& role, int statement, bool unsent);
  void RunAndKill(Counted counted, const std::string& role, int statement, bool unsent);
  void KillAtSome(const std::string& role);
  void Finish();
  std::unique_ptr<PgflowProcess> RunBehind(StallingProxy& proxy, Counted counted,
                                           const std::string& role);
  void SetSink(const std::string& url) {
    pipeline_.sinks = {fmt::format("postgres: {{url: \"{}\", create_schema: true}}", url)};
  }
};

void SnapshotKillTest::MakeDatabases(const std::string& role) {
  static int number = 0;
  const std::string name = fmt::format("kill_{}", ++number);
  for (const char* side : {"source", "target"}) {
    const absl::Status made = shared_server->Execute(
        fmt::format("CREATE DATABASE {}_{} OWNER {} TEMPLATE base_{}", name, side, role, side),
        "postgres");
    ASSERT_TRUE(made.ok()) << made;
  }
  Use({shared_server.get(), name + "_source"}, {shared_server.get(), name + "_target"});
  pipeline_.name = name;
  pipeline_.state_directory = directory_ / name;
  pipeline_.snapshot = "{workers: 2, range_size: 128KiB}";
}

std::unique_ptr<PgflowProcess> SnapshotKillTest::RunBehind(StallingProxy& proxy, Counted counted,
                                                           const std::string& role) {
  const auto through = [&](const Database& database, std::string_view user) {
    return fmt::format("postgresql://{}@127.0.0.1:{}/{}", user, proxy.port(), database.name);
  };
  pipeline_.source_url =
      counted == Counted::kOfSource ? through(source_, "postgres") : source_.url();
  SetSink(counted == Counted::kOfTarget ? through(target_, role) : target_.url(role));
  return Run();
}

void SnapshotKillTest::Finish() {
  Expect(0, "destroy");
  for (const Database& database : {source_, target_}) {
    (void)shared_server->Execute(fmt::format("DROP DATABASE {}", database.name), "postgres");
  }
}

int SnapshotKillTest::CountStatements(Counted counted, const std::string& role) {
  MakeDatabases(role);
  StallingProxy proxy(shared_server->port());
  proxy.StallAtStatement(0, false);
  const std::unique_ptr<PgflowProcess> process = RunBehind(proxy, counted, role);
  EXPECT_TRUE(WaitForSnapshot(*process));
  const int statements = proxy.statements();
  process->Kill9();
  pipeline_.source_url = source_.url();
  SetSink(target_.url(role));
  Finish();
  return statements;
}

void SnapshotKillTest::RunAndKill(Counted counted, const std::string& role, int statement,
                                  bool unsent) {
  StallingProxy proxy(shared_server->port());
  proxy.StallAtStatement(statement, unsent);
  const std::unique_ptr<PgflowProcess> process = RunBehind(proxy, counted, role);
  const std::string complete = fmt::format(
      "SELECT snapshot_complete FROM pgflow.checkpoint WHERE pipeline = '{}'", pipeline_.name);
  EXPECT_TRUE(Eventually([&] {
    return proxy.stalled() || !process->running() || target_.ValueIfAny(complete) == "t";
  }));
  EXPECT_TRUE(process->running()) << process->Output();
  process->Kill9();
  pipeline_.source_url = source_.url();
  SetSink(target_.url(role));
}

void SnapshotKillTest::KillAt(Counted counted, const std::string& role, int statement,
                              bool unsent) {
  SCOPED_TRACE(fmt::format("statement {} of the {}, {}, role {}", statement,
                           counted == Counted::kOfSource ? "source" : "target",
                           unsent ? "not sent" : "not answered", role));
  MakeDatabases(role);
  RunAndKill(counted, role, statement, unsent);
  source_.Execute(kChanges);
  RunToCurrent();
  ExpectEqual(kTables);
  if (HasFailure()) {
    std::printf("%s\n", ReadFile(directory_ / "pgflow.log").c_str());
    return;
  }
  Finish();
}

void SnapshotKillTest::KillAtSome(const std::string& role) {
  const uint64_t seed = NumberFromEnvironment("PGFLOW_KILL_SEED", std::random_device{}());
  std::printf("PGFLOW_KILL_SEED=%llu\n", static_cast<unsigned long long>(seed));
  std::mt19937_64 random(seed);
  const bool every = NumberFromEnvironment("PGFLOW_KILL_EVERY", 0) != 0;
  struct Side {
    Counted counted;
    int about;  // So many statements; one more than there are is the end of the copy.
    int some;
  };
  for (const Side& side : {Side{Counted::kOfTarget, 310, 2}, Side{Counted::kOfSource, 75, 1}}) {
    const int count = every ? CountStatements(side.counted, role) : side.about;
    for (int i = 1; i <= (every ? count : side.some) && !HasFailure(); ++i) {
      const int statement = every ? i : std::uniform_int_distribution<int>(1, count)(random);
      const bool unsent = std::uniform_int_distribution<int>(0, 1)(random) == 0;
      KillAt(side.counted, role, statement, unsent);
    }
  }
}

TEST_F(SnapshotKillTest, WithARoleThatSwitchesForeignKeysOff) { KillAtSome("postgres"); }

TEST_F(SnapshotKillTest, WithARoleThatCannot) { KillAtSome("low"); }

// In its first second, from the first statement on: the next start wants no copy either.
TEST_F(SnapshotKillTest, AStreamCopiesNothing) {
  const auto every = static_cast<int>(NumberFromEnvironment("PGFLOW_KILL_EVERY", 0));
  for (int statement = 1; statement <= 24; statement += every != 0 ? 1 : 9) {
    SCOPED_TRACE(fmt::format("statement {}", statement));
    MakeDatabases("postgres");
    pipeline_.source_options = "    mode: stream\n";
    pipeline_.tables = "[public.parent]";
    RunAndKill(Counted::kOfTarget, "postgres", statement, statement % 2 == 0);
    source_.Execute("INSERT INTO parent SELECT i, 'new' FROM generate_series(601, 640) i");
    RunToCurrent();
    EXPECT_EQ(target_.Value("SELECT count(*) FROM parent WHERE id <= 600"), "0");
    if (HasFailure()) break;
    Finish();
  }
}

}  // namespace
}  // namespace pgflow::tests
