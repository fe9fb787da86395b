#include "tests/integration/system_test.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <iterator>

#include <absl/strings/str_split.h>
#include <fmt/format.h>

namespace pgflow::tests {
namespace {

std::vector<std::string> RowsOf(const Database& database, const std::string& table) {
  const auto rows = database.server->Query(
      // No column has the alias's name: it would hide the row.
      fmt::format("SELECT whole_row::text FROM {} whole_row ORDER BY whole_row::text COLLATE \"C\"",
                  table),
      database.name);
  EXPECT_TRUE(rows.ok()) << table << ": " << rows.status();
  std::vector<std::string> texts;
  if (!rows.ok()) return texts;
  for (const engine::TextRow& row : *rows) texts.push_back(row[0].value_or("NULL"));
  return texts;
}

void AppendSome(std::string_view what, const std::vector<std::string>& rows, std::string& out) {
  constexpr size_t kShown = 5;
  if (rows.empty()) return;
  out += fmt::format("  {} rows only in the {}:\n", rows.size(), what);
  for (size_t i = 0; i < std::min(kShown, rows.size()); ++i) {
    out += "    " + rows[i].substr(0, 200) + "\n";
  }
}

}  // namespace

void Database::Execute(const std::string& sql) const {
  const absl::Status status = server->Execute(sql, name);
  EXPECT_TRUE(status.ok()) << status << "\n" << sql.substr(0, 500);
}

std::string Database::Value(const std::string& sql) const {
  const absl::StatusOr<std::string> value = server->QueryValue(sql, name);
  EXPECT_TRUE(value.ok()) << value.status() << "\n" << sql.substr(0, 500);
  return value.ok() ? *value : "";
}

std::string Database::ValueIfAny(const std::string& sql) const {
  return server->QueryValue(sql, name).value_or("");
}

uint64_t NumberFromEnvironment(const char* name, uint64_t otherwise) {
  const char* set = std::getenv(name);
  return set == nullptr || *set == '\0' ? otherwise : std::strtoull(set, nullptr, 10);
}

std::vector<std::string> PublicTables(const Database& database) {
  const std::string names = database.Value(
      "SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE relnamespace = "
      "'public'::regnamespace AND relkind = 'r'");
  return absl::StrSplit(names, ' ', absl::SkipEmpty());
}

std::string Difference(const Database& source, const Database& target,
                       const std::vector<std::string>& tables) {
  std::string difference;
  for (const std::string& table : tables) {
    const std::vector<std::string> there = RowsOf(source, table);
    const std::vector<std::string> here = RowsOf(target, table);
    if (there == here) continue;
    difference += fmt::format("{}: {} rows in the source, {} in the target\n", table, there.size(),
                              here.size());
    std::vector<std::string> missing;
    std::vector<std::string> extra;
    std::ranges::set_difference(there, here, std::back_inserter(missing));
    std::ranges::set_difference(here, there, std::back_inserter(extra));
    AppendSome("source", missing, difference);
    AppendSome("target", extra, difference);
  }
  return difference;
}

std::string PipelineText::ToYaml() const {
  std::string yaml = fmt::format(
      "name: {}\nsource:\n  postgres:\n    url: \"{}\"\n    tables: {{include: {}}}\n"
      "    snapshot: {}\n{}sinks:\n",
      name, source_url, tables, snapshot, source_options);
  for (const std::string& sink : sinks) yaml += fmt::format("  - {{{}}}\n", sink);
  return yaml + fmt::format("state: {{directory: \"{}\"}}\n{}", state_directory, more);
}

std::string SystemTest::TestName() {
  const testing::TestInfo* test = testing::UnitTest::GetInstance()->current_test_info();
  std::string name;
  for (const char c : std::string(test->name())) {
    if (std::isupper(static_cast<unsigned char>(c)) != 0 && !name.empty() && name.back() != '_') {
      name += '_';
    }
    const bool word = std::isalnum(static_cast<unsigned char>(c)) != 0;
    name += word ? static_cast<char>(std::tolower(static_cast<unsigned char>(c))) : '_';
  }
  return name.substr(0, 40);
}

void SystemTest::Use(Database source, Database target) {
  source_ = std::move(source);
  target_ = std::move(target);
  pipeline_.name = TestName();
  pipeline_.source_url = source_.url();
  pipeline_.state_directory = directory_ / "state";
  pipeline_.sinks = {PostgresSink()};
}

std::string SystemTest::PostgresSink(const std::string& options) const {
  return fmt::format("postgres: {{url: \"{}\", {}}}", target_.url(), options);
}

std::string SystemTest::FileSink(const std::string& name) const {
  return fmt::format("stdout: {{file: \"{}\"}}", FileSinkPath(name));
}

std::unique_ptr<PgflowProcess> SystemTest::Start(const std::string& command,
                                                 const std::vector<std::string>& more) {
  const std::string file = directory_ / "pipeline.yaml";
  WriteFile(file, pipeline_.ToYaml());
  std::vector<std::string> arguments = {command, file};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return PgflowProcess::Start({.arguments = std::move(arguments),
                               .output_file = directory_ / "pgflow.log",
                               .file_bytes_max = file_bytes_max_});
}

std::string SystemTest::Expect(int code, const std::string& command,
                               const std::vector<std::string>& more) {
  const std::unique_ptr<PgflowProcess> process = Start(command, more);
  const int ended = process->WaitForExit();
  EXPECT_EQ(ended, code) << "pgflow " << command << " printed:\n" << process->Output();
  if (ended < 0) process->Kill9();
  return process->Output();
}

bool SystemTest::WaitForSnapshot(PgflowProcess& process) const {
  const std::string sql = fmt::format(
      "SELECT snapshot_complete FROM pgflow.checkpoint WHERE pipeline = '{}'", pipeline_.name);
  const bool complete =
      Eventually([&] { return target_.ValueIfAny(sql) == "t" || !process.running(); });
  EXPECT_TRUE(complete && process.running()) << process.Output();
  return complete && process.running();
}

bool SystemTest::WaitForFirstRange(PgflowProcess& process) const {
  const std::string sql = fmt::format(
      "SELECT count(*) > 0 FROM pgflow.finished_range WHERE pipeline = '{}'", pipeline_.name);
  const bool begun =
      Eventually([&] { return target_.ValueIfAny(sql) == "t" || !process.running(); });
  EXPECT_TRUE(begun && process.running()) << process.Output();
  return begun && process.running();
}

void SystemTest::ExpectEqual(const std::vector<std::string>& tables) const {
  EXPECT_EQ(Difference(source_, target_, tables), "");
}

// The counts first: they are cheap to ask for.
void SystemTest::ExpectEqualSoon(const std::vector<std::string>& tables,
                                 PgflowProcess& process) const {
  Eventually([&] {
    if (!process.running()) return true;
    for (const std::string& table : tables) {
      const std::string sql = "SELECT count(*) FROM " + table;
      if (source_.Value(sql) != target_.ValueIfAny(sql)) return false;
    }
    return Difference(source_, target_, tables).empty();
  });
  const std::string difference = Difference(source_, target_, tables);
  EXPECT_TRUE(difference.empty() && process.running()) << difference << process.Output();
}

std::unique_ptr<ScratchPostgres> SharedServerTest::shared_server;

void SharedServerTest::SetUpTestSuite() {
  absl::StatusOr<std::unique_ptr<ScratchPostgres>> server = ScratchPostgres::Make();
  ASSERT_TRUE(server.ok()) << server.status();
  shared_server = *std::move(server);
}

void SharedServerTest::TearDownTestSuite() { shared_server.reset(); }

void SharedServerTest::SetUp() {
  ASSERT_NE(shared_server, nullptr);
  const std::string name = TestName();
  ASSERT_TRUE(shared_server->CreateDatabase(name + "_source").ok());
  ASSERT_TRUE(shared_server->CreateDatabase(name + "_target").ok());
  Use({shared_server.get(), name + "_source"}, {shared_server.get(), name + "_target"});
}

void TwoServerTest::StartServers(ScratchPostgresOptions source, ScratchPostgresOptions target) {
  absl::StatusOr<std::unique_ptr<ScratchPostgres>> first = ScratchPostgres::Make(std::move(source));
  ASSERT_TRUE(first.ok()) << first.status();
  absl::StatusOr<std::unique_ptr<ScratchPostgres>> second =
      ScratchPostgres::Make(std::move(target));
  ASSERT_TRUE(second.ok()) << second.status();
  source_server_ = *std::move(first);
  target_server_ = *std::move(second);
  Use({source_server_.get(), "postgres"}, {target_server_.get(), "postgres"});
}

}  // namespace pgflow::tests
