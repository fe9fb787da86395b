// Source and target of different versions: what the older one cannot have, and rows that must
// arrive all the same. One server is of the version that is tested, the other Debian's own; skipped
// where both are the same.
#include <cstdlib>
#include <optional>

#include <fmt/format.h>

#include "tests/integration/system_test.h"

namespace pgflow::tests {
namespace {

// Debian's own server: the environment names another one, and has its value back in the end.
std::unique_ptr<ScratchPostgres> StartInstalledServer() {
  const char* set = std::getenv("PGFLOW_PG_BIN");
  const std::optional<std::string> before =
      set == nullptr ? std::nullopt : std::optional<std::string>(set);
  unsetenv("PGFLOW_PG_BIN");
  absl::StatusOr<std::unique_ptr<ScratchPostgres>> server = ScratchPostgres::Make();
  if (before.has_value()) setenv("PGFLOW_PG_BIN", before->c_str(), 1);
  EXPECT_TRUE(server.ok()) << server.status();
  return server.ok() ? *std::move(server) : nullptr;
}

class TwoVersionsTest : public SystemTest {
 protected:
  void SetUp() override {
    absl::StatusOr<std::unique_ptr<ScratchPostgres>> server = ScratchPostgres::Make();
    ASSERT_TRUE(server.ok()) << server.status();
    newer_ = *std::move(server);
    if (newer_->version() < 180000) GTEST_SKIP() << "needs version 18 beside an older one";
    older_ = StartInstalledServer();
    ASSERT_NE(older_, nullptr);
    if (older_->version() >= 180000) GTEST_SKIP() << "there is no older version";
  }
  void Use(ScratchPostgres& source, ScratchPostgres& target) {
    SystemTest::Use({&source, "postgres"}, {&target, "postgres"});
    pipeline_.source_options = "    replication: {ddl: true}\n";
    pipeline_.sinks = {PostgresSink()};
  }
  void ExpectSaid(const std::string& said, const std::string& part) const {
    EXPECT_NE(said.find(part), std::string::npos) << part << "\nis not in\n" << said;
  }
  std::string ConstraintsOfTarget(const std::string& table) const {
    return target_.Value(fmt::format(
        "SELECT string_agg(conname || ' ' || pg_get_constraintdef(oid), '; ' ORDER BY conname) "
        "FROM pg_constraint WHERE conrelid = '{}'::regclass AND contype <> 'n'",
        table));
  }

  std::unique_ptr<ScratchPostgres> newer_;
  std::unique_ptr<ScratchPostgres> older_;
};

TEST_F(TwoVersionsTest, AnOlderTargetIsCopiedToInTheFormThatItKnows) {
  Use(*newer_, *older_);
  source_.Execute(R"sql(
    CREATE TABLE v (id int PRIMARY KEY, n int, twice int GENERATED ALWAYS AS (n * 2) VIRTUAL);
    CREATE TABLE room (id int4range, at daterange, PRIMARY KEY (id, at WITHOUT OVERLAPS));
    CREATE TABLE named (id int4range NOT NULL, at daterange NOT NULL, x int,
      CONSTRAINT named_key UNIQUE (id, at WITHOUT OVERLAPS));
    ALTER TABLE named REPLICA IDENTITY USING INDEX named_key;
    CREATE TABLE lenient (id int PRIMARY KEY, k int);
    INSERT INTO v (id, n) VALUES (1, 1), (2, 2);
    INSERT INTO room VALUES ('[1,2)', '[2026-01-01,2026-02-01)');
    INSERT INTO named VALUES ('[1,2)', '[2026-01-01,2026-02-01)', 1);
    INSERT INTO lenient VALUES (1, NULL);
    ALTER TABLE lenient ADD CONSTRAINT has_k NOT NULL k NOT VALID;
  )sql");
  const std::string said = Expect(0, "run", {"--until-current"});
  ExpectSaid(said, "table public.v, column twice: servers before version 18 have no virtual");
  ExpectSaid(said, "table public.room, its primary key: servers before version 18 do not know");
  ExpectEqual({"v", "room", "named", "lenient"});
  EXPECT_EQ(ConstraintsOfTarget("room"), "room_pkey PRIMARY KEY (id, at)");
  source_.Execute(R"sql(
    UPDATE v SET n = 7 WHERE id = 1; UPDATE room SET at = '[2026-03-01,2026-04-01)';
    UPDATE named SET x = 2; UPDATE lenient SET k = 5;
    ALTER TABLE lenient VALIDATE CONSTRAINT has_k;
  )sql");
  RunToCurrent();
  ExpectEqual({"v", "room", "named", "lenient"});
  EXPECT_EQ(target_.Value("SELECT attnotnull FROM pg_attribute WHERE attrelid = "
                          "'lenient'::regclass AND attname = 'k'"),
            "t");
}

TEST_F(TwoVersionsTest, AnOlderTargetFollowsDdlInTheFormThatItKnows) {
  Use(*newer_, *older_);
  source_.Execute("CREATE TABLE first (id int PRIMARY KEY)");
  RunToCurrent();
  source_.Execute(R"sql(
    CREATE TABLE v (id int PRIMARY KEY, n int, twice int GENERATED ALWAYS AS (n * 2) VIRTUAL);
    ALTER TABLE v ADD COLUMN more int GENERATED ALWAYS AS (n + 1) VIRTUAL;
    ALTER TABLE v ALTER COLUMN twice TYPE bigint;
    CREATE TABLE room (id int4range, at daterange, PRIMARY KEY (id, at WITHOUT OVERLAPS));
    CREATE TABLE booking (id int PRIMARY KEY, room int4range, at daterange,
      CONSTRAINT in_time FOREIGN KEY (room, PERIOD at) REFERENCES room (id, PERIOD at));
    CREATE TABLE low (id int PRIMARY KEY, n int CONSTRAINT few CHECK (n < 9) NOT ENFORCED,
      other int CONSTRAINT refers REFERENCES low NOT ENFORCED);
    CREATE TABLE parent (id int PRIMARY KEY, m int CONSTRAINT has_m NOT NULL NO INHERIT);
    CREATE TABLE heir (CONSTRAINT own_id NOT NULL id) INHERITS (parent);
    INSERT INTO v (id, n) VALUES (1, 1);
    INSERT INTO room VALUES ('[1,2)', '[2026-01-01,2026-02-01)');
    INSERT INTO booking VALUES (1, '[1,2)', '[2026-01-05,2026-01-06)');
    INSERT INTO low VALUES (1, 99, 77);
    INSERT INTO heir VALUES (1, NULL);
  )sql");
  const std::string said = Expect(0, "run", {"--until-current"});
  for (const char* part :
       {"column twice: servers before version 18 have no virtual", "column more: servers before",
        "constraint room_pkey: servers before version 18 do not know WITHOUT OVERLAPS",
        "constraint in_time: servers before version 18 have no foreign keys with PERIOD",
        "constraint few: servers before version 18 have none that are NOT ENFORCED",
        "column m: servers before version 18 have no NOT NULL that heirs do without"}) {
    ExpectSaid(said, part);
  }
  ExpectEqual({"v", "room", "booking", "low", "parent", "heir"});
  EXPECT_EQ(ConstraintsOfTarget("low"), "low_pkey PRIMARY KEY (id)");
  source_.Execute(R"sql(
    ALTER TABLE low RENAME CONSTRAINT few TO "not many";
    ALTER TABLE booking RENAME CONSTRAINT in_time TO "in time";
    UPDATE low SET other = 1;
    ALTER TABLE low ALTER CONSTRAINT refers ENFORCED;
    UPDATE room SET at = '[2026-01-01,2026-04-01)'; UPDATE v SET n = 5;
  )sql");
  RunToCurrent();
  ExpectEqual({"v", "room", "booking", "low"});
  EXPECT_EQ(ConstraintsOfTarget("low"),
            "low_pkey PRIMARY KEY (id); refers FOREIGN KEY (other) REFERENCES low(id)");
  source_.Execute(
      "ALTER TABLE low ALTER CONSTRAINT refers NOT ENFORCED; INSERT INTO low VALUES (2, 5, 66)");
  RunToCurrent();
  ExpectEqual({"low"});
}

// Before version 18 heirs lose their NOT NULL with their parent, also where they said it
// themselves.
TEST_F(TwoVersionsTest, ANewerTargetsHeirsLoseTheirNotNullWithTheirParent) {
  Use(*older_, *newer_);
  source_.Execute("CREATE TABLE first (id int PRIMARY KEY)");
  RunToCurrent();
  source_.Execute(R"sql(
    CREATE TABLE c (id int PRIMARY KEY, n int NOT NULL);
    CREATE TABLE merged (n int NOT NULL) INHERITS (c);
    CREATE TABLE deep () INHERITS (merged);
    CREATE TABLE plain () INHERITS (c);
    CREATE TABLE p (id int PRIMARY KEY, n int) PARTITION BY RANGE (id);
    CREATE TABLE p1 PARTITION OF p (n NOT NULL) FOR VALUES FROM (0) TO (100);
    ALTER TABLE p ALTER n SET NOT NULL;
  )sql");
  RunToCurrent();
  source_.Execute(R"sql(
    ALTER TABLE c ALTER n DROP NOT NULL;
    ALTER TABLE p ALTER n DROP NOT NULL;
    INSERT INTO c VALUES (1, NULL); INSERT INTO merged VALUES (1, NULL);
    INSERT INTO deep VALUES (1, NULL); INSERT INTO plain VALUES (1, NULL);
    INSERT INTO p VALUES (1, NULL);
  )sql");
  RunToCurrent();
  ExpectEqual({"ONLY c", "ONLY merged", "deep", "plain", "p1"});
}

}  // namespace
}  // namespace pgflow::tests
