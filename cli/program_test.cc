#include "cli/program.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/components.h"

namespace pgflow::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

struct Answer {
  ExitCode code;
  std::string out;
  std::string error;
};

Answer Ask(const std::vector<std::string>& arguments) {
  std::ostringstream out;
  std::ostringstream error;
  const ExitCode code = RunProgram(arguments, AllComponents(), {out, error});
  return {code, out.str(), error.str()};
}

class ProgramTest : public ::testing::Test {
 protected:
  ProgramTest() { ::setenv("PGFLOW_TEST_STATE", state_.c_str(), /*replace=*/1); }
  ~ProgramTest() override {
    std::filesystem::remove(path_);
    std::filesystem::remove_all(state_);
  }

  std::string Write(const std::string& yaml) {
    std::ofstream(path_) << yaml;
    return path_;
  }
  // What validate prints of `yaml`, without the file's name.
  std::string Problems(const std::string& yaml) {
    const Answer answer = Ask({"validate", Write(yaml)});
    EXPECT_EQ(answer.code, ExitCode::kDifference) << yaml;
    EXPECT_THAT(answer.error, IsEmpty());
    std::string text;
    std::istringstream lines(answer.out);
    for (std::string line; std::getline(lines, line);) {
      EXPECT_THAT(line, StartsWith(path_));
      text += line.substr(path_.size() + 1) + "\n";
    }
    return text;
  }

  const std::string path_ =
      ::testing::TempDir() + "pgflow_program_test_" + std::to_string(::getpid()) + ".yaml";
  const std::string state_ = path_ + ".state";
};

constexpr char kGood[] = R"(name: shop
source:
  postgres:
    url: postgres://app:hunter2@127.0.0.1:1/shop
    tables: {include: ["public.*"], exclude: ["public.audit_*"]}
    replication: {slot: pgflow_shop, publication: pgflow_shop}
    snapshot: {workers: 4, range_size: 64MiB}
transformers:
  - filter: {tables: {exclude: ["public.secret"]}}
sinks:
  - postgres: {url: "postgres://app:hunter2@127.0.0.1:1/copy", create_schema: true}
  - stdout: {tables: ["public.orders"]}
    name: events
  - blackhole:
state: {directory: "${PGFLOW_TEST_STATE}"}
)";

TEST_F(ProgramTest, ValidatesAGoodFile) {
  const Answer answer = Ask({"validate", Write(kGood)});
  EXPECT_EQ(answer.code, ExitCode::kDone) << answer.out << answer.error;
  EXPECT_EQ(answer.out, path_ +
                            ": valid: pipeline shop, source postgres, 1 transformer, sinks: "
                            "postgres, events, blackhole\n");
}

TEST_F(ProgramTest, RunsTheTestsOfAFile) {
  const std::string tests = R"(
tests:
  - name: a secret leaves as stars
    tables: [{table: public.users, columns: {id: int4 key, name: text, note: text}}]
    given:
      - {operation: insert, table: public.users, after: {id: 1, name: Ann, note: null}}
      - {operation: update, table: public.users, after: {id: 1, name: Eve}, unchanged: [note]}
      - {operation: delete, table: public.users, before: {id: 1}}
    expect:
      - {operation: insert, table: public.users, after: {id: 1, name: "***"}}
      - {operation: update, table: public.users, after: {id: 1, name: "***"}, unchanged: [note]}
      - {operation: delete, table: public.users, before: {id: ID}}
  - name: a column that is not there
    tables: [{table: public.users, columns: {id: int4 key}}]
    given: [{operation: insert, table: public.users, after: {id: 1}}]
    error: has no column 'name'
)";
  const std::string file =
      "source: {postgres: {url: x}}\nsinks: [{blackhole: }]\n"
      "transformers: [{mask: {table: public.users, column: name, with: "
      "partial}}]" +
      tests;
  const auto with_id = [&file](const std::string& id) {
    std::string text = file;
    return text.replace(text.find("{id: ID}") + 5, 2, id);
  };
  Answer answer = Ask({"test", Write(with_id("1"))});
  EXPECT_EQ(answer.code, ExitCode::kDone) << answer.out << answer.error;
  EXPECT_THAT(answer.out, HasSubstr("2 of 2 tests passed"));
  answer = Ask({"test", Write(with_id("2"))});
  EXPECT_EQ(answer.code, ExitCode::kDifference) << answer.error;
  EXPECT_THAT(answer.out, HasSubstr("FAILED  a secret leaves as stars\n"
                                    "          insert public.users after {id='1', name='***'}\n"));
  EXPECT_THAT(answer.out, HasSubstr("        - delete public.users before {id='2'}\n"
                                    "        + delete public.users before {id='1'}\n"));
  EXPECT_EQ(Ask({"test", Write(kGood)}).code, ExitCode::kUsage);
}

TEST_F(ProgramTest, ShowsAllProblemsOfABadFile) {
  EXPECT_EQ(Problems("nmae: shop\n"
                     "source:\n"
                     "  postgres:\n"
                     "    mode: steam\n"
                     "    replication: {slto: x}\n"
                     "    snapshot: {workers: 0, range_size: 64}\n"
                     "sinks:\n"
                     "  - postgers: {}\n"
                     "  - stdout: {table: [a.b]}\n"
                     "    dead_letter: refused.jsonl\n"),
            "1:1: unknown key 'nmae' in the file; did you mean 'name'?\n"
            "4:5: 'url' is missing in 'source.postgres'; write url: ${SOURCE_URL}\n"
            "4:11: 'source.postgres.mode' must be one of snapshot_and_stream, snapshot, stream, "
            "not 'steam'; did you mean 'stream'?\n"
            "5:19: unknown key 'slto' in 'source.postgres.replication'; did you mean 'slot'?\n"
            "6:25: 'source.postgres.snapshot.workers' must be from 1 to 64, not '0'\n"
            "6:40: 'source.postgres.snapshot.range_size' must be from 128KiB to 1TiB, not '64'\n"
            "8:5: unknown key 'postgers' in 'sinks[0]'; did you mean 'postgres'?\n"
            "9:14: unknown key 'table' in 'sinks[1].stdout'; did you mean 'tables'?\n"
            "10:18: 'sinks[1].dead_letter' must be a section of keys and values, not a text\n");
}

TEST_F(ProgramTest, NamesThePlaceOfEachProblem) {
  const std::string source = "source: {postgres: {url: x}}\n";
  const std::string sinks = "sinks: [{stdout: {}}]\n";
  const struct {
    std::string yaml;
    std::string problem;
  } kCases[] = {
      {"", "1:1: 'source' is missing"},
      {"source: [\n", "not valid YAML"},
      {source + sinks + "name: Shop\n", "3:7: 'name' must be 1 to 40 of a-z, 0-9 and _"},
      {source + sinks + "name: a\nname: b\n", "4:1: 'name' is written twice"},
      {source + sinks + "admin: {listen: 9187}\n", "3:17: 'admin.listen' must be host:port"},
      {source + sinks + "spool: {memory: 64M}\n", "3:17: 'spool.memory' must be a size"},
      {source + sinks + "state: {}\nspool: 5\n", "4:8: 'spool' must be a section"},
      {source + sinks + "transformers:\n  - filter: {where: [{}]}\n",
       "4:22: 'column' is missing in 'transformers[0].filter.where[0]'"},
      {source + "sinks: [{stdout: {}, blackhole: {}}]\n", "one sink an entry"},
      {source + "sinks: [{stdout: {}, retry: {initial: 5}}]\n",
       "'sinks[0].retry.initial' must be a duration with its unit"},
      {"source: {postgres: {url: '${PGFLOW_TEST_NOT_SET}'}}\n" + sinks,
       "1:26: environment variable PGFLOW_TEST_NOT_SET is not set"},
      {"source: {postgres: {url: x, replication: {slot: A-b}}}\n" + sinks, "replication.slot"},
      {"source: {postgres: {url: x, snapshot: {workers: many}}}\n" + sinks,
       "1:49: 'source.postgres.snapshot.workers' must be an integer, not 'many'"},
  };
  for (const auto& test : kCases) {
    EXPECT_THAT(Problems(test.yaml), HasSubstr(test.problem)) << test.yaml;
  }
}

TEST_F(ProgramTest, TakesFlagsInPlaceOfAFile) {
  std::vector<std::string> flags = {"validate",
                                    "--postgres-url",
                                    "postgres://app:hunter2@h/shop",
                                    "--sink-type",
                                    "postgres",
                                    "--sink-postgres-url",
                                    "target",
                                    "--sink-postgres-create-schema",
                                    "true",
                                    "--handle-ddl=false",
                                    "--postgres-tables-include",
                                    "public.a,public.b",
                                    "--name",
                                    "shop"};
  const Answer answer = Ask(flags);
  EXPECT_EQ(answer.code, ExitCode::kDone) << answer.out << answer.error;
  EXPECT_EQ(answer.out,
            "the command line: valid: pipeline shop, source postgres, 0 transformers, sinks: "
            "postgres\n");
  const std::string rules = Write("transformers: [{filter: {tables: {exclude: [public.c]}}}]");
  flags.insert(flags.end(), {"--transform", rules});
  EXPECT_THAT(Ask(flags).out, HasSubstr("1 transformer,"));
  flags.insert(flags.end(), {"--transform", rules + "," + rules});
  EXPECT_THAT(Ask(flags).out, HasSubstr("3 transformers,")) << "in order, all of them";
}

TEST_F(ProgramTest, NamesTheFlagThatIsWrong) {
  const struct {
    std::vector<std::string> flags;
    std::string problem;
  } kCases[] = {
      {{}, "give a pipeline file, or --postgres-url and --sink-type"},
      {{"--sink-type", "stdout"}, "give a pipeline file"},
      {{"--postgres-url", "x"}, "--sink-type is missing"},
      {{"--postgres-url", "x", "--sink-type", "stdot"}, "did you mean 'stdout'?"},
      {{"--postgres-mode", "stream", "--sink-type", "stdout"}, "'url' is missing"},
      {{"--postgres-url", "x", "--sink-type", "stdout", "--postgres-snapshot-workers", "0"},
       "--postgres-snapshot-workers: 'source.postgres.snapshot.workers' must be from 1 to 64"},
      {{"--postgres-url", "x", "--sink-type", "blackhole", "--stdout-file", "f"},
       "cannot share one"},
      {{"--postgres-url", "x", "--sink-type", "stdout", "--transform", "/nowhere.yaml"},
       "/nowhere.yaml"},
      {{Write(kGood), "--name", "other"}, "--name is for runs without a file"},
  };
  for (const auto& test : kCases) {
    std::vector<std::string> arguments = {"run"};
    arguments.insert(arguments.end(), test.flags.begin(), test.flags.end());
    const Answer answer = Ask(arguments);
    EXPECT_EQ(answer.code, ExitCode::kUsage);
    EXPECT_THAT(answer.error, HasSubstr(test.problem));
  }
}

TEST_F(ProgramTest, TakesNoOtherFileForTransformers) {
  for (const char* text : {"mask: {}", "", "just words"}) {
    const Answer answer =
        Ask({"run", "--postgres-url", "x", "--sink-type", "stdout", "--transform", Write(text)});
    EXPECT_EQ(answer.code, ExitCode::kUsage) << text;
    EXPECT_THAT(answer.error, HasSubstr("neither a list of transformers nor")) << text;
  }
}

TEST_F(ProgramTest, TellsUsageFromFailure) {
  EXPECT_EQ(Ask({}).code, ExitCode::kUsage);
  EXPECT_EQ(Ask({"rnu"}).code, ExitCode::kUsage);
  EXPECT_EQ(Ask({"validate"}).code, ExitCode::kUsage);
  EXPECT_EQ(Ask({"validate", "/nowhere.yaml"}).code, ExitCode::kUsage);
  EXPECT_EQ(Ask({"run", "/nowhere.yaml"}).code, ExitCode::kUsage);
  EXPECT_EQ(Ask({"run", Write("sinks: 1")}).code, ExitCode::kUsage);
  EXPECT_EQ(Ask({"run", Write(kGood), "--until-lsn", "x"}).code, ExitCode::kUsage);
  EXPECT_EQ(Ask({"run", Write(kGood), "--until-lsn", "0/1", "--until-current"}).code,
            ExitCode::kUsage);
  EXPECT_EQ(Ask({"list", "--log-level", "loud"}).code, ExitCode::kUsage);
  EXPECT_EQ(Ask({"replay", Write(kGood)}).code, ExitCode::kUsage);
  EXPECT_EQ(Ask({"--help"}).code, ExitCode::kDone);
  EXPECT_THAT(Ask({"--version"}).out, StartsWith("pgflow "));
}

TEST_F(ProgramTest, NeverPrintsSecrets) {
  for (const char* command : {"validate", "init", "destroy", "check", "status"}) {
    const Answer answer = Ask({command, Write(kGood), "--log-level", "error"});
    EXPECT_THAT(answer.out + answer.error, Not(HasSubstr("hunter2"))) << command;
  }
}

TEST_F(ProgramTest, ChecksServersThatAreNotThere) {
  const Answer answer = Ask({"check", Write(kGood)});
  EXPECT_EQ(answer.code, ExitCode::kDifference);
  EXPECT_THAT(answer.out, AllOf(HasSubstr("error    source postgres: connection: "),
                                HasSubstr("sink postgres: connection: ")));
  EXPECT_THAT(Ask({"check", Write(kGood), "--json"}).out,
              StartsWith("[\n  {\"severity\": \"error\", \"place\": \"source postgres\""));
}

TEST_F(ProgramTest, ShowsTheStatusOfWhatDoesNotRun) {
  const Answer answer =
      Ask({"status", Write(std::string(kGood) + "admin: {listen: '127.0.0.1:1'}\n")});
  EXPECT_THAT(answer.out,
              AllOf(HasSubstr("pipeline shop: not running (no answer at 127.0.0.1:1: "),
                    HasSubstr("source postgres: "), HasSubstr("sink events: never began")));
}

TEST_F(ProgramTest, ListsAndDescribesComponents) {
  EXPECT_THAT(Ask({"list"}).out,
              AllOf(HasSubstr("source       postgres"), HasSubstr("transformer  filter"),
                    HasSubstr("sink         stdout")));
  EXPECT_THAT(Ask({"list", "--json"}).out, HasSubstr(R"("kind": "sink", "name": "stdout")"));
  const Answer both = Ask({"describe", "postgres"});
  EXPECT_THAT(both.out, AllOf(HasSubstr("source postgres\n"), HasSubstr("sink postgres\n"),
                              HasSubstr("  snapshot.workers  (integer, 1 to 64; default 4)\n")));
  EXPECT_THAT(Ask({"describe", "sink/postgres"}).out, Not(HasSubstr("source postgres\n")));
  EXPECT_THAT(Ask({"describe", "sink/stdout", "--schema"}).out,
              HasSubstr("\"title\": \"sink stdout\""));
  const Answer wrong = Ask({"describe", "stdot"});
  EXPECT_EQ(wrong.code, ExitCode::kUsage);
  EXPECT_EQ(wrong.error, "pgflow: no component 'stdot'; did you mean stdout?\n");
}

}  // namespace
}  // namespace pgflow::cli
