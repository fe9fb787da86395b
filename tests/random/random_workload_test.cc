// Anything at all happens to a schema, rows and DDL, from three writers at once, while pgflow is
// killed and started again; in the end both sides have the same rows and the same definitions.
//
//   random_workload_test                               a few seeds (in CI)
//   PGFLOW_RANDOM_SEEDS=200 random_workload_test       the long run
//   PGFLOW_RANDOM_SEED=17 random_workload_test         that one
//
// What a seed does is not quite the same twice: the writers race. A failure keeps the seed and what
// pgflow printed.
#include <random>

#include <absl/time/clock.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/conformance/definitions.h"
#include "tests/conformance/table_contents.h"
#include "tests/integration/system_test.h"
#include "tests/random/workload.h"

namespace pgflow::tests {
namespace {

constexpr uint64_t kSeedsInCi = 6;

class RandomWorkloadTest : public SharedServerTest {
 protected:
  void TearDown() override {
    if (HasFailure()) PrintEvidence();
  }

  void RunSeed(uint64_t seed);
  // What a failure is understood from: what was said, and how far slot and target came.
  void PrintEvidence() const;
};

void RandomWorkloadTest::PrintEvidence() const {
  std::printf("%s\n", ReadFile(directory_ / "pgflow.log").c_str());
  for (const auto& [database, sql] : {
           std::pair(&target_, "SELECT jsonb_agg(to_jsonb(c)) FROM pgflow.checkpoint c"),
           std::pair(&source_, "SELECT jsonb_agg(to_jsonb(s)) FROM pg_replication_slots s"),
       }) {
    std::printf("%s: %s\n", database->name.c_str(), database->ValueIfAny(sql).c_str());
  }
  std::fflush(stdout);
}

void RandomWorkloadTest::RunSeed(uint64_t seed) {
  std::mt19937_64 random(seed);
  const auto draw = [&](int first, int last) {
    return std::uniform_int_distribution<int>(first, last)(random);
  };
  const std::string name = fmt::format("seed_{}", seed);
  for (const char* side : {"source", "target"}) {
    ASSERT_TRUE(shared_server->CreateDatabase(fmt::format("{}_{}", name, side)).ok());
  }
  Use({shared_server.get(), name + "_source"}, {shared_server.get(), name + "_target"});
  pipeline_.name = name;
  pipeline_.state_directory = directory_ / name;
  pipeline_.tables = "[\"w.*\"]";
  pipeline_.source_options = fmt::format("    replication: {{ddl: true}}\n    binary: {}\n",
                                         draw(0, 2) > 0 ? "auto" : "off");
  if (draw(1, 6) > 1) {
    // Transactions are sent before their end, with what they roll back later.
    source_.Execute(
        fmt::format("ALTER DATABASE {} SET logical_decoding_work_mem = '64kB'", source_.name));
  }
  Workload workload(source_.url(), seed);
  workload.Create();
  Expect(0, "init");  // From here on no command goes unseen.
  std::unique_ptr<PgflowProcess> process = Run();
  ASSERT_TRUE(WaitForSnapshot(*process));
  workload.Start(3);
  for (int kill = draw(1, 3); kill > 0; --kill) {
    absl::SleepFor(absl::Milliseconds(draw(200, 1500)));
    ASSERT_TRUE(process->running()) << process->Output();
    process->Kill9();
    process = Run();
  }
  absl::SleepFor(absl::Milliseconds(draw(200, 800)));
  EXPECT_TRUE(Eventually([&] { return workload.committed() > 0; }));
  workload.Stop();
  process->Kill9();
  RunToCurrent();
  const std::string difference =
      DifferenceOfBoth(source_, target_) + DefinitionDifference(source_, target_);
  std::printf("seed %llu: %lld transactions, %lld DDL commands\n",
              static_cast<unsigned long long>(seed), static_cast<long long>(workload.committed()),
              static_cast<long long>(workload.ddl()));
  std::fflush(stdout);
  EXPECT_EQ(difference, "");
  if (HasFailure()) return;
  Expect(0, "destroy");
  for (const char* side : {"source", "target"}) {
    (void)shared_server->Execute(fmt::format("DROP DATABASE {}_{}", name, side));
  }
}

TEST_F(RandomWorkloadTest, BothSidesEndEqual) {
  if (const uint64_t seed = NumberFromEnvironment("PGFLOW_RANDOM_SEED", 0); seed != 0) {
    return RunSeed(seed);
  }
  const uint64_t seeds = NumberFromEnvironment("PGFLOW_RANDOM_SEEDS", kSeedsInCi);
  const uint64_t first =
      NumberFromEnvironment("PGFLOW_RANDOM_FIRST", std::random_device{}() % 1000000 + 1);
  for (uint64_t seed = first; seed < first + seeds; ++seed) {
    SCOPED_TRACE(fmt::format("PGFLOW_RANDOM_SEED={}", seed));
    RunSeed(seed);
    if (HasFailure()) {
      std::printf("failed with PGFLOW_RANDOM_SEED=%llu\n", static_cast<unsigned long long>(seed));
      return;
    }
  }
}

}  // namespace
}  // namespace pgflow::tests
