// The DDL capture's first installation on a source that is at work: several sessions store the
// states of what is there, while others change it, and whoever kills pgflow in the midst finds the
// work finished by the next start.
#include <atomic>
#include <random>
#include <thread>

#include <absl/time/clock.h>
#include <fmt/format.h>

#include "tests/integration/system_test.h"

namespace pgflow::tests {
namespace {

constexpr int kChangedTables = 200;
constexpr int kChangers = 3;

class CaptureInstallTest : public SharedServerTest {
 protected:
  void SetUp() override {
    SharedServerTest::SetUp();
    seed_ = NumberFromEnvironment("PGFLOW_RANDOM_SEED", std::random_device{}());
    RecordProperty("seed", std::to_string(seed_));
    source_.Execute(
        fmt::format("DO $$ BEGIN FOR i IN 1..{} LOOP EXECUTE format('CREATE TABLE t%s (id serial "
                    "PRIMARY KEY, v text DEFAULT %L)', i, 'd'); END LOOP; END $$",
                    kChangedTables));
    pipeline_.source_options = "    replication: {ddl: true}\n";
    pipeline_.tables = "[\"public.*\"]";
  }
  void TearDown() override {
    if (HasFailure()) fmt::print("seed {}\n", seed_);
    SharedServerTest::TearDown();
  }

  // Runs `action` while sessions change, make and drop tables, each in transactions of its own.
  template <typename Action>
  void WhileOthersChange(const Action& action) {
    std::atomic<bool> over{false};
    std::vector<std::thread> writers;
    for (int writer = 0; writer < kChangers; ++writer) {
      writers.emplace_back([&, writer] { Change(writer, over); });
    }
    action();
    over = true;
    for (std::thread& writer : writers) writer.join();
  }

  // As if nobody had kept them, each state is what the catalog says now. A sequence's names its
  // table, and is not written again when that gets another name.
  void ExpectStatesOfNow() {
    source_.Execute(
        "CREATE TABLE pgflow.kept AS SELECT class, object, state, publications FROM "
        "pgflow.object_state; SELECT pgflow.refresh()");
    EXPECT_EQ(
        source_.Value("SELECT string_agg(format(E'%s %s\\nwas %s', object, s.state, k.state), "
                      "E'\\n') FROM pgflow.object_state s FULL JOIN pgflow.kept k USING (class, "
                      "object) WHERE (s.state - 'owned_by', s.publications) IS DISTINCT FROM "
                      "(k.state - 'owned_by', k.publications)"),
        "");
    source_.Execute("DROP TABLE pgflow.kept");
  }

  uint64_t seed_ = 0;

 private:
  void Change(int writer, const std::atomic<bool>& over) {
    auto connection = source_.server->Connect(source_.name);
    ASSERT_TRUE(connection.ok()) << connection.status();
    std::mt19937_64 random(seed_ + static_cast<uint64_t>(writer));
    for (int i = 0; !over; ++i) {
      const uint64_t table = random() % kChangedTables + 1;
      std::string sql;
      switch (random() % 8) {
        case 0:
          sql = fmt::format("ALTER TABLE t{} ADD w{}_{} int DEFAULT {}", table, writer, i, i);
          break;
        case 1:
          sql = fmt::format("ALTER TABLE t{} ALTER v SET DEFAULT 'x{}'", table, i);
          break;
        case 2:
          sql = fmt::format("CREATE TABLE n{}_{} (id int PRIMARY KEY, v text)", writer, i);
          break;
        case 3:
          sql = fmt::format("CREATE INDEX ON t{} (v)", table);
          break;
        case 4:
          sql = fmt::format("COMMENT ON TABLE t{} IS '{}'", table, i);
          break;
        case 5:
          sql = fmt::format(
              "ALTER TABLE t{0} RENAME TO r{1}_{2}; ALTER TABLE r{1}_{2} ADD z int; "
              "ALTER TABLE r{1}_{2} RENAME TO t{0}",
              table, writer, i);
          break;
        case 6:
          sql = fmt::format("DROP TABLE IF EXISTS n{}_{}", writer, i - 3);
          break;
        default:
          sql = fmt::format("ALTER TABLE t{} ALTER id TYPE bigint", table);
      }
      // Some stay open for a while; some are taken back.
      const bool waits = random() % 4 == 0;
      (void)connection.value()->Execute("BEGIN");
      (void)connection.value()->Execute("SET LOCAL client_min_messages = error; " + sql);
      if (waits) absl::SleepFor(absl::Milliseconds(random() % 40));
      (void)connection.value()->Execute(random() % 8 == 0 ? "ROLLBACK" : "COMMIT");
    }
  }
};

TEST_F(CaptureInstallTest, StatesAreOfNowThoughOthersChangeEverythingMeanwhile) {
  WhileOthersChange([&] { Expect(0, "init"); });
  ExpectStatesOfNow();
  RunToCurrent();
  WhileOthersChange([&] { absl::SleepFor(absl::Milliseconds(300)); });
  ExpectStatesOfNow();
  RunToCurrent();
  const std::string columns =
      "SELECT string_agg(format('%s %s %s', attrelid::regclass, attname, format_type(atttypid, "
      "atttypmod)), E'\\n' ORDER BY attrelid::regclass::text COLLATE \"C\", attname) FROM "
      "pg_attribute JOIN pg_class c ON c.oid = attrelid WHERE relnamespace = "
      "'public'::regnamespace AND relkind = 'r' AND attnum > 0 AND NOT attisdropped";
  EXPECT_EQ(target_.Value(columns), source_.Value(columns));
}

// What the first one left is seen as unfinished, and finished.
TEST_F(CaptureInstallTest, OneThatWasKilledIsFinishedByTheNextStart) {
  std::mt19937_64 random(seed_);
  for (int round = 0; round < 4; ++round) {
    const auto process = Start("init");
    // Between the triggers and the last state, most often.
    EXPECT_TRUE(Eventually([&] {
      return process->Printed("publication and slot exist") ||
             source_.ValueIfAny(
                 "SELECT count(*) FROM pg_event_trigger WHERE evtname = "
                 "'pgflow_capture'") == "1";
    }));
    absl::SleepFor(absl::Milliseconds(random() % 60));
    process->Kill9();
    source_.Execute(fmt::format("ALTER TABLE t{} ADD killed{} int", round + 1, round));
    Expect(0, "init");
    ExpectStatesOfNow();
    Expect(0, "destroy");
  }
}

}  // namespace
}  // namespace pgflow::tests
