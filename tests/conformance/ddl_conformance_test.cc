// Every case of ddl_cases/: while the pipeline runs, each with a source of its own, in binary; and
// read from the log afterwards, in binary and in text, one case behind the other in one database,
// each in a schema of its own. From a source that sends transactions before their end, and once
// from one that does not (the backlog in text). In the end, and live after each change, the target
// has the rows of the source and every object as it is there.
#include <csignal>
#include <ostream>

#include <fmt/format.h>

#include "tests/conformance/case_file.h"
#include "tests/conformance/definitions.h"
#include "tests/conformance/table_contents.h"

namespace pgflow::tests {
namespace {

struct Variant {
  std::string name;
  std::vector<CaseFile> files;  // Several: in one database.
  bool live = false;  // Each change is waited for; else all of them are read from the log at once.
  bool binary = true;
};

std::string NameOf(const Variant& variant) {
  return fmt::format("{}_{}_{}", variant.name, variant.live ? "live" : "backlog",
                     variant.binary ? "binary" : "text");
}

void PrintTo(const Variant& variant, std::ostream* out) { *out << NameOf(variant); }

class DdlConformanceTest : public SharedServerTest, public testing::WithParamInterface<Variant> {
 protected:
  void SetUp() override;
  void TearDown() override;
  void RunFromTheLog();
  void RunLive();
  std::string Difference() const {
    return DifferenceOfBoth(source_, target_) + DefinitionDifference(source_, target_);
  }
  std::string WhatTheSourceHas() const;
  bool IsOfANewerServer(const CaseFile& file) const {
    return source_.server->version() < file.server_min * 10000;
  }
};

// For a failure: what the slot still gives, and which objects the capture knows otherwise than they
// are.
std::string DdlConformanceTest::WhatTheSourceHas() const {
  const std::string name = "pgflow_" + pipeline_.name;
  return "\nin the log:\n" +
         source_.ValueIfAny(fmt::format(
             "SELECT string_agg(lsn || ' ' || encode(substr(data, 1, 400), 'escape'), E'\\n') "
             "FROM pg_logical_slot_peek_binary_changes('{0}', NULL, 100, 'proto_version', '1', "
             "'publication_names', '{0}', 'messages', 'true')",
             name)) +
         "\ncaptured otherwise:\n" +
         source_.ValueIfAny(
             "SELECT string_agg(state ->> 'name', ' ') FROM pgflow.object_state "
             "WHERE state IS DISTINCT FROM pgflow.state(class, object)");
}

void DdlConformanceTest::SetUp() {
  SharedServerTest::SetUp();
  pipeline_.tables = "[\"*.*\"]";
  pipeline_.source_options = fmt::format("    replication: {{ddl: true}}\n    binary: {}\n",
                                         GetParam().binary ? "auto" : "off");
  if (GetParam().live || GetParam().binary) {
    source_.Execute(
        fmt::format("ALTER DATABASE {} SET logical_decoding_work_mem = '64kB'", source_.name));
  }
  source_.Execute("CREATE TABLE first (id int PRIMARY KEY)");
}

// The shared server has not so many slots. Quicker than `pgflow destroy`, which others test.
void DdlConformanceTest::TearDown() {
  source_.Execute(fmt::format(
      "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = '{}'",
      source_.name));
}

void DdlConformanceTest::RunFromTheLog() {
  RunToCurrent();
  const std::vector<CaseFile>& files = GetParam().files;
  for (const CaseFile& file : files) {
    if (IsOfANewerServer(file)) continue;
    std::string path = "public";
    if (files.size() > 1) {
      path = fmt::format("\"{}\", public", file.name);
      source_.Execute(
          fmt::format("CREATE SCHEMA \"{0}\"; GRANT USAGE ON SCHEMA \"{0}\" TO PUBLIC", file.name));
    }
    for (const std::string& change : file.changes) {
      // By themselves: some commands must not be part of a longer string.
      Onlooker session(source_, "SET search_path = " + path);
      session.Rows(change);
    }
  }
  RunToCurrent();
  EXPECT_EQ(Difference(), "");
}

void DdlConformanceTest::RunLive() {
  const auto process = Run();
  ASSERT_TRUE(WaitForSnapshot(*process));
  Onlooker waiting(target_, "SET search_path = public");
  for (const std::string& change : GetParam().files.front().changes) {
    source_.Execute(change);
    // The commit that is waited for stands behind it.
    const std::string last =
        source_.Value("INSERT INTO first SELECT coalesce(max(id), 0) + 1 FROM first RETURNING id");
    ASSERT_TRUE(Eventually([&] {
      return !process->running() ||
             waiting.Rows("SELECT FROM first WHERE id = " + last).size() == 1;
    }));
    ASSERT_TRUE(process->running()) << change << process->Output() << WhatTheSourceHas();
    ASSERT_EQ(Difference(), "") << "after\n" << change;
  }
  process->Signal(SIGTERM);
  EXPECT_EQ(process->WaitForExit(), 0) << process->Output();
}

TEST_P(DdlConformanceTest, Case) {
  const std::vector<CaseFile>& files = GetParam().files;
  if (files.size() == 1 && IsOfANewerServer(files.front())) {
    GTEST_SKIP() << "needs PostgreSQL " << files.front().server_min;
  }
  GetParam().live ? RunLive() : RunFromTheLog();
}

std::vector<Variant> Variants() {
  std::vector<Variant> variants;
  std::vector<CaseFile> together;
  const auto add_backlog = [&](const std::string& name, const std::vector<CaseFile>& files) {
    for (const bool binary : {true, false}) {
      variants.push_back({.name = name, .files = files, .binary = binary});
    }
  };
  for (const CaseFile& file : ReadCases(PGFLOW_CONFORMANCE_CASES)) {
    variants.push_back({.name = file.name, .files = {file}, .live = true});
    if (file.alone) {
      add_backlog(file.name, {file});
    } else {
      together.push_back(file);
    }
  }
  add_backlog("together", together);
  return variants;
}

INSTANTIATE_TEST_SUITE_P(Cases, DdlConformanceTest, testing::ValuesIn(Variants()),
                         [](const auto& parameter) { return NameOf(parameter.param); });

}  // namespace
}  // namespace pgflow::tests
