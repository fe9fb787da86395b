// SystemTest: the vocabulary of the tests that run `pgflow` between real servers.
//
// A fixture gives each test a source and a target database, a pipeline file and the programs that
// run it. SharedServerTest has both databases on one server that the whole program shares (fast);
// TwoServerTest starts two servers for each test, to be killed, frozen and restarted.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "engine/testing/scratch_postgres.h"
#include "tests/integration/pgflow_process.h"

namespace pgflow::tests {

using engine::ScratchPostgres;
using engine::ScratchPostgresOptions;

// One database of one server; owns neither.
struct Database {
  ScratchPostgres* server = nullptr;
  std::string name = "postgres";

  // These fail the running test when the statement does.
  void Execute(const std::string& sql) const;
  std::string Value(const std::string& sql) const;
  // "" when the server or the table is not there.
  std::string ValueIfAny(const std::string& sql) const;
  std::string url(std::string_view user = "postgres") const { return server->url(name, user); }
};

// The ordinary tables of the schema public, sorted.
std::vector<std::string> PublicTables(const Database& database);

// What differs in the rows of those tables, duplicates counted; empty when nothing does.
std::string Difference(const Database& source, const Database& target,
                       const std::vector<std::string>& tables);

// What a run by hand sets: a seed, a number of rounds. `otherwise` when it is not set.
uint64_t NumberFromEnvironment(const char* name, uint64_t otherwise);

struct PipelineText {
  std::string name;
  std::string source_url;
  std::string tables = "[\"public.*\"]";  // include
  std::string snapshot = "{workers: 2}";
  std::string source_options;      // Lines under source.postgres.
  std::vector<std::string> sinks;  // Each a YAML flow mapping's inside.
  std::string state_directory;
  std::string more;  // Further top-level lines.

  std::string ToYaml() const;
};

class SystemTest : public testing::Test {
 protected:
  // `sink` entry for the target database.
  std::string PostgresSink(const std::string& options = "create_schema: true") const;
  std::string FileSink(const std::string& name = "changes.jsonl") const;
  std::string FileSinkPath(const std::string& name = "changes.jsonl") const {
    return directory_ / name;
  }

  // Writes the pipeline file and starts `pgflow COMMAND pipeline.yaml MORE...`.
  std::unique_ptr<PgflowProcess> Start(const std::string& command = "run",
                                       const std::vector<std::string>& more = {});
  std::unique_ptr<PgflowProcess> Run(const std::vector<std::string>& more = {}) {
    return Start("run", more);
  }
  // Starts, expects `code` and gives what it printed.
  std::string Expect(int code, const std::string& command,
                     const std::vector<std::string>& more = {});
  // Catches up with the source and ends.
  void RunToCurrent() { Expect(0, "run", {"--until-current"}); }

  // The target's checkpoint says so. False: not within kPatience, or the process ended.
  bool WaitForSnapshot(PgflowProcess& process) const;
  bool WaitForFirstRange(PgflowProcess& process) const;
  void ExpectEqual(const std::vector<std::string>& tables) const;
  void ExpectEqualSoon(const std::vector<std::string>& tables, PgflowProcess& process) const;

  void Use(Database source, Database target);
  // [a-z0-9_], of the running test.
  static std::string TestName();

  TemporaryDirectory directory_;
  Database source_;
  Database target_;
  PipelineText pipeline_;
  uint64_t file_bytes_max_ = 0;  // For the programs that Start starts.
};

class SharedServerTest : public SystemTest {
 protected:
  static void SetUpTestSuite();
  static void TearDownTestSuite();
  void SetUp() override;

  static std::unique_ptr<ScratchPostgres> shared_server;
};

class TwoServerTest : public SystemTest {
 protected:
  void SetUp() override { StartServers({}, {}); }
  void StartServers(ScratchPostgresOptions source, ScratchPostgresOptions target);

  std::unique_ptr<ScratchPostgres> source_server_;
  std::unique_ptr<ScratchPostgres> target_server_;
};

}  // namespace pgflow::tests
