// kill -9 of pgflow, the source and the target at random moments, under load; nothing may be lost,
// nothing come twice, and the target is at a commit of the source whenever anybody looks.
//
//   crash_test                                        about 12 kills (in CI)
//   PGFLOW_CRASH_ROUNDS=100 crash_test                the long run, about 10 minutes with ASan
//   PGFLOW_CRASH_SEED=123 crash_test                  the choices of an earlier run
//   PGFLOW_CRASH_SABOTAGE=balance|journal|row         spoils the target: the test must fail
//
// One cycle copies a new bank and kills until the cycle's share is used up: at first while ranges
// are being copied, then while the stream runs. Whoever died is started again; pgflow by nothing
// but `pgflow run`. At the end of a cycle it is asked to drain, caught up with `--until-current`,
// and both sides are compared row for row. A second sink writes JSON lines: each row's last one, by
// position, must be what the source has.
//
// That the test can fail was checked with the three kinds of sabotage (the first two break a sum at
// the next look, the third the comparison), and with a pgflow whose gates let every change through
// (TableGates::Judge returned kApply): rows of the snapshot came twice, in the first cycle.
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <random>

#include <absl/time/clock.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/crash/bank.h"
#include "tests/crash/change_file.h"
#include "tests/crash/observer.h"
#include "tests/integration/system_test.h"

namespace pgflow::tests {
namespace {

constexpr int kKillsPerCycle = 6;

enum class Victim { kPgflow, kSource, kTarget };
constexpr const char* kVictimNames[] = {"pgflow", "source", "target"};
constexpr const char* kPhaseNames[] = {"start", "snapshot", "catch-up", "stream"};

class CrashTest : public TwoServerTest {
 protected:
  void SetUp() override {
    StartServers({.settings = {{"logical_decoding_work_mem", "64kB"},
                               {"wal_sender_timeout", "5s"},
                               {"deadlock_timeout", "100ms"},
                               {"max_wal_size", "4GB"}}},
                 {.settings = {{"max_wal_size", "4GB"}}});
    seed_ = NumberFromEnvironment("PGFLOW_CRASH_SEED", std::random_device{}());
    random_.seed(seed_);
    std::printf("PGFLOW_CRASH_SEED=%llu\n", static_cast<unsigned long long>(seed_));
    std::fflush(stdout);
  }

  int Draw(int first, int last) { return std::uniform_int_distribution<int>(first, last)(random_); }
  Victim DrawVictim() {
    const int draw = Draw(1, 4);
    return draw <= 2 ? Victim::kPgflow : draw == 3 ? Victim::kSource : Victim::kTarget;
  }

  void Cycle(int number, int kills);
  void AwaitMoment(int kill, const Observer& observer);
  void Kill(Victim victim, Observer::Phase phase);
  void Finish(const Observer& observer);
  // As a supervisor does. Only a start into an outage may end by itself.
  void KeepRunning();
  void ExpectFileTellsAll();
  void Sabotage();

  uint64_t seed_ = 0;
  std::mt19937_64 random_;
  std::unique_ptr<Bank> bank_;
  std::unique_ptr<PgflowProcess> pgflow_;
  absl::Time pgflow_started_;
  int kills_ = 0;
  int ended_by_itself_ = 0;
  int killed_[3][4] = {};  // By victim and phase.
};

// The first kills of a cycle fall into the snapshot: as soon as a range is there, or has been added
// since the last one.
void CrashTest::AwaitMoment(int kill, const Observer& observer) {
  const absl::Time begin = absl::Now();
  const absl::Duration patience = absl::Seconds(20);
  if (kill < kKillsPerCycle / 2) {
    const std::string sql = fmt::format(
        "SELECT count(*) FROM pgflow.finished_range WHERE pipeline = '{}'", pipeline_.name);
    const auto ranges = [&] {
      const std::string text = target_.ValueIfAny(sql);
      return text.empty() ? 0 : std::stoi(text);
    };
    const int before = ranges();
    while (absl::Now() - begin < patience && observer.phase() != Observer::Phase::kStream &&
           ranges() <= before) {
      KeepRunning();
      absl::SleepFor(absl::Milliseconds(5));
    }
    absl::SleepFor(absl::Milliseconds(Draw(0, 150)));
    return;
  }
  // Some right after the last one, in the midst of the recovery.
  const bool recovered = Draw(1, 4) != 1;
  const int seen = observer.observations();
  while (recovered && absl::Now() - begin < patience && observer.observations() < seen + 5) {
    KeepRunning();
    absl::SleepFor(absl::Milliseconds(5));
  }
  absl::SleepFor(absl::Milliseconds(Draw(0, 700)));
}

void CrashTest::KeepRunning() {
  if (pgflow_ != nullptr && pgflow_->running()) return;
  if (pgflow_ != nullptr) {
    const int code = pgflow_->WaitForExit();
    const bool killed = code == 128 + SIGKILL;
    const bool young = absl::Now() - pgflow_started_ < absl::Seconds(12);
    if (!killed) {
      ++ended_by_itself_;
      EXPECT_EQ(code, 1) << pgflow_->Output();
      EXPECT_TRUE(young) << "pgflow ended by itself:\n" << pgflow_->Output();
    }
  }
  pgflow_ = Run();
  pgflow_started_ = absl::Now();
}

void CrashTest::Kill(Victim victim, Observer::Phase phase) {
  ++kills_;
  ++killed_[static_cast<int>(victim)][static_cast<int>(phase)];
  const absl::Duration outage = absl::Milliseconds(Draw(0, 600));
  if (victim == Victim::kPgflow) {
    pgflow_->Kill9();
    absl::SleepFor(outage / 3);
    KeepRunning();
    return;
  }
  ScratchPostgres& server = victim == Victim::kSource ? *source_server_ : *target_server_;
  EXPECT_TRUE(server.Kill9().ok());
  absl::SleepFor(outage);
  ASSERT_TRUE(server.Start().ok()) << server.LogTail();
}

void CrashTest::Sabotage() {
  const char* kind = std::getenv("PGFLOW_CRASH_SABOTAGE");
  if (kind == nullptr) return;
  const std::string_view what = kind;
  if (what == "balance") {
    target_.Execute("UPDATE account SET balance = balance + 1 WHERE id = 1");
  } else if (what == "journal") {
    target_.Execute(
        "INSERT INTO journal SELECT * FROM journal WHERE note = repeat('n', 100) LIMIT 1");
  } else if (what == "row") {
    target_.Execute("UPDATE document SET tail = 'spoilt' WHERE id = 1");
  }
}

// The other sink: at least once, told apart by position.
void CrashTest::ExpectFileTellsAll() {
  const std::map<int64_t, int64_t> told = BalancesToldBy(FileSinkPath());
  const auto rows = source_server_->Query("SELECT id, balance FROM account");
  ASSERT_TRUE(rows.ok()) << rows.status();
  EXPECT_EQ(told.size(), rows->size());
  size_t different = 0;
  for (const engine::TextRow& row : *rows) {
    const auto found = told.find(std::stoll(*row[0]));
    if (found != told.end() && found->second == std::stoll(*row[1])) continue;
    if (++different > 5) continue;
    ADD_FAILURE() << "account " << *row[0] << " has " << *row[1] << ", the file tells "
                  << (found == told.end() ? "nothing" : std::to_string(found->second));
  }
  EXPECT_EQ(different, 0u);
}

void CrashTest::Finish(const Observer& observer) {
  Sabotage();
  bank_->StopWriters();
  KeepRunning();
  // Before it listens, a signal ends it as it ends any program.
  EXPECT_TRUE(pgflow_->WaitForOutput("streaming from")) << pgflow_->Output();
  pgflow_->Signal(SIGTERM);
  EXPECT_EQ(pgflow_->WaitForExit(absl::Seconds(60)), 0) << pgflow_->Output();
  pgflow_ = Run({"--until-current"});
  EXPECT_EQ(pgflow_->WaitForExit(absl::Seconds(90)), 0) << pgflow_->Output();
  ExpectEqual(Bank::Tables());
  ExpectFileTellsAll();
  EXPECT_FALSE(observer.failed()) << observer.violations();
  pgflow_.reset();
}

void CrashTest::Cycle(int number, int kills) {
  pipeline_.name = fmt::format("bank_{}", number);
  pipeline_.state_directory = directory_ / fmt::format("state_{}", number);
  pipeline_.snapshot = "{workers: 2, range_size: 128KiB}";
  pipeline_.sinks = {PostgresSink() + ", retry: {initial: 50ms, max: 500ms}", FileSink()};
  bank_ = std::make_unique<Bank>(*source_server_,
                                 BankOptions{.seed = seed_ + static_cast<uint64_t>(number)});
  ASSERT_TRUE(bank_->Create());
  target_.Execute("DROP TABLE IF EXISTS account, journal, document, writer");
  bank_->StartWriters();
  const Observer observer(*target_server_, pipeline_.name, bank_->total());
  KeepRunning();
  for (int kill = 0; kill < kills && !HasFailure(); ++kill) {
    AwaitMoment(kill, observer);
    Kill(DrawVictim(), observer.phase());
    ASSERT_FALSE(observer.failed()) << observer.violations() << pgflow_->Output();
  }
  EXPECT_TRUE(Eventually(
      [&] {
        KeepRunning();
        return observer.phase() == Observer::Phase::kStream && observer.observations() > 10;
      },
      absl::Seconds(60)))
      << pgflow_->Output();
  const int64_t committed = bank_->committed();
  Finish(observer);
  std::printf("cycle %d: %lld transactions, %d looks at the target\n", number,
              static_cast<long long>(committed), observer.observations());
  std::fflush(stdout);
  Expect(0, "destroy");
  std::filesystem::remove(FileSinkPath());
}

TEST_F(CrashTest, NothingIsLostAndNothingComesTwice) {
  const int rounds = static_cast<int>(NumberFromEnvironment("PGFLOW_CRASH_ROUNDS", 12));
  for (int cycle = 0; kills_ < rounds && !HasFailure(); ++cycle) {
    Cycle(cycle, std::min(kKillsPerCycle, rounds - kills_));
  }
  for (int victim = 0; victim < 3; ++victim) {
    for (int phase = 0; phase < 4; ++phase) {
      if (killed_[victim][phase] == 0) continue;
      std::printf("killed %s %d times in the %s\n", kVictimNames[victim], killed_[victim][phase],
                  kPhaseNames[phase]);
    }
  }
  std::printf("%d kills; pgflow ended by itself %d times at its start\n", kills_, ended_by_itself_);
  if (HasFailure())
    std::printf("again: PGFLOW_CRASH_SEED=%llu\n", static_cast<unsigned long long>(seed_));
}

}  // namespace
}  // namespace pgflow::tests
